import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { Execution } from './execution.js';

const { DESCRIPTOR, DIF_BLOCKS, DIF_BYTES, DIF_FLAGS, OPCODES, STATUS } = DSA;
const POLYNOMIAL = 0x8bb7;
/** What of a block's tags was not as expected, in the record's second byte. */
const GUARD = 0x1;
const APPLICATION = 0x2;
const REFERENCE = 0x4;

const TABLE = new Uint16Array(256);
for (let n = 0; n < 256; n++) {
  let crc = n << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : POLYNOMIAL);
  TABLE[n] = crc;
}

function guardOf(bytes: Uint8Array, length: number, flags: number): number {
  let crc = (flags & DIF_FLAGS.crcSeed) === 0 ? 0 : 0xffff;
  for (let i = 0; i < length; i++) crc = ((crc << 8) ^ TABLE[(crc >>> 8) ^ bytes[i]!]!) & 0xffff;
  return (flags & DIF_FLAGS.crcInvert) === 0 ? crc : ~crc & 0xffff;
}

/** Bytes of a block without its tags. */
export function difBlock(x: Execution): number {
  return DIF_BLOCKS[(x.u8(DESCRIPTOR.difFlags) & 3) as 0 | 1 | 2 | 3];
}

/** Bytes that the operation writes, for whole blocks; it reads `size`. */
export function difDestinationBytes(x: Execution): number {
  const block = difBlock(x);
  if (x.opcode === OPCODES.difInsert) return Math.floor(x.size / block) * (block + DIF_BYTES);
  if (x.opcode === OPCODES.difStrip) return Math.floor(x.size / (block + DIF_BYTES)) * block;
  return x.opcode === OPCODES.difUpdate ? x.size : 0;
}

/** Checks, inserts, strips or updates the tags behind each block: guard, application and reference tag, big-endian. */
export function dif(x: Execution): void {
  const { opcode, first } = x;
  const flags = x.u8(DESCRIPTOR.difFlags);
  const block = difBlock(x);
  const reads = opcode === OPCODES.difInsert ? block : block + DIF_BYTES;
  const writes = opcode === OPCODES.difCheck ? 0 : opcode === OPCODES.difStrip ? block : block + DIF_BYTES;
  if (x.size % reads !== 0) {
    x.status = STATUS.transferSize;
    return;
  }
  const source = x.place(DESCRIPTOR.source, false);
  const destination = source === NO_ADDRESS || writes === 0 ? source : x.place(DESCRIPTOR.destination, true);
  if (destination === NO_ADDRESS) return;
  let sourceRef = x.u32(DESCRIPTOR.difSourceTags);
  let destinationRef = x.u32(DESCRIPTOR.difDestinationTags);
  const sourceStep = (x.u8(DESCRIPTOR.difSourceFlags) & DIF_FLAGS.fixedReference) === 0 ? 1 : 0;
  const destinationStep = (x.u8(DESCRIPTOR.difDestinationFlags) & DIF_FLAGS.fixedReference) === 0 ? 1 : 0;
  for (let written = 0; x.bytesDone < x.size; written += writes) {
    if (x.load(source + x.bytesDone, first, 0, reads) < reads) break;
    const guard = guardOf(first, block, flags);
    if (reads > block) {
      x.result = compareTags(x, block, guard, sourceRef);
      if (x.result !== 0) {
        x.status = STATUS.dif;
        break;
      }
    }
    if (writes > block) putTags(x, block, guard, destinationRef);
    if (writes > 0 && x.store(destination + written, first, 0, writes) < writes) break;
    x.bytesDone += reads;
    sourceRef = (sourceRef + sourceStep) >>> 0;
    destinationRef = (destinationRef + destinationStep) >>> 0;
  }
  // The tags of the next block, to go on with.
  if (reads > block) {
    x.extra[0] = sourceRef;
    x.extra[1] = x.u32(DESCRIPTOR.difSourceTags + 4);
  }
  if (writes > block) {
    x.extra[2] = destinationRef;
    x.extra[3] = x.u32(DESCRIPTOR.difDestinationTags + 4);
  }
}

function compareTags(x: Execution, at: number, guard: number, reference: number): number {
  const { first } = x;
  const differs = x.u16(DESCRIPTOR.difSourceTags + 6) ^ ((first[at + 2]! << 8) | first[at + 3]!);
  const found = ((first[at + 4]! << 24) | (first[at + 5]! << 16) | (first[at + 6]! << 8) | first[at + 7]!) >>> 0;
  return (
    (guard === ((first[at]! << 8) | first[at + 1]!) ? 0 : GUARD) |
    ((differs & ~x.u16(DESCRIPTOR.difSourceTags + 4)) === 0 ? 0 : APPLICATION) |
    (found === reference ? 0 : REFERENCE)
  );
}

function putTags(x: Execution, at: number, guard: number, reference: number): void {
  const { first } = x;
  const application = x.u16(DESCRIPTOR.difDestinationTags + 6) & ~x.u16(DESCRIPTOR.difDestinationTags + 4);
  first[at] = guard >>> 8;
  first[at + 1] = guard;
  first[at + 2] = application >>> 8;
  first[at + 3] = application;
  first[at + 4] = reference >>> 24;
  first[at + 5] = reference >>> 16;
  first[at + 6] = reference >>> 8;
  first[at + 7] = reference;
}
