import { describe, expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { type Device, type Kernel, System } from '../../../core/index.js';
import { DriverHarness, explore, failEach, removeAnywhere } from '../../../core/testing/index.js';
import type { Idxd } from '../../../drivers/idxd/idxd.js';
import { dsa } from '../../../hw/models/dsa/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import idxdPlugin, { idxd } from '../../../plugins/idxd.js';
import { ADDRESS, Bench, stub } from './fixture.js';
import { SMALL, bind, configure, functionHarness } from './harness.js';

/** What every probe of a device that can be configured does to its registers. */
const PROBE = [
  'r32 VERSION',
  'r32 GENSTATUS',
  'w32 CMD 0x500000',
  'r32 CMDSTATUS',
  'r64 GENCAP',
  'r64 GRPCAP',
  'r64 ENGCAP',
  'r64 WQCAP',
  'r64 OPCAP',
  'r64 0x48',
  'r64 0x50',
  'r64 0x58',
  'r64 TABLE_OFFSETS',
  'r32 GENCTRL',
  'w32 GENCTRL 0x3',
];

/** What probe takes. */
const ACQUISITIONS = [
  'bar 0',
  'bar 2',
  'dma mask 0x1fffffffffffff',
  'bus master',
  'commands',
  'msix vectors',
  'msi domain',
  'irq 24',
  'interrupt causes',
  'scheduled work',
  'ims domain',
  'child dsa0',
  'child wq0.0',
  'child engine0.0',
  'child group0.0',
];

const partsOf = (system: System): string[] => system.core.buses.get('dsa')!.devices.map(({ name }) => name);

describe('IdxdDriver', () => {
  test('D1 a device that has halted is not probed: nothing is mapped, mastered or registered; after a reset it is', async () => {
    await using bench = await Bench.start({ prepare: (silicon) => silicon.halt('flr') });
    const dev = bench.system.kernel.pci.find(ADDRESS)!;
    expect(String(bench.system.explain(ADDRESS))).toContain('ENXIO: 0000:00:05.0: has halted: reset it');
    expect([dev.bound, dev.devres.size, dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.master)]).toEqual([false, 0, 0]);
    expect([partsOf(bench.system), bench.takeWire()]).toEqual([[], ['r32 VERSION', 'r32 GENSTATUS']]);
    await dev.reset();
    await bench.system.core.attach(dev);
    expect(bench.takeWire()).toEqual(PROBE);
  });

  test('D2 probe resets by polling, reads each capability once, and then lets errors interrupt', async () => {
    await using bench = await Bench.start();
    expect(bench.takeWire()).toEqual(PROBE);
    expect(bench.system.device(ADDRESS).bound).toBe(true);
  });

  test('D2 the commands that a device tells are asked for right after it says that it does', async () => {
    await using bench = await Bench.start({ profile: { commandCap: 0x7ffe } });
    const wire = bench.takeWire();
    expect(wire.slice(4, 7)).toEqual(['r64 GENCAP', 'r32 CMDCAP', 'r64 GRPCAP']);
    expect(bench.idxd.caps.commands).toBe(0x7ffe);
  });

  test('D2 a version that nobody knows is ENODEV, before anything is written', async () => {
    await using bench = await Bench.start({ prepare: (silicon) => (silicon.profile.fixed[0] = 0x300) });
    expect(String(bench.system.explain(ADDRESS))).toContain('ENODEV: 0000:00:05.0: is of version 0x300, not 1 or 2');
    expect(bench.takeWire()).toEqual(['r32 VERSION']);
  });

  test.each([
    [5, 5],
    [9, 9],
    [16, 9],
  ])('D3 of %d messages it takes %d: its own, and one for each queue as far as they go', async (msixVectors, count) => {
    await using bench = await Bench.start({ profile: { msixVectors } });
    const { vectors, wqs, ims } = bench.idxd;
    expect([vectors.count, wqs.length, ims?.size]).toEqual([count, 8, 256]);
    expect(() => vectors.virq(count)).toThrow('EINVAL');
  });

  test('D3 a queue without a message of its own gets a slot of the store, or ENOSPC when messages are asked for', async () => {
    const profile = { msixVectors: 2 };
    await using bench = await Bench.start({ profile });
    await bench.configure(1, { driver_name: 'dmaengine' });
    await bench.bind('dsa0');
    await bench.bind('wq0.1', 'dmaengine');
    expect(
      bench
        .part('wq0.1')
        .devres.entries()
        .map(({ label }) => label),
    ).toContain('ims slot');
    await using other = await Bench.start({ profile, plugin: idxd({ interrupts: 'msix' }) });
    await other.configure(1, { driver_name: 'dmaengine' });
    await other.bind('dsa0');
    await expect(other.bind('wq0.1', 'dmaengine')).rejects.toThrow(
      'ENXIO: wq0.1: needs MSI-X message 2, there are 2: let it use IMS',
    );
    expect(other.read('dsa0', 'cmd_status')).toBe('0x80100000');
  });

  test('puts the device as a whole, its queues, engines and groups on the bus, numbered from the first free one on', async () => {
    const sim = hostSim({ dsa: [{ workQueues: 2, engines: 1, groups: 1 }, SMALL] });
    await using system = await System.start(sim.plugin, idxdPlugin);
    const first = ['dsa0', 'wq0.0', 'wq0.1', 'engine0.0', 'group0.0'];
    const second = ['dsa1', 'wq1.0', 'engine1.0', 'group1.0'];
    expect(partsOf(system)).toEqual([...first, ...second]);
    const [pci] = system.core.buses.get('pci')!.devicesOf(system.device('dsa0').parent!.driver!);
    await system.core.unbind(pci!);
    expect(partsOf(system)).toEqual(second);
    await system.core.attach(pci!);
    expect(partsOf(system)).toEqual([...second, ...first]);
  });

  test('remove masks the causes, and leaves the device without messages and off the bus', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    const dev = bench.system.kernel.pci.find(ADDRESS)!;
    bench.takeWire();
    await bench.system.core.unbind(dev);
    expect(bench.takeWire()).toEqual(['r32 GENCTRL', 'w32 GENCTRL 0x0']);
    expect([dev.devres.size, bench.system.kernel.irqs.list(), partsOf(bench.system)]).toEqual([0, [], []]);
    expect(dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.master)).toBe(0);
  });

  test('remove of an enabled device takes its queue away first, then disables and resets it, then masks the causes', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await bench.configure();
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'stub');
    bench.takeWire();
    await bench.system.core.unbind(bench.system.device(ADDRESS));
    const written = bench.takeWire().filter((what) => /^w32 (CMD|GENCTRL)/.test(what));
    expect(written).toEqual([
      'w32 CMD 0x80a00001',
      'w32 CMD 0x80200000',
      'w32 CMD 0x80500000',
      'w32 GENCTRL 0x3',
      'w32 GENCTRL 0x3',
      'w32 GENCTRL 0x0',
    ]);
  });

  test('what was kept past remove is refused, and says why', async () => {
    await using harness = new DriverHarness(functionHarness(SMALL));
    const kept = await harness.bind<Idxd>();
    const [queue] = kept.wqs;
    await harness.unbind();
    await harness.expectViolation('use-after-unbind', () =>
      expect(kept.commands.run('drainAll')).rejects.toThrow('ENODEV: 0000:00:05.0: BAR 0 used after unbind'),
    );
    await harness.expectViolation('use-after-unbind', () =>
      expect(() => kept.commands.runPolled('drainAll')).toThrow('ENODEV: 0000:00:05.0: BAR 0 used after unbind'),
    );
    expect(() => kept.ims!.alloc()).toThrow('ENODEV');
    await expect(async () => queue!.attributes.write('size', '4\n')).rejects.toThrow('ENOENT: wq0.0: no attribute size');
    expect(await harness.core.attach(kept.conf)).toBe(false);
  });

  test('is loaded, unloaded and loaded again, and works', async () => {
    await using bench = await Bench.start();
    for (let round = 0; round < 3; round++) {
      await bench.configure();
      await bench.bind('dsa0');
      expect(bench.read('dsa0', 'state')).toBe('enabled');
      await bench.system.unload('idxd');
      expect([bench.system.core.buses.has('dsa'), bench.system.kernel.irqs.list()]).toEqual([false, []]);
      await bench.system.load(idxdPlugin);
    }
  });

  test('a device that is pulled out while it works is gone with its parts, and the next one is dsa0 again', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await bench.configure();
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'stub');
    bench.sim.yank('00:05.0');
    await bench.system.core.settle();
    expect([partsOf(bench.system), bench.system.kernel.irqs.list()]).toEqual([[], []]);
    bench.sim.plug({ at: '00:06.0', model: dsa(SMALL) });
    await bench.system.core.settle();
    expect(partsOf(bench.system)).toEqual(['dsa0', 'wq0.0', 'engine0.0', 'group0.0']);
  });
});

