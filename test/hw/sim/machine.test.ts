import { describe, expect, test } from 'vitest';
import { Log } from '../../../core/lib/index.js';
import { Host } from '../../../core/hal/index.js';
import { Machine, type MachineOptions, type PciSpec } from '../../../hw/sim/index.js';
import { SCRATCH_BYTES, type ScratchKind, assign, openBridge, platformScratch, scratch } from './fixture.js';

const ONES = 0xffff_ffff;
const BAR = 0xc000_0000;

function setUp(options: MachineOptions = {}): { machine: Machine; kind: ScratchKind; model: ScratchKind['made'][number] } {
  const kind = scratch({ interruptPin: 'A' });
  const machine = new Machine({ clock: 'manual', devices: [{ at: '00:04.0', model: kind }], ...options });
  assign(machine, 0, 0x20, BAR);
  return { machine, kind, model: kind.made[0]! };
}

describe('topology', () => {
  const at = (place: string): PciSpec => ({ at: place, model: scratch() });
  test.each<[MachineOptions, string]>([
    [{ devices: [at('00:04')] }, 'EINVAL: 00:04: not a PCI address'],
    [{ devices: [at('01:04.0')] }, 'EINVAL: 01:04.0: not on a root bus (0000:00): devices below a bridge are its children'],
    [{ devices: [at('00:04.0'), at('0000:00:04.0')] }, 'EBUSY: 0000:00:04.0: a function is there already'],
    [{ devices: [at('00:04.1')] }, 'EINVAL: 0000:00:04.1: function 0 of this device is missing'],
    [
      { devices: [{ at: '00:1c.0', bridge: {}, children: [at('01.0')] }] },
      'EINVAL: 0000:00:1c.0/01.0: a link of 0000:00:1c.0 has device 00 alone',
    ],
    [
      { devices: [{ at: '00:1c.0', bridge: {}, children: [at('00:00.0')] }] },
      'EINVAL: 0000:00:1c.0: child 00:00.0: 00:00.0 is not a device',
    ],
    [{ devices: [{ at: '00:04.0', model: scratch({}, { sizeBytes: 3 }) }] }, 'EINVAL: 0000:00:04.0: 1af4:10f0: BAR 0: 3 bytes'],
    [{ devices: [{ at: 0x1000, model: platformScratch() }] }, 'EBUSY: 0x1000: scratch: 4096 bytes lie in memory'],
    [{ cpus: 0 }, 'ERANGE: sim: cpus is 0'],
  ])('%# throws an error that names the slot', (options, message) => {
    expect(() => new Machine(options)).toThrow(message);
  });

  test('a machine is a host of virtual time with hot plug', () => {
    const machine: Host = new Machine();
    expect([machine.name, machine.capabilities]).toEqual(['sim', { time: 'virtual', hotplug: true }]);
  });
});

describe('errors of models', () => {
  test('what a model throws is recorded, reads give all ones, and the machine goes on', () => {
    const { machine, model } = setUp();
    const boom = new Error('boom');
    const fail = (): never => {
      throw boom;
    };
    Object.assign(model, { read8: fail, read16: fail, read32: fail, read64: fail, write32: fail, reset: fail });
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    const pair = new Uint32Array(2);
    window.read64(0, pair);
    expect([window.read8(0), window.read16(0), window.read32(0), ...pair]).toEqual([0xff, 0xffff, ONES, ONES, ONES]);
    window.write32(0, 1);
    model.context.clock.after(5, fail);
    model.context.clock.timer(fail).start(5);
    machine.elapse(5);
    expect(machine.modelErrors).toEqual([0, 0, 0, 0, 0, 5, 5].map((timeUs) => ({ timeUs, who: '0000:00:04.0', error: boom })));
  });

  test('they are in the log that the host was started with', () => {
    const { machine, model } = setUp();
    const log = new Log();
    machine.start(log);
    model.context.log.guestError('count is 5000');
    model.context.log.info('link up');
    expect(log.records().map(({ level, who, text }) => [level, who, text])).toEqual([
      ['warn', '0000:00:04.0', 'count is 5000'],
      ['info', '0000:00:04.0', 'link up'],
    ]);
    expect(machine.guestErrors).toEqual([{ timeUs: 0, who: '0000:00:04.0', text: 'count is 5000' }]);
  });
});

