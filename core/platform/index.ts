export { FauxBus, FauxDevice, type FauxOps, type FauxOptions } from './faux-bus.js';
export { PlatformBus } from './platform-bus.js';
export { PlatformDevice, type PlatformOptions } from './platform-device.js';
export { PlatformDriver, type PlatformId } from './platform-driver.js';
export { type ResourceClaim, ResourceTree } from './resource-tree.js';
export { type NodeReference, type PropertyBytes, type PropertyValue, SoftwareNode, u16, u32, u64, u8 } from './software-node.js';
