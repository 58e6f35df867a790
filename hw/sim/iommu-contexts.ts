import type { IommuContext, IommuTable } from '../../core/hal/index.js';
import { Errno, checkRange } from '../../core/lib/index.js';

const BUSES = 256;
const DEVICES_PER_BUS = 256;
/** PASIDs are kept in pieces of this many. */
const PIECE_BITS = 10;
const PIECE = 2 ** PIECE_BITS;

/** What accesses meet: one object for each table in use, by however many. */
export class Context {
  uses = 0;
  constructor(
    readonly table: IommuTable | undefined,
    /** What its translations are kept under; not used again for another. */
    readonly tag: number,
  ) {}
}

export const IDENTITY = new Context(undefined, 0);
export const BLOCKED = new Context(undefined, 0);

type Piece = (Context | undefined)[];

/** The contexts of one device. */
class DeviceContexts {
  plain: Context = IDENTITY;
  /** By upper, then by lower bits; empty until there is one. */
  readonly pasids: (Piece | undefined)[] = [];
}

/**
 * What accesses meet, by requester id and PASID. Found by array index, however many there are; arrays get their full length at
 * once, since one that grows to a far index becomes a hash table.
 */
export class IommuContexts {
  /** By bus, then by device and function. */
  readonly #buses = new Array<(DeviceContexts | undefined)[] | undefined>(BUSES).fill(undefined);
  readonly #tables = new Map<IommuTable, Context>();
  #tags = 0;

  constructor(readonly pasidBits: number) {}

  /** @param pasid 0 is none; others that nobody has set are blocked, undefined for a device that nobody has set anything for */
  get(requesterId: number, pasid: number): Context | undefined {
    const device = this.#buses[requesterId >>> 8]?.[requesterId & 0xff];
    if (pasid === 0) return device === undefined ? IDENTITY : device.plain;
    if (device === undefined) return undefined;
    return device.pasids[pasid >>> PIECE_BITS]?.[pasid & (PIECE - 1)] ?? BLOCKED;
  }

  /** The context of a table that is in use. */
  of(table: IommuTable): Context | undefined {
    return this.#tables.get(table);
  }

  set(requesterId: number, context: IommuContext | undefined): void {
    const device = this.#device(requesterId);
    const before = device.plain;
    device.plain = context === undefined ? IDENTITY : this.#use(context);
    this.#drop(before);
  }

  setPasid(requesterId: number, pasid: number, context: IommuContext | undefined): void {
    if (this.pasidBits === 0) throw new Errno('EOPNOTSUPP', 'iommu: knows no PASIDs');
    checkRange('iommu', 'pasid', pasid, 1, 2 ** this.pasidBits - 1);
    const piece = this.#piece(this.#device(requesterId), pasid >>> PIECE_BITS);
    const lower = pasid & (PIECE - 1);
    const before = piece[lower];
    piece[lower] = context === undefined ? undefined : this.#use(context);
    this.#drop(before);
  }

  #device(requesterId: number): DeviceContexts {
    checkRange('iommu', 'requester id', requesterId, 0, 0xffff);
    const bus = (this.#buses[requesterId >>> 8] ??= new Array<DeviceContexts | undefined>(DEVICES_PER_BUS).fill(undefined));
    return (bus[requesterId & 0xff] ??= new DeviceContexts());
  }

  #piece({ pasids }: DeviceContexts, upper: number): Piece {
    while (pasids.length << PIECE_BITS < 2 ** this.pasidBits) pasids.push(undefined);
    return (pasids[upper] ??= new Array<Context | undefined>(PIECE).fill(undefined));
  }

  /** The context of a table is made with its first use and gone with its last, and with its tag what is known of it. */
  #use(context: IommuContext): Context {
    if (context === 'identity') return IDENTITY;
    if (context === 'blocked') return BLOCKED;
    let own = this.#tables.get(context);
    if (own === undefined) {
      own = new Context(context, ++this.#tags);
      this.#tables.set(context, own);
    }
    own.uses++;
    return own;
  }

  #drop(context: Context | undefined): void {
    if (context?.table !== undefined && --context.uses === 0) this.#tables.delete(context.table);
  }
}
