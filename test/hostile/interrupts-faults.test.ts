import { describe, expect, test } from 'vitest';
import {
  Errno,
  type ImsStore,
  type IrqSpec,
  type Kernel,
  type MsiMsg,
  type PciDevice,
  type PciDriver,
  type PciVectorOptions,
  imsArray,
  imsQueue,
} from 'backplane';
import { Machine } from 'backplane/sim';
import { DriverHarness, FakeHost, FakePciFunction, failEach } from 'backplane/testing';
import { driverOf } from './fixture.js';
import { Rig, gadget, codeOfAsync } from './interrupts-rig.js';

/** Counts steps, and makes the n-th fail. */
class Fuse {
  steps: string[] = [];
  constructor(readonly at: number) {}
  step(name: string): void {
    this.steps.push(name);
    if (this.steps.length === this.at) throw new Errno('EIO', `gadget: ${name} was made to fail`);
  }
}

/** A store of which every callback is a step. */
function fusedStore(fuse: Fuse, held: Set<number>, isBracketed: boolean, activateEarly: boolean): ImsStore {
  return {
    slots: 4,
    activateEarly,
    prepare: (index) => {
      fuse.step('prepare');
      held.add(index);
      return index;
    },
    mask: () => fuse.step('mask'),
    unmask: () => fuse.step('unmask'),
    writeMsg: (_slot: number, _msg: MsiMsg) => fuse.step('writeMsg'),
    free: (slot) => {
      held.delete(slot);
      fuse.step('free');
    },
    shutdown: () => fuse.step('shutdown'),
    ...(isBracketed && { busLock: () => fuse.step('busLock'), busSyncUnlock: () => fuse.step('busSyncUnlock') }),
  };
}

const SPECS: Record<string, IrqSpec> = {
  hard: { hard: () => {} },
  thread: { thread: () => {} },
  'async thread': { thread: async () => {} },
};

describe.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])('a store whose n-th callback throws, bus lock %s, activated early %s', (isBracketed, early) => {
  test.each(Object.keys(SPECS))('leaves nothing behind, with a %s half, and the next one works', async (kind) => {
    await using rig = await Rig.start({ rulesMayBreak: true });
    const { ims, irqs, core } = rig.kernel;
    const dev = rig.dev();
    const driver = dev.driver!;
    const before = rig.account();
    for (let n = 1; ; n++) {
      const fuse = new Fuse(n);
      const held = new Set<number>();
      await codeOfAsync(async () => {
        const domain = ims.createDomain(dev, fusedStore(fuse, held, isBracketed, early));
        const [map] = domain.allocRange(0, 1);
        const handle = irqs.request(dev, map!.virq, SPECS[kind]!);
        await codeOfAsync(() => handle.setAffinity([2]));
        irqs.inject(map!.virq);
        irqs.drain();
        await codeOfAsync(() => handle.disable());
        await codeOfAsync(() => handle.enable());
        await codeOfAsync(() => domain.restore());
        await handle.free();
        domain.free(map!);
      });
      await codeOfAsync(() => core.unbind(dev));
      rig.calm();
      expect([n, fuse.steps.at(n - 1), rig.account(), held.size]).toEqual([n, fuse.steps.at(n - 1), { ...before, ledger: 0 }, 0]);
      await core.attach(dev);
      expect(dev.driver).toBe(driver);
      if (fuse.steps.length < n) break;
    }
  });
});

