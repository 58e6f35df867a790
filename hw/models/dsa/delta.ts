import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { Execution } from './execution.js';

const { DESCRIPTOR, FLAGS, STATUS } = DSA;
/** A difference: where, in units of 8 bytes (16 bits), and the 8 bytes that are there in the second source. */
const ENTRY = 10;
const UNIT = 8;
const MIN_RECORD = 80;
/** As far as an entry can tell. */
const MAX_SIZE = 0x1_0000 * UNIT;
/** Compared at a time; the differences of as much fit in the buffer from `RECORD_AT` on. */
const PIECE = 0x1000;
const RECORD_AT = 0x2000;
/** Of a record, read at a time. */
const RECORD_PIECE = 1600 * ENTRY;

const EQUAL = 0;
const FITS = 1;
const TOO_MANY = 2;

function aligned(x: Execution, at: number): boolean {
  return x.u32(at) % UNIT === 0;
}

/** Tells where two ranges differ, and what the second one has there. */
export function createDelta(x: Execution): void {
  const max = x.u32(DESCRIPTOR.maxDeltaSize);
  if (!aligned(x, DESCRIPTOR.source) || !aligned(x, DESCRIPTOR.destination)) x.status = STATUS.addressAlignment;
  else if (x.size % UNIT !== 0 || x.size > MAX_SIZE) x.status = STATUS.transferSize;
  else if (max < MIN_RECORD) x.status = STATUS.deltaSize;
  if (x.status !== STATUS.success) return;
  const one = x.place(DESCRIPTOR.source, false);
  const other = one === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.destination, false);
  const record = other === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.delta, true);
  if (record === NO_ADDRESS) return;
  let recorded = 0;
  let result = EQUAL;
  while (x.bytesDone < x.size && result !== TOO_MANY) {
    const length = Math.min(PIECE, x.size - x.bytesDone);
    const loaded = x.load(one + x.bytesDone, x.first, 0, length);
    const both = loaded === 0 ? 0 : x.load(other + x.bytesDone, x.second, 0, loaded);
    const whole = both - (both % UNIT);
    const done = differences(x, whole, max);
    const bytes = x.extra[0]! - recorded;
    const stored = bytes === 0 ? 0 : x.store(record + recorded, x.first, RECORD_AT, bytes);
    recorded += stored - (stored % ENTRY);
    if (bytes > 0) result = FITS;
    if (stored < bytes) break;
    x.bytesDone += done;
    if (done < whole) result = TOO_MANY;
    else if (both < length) break;
  }
  // What does not fit has ended it before the page that is missing.
  if (result === TOO_MANY && !x.isCancelled) x.status = STATUS.success;
  x.result = result;
  x.extra[0] = recorded;
  if (x.status !== STATUS.success || !x.has(FLAGS.checkResult)) return;
  if (((x.u8(DESCRIPTOR.expectedMask) >>> result) & 1) === 0) x.status = STATUS.predicate;
}

/**
 * Collects the differences of a piece, and counts their bytes in the record, up to `max`.
 * @returns how much of the piece has been compared
 */
function differences(x: Execution, length: number, max: number): number {
  const { first, second, extra } = x;
  let to = RECORD_AT;
  for (let at = 0; at < length; at += UNIT) {
    let i = 0;
    while (i < UNIT && first[at + i] === second[at + i]) i++;
    if (i === UNIT) continue;
    if (extra[0]! + ENTRY > max) return at;
    const unit = (x.bytesDone + at) / UNIT;
    first[to] = unit;
    first[to + 1] = unit >>> 8;
    for (i = 0; i < UNIT; i++) first[to + 2 + i] = second[at + i]!;
    to += ENTRY;
    extra[0] = extra[0]! + ENTRY;
  }
  return length;
}

/** Puts the differences of a record into a range. */
export function applyDelta(x: Execution): void {
  const size = x.u32(DESCRIPTOR.deltaSize);
  if (!aligned(x, DESCRIPTOR.destination)) x.status = STATUS.addressAlignment;
  else if (x.size % UNIT !== 0 || x.size > MAX_SIZE) x.status = STATUS.transferSize;
  else if (size === 0 || size % ENTRY !== 0) x.status = STATUS.deltaSize;
  if (x.status !== STATUS.success) return;
  const record = x.place(DESCRIPTOR.source, false);
  const destination = record === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.destination, true);
  if (destination === NO_ADDRESS) return;
  let last = -1;
  while (x.bytesDone < size) {
    const length = Math.min(RECORD_PIECE, size - x.bytesDone);
    const loaded = x.load(record + x.bytesDone, x.first, 0, length);
    for (let at = 0; at + ENTRY <= loaded; at += ENTRY) {
      const unit = x.first[at]! | (x.first[at + 1]! << 8);
      if (unit <= last) x.status = STATUS.deltaOrder;
      else if ((unit + 1) * UNIT > x.size) x.status = STATUS.deltaOffset;
      else if (x.store(destination + unit * UNIT, x.first, at + 2, UNIT) === UNIT) {
        last = unit;
        x.bytesDone += ENTRY;
        continue;
      }
      return;
    }
    if (loaded < length) return;
  }
}
