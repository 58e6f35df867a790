import { expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import type { DoorbellMessages, InterruptController, Window } from '../../../core/hal/index.js';
import type { QtestHost } from '../../../hw/remote/qtest.js';
import * as EDU from '../../../hw/regs/edu.js';
import { describeQemus } from '../../helpers/qemu.js';
import { BAR, LIMIT_US, assignBar, started, startedEdu } from './fixture.js';

/** A taker of interrupts, as the core is one: it notes that there is something, and takes it when asked. */
class Taker {
  readonly irqs: InterruptController;
  readonly bells: DoorbellMessages;
  told = 0;
  #wake: () => void = () => {};

  constructor(host: QtestHost) {
    this.irqs = host.interrupts;
    if (this.irqs.messages.kind !== 'doorbell') throw new Error('no doorbells');
    this.bells = this.irqs.messages;
    this.irqs.attach({
      pending: () => {
        this.told++;
        this.#wake();
      },
      drain: () => {},
      interrupt: () => {},
    });
  }

  takeAll(): number[] {
    const all: number[] = [];
    while (this.irqs.nextCpu() === 0) all.push(this.irqs.take(0));
    return all;
  }

  /** Resolves when something is pending; the test's own limit ends it otherwise. */
  async pending(): Promise<void> {
    const told = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    // The host's own timer keeps no process alive.
    const alive = setInterval(() => {}, 1000);
    if (this.irqs.nextCpu() !== 0) await told;
    clearInterval(alive);
  }
}

/** Offset of a capability of a function. */
function capability(config: Window, id: number): number {
  for (let at = config.read8(0x34); at !== 0; at = config.read8(at + 1)) if (config.read8(at) === id) return at;
  throw new Error(`no capability ${id}`);
}

/** Points the one MSI message of a function at a doorbell. */
function enableMsi(config: Window, { bells }: Taker, doorbell: number): void {
  const at = capability(config, PCI.CAP_MSI);
  const { addressLo, addressHi, data } = bells.message(doorbell);
  config.write32(at + 4, addressLo);
  config.write32(at + 8, addressHi);
  config.write16(at + 12, data);
  config.write16(at + 2, 1);
}

/** Has edu copy 8 bytes of its buffer nowhere, and interrupt at the end, 100 ms later. */
function startTransfer(regs: Awaited<ReturnType<typeof startedEdu>>['regs'], address: number): void {
  regs.write(EDU.DMA_SOURCE, address);
  regs.write(EDU.DMA_DEST, EDU.BUFFER_BASE);
  regs.write(EDU.DMA_COUNT, 8);
  regs.write(EDU.DMA_COMMAND, { start: 1, direction: EDU.TO_DEVICE, irq: 1 });
}

const E1000E = { CTRL_EXT: 0x18, ICR: 0xc0, ICS: 0xc8, IMS: 0xd0, IVAR: 0xe4, RXQ0: 1 << 20, TXQ0: 1 << 22 } as const;

describeQemus('interrupts of QtestHost', (qemu) => {
  test('an MSI of edu rings its doorbell, told before the access is over and taken once', async () => {
    await using edu = await startedEdu(qemu.options);
    const taker = new Taker(edu.host);
    taker.bells.alloc();
    const mine = taker.bells.alloc();
    enableMsi(edu.config, taker, mine);
    edu.regs.write(EDU.IRQ_RAISE, 1);
    expect(taker.told).toBe(1);
    expect([taker.irqs.isPending(0, mine), taker.takeAll()]).toEqual([true, [mine]]);
    edu.regs.write(EDU.IRQ_ACK, 1);
    edu.regs.write(EDU.IRQ_RAISE, 2);
    edu.regs.write(EDU.IRQ_RAISE, 4);
    expect([taker.takeAll(), edu.regs.read(EDU.IRQ_STATUS), taker.takeAll()]).toEqual([[mine], 6, []]);
  });

  test('the doorbells are memory that is reserved at the start, and 4,096', async () => {
    await using host = await started(qemu.options);
    const before = host.dma.allocatedBytes;
    expect(before).toBe(4 * 4096);
    const { bells, irqs } = new Taker(host);
    expect([irqs.cpus, irqs.vectors]).toEqual([1, 4096]);
    for (let n = 0; n < 4096; n++) bells.alloc();
    expect([bells.alloc(), host.dma.allocatedBytes]).toEqual([-1, before]);
  });

  test('lines of two slots ring two doorbells, and again at the end while asserted', async () => {
    await using host = await started({ ...qemu.options, devices: ['edu,addr=4', 'edu,addr=5'] });
    const taker = new Taker(host);
    const lines = taker.irqs.lines!;
    const edus = [4, 5].map((slot) => {
      const { regs } = assignBar(host, slot << 3, 0, BAR + slot * EDU.BAR_BYTES);
      const line = host.pci[0]!.irqLine!(slot << 3, 1)!;
      const doorbell = taker.bells.alloc();
      lines.route(line, taker.bells.message(doorbell), true);
      lines.setMask(line, false);
      return { regs, line, doorbell };
    });
    expect(edus.map(({ line }) => line)).toEqual([20, 21]);
    for (const { regs, line, doorbell } of edus) {
      regs.write(EDU.IRQ_RAISE, 1);
      expect([lines.isAsserted(line), taker.takeAll()]).toEqual([true, [doorbell]]);
      lines.eoi(line);
      expect(taker.takeAll()).toEqual([doorbell]);
      regs.write(EDU.IRQ_ACK, 1);
      lines.eoi(line);
      expect([lines.isAsserted(line), taker.takeAll()]).toEqual([false, []]);
    }
  });

  test.each(['q35', 'pc'] as const)('every slot of a %s is on the line that irqLine says', async (machine) => {
    const slots = Array.from({ length: 29 }, (_, i) => i + 2);
    const devices = slots.map((slot) => `edu,addr=${slot.toString(16)}`);
    await using host = await started({ ...qemu.options, machine, devices });
    const raised: number[] = [];
    host.irqLines.on((line, up) => {
      if (up) raised.push(line);
    });
    const wired: (number | undefined)[] = [];
    for (const slot of slots) {
      const { regs } = assignBar(host, slot << 3, 0, BAR + slot * EDU.BAR_BYTES);
      regs.write(EDU.IRQ_RAISE, 1);
      regs.write(EDU.IRQ_ACK, 1);
      wired.push(host.pci[0]!.irqLine!(slot << 3, 1));
    }
    expect(raised.filter((line) => line >= 5)).toEqual(wired);
    expect(host.pci[0]!.irqLine!(4 << 3, 0)).toBeUndefined();
    expect(host.pci[0]!.irqLine!(4 << 3, 5)).toBeUndefined();
  });

  test('two MSI-X vectors of an e1000e ring two doorbells; a masked one waits in the pending bits', async () => {
    await using host = await started({ ...qemu.options, devices: ['e1000e,addr=6,romfile='] });
    const taker = new Taker(host);
    const { regs, config } = assignBar(host, 6 << 3, 0, BAR);
    const { regs: table } = assignBar(host, 6 << 3, 3, BAR + 0x10_0000);
    const at = capability(config, PCI.CAP_MSIX);
    expect([config.read32(at + 4), config.read32(at + 8)]).toEqual([3, 0x2003]);
    const entry = (vector: number) => 16 * vector;
    const control = (vector: number) => entry(vector) + 12;
    const [rx, tx] = [0, 3].map((vector) => {
      const doorbell = taker.bells.alloc();
      const { addressLo, addressHi, data } = taker.bells.message(doorbell);
      table.write32(entry(vector), addressLo);
      table.write32(entry(vector) + 4, addressHi);
      table.write32(entry(vector) + 8, data);
      table.write32(control(vector), 0);
      return doorbell;
    });
    config.write16(at + 2, 0x8000);
    // Receive queue 0 is vector 0, transmit queue 0 is vector 3; bit 3 of each is "valid".
    regs.write32(E1000E.IVAR, 0x8 | ((0x8 | 3) << 8));
    regs.write32(E1000E.IMS, E1000E.RXQ0 | E1000E.TXQ0);
    const raise = async (bits: number, until: () => boolean): Promise<void> => {
      regs.write32(E1000E.ICS, bits);
      // The device itself leaves 128 us between two messages of a vector.
      await host.clock.poll(until, { timeoutUs: LIMIT_US, intervalUs: 200 });
      regs.write32(E1000E.ICR, bits);
    };
    const rungBy = async (bits: number, count: number): Promise<number[]> => {
      const taken: number[] = [];
      await raise(bits, () => taken.push(...taker.takeAll()) >= count);
      return taken.sort((a, b) => a - b);
    };
    expect(await rungBy(E1000E.RXQ0, 1)).toEqual([rx]);
    expect(await rungBy(E1000E.TXQ0, 1)).toEqual([tx]);
    expect(await rungBy(E1000E.RXQ0 | E1000E.TXQ0, 2)).toEqual([rx, tx]);

    table.write32(control(3), 1);
    await raise(E1000E.TXQ0, () => table.read32(0x2000) === 1 << 3);
    expect(await rungBy(E1000E.RXQ0, 1)).toEqual([rx]);
    table.write32(control(3), 0);
    expect([taker.takeAll(), table.read32(0x2000)]).toEqual([[tx], 0]);
  });

  test.each(['msi', 'line'] as const)(
    'a sleeper is woken by the %s of a transfer, and the clock has not run past it',
    async (how) => {
      await using edu = await startedEdu(qemu.options);
      const taker = new Taker(edu.host);
      const doorbell = taker.bells.alloc();
      const line = edu.host.pci[0]!.irqLine!(4 << 3, 1)!;
      if (how === 'msi') {
        enableMsi(edu.config, taker, doorbell);
      } else {
        taker.irqs.lines!.route(line, taker.bells.message(doorbell), true);
        taker.irqs.lines!.setMask(line, false);
      }
      const { clock } = edu.host;
      const taken: number[] = [];
      clock.onEvent(() => {
        for (const n of taker.takeAll()) taken.push(n, clock.now());
      });
      startTransfer(edu.regs, edu.host.dma.alloc(8, { mask: EDU.DMA_MASK }));
      if (qemu.time === 'virtual') {
        await clock.sleep(1_000_000);
        expect(taken[0]).toBe(doorbell);
        expect(taken[1]).toBeGreaterThanOrEqual(EDU.DMA_TIME_US);
        expect(taken[1]).toBeLessThanOrEqual(EDU.DMA_TIME_US + 1000);
      } else {
        await taker.pending();
        expect(taker.takeAll()).toEqual([doorbell]);
        expect(clock.now()).toBeLessThan(LIMIT_US);
      }
    },
  );

  test('what a thread of QEMU raises is heard while nobody accesses or sleeps', async () => {
    await using edu = await startedEdu(qemu.options);
    const taker = new Taker(edu.host);
    const doorbell = taker.bells.alloc();
    const line = edu.host.pci[0]!.irqLine!(4 << 3, 1)!;
    taker.irqs.lines!.route(line, taker.bells.message(doorbell), true);
    taker.irqs.lines!.setMask(line, false);
    edu.regs.write(EDU.STATUS, { raise: 1 });
    edu.regs.write(EDU.FACTORIAL, 5);
    await taker.pending();
    expect(taker.takeAll()).toEqual([doorbell]);
    expect([edu.regs.read(EDU.IRQ_STATUS), edu.regs.read(EDU.FACTORIAL)]).toEqual([EDU.IRQ_FACTORIAL, 120]);
  });

  test('a QEMU that dies while doorbells are in use is told by the next access, and the host stops', async () => {
    const edu = await startedEdu(qemu.options);
    const taker = new Taker(edu.host);
    enableMsi(edu.config, taker, taker.bells.alloc());
    process.kill(edu.host.pid!, 'SIGKILL');
    expect(() => {
      for (;;) edu.regs.read(EDU.IDENT);
    }).toThrow('EIO: qemu: killed by signal 9');
    await edu.host.stop();
    expect([taker.irqs.nextCpu(), taker.told]).toEqual([-1, 0]);
  });
});
