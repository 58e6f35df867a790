import { AuxiliaryBus } from '../auxiliary/index.js';
import { DeviceCore } from '../device/index.js';
import { Clock } from '../hal/index.js';
import { Dma, Iommu } from '../iommu/index.js';
import type { Kernel } from '../kernel.js';
import { Irqs } from '../irq/index.js';
import { Log } from '../lib/log.js';
import { Ims, Msi } from '../msi/index.js';
import { PciBus } from '../pci/index.js';
import { FauxBus, PlatformBus } from '../platform/index.js';
import { MdevBus, Vfio } from '../vfio/index.js';
import { Plugin } from './plugin.js';
import { VERSION } from './version.js';

/** Name of the plugin that every system has. */
export const CORE = 'core';

/** The core as a plugin: what it has for drivers, under the names that they inject. @param host where the hardware comes from */
export function corePlugin(kernel: Kernel, host: Plugin): Plugin {
  return new Plugin(
    CORE,
    ({ bind }) => {
      bind(DeviceCore).toConstantValue(kernel.core);
      bind(Clock).toConstantValue(kernel.clock);
      bind(Log).toConstantValue(kernel.core.log);
      bind(PciBus).toConstantValue(kernel.pci);
      bind(AuxiliaryBus).toConstantValue(kernel.auxiliary);
      bind(PlatformBus).toConstantValue(kernel.platform);
      bind(FauxBus).toConstantValue(kernel.faux);
      bind(Dma).toConstantValue(kernel.dma);
      bind(Iommu).toConstantValue(kernel.iommu);
      bind(Irqs).toConstantValue(kernel.irqs);
      bind(Msi).toConstantValue(kernel.msi);
      bind(Ims).toConstantValue(kernel.ims);
      bind(Vfio).toConstantValue(kernel.vfio);
      bind(MdevBus).toConstantValue(kernel.mdev);
    },
    { version: VERSION, requires: [host] },
  );
}
