import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import { crc } from './crc.js';
import { applyDelta, createDelta } from './delta.js';
import { dif, difDestinationBytes } from './dif.js';
import { CHUNK, type Execution } from './execution.js';

const { DESCRIPTOR, FLAGS, OPCODES, STATUS } = DSA;
const PAGE = 4096;

type Operation = (x: Execution) => void;
const OPERATIONS: (Operation | undefined)[] = new Array<Operation | undefined>(0x40).fill(undefined);
OPERATIONS[OPCODES.noop] = () => {};
OPERATIONS[OPCODES.drain] = drain;
OPERATIONS[OPCODES.move] = move;
OPERATIONS[OPCODES.fill] = fill;
OPERATIONS[OPCODES.compare] = compare;
OPERATIONS[OPCODES.comparePattern] = compare;
OPERATIONS[OPCODES.createDelta] = createDelta;
OPERATIONS[OPCODES.applyDelta] = applyDelta;
OPERATIONS[OPCODES.dualcast] = dualcast;
OPERATIONS[OPCODES.crc] = crc;
OPERATIONS[OPCODES.copyCrc] = crc;
OPERATIONS[OPCODES.difCheck] = dif;
OPERATIONS[OPCODES.difInsert] = dif;
OPERATIONS[OPCODES.difStrip] = dif;
OPERATIONS[OPCODES.difUpdate] = dif;
// There is no cache in front of this memory.
OPERATIONS[OPCODES.cacheFlush] = (x) => {
  x.bytesDone = x.size;
};

/** Does what a descriptor asks for, which has been checked; what came of it is in `x`. */
export function operate(x: Execution): void {
  OPERATIONS[x.opcode]!(x);
}

/** Reads back what software has named, so that it is known to be written. */
function drain(x: Execution): void {
  for (let i = 0; i < 2; i++) {
    if (!x.has(i === 0 ? FLAGS.drainReadback1 : FLAGS.drainReadback2)) continue;
    const address = x.place(i === 0 ? DESCRIPTOR.source : DESCRIPTOR.destination, false);
    if (address !== NO_ADDRESS && x.load(address, x.first, 0, 1) === 1) continue;
    x.status = STATUS.readbackFault;
    return;
  }
}

function move(x: Execution): void {
  const source = x.place(DESCRIPTOR.source, false);
  const destination = source === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.destination, true);
  if (destination === NO_ADDRESS) return;
  const { size } = x;
  const overlaps = source < destination + size && destination < source + size;
  if (overlaps && !x.profile.overlap) {
    x.status = STATUS.overlap;
    return;
  }
  // A copy that stops half-way must not have changed what it still has to read.
  if (!overlaps && x.copy(source, destination, size)) {
    x.bytesDone = size;
    return;
  }
  if (overlaps && source < destination) moveFromEnd(x, source, destination);
  else moveFromStart(x, source, destination);
}

function moveFromStart(x: Execution, source: number, destination: number): void {
  const readable = x.reach(source, x.size, false);
  const writable = x.reach(destination, x.size, true);
  const length = Math.min(readable, writable);
  if (length > 0 && x.copy(source, destination, length)) x.bytesDone = length;
  if (x.isCancelled || x.bytesDone === x.size) return;
  const isWrite = readable >= x.size || writable < readable;
  x.pageFault((isWrite ? destination : source) + x.bytesDone, isWrite);
}

/** The bytes done are counted from the end, which the result tells. */
function moveFromEnd(x: Execution, source: number, destination: number): void {
  const { size } = x;
  if (x.reach(source, size, false) === size && x.reach(destination, size, true) === size && x.copy(source, destination, size)) {
    x.bytesDone = size;
    return;
  }
  while (!x.isCancelled && x.bytesDone < size) {
    const left = size - x.bytesDone;
    const length = Math.min(left, toPageStart(source + left), toPageStart(destination + left));
    const from = source + left - length;
    const to = destination + left - length;
    const isReadable = x.reach(from, length, false) === length;
    if (!isReadable || x.reach(to, length, true) < length || !x.copy(from, to, length)) {
      x.result = 1;
      x.pageFault((isReadable ? to : from) + length - 1, isReadable);
      return;
    }
    x.bytesDone += length;
  }
}

/** Bytes from the start of the page to `end`, which is not in it any more. */
function toPageStart(end: number): number {
  return ((end - 1) % PAGE) + 1;
}

function fill(x: Execution): void {
  const destination = x.place(DESCRIPTOR.destination, true);
  if (destination === NO_ADDRESS) return;
  const { first, size } = x;
  const period = x.has(FLAGS.fillPattern16) ? 16 : 8;
  for (let i = 0; i < period; i++) first[i] = i < 8 ? x.u8(DESCRIPTOR.source + i) : x.u8(DESCRIPTOR.patternHigh + i - 8);
  const filled = Math.min(CHUNK, size);
  for (let done = period; done < filled; done *= 2) first.copyWithin(done, 0, Math.min(done, filled - done));
  while (x.bytesDone < size) {
    const length = Math.min(CHUNK, size - x.bytesDone);
    const done = x.store(destination + x.bytesDone, first, 0, length);
    x.bytesDone += done;
    if (done < length) return;
  }
}

