import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { CHUNK, type Execution } from './execution.js';

const { DESCRIPTOR, FLAGS } = DSA;
/** CRC-32C, least significant bit first. */
const POLYNOMIAL = 0x82f6_3b78;

const TABLE = new Uint32Array(256);
const REVERSED = new Uint8Array(256);
for (let n = 0; n < 256; n++) {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) {
    crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : POLYNOMIAL);
    if ((n & (1 << bit)) !== 0) REVERSED[n] = REVERSED[n]! | (0x80 >>> bit);
  }
  TABLE[n] = crc;
}

function reverse(word: number): number {
  const byte = (n: number): number => REVERSED[(word >>> (8 * n)) & 0xff]!;
  return ((byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3)) >>> 0;
}

function update(crc: number, bytes: Uint8Array, length: number, isBypassed: boolean): number {
  for (let i = 0; i < length; i++) {
    const byte = isBypassed ? REVERSED[bytes[i]!]! : bytes[i]!;
    crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  }
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
    value = update(value, x.first, done, x.has(FLAGS.crcBypassReflection));
    x.bytesDone += done;
    if (done < length) break;
  }
  x.extra[0] = isPlain ? ~value : reverse(value);
}
