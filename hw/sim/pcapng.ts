import { Errno, checkRange } from '../../core/lib/index.js';

const SECTION = 0x0a0d_0d0a;
const BYTE_ORDER = 0x1a2b_3c4d;
const INTERFACE = 1;
const PACKET = 6;
const ETHERNET = 1;
/** Options. */
const END = 0;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const SECTION_APPLICATION = 4;
/** Of a block: type and length in front, the length again behind. */
const FRAME_BYTES = 12;
const MOST_BYTES = 0x4_0000;

/** Which way a packet went, as seen from the interface. */
export type PacketDirection = 'in' | 'out';

const DIRECTIONS: Readonly<Record<PacketDirection, number>> = { in: 1, out: 2 };

/**
 * A capture of packets, for tools that show such: Wireshark, tshark, tcpdump. Times are those of the simulated machine.
 *
 * @example
 * ```ts
 * const capture = new Pcapng();
 * const uplink = capture.interface('uplink');
 * capture.packet(uplink, machine.clock.now(), 'out', frame, 0, frame.length);
 * writeFileSync('nic.pcapng', capture.bytes());
 * ```
 * @see IETF draft-ietf-opsawg-pcapng-03, 4.1 (section header), 4.2 (interface description), 4.3 (enhanced packet)
 */
export class Pcapng {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #interfaces = 0;
  /** Packets that are in it. */
  packets = 0;

  /** @param application that it says it is from */
  constructor(application = 'backplane') {
    const text = new TextEncoder().encode(application);
    const at = this.#begin(SECTION, 16 + optionBytes(text.length) + 4);
    this.#view.setUint32(at, BYTE_ORDER, true);
    this.#view.setUint16(at + 4, 1, true);
    this.#view.setUint16(at + 6, 0, true);
    // Its length is not told.
    this.#view.setInt32(at + 8, -1, true);
    this.#view.setInt32(at + 12, -1, true);
    this.#option(at + 16, SECTION_APPLICATION, text);
  }

  /** How long it is, in bytes. */
  get sizeBytes(): number {
    return this.#length;
  }

  /** Adds an Ethernet interface. @returns its number, from 0 up */
  interface(name: string): number {
    const text = new TextEncoder().encode(name);
    const at = this.#begin(INTERFACE, 8 + optionBytes(text.length) + optionBytes(1) + 4);
    this.#view.setUint16(at, ETHERNET, true);
    this.#view.setUint32(at + 4, 0, true);
    // In units of 10^-9 seconds.
    const next = this.#option(at + 8, IF_NAME, text);
    this.#option(next, IF_TSRESOL, Uint8Array.of(9));
    return this.#interfaces++;
  }

  /**
   * Adds a packet.
   * @param timeUs since the start of the machine, in microseconds, with its fraction
   * @throws {Errno} ERANGE for an interface that there is not, for a part that is not in `data`, and beyond 2^18 bytes; ENOSPC when the
   *   capture would have more than 2^31 bytes
   */
  packet(
    index: number,
    timeUs: number,
    direction: PacketDirection,
    data: Uint8Array,
    offset = 0,
    length = data.length - offset,
  ): void {
    checkRange('pcapng', 'interface', index, 0, this.#interfaces - 1);
    checkRange('pcapng', 'offset of a packet', offset, 0, data.length);
    checkRange('pcapng', 'length of a packet', length, 0, Math.min(MOST_BYTES, data.length - offset));
    const padded = align(length);
    const at = this.#begin(PACKET, packetBytes(length) - FRAME_BYTES);
    const ns = Math.round(timeUs * 1000);
    this.#view.setUint32(at, index, true);
    this.#view.setUint32(at + 4, Math.floor(ns / 2 ** 32), true);
    this.#view.setUint32(at + 8, ns >>> 0, true);
    this.#view.setUint32(at + 12, length, true);
    this.#view.setUint32(at + 16, length, true);
    this.#bytes.set(data.subarray(offset, offset + length), at + 20);
    this.#option(at + 20 + padded, EPB_FLAGS, Uint8Array.of(DIRECTIONS[direction], 0, 0, 0));
    this.packets++;
  }

  /** A copy of all of it so far. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** A block of a body that has so many bytes, zeroed. @returns where the body begins */
  #begin(type: number, bodyBytes: number): number {
    const total = bodyBytes + FRAME_BYTES;
    this.#grow(total);
    const start = this.#length;
    this.#length += total;
    this.#view.setUint32(start, type, true);
    this.#view.setUint32(start + 4, total, true);
    this.#view.setUint32(start + total - 4, total, true);
    return start + 8;
  }

  /** Writes an option, and behind it that there is none more. @returns where the next may be */
  #option(at: number, code: number, value: Uint8Array): number {
    this.#view.setUint16(at, code, true);
    this.#view.setUint16(at + 2, value.length, true);
    this.#bytes.set(value, at + 4);
    const next = at + optionBytes(value.length);
    this.#view.setUint32(next, END, true);
    return next;
  }

  #grow(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    if (needed > 2 ** 31)
      throw new Errno('ENOSPC', `pcapng: a capture of ${needed} bytes: write what there is, and begin another`);
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

const align = (bytes: number): number => (bytes + 3) & ~3;
const optionBytes = (bytes: number): number => 4 + align(bytes);

/** By how much a packet makes a capture longer. @internal */
export const packetBytes = (length: number): number => FRAME_BYTES + 20 + align(length) + optionBytes(4) + 4;
