import { type Mmio, getField } from '../../core/index.js';
import { SWERROR } from '../../hw/regs/dsa.js';

/** Words of 32 bits, and of the 64 that are read at once. */
const WORDS = 8;
const PAIR = 2;
const PAIR_BYTES = 8;
const VALID_AND_OVERFLOW = 3;

/** An error that no completion record could tell. */
export interface SwError {
  /** SWERROR as it was read, 256 bits. */
  readonly words: Uint32Array;
  /** More came before this one was read. */
  readonly overflow: boolean;
  /** A status of completion, or one of `SWERRORS`. */
  readonly error: number;
  /** The queue; undefined when that is not known. */
  readonly wq: number | undefined;
  readonly opcode: number;
  readonly pasid: number;
  /** Whether it was a write that failed. */
  readonly isWrite: boolean;
  /** Where it failed; exact below 2^53. */
  readonly faultAddress: number;
}

/** Reads the error and acknowledges it. @see Linux 6.12 drivers/dma/idxd/irq.c idxd_misc_thread */
export function takeSwError(regs: Mmio): SwError {
  const words = new Uint32Array(WORDS);
  const pair = new Uint32Array(PAIR);
  for (let word = 0; word < WORDS; word += PAIR) {
    regs.read64(SWERROR.offset + (word / PAIR) * PAIR_BYTES, pair);
    words.set(pair, word);
  }
  regs.write64(SWERROR.offset, words[0]! & VALID_AND_OVERFLOW, 0);
  const { fields } = SWERROR;
  const low = words[0]!;
  const high = words[1]!;
  return {
    words,
    overflow: getField(fields.overflow, low) === 1,
    error: getField(fields.error, low),
    wq: getField(fields.wqValid, low) === 1 ? getField(fields.wq, low) : undefined,
    opcode: high & 0xff,
    pasid: (high >>> 8) & 0xf_ffff,
    isWrite: getField(fields.isWrite, low) === 1,
    faultAddress: words[5]! * 2 ** 32 + words[4]!,
  };
}
