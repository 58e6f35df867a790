export { Devres, type DevresHooks, type DevresOwner } from './devres.js';
export { DevresEntry, type DevresHandle, type Release } from './entry.js';
export { DevresGroup } from './group.js';