describe('DMA of devices', () => {
  test('it reads and writes memory', () => {
    const { machine, model } = setUp();
    const { dma } = model.context;
    const address = machine.dma.alloc(64, { mask: ONES });
    expect(dma.write(address, Uint8Array.of(0, 1, 2, 3, 4), 1, 4)).toBe(true);
    expect(dma.copy(address, address + 4, 4)).toBe(true);
    expect(dma.write32(address + 8, 0xfefe_fefe)).toBe(true);
    const back = new Uint8Array(12);
    expect(dma.read(address, back, 0, 12)).toBe(true);
    expect([...back]).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 0xfe, 0xfe, 0xfe, 0xfe]);
    expect(machine.dmaFaults).toEqual([]);
  });

  test('without bus master a read gives all ones, a write nothing, and both are recorded', () => {
    const { machine, model } = setUp();
    const address = machine.dma.alloc(64, { mask: ONES });
    machine.pci[0]!.config(0, 0x20).write16(0x04, 0x2);
    const buffer = new Uint8Array(4);
    expect([model.context.dma.read(address, buffer, 1, 2), [...buffer]]).toEqual([false, [0, 0xff, 0xff, 0]]);
    expect([model.context.dma.write32(address, 1), model.context.dma.read32(address)]).toEqual([false, ONES]);
    expect(machine.dma.read32(address)).toBe(0);
    expect(machine.dmaFaults.map(({ kind, reason }) => [kind, reason])).toEqual([
      ['read', 'bus master'],
      ['write', 'bus master'],
      ['read', 'bus master'],
    ]);
  });

  test('a bridge must be a bus master, too', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: {}, children: [{ at: '00.0', model: kind }] }] });
    const address = machine.dma.alloc(64, { mask: ONES });
    openBridge(machine, 0xe0, 1, BAR, BAR);
    assign(machine, 1, 0, BAR);
    expect(kind.made[0]!.context.dma.write32(address, 1)).toBe(true);
    machine.pci[0]!.config(0, 0xe0).write16(0x04, 0x2);
    expect(kind.made[0]!.context.dma.write32(address, 2)).toBe(false);
    expect(machine.dmaFaults).toMatchObject([{ who: '0000:00:1c.0/00.0', reason: 'bus master' }]);
  });

  test('what is no memory faults; memory that nobody allocated is reached, and recorded', () => {
    const { machine, model } = setUp();
    const { dma } = model.context;
    expect([dma.write32(0xd000_0000, 1), dma.write32(2 ** 53, 1), dma.write32(-8, 1), dma.write32(0x10_0000, 7)]).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(machine.dma.read32(0x10_0000)).toBe(7);
    expect(machine.dmaFaults.map((fault) => fault.reason)).toEqual(['unmapped', 'address', 'address', 'unallocated']);
  });

  test('an address with bits 63:53 set faults before it is converted', () => {
    const { machine, model } = setUp();
    const { dma } = model.context;
    expect(dma.address(0x1000, 0x1f_ffff)).toBe(0x1f_ffff * 2 ** 32 + 0x1000);
    expect(machine.dmaFaults).toEqual([]);
    const wrong = dma.address(0x1000, 0x20_0000);
    expect([dma.read(wrong, new Uint8Array(4), 0, 4), dma.read32(wrong), dma.write32(wrong, 1)]).toEqual([false, ONES, false]);
    expect(machine.dmaFaults).toMatchObject([{ reason: 'address', address: 2 ** 53 + 0x1000 }]);
  });

  test('a buffer that is too short is an error of the model', () => {
    const { machine, model } = setUp();
    const address = machine.dma.alloc(64, { mask: ONES });
    model.read32 = () => (model.context.dma.read(address, new Uint8Array(2), 0, 4) ? 0 : 1);
    expect(machine.pci[0]!.map('mem', BAR, 4).read32(0)).toBe(ONES);
    expect(String(machine.modelErrors[0]!.error)).toContain('ERANGE');
  });
});

