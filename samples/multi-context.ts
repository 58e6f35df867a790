/**
 * A driver whose clients each have an address space of their own on one device, without any sub-device: each is a domain at a PASID of
 * its own. What the device does for the driver itself, without PASID, goes on beside them. `backplane run multi-context`
 */
import {
  DeviceClass,
  Dma,
  Iommu,
  PROT,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  hex,
  inject,
  injectable,
  pciId,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { ADDRESS, FIRMWARE, ID, LENGTH, RUN, STATUS, VERSION, cryptModel } from './lib/crypt.js';

const PAGE = 4096;
/** Where every client has its page. */
const ADDRESS_OF_ALL = 0x1000;

interface Context {
  readonly pasid: number;
  /** Has the device invert a text in the memory of this context, and gives what is there then. */
  invert(text: string): string;
  close(): void;
}
interface Crypt {
  loadFirmware(version: number): string;
  open(): Context;
}
const Crypts = new DeviceClass<Crypt>('crypt', { methods: ['loadFirmware', 'open'] });

@injectable()
class CryptDriver implements PciDriver<Crypt> {
  readonly name = 'crypt';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    @inject(Iommu) private readonly iommu: Iommu,
    @inject(Dma) private readonly dma: Dma,
  ) {}

  probe(dev: PciDevice): Crypt {
    const regs = dev.mapBar(0);
    dev.setMaster();
    const run = (pasid: number, length: number): number => {
      regs.write(ADDRESS, ADDRESS_OF_ALL);
      regs.write(LENGTH, length);
      regs.write(RUN, pasid);
      return regs.read(STATUS);
    };
    return dev.publish(Crypts, {
      loadFirmware: (version) => {
        using image = this.dma.alloc(dev, PAGE);
        image.write32(0, version);
        regs.write(FIRMWARE, image.address);
        return `firmware ${regs.read(VERSION)}, read at 0x${hex(image.address)} without PASID`;
      },
      open: () => {
        const page = this.dma.pages(dev, PAGE);
        const domain = this.iommu.allocDomain(dev);
        this.iommu.auxAttach(domain, dev);
        const pasid = this.iommu.auxGetPasid(domain, dev);
        domain.map(ADDRESS_OF_ALL, page.physicalAddress, PAGE, PROT.READ | PROT.WRITE);
        return {
          pasid,
          invert: (text) => {
            const data = new TextEncoder().encode(text);
            page.write(0, data);
            if (run(pasid, data.length) !== 1) return 'could not be reached';
            page.read(0, data);
            return Array.from(data, (byte) => String.fromCharCode(~byte & 0xff)).join('');
          },
          close: () => {
            domain.unmap(ADDRESS_OF_ALL, PAGE);
            this.iommu.auxDetach(domain, dev);
            // Nobody has this number any more: what the device still tries with it is refused.
            console.log(`closed: a late run at PASID ${pasid} ends with status ${run(pasid, 8)}`);
            domain[Symbol.dispose]();
            page[Symbol.dispose]();
          },
        };
      },
    });
  }
}

const crypt = new Plugin('crypt', ({ bind }) => {
  bind(PciDriver).to(CryptDriver);
});
const sim = hostSim({ devices: [{ at: '00:04.0', model: cryptModel }] });
await using system = await System.start(sim.plugin, crypt);
const one = system.get(Crypts, 'crypt0');
const { iommu } = system.kernel;

console.log(one.loadFirmware(7));
const clients = { alice: one.open(), bob: one.open() };
for (const [name, client] of Object.entries(clients)) {
  console.log(`${name}: PASID ${client.pasid}, 0x${hex(ADDRESS_OF_ALL)}: inverted twice: ${client.invert(`text of ${name}`)}`);
}
for (const { devices, pasids } of iommu.groups.filter((group) => group.pasidCount > 0)) {
  for (const { pasid, domain } of pasids) {
    const [range] = domain.mappings();
    console.log(`${devices[0]?.name} PASID ${pasid}: 0x${hex(range!.iova)} leads to 0x${hex(range!.paddr)}`);
  }
}

clients.alice.close();
console.log(`bob: ${clients.bob.invert('still here')}`);
console.log(one.loadFirmware(8));
for (const { isWrite, pasid, iova, reason } of iommu.faults.list) {
  console.log(`fault: ${isWrite ? 'write' : 'read'} of 0x${hex(iova)} at PASID ${pasid}: ${reason}`);
}
clients.bob.close();
