import { type DmaResult, type DmaStatus, Errno, type ErrnoCode, hex } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { ABORTED } from './completion.js';
import { type DescriptorPool, WORDS } from './descriptor-pool.js';

const { COMPLETION, STATUS } = DSA;
const MOST_COOKIE = 2 ** 31 - 1;
const LEAST_KEPT = 64;
const SIZE_WORD = DSA.DESCRIPTOR.size / 4;
/** Words of what is kept of a transfer. */
const KEPT = { cookie: 0, status: 1, bytes: 2, result: 3, value: 4, addressLo: 5, addressHi: 6 } as const;
const KEPT_WORDS = 8;

/** How a status is told: by which error, and in which words. */
const FAILURES: Readonly<Record<number, readonly [ErrnoCode, string]>> = {
  [STATUS.pageFault]: ['EFAULT', 'page fault'],
  [STATUS.pageRequest]: ['EFAULT', 'page request refused'],
  [STATUS.batchFailed]: ['EIO', 'a member of the batch has failed'],
  [STATUS.batchPageFault]: ['EFAULT', 'page fault on the list of the batch'],
  [STATUS.deltaOrder]: ['EINVAL', 'offsets of the delta record do not increase'],
  [STATUS.deltaOffset]: ['EINVAL', 'an offset of the delta record is out of range'],
  [STATUS.dif]: ['EBADMSG', 'protection information is wrong'],
  [STATUS.opcode]: ['EOPNOTSUPP', 'operation not supported or not allowed'],
  [STATUS.flags]: ['EINVAL', 'invalid flags'],
  [STATUS.reserved]: ['EINVAL', 'a reserved field is not zero'],
  [STATUS.transferSize]: ['ERANGE', 'transfer size out of range'],
  [STATUS.descriptorCount]: ['ERANGE', 'descriptor count out of range'],
  [STATUS.deltaSize]: ['ERANGE', 'size of the delta record out of range'],
  [STATUS.overlap]: ['EINVAL', 'buffers overlap'],
  [STATUS.dualcast]: ['EINVAL', 'destinations differ in bits 11:0'],
  [STATUS.listAlignment]: ['EINVAL', 'list of descriptors not aligned'],
  [STATUS.handle]: ['EIO', 'interrupt handle invalid'],
  [STATUS.completionFault]: ['EFAULT', 'page fault on the completion record'],
  [STATUS.completionAlignment]: ['EINVAL', 'completion record not aligned'],
  [STATUS.addressAlignment]: ['EINVAL', 'address not aligned'],
  [STATUS.privilege]: ['EPERM', 'privilege error'],
  [STATUS.trafficClass]: ['EINVAL', 'traffic class error'],
  [STATUS.readbackFault]: ['EFAULT', 'page fault on readback'],
  [STATUS.hardware]: ['EIO', 'hardware error'],
};

/** The name that the datasheet has for a status, without the bit for writes: in messages. */
const statusOf = (raw: number): number => (raw === ABORTED ? raw : raw & ~DSA.STATUS_WRITE);

/** What is told of a transfer; one object serves all that are told to clients. */
export class Outcome implements DmaResult {
  cookie = 0;
  status: DmaStatus = 'in-progress';
  bytes = 0;
  result = 0;
  value = 0;
  error: Errno | undefined = undefined;
}

/**
 * What has become of transfers, by cookie. Cookies go up; what is known of the last ones lies in a ring, which has room for twice as many
 * as can be under way: those are passed over, and never forgotten.
 */
export class Outcomes {
  readonly #who: string;
  readonly #kept: Uint32Array;
  readonly #mask: number;
  #last = 0;

