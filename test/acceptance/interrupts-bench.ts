import {
  type Device,
  Errno,
  type ImsStore,
  type IrqDomain,
  Kernel,
  type KernelOptions,
  type MsiDomain,
  type MsiDomainSpec,
  type MsiTemplate,
  type PciDevice,
  type PciDriver,
  pciId,
} from '../../core/index.js';
import {
  type Capability,
  type DeviceSpec,
  type EndpointConfig,
  ImsSlots,
  Machine,
  type MachineOptions,
  type Model,
  type PciModel,
  type PciModelContext,
  RegisterFile,
  msi,
  msix,
  pcie,
  powerManagement,
} from '../../hw/sim/index.js';

/** Where the device under test is. */
export const AT = '0000:6a:01.0';
/** Its requester id. */
export const REQUESTER = 0x6a08;
const ID = { vendor: 0x1de5, device: 0x0d5a };

interface CardOptions {
  /** Entries of its MSI-X table; default it has none. */
  readonly msix?: number;
  readonly msi?: { readonly vectors?: number; readonly is64?: boolean; readonly maskable?: boolean };
  readonly pin?: boolean;
}

/** Silicon with what the test asks for, and with IMS slots in BAR 0; the test reaches behind its registers. */
class Card implements Model {
  readonly regions: Model['regions'];
  readonly slots: ImsSlots;

  constructor(readonly context: PciModelContext) {
    this.slots = new ImsSlots(64, context.irq);
    this.regions = { 0: this.slots, 1: new RegisterFile([], 0x1_0000) };
  }

  reset(): void {
    this.slots.reset();
  }
}

function cardModel(options: CardOptions, made: (card: Card) => void): PciModel {
  const capabilities: Capability[] = [powerManagement({ noSoftReset: false }), pcie({ flr: true })];
  if (options.msi !== undefined) capabilities.push(msi(options.msi));
  if (options.msix !== undefined) {
    capabilities.push(msix({ vectors: options.msix, table: { bar: 1, offset: 0 }, pba: { bar: 1, offset: 0x8000 } }));
  }
  const config: EndpointConfig = {
    ...ID,
    classCode: 0x118000,
    ...(options.pin === true ? { interruptPin: 'A' as const } : {}),
    bars: { 0: { kind: 'mem32', sizeBytes: 1024 }, 1: { kind: 'mem32', sizeBytes: 0x1_0000 } },
    capabilities,
  };
  return {
    name: 'card',
    config,
    create: (context) => {
      const card = new Card(context);
      made(card);
      return card;
    },
  };
}

export interface BenchOptions extends Omit<MachineOptions, 'roots' | 'devices'> {
  readonly irq?: KernelOptions['irq'];
  readonly card?: CardOptions;
  /** More cards, by slot number; default none. */
  readonly others?: readonly number[];
}

/** A system with the device under test bound to a driver that does nothing, and what rules were broken. */
export class Bench implements AsyncDisposable {
  readonly violations: string[] = [];
  readonly warnings: string[] = [];
  readonly cards = new Map<string, Card>();

  private constructor(
    readonly machine: Machine,
    readonly kernel: Kernel,
  ) {
    kernel.core.violations.on(({ rule }) => this.violations.push(rule));
    kernel.core.log.follow(({ level, text }) => {
      if (level === 'warn') this.warnings.push(text);
    });
  }

  /** 4 CPUs with remapping, unless told otherwise. */
  static async start({ irq, card = {}, others = [], ...machine }: BenchOptions = {}): Promise<Bench> {
    const cards: Card[] = [];
    const model = cardModel(card, (one) => cards.push(one));
    const devices: DeviceSpec[] = [1, ...others].map((slot) => ({ at: `6a:${slot.toString(16).padStart(2, '0')}.0`, model }));
    const sim = new Machine({ cpus: 4, ...machine, roots: [{ firstBus: 0x6a }], devices });
    const kernel = new Kernel(sim, irq === undefined ? {} : { irq });
    const bench = new Bench(sim, kernel);
    for (const one of cards) bench.cards.set(one.context.name, one);
    await kernel.start();
    const driver: PciDriver = { name: 'bench', ids: [pciId(ID.vendor, ID.device)], probe: () => {} };
    await kernel.core.registerDriver(kernel.pci.bus, driver);
    return bench;
  }

