import { Errno } from '../lib/errno.js';
import { hex } from '../lib/index.js';

const PATTERN = /^[\da-f]{2}(?::[\da-f]{2}){5}$/i;

/** `02:00:00:00:00:01` as six bytes. @throws {Errno} EINVAL for what is no address */
export function parseMac(text: string): Uint8Array {
  if (!PATTERN.test(text)) throw new Errno('EINVAL', `${JSON.stringify(text)}: is no Ethernet address: write 02:00:00:00:00:01`);
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** Six bytes as `02:00:00:00:00:01`. */
export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => hex(byte, 2)).join(':');
}

/**
 * Whether it is that of one device: neither of a group nor all zero.
 * @see Linux 7.2 include/linux/etherdevice.h is_valid_ether_addr
 */
export function isDeviceMac(mac: Uint8Array): boolean {
  return mac.length === 6 && (mac[0]! & 1) === 0 && mac.some((byte) => byte !== 0);
}
