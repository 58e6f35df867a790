import { dsa } from '../hw/models/dsa/index.js';
import { edu } from '../hw/models/edu.js';
import { nic } from '../hw/models/nic/index.js';
import { timer } from '../hw/models/timer.js';
import type { PciModel } from '../hw/sim/index.js';

export { type DsaDevice, type DsaOptions, type DsaProfile, dsa } from '../hw/models/dsa/index.js';
export { type Nic, type NicOptions, type NicProfile, type StoredFirmware, nic } from '../hw/models/nic/index.js';

/**
 * The device models that come with Backplane, by the name that a command line or a configuration asks for one. An accelerator can work in
 * several address spaces.
 */
export const models: Readonly<Record<string, () => PciModel>> = { dsa: () => dsa({ pasid: true }), edu, nic: () => nic(), timer };
