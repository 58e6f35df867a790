import { describe, expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { PROT } from '../../../core/iommu/index.js';
import { Kernel } from '../../../core/kernel.js';
import { type PciDevice, pciPasids } from '../../../core/pci/index.js';
import { type ExtendedCapability, type ModelContext, pcie, rawExtended } from '../../../hw/endpoint/index.js';
import { Machine } from '../../../hw/sim/index.js';

const bytes = (...list: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(list);
const ZEROS = [0, 0, 0, 0];
const PASID = rawExtended(PCI.EXT_PASID, 1, bytes(0x04, 0x14, 0, 0), bytes(0, 0, 7, 0));
const ATS = rawExtended(PCI.EXT_ATS, 1, bytes(...ZEROS), bytes(0, 0, 0x1f, 0x80));
const PRI = rawExtended(PCI.EXT_PRI, 1, bytes(...ZEROS, 0, 2, 0, 0, ...ZEROS), bytes(3, 0, 0, 0, ...ZEROS, 255, 255, 255, 255));

/** A system with one device that has these capabilities. */
async function system(...extended: ExtendedCapability[]) {
  let model!: ModelContext;
  const spec = {
    name: 'pasids',
    config: { vendor: 0x1de5, device: 9, classCode: 0xff0000, bars: {}, capabilities: [pcie()], extended },
    create: (context: ModelContext) => {
      model = context;
      return { regions: {}, reset: () => {} };
    },
  };
  const sim = new Machine({ devices: [{ at: '00:04.0', model: spec }] });
  const kernel = new Kernel(sim);
  const trace: string[] = [];
  kernel.core.tracer = ({ kind, who }) => {
    if (kind.startsWith('dma-')) trace.push(`${kind} ${who}`);
  };
  const driver = { name: 'driver', ids: [{ vendor: 0x1de5, device: 9 }], probe: (dev: PciDevice) => dev.setMaster() };
  await kernel.pci.register(driver);
  await kernel.start();
  const dev = kernel.pci.find('0000:00:04.0')!;
  return { kernel, sim, dev, model, trace, driver };
}

const control = (dev: PciDevice, id: number, offset: number): number => dev.config.read16(dev.findExtCapability(id)! + offset);

describe('pciPasids', () => {
  test('tells how many bits a function sends, and none for one without, or for another device', async () => {
    const { kernel, dev } = await system(PASID);
    expect([pciPasids(dev)?.bits, kernel.iommu.maxPasids(dev)]).toEqual([20, 2 ** 20]);
    expect(pciPasids(kernel.platform.root)).toBeUndefined();
    await kernel.stop();
    const none = await system();
    expect([pciPasids(none.dev), none.kernel.iommu.maxPasids(none.dev)]).toEqual([undefined, 0]);
    expect(() => none.kernel.iommu.enablePasid(none.dev)).toThrow('ENODEV');
    await none.kernel.stop();
  });

  test('switches PASIDs of all kinds, page requests and translations on, and off again at unbind', async () => {
    const { kernel, dev } = await system(PASID, ATS, PRI);
    const state = (): number[] => [control(dev, PCI.EXT_PASID, 6), control(dev, PCI.EXT_PRI, 4), control(dev, PCI.EXT_ATS, 6)];
    expect(state()).toEqual([0, 0, 0]);
    kernel.iommu.enablePasid(dev);
    expect([state(), dev.config.read32(dev.findExtCapability(PCI.EXT_PRI)! + 12)]).toEqual([[5, 1, 0x8000], 32]);
    await kernel.core.unbind(dev);
    expect(state()).toEqual([0, 0, 0]);
    await kernel.stop();
  });

  test('survives a reset of the function', async () => {
    const { kernel, dev } = await system(PASID, ATS);
    kernel.iommu.enablePasid(dev);
    const state = dev.saveState();
    dev.config.write16(dev.findExtCapability(PCI.EXT_PASID)! + 6, 0);
    dev.config.write16(dev.findExtCapability(PCI.EXT_ATS)! + 6, 0);
    dev.restoreState(state);
    expect([control(dev, PCI.EXT_PASID, 6), control(dev, PCI.EXT_ATS, 6)]).toEqual([5, 0x8000]);
    await kernel.stop();
  });
});

describe('a kernel with an IOMMU', () => {
  test('uses the default domain before each native probe, and no longer after remove', async () => {
    const { kernel, dev, trace, driver } = await system(PASID);
    expect([trace, kernel.iommu.group(dev)?.ownerCount]).toEqual([['dma-configure 0000:00:04.0'], 1]);
    await kernel.pci.unregister(driver);
    expect([trace.at(-1), kernel.iommu.group(dev)?.ownerCount]).toEqual(['dma-cleanup 0000:00:04.0', 0]);
    kernel.iommu.group(dev)?.claimOwner({});
    await kernel.pci.register(driver);
    expect([dev.bound, String(dev.probeError)]).toEqual([false, expect.stringMatching(/EBUSY/)]);
    kernel.iommu.group(dev)?.releaseOwner();
    await kernel.stop();
  });

  test('a model reaches what is mapped at its PASID, and the fault of another goes to the handler in the next window', async () => {
    const { kernel, sim, dev, model } = await system(PASID);
    const { iommu } = kernel;
    const page = sim.dma.alloc(4096, { mask: 0xffff_ffff });
    sim.dma.write32(page, 0x1234_5678);
    const domain = iommu.allocDomain(dev);
    const seen: string[] = [];
    domain.setFaultHandler(({ pasid, iova, flags }) => void seen.push(`${pasid} ${iova} ${flags}`));
    iommu.attachPasid(domain, dev, 3);
    domain.map(0x5000, page, 4096, PROT.READ);
    expect([model.dma.read32(0x5000, 3), model.dma.write32(0x5004, 1, 3), seen]).toEqual([0x1234_5678, false, []]);
    await Promise.resolve();
    expect(seen).toEqual(['3 20484 1']);
    expect(iommu.faults.list).toMatchObject([{ dev: '0000:00:04.0', pasid: 3, reason: 'permission', isWrite: true }]);
    sim.dma.free(page);
    await kernel.stop();
    expect(sim.iommu?.isDirect((0 << 8) | (4 << 3), 0)).toBe(true);
  });
});
