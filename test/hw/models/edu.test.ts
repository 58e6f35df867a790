import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AccessBytes, Mmio, type Window, readSized } from '../../../core/hal/index.js';
import { type EduOptions, edu } from '../../../hw/models/edu.js';
import * as EDU from '../../../hw/regs/edu.js';
import { Machine } from '../../../hw/sim/index.js';
import { assign } from '../sim/fixture.js';

const DEVFN = 0x20;
const BAR = 0xc000_0000;

function setUp(options?: EduOptions): { machine: Machine; window: Window; regs: Mmio; config: Window } {
  const machine = new Machine({ clock: 'manual', memoryBytes: 512 * 2 ** 20, devices: [{ at: '00:04.0', model: edu(options) }] });
  assign(machine, 0, DEVFN, BAR);
  const root = machine.pci[0]!;
  const window = root.map('mem', BAR, EDU.BAR_BYTES);
  return { machine, window, regs: new Mmio(window, 'edu'), config: root.config(0, DEVFN) };
}

function transfer(regs: Mmio, source: number, dest: number, count: number, command: number): void {
  regs.write(EDU.DMA_SOURCE, source);
  regs.write(EDU.DMA_DEST, dest);
  regs.write(EDU.DMA_COUNT, count);
  regs.write(EDU.DMA_COMMAND, command);
}

const START = 1;
const FROM_DEVICE = 2;
const IRQ = 4;

describe('edu configuration space', () => {
  test('it has the identity of QEMU', () => {
    const { config } = setUp();
    expect(config.read32(0x00)).toBe(0x11e8_1234);
    expect(config.read32(0x08)).toBe(0x00ff_0010);
    expect(config.read32(0x2c)).toBe(0x1100_1af4);
    expect(config.read8(0x3d)).toBe(1);
  });

  test('MSI is at 0x40, one 64-bit message', () => {
    const { config } = setUp();
    expect(config.read8(0x34)).toBe(0x40);
    expect(config.read32(0x40)).toBe(0x0080_0005);
  });
});

describe('edu registers', () => {
  test('identification and liveness read as specified', () => {
    const { regs } = setUp();
    expect(regs.read(EDU.IDENT)).toBe(0x0100_00ed);
    regs.write(EDU.LIVENESS, 0x1234_5678);
    expect(regs.read(EDU.LIVENESS)).toBe(0xedcb_a987);
  });

  test('the factorial takes time, and the status says so', () => {
    const { machine, regs } = setUp({ factorialUs: 10 });
    regs.write(EDU.FACTORIAL, 5);
    expect(regs.read(EDU.STATUS)).toBe(1);
    machine.elapse(9);
    expect(regs.read(EDU.STATUS)).toBe(1);
    machine.elapse(1);
    expect(regs.read(EDU.STATUS)).toBe(0);
    expect(regs.read(EDU.FACTORIAL)).toBe(120);
  });

  test.each([
    [0, 1],
    [1, 1],
    [12, 479_001_600],
    [13, 1_932_053_504],
    [33, 0x8000_0000],
    [34, 0],
    [0xffff_ffff, 0],
  ])('the factorial of %i is %i modulo 2^32', (n, result) => {
    const { machine, regs } = setUp();
    regs.write(EDU.FACTORIAL, n);
    machine.elapse(10);
    expect(regs.read(EDU.FACTORIAL)).toBe(result);
  });

  test('a factorial written while one is computed is dropped', () => {
    const { machine, regs } = setUp();
    regs.write(EDU.FACTORIAL, 4);
    regs.write(EDU.FACTORIAL, 5);
    machine.elapse(100);
    expect(regs.read(EDU.FACTORIAL)).toBe(24);
  });

  test('below 0x80 only 4-byte accesses are decoded', () => {
    const { window } = setUp();
    const pair = new Uint32Array(2);
    window.read64(0x00, pair);
    expect([...pair]).toEqual([0xffff_ffff, 0xffff_ffff]);
    window.write64(0x04, 1, 0);
    expect(window.read32(0x04)).toBe(0);
    expect([window.read8(0), window.read16(0)]).toEqual([0xff, 0xffff]);
  });

  test('from 0x80 on 4 bytes are the whole register and the upper half has no address', () => {
    const { window } = setUp();
    const pair = new Uint32Array(2);
    window.write64(0x80, 1, 2);
    window.read64(0x80, pair);
    expect([...pair, window.read32(0x80), window.read32(0x84)]).toEqual([1, 2, 1, 0xffff_ffff]);
    window.write32(0x80, 7);
    window.read64(0x80, pair);
    expect([...pair]).toEqual([7, 0]);
  });

  test('no access throws or upsets the machine', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            width: fc.constantFrom(1, 2, 4, 8) as fc.Arbitrary<AccessBytes>,
            offset: fc.oneof(fc.integer({ min: 0, max: 0xa0 }), fc.constantFrom(...EDU.EDU_REGS.map((reg) => reg.offset))),
            value: fc.integer({ min: 0, max: 0xffff_ffff }),
            isWrite: fc.boolean(),
            us: fc.constantFrom(0, 1, 50_000, 100_000),
          }),
        ),
        (steps) => {
          const { machine, window } = setUp();
          for (const { width, offset, value, isWrite, us } of steps) {
            if (!isWrite) readSized(window, offset, width);
            else if (width === 8) window.write64(offset, value, value);
            else if (width === 4) window.write32(offset, value);
            else if (width === 2) window.write16(offset, value);
            else window.write8(offset, value);
            machine.elapse(us);
          }
          expect(machine.modelErrors).toEqual([]);
          expect(window.read32(0)).toBe(0x0100_00ed);
        },
      ),
      { seed: 1 },
    );
  });
});

