import {
  AddressSpace,
  type EmulatedDevice,
  type EmulatedIrq,
  type EmulatedOptions,
  type EmulatedRegion,
  Errno,
  EventFd,
  type ImsStore,
  Kernel,
  type KernelOptions,
  type MdevDevice,
  type MdevDriver,
  type MdevParent,
  type MdevTypeSpec,
  Mmio,
  type MsiDomain,
  type MsiMap,
  type MsiMsg,
  type PciDevice,
  type PciDriver,
  type Uevent,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  type VfioDevice,
  type VfioFile,
  pciId,
} from '../../../core/index.js';
import {
  Machine,
  type MachineOptions,
  type Model,
  type PciModel,
  type PciModelContext,
  RegisterFile,
  msix,
  pcie,
  rawExtended,
} from '../../../hw/sim/index.js';

export const PAGE = 4096;
export const CARD = '0000:00:04.0';
export const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
export const OTHER_UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1002';
export const ID = { vendor: 0x1de5, device: 0x0d5c };
const { MSI, MSIX, INTX } = VFIO_PCI_IRQ;

/** Silicon that does nothing by itself: the test sends its messages and makes its accesses. */
export class Card implements Model {
  readonly regions: Model['regions'] = { 0: new RegisterFile([], PAGE), 1: new RegisterFile([], PAGE) };
  constructor(readonly context: PciModelContext) {}
  reset(): void {}
}

export function cardModel(made: Card[], pasidBits = 20): PciModel {
  const pasid = rawExtended(0x1b, 1, Uint8Array.of(4, pasidBits, 0, 0), Uint8Array.of(0, 0, 7, 0), 0x100);
  return {
    name: 'card',
    config: {
      ...ID,
      classCode: 0xff0000,
      bars: { 0: { kind: 'mem32', sizeBytes: PAGE }, 1: { kind: 'mem32', sizeBytes: PAGE } },
      capabilities: [pcie({}), msix({ vectors: 4, table: { bar: 1, offset: 0 }, pba: { bar: 1, offset: 0x800 } })],
      extended: pasidBits === 0 ? [] : [pasid],
    },
    create: (context) => {
      const card = new Card(context);
      made.push(card);
      return card;
    },
  };
}

/** A part of a card, as its driver emulates it: a page of registers, and vectors that are slots of the card. */
export class Port implements EmulatedDevice {
  readonly regions: readonly EmulatedRegion[] = [
    { index: VFIO_PCI_REGION.BAR0, sizeBytes: 32 },
    { index: VFIO_PCI_REGION.BAR2, sizeBytes: PAGE, mmap: true },
    { index: VFIO_PCI_REGION.CONFIG, sizeBytes: 6, access: 'r' },
    { index: VFIO_PCI_REGION.BAR4, sizeBytes: 8, access: 'w' },
  ];
  readonly irqs: readonly EmulatedIrq[];
  readonly bytes = new DataView(new ArrayBuffer(PAGE));
  /** What its user did, in order. */
  readonly log: string[] = [];
  /** What a vector has of the card. */
  readonly maps = new Map<number, MsiMap>();
  /** Cookies that vectors are taken with. */
  readonly cookies = new Map<number, number>();
  device!: VfioDevice;

  constructor(
    readonly dev: MdevDevice,
    readonly domain: MsiDomain<number>,
    vectors = 8,
  ) {
    const take = (k: number): number => {
      this.log.push(`take ${k}`);
      const map = domain.alloc({ cookie: this.cookies.get(k) ?? 0 });
      this.maps.set(k, map);
      return map.virq;
    };
    const give = (k: number): void => {
      this.log.push(`give ${k}`);
      domain.free(this.maps.get(k)!);
      this.maps.delete(k);
    };
    this.irqs = [
      { index: INTX, count: 1 },
      { index: MSI, count: 2 },
      { index: MSIX, count: vectors, take, give },
    ];
  }

