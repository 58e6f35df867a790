import { hex } from '../lib/index.js';

/** Bytes in rows of 16, as `lspci -x` prints them and `lspci -F` reads them. */
export function hexDump(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Array.from(bytes.subarray(at, at + 16), (byte) => hex(byte, 2));
    text += `${hex(at, 2)}: ${row.join(' ')}\n`;
  }
  return text;
}
