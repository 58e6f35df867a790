import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import { isSyncOnly } from './link-flags.js';

/**
 * Moves a device, its children and its consumers to the end of the order of shutdown and system sleep.
 * @see Linux 6.12 drivers/base/core.c device_reorder_to_tail, device_pm_move_to_tail
 */
export function moveToTail(core: DeviceCore, dev: Device): void {
  if (dev.orderNode?.list !== undefined) core.order.moveToTail(dev.orderNode);
  if (dev.childList !== undefined) for (const child of dev.childList) moveToTail(core, child);
  for (const link of dev.consumers ?? []) {
    if (!isSyncOnly(link.flags)) moveToTail(core, link.consumer);
  }
}
