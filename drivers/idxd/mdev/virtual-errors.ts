import { SWERROR } from '../../../hw/regs/dsa.js';
import type { LoggedEvent } from '../event-log.js';
import type { SwError } from '../sw-error.js';

const { fields } = SWERROR;
const WORDS = 8;
/** What is of the real device: the number of the queue. */
const WQ_BITS = 0xff << fields.wq.lsb;
const OPCODE_BITS = 0xff;

/** The error register, as whoever has a device of one queue, and no PASIDs, is to see it. */
export function errorOf({ words }: SwError): Uint32Array {
  const own = words.slice();
  own[0] = own[0]! & ~WQ_BITS;
  own[1] = own[1]! & OPCODE_BITS;
  return own;
}

/** As {@link errorOf}, of something that the real device has written to its event log. */
export function eventOf({ isBatch, isWrite, error, opcode, batchIndex, faultAddress }: LoggedEvent): Uint32Array {
  const own = new Uint32Array(WORDS);
  const batch = isBatch ? 1 << fields.batch.lsb : 0;
  const write = isWrite ? 1 << fields.isWrite.lsb : 0;
  own[0] = (1 << fields.descriptorValid.lsb) | (1 << fields.wqValid.lsb) | batch | write | (error << fields.error.lsb);
  own[1] = opcode;
  own[2] = batchIndex;
  own[4] = faultAddress % 2 ** 32;
  own[5] = Math.floor(faultAddress / 2 ** 32);
  return own;
}