describe('edu interrupts', () => {
  test('raise adds causes and asserts the line, acknowledging the last lowers it', () => {
    const { machine, regs, config } = setUp();
    const line: boolean[] = [];
    machine.onLine((_who, asserted) => line.push(asserted));
    regs.write(EDU.IRQ_RAISE, 0x6);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(0x6);
    expect(config.read16(0x06) & 0x8).toBe(0x8);
    regs.write(EDU.IRQ_ACK, 0x2);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(0x4);
    expect(line).toEqual([true]);
    regs.write(EDU.IRQ_ACK, 0x4);
    machine.drain();
    expect(line).toEqual([true, false]);
    expect(config.read16(0x06) & 0x8).toBe(0);
  });

  test('a finished factorial interrupts only when status bit 7 asks for it', () => {
    const { machine, regs } = setUp();
    regs.write(EDU.FACTORIAL, 3);
    machine.elapse(10);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(0);
    regs.write(EDU.STATUS, { raise: 1 });
    regs.write(EDU.FACTORIAL, 3);
    machine.elapse(10);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(EDU.IRQ_FACTORIAL);
    expect(regs.read(EDU.STATUS)).toBe(0x80);
  });

  test('with MSI each cause sends the message and the line stays low', () => {
    const { machine, regs, config } = setUp();
    const seen: unknown[] = [];
    machine.onMessage((...message) => seen.push(message));
    machine.onLine((_who, asserted) => seen.push(asserted));
    config.write32(0x44, 0xfee0_1000);
    config.write16(0x4c, 0x41);
    config.write16(0x42, 0x1);
    regs.write(EDU.IRQ_RAISE, 1);
    regs.write(EDU.IRQ_ACK, 1);
    machine.drain();
    expect(seen).toEqual([['0000:00:04.0', 0xfee0_1000, 0x41]]);
  });
});

