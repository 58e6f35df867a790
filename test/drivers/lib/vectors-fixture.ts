import { AuxName, type AuxiliaryDevice, type AuxiliaryDriver, Kernel, type PciDevice } from '../../../core/index.js';
import { MessageMemory, MessageSource, MsixSource, type VectorSource, VectorTable } from '../../../drivers/lib/vectors/index.js';
import { type IrqNeeds, irqSizes, wantedVectors } from '../../../drivers/mlx5/irq-sizes.js';
import { IrqTable } from '../../../drivers/mlx5/irq-table.js';
import { Machine, msix } from '../../../hw/sim/index.js';
import { type ScratchKind, scratch } from '../../hw/sim/fixture.js';
import { TestDriver } from '../../core/pci/fixture.js';

export const BDF = '0000:06:00.0';
const SF = new AuxName('mlx5_core.sf');

export interface SceneOptions extends Partial<IrqNeeds> {
  /** Entries of the MSI-X table; 0: it has none. */
  readonly msix?: number;
  /** Messages in memory at most. */
  readonly ims?: number;
  /** The platform gives all vectors of the table at the start, and none later. */
  readonly isStatic?: boolean;
  /** In what order they are asked. */
  readonly order?: readonly ('msix' | 'ims')[];
}

/** A function that has vectors and nothing else, bound to a driver that takes nothing. */
export class VectorScene implements AsyncDisposable {
  readonly messages: MessageMemory | undefined;
  readonly table: VectorTable;
  readonly irqs: IrqTable;

  private constructor(
    readonly machine: Machine,
    readonly kernel: Kernel,
    readonly kind: ScratchKind,
    readonly dev: PciDevice,
    options: SceneOptions,
  ) {
    const { msix: entries = 64, ims = 0, order = ['msix', 'ims'] } = options;
    const needs = { ports: 1, cpus: options.cpus ?? 8, maxEqs: 64, maxSfs: 16, ...options };
    const sources: VectorSource[] = [];
    let granted = 0;
    for (const name of order) {
      if (name === 'msix' && entries > 0) {
        const source = new MsixSource(dev, wantedVectors(needs, entries + ims).total);
        granted += source.capacity;
        sources.push(source);
      } else if (name === 'ims' && ims > 0) {
        this.messages = new MessageMemory(dev, kernel.dma, ims);
        sources.push(new MessageSource(kernel.ims.createDomain(dev, this.messages), this.messages));
        granted += ims;
      }
    }
    this.table = new VectorTable(dev, kernel.irqs, sources);
    this.irqs = new IrqTable(this.table, irqSizes(needs, { capacity: entries + ims, granted }));
  }

  static async start(options: SceneOptions = {}): Promise<VectorScene> {
    const { msix: entries = 64, cpus = 8 } = options;
    const capabilities = [
      msix({ vectors: Math.max(entries, 1), table: { bar: 0, offset: 0x8000 }, pba: { bar: 0, offset: 0x1_0000 } }),
    ];
    const kind = scratch(
      { vendor: 0x15b3, device: 0x101d, capabilities: entries > 0 ? capabilities : [] },
      { kind: 'mem64', sizeBytes: 0x2_0000 },
    );
    const machine = new Machine({ cpus, roots: [{ firstBus: 6 }], devices: [{ at: '06:00.0', model: kind }] });
    const kernel = new Kernel(machine);
    await kernel.start();
    if (options.isStatic === true) {
      (kernel.interrupts.msiParent!.msiParent!.supported as Set<string>).delete('pci-msix-alloc-dyn');
    }
    await kernel.pci.register(new TestDriver([{ vendor: 0x15b3, device: 0x101d }]));
    await kernel.auxiliary.register(new SfDriver());
    const dev = kernel.pci.find(BDF)!;
    return new VectorScene(machine, kernel, kind, dev, options);
  }

  /** A sub-function, bound. */
  sf(): AuxiliaryDevice {
    return this.kernel.auxiliary.add(this.dev, SF, { data: undefined }) as AuxiliaryDevice;
  }

  /** A sub-function with its control vector and some completion vectors, as when its event queues are open. */
  openSf(completions: number): AuxiliaryDevice {
    const dev = this.sf();
    const control = this.irqs.requestSfControl(dev);
    for (let eq = 0; eq < 3; eq++) control.attach(() => {});
    for (let n = 0; n < completions; n++) this.irqs.requestSfCompletion(dev, n).attach(() => {});
    return dev;
  }

  /** The function with its control vector and some completion vectors. */
  openPf(completions: number): void {
    const control = this.irqs.requestControl(this.dev);
    for (let eq = 0; eq < 3; eq++) control.attach(() => {});
    for (let n = 0; n < completions; n++) this.irqs.requestCompletion(this.dev, n).attach(() => {});
  }

  /** What the log has of a kind. */
  logged(id: string): string[] {
    return this.kernel.core.log
      .records()
      .filter((record) => record.id === id)
      .map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
  }
}

class SfDriver implements AuxiliaryDriver<unknown, void> {
  readonly name = 'sf';
  readonly ids = [SF];
  probe(): void {}
}
