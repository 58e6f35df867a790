import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { CHUNK, type Execution } from './execution.js';

const { DESCRIPTOR, FLAGS } = DSA;
/** CRC-32C, least significant bit first. */
const POLYNOMIAL = 0x82f6_3b78;

/** Bytes that are worked in at a time. */
const SLICE = 8;

/** Table `k`, from `256 * k` on: what a byte makes of a CRC when `k` more bytes of zeros come after it. */
const TABLES = new Int32Array(256 * SLICE);
const REVERSED = new Uint8Array(256);
for (let n = 0; n < 256; n++) {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) {
    crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : POLYNOMIAL);
    if ((n & (1 << bit)) !== 0) REVERSED[n] = REVERSED[n]! | (0x80 >>> bit);
  }
  TABLES[n] = crc;
}
for (let n = 256; n < TABLES.length; n++) TABLES[n] = TABLES[TABLES[n - 256]! & 0xff]! ^ (TABLES[n - 256]! >>> 8);

function reverse(word: number): number {
  const byte = (n: number): number => REVERSED[(word >>> (8 * n)) & 0xff]!;
  return ((byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3)) >>> 0;
}

/** @see Kounavis and Berry, A Systematic Approach to Building High Performance Software-based CRC Generators (slicing by 8) */
function update(crc: number, bytes: DataView, length: number): number {
  let at = 0;
  for (; at + SLICE <= length; at += SLICE) {
    const lo = crc ^ bytes.getInt32(at, true);
    const hi = bytes.getInt32(at + 4, true);
    crc =
      TABLES[0x700 + (lo & 0xff)]! ^
      TABLES[0x600 + ((lo >>> 8) & 0xff)]! ^
      TABLES[0x500 + ((lo >>> 16) & 0xff)]! ^
      TABLES[0x400 + (lo >>> 24)]! ^
      TABLES[0x300 + (hi & 0xff)]! ^
      TABLES[0x200 + ((hi >>> 8) & 0xff)]! ^
      TABLES[0x100 + ((hi >>> 16) & 0xff)]! ^
      TABLES[hi >>> 24]!;
  }
  for (; at < length; at++) crc = TABLES[(crc ^ bytes.getUint8(at)) & 0xff]! ^ (crc >>> 8);
  return crc;
}

/** The CRC of a range, which copy+CRC copies too. What was done before a page fault is in the record, to go on with. */
export function crc(x: Execution): void {
  const source = x.place(DESCRIPTOR.source, false);
  if (source === NO_ADDRESS) return;
  const isCopy = x.opcode === DSA.OPCODES.copyCrc;
  const destination = isCopy ? x.place(DESCRIPTOR.destination, true) : 0;
  if (destination === NO_ADDRESS) return;
  let seed = x.u32(DESCRIPTOR.crcSeed);
  if (x.has(FLAGS.crcReadSeed)) {
    const at = x.place(DESCRIPTOR.crcSeedAddress, false);
    const { first } = x;
    if (at === NO_ADDRESS || x.load(at, first, 0, 4) < 4) return;
    seed = (first[0]! | (first[1]! << 8) | (first[2]! << 16) | (first[3]! << 24)) >>> 0;
  }
  const isPlain = !x.has(FLAGS.crcBypassInversion);
  let value = isPlain ? ~seed : reverse(seed);
  while (x.bytesDone < x.size) {
    const length = Math.min(CHUNK, x.size - x.bytesDone);
    let done = x.load(source + x.bytesDone, x.first, 0, length);
    if (isCopy && done > 0) done = x.store(destination + x.bytesDone, x.first, 0, done);
    if (x.has(FLAGS.crcBypassReflection)) for (let i = 0; i < done; i++) x.first[i] = REVERSED[x.first[i]!]!;
    value = update(value, x.firstView, done);
    x.bytesDone += done;
    if (done < length) break;
  }
  x.extra[0] = isPlain ? ~value : reverse(value);
}
