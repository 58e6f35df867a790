import {
  AddressSpace,
  type Device,
  type EmulatedDevice,
  type EmulatedIrq,
  type EmulatedRegion,
  Errno,
  EventFd,
  Ims,
  MdevBus,
  type MdevDevice,
  type MdevDriver,
  type MdevParent,
  Mmio,
  type MsiDomain,
  type MsiMap,
  type PasidCookie,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  Vfio,
  type VfioContainer,
  type VfioDevice,
  type VfioFile,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  imsArray,
  pciId,
} from 'backplane';
import { type HostSim, type HostSimOptions, hostSim } from 'backplane/plugins/host-sim';
import { ImsSlots, type Model, type PciModel, type PciModelContext, RegisterFile, pcie, rawExtended } from 'backplane/sim';

export const PAGE = 4096;
const ID = { vendor: 0x1de5, device: 0x0d5d };
const SLOTS = 4;
const BASE = '83b8f4f2-509f-382f-3c1e-e6bfe0fa10';
export const uuid = (n: number): string => `${BASE}${n.toString(16).padStart(2, '0')}`;

/** A card with slots for messages, and a way to memory; what it does, the test says. */
class Card implements Model {
  readonly slots: ImsSlots;
  readonly regions: Model['regions'];
  constructor(readonly context: PciModelContext) {
    this.slots = new ImsSlots(SLOTS, context.irq);
    this.regions = { 0: this.slots };
  }
  reset(): void {
    this.slots.reset();
  }
}

function cardModel(made: Card[]): PciModel {
  return {
    name: 'card',
    config: {
      ...ID,
      classCode: 0xff0000,
      bars: { 0: { kind: 'mem32', sizeBytes: PAGE } },
      capabilities: [pcie({})],
      extended: [rawExtended(0x1b, 1, Uint8Array.of(4, 20, 0, 0), Uint8Array.of(0, 0, 7, 0), 0x100)],
    },
    create: (context) => {
      const card = new Card(context);
      made.push(card);
      return card;
    },
  };
}

/** A part of a card: 16 bytes of registers, a page, five vectors, of which all but the last are slots of the card. */
export class Part implements EmulatedDevice {
  readonly regions: readonly EmulatedRegion[] = [
    { index: VFIO_PCI_REGION.BAR0, sizeBytes: 16 },
    { index: VFIO_PCI_REGION.BAR2, sizeBytes: PAGE, mmap: true },
    { index: VFIO_PCI_REGION.CONFIG, sizeBytes: 64, access: 'r' },
  ];
  readonly irqs: readonly EmulatedIrq[];
  readonly maps = new Map<number, MsiMap>();
  readonly accesses: string[] = [];
  readonly requests: number[] = [];
  readonly unmapped: [iova: number, sizeBytes: number][] = [];
  device!: VfioDevice;
  isOpen = false;

  constructor(
    readonly dev: MdevDevice,
    domain: MsiDomain<PasidCookie>,
  ) {
    const take = (k: number): number => {
      const map = domain.alloc();
      this.maps.set(k, map);
      return map.virq;
    };
    const give = (k: number): void => {
      this.maps.get(k)![Symbol.dispose]();
      this.maps.delete(k);
    };
    this.irqs = [
      { index: VFIO_PCI_IRQ.INTX, count: 1 },
      { index: VFIO_PCI_IRQ.MSI, count: 1 },
      { index: VFIO_PCI_IRQ.MSIX, count: 5, take, give },
    ];
  }

  readRegion(region: number, offset: number, bytes: 1 | 2 | 4): number {
    this.accesses.push(`r${bytes} ${region}+${offset}`);
    return 0x0403_0201 >>> (32 - 8 * bytes);
  }
  writeRegion(region: number, offset: number, bytes: 1 | 2 | 4, value: number): void {
    this.accesses.push(`w${bytes} ${region}+${offset} ${value.toString(16)}`);
  }
  mmap(_region: number, _offset: number, sizeBytes: number): Mmio {
    return new Mmio(new RegisterFile([], sizeBytes), 'page of a part');
  }
  open(): void {
    this.isOpen = true;
  }
  close(): void {
    this.isOpen = false;
  }
  request(count: number): void {
    this.requests.push(count);
  }
  dmaUnmap(iova: number, sizeBytes: number): void {
    this.unmapped.push([iova, sizeBytes]);
    this.device.unpinPages(iova, sizeBytes / PAGE);
  }
}

