import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Machine, type PciModel } from '../../../hw/sim/index.js';
import { SCRATCH_BYTES, assign, openBridge, scratch } from './fixture.js';

const ONES = 0xffff_ffff;
const BAR = 0xc000_0000;

function listen(machine: Machine): string[] {
  const events: string[] = [];
  machine.pci[0]!.onHotplug(({ action, bus, devfn }) => events.push(`${action} ${bus} ${devfn}`));
  return events;
}

describe('yank', () => {
  test('configuration and memory read all ones, and the operating system is told', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    const events = listen(machine);
    assign(machine, 0, 0x20, BAR);
    const config = machine.pci[0]!.config(0, 0x20);
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    expect(window.read32(0)).toBe(0);
    expect(machine.yank('00:04.0').functions).toEqual(['0000:00:04.0']);
    expect([window.read32(0), config.read32(0), config.read16(0x04)]).toEqual([ONES, ONES, 0xffff]);
    expect(events).toEqual(['removed 0 32']);
  });

  test('a silent removal is told when the test says so, once', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    const events = listen(machine);
    const removal = machine.yank('00:04.0', { silent: true });
    expect(machine.pci[0]!.config(0, 0x20).read32(0)).toBe(ONES);
    expect(events).toEqual([]);
    removal.report();
    removal.report();
    expect(events).toEqual(['removed 0 32']);
  });

  test('a device goes with all its functions', () => {
    const devices = ['00:04.0', '00:04.1', '00:05.0'].map((at) => ({ at, model: scratch() }));
    const machine = new Machine({ devices });
    const events = listen(machine);
    machine.yank('00:04.1');
    expect(events).toEqual(['removed 0 32', 'removed 0 33']);
    expect([0x20, 0x28].map((devfn) => machine.pci[0]!.config(0, devfn).read16(0))).toEqual([0xffff, 0x1af4]);
  });

  test('a bridge takes what is below it along', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: {}, children: [{ at: '00.0', model: kind }] }] });
    openBridge(machine, 0xe0, 1, BAR, BAR);
    assign(machine, 1, 0, BAR);
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    expect(window.read32(0)).toBe(0);
    machine.yank('00:1c.0');
    expect([window.read32(0), machine.pci[0]!.config(1, 0).read32(0)]).toEqual([ONES, ONES]);
    expect(kind.made[0]!.context.dma.read32(0x10_0000)).toBe(ONES);
    expect(machine.dmaFaults).toMatchObject([{ who: '0000:00:1c.0/00.0', reason: 'gone' }]);
  });

  test('the device can be named by place or by the bus number it was given', () => {
    for (const at of ['00:1c.0/00.0', '07:00.0']) {
      const machine = new Machine({
        devices: [{ at: '00:1c.0', bridge: { hotplug: true }, children: [{ at: '00.0', model: scratch() }] }],
      });
      const events = listen(machine);
      openBridge(machine, 0xe0, 7, BAR, BAR);
      machine.yank(at);
      expect(events).toEqual(['removed 7 0']);
    }
  });

  test('a gone device has no interrupts, no memory and no events', () => {
    const kind = scratch({ interruptPin: 'A' });
    const machine = new Machine({ clock: 'manual', devices: [{ at: '00:04.0', model: kind }] });
    assign(machine, 0, 0x20, BAR);
    const address = machine.dma.alloc(64, { mask: ONES });
    const heard: unknown[] = [];
    machine.onLine((_who, asserted) => heard.push(asserted));
    machine.onMessage((...message) => heard.push(message));
    const { clock, dma, irq } = kind.made[0]!.context;
    irq.intx(true);
    clock.after(5, () => heard.push('event'));
    clock.timer(() => heard.push('timer')).start(5);
    machine.yank('00:04.0');
    machine.elapse(10);
    irq.intx(true);
    expect([dma.write32(address, 1), irq.post(0xfee0_0000, 0, 1)]).toEqual([false, false]);
    expect([heard, machine.dma.read32(address)]).toEqual([[true, false], 0]);
  });

  test('a model is told once that it is gone, when it reaches nothing any more; what it throws is recorded', () => {
    const told: unknown[] = [];
    const kind: PciModel = {
      name: 'gone',
      config: { vendor: 0x1af4, device: 0x10f0, classCode: 0xff_0000 },
      create: ({ dma, name }) => ({
        regions: {},
        reset: () => {},
        removed: () => {
          told.push([name, dma.write32(0, 1)]);
          throw new Error('boom');
        },
      }),
    };
    const machine = new Machine({ devices: [{ at: '00:04.0', model: kind }] });
    machine.yank('00:04.0').report();
    expect(told).toEqual([['0000:00:04.0', false]]);
    expect(machine.modelErrors).toMatchObject([{ who: '0000:00:04.0', error: new Error('boom') }]);
  });

  test('a place where nothing is throws ENODEV', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    machine.yank('00:04.0');
    for (const at of ['00:04.0', '00:1c.0/00.0', '01:00.0', '0001:00:00.0']) {
      expect(() => machine.yank(at)).toThrow(`ENODEV: ${at}: no such function`);
    }
  });
});

