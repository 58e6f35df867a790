import type { IrqDomain, Irqs, LineDomain } from '../irq/index.js';
import type { Msi } from '../msi/index.js';

/** What a PCI bus stands on, so that its devices can interrupt. */
export interface PciInterrupts {
  readonly irqs: Irqs;
  readonly msi: Msi;
  /** The parent of devices' message domains; undefined where devices have lines alone. */
  readonly msiParent: IrqDomain | undefined;
  /** The wired interrupts; undefined where there are none. */
  readonly lines: LineDomain | undefined;
}
