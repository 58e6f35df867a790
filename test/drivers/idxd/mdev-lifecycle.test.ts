import { describe, expect, test } from 'vitest';
import { type Device, Errno, EventFd, type MdevDevice, VFIO_PCI_IRQ, VFIO_PCI_REGION } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import { DriverHarness, type HarnessOptions } from '../../../core/testing/index.js';
import type { SharedQueue } from '../../../drivers/idxd/mdev/shared-queue.js';
import type { Wq } from '../../../drivers/idxd/wq.js';
import { MdevQueueDriver } from '../../../drivers/idxd/mdev-driver.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { dsa } from '../../../hw/models/dsa/index.js';
import { Machine } from '../../../hw/sim/index.js';
import { addIdxd } from './dma-fixture.js';
import { Parts, type QueueOptions, TYPES, copy, openPart, settingsOf, stateOf, take, uuidOf } from './mdev-fixture.js';
import { PAGE, Process } from './user-fixture.js';

/** Longer than a function takes to be reset. */
const RESET_US = 1_000_000;
const ADDRESS = '0000:00:05.0';

async function createOne(kernel: Kernel, wq: Wq, n = 0): Promise<MdevDevice> {
  const type = kernel.mdev.parents.find(({ dev }) => dev === wq.idxd.dev)?.type(TYPES[wq.mode]);
  if (type === undefined) throw new Errno('ENODEV', `${wq.name}: is not handed out`);
  return kernel.mdev.create(type, uuidOf(n));
}

/** The life of a virtual device, as far as it gets: created, opened, enabled, used, closed. */
async function use(kernel: Kernel, wq: Wq, n = 0): Promise<void> {
  using process = new Process(kernel.host.dma, 'anna');
  const dev = await createOne(kernel, wq, n);
  await using part = await openPart(kernel.vfio, dev, process);
  await part.enable();
  part.submit(copy(part));
  await kernel.clock.sleep(5);
}

/** Makes a virtual device, and uses it, in its probe: it is there until it is unbound. */
class WithDevice extends MdevQueueDriver {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    super(kernel.mdev, kernel.vfio, kernel.iommu);
    this.#kernel = kernel;
  }

  override async probe(wq: Wq): Promise<SharedQueue> {
    const queue = await super.probe(wq);
    await use(this.#kernel, wq);
    return queue;
  }
}

/** `wq0.0` is the device under test. */
function harnessOf(queue: QueueOptions, driver?: (kernel: Kernel) => MdevQueueDriver): HarnessOptions {
  return {
    driver: driver ?? (({ mdev, vfio, iommu }) => new MdevQueueDriver(mdev, vfio, iommu)),
    bus: 'dsa',
    host: () => new Machine({ devices: [{ at: '00:05.0', model: dsa({ pasid: true, commandCap: 0x7ffe }) }] }),
    device: ({ core }) => core.buses.get('dsa')?.find('wq0.0'),
    setup: async (kernel) => {
      await addIdxd(kernel);
      const bus = kernel.core.buses.get('dsa')!;
      await bus.find('engine0.0')!.attributes.write('group_id', '0\n');
      for (const [name, value] of Object.entries(settingsOf(queue))) {
        await bus.find('wq0.0')!.attributes.write(name, `${value}\n`);
      }
      await bus.attributesOf(bus.findDriver('idxd')!).write('bind', 'dsa0');
    },
  };
}

describe.each(['dedicated', 'shared'] as const)('MdevQueueDriver (%s)', (mode) => {
  test('probe gives everything back whichever acquisition fails', async () => {
    await using harness = new DriverHarness(harnessOf(mode));
    expect(await harness.failEach()).toEqual(['queue 0', 'events', 'mdev types', 'mdev parent']);
  });

  test('so does all that a virtual device takes, when it is created, opened and enabled, and when it is removed', async () => {
    await using harness = new DriverHarness(harnessOf(mode, (kernel) => new WithDevice(kernel)));
    const failed = await harness.failEach();
    expect(failed.slice(0, 4)).toEqual(['queue 0', 'events', 'mdev types', 'mdev parent']);
    for (const label of ['client', 'vfio device', 'virtual device', 'aux domain', 'ims slot']) expect(failed).toContain(label);
    expect(failed.some((label) => label.startsWith('irq'))).toBe(true);
  });

  test('the device may vanish at any point of the life of a virtual device', async () => {
    await using harness = new DriverHarness(harnessOf(mode));
    const points = await harness.removeAnywhere(undefined, { use: ({ kernel, device }) => use(kernel, device as Wq) });
    expect(points.filter((point) => point.startsWith('interrupt')).length).toBeGreaterThan(0);
    expect(points.length).toBeGreaterThan(100);
  }, 180_000);

  test('holds in every interleaving of binds, removals, interrupts and users', async () => {
    await using harness = new DriverHarness(harnessOf(mode));
    let n = 0;
    let used = 0;
    const bound = async ({ core }: Kernel, wq: Device): Promise<Wq> => {
      if (!wq.bound) await core.attach(wq);
      return wq as Wq;
    };
    await harness.explore({
      operations: {
        use: async ({ kernel, device }) => {
          await use(kernel, await bound(kernel, device), n++ % 3);
          used++;
        },
        create: async ({ kernel, device }) => createOne(kernel, await bound(kernel, device), n++ % 3),
        discard: ({ kernel }) => kernel.mdev.devices.slice(0, 1).map((dev) => kernel.mdev.remove(dev)),
      },
    });
    expect(used).toBeGreaterThan(0);
  }, 180_000);
});