/** Two ranges, or one and a pattern. */
function compare(x: Execution): void {
  const isPattern = x.opcode === OPCODES.comparePattern;
  const source = x.place(DESCRIPTOR.source, false);
  if (source === NO_ADDRESS) return;
  const other = isPattern ? 0 : x.place(DESCRIPTOR.destination, false);
  if (other === NO_ADDRESS) return;
  const { first, second, size } = x;
  if (isPattern) for (let i = 0; i < Math.min(CHUNK, size); i++) second[i] = x.u8(DESCRIPTOR.destination + (i & 7));
  while (x.bytesDone < size) {
    const length = Math.min(CHUNK, size - x.bytesDone);
    let loaded = x.load(source + x.bytesDone, first, 0, length);
    if (!isPattern && loaded > 0) loaded = x.load(other + x.bytesDone, second, 0, loaded);
    let i = 0;
    while (i < loaded && first[i] === second[i]) i++;
    x.bytesDone += i;
    if (i < loaded) {
      // Found before a page that may be missing further on.
      x.status = STATUS.success;
      x.faultLo = x.faultHi = 0;
      x.result = 1;
      break;
    }
    if (loaded < length) return;
  }
  if (x.has(FLAGS.checkResult) && x.result !== x.u8(DESCRIPTOR.expected)) x.status = STATUS.predicate;
}

function dualcast(x: Execution): void {
  if (((x.u32(DESCRIPTOR.destination) ^ x.u32(DESCRIPTOR.destination2)) & (PAGE - 1)) !== 0) {
    x.status = STATUS.dualcast;
    return;
  }
  const source = x.place(DESCRIPTOR.source, false);
  const one = source === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.destination, true);
  const other = one === NO_ADDRESS ? NO_ADDRESS : x.place(DESCRIPTOR.destination2, true);
  if (other === NO_ADDRESS) return;
  while (x.bytesDone < x.size) {
    const length = Math.min(CHUNK, x.size - x.bytesDone);
    const loaded = x.load(source + x.bytesDone, x.first, 0, length);
    const stored = loaded === 0 ? 0 : x.store(one + x.bytesDone, x.first, 0, loaded);
    const done = stored === 0 ? 0 : x.store(other + x.bytesDone, x.first, 0, stored);
    x.bytesDone += done;
    if (done < length) return;
  }
}

/** The first byte that an operation needs and that is not there; for those that wait for it. */
export class Missing {
  address = 0;
  isWrite = false;

  /** @returns whether something is missing */
  find(x: Execution): boolean {
    const { size } = x;
    switch (x.opcode) {
      case OPCODES.move:
      case OPCODES.copyCrc:
        return this.#at(x, DESCRIPTOR.source, size, false) || this.#at(x, DESCRIPTOR.destination, size, true) || this.#seed(x);
      case OPCODES.fill:
        return this.#at(x, DESCRIPTOR.destination, size, true);
      case OPCODES.compare:
        return this.#at(x, DESCRIPTOR.source, size, false) || this.#at(x, DESCRIPTOR.destination, size, false);
      case OPCODES.createDelta:
        return (
          this.#at(x, DESCRIPTOR.source, size, false) ||
          this.#at(x, DESCRIPTOR.destination, size, false) ||
          this.#at(x, DESCRIPTOR.delta, x.u32(DESCRIPTOR.maxDeltaSize), true)
        );
      case OPCODES.applyDelta:
        return (
          this.#at(x, DESCRIPTOR.source, x.u32(DESCRIPTOR.deltaSize), false) || this.#at(x, DESCRIPTOR.destination, size, true)
        );
      case OPCODES.dualcast:
        return (
          this.#at(x, DESCRIPTOR.source, size, false) ||
          this.#at(x, DESCRIPTOR.destination, size, true) ||
          this.#at(x, DESCRIPTOR.destination2, size, true)
        );
      case OPCODES.comparePattern:
      case OPCODES.crc:
        return this.#at(x, DESCRIPTOR.source, size, false) || this.#seed(x);
      case OPCODES.difCheck:
      case OPCODES.difInsert:
      case OPCODES.difStrip:
      case OPCODES.difUpdate:
        return this.#at(x, DESCRIPTOR.source, size, false) || this.#at(x, DESCRIPTOR.destination, difDestinationBytes(x), true);
      default:
        return false;
    }
  }

  #seed(x: Execution): boolean {
    const isRead = x.opcode !== OPCODES.move && x.opcode !== OPCODES.comparePattern && x.has(FLAGS.crcReadSeed);
    return isRead && this.#at(x, DESCRIPTOR.crcSeedAddress, 4, false);
  }

  #at(x: Execution, field: number, length: number, isWrite: boolean): boolean {
    const hi = x.u32(field + 4);
    // Such an address is a fault of the operation, and no page.
    if (length < 1 || hi >= 2 ** 21) return false;
    const address = hi * 2 ** 32 + x.u32(field);
    const there = x.reach(address, length, isWrite);
    if (there >= length || address + there >= 2 ** 53) return false;
    this.address = address + there;
    this.isWrite = isWrite;
    return true;
  }
}
