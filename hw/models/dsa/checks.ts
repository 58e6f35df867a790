import * as DSA from '../../regs/dsa.js';
import type { DsaDevice } from './device.js';
import type { Execution } from './execution.js';

const { FLAGS, OPCODES, STATUS } = DSA;

const COMMON =
  FLAGS.fence |
  FLAGS.completionValid |
  FLAGS.requestCompletion |
  FLAGS.requestInterrupt |
  FLAGS.completionSteering |
  FLAGS.trafficClassCompletion;
const READS = COMMON | FLAGS.blockOnFault | FLAGS.trafficClass1;
const WRITES = FLAGS.cacheControl | FLAGS.strictOrdering | FLAGS.destinationReadback | FLAGS.destinationSteering;
const CRC = FLAGS.trafficClass3 | FLAGS.crcReadSeed | FLAGS.crcBypassInversion | FLAGS.crcBypassReflection;
const MOVES = READS | FLAGS.trafficClass2 | WRITES;
const COMPARES = READS | FLAGS.trafficClass2 | FLAGS.checkResult;

/** What a descriptor of an operation may have. */
class Shape {
  /** Bits that may be set, in the last six words. */
  readonly own = new Int32Array(6);
  /** @param own offset, from 40 on, and bits of the operation's own words */
  constructor(
    readonly flags: number,
    readonly isTransfer: boolean,
    own: readonly (readonly [at: number, bits: number])[] = [],
  ) {
    for (const [at, bits] of own) this.own[(at - 40) / 4] = bits;
  }
}

const ALL = -1;
const SHAPES: (Shape | undefined)[] = new Array<Shape | undefined>(0x40).fill(undefined);
SHAPES[OPCODES.noop] = new Shape(COMMON, false);
SHAPES[OPCODES.batch] = new Shape(COMMON | FLAGS.trafficClass1, false);
SHAPES[OPCODES.drain] = new Shape(COMMON | FLAGS.drainReadback1 | FLAGS.drainReadback2, false);
SHAPES[OPCODES.move] = new Shape(MOVES, true);
SHAPES[OPCODES.fill] = new Shape(MOVES | FLAGS.fillPattern16, true, [
  [40, ALL],
  [44, ALL],
]);
SHAPES[OPCODES.compare] = new Shape(COMPARES, true, [[40, 0xff]]);
SHAPES[OPCODES.comparePattern] = new Shape(COMPARES, true, [[40, 0xff]]);
SHAPES[OPCODES.createDelta] = new Shape(COMPARES | FLAGS.trafficClass3 | WRITES, true, [
  [40, ALL],
  [44, ALL],
  [48, ALL],
  [56, 0xff],
]);
SHAPES[OPCODES.applyDelta] = new Shape(MOVES, true, [[40, ALL]]);
SHAPES[OPCODES.dualcast] = new Shape(MOVES | FLAGS.trafficClass3, true, [
  [40, ALL],
  [44, ALL],
]);
const CRC_FIELDS = [
  [40, ALL],
  [48, ALL],
  [52, ALL],
] as const;
SHAPES[OPCODES.crc] = new Shape(READS | CRC, true, CRC_FIELDS);
SHAPES[OPCODES.copyCrc] = new Shape(MOVES | CRC, true, CRC_FIELDS);
const DIF_SOURCE = [
  [48, ALL],
  [52, ALL],
] as const;
const DIF_DESTINATION = [
  [56, ALL],
  [60, ALL],
] as const;
SHAPES[OPCODES.difCheck] = new Shape(READS, true, [[40, 0x00ff_00ff], ...DIF_SOURCE]);
SHAPES[OPCODES.difInsert] = new Shape(MOVES, true, [[40, 0x00ff_ff00], ...DIF_DESTINATION]);
SHAPES[OPCODES.difStrip] = new Shape(MOVES, true, [[40, 0x00ff_00ff], ...DIF_SOURCE]);
SHAPES[OPCODES.difUpdate] = new Shape(MOVES, true, [[40, 0x00ff_ffff], ...DIF_SOURCE, ...DIF_DESTINATION]);
SHAPES[OPCODES.cacheFlush] = new Shape(READS | FLAGS.trafficClass2 | FLAGS.cacheControl, true);

const RESERVED_FIRST = 0x7ff0_0000;
const HANDLE_WORD = 9;
const OWN_WORD = 10;

/**
 * Looks whether a descriptor can be executed, in the order of the specification; the first thing wrong counts.
 * @returns its status: success when nothing is wrong
 */
export function check(device: DsaDevice, x: Execution): number {
  const { opcode, words, wq } = x;
  const shape = SHAPES[opcode];
  const isNested = x.isMember && (opcode === OPCODES.batch || opcode === OPCODES.drain);
  if (shape === undefined || isNested || !device.profile.knows(opcode) || !device.tables.allows(wq.index, opcode)) {
    return STATUS.opcode;
  }
  if (x.has(FLAGS.completionValid) && words[2]! % DSA.COMPLETION_BYTES !== 0) return STATUS.completionAlignment;
  let invalid = x.flags & ~shape.flags;
  if (!x.isMember) invalid |= x.flags & FLAGS.fence;
  if (!x.isPrivileged && !device.allowsUserInterrupts) invalid |= x.flags & FLAGS.requestInterrupt;
  if (!wq.settings.blockOnFault) invalid |= x.flags & FLAGS.blockOnFault;
  if (invalid !== 0) {
    x.invalidFlags = invalid;
    return STATUS.flags;
  }
  let reserved = (words[0]! & RESERVED_FIRST) | (words[HANDLE_WORD]! >>> 16);
  for (let i = 0; i < shape.own.length; i++) reserved |= words[OWN_WORD + i]! & ~shape.own[i]!;
  if (opcode === OPCODES.fill && !x.has(FLAGS.fillPattern16)) reserved |= words[OWN_WORD]! | words[OWN_WORD + 1]!;
  if (reserved !== 0) return STATUS.reserved;
  if (shape.isTransfer && (x.size === 0 || x.size > wq.settings.maxTransfer)) return STATUS.transferSize;
  if (opcode === OPCODES.batch) {
    if (x.size < 2 || x.size > wq.settings.maxBatch) return STATUS.descriptorCount;
    if (words[4]! % DSA.DESCRIPTOR_BYTES !== 0) return STATUS.listAlignment;
  }
  return x.has(FLAGS.requestInterrupt) && device.messageFor(x) < 0 ? STATUS.handle : STATUS.success;
}