describe('plug', () => {
  test('a new device answers in its reset state, and the operating system is told', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:04.0', model: kind }] });
    const events = listen(machine);
    assign(machine, 0, 0x20, BAR);
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    machine.yank('00:04.0');
    machine.plug({ at: '00:04.0', model: kind });
    expect([window.read32(0), machine.pci[0]!.config(0, 0x20).read32(0)]).toEqual([ONES, 0x10f0_1af4]);
    assign(machine, 0, 0x20, BAR);
    expect(window.read32(0)).toBe(0);
    expect(kind.made).toHaveLength(2);
    expect(events).toEqual(['removed 0 32', 'added 0 32']);
  });

  test('it works below a port with a hot-plug slot, whose registers show it', () => {
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: { hotplug: true } }] });
    const events = listen(machine);
    openBridge(machine, 0xe0, 1, BAR, BAR);
    const port = machine.pci[0]!.config(0, 0xe0);
    const slotStatus = 0x48 + 0x1a;
    expect(port.read16(slotStatus) & 0x40).toBe(0);
    machine.plug({ at: '00:1c.0/00.0', model: scratch() });
    expect(machine.pci[0]!.config(1, 0).read32(0)).toBe(0x10f0_1af4);
    expect(port.read16(slotStatus) & 0x40).toBe(0x40);
    machine.yank('01:00.0');
    expect(port.read16(slotStatus) & 0x40).toBe(0);
    expect(events).toEqual(['added 1 0', 'removed 1 0']);
  });

  test('before software has given bus numbers nobody is told', () => {
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: { hotplug: true } }] });
    const events = listen(machine);
    machine.plug({ at: '00:1c.0/00.0', model: scratch() });
    expect(events).toEqual([]);
  });

  test('a place that cannot be throws', () => {
    const machine = new Machine({
      devices: [
        { at: '00:1c.0', bridge: {} },
        { at: '00:04.0', model: scratch() },
      ],
    });
    const plug = (at: string) => () => machine.plug({ at, model: scratch() });
    expect(plug('00:04.0')).toThrow('EBUSY: 0000:00:04.0: a function is there already');
    expect(plug('00:1c.0/00.0')).toThrow('EOPNOTSUPP: 00:1c.0/00.0: 0000:00:1c.0 has no hot-plug slot: declare it with hotplug');
    expect(plug('00:04.0/00.0')).toThrow('ENODEV: 00:04.0/00.0: no bridge at 04.0');
  });

  test('whatever comes and goes, the bus shows exactly what is there', () => {
    const slot = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(slot, fc.boolean())), (steps) => {
        const machine = new Machine();
        const present = new Set<number>();
        const events = listen(machine);
        let expected = 0;
        for (const [device, isPlug] of steps) {
          if (isPlug === present.has(device)) continue;
          expected++;
          if (isPlug) machine.plug({ at: `00:0${device}.0`, model: scratch() });
          else machine.yank(`00:0${device}.0`);
          if (isPlug) present.add(device);
          else present.delete(device);
          for (let d = 0; d < 4; d++) {
            expect(machine.pci[0]!.config(0, d << 3).read16(0)).toBe(present.has(d) ? 0x1af4 : 0xffff);
          }
        }
        expect(events).toHaveLength(expected);
      }),
      { seed: 1 },
    );
  });
});
