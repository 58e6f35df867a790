import { DeviceClass } from '../../core/index.js';

/** What an educational device does for its users. Work that takes time is done one after the other, first come, first served. */
export interface Edu {
  /**
   * Computes n! on the device.
   * @param n 0 to 12: what fits its 32 bits
   * @throws {Errno} ERANGE for another n; ENODEV when the device goes away meanwhile
   */
  factorial(n: number): Promise<number>;
  /**
   * Sends data to the device's buffer by DMA and fetches it back.
   * @param data 1 to 4,095 bytes
   * @throws {Errno} ERANGE for another length; ENODEV when the device goes away meanwhile
   */
  copy(data: Uint8Array): Promise<Uint8Array>;
  /** Whether the device answers as its datasheet says. */
  isAlive(): boolean;
}

/** The educational devices of a system: `edu0`, `edu1`, ... */
export const Edus = new DeviceClass<Edu>('edu', { methods: ['factorial', 'copy', 'isAlive'] });
