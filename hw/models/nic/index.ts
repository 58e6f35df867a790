export { FUNCTION_STATES } from './function-state.js';
export { type Nic, type NicOptions, nic } from './nic.js';
export type { StoredFirmware } from './firmware.js';
export type { NicProfile } from './options.js';
