import type { Dma, Ims, Irqs, PciDevice } from '../../core/index.js';
import { MessageMemory, MessageSource, MsixSource, type VectorSource, VectorTable } from '../lib/vectors/index.js';
import type { Mlx5Caps } from './api.js';
import { type IrqNeeds, irqSizes, wantedVectors } from './irq-sizes.js';
import { IrqTable } from './irq-table.js';

/** `Mlx5Caps.imsCapacity`: memory alone limits them. */
const UNLIMITED = 0xffff_ffff;

/**
 * Finds out which vectors a function can have: MSI-X, and messages in memory where device and platform can.
 * @throws {Errno} as `PciDevice.enableMsix`; ENOMEM
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c mlx5_irq_table_create
 */
export function makeIrqTable(
  pci: PciDevice,
  { dma, ims, irqs }: { readonly dma: Dma; readonly ims: Ims; readonly irqs: Irqs },
  caps: Mlx5Caps,
  maxEqs: number,
): IrqTable {
  const needs: IrqNeeds = { ports: caps.numPorts, cpus: irqs.core.cpus.online.size, maxEqs, maxSfs: caps.maxNumSf };
  const messages = messageSource(pci, dma, ims, caps);
  const more = messages?.capacity ?? 0;
  const capacity = pci.msixVectorCount + more;
  const msix = new MsixSource(pci, wantedVectors(needs, capacity).total);
  const sources: VectorSource[] = messages === undefined ? [msix] : [msix, messages];
  const sizes = irqSizes(needs, { capacity, granted: msix.capacity + more });
  return new IrqTable(new VectorTable(pci, irqs, sources), sizes);
}

function messageSource(pci: PciDevice, dma: Dma, ims: Ims, caps: Mlx5Caps): MessageSource | undefined {
  if (caps.ims === 0 || caps.imsCapacity === 0) return undefined;
  const memory = new MessageMemory(pci, dma, caps.imsCapacity === UNLIMITED ? 0 : caps.imsCapacity);
  const domain = ims.tryCreateDomain(pci, memory);
  return domain === undefined ? undefined : new MessageSource(domain, memory);
}
