import { describe, expect, test } from 'vitest';
import { type Device, Errno, type MdevDriver, type PciDevice, type PlatformDevice } from '../../../core/index.js';
import { Bench, CARD, OTHER_UUID, UUID, codeOf, gate } from './bench.js';

const available = ({ dev }: Bench): string => dev.attributes.read('mdev_supported_types/card-port/available_instances').trim();

describe('a device made of a part of its parent', () => {
  /** The driver of the card adds a device; what is made of the card, is made of that. `order` is who was removed. */
  class PartBench {
    readonly order: string[] = [];
    part!: PlatformDevice;
    readonly #removed = (dev: Device): void => void this.order.push(dev.name);

    async start(more: Partial<MdevDriver> = {}): Promise<Bench> {
      const mdev = (): MdevDriver => ({
        name: 'plain_mdev',
        deviceApi: 'vfio-pci',
        maxInstances: 2,
        probe: () => undefined,
        makerOf: () => this.part,
        remove: this.#removed,
        ...more,
      });
      const probe = async (it: Bench, dev: PciDevice): Promise<void> => {
        it.probe(dev);
        await it.kernel.core.registerDriver(it.kernel.platform, { name: 'part', remove: this.#removed });
        this.part = await it.kernel.platform.addChild(dev, { name: 'part' });
      };
      return Bench.start({ mdev, driver: (it) => ({ probe: (dev) => probe(it, dev), remove: this.#removed }) });
    }
  }

  test('is a child of its parent, and says what it is made of', async () => {
    const parts = new PartBench();
    await using bench = await parts.start();
    const dev = await bench.kernel.mdev.create(bench.parent.types[0]!, UUID);
    expect([dev.parent, dev.mdevParent.dev, dev.maker]).toEqual([bench.dev, bench.dev, parts.part]);
    expect([bench.parent.types[0]!.count, bench.log('mdev_created')]).toEqual([1, ['MDEV: created of part, card-port']]);
  });

  test('is of its parent when the driver does not say otherwise', async () => {
    await using bench = await Bench.start();
    expect((await bench.create()).dev.maker).toBe(bench.dev);
  });

  test('goes before the part is unbound; the parent stays one, and nothing is made of the part any more', async () => {
    const parts = new PartBench();
    await using bench = await parts.start();
    const { core, mdev } = bench.kernel;
    await mdev.create(bench.parent.types[0]!, UUID);
    await core.unbind(parts.part);
    expect([parts.order, mdev.parents, bench.parent.devices]).toEqual([[UUID, 'part'], [bench.parent], []]);
    expect(codeOf(() => mdev.create(bench.parent.types[0]!, UUID))).toBe('ENODEV');
    expect([available(bench), mdev.devices, bench.violations]).toEqual(['2', [], []]);
  });

  test.each(['unbound', 'removed'] as const)('goes first when the parent is %s, and is no orphan', async (how) => {
    const parts = new PartBench();
    await using bench = await parts.start();
    await bench.kernel.mdev.create(bench.parent.types[0]!, UUID);
    const { dev, kernel } = bench;
    await (how === 'unbound' ? kernel.core.unbind(dev) : kernel.core.remove(dev));
    expect([parts.order, bench.violations, bench.log('orphans')]).toEqual([[UUID, 'part', CARD], [], []]);
  });

  test('cannot be removed while the part is being unbound: ENODEV', async () => {
    const open = gate();
    const parts = new PartBench();
    await using bench = await parts.start({ remove: () => open.passed });
    const { core, mdev } = bench.kernel;
    const dev = await mdev.create(bench.parent.types[0]!, UUID);
    const gone = core.unbind(parts.part);
    expect(() => mdev.remove(dev)).toThrow(`ENODEV: ${UUID}: part is being unbound, and takes it with it`);
    expect([parts.part.bound, parts.part.takesChildren]).toEqual([true, false]);
    expect(codeOf(() => mdev.create(bench.parent.types[0]!, OTHER_UUID))).toBe('ENODEV');
    open.pass();
    await gone;
    expect(dev.registered).toBe(false);
  });

  test('is not made when the driver knows nothing to make it of, and nothing comes of it', async () => {
    const fail = (): never => {
      throw new Errno('ENODEV', 'plain_mdev: no room');
    };
    await using bench = await new PartBench().start({ makerOf: fail });
    const before = bench.uevents.length;
    expect(() => bench.kernel.mdev.create(bench.parent.types[0]!, UUID)).toThrow('ENODEV: plain_mdev: no room');
    expect([available(bench), bench.kernel.mdev.find(UUID), bench.uevents.length]).toEqual(['2', undefined, before]);
  });
});
