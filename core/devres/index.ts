export { Devres, type DevresHooks, type DevresOwner, type Guard } from './devres.js';
export { DevresEntry, type DevresHandle, type Release } from './entry.js';
export { DevresGroup } from './group.js';
