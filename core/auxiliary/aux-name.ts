import { Errno } from '../lib/errno.js';

/** @see Linux 7.2 include/linux/device-id/auxiliary.h AUXILIARY_NAME_SIZE, less its end mark */
const NAME_CHARACTERS = 39;

/**
 * What a kind of auxiliary device is called, and the type of what its maker hands to its driver.
 *
 * Both sides import the one constant: `export const SF = new AuxName<SfContext>('mlx5_core.sf')`. Two names are the same
 * when their strings are.
 * @typeParam T type of `data`; undefined when there is none
 * @see Linux 6.12 include/linux/mod_devicetable.h struct auxiliary_device_id
 */
export class AuxName<T = undefined> {
  /** Never there: carries the type alone. @internal */
  declare readonly dataType?: T;

  /**
   * @param key `module.device`, at most 39 characters; the device part may have dots of its own
   * @throws {Errno} EINVAL when a part is missing or it is too long
   */
  constructor(readonly key: string) {
    if (!/^[^./]+\.[^/]*[^./]$/.test(key)) {
      throw new Errno('EINVAL', `auxiliary name ${JSON.stringify(key)}: is not module.device`);
    }
    if (key.length > NAME_CHARACTERS) {
      throw new Errno('EINVAL', `auxiliary name ${key}: has ${key.length} characters, at most ${NAME_CHARACTERS}`);
    }
  }
}
