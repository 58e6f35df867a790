import { PCI } from '../hal/index.js';
import { Errno } from '../lib/index.js';
import type { PciDevice } from './device.js';
import { saveState } from './state.js';

const FLR_US = 100_000;
/** From one power state to another. @see Linux 6.12 drivers/pci/pci.h PCI_PM_D3HOT_WAIT */
const D3_US = 10_000;
const BUS_RESET_US = 2000;
/** How long a device may take to answer after a reset. @see Linux 6.12 drivers/pci/pci.h PCIE_RESET_READY_POLL_MS */
const READY_US = 60_000_000;
const READY_LOOK_US = 1000;
const D3HOT = 3;

/** How a function can be reset; in the order of preference. */
export type ResetMethod = 'flr' | 'pm' | 'bus';

/** The way to reset this function alone; undefined when there is none. @see Linux 6.12 drivers/pci/pci.c pci_reset_fn_methods */
export function resetMethod(dev: PciDevice): ResetMethod | undefined {
  const { config } = dev;
  const pcie = dev.findCapability(PCI.CAP_PCIE);
  if (pcie !== undefined && config.readField(PCI.inCap(pcie, PCI.PCIE_DEVICE_CAPS), PCI.PCIE_DEVICE_CAPS.fields.flr) === 1)
    return 'flr';
  const pm = dev.findCapability(PCI.CAP_PM);
  if (pm !== undefined && config.readField(PCI.inCap(pm, PCI.PM_CONTROL), PCI.PM_CONTROL.fields.noSoftReset) === 0) return 'pm';
  const { bridge, devices } = dev.node;
  return bridge !== undefined && devices.length === 1 && dev.secondary === undefined ? 'bus' : undefined;
}

/**
 * Resets a function, and writes back what was set up in configuration space, with its messages and their masks. Nothing is decoded or sent meanwhile.
 * @throws {Errno} ENOTTY when it cannot be reset alone; ENODEV when it is gone; ETIMEDOUT when it does not come back
 * @see Linux 6.12 drivers/pci/pci.c pci_reset_function
 */
export async function resetFunction(dev: PciDevice, readyUs = READY_US): Promise<void> {
  if (dev.isGone) throw new Errno('ENODEV', `${dev.name}: is gone`);
  const method = resetMethod(dev);
  if (method === undefined)
    throw new Errno('ENOTTY', `${dev.name}: has no function-level reset, keeps its state in D3, and is not alone on its bus`);
  const { clock } = dev;
  const state = saveState(dev);
  dev.config.write(PCI.COMMAND, { intxDisable: 1 });
  switch (method) {
    case 'flr': {
      const control = PCI.inCap(dev.findCapability(PCI.CAP_PCIE)!, PCI.PCIE_DEVICE_CONTROL);
      dev.config.modify(control, { initiateFlr: 1 });
      await clock.sleep(FLR_US);
      break;
    }
    case 'pm': {
      const control = PCI.inCap(dev.findCapability(PCI.CAP_PM)!, PCI.PM_CONTROL);
      dev.config.modify(control, { state: D3HOT });
      await clock.sleep(D3_US);
      dev.config.modify(control, { state: 0 });
      await clock.sleep(D3_US);
      break;
    }
    case 'bus': {
      const bridge = dev.node.bridge!.config;
      bridge.modify(PCI.BRIDGE_CONTROL, { busReset: 1 });
      await clock.sleep(BUS_RESET_US);
      bridge.modify(PCI.BRIDGE_CONTROL, { busReset: 0 });
      await clock.sleep(FLR_US);
    }
  }
  const isBack = (): boolean => {
    if (dev.isMarkedGone) throw new Errno('ENODEV', `${dev.name}: was pulled out while it was reset`);
    return dev.config.read(PCI.VENDOR_ID) === dev.vendorId;
  };
  await clock.poll(isBack, { timeoutUs: readyUs, intervalUs: READY_LOOK_US, what: `${dev.name}: reset` });
  dev.restoreState(state);
}