  readRegion(region: number, offset: number, bytes: 1 | 2 | 4): number {
    this.log.push(`read ${region}+${offset} ${bytes}`);
    if (bytes === 4) return this.bytes.getUint32(offset, true);
    return bytes === 2 ? this.bytes.getUint16(offset, true) : this.bytes.getUint8(offset);
  }

  writeRegion(region: number, offset: number, bytes: 1 | 2 | 4, value: number): void {
    this.log.push(`write ${region}+${offset} ${bytes} 0x${value.toString(16)}`);
    if (bytes === 4) this.bytes.setUint32(offset, value, true);
    else if (bytes === 2) this.bytes.setUint16(offset, value, true);
    else this.bytes.setUint8(offset, value);
  }

  mmap(_region: number, offset: number, sizeBytes: number): Mmio {
    this.log.push(`mmap ${offset} ${sizeBytes}`);
    return new Mmio(new RegisterFile([], sizeBytes), `${this.dev.name}: page ${offset}`);
  }

  reset(): void {
    this.log.push('reset');
  }
}

/** The driver of ports. */
export class PortDriver implements MdevDriver<Port> {
  readonly name = 'port_mdev';
  readonly deviceApi: string = 'vfio-pci';
  readonly maxInstances: number = 2;
  /** Of the last probe. */
  last: Port | undefined = undefined;
  readonly removed: string[] = [];

  constructor(
    readonly on: { readonly kernel: Kernel; readonly domain: MsiDomain<number>; readonly vectors: number },
    readonly options: EmulatedOptions = {},
    /** Changes what is registered. */
    readonly shape: (port: Port) => void = () => {},
  ) {}

  probe(dev: MdevDevice): Port {
    const port = new Port(dev, this.on.domain, this.on.vectors);
    this.shape(port);
    port.device = this.on.kernel.vfio.registerEmulated(dev, port, this.options);
    this.last = port;
    return port;
  }

  remove(dev: MdevDevice): void {
    this.removed.push(dev.name);
  }
}

export interface BenchOptions extends Pick<MachineOptions, 'interrupts' | 'cpus'> {
  readonly kernel?: KernelOptions;
  /** Default 1. */
  readonly cards?: number;
  /** Slots of the card; default 8. */
  readonly slots?: number;
  /** Vectors of a port; default 8. */
  readonly vectors?: number;
  /** 0: the card has no PASIDs; default 20. */
  readonly pasidBits?: number;
  /** How ports are registered, and what of them is otherwise. */
  readonly port?: EmulatedOptions;
  readonly shape?: (port: Port) => void;
  readonly mdev?: (bench: Bench) => MdevDriver;
  readonly types?: readonly MdevTypeSpec[];
  /** Of the cards; default one that makes the first of them a parent. */
  readonly driver?: (bench: Bench) => Partial<PciDriver>;
}

/** A simulated machine with a card whose driver makes parts of it for users. */
export class Bench implements AsyncDisposable {
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly cards: Card[] = [];
  /** Messages in the slots of the card. */
  readonly messages: MsiMsg[] = [];
  /** Cookies of slots, as they were allocated. */
  readonly slotCookies: (number | undefined)[] = [];
  readonly memory = new AddressSpace('user');
  readonly violations: string[] = [];
  readonly uevents: Uevent[] = [];
  readonly vectors: number;
  domain!: MsiDomain<number>;
  parent!: MdevParent;
  portDriver!: MdevDriver;
  readonly #options: BenchOptions;
  readonly #pages: number[] = [];

  private constructor(options: BenchOptions) {
    const { cards = 1, pasidBits = 20, kernel = {}, vectors = 8, interrupts = 'remapped', cpus = 4 } = options;
    this.#options = options;
    this.vectors = vectors;
    const devices = Array.from({ length: cards }, (_, n) => ({ at: `00:0${4 + n}.0`, model: cardModel(this.cards, pasidBits) }));
    this.machine = new Machine({ clock: 'manual', cpus, interrupts, memoryBytes: 2 ** 30, devices });
    this.kernel = new Kernel(this.machine, kernel);
    this.kernel.core.violations.on(({ rule }) => this.violations.push(rule));
    this.kernel.core.uevents.on((event) => this.uevents.push(event));
  }