describe('edu DMA', () => {
  const PATTERN = Uint8Array.from({ length: 100 }, (_, i) => i + 1);

  test('a round trip brings the bytes back, each way in 100 ms', () => {
    const { machine, regs } = setUp();
    const address = machine.dma.alloc(4096, { mask: EDU.DMA_MASK });
    machine.dma.write(address, PATTERN, 0, 100);
    transfer(regs, address, EDU.BUFFER_BASE, 100, START);
    machine.elapse(99_999);
    expect(regs.read(EDU.DMA_COMMAND)).toBe(START);
    machine.elapse(1);
    expect(regs.read(EDU.DMA_COMMAND)).toBe(0);
    transfer(regs, EDU.BUFFER_BASE, address + 100, 100, START | FROM_DEVICE | IRQ);
    machine.elapse(100_000);
    expect(machine.dma.view(address + 100, 100)).toEqual(PATTERN);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(EDU.IRQ_DMA);
    expect(machine.guestErrors).toEqual([]);
    expect(machine.dmaFaults).toEqual([]);
  });

  test('the registers keep their values while a transfer runs', () => {
    const { machine, regs } = setUp();
    const address = machine.dma.alloc(4096, { mask: EDU.DMA_MASK });
    transfer(regs, address, EDU.BUFFER_BASE, 16, START);
    transfer(regs, 1, 2, 3, START | IRQ);
    expect([EDU.DMA_SOURCE, EDU.DMA_DEST, EDU.DMA_COUNT].map((reg) => regs.read(reg))).toEqual([address, EDU.BUFFER_BASE, 16]);
    machine.elapse(100_000);
    expect(regs.read(EDU.IRQ_STATUS)).toBe(0);
  });

  test('a command without the start bit does nothing', () => {
    const { regs } = setUp();
    regs.write(EDU.DMA_COMMAND, FROM_DEVICE | IRQ);
    expect(regs.read(EDU.DMA_COMMAND)).toBe(0);
  });

  test.each([
    [EDU.BUFFER_BASE, 4097],
    [EDU.BUFFER_BASE + 4095, 2],
    [EDU.BUFFER_BASE - 1, 1],
    [0, 16],
  ])('a transfer at 0x%s of %i bytes is a guest error and moves nothing', (place, count) => {
    const { machine, regs } = setUp();
    const address = machine.dma.alloc(8192, { mask: EDU.DMA_MASK });
    machine.dma.view(address, 8192).fill(0xaa);
    transfer(regs, place, address, count, START | FROM_DEVICE);
    machine.elapse(100_000);
    expect(machine.guestErrors).toHaveLength(1);
    expect(machine.dma.view(address, 8192).every((byte) => byte === 0xaa)).toBe(true);
    expect(regs.read(EDU.DMA_COMMAND) & START).toBe(0);
  });

  test('address bits beyond the mask are lost, and told', () => {
    const { machine, regs } = setUp();
    const address = machine.dma.alloc(4096, { mask: EDU.DMA_MASK });
    machine.dma.write(address, PATTERN, 0, 100);
    transfer(regs, address + 2 ** 28, EDU.BUFFER_BASE, 100, START);
    machine.elapse(100_000);
    transfer(regs, EDU.BUFFER_BASE, address + 200, 100, START | FROM_DEVICE);
    machine.elapse(100_000);
    expect(machine.dma.view(address + 200, 100)).toEqual(PATTERN);
    expect(machine.guestErrors.map((error) => error.text)).toEqual([
      `DMA address 0x${(address + 2 ** 28).toString(16)} is beyond the mask, 0x${address.toString(16)} is sent`,
    ]);
  });

  test('a read that does not arrive leaves the buffer as it was', () => {
    const { machine, regs, config } = setUp();
    const address = machine.dma.alloc(4096, { mask: EDU.DMA_MASK });
    machine.dma.write(address, PATTERN, 0, 100);
    transfer(regs, address, EDU.BUFFER_BASE, 100, START);
    machine.elapse(100_000);
    config.write16(0x04, 0x2);
    transfer(regs, address, EDU.BUFFER_BASE, 100, START);
    machine.elapse(100_000);
    expect(machine.dmaFaults).toMatchObject([
      { who: '0000:00:04.0', kind: 'read', reason: 'bus master', address, sizeBytes: 100 },
    ]);
    config.write16(0x04, 0x6);
    transfer(regs, EDU.BUFFER_BASE, address + 100, 100, START | FROM_DEVICE);
    machine.elapse(100_000);
    expect(machine.dma.view(address + 100, 100)).toEqual(PATTERN);
  });

  test('a removal during a transfer moves nothing and interrupts nobody', () => {
    const { machine, regs } = setUp();
    const address = machine.dma.alloc(4096, { mask: EDU.DMA_MASK });
    machine.dma.view(address, 4096).fill(0xaa);
    transfer(regs, EDU.BUFFER_BASE, address, 100, START | FROM_DEVICE | IRQ);
    machine.drain();
    const lines: boolean[] = [];
    machine.onLine((_who, asserted) => lines.push(asserted));
    machine.yank('00:04.0');
    machine.elapse(100_000);
    expect(machine.dma.view(address, 4096).every((byte) => byte === 0xaa)).toBe(true);
    expect([lines, machine.dmaFaults]).toEqual([[], []]);
  });

  test('a reset that arrives inside the DMA call ends the transfer', () => {
    const kind = edu();
    const { machine } = setUp();
    let reset = (): void => {};
    let isRunning = true;
    const irqs: boolean[] = [];
    const model = kind.create({
      name: 'edu',
      clock: machine.clock,
      random: undefined as never,
      log: { info() {}, guestError() {} },
      endpoint: undefined as never,
      irq: {
        msiEnabled: false,
        msixEnabled: false,
        intx: (level) => irqs.push(level),
        msi: () => false,
        msix: () => false,
        post: () => false,
      },
      dma: {
        address: (lo) => lo,
        read: (_address, buffer, offset, length) => {
          buffer.fill(0x55, offset, offset + length);
          reset();
          return true;
        },
        write: (_address, buffer) => {
          isRunning = buffer.some((byte) => byte !== 0);
          return true;
        },
        copy: () => true,
        read32: () => 0,
        write32: () => true,
        reach: (_address, length) => length,
        requestPage: (_address, _isWrite, _pasid, done) => done(false),
      },
    });
    reset = () => model.reset('function');
    const regs = new Mmio(model.regions[0]!, 'edu');
    transfer(regs, 0x1000, EDU.BUFFER_BASE, 16, START | IRQ);
    machine.elapse(100_000);
    expect([regs.read(EDU.DMA_COMMAND), regs.read(EDU.IRQ_STATUS), irqs]).toEqual([0, 0, []]);
    reset = () => {};
    transfer(regs, EDU.BUFFER_BASE, 0x1000, 16, START | FROM_DEVICE);
    machine.elapse(100_000);
    expect(isRunning).toBe(false);
  });

  test('a wider mask sends wider addresses', () => {
    const { machine, regs } = setUp({ dmaMask: 2 ** 40 - 1 });
    const address = 2 ** 33;
    transfer(regs, EDU.BUFFER_BASE, address, 16, START | FROM_DEVICE);
    machine.elapse(100_000);
    expect(machine.dmaFaults).toMatchObject([{ kind: 'write', address, reason: 'unmapped' }]);
  });
});

describe('edu options', () => {
  test.each([[{ dmaMask: -1 }], [{ dmaMask: 2 ** 53 }], [{ factorialUs: -1 }], [{ factorialUs: Number.NaN }]])(
    '%o throws ERANGE',
    (options) => {
      expect(() => edu(options)).toThrow(/^ERANGE: edu: /);
    },
  );
});
