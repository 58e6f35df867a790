import type { Device } from './device.js';

/** Takes a device out of what the driver above it must remove. */
export function disown(dev: Device): void {
  const node = dev.ownedNode;
  if (node === undefined) return;
  dev.ownedNode = undefined;
  node.list?.delete(node);
}