describe('with a virtual device open', () => {
  /** A user who has one, and wants to be asked for it. */
  async function opened(parts: Parts) {
    const dev = await parts.create();
    const user = parts.process('anna');
    const part = await parts.open(dev, user);
    const wanted = new EventFd('request');
    part.file.setIrqs({ index: VFIO_PCI_IRQ.REQ, action: 'trigger', start: 0, count: 1, eventfds: [wanted] });
    await part.enable();
    return { dev, user, part, wanted };
  }

  test.each(['dedicated', 'shared'] as const)('the unbind of its queue waits for its user, who works on (%s)', async (mode) => {
    await using parts = await Parts.start([mode]);
    const { dev, user, part, wanted } = await opened(parts);
    const gone = parts.bench.unbind('wq0.0');
    await parts.bench.sim.settle(10);
    expect([wanted.count, dev.registered, parts.bench.read('wq0.0', 'state')]).toEqual([1, true, 'enabled']);
    part.submit(copy(part));
    await parts.bench.sim.settle(10);
    expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.success, 1]);
    await part.file.close();
    await gone;
    expect([dev.registered, parts.ims.count, parts.bench.read('wq0.0', 'state')]).toEqual([false, 0, 'disabled']);
  });

  test.each(['dedicated', 'shared'] as const)(
    'the card is pulled out: commands fail, and all goes when it is closed (%s)',
    async (mode) => {
      await using parts = await Parts.start([mode]);
      const { bench } = parts;
      const { dev, user, part, wanted } = await opened(parts);
      bench.sim.yank(ADDRESS);
      await bench.sim.settle(10);
      expect([wanted.count, dev.registered]).toEqual([1, true]);
      part.submit(copy(part));
      expect((await part.command('disableDevice')).status).toBe(DSA.ERRORS.hardware);
      expect((await part.command('enableDevice')).status).toBe(DSA.ERRORS.none);
      await bench.sim.settle(10);
      expect(user.status()).toBe(0);
      await part.file.close();
      await bench.settle();
      expect([dev.registered, bench.system.kernel.pci.bus.find(ADDRESS), bench.system.kernel.mdev.parents]).toEqual([
        false,
        undefined,
        [],
      ]);
    },
  );

  test.each(['software', 'flr'] as const)(
    'D25 its user is told of a halt; the device recovers when he has closed it (%s)',
    async (reset) => {
      await using parts = await Parts.start(['dedicated']);
      const { bench } = parts;
      const { dev, part } = await opened(parts);
      part.write(DSA.GENCTRL, { halt: 1 });
      bench.silicon.halt(reset);
      await bench.sim.settle(10);
      expect([part.read(DSA.GENSTATUS), part.read(DSA.INTCAUSE) & 0x10]).toEqual([DSA.STATES.halted, 0x10]);
      expect((await part.command('enableDevice')).status).toBe(DSA.ERRORS.hardware);
      await part.file.reset();
      expect(part.read(DSA.GENSTATUS)).toBe(DSA.STATES.halted);
      await part.file.close();
      await bench.settle(RESET_US);
      expect([dev.registered, bench.read('dsa0', 'state')]).toEqual([false, reset === 'flr' ? 'enabled' : 'disabled']);
      if (reset === 'software') return;
      const user = parts.process('bert');
      await using again = await parts.open(await parts.create(), user);
      await again.enable();
      again.submit(copy(again));
      await parts.settle();
      expect(user.status()).toBe(DSA.STATUS.success);
    },
  );

  test('the system stops: users go first', async () => {
    const parts = await Parts.start(['dedicated', 'shared']);
    const { dev, part } = await opened(parts);
    await parts[Symbol.asyncDispose]();
    expect([part.file.isClosed, dev.registered, stateOf(dev)]).toEqual([true, false, undefined]);
  });

  test('a user who never closes it is given up, and has nothing of the queue when somebody else has it', async () => {
    await using parts = await Parts.start(['dedicated']);
    const { bench } = parts;
    const { part, user } = await opened(parts);
    const portal = part.file.mmap(VFIO_PCI_REGION.BAR2, PAGE, PAGE);
    await expect(bench.unbind('wq0.0')).rejects.toThrow('ETIMEDOUT: ');
    expect(parts.ims.count).toBe(0);
    const settings = { type: 'kernel', name: 'own', driver_name: 'dmaengine', mode: 'dedicated', priority: 1 };
    for (const [name, value] of Object.entries(settings)) await bench.write('wq0.0', name, value);
    await bench.bind('wq0.0', 'dmaengine');
    const before = [user.snapshot(), bench.sim.iommuFaults.length];
    bench.takeWire();
    const words = copy(part);
    portal.movdir64b(0, words);
    for (let word = 0; word < words.length; word++) portal.write32(4 * word, words[word]!);
    const commands = [
      ['disableWq', 1],
      ['drainWq', 1],
      ['requestHandle', 1],
      ['disableDevice', 0],
    ] as const;
    for (const [name, operand] of commands) {
      expect(() => part.write(DSA.CMD, { command: DSA.COMMANDS[name], operand })).toThrow('ENODEV: ');
      await bench.sim.settle(10);
    }
    expect([bench.takeWire(), [user.snapshot(), bench.sim.iommuFaults.length]]).toEqual([[], before]);
    expect(() => part.enableInterrupts()).toThrow('ENODEV: ');
    expect(parts.ims.count).toBe(0);
    await part.file.close();
    expect(bench.takeWire()).toEqual([]);
    expect(bench.read('wq0.0', 'state')).toBe('enabled');
  });
});