/** One driver for each way to an interrupt. */
const probes: Record<string, (kernel: Kernel, dev: PciDevice) => unknown> = {
  'IMS array': ({ ims, irqs }, dev) => {
    const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0x10_0000, slots: 4 }));
    for (const { virq } of domain.allocRange(0, 1)) irqs.request(dev, virq, () => {});
  },
  'IMS queue': ({ ims, irqs, dma }, dev) => {
    const domain = ims.createDomain(dev, imsQueue({ kick() {} }));
    const slot = domain.alloc({ cookie: { memory: dma.alloc(dev, 4096) } });
    irqs.request(dev, slot.virq, { hard: () => 'wake', thread: async () => {} });
  },
  ...Object.fromEntries(
    (
      [
        ['MSI-X with affinity', { types: ['msix'], max: 4, affinity: { preVectors: 1 } }],
        ['MSI with 4 messages', { types: ['msi'], min: 4 }],
        ['a line', { types: ['intx'] }],
      ] as const satisfies readonly (readonly [string, PciVectorOptions])[]
    ).map(([name, options]) => [
      name,
      (_kernel: Kernel, dev: PciDevice) => {
        const { count } = dev.allocVectors(options);
        for (let n = 0; n < count; n++) dev.requestIrq(n, n % 2 === 0 ? () => {} : { thread: () => {}, oneshot: true });
      },
    ]),
  ),
  'dynamic MSI-X beside IMS': ({ ims, irqs }, dev) => {
    dev.enableMsix({ min: 1 });
    for (const index of [7, 3]) irqs.request(dev, dev.msixAllocAt(index).virq, () => {});
    const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0x10_0000, slots: 4 }));
    irqs.request(dev, domain.alloc({ cookie: { pasid: 7 } }).virq, () => {});
  },
};

describe.each(Object.entries(probes))('a driver with %s', (_name, probe) => {
  const driver = (kernel: Kernel): PciDriver => driverOf({ name: 'gadget', probe: (dev) => void probe(kernel, dev) });
  const host = (): Machine => new Machine({ cpus: 4, devices: [{ at: '00:01.0', model: gadget([]) }] });

  test('gives everything back whichever acquisition fails', async () => {
    expect((await failEach({ driver, host })).length).toBeGreaterThan(1);
  });

  test('may lose its device anywhere', async () => {
    const harness = new DriverHarness({ driver, host });
    const points = await harness.removeAnywhere(undefined, {
      use: async ({ kernel }) => {
        for (const { virq, managed, actions } of kernel.irqs.list())
          if (!managed && actions.length > 0) kernel.irqs.setAffinity(virq, [3]);
        kernel.irqs.offline(3);
        kernel.irqs.online(3);
      },
    });
    expect(points.length).toBeGreaterThan(2);
  });
});

describe('when there is no room', () => {
  test('for a vector, the request says so, and is good for another try', async () => {
    await using rig = await Rig.start({ cpus: 1, kernel: { irq: { vectors: { first: 0x20, end: 0x22, system: [] } } } });
    const { ims, irqs } = rig.kernel;
    const dev = rig.dev();
    const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
    const maps = domain.allocRange(0, 3);
    const handles = [0, 1].map((n) => irqs.request(dev, maps[n]!.virq, () => {}));
    const before = rig.account();
    for (let n = 0; n < 3; n++) {
      expect(() => irqs.request(dev, maps[2]!.virq, () => {})).toThrow('ENOSPC: 0000:00:01.0: irq 26: no vector is left: 2 of 2');
      expect(rig.account()).toEqual(before);
    }
    await handles[1]!.free();
    expect(() => irqs.request(dev, maps[2]!.virq, () => {})).toThrow('ENOSPC');
    domain.free(maps[1]!);
    let came = 0;
    irqs.request(dev, maps[2]!.virq, () => came++);
    rig.fireSlot(2);
    expect(came).toBe(1);
  });

  test('for a doorbell, allocation says so, and is good for another try', async () => {
    const host = new FakeHost({ pci: [new FakePciFunction({ vendor: 0x1234, device: 1, bars: [{ sizeBytes: 2 ** 17 }] })] });
    await using harness = new DriverHarness({ driver: driverOf(), host: () => host });
    await harness.bind();
    const { ims } = harness.kernel;
    const dev = harness.device as PciDevice;
    const domain = ims.createDomain(dev, { slots: 5000, mask() {}, unmask() {}, writeMsg() {} });
    const maps = domain.allocRange(0, 4094);
    domain.alloc();
    expect(() => domain.alloc()).toThrow('ENOSPC: 0000:00:01.0: secondary domain: no interrupt for index 4096');
    expect(() => domain.allocRange(4096, 4100)).toThrow('ENOSPC');
    expect([domain.count, host.interrupts.messagesInUse]).toEqual([4096, 4096]);
    domain.free(maps[17]!);
    expect(domain.alloc().index).toBe(17);
    domain.freeAll();
    expect(host.interrupts.messagesInUse).toBe(0);
  });
});
