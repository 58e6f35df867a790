import type { PciModel } from '../../endpoint/index.js';
import { DsaDevice } from './device.js';
import { type DsaProfile, Profile } from './profile.js';

export { DsaDevice } from './device.js';
export type { DsaProfile } from './profile.js';

/** Options of {@link dsa}. */
export interface DsaOptions extends DsaProfile {
  /** Called with each device that is made: its side for tests. */
  readonly onCreate?: (device: DsaDevice) => void;
}

/**
 * Intel's Data Streaming Accelerator, as far as Linux and its users know it.
 *
 * Time is the model's own: a descriptor takes `descriptorUs` and what its bytes take at `bytesPerUs`, an engine does one at a time,
 * a batch is one unit of it, and commands take none.
 * @throws {Errno} ERANGE, EINVAL for a part that cannot be
 * @see Intel Data Streaming Accelerator Architecture Specification 2.0 (341204)
 */
export function dsa(options: DsaOptions = {}): PciModel {
  const profile = new Profile(options);
  return {
    name: 'dsa',
    config: profile.config,
    create: (context) => {
      const device = new DsaDevice(profile, context);
      options.onCreate?.(device);
      return device;
    },
  };
}
