import { HASH_KEY_BYTES } from '../../regs/nic-contexts.js';

/** Bits of the longest input: two addresses of 16 bytes, two ports. */
const INPUT_BYTES = 36;
const NIBBLES = 16;

/**
 * The Toeplitz hash: for each bit of the input that is set, the 32 bits of the key that begin there. Four bits at a time are looked up.
 * @see Microsoft, Windows driver documentation, "RSS Hashing Functions"
 */
export class Toeplitz {
  /** By half byte of the input, and its value. */
  readonly #table = new Int32Array(2 * INPUT_BYTES * NIBBLES);

  /** @param key ten words, the most significant bit first */
  constructor(key: Uint32Array) {
    for (let half = 0; half < 2 * INPUT_BYTES; half++) {
      for (let value = 1; value < NIBBLES; value++) {
        let hash = 0;
        for (let bit = 0; bit < 4; bit++) if ((value & (8 >>> bit)) !== 0) hash ^= bitsFrom(key, 4 * half + bit);
        this.#table[half * NIBBLES + value] = hash;
      }
    }
  }

  /**
   * Hashes `length` bytes of a packet, as if `at` of them had come before.
   * @param hash of what came before
   * @returns signed
   */
  add(hash: number, at: number, bytes: Uint8Array, offset: number, length: number): number {
    const table = this.#table;
    let result = hash;
    for (let i = 0, half = 2 * at * NIBBLES; i < length; i++, half += 2 * NIBBLES) {
      const byte = bytes[offset + i]!;
      result ^= table[half + (byte >>> 4)]! ^ table[half + NIBBLES + (byte & 15)]!;
    }
    return result;
  }
}

/** 32 bits of the key. */
function bitsFrom(key: Uint32Array, bit: number): number {
  const word = bit >>> 5;
  const shift = bit & 31;
  const first = key[word % (HASH_KEY_BYTES / 4)]!;
  const second = key[(word + 1) % (HASH_KEY_BYTES / 4)]!;
  return shift === 0 ? first | 0 : (first << shift) | (second >>> (32 - shift));
}

const TYPE_AT = 12;
const TAG_TYPE = 0x8100;
const TAG_BYTES = 4;
const IPV4 = { type: 0x0800, headerBytes: 20, protocol: 9, fragment: 6, source: 12, addressBytes: 4 } as const;
const IPV6 = { type: 0x86dd, headerBytes: 40, protocol: 6, source: 8, addressBytes: 16 } as const;
/** More fragments, or not the first one: the ports are not in all of them. */
const FRAGMENT_MASK = 0x3fff;
const TCP = 6;
const UDP = 17;
const PORTS_BYTES = 4;

/** What the queue of a packet is chosen by: addresses, and ports of TCP and UDP; 0 for what is not IP. @returns signed */
export function hashPacket(toeplitz: Toeplitz, frame: Uint8Array, offset: number, length: number): number {
  let at = offset + TYPE_AT;
  const end = offset + length;
  if (at + 2 > end) return 0;
  let type = (frame[at]! << 8) | frame[at + 1]!;
  if (type === TAG_TYPE && at + 2 + TAG_BYTES <= end) {
    at += TAG_BYTES;
    type = (frame[at]! << 8) | frame[at + 1]!;
  }
  const ip = at + 2;
  if (type === IPV4.type && ip + IPV4.headerBytes <= end) {
    const isFragment = (((frame[ip + IPV4.fragment]! << 8) | frame[ip + IPV4.fragment + 1]!) & FRAGMENT_MASK) !== 0;
    const ports = isFragment ? end : ip + (frame[ip]! & 15) * 4;
    return hashTuple(toeplitz, frame, ip + IPV4.source, IPV4.addressBytes, frame[ip + IPV4.protocol]!, ports, end);
  }
  if (type === IPV6.type && ip + IPV6.headerBytes <= end) {
    const ports = ip + IPV6.headerBytes;
    return hashTuple(toeplitz, frame, ip + IPV6.source, IPV6.addressBytes, frame[ip + IPV6.protocol]!, ports, end);
  }
  return 0;
}

function hashTuple(
  toeplitz: Toeplitz,
  frame: Uint8Array,
  addresses: number,
  addressBytes: number,
  protocol: number,
  ports: number,
  end: number,
): number {
  const hash = toeplitz.add(0, 0, frame, addresses, 2 * addressBytes);
  const hasPorts = (protocol === TCP || protocol === UDP) && ports + PORTS_BYTES <= end;
  return hasPorts ? toeplitz.add(hash, 2 * addressBytes, frame, ports, PORTS_BYTES) : hash;
}
