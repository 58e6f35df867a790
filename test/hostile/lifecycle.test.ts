import { describe, expect, test } from 'vitest';
import { AuxName, type AuxiliaryDevice, Kernel, type PciDevice, System } from 'backplane';
import { pcie, powerManagement } from 'backplane/sim';
import { FakeHost } from 'backplane/testing';
import { driverOf, machineWith, modelOf, plain, pluginOf } from './fixture.js';

const SLOT = '0000:00:01.0';

/** A promise that somebody else fulfils. */
function gate(): { readonly done: Promise<void>; open(): void } {
  let open = (): void => {};
  const done = new Promise<void>((resolve) => (open = resolve));
  return { done, open: () => open() };
}

describe('the end of a system', () => {
  test.each(['system', 'kernel'] as const)(
    'is refused inside a probe for the %s, and comes later all the same',
    async (which) => {
      const system = await System.start(machineWith(plain).plugin);
      let refused: unknown;
      const probe = async (): Promise<void> => {
        await Promise.resolve();
        refused = await (which === 'system' ? system.stop() : system.kernel.stop()).catch((error: unknown) => error);
      };
      await system.load(pluginOf(driverOf({ probe })));
      expect(refused).toMatchObject({ code: 'EDEADLK' });
      expect(system.device(SLOT).bound).toBe(true);
      await system.stop();
      expect(system.core.order.size).toBe(0);
    },
  );

  test('of a kernel that is asked for twice is over for both at the same time', async () => {
    const kernel = new Kernel(new FakeHost());
    let stopped = false;
    kernel.host.stop = async () => {
      await Promise.resolve();
      stopped = true;
    };
    await kernel.start();
    void kernel.stop();
    await kernel.stop();
    expect(stopped).toBe(true);
  });

  test('a machine serves one system at a time, and the refused one does not stop it', async () => {
    const sim = machineWith(plain);
    await using system = await System.start(sim.plugin, pluginOf(driverOf()));
    await expect(System.start(sim.plugin)).rejects.toThrow('EBUSY: sim: serves another system');
    await expect(System.start(sim.plugin)).rejects.toThrow('EBUSY: sim: serves another system');
    expect(system.device(SLOT).bound).toBe(true);
  });
});

describe('a removal that waits for a probe', () => {
  test('is the only one: a handle disposed of twice meanwhile breaks no rule', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    const { auxiliary, core } = system.kernel;
    const part = new AuxName('hostile.part');
    const held = gate();
    await auxiliary.register({ name: 'part', ids: [part], probe: () => held.done });
    const broken: string[] = [];
    core.violations.on(({ rule }) => broken.push(rule));
    const added = auxiliary.create(system.device(SLOT), part, {});
    const [dev] = auxiliary.devices as [AuxiliaryDevice];
    const ends = Promise.all([dev[Symbol.asyncDispose](), dev[Symbol.asyncDispose]()]);
    held.open();
    await added;
    await ends;
    expect([broken, auxiliary.devices]).toEqual([[], []]);
  });
});

describe('explain', () => {
  test('says that a probe is under way', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    const held = gate();
    const bound = system.kernel.pci.register(driverOf({ probe: () => held.done }));
    expect(String(system.explain(SLOT))).toBe(
      `${SLOT}: unbound: its probe by driver plain is under way\n  plain: matches, and is being probed\n`,
    );
    held.open();
    await bound;
  });

  test('says that a device waits for a callback that was given up', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    await system.load(pluginOf(driverOf({ probe: () => new Promise(() => {}) })));
    expect(system.explain(SLOT).text).toMatch(/^a callback that was given up has not ended/);
  });
});

describe('a device that is pulled out while it is reset', () => {
  test.each([
    ['by function-level reset', modelOf({ capabilities: [pcie({ type: 'endpoint', flr: true })] })],
    ['by power management', modelOf({ capabilities: [powerManagement()] })],
  ])('%s: the reset ends with ENODEV at once and not after a minute', async (_how, model) => {
    const sim = machineWith(model);
    await using system = await System.start(sim.plugin);
    const done = (system.device(SLOT) as PciDevice).reset();
    sim.yank('00:01.0');
    await expect(done).rejects.toThrow(`ENODEV: ${SLOT}: was pulled out while it was reset`);
    expect(system.core.clock.now()).toBeLessThan(1_000_000);
  });
});

describe('base address registers', () => {
  test('the upper half of one that is too large is not taken for one of its own', async () => {
    const { capabilities, clock, dma } = new FakeHost();
    const bytes = new Map([
      [0x00, 0x0001_1234],
      [0x10, 0x4],
    ]);
    const writable = new Map([[0x14, 0x8000_0000]]);
    const read32 = (offset: number): number => bytes.get(offset) ?? 0;
    const window = {
      sizeBytes: 256,
      read8: (offset: number) => (read32(offset & ~3) >>> (8 * (offset & 3))) & 0xff,
      read16: (offset: number) => (read32(offset & ~3) >>> (8 * (offset & 2))) & 0xffff,
      read32,
      read64: () => {},
      write8: () => {},
      write16: () => {},
      write32: (offset: number, value: number) => {
        const mask = writable.get(offset);
        if (mask !== undefined) bytes.set(offset, (value & mask) >>> 0);
      },
      write64: () => {},
    };
    const absent = { ...window, read8: () => 0xff, read16: () => 0xffff, read32: () => 0xffff_ffff };
    const root = {
      segment: 0,
      firstBus: 0,
      lastBus: 0,
      apertures: [{ kind: 'mem', base: 0xe000_0000, limit: 0xefff_ffff } as const],
      config: (_bus: number, at: number) => (at === 8 ? window : absent),
      map: () => absent,
      onHotplug: () => ({ dispose: () => {}, [Symbol.dispose]: () => {} }),
    };
    const kernel = new Kernel({ name: 'raw', capabilities, clock, dma, pci: [root], start: () => {}, stop: () => {} });
    await kernel.start();
    const [dev] = kernel.pci.devices as [PciDevice];
    expect([0, 1, 2].map((i) => dev.bar(i))).toEqual([undefined, undefined, undefined]);
    // An I/O BAR of which no bit can be written decodes nothing.
    await kernel.pci.remove(dev);
    bytes.set(0x10, 0x1);
    await kernel.pci.rescan();
    expect(kernel.pci.devices[0]!.bar(0)).toBeUndefined();
    await kernel.stop();
  });
});

describe('load and unload, two hundred times', () => {
  test('leave everything as it was', async () => {
    const sim = machineWith(plain, plain);
    await using system = await System.start(sim.plugin);
    const { core } = system;
    const state = (): unknown[] => [
      core.buses.size,
      core.classes.size,
      core.order.size,
      sim.clock.pending,
      sim.dma.allocatedBytes,
    ];
    const before = state();
    const part = new AuxName('hostile.part');
    const probe = async (dev: PciDevice): Promise<void> => {
      dev.mapBar(0);
      system.kernel.dma.alloc(dev, 100);
      await system.kernel.auxiliary.add(dev, part, {});
    };
    const plugin = pluginOf(driverOf({ probe }));
    for (let i = 0; i < 200; i++) {
      await system.load(plugin);
      await system.unload('plain');
    }
    expect(state()).toEqual(before);
  });
});
