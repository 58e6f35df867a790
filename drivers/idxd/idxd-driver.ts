import {
  DeviceCore,
  Dma,
  Errno,
  Ims,
  Iommu,
  type MaybePromise,
  type PciDevice,
  type PciDriver,
  hex,
  imsArray,
  inject,
  injectable,
} from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { IdxdOptions } from './api.js';
import { readCaps } from './caps.js';
import { disableCauses, enableCauses } from './causes.js';
import { Commands } from './commands.js';
import { loadConfiguration } from './configure.js';
import { DsaBus, type DsaDevice } from './dsa-bus.js';
import { Idxd } from './idxd.js';
import { MiscInterrupt } from './misc-interrupt.js';

/** Bits of the addresses that the device sends. */
const DMA_BITS = 64;
const KNOWN_VERSIONS: readonly number[] = [0x100, 0x200];

/**
 * The driver of the PCI function: it finds out what the device can do, takes its interrupts, and puts its parts on bus `dsa`, where they
 * are configured and enabled.
 * @see Linux 6.12 drivers/dma/idxd/init.c idxd_pci_probe, idxd_remove
 */
@injectable()
export class IdxdDriver implements PciDriver<Idxd> {
  readonly name = 'idxd';
  readonly ids = [DSA.ID];

  constructor(
    @inject(DeviceCore) private readonly core: DeviceCore,
    @inject(DsaBus) private readonly bus: DsaBus,
    @inject(Ims) private readonly ims: Ims,
    @inject(Dma) private readonly dma: Dma,
    @inject(Iommu) private readonly iommu: Iommu,
    @inject(IdxdOptions) private readonly options: IdxdOptions,
  ) {}

  probe(dev: PciDevice): MaybePromise<Idxd> {
    const regs = dev.mapBar(DSA.REGISTERS_BAR);
    const portals = dev.mapBar(DSA.PORTALS_BAR);
    this.dma.setMask(dev, DMA_BITS);
    dev.setMaster();
    const version = regs.read(DSA.VERSION);
    if (!KNOWN_VERSIONS.includes(version)) throw new Errno('ENODEV', `${dev.name}: is of version 0x${hex(version)}, not 1 or 2`);
    if (regs.readField(DSA.GENSTATUS, DSA.GENSTATUS.fields.state) === DSA.STATES.halted) {
      throw new Errno('ENXIO', `${dev.name}: has halted: reset it`);
    }
    const commands = new Commands(dev, regs);
    dev.devres.defer('commands', () => commands.stop());
    const { status } = commands.runPolled('resetDevice');
    if (status !== DSA.ERRORS.none) throw new Errno('EIO', `${dev.name}: reset refused with status 0x${hex(status)}`);
    const caps = readCaps(regs, version);
    const { core, bus, dma, options } = this;
    const idxd = new Idxd({ dev, core, bus, id: this.#freeId(), regs, portals, caps, commands, dma, options });
    if (!caps.isConfigurable) loadConfiguration(idxd);
    this.#takeSystemPasid(idxd);
    this.#setUpInterrupts(idxd);
    const added = this.#add(idxd, [idxd.conf, ...idxd.wqs, ...idxd.engines, ...idxd.groups]);
    return added === undefined ? idxd : added.then(() => idxd);
  }

  async shutdown(_dev: PciDevice, idxd: Idxd): Promise<void> {
    if (idxd.state === 'enabled') await idxd.commands.run('disableDevice');
    disableCauses(idxd);
  }

  #freeId(): number {
    for (let id = 0; ; id++) if (this.bus.find(`dsa${id}`) === undefined) return id;
  }

  /** Vector 0, then one for each queue as far as the table goes; and the message store. */
  #setUpInterrupts(idxd: Idxd): void {
    const { dev, regs, caps } = idxd;
    idxd.vectors = dev.allocVectors({ types: ['msix'], max: caps.workQueues + 1 });
    const misc = new MiscInterrupt(idxd);
    dev.requestIrq(0, { name: 'idxd-misc', thread: () => misc.handle() });
    enableCauses(idxd);
    dev.devres.defer('interrupt causes', () => disableCauses(idxd));
    // What a halt has led to ends while there are interrupts.
    dev.devres.defer('scheduled work', () => idxd.close());
    if (caps.imsSlots > 0) {
      idxd.ims = this.ims.tryCreateDomain(dev, imsArray(regs, { offset: caps.imsAt, slots: caps.imsSlots }));
    }
  }

  /** Work of the kernel in shared queues needs an address space with a number. @see Linux 6.12 idxd_enable_system_pasid */
  #takeSystemPasid(idxd: Idxd): void {
    const { dev } = idxd;
    const domain = this.iommu.group(dev)?.defaultDomain;
    if (domain === undefined || this.iommu.maxPasids(dev) === 0) return;
    const pasid = this.iommu.allocPasid(dev);
    this.iommu.attachPasid(domain, dev, pasid);
    idxd.systemPasid = pasid;
  }

  /** Adds the parts, one after the other: what drivers make of them may take time. */
  #add(idxd: Idxd, parts: readonly DsaDevice[], from = 0): Promise<void> | undefined {
    for (let i = from; i < parts.length; i++) {
      const added = this.core.addChild(idxd.dev, parts[i]!);
      if (added !== undefined) return added.then(() => this.#add(idxd, parts, i + 1));
    }
    return undefined;
  }
}
