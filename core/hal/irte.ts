import { checkRange, hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import { DELIVERY_MODES } from './msi-format.js';

/** Words of an entry of an interrupt remapping table. */
export const IRTE_WORDS = 4;

/**
 * Which of a sender's id must be that of the entry: `none` lets all pass; `all` compares 16 bits; `function2`, `functions21`
 * and `function` all but bit 2, bits 2:1, bits 2:0; `buses`: the sender's bus is one of `sourceId` 15:8 to 7:0.
 */
export type SourceCheck = 'none' | 'all' | 'function2' | 'functions21' | 'functions' | 'buses';

/** What both forms of an entry have. */
interface IrteCommon {
  /** Default true. */
  readonly present?: boolean;
  /** Faults of messages that name this entry are not told; default false. */
  readonly faultDisable?: boolean;
  /** 0 to 0xff. */
  readonly vector: number;
  /** Requester id: bus, device, function; default 0. */
  readonly sourceId?: number;
  /** Default `none`. */
  readonly check?: SourceCheck;
}

/** An entry that delivers to CPUs. */
export interface RemappedIrte extends IrteCommon {
  readonly posted: false;
  /** The word as the unit takes it: see {@link irteDestination}. */
  readonly destination: number;
  /** The destination is a set of CPUs; default false. */
  readonly logical?: boolean;
  /** One CPU of several takes it; default true, as Linux has it. */
  readonly redirectionHint?: boolean;
  /** Level-triggered; default false. */
  readonly level?: boolean;
  /** Index of `DELIVERY_MODES`; default 0, fixed. */
  readonly delivery?: number;
}

/** An entry that posts into a descriptor in memory. */
export interface PostedIrte extends IrteCommon {
  readonly posted: true;
  /** Address of the descriptor: a multiple of 64, below 2^53. */
  readonly descriptor: number;
  /** Notifies also where the descriptor says not to; default false. */
  readonly urgent?: boolean;
}

/** An entry, to be packed. */
export type Irte = RemappedIrte | PostedIrte;
/** An entry, unpacked: nothing is left to a default. */
export type FullIrte = Required<RemappedIrte> | Required<PostedIrte>;

/**
 * ```
 * word 0  31   24 23  16  15  14   12 11   8 7   5  4   3   2   1   0
 *        +-------+------+----+-------+------+-----+---+---+---+---+---+
 *        |   0   | vect | IM |   0   | avail| DLM |TM |RH |DM |FPD| P |   remapped: IM = 0
 *        |   0   | virt | IM |URG| 0 | avail|       0         |FPD| P |   posted:   IM = 1
 *        +-------+------+----+-------+------+-----+---+---+---+---+---+
 * word 1  remapped: destination            posted: 31:6 descriptor address 31:6, 5:0 zero
 * word 2  19:18 validation type, 17:16 qualifier, 15:0 source id
 * word 3  remapped: 0                      posted: descriptor address 63:32
 * ```
 * @see Intel VT-d Architecture Specification 4.1, 9.10 (remapped) and 9.11 (posted); Linux 7.2 include/linux/dmar.h
 * @internal
 */
export const IRTE = {
  PRESENT: 0x1,
  FAULT_DISABLE: 0x2,
  LOGICAL: 0x4,
  REDIRECTION_HINT: 0x8,
  LEVEL: 0x10,
  URGENT: 0x4000,
  POSTED: 0x8000,
  RESERVED_REMAPPED: 0xff00_7000 | 0,
  RESERVED_POSTED: 0xff00_30fc | 0,
} as const;

/** Validation type and qualifier of each check, as they stand in word 2 from bit 16 on. */
const CHECKS: Readonly<Record<SourceCheck, number>> = {
  none: 0x0,
  all: 0x4,
  function2: 0x5,
  functions21: 0x6,
  functions: 0x7,
  buses: 0x8,
};

/** The destination word for an APIC id: units without 32-bit ids take it in bits 15:8. */
export function irteDestination(apicId: number, x2apic: boolean): number {
  return x2apic ? apicId : (apicId & 0xff) << 8;
}

/**
 * Writes the four words of an entry.
 * @param words at least 4, the entry's bits 31:0 first
 * @throws {Errno} ERANGE for what does not fit; EINVAL for a descriptor that is no multiple of 64
 */
export function packIrte(entry: Irte, words: Uint32Array): void {
  const { present = true, faultDisable = false, vector, sourceId = 0, check = 'none' } = entry;
  checkRange('irte', 'vector', vector, 0, 0xff);
  checkRange('irte', 'source id', sourceId, 0, 0xffff);
  const common = (vector << 16) | (faultDisable ? IRTE.FAULT_DISABLE : 0) | (present ? IRTE.PRESENT : 0);
  const source = (CHECKS[check] << 16) | sourceId;
  if (entry.posted) {
    const { descriptor, urgent = false } = entry;
    if (!(Number.isSafeInteger(descriptor) && descriptor >= 0 && descriptor % 64 === 0)) {
      throw new Errno('EINVAL', `irte: descriptor address 0x${hex(descriptor)} is no multiple of 64 below 2^53`);
    }
    words[0] = common | IRTE.POSTED | (urgent ? IRTE.URGENT : 0);
    words[1] = descriptor % 2 ** 32;
    words[3] = Math.floor(descriptor / 2 ** 32);
  } else {
    const { destination, logical = false, redirectionHint = true, level = false, delivery = 0 } = entry;
    checkRange('irte', 'destination', destination, 0, 0xffff_ffff);
    checkRange('irte', 'delivery mode', delivery, 0, DELIVERY_MODES.length - 1);
    words[0] =
      common |
      (delivery << 5) |
      (level ? IRTE.LEVEL : 0) |
      (redirectionHint ? IRTE.REDIRECTION_HINT : 0) |
      (logical ? IRTE.LOGICAL : 0);
    words[1] = destination;
    words[3] = 0;
  }
  words[2] = source;
}

/**
 * Reads the four words of an entry.
 * @returns undefined when reserved bits are set, or it names no check or no address that there is
 */
export function unpackIrte(words: Uint32Array): FullIrte | undefined {
  if (!isValidIrte(words, 0)) return undefined;
  const [word0 = 0, word1 = 0, word2 = 0, word3 = 0] = words;
  const common = {
    present: (word0 & IRTE.PRESENT) !== 0,
    faultDisable: (word0 & IRTE.FAULT_DISABLE) !== 0,
    vector: (word0 >>> 16) & 0xff,
    sourceId: word2 & 0xffff,
    check: checkOf(word2),
  };
  if ((word0 & IRTE.POSTED) !== 0) {
    const descriptor = word3 * 2 ** 32 + word1;
    return { ...common, posted: true, descriptor, urgent: (word0 & IRTE.URGENT) !== 0 };
  }
  return {
    ...common,
    posted: false,
    destination: word1,
    logical: (word0 & IRTE.LOGICAL) !== 0,
    redirectionHint: (word0 & IRTE.REDIRECTION_HINT) !== 0,
    level: (word0 & IRTE.LEVEL) !== 0,
    delivery: (word0 >>> 5) & 7,
  };
}

/** Whether an entry is one of the two forms: reserved bits are 0, the check exists, the descriptor lies below 2^53. @internal */
export function isValidIrte(words: Uint32Array, at: number): boolean {
  const word0 = words[at]!;
  const word2 = words[at + 2]!;
  if (word2 >>> 20 !== 0 || word2 >>> 18 === 3) return false;
  if ((word0 & IRTE.POSTED) === 0) return (word0 & IRTE.RESERVED_REMAPPED) === 0 && words[at + 3] === 0;
  return (word0 & IRTE.RESERVED_POSTED) === 0 && (words[at + 1]! & 0x3f) === 0 && words[at + 3]! < 2 ** 21;
}

/** Bits 2:0 that a qualifier does not compare. */
const IGNORED = [0, 4, 6, 7] as const;

/** Whether an entry whose word 2 this is takes messages of that sender. @internal */
export function irteAccepts(word2: number, requesterId: number): boolean {
  const type = (word2 >>> 18) & 3;
  if (type === 1) return ((word2 ^ requesterId) & 0xffff & ~IGNORED[((word2 >>> 16) & 3) as 0 | 1 | 2 | 3]) === 0;
  if (type === 0) return true;
  const bus = requesterId >>> 8;
  return bus >= ((word2 >>> 8) & 0xff) && bus <= (word2 & 0xff);
}

function checkOf(word2: number): SourceCheck {
  switch ((word2 >>> 18) & 3) {
    case 0:
      return 'none';
    case 1:
      return (['all', 'function2', 'functions21', 'functions'] as const)[((word2 >>> 16) & 3) as 0 | 1 | 2 | 3];
    default:
      return 'buses';
  }
}
