import { describe, expect, test } from 'vitest';
import {
  AuxName,
  Bus,
  Class,
  type Driver,
  Mmio,
  Plugin,
  type PciDriver,
  PciDriver as PciDriverToken,
  System,
  field,
  reg32,
  reg64,
  regAt,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { Machine, RegisterFile, VirtualClock } from 'backplane/sim';
import { FakeHost, FakePciFunction } from 'backplane/testing';
import { driverOf, machineWith, modelOf, plain, pluginOf } from './fixture.js';

/** A value of a type that the compiler would refuse. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the cast is what it is for
const wrong = <T>(value: unknown): T => value as T;

describe('VirtualClock', () => {
  test('refuses what is no function, which would keep elapse from ending', () => {
    const clock = new VirtualClock();
    expect(() => clock.after(1, wrong(undefined))).toThrow('EINVAL: clock: undefined is not a function');
    expect(() => clock.timer(wrong(undefined))).toThrow('EINVAL: clock: undefined is not a function');
    expect([clock.pending, clock.elapse(2)]).toEqual([0, 0]);
  });

  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('a sleep of %s us leaves nobody asleep', async (us) => {
    const clock = new VirtualClock();
    await expect(clock.sleep(us)).rejects.toThrow('EINVAL: clock');
    expect(() => clock.deadline(us, () => {})).toThrow('EINVAL: clock');
    let ran = false;
    clock.after(5, () => (ran = true));
    await new Promise<void>((resolve) => setImmediate(resolve));
    expect([ran, clock.now()]).toEqual([false, 0]);
  });
});

describe('a register declaration', () => {
  test('refuses a reset value that does not fit, a mode that is none, and a place that is none', () => {
    expect(() => reg32('R', 0, { f: field(1, 0, 'rw', 4) })).toThrow('ERANGE: R.f: its reset value 4 does not fit 2 bits');
    expect(() => reg32('R', 0, {}, { reset: 2 ** 32 })).toThrow('ERANGE: R: its reset value');
    expect(() => reg32('R', 0, {}, { mode: wrong('w0c') })).toThrow('EINVAL: R: mode w0c');
    expect(() => regAt(reg32('R', 0), Number.NaN, 4)).toThrow('ERANGE: R[NaN]');
    expect(() => regAt(reg32('R', 8), -1, 4)).toThrow('ERANGE: R[-1]');
  });
});

describe('Mmio', () => {
  const R64 = reg64('R64', 0, { high: field(63, 40), across: field(39, 20), low: field(19, 0) });

  test('writes and modifies by field all 64 bits of a register', () => {
    const file = new RegisterFile([R64], 8);
    const regs = new Mmio(file, 'd1: BAR 0');
    const fields = (): number[] => Object.values(R64.fields).map((f) => regs.readField(R64, f));
    regs.write(R64, { high: 0xff_ffff, across: 0xf_fff1, low: 3 });
    expect(fields()).toEqual([0xff_ffff, 0xf_fff1, 3]);
    regs.modify(R64, { across: 0x1_2345 });
    expect(fields()).toEqual([0xff_ffff, 0x1_2345, 3]);
    expect(() => regs.modify(R64, { across: 2 ** 20 })).toThrow('ERANGE: across: 1048576 does not fit bits 39:20');
  });

  test('names a field that the register does not have', () => {
    const regs = new Mmio(new RegisterFile([R64], 8), 'd1: BAR 0');
    expect(() => regs.write(R64, wrong({ hihg: 1 }))).toThrow('EINVAL: R64: has no field hihg, has high, across, low');
  });
});

describe('names', () => {
  test.each(['', 'a/b', 'two words', 'x\ny', undefined, 7])('a bus, class or driver is not called %j', async (name) => {
    await using system = await System.start(machineWith().plugin);
    const { core, kernel } = system;
    expect(() => core.registerBus(new Bus(wrong(name)))).toThrow('EINVAL: bus: its name is');
    expect(() => core.registerClass(new Class(wrong(name)))).toThrow('EINVAL: class: its name is');
    const driver = { ...driverOf(), name: wrong<string>(name) };
    expect(() => kernel.pci.register(driver)).toThrow('EINVAL: driver of bus pci: its name is');
  });
});

describe('plugins', () => {
  // oxlint-disable-next-line unicorn/no-null -- what JavaScript may hand over
  test.each([undefined, null, {}, 'edu', 3])('%j is no plugin to start with, to load or to require', async (value) => {
    await expect(System.start(wrong(value))).rejects.toThrow('which is no plugin');
    await using system = await System.start(machineWith().plugin);
    await expect(system.load(wrong(value))).rejects.toThrow('which is no plugin');
    if (typeof value !== 'string') {
      expect(() => new Plugin('a', () => {}, { requires: [wrong(value)] })).toThrow('EINVAL: plugin a: requires');
    }
  });

  test('a class that is undefined is named as what it is: an import cycle', async () => {
    await using system = await System.start(machineWith().plugin);
    const cyclic = new Plugin('cyclic', ({ bind }) => bind(PciDriverToken).to(wrong(undefined)));
    await expect(system.load(cyclic)).rejects.toThrow('binds PciDriver to undefined, which is no class: is it an import cycle?');
  });

  test('a PCI driver without ids is refused when it is registered', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    const driver = { name: 'blank', probe: () => {} };
    await expect(system.load(pluginOf(wrong<PciDriver>(driver)))).rejects.toThrow(
      'EINVAL: plugin plain: blank: a PCI driver has',
    );
  });

  test('a part whose name is undefined does not rename its parent', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    const dev = system.device('0000:00:01.0');
    const { auxiliary } = system.kernel;
    expect(() => auxiliary.add(dev, wrong<AuxName>(undefined), {})).toThrow('EINVAL: 0000:00:01.0: a part of it without name');
    expect(dev.name).toBe('0000:00:01.0');
  });
});

describe('machines', () => {
  test.each([-1, 1.5, Number.NaN, 2 ** 60])('%s devices are refused', (edu) => {
    expect(() => hostSim({ edu })).toThrow('ERANGE: host-sim');
  });

  test.each([0, 0xffff, Number.NaN, 0x1_0000])('a model of vendor %s, which nobody would find, is refused', (vendor) => {
    expect(() => new Machine({ devices: [{ at: '00:01.0', model: modelOf({ vendor }) }] })).toThrow('ERANGE');
    expect(() => new FakePciFunction({ vendor, device: 1 })).toThrow('ERANGE: fake function: vendor');
  });

  test('fakes refuse more registers and functions than there are places', () => {
    const bars = (count: number) => Array.from({ length: count }, () => ({ sizeBytes: 16 }));
    const fake = (count: number) => new FakePciFunction({ vendor: 1, device: 1, bars: bars(count) });
    expect(() => fake(7)).toThrow('ENOSPC: fake BAR 6');
    expect(() => new FakeHost({ pci: Array.from({ length: 32 }, () => fake(1)) })).toThrow('ENOSPC: fake: 32 functions');
  });
});

test('a driver that is not one of the bus is named, and the bus stays as it was', async () => {
  await using system = await System.start(machineWith(plain).plugin);
  const dev = system.device('0000:00:01.0');
  expect(() => system.core.bind(dev, { name: 'nobody' } satisfies Driver)).toThrow('ENODEV: 0000:00:01.0: driver nobody');
});