  static async start(options: BenchOptions = {}): Promise<Bench> {
    const bench = new Bench(options);
    const { kernel } = bench;
    await kernel.start();
    const { mdev = () => new PortDriver(bench, options.port, options.shape), driver } = options;
    bench.portDriver = mdev(bench);
    const cardDriver: PciDriver = {
      name: 'card',
      ids: [pciId(ID.vendor, ID.device)],
      probe: (dev) => bench.probe(dev),
      ...driver?.(bench),
    };
    await kernel.core.registerDriver(kernel.pci.bus, cardDriver);
    return bench;
  }

  /** What the driver of the card does. */
  probe(dev: PciDevice): void {
    dev.enable();
    dev.setMaster();
    if (dev.name !== CARD) return;
    this.domain = this.kernel.ims.createDomain(dev, this.#store());
    this.parent = this.kernel.mdev.registerParent(dev, this.portDriver, this.#options.types ?? [{ name: 'port' }]);
  }

  #store(): ImsStore<number> {
    return {
      slots: this.#options.slots ?? 8,
      prepare: (index, cookie) => {
        this.slotCookies[index] = cookie;
        return index;
      },
      mask() {},
      unmask() {},
      writeMsg: (slot, msg) => void (this.messages[slot] = { ...msg }),
    };
  }

  get vfio() {
    return this.kernel.vfio;
  }

  get dev(): PciDevice {
    return this.at(CARD);
  }

  at(name: string): PciDevice {
    return this.kernel.pci.find(name)!;
  }

  /** Makes a port. */
  async create(uuid = UUID): Promise<Port> {
    const dev = await this.kernel.mdev.create(this.parent.types[0]!, uuid);
    return dev.state as Port;
  }

  /** Makes a port and opens it. */
  async open(uuid = UUID): Promise<{ readonly port: Port; readonly file: VfioFile }> {
    const port = await this.create(uuid);
    const file = this.vfio.openDevice(uuid);
    await file.bind(this.vfio.container(this.memory));
    return { port, file };
  }

  /** The card sends the message that a slot has. */
  fire(slot: number): void {
    const { addressLo, addressHi, data } = this.messages[slot]!;
    this.cards[0]!.context.irq.post(addressLo, addressHi, data);
    this.machine.drain();
  }

  /** Gives the user memory at an address. @returns where it is */
  give(vaddr: number, pages: number, prot?: number): number {
    const paddr = this.machine.dma.alloc(pages * PAGE, { mask: 2 ** 40 - 1 });
    this.#pages.push(paddr);
    this.memory.map(vaddr, paddr, pages * PAGE, prot);
    return paddr;
  }

  /** How often the handler of an interrupt was called. */
  total(virq: number): number {
    return this.kernel.irqs.desc(virq).total;
  }

  log(id: string): string[] {
    const records = this.kernel.core.log.records().filter((record) => record.id === id);
    return records.map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const at of this.#pages.splice(0)) this.machine.dma.free(at);
    await this.kernel.stop();
  }
}

/** Eventfds with names. */
export const eventfds = (count: number): EventFd[] => Array.from({ length: count }, (_, n) => new EventFd(`eventfd ${n}`));

/** The code of what `fn` throws; `ok` when it throws nothing. */
export function codeOf(fn: () => unknown): string {
  try {
    fn();
    return 'ok';
  } catch (error) {
    if (Errno.is(error)) return error.code;
    throw error;
  }
}

/** As {@link codeOf}, of what may be a promise. */
export async function codeOfAsync(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'ok';
  } catch (error) {
    if (Errno.is(error)) return error.code;
    throw error;
  }
}

/** Something to wait for, and what ends that. */
export function gate(): { readonly passed: Promise<void>; readonly pass: () => void } {
  let pass = (): void => {};
  const passed = new Promise<void>((resolve) => {
    pass = resolve;
  });
  return { passed, pass: () => pass() };
}
