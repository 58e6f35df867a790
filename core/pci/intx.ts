import { PCI } from '../hal/index.js';
import type { PciIrqDevice } from './irq-device.js';

/** Pin A to D of a device, as the bridge above it has wired it to its own. @see PCI-to-PCI Bridge Architecture Specification 1.2, 9.1 */
const swizzle = (devfn: number, pin: number): number => ((pin - 1 + (devfn >> 3)) & 3) + 1;

/**
 * The line that the interrupt pin of a device is wired to, across the bridges above it.
 * @returns undefined when it has no pin, or the pin is wired to nothing
 * @see Linux 7.2 drivers/pci/pci.c pci_common_swizzle
 */
export function intxLine(dev: PciIrqDevice): number | undefined {
  let pin = dev.config.read(PCI.INTERRUPT_PIN);
  if (pin < 1 || pin > 4) return undefined;
  let top: PciIrqDevice = dev;
  for (let { bridge } = top.node; bridge !== undefined; { bridge } = top.node) {
    pin = swizzle(top.devfn, pin);
    top = bridge;
  }
  return dev.root.irqLine?.(top.devfn, pin);
}

/** Whether a device may use its interrupt pin. */
export const isIntxAllowed = ({ config }: PciIrqDevice): boolean =>
  config.readField(PCI.COMMAND, PCI.COMMAND.fields.intxDisable) === 0;

/** Allows a device its interrupt pin, or keeps it from it. @see Linux 7.2 drivers/pci/pci.c pci_intx */
export function allowIntx(dev: PciIrqDevice, on: boolean): void {
  if (isIntxAllowed(dev) !== on) dev.config.modify(PCI.COMMAND, { intxDisable: on ? 0 : 1 });
}
