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
  /** The input that {@link ipv4} had last, and what it gave: packets of a flow come one after the other. */
  #source = 0;
  #destination = 0;
  #ports = 0;
  #hasPorts = false;
  #hash = 0;

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
   * Hashes addresses of 4 bytes, and ports.
   * @param ports where they are; -1: there are none
   * @returns signed
   */
  ipv4(bytes: Uint8Array, addresses: number, ports: number): number {
    const source = wordAt(bytes, addresses);
    const destination = wordAt(bytes, addresses + 4);
    const hasPorts = ports >= 0;
    const both = hasPorts ? wordAt(bytes, ports) : 0;
    const isSame = source === this.#source && destination === this.#destination;
    if (isSame && both === this.#ports && hasPorts === this.#hasPorts) return this.#hash;
    const hash = this.add(0, 0, bytes, addresses, 8);
    this.#source = source;
    this.#destination = destination;
    this.#ports = both;
    this.#hasPorts = hasPorts;
    return (this.#hash = hasPorts ? this.add(hash, 8, bytes, ports, PORTS_BYTES) : hash);
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

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

const TYPE_AT = 12;
const TAG_TYPE = 0x8100;
const TAG_BYTES = 4;
const [IPV4_TYPE, IPV4_BYTES, IPV4_FRAGMENT, IPV4_PROTOCOL, IPV4_SOURCE] = [0x0800, 20, 6, 9, 12];
const [IPV6_TYPE, IPV6_BYTES, IPV6_PROTOCOL, IPV6_SOURCE] = [0x86dd, 40, 6, 8];
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
  if (type === IPV4_TYPE && ip + IPV4_BYTES <= end) {
    const isFragment = (((frame[ip + IPV4_FRAGMENT]! << 8) | frame[ip + IPV4_FRAGMENT + 1]!) & FRAGMENT_MASK) !== 0;
    const ports = ip + (frame[ip]! & 15) * 4;
    return toeplitz.ipv4(frame, ip + IPV4_SOURCE, !isFragment && hasPorts(frame[ip + IPV4_PROTOCOL]!, ports, end) ? ports : -1);
  }
  if (type === IPV6_TYPE && ip + IPV6_BYTES <= end) {
    const hash = toeplitz.add(0, 0, frame, ip + IPV6_SOURCE, IPV6_BYTES - IPV6_SOURCE);
    const ports = ip + IPV6_BYTES;
    return hasPorts(frame[ip + IPV6_PROTOCOL]!, ports, end)
      ? toeplitz.add(hash, IPV6_BYTES - IPV6_SOURCE, frame, ports, PORTS_BYTES)
      : hash;
  }
  return 0;
}

function hasPorts(protocol: number, ports: number, end: number): boolean {
  return (protocol === TCP || protocol === UDP) && ports + PORTS_BYTES <= end;
}