  /** @param depth transfers that can be under way */
  constructor(who: string, depth: number) {
    this.#who = who;
    const count = 2 ** Math.ceil(Math.log2(Math.max(2 * depth, LEAST_KEPT)));
    this.#mask = count - 1;
    this.#kept = new Uint32Array(count * KEPT_WORDS);
    for (let at = 0; at < this.#kept.length; at += KEPT_WORDS) this.#kept[at + KEPT.status] = STATUS.success;
  }

  /** A transfer begins. @returns its cookie */
  begin(): number {
    let cookie = this.#last;
    let at: number;
    do {
      cookie = cookie === MOST_COOKIE ? 1 : cookie + 1;
      at = (cookie & this.#mask) * KEPT_WORDS;
    } while (this.#kept[at + KEPT.status] === STATUS.none);
    this.#last = cookie;
    this.#kept[at + KEPT.cookie] = cookie;
    this.#kept[at + KEPT.status] = STATUS.none;
    return cookie;
  }

  /** It has ended: what there is to know is in its record. */
  end(cookie: number, status: number, pool: DescriptorPool, slot: number): void {
    const kept = this.#kept;
    const at = (cookie & this.#mask) * KEPT_WORDS;
    kept[at + KEPT.status] = status;
    if (status === ABORTED) {
      kept.fill(0, at + KEPT.bytes, at + KEPT_WORDS);
      return;
    }
    const result = (pool.record(slot, 0) >>> (8 * COMPLETION.result)) & 0xff;
    const isWhole = status === STATUS.success && result === 0;
    kept[at + KEPT.result] = result;
    kept[at + KEPT.bytes] = isWhole ? pool.words[slot * WORDS + SIZE_WORD]! : pool.record(slot, COMPLETION.bytes / 4);
    kept[at + KEPT.value] = pool.record(slot, COMPLETION.crc / 4);
    kept[at + KEPT.addressLo] = pool.record(slot, COMPLETION.faultAddress / 4);
    kept[at + KEPT.addressHi] = pool.record(slot, COMPLETION.faultAddress / 4 + 1);
  }

  /** @throws {Errno} ENOENT when nothing is known of it */
  status(cookie: number): DmaStatus {
    return wordFor(this.#kept[this.#find(cookie) + KEPT.status]!);
  }

  /** Writes down what is known. @throws {Errno} ENOENT when nothing is */
  tell(cookie: number, outcome: Outcome): void {
    const kept = this.#kept;
    const at = this.#find(cookie);
    const raw = kept[at + KEPT.status]!;
    outcome.cookie = cookie;
    outcome.status = wordFor(raw);
    const isKnown = raw !== STATUS.none;
    outcome.bytes = isKnown ? kept[at + KEPT.bytes]! : 0;
    outcome.result = isKnown ? kept[at + KEPT.result]! : 0;
    outcome.value = isKnown ? kept[at + KEPT.value]! : 0;
    outcome.error = raw <= STATUS.predicate ? undefined : this.#error(cookie, raw, at);
  }

  #error(cookie: number, raw: number, at: number): Errno {
    const who = `${this.#who}: transfer ${cookie}`;
    if (raw === ABORTED) return new Errno('ECANCELED', `${who}: aborted`);
    const status = statusOf(raw);
    const [code, words] = FAILURES[status] ?? ['EIO', 'unknown status'];
    const hi = this.#kept[at + KEPT.addressHi]!;
    const address = hex(hi * 2 ** 32 + this.#kept[at + KEPT.addressLo]!);
    const way = (raw & DSA.STATUS_WRITE) === 0 ? 'read' : 'write';
    const where = code === 'EFAULT' ? `: ${way} at 0x${address}, after ${this.#kept[at + KEPT.bytes]!} bytes` : '';
    return new Errno(code, `${who}: status 0x${hex(status)}, ${words}${where}`);
  }

  #find(cookie: number): number {
    const at = (cookie & this.#mask) * KEPT_WORDS;
    if (cookie > 0 && this.#kept[at + KEPT.cookie] === cookie) return at;
    throw new Errno('ENOENT', `${this.#who}: transfer ${cookie}: never submitted, or too long ago`);
  }
}

/** A predicate that did not hold is a result, and no error. */
function wordFor(raw: number): DmaStatus {
  if (raw === STATUS.none) return 'in-progress';
  if (raw <= STATUS.predicate) return 'complete';
  return raw === ABORTED ? 'aborted' : 'error';
}