describe('interrupts of devices', () => {
  test('a message to interrupt addresses is heard, any other is a memory write', () => {
    const { machine, model } = setUp();
    const address = machine.dma.alloc(64, { mask: ONES });
    const heard: unknown[] = [];
    machine.onMessage((...message) => heard.push(message));
    expect([model.context.irq.post(0xfee0_0000, 0, 0x31), model.context.irq.post(address, 0, 0x32)]).toEqual([true, true]);
    expect([heard, machine.dma.read32(address)]).toEqual([[['0000:00:04.0', 0xfee0_0000, 0x31]], 0x32]);
  });

  test('the core is told of a message with the requester id, as long as it listens', () => {
    const { machine, model } = setUp();
    const heard: unknown[] = [];
    const listening = machine.interrupts.onMessage((...message) => heard.push(message));
    model.context.irq.post(0xfee0_0000, 0, 0x31);
    listening.dispose();
    model.context.irq.post(0xfee0_0000, 0, 0x32);
    expect(heard).toEqual([[0x20, 0xfee0_0000, 0x31]]);
  });

  test('a message needs bus master', () => {
    const { machine, model } = setUp();
    machine.pci[0]!.config(0, 0x20).write16(0x04, 0x2);
    expect(model.context.irq.post(0xfee0_0000, 0, 0x31)).toBe(false);
    expect(machine.dmaFaults).toMatchObject([{ kind: 'message', reason: 'bus master' }]);
  });
});

describe('platform devices', () => {
  test('a model at a fixed address is reached through the host', () => {
    const model = platformScratch();
    const machine = new Machine({ devices: [{ at: 0xfed0_0000, model }] });
    const window = machine.map('mem', 0xfed0_0000, SCRATCH_BYTES);
    window.write32(4, 0x42);
    expect(model.made[0]!.events).toEqual([]);
    expect([window.read32(4), machine.map('mem', 0xfed0_1000, 4).read32(0), machine.map('io', 0xfed0_0000, 4).read32(0)]).toEqual(
      [0x42, ONES, ONES],
    );
  });

  test('it may use memory, time and its line without a command register', () => {
    const model = platformScratch();
    const machine = new Machine({ clock: 'manual', devices: [{ at: 0xfed0_0000, model }] });
    const address = machine.dma.alloc(64, { mask: ONES });
    const lines: unknown[] = [];
    machine.onLine((...line) => lines.push(line));
    const { clock, dma, irq } = model.made[0]!.context;
    clock.after(3, () => {
      dma.write32(address, 5);
      irq.intx(true);
      irq.intx(true);
    });
    machine.elapse(3);
    expect([machine.dma.read32(address), lines]).toEqual([5, [['0xfed00000', true]]]);
  });

  test('two at one address throw EBUSY', () => {
    const devices = [
      { at: 0xfed0_0000, model: platformScratch() },
      { at: 0xfed0_0ffc, model: platformScratch() },
    ];
    expect(() => new Machine({ devices })).toThrow('EBUSY: 0xfed00ffc: scratch: 4096 bytes reach into the device at 0xfed00000');
  });
});

describe('determinism', () => {
  test('a device has its own random sequence, from seed and place', () => {
    const draw = (options: MachineOptions): number => setUp(options).model.context.random.next32();
    expect(draw({})).toBe(draw({ seed: 1 }));
    expect(draw({})).not.toBe(draw({ seed: 2 }));
    const kind = scratch();
    const devices = [
      { at: '00:03.0', model: scratch() },
      { at: '00:04.0', model: kind },
    ];
    expect(new Machine({ devices }).modelErrors).toEqual([]);
    expect(kind.made[0]!.context.random.next32()).toBe(draw({}));
  });

  test('settle lets promises run between events', async () => {
    const { machine, model } = setUp();
    const order: string[] = [];
    model.context.clock.after(1, () => void Promise.resolve().then(() => order.push('promise')));
    model.context.clock.after(2, () => order.push('second'));
    await machine.settle(2);
    expect(order).toEqual(['promise', 'second']);
  });
});