type Where = { readonly kernel: Kernel; readonly device: Device };

/** From whatever state it is in. */
async function enable({ kernel, device }: Where): Promise<void> {
  if (!device.bound) await kernel.core.attach(device);
  await configure(kernel);
  await bind(kernel, 'dsa0', 'idxd');
  await bind(kernel, 'wq0.0', 'stub');
}

/** Some commands at a time, and one that does not wait for the others. */
function command({ device }: Where): Promise<unknown> | undefined {
  if (!device.bound) return undefined;
  const { commands } = device.state as Idxd;
  const all = Promise.all([commands.run('drainAll'), commands.run('abortAll')]);
  all.catch(() => {});
  commands.runPolled('drainPasid', 1);
  return all;
}

describe('IdxdDriver at every step', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    expect(await failEach(functionHarness(SMALL))).toEqual(ACQUISITIONS);
  });

  test('so it does with an address space for the kernel', async () => {
    const acquisitions = await failEach(functionHarness({ ...SMALL, pasid: true }, { iommu: true }));
    expect(acquisitions.filter((label) => !ACQUISITIONS.includes(label))).toEqual(['pasid 1', 'domain at pasid 1']);
  });

  test('so it does when probe enables the device, whose configuration is read-only', async () => {
    const acquisitions = await failEach(functionHarness({ ...SMALL, readOnlyConfig: true }));
    expect(acquisitions.filter((label) => !ACQUISITIONS.includes(label))).toEqual(['event log', 'dma 4096 bytes']);
  });

  test.each([
    ['software', 'disabled'],
    ['flr', 'enabled'],
    ['cold', 'halted'],
  ] as const)(
    'D25 the device may vanish anywhere, also after a halt that needs a %s reset, and is %s else',
    async (needed, state) => {
      const harness = functionHarness(SMALL);
      const states: string[] = [];
      const points = await removeAnywhere(harness, {
        use: async (where) => {
          const idxd = where.device.state as Idxd;
          await enable(where);
          harness.silicon().halt(needed);
          await where.kernel.clock.sleep(200_000);
          states.push(idxd.state);
        },
      });
      expect(points).toContain('interrupt 32');
      expect(states.at(-1)).toBe(state);
    },
    60_000,
  );

  test('the device may vanish anywhere while commands are under way', async () => {
    const points = await removeAnywhere(functionHarness(SMALL), {
      use: async (where) => {
        await enable(where);
        await command(where);
      },
    });
    expect(points.filter((point) => point.endsWith('+0xa8')).length).toBeGreaterThan(3);
  }, 60_000);

  test('holds in every interleaving of binds, removals, interrupts, commands and halts', async () => {
    const harness = functionHarness(SMALL);
    const halts = { disabled: 0, enabled: 0, halted: 0 };
    const halt = (device: Device, needed: 'software' | 'flr'): void => {
      if (device.bound) halts[(device.state as Idxd).state]++;
      harness.silicon().halt(needed);
    };
    const result = await explore(harness, {
      runs: 200,
      operations: {
        enable,
        command,
        disable: ({ kernel: { core } }) => {
          const whole = core.buses.get('dsa')!.find('dsa0');
          return whole && core.unbind(whole);
        },
        halt: ({ device }) => halt(device, 'software'),
        crash: async (where) => {
          await enable(where);
          halt(where.device, 'flr');
        },
        sleep: ({ kernel }) => kernel.clock.sleep(50_000),
      },
    });
    expect(result.steps['interrupt']).toBeGreaterThan(0);
    expect(halts.enabled).toBeGreaterThan(10);
  }, 60_000);

  test('its ledger reads the same backwards', async () => {
    await using harness = new DriverHarness(functionHarness(SMALL));
    await harness.bind();
    await harness.unbind();
    const ledger = harness.trace.isPalindrome(ADDRESS);
    expect(ledger).toBe(true);
  });
});
