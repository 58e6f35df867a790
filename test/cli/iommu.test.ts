import { describe, expect, test } from 'vitest';
import { Dma, Iommu, PROT, type PciDevice, PciDriver, Plugin, inject, injectable, pciId } from '../../core/index.js';
import { hostSim } from '../../plugins/host-sim.js';
import { ADDRESS, FIRMWARE, ID, LENGTH, RUN, cryptModel } from '../../samples/lib/crypt.js';
import { Desk } from './fixture.js';

const AT = '0000:00:04.0';
const PAGE = 4096;

/** A driver that has a coherent buffer, a domain at a PASID, and an access that is refused. */
@injectable()
class CryptDriver implements PciDriver<void> {
  readonly name = 'crypt';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    @inject(Iommu) private readonly iommu: Iommu,
    @inject(Dma) private readonly dma: Dma,
  ) {}

  probe(dev: PciDevice): void {
    const regs = dev.mapBar(0);
    dev.setMaster();
    regs.write(FIRMWARE, this.dma.alloc(dev, PAGE).address);
    if (!this.iommu.isPresent) return;
    const pages = this.dma.pages(dev, 2 * PAGE);
    const domain = this.iommu.allocDomain(dev);
    domain.map(0x1000, pages.physicalAddress, PAGE, PROT.READ | PROT.WRITE);
    domain.map(0x8000, pages.physicalAddress + PAGE, PAGE, PROT.READ | PROT.NOEXEC);
    this.iommu.attachPasid(domain, dev, 5);
    regs.write(ADDRESS, 0x8000);
    regs.write(LENGTH, 8);
    regs.write(RUN, 5);
  }
}

const crypt = new Plugin('crypt', ({ bind }) => {
  bind(PciDriver).to(CryptDriver);
});
const devices = [{ at: '00:04.0', model: cryptModel }];

describe('iommu', () => {
  test('gives an overview of groups and their domains, those at PASIDs too', async () => {
    await using desk = await Desk.make(hostSim({ devices, edu: 1 }).plugin, crypt);
    expect(await desk.text('iommu')).toBe(
      'GROUP  DEVICE        USED BY  PASID  DOMAIN     OWNER         BYTES  RANGES\n' +
        '0      0000:00:04.0  drivers  -      dma        0000:00:04.0  4096   1\n' +
        '0      0000:00:04.0  drivers  5      unmanaged  0000:00:04.0  8192   2\n' +
        '1      0000:00:05.0  nobody   -      dma        0000:00:05.0  0      0\n' +
        'in all: 2 groups; 1 buffer mapped by drivers; 1 access refused\n',
    );
  });
  test('shows what is mapped, whose the buffers are, and what was refused', async () => {
    await using desk = await Desk.make(hostSim({ devices }).plugin, crypt);
    const [mappings = '', buffers = '', faults = ''] = (await desk.text('iommu --mappings --dma --faults')).split('\n\n');
    expect(mappings).toMatch(
      new RegExp(
        '^GROUP  DEVICE +PASID  ADDRESS +PHYSICAL  BYTES  ACCESS\n' +
          `0      ${AT}  -      0xfffff000  0x\\w+  4096   rw cache\n` +
          `0      ${AT}  5      0x1000      0x\\w+  4096   rw\n` +
          `0      ${AT}  5      0x8000      0x\\w+  4096   r- noexec$`,
      ),
    );
    expect(buffers).toMatch(
      new RegExp(
        '^DEVICE +DRIVER  KIND      DIRECTION      ADDRESS     PHYSICAL  BYTES\n' +
          `${AT}  crypt   coherent  bidirectional  0xfffff000  0x\\w+  4096$`,
      ),
    );
    expect(faults).toBe(
      'TIME US  DEVICE        PASID  ACCESS  ADDRESS  REASON      RESULT\n' +
        `0        ${AT}  5      write   0x8000   permission  ENOSYS\n`,
    );
  });
  test('gives the same as JSON, whatever is shown', async () => {
    await using desk = await Desk.make(hostSim({ devices }).plugin, crypt);
    const view = await desk.json('iommu');
    expect(view).toEqual({
      isPresent: true,
      groups: [
        {
          id: 0,
          requesterId: 0x20,
          devices: [AT],
          usedBy: 'drivers',
          domains: [
            { kind: 'dma', owner: AT, mappedBytes: PAGE, mappings: [expect.objectContaining({ iova: 0xffff_f000 })] },
            {
              pasid: 5,
              kind: 'unmanaged',
              owner: AT,
              attachedBy: AT,
              mappedBytes: 2 * PAGE,
              mappings: [
                { iova: 0x1000, paddr: expect.any(Number), sizeBytes: PAGE, prot: 3 },
                { iova: 0x8000, paddr: expect.any(Number), sizeBytes: PAGE, prot: 9 },
              ],
            },
          ],
        },
      ],
      dma: [
        {
          device: AT,
          driver: 'crypt',
          kind: 'coherent',
          direction: 'bidirectional',
          address: 0xffff_f000,
          physical: expect.any(Number),
          sizeBytes: PAGE,
        },
      ],
      faults: [expect.objectContaining({ dev: AT, pasid: 5, iova: 0x8000, isWrite: true })],
    });
    expect(await desk.json('iommu --faults')).toEqual(view);
  });
  test('is about one device when one is named', async () => {
    await using desk = await Desk.make(hostSim({ devices, edu: 1 }).plugin, crypt);
    expect(await desk.json('iommu 0000:00:05.0')).toMatchObject({ groups: [{ devices: ['0000:00:05.0'] }], dma: [], faults: [] });
    expect(await desk.run('iommu 0000:00:09.0')).toMatchObject({ code: 1, err: expect.stringContaining('no such device') });
    expect(await desk.run('iommu pci0000:00')).toEqual({
      code: 1,
      out: '',
      err: 'backplane iommu: ENODEV: pci0000:00: no IOMMU translates for it\n',
    });
  });
  test('says that devices reach all memory where there is none, and still whose the buffers are', async () => {
    await using desk = await Desk.make(hostSim({ devices, iommu: false }).plugin, crypt);
    expect(await desk.text('iommu')).toBe('no IOMMU: devices reach all memory; 1 buffer mapped by drivers\n');
    expect(await desk.text('iommu --dma')).toMatch(/crypt +coherent +bidirectional +(0x\w+) +\1 +4096\n$/);
  });
});