/** Makes parts. */
class PartDriver implements MdevDriver<Part> {
  readonly name = 'part_mdev';
  readonly deviceApi = 'vfio-pci';
  readonly maxInstances = 2;
  readonly domains = new Map<Device, MsiDomain<PasidCookie>>();
  constructor(readonly vfio: Vfio) {}
  probe(dev: MdevDevice): Part {
    const part = new Part(dev, this.domains.get(dev.mdevParent.dev)!);
    part.device = this.vfio.registerEmulated(dev, part, { pasid: true });
    return part;
  }
}

/** The plugin of somebody who hands out parts of his card. */
export const parts = new Plugin('parts', ({ bind }) => {
  bind(PciDriver).toDynamicValue((context): PciDriver<MdevParent> => {
    const [ims, vfio, mdev] = [context.get(Ims), context.get(Vfio), context.get(MdevBus)];
    const driver = new PartDriver(vfio);
    return {
      name: 'parts',
      ids: [pciId(ID.vendor, ID.device)],
      probe: (dev: PciDevice): MdevParent => {
        const regs = dev.mapBar(0);
        dev.setMaster();
        driver.domains.set(dev, ims.createDomain(dev, imsArray(regs, { offset: 0, slots: SLOTS })));
        return mdev.registerParent(dev, driver, [{ name: '1', prettyName: 'one part' }, { name: '2' }]);
      },
    };
  });
});

/** A system with a card that is handed out in parts, and a user with some memory. */
export class VfioBench implements AsyncDisposable {
  readonly rules: string[] = [];
  readonly user = new AddressSpace('user');
  readonly #pages: number[] = [];
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly cards: readonly Card[],
  ) {
    system.core.violations.on(({ rule }) => this.rules.push(rule));
  }

  static async start(options: Omit<HostSimOptions, 'devices'> = {}): Promise<VfioBench> {
    const cards: Card[] = [];
    const model = cardModel(cards);
    const sim = hostSim({
      cpus: 2,
      clock: 'manual',
      ...options,
      devices: [
        { at: '00:04.0', model },
        { at: '00:05.0', model },
      ],
    });
    return new VfioBench(sim, await System.start(sim.plugin, parts), cards);
  }

  get vfio(): Vfio {
    return this.system.kernel.vfio;
  }
  get mdev(): MdevBus {
    return this.system.kernel.mdev;
  }
  get card(): Card {
    return this.cards[0]!;
  }

  /** `echo <uuid> > .../mdev_supported_types/parts-1/create` */
  create(text: string, type = '1', at = '0000:00:04.0'): Promise<string> {
    return codeOf(() => this.system.device(at).attributes.write(`mdev_supported_types/parts-${type}/create`, text));
  }
  available(type = '1'): number {
    return Number(this.system.device('0000:00:04.0').attributes.read(`mdev_supported_types/parts-${type}/available_instances`));
  }
  part(n = 1): Part {
    return this.mdev.find(uuid(n))!.state as Part;
  }

  /** A part, opened. */
  async open(n = 1): Promise<{ readonly part: Part; readonly file: VfioFile; readonly container: VfioContainer }> {
    await this.create(uuid(n));
    const file = this.vfio.openDevice(uuid(n));
    const container = this.vfio.container(this.user);
    await file.bind(container);
    return { part: this.part(n), file, container };
  }

  /** Pages of the user at an address. @returns where they are */
  pages(vaddr: number, count: number, prot?: number): number {
    const at = this.sim.dma.alloc(count * PAGE, { mask: 2 ** 40 - 1 });
    this.sim.dma.write(at, new Uint8Array(count * PAGE), 0, count * PAGE);
    this.#pages.push(at);
    this.user.map(vaddr, at, count * PAGE, prot);
    return at;
  }

  /** The card sends the message of a slot. */
  fire(slot: number): void {
    this.card.slots.send(slot);
    this.sim.drain();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const at of this.#pages) this.sim.dma.free(at);
    await this.system.stop();
  }
}

export const fds = (count: number): EventFd[] => Array.from({ length: count }, (_, n) => new EventFd(`fd ${n}`));

export async function codeOf(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'ok';
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
}
