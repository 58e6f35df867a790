import {
  DMA_MAPPING_ERROR,
  Errno,
  type IommuFaultRecord,
  Kernel,
  type KernelOptions,
  type PciDevice,
  type PciDriver,
  pciId,
} from 'backplane';
import {
  type DmaPort,
  type ExtendedCapability,
  Machine,
  type MachineOptions,
  type Model,
  type PciModel,
  type PciModelContext,
  RegisterFile,
  pcie,
  rawExtended,
} from 'backplane/sim';

export const PAGE = 4096;
export const ID = { vendor: 0x1de5, device: 0x0d5b };

/** PASID capability of a width, with its enable bit writable. */
function pasidCapability(bits: number): ExtendedCapability {
  return rawExtended(0x1b, 1, Uint8Array.of(4, bits, 0, 0), Uint8Array.of(0, 0, 7, 0), 0x100);
}

/** Silicon with one register; the test makes its accesses. */
class Card implements Model {
  readonly regions: Model['regions'] = { 0: new RegisterFile([], PAGE) };
  constructor(readonly context: PciModelContext) {}
  reset(): void {}
}

export interface CardSpec {
  readonly at: string;
  /** Default 20; 0: it has no PASIDs. */
  readonly pasidBits?: number;
}

function cardModel(pasidBits: number, made: (card: Card) => void): PciModel {
  return {
    name: 'card',
    config: {
      ...ID,
      classCode: 0xff0000,
      bars: { 0: { kind: 'mem32', sizeBytes: PAGE } },
      capabilities: [pcie({})],
      extended: pasidBits === 0 ? [] : [pasidCapability(pasidBits)],
    },
    create: (context) => {
      const card = new Card(context);
      made(card);
      return card;
    },
  };
}

export interface BenchOptions extends Omit<MachineOptions, 'devices'> {
  readonly cards?: readonly CardSpec[];
  readonly kernel?: KernelOptions;
  /** Default: one that makes its device bus master. */
  readonly driver?: Partial<PciDriver>;
  /** Default the kit reports and logs all errors of the DMA API. */
  readonly firstErrorOnly?: boolean;
}

/** Cards that are bound to a driver, the machine they are in, and what rules were broken. */
export class Bench implements AsyncDisposable {
  readonly violations: { rule: string; dev: string | undefined; text: string }[] = [];
  readonly cards = new Map<string, Card>();
  readonly #pages: number[] = [];

  private constructor(
    readonly machine: Machine,
    readonly kernel: Kernel,
  ) {
    kernel.core.violations.on(({ rule, dev, text }) => this.violations.push({ rule, dev, text }));
  }

  static async start(options: BenchOptions = {}): Promise<Bench> {
    const { cards = [{ at: '00:04.0' }], kernel: kernelOptions = {}, driver = {}, firstErrorOnly = false, ...rest } = options;
    const made: Card[] = [];
    const devices = cards.map(({ at, pasidBits = 20 }) => ({ at, model: cardModel(pasidBits, (card) => made.push(card)) }));
    const machine = new Machine({ memoryBytes: 2 ** 33, ...rest, devices });
    const kernel = new Kernel(machine, kernelOptions);
    if (!firstErrorOnly) kernel.dma.debug.allErrors = true;
    const bench = new Bench(machine, kernel);
    for (const card of made) bench.cards.set(card.context.name, card);
    await kernel.start();
    const probe = (dev: PciDevice): void => {
      dev.enable();
      dev.setMaster();
    };
    await kernel.core.registerDriver(kernel.pci.bus, {
      name: 'bench',
      ids: [pciId(ID.vendor, ID.device)],
      probe,
      ...driver,
    } satisfies PciDriver);
    return bench;
  }

  get dev(): PciDevice {
    return this.at('0000:00:04.0');
  }

  at(name: string): PciDevice {
    return this.kernel.pci.find(name)!;
  }

  /** The card's way to memory. */
  port(name = '0000:00:04.0'): DmaPort {
    return this.cards.get(name)!.context.dma;
  }

  /** One byte as the card reads it; the reason of the fault when it is refused. */
  peek(address: number, pasid?: number, name?: string): number | string {
    const out = new Uint8Array(1);
    const before = this.machine.iommuFaults.length;
    if (this.port(name).read(address, out, 0, 1, pasid)) return out[0]!;
    return this.machine.iommuFaults[before]?.reason ?? 'no fault';
  }

  /** Writes a byte as the card does: `ok`, or the reason of the fault. */
  poke(address: number, value: number, pasid?: number, name?: string): string {
    const before = this.machine.iommuFaults.length;
    if (this.port(name).write(address, Uint8Array.of(value), 0, 1, pasid)) return 'ok';
    return this.machine.iommuFaults[before]?.reason ?? 'no fault';
  }

  /** Physical pages, the first byte of each as given. */
  pages(...firstBytes: number[]): number {
    const at = this.kernel.host.dma.alloc(PAGE * firstBytes.length, { mask: 2 ** 40 - 1 });
    this.#pages.push(at);
    firstBytes.forEach((byte, i) => this.machine.dma.write(at + i * PAGE, Uint8Array.of(byte), 0, 1));
    return at;
  }

  /** Each in a run of its own. */
  page(byte: number): number {
    return this.pages(byte);
  }

  /** Rules broken since the last call. */
  take(): string[] {
    return this.violations.splice(0).map(({ rule }) => rule);
  }

  /** What the checker has said since the last call. */
  texts(): string[] {
    return this.violations.splice(0).map(({ text }) => text);
  }

  log(id: string): string[] {
    return this.kernel.core.log
      .records()
      .filter((record) => record.id === id)
      .map(({ text }) => text);
  }

  get faults(): readonly IommuFaultRecord[] {
    return this.kernel.iommu.faults.list;
  }

  /** Maps a buffer by the calls, and asks whether that went well. */
  map(
    buffer: Parameters<Kernel['dma']['calls']['mapSingle']>[1],
    sizeBytes: number,
    direction: 'to-device' | 'from-device' | 'bidirectional',
    attrs = 0,
  ): number {
    const { calls } = this.kernel.dma;
    const address = calls.mapSingle(this.dev, buffer, sizeBytes, direction, attrs);
    if (calls.mappingError(this.dev, address) !== 0 || address === DMA_MAPPING_ERROR) throw new Error('not mapped');
    return address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const at of this.#pages.splice(0)) this.machine.dma.free(at);
    await this.kernel.stop();
  }
}

export function codeOf(fn: () => unknown): string {
  try {
    fn();
    return 'ok';
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
}