  /** Where interrupts do not pass a remapping unit of the machine's own. */
  static mini(options: BenchOptions = {}): Promise<Bench> {
    return Bench.start({ cpus: 2, irq: { vectors: { first: 32, end: 36, system: [] } }, ...options });
  }

  get dev(): PciDevice {
    return this.at(AT);
  }
  get card(): Card {
    return this.cards.get(AT)!;
  }

  at(name: string): PciDevice {
    return this.kernel.pci.find(name)!;
  }

  /** An IMS domain whose slots are plain memory. */
  ims(slots = 4, store: Partial<ImsStore> = {}): MsiDomain {
    return this.kernel.ims.createDomain(this.dev, plainStore(slots, store)) as MsiDomain;
  }

  /** A domain of a template. */
  domain(template: MsiTemplate, size = 4, more: Partial<MsiDomainSpec> = {}, dev: Device = this.dev): MsiDomain {
    return this.kernel.msi.createDomain(dev, {
      id: 'secondary',
      template,
      size,
      label: 'ims domain',
      slotLabel: 'ims slot',
      ...more,
    });
  }

  /** Writes the message of an interrupt as its device would, and delivers. */
  fire(domain: MsiDomain, index: number): void {
    const msg = domain.message(index)!;
    this.card.context.irq.post(msg.addressLo, msg.addressHi, msg.data);
    this.machine.drain();
  }

  /** Tells of each entry that is written to the remapping table. */
  onEntry(listener: (index: number, words: Uint32Array) => void): void {
    const { messages } = this.machine.interrupts;
    const unit = messages.remapping!;
    const write = unit.write.bind(unit);
    unit.write = (index, words) => {
      listener(index, words);
      write(index, words);
    };
  }

  take(): string[] {
    return this.violations.splice(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
  }
}

/** A store that keeps nothing. */
export function plainStore(slots: number, more: Partial<ImsStore> = {}): ImsStore {
  return { name: 'PCI-IDXD', slots, mask() {}, unmask() {}, writeMsg() {}, ...more };
}

/** The slots of the template `ARRAY`, and what was done to them. */
export class Table {
  readonly log: string[] = [];
}

/** The template `ARRAY` of the scenarios; parts of it may be replaced. */
export function array(
  table = new Table(),
  {
    chip,
    ops,
    ...more
  }: { [K in keyof MsiTemplate]?: K extends 'chip' | 'ops' ? Partial<NonNullable<MsiTemplate[K]>> : MsiTemplate[K] } = {},
): MsiTemplate {
  return {
    chip: {
      name: 'PCI-IDXD',
      oneshotSafe: true,
      mask: () => void table.log.push('mask'),
      unmask: () => void table.log.push('unmask'),
      writeMsiMsg: (_data, msg) => void table.log.push(`write ${msg.addressLo.toString(16)} ${msg.data.toString(16)}`),
      ...chip,
    },
    ops: {
      prepareDesc: (desc, info) => {
        desc.slot = desc.index;
        info.hwirq = desc.index;
        table.log.push('prepare');
      },
      ...ops,
    },
    flags: ['alloc-simple-msi-descs', 'free-msi-descs', 'ims'],
    busToken: 'pci-device-ims',
    ...more,
  };
}

/** The error that `fn` throws. */
export function thrown(fn: () => unknown): Errno | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    if (Errno.is(error)) return error;
    throw error;
  }
}

/** Its code, `ok` when it throws nothing. */
export const codeOf = (fn: () => unknown): string => thrown(fn)?.code ?? 'ok';

/** A domain and those it stands on. */
export const names = (domain: IrqDomain | undefined): string[] =>
  domain === undefined ? [] : [domain.name, ...names(domain.parent)];
