/** A device with both a table of MSI-X messages and a store of its own (IMS), from datasheet to silicon. */
import {
  DeviceClass,
  Ims,
  type IrqHandle,
  Irqs,
  type PciDevice,
  PciDriver,
  Plugin,
  imsArray,
  inject,
  injectable,
  pciId,
  reg32,
} from 'backplane';
import { ImsSlots, type PciModel, RegisterFile, msix, pcie } from 'backplane/sim';

// The datasheet. BAR 0: write n, and the device sends message n of its table, or of its store. BAR 2: the store. BAR 4: the table.
const ID = { vendor: 0x1de5, device: 0x0002 };
const SEND_MSIX = reg32('SEND_MSIX', 0x00);
const SEND_IMS = reg32('SEND_IMS', 0x04);
const MSIX_VECTORS = 2;
const IMS = { offset: 0, slots: 4 };

export interface Board {
  /** Has the device send a message; `n` counts the table first, and the store after it. */
  send(n: number): void;
  /** Interrupts so far, in the same order. */
  counts(): readonly number[];
  /** Gives the vectors of the table back. */
  freeTable(): void;
}
export const Boards = new DeviceClass<Board>('board', { methods: ['send', 'counts', 'freeTable'] });

@injectable()
class BoardDriver implements PciDriver<void> {
  readonly name = 'board';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    @inject(Ims) private readonly ims: Ims,
    @inject(Irqs) private readonly irqs: Irqs,
  ) {}

  probe(dev: PciDevice): void {
    const regs = dev.mapBar(0);
    const table = dev.allocVectors({ min: MSIX_VECTORS, types: ['msix'] });
    const store = this.ims.createDomain(dev, imsArray(dev.mapBar(2), IMS));
    const virqs = [table.virq(0), table.virq(1), store.alloc().virq, store.alloc().virq];
    // From here on one is like the other.
    const counts = virqs.map(() => 0);
    const handles: IrqHandle[] = virqs.map((virq, n) =>
      this.irqs.request(dev, virq, { name: `board-${n}`, hard: () => counts[n]!++ }),
    );
    dev.publish(Boards, {
      send: (n) => (n < MSIX_VECTORS ? regs.write(SEND_MSIX, n) : regs.write(SEND_IMS, n - MSIX_VECTORS)),
      counts: () => counts,
      freeTable: () => {
        for (const handle of handles.slice(0, MSIX_VECTORS)) void handle.free();
        table.free();
      },
    });
  }
}

export const board = new Plugin('board', ({ bind }) => {
  bind(PciDriver).to(BoardDriver);
});

// The silicon.
export const boardModel: PciModel = {
  name: 'board',
  config: {
    ...ID,
    classCode: 0x118000,
    bars: {
      0: { kind: 'mem32', sizeBytes: 16 },
      2: { kind: 'mem32', sizeBytes: 64 },
      4: { kind: 'mem32', sizeBytes: 4096 },
    },
    capabilities: [pcie(), msix({ vectors: MSIX_VECTORS, table: { bar: 4, offset: 0 }, pba: { bar: 4, offset: 0x800 } })],
  },
  create: ({ irq }) => {
    const regs = new RegisterFile([SEND_MSIX, SEND_IMS], 16);
    const slots = new ImsSlots(IMS.slots, irq);
    regs.onWrite(SEND_MSIX, (n) => void irq.msix(n));
    regs.onWrite(SEND_IMS, (n) => slots.send(n));
    return {
      regions: { 0: regs, 2: slots },
      reset: () => {
        regs.reset();
        slots.reset();
      },
    };
  },
};
