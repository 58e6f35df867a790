import { Errno, hex } from '../lib/index.js';

/** The granule of the DMA API: what an IOVA is handed out in, in bytes. */
export const GRANULE = 4096;
const GRANULE_BITS = 12;
/** Lengths below this many granules are rounded up to a power of two. @see Linux 6.12 drivers/iommu/iova.c alloc_iova_fast */
const ROUNDED_BELOW = 32;
/** Addresses are below 2^53. */
const LARGEST_ORDER = 53 - GRANULE_BITS;

/** Ranges of up to 2^5 granules are kept when they are given back, so many of each length. @see Linux 6.12 drivers/iommu/iova.c IOVA_MAG_SIZE */
const CACHED_ORDERS = 6;
const CACHED_RANGES = 127;

/** A half of a block: free as a whole, taken as a whole, or the number of the node that splits it. */
const FREE = 0;
const TAKEN = -1;
/** Nothing is free in a block. */
const NOTHING = -1;

const FIRST_NODES = 64;

/** 2^n, exactly, for every n that an address can have. */
const POWER = Float64Array.from({ length: 54 }, (_, n) => 2 ** n);

/** The smallest n with 2^n >= `count`, an integer from 1 on. */
export function orderOf(count: number): number {
  let order = count > 2 ** 31 ? 31 : 32 - Math.clz32(count - 1);
  while (POWER[order]! < count) order++;
  return order;
}

/** How many granules are taken for `count`: small numbers become powers of two, so that they fit into each other's places. */
function roundedCount(count: number): number {
  return count < ROUNDED_BELOW ? POWER[orderOf(count)]! : count;
}

/**
 * The I/O addresses of one domain, in granules of 4096 bytes: which are taken, and the highest free ones.
 *
 * A range is aligned to the power of two that its length rounds up to, as high as it can be. Granule 0 is never handed out. Of short
 * ranges the one that was given back last comes first. Every operation is O(log n) of the addresses that there are, whatever is taken: a binary tree of blocks in which each node
 * knows its largest free one, and blocks that are free or taken as a whole have no nodes.
 * @see Linux 6.12 drivers/iommu/iova.c
 */
export class IovaSpace {
  /** The halves of node n are 2n, the lower, and 2n + 1. Node 0 is none; nodes that are free are chained by their lower half. */
  #halves = new Int32Array(2 * FIRST_NODES);
  /** Order of the largest free block in a node. */
  #largest = new Int8Array(FIRST_NODES);
  #used = 1;
  #spare = 0;
  #root = FREE;
  readonly #order: number;
  /** Where the block that is being taken is. */
  #at = 0;
  #taken = 0;
  /** By order: the granules of ranges that were given back, and that the tree does not know to be free. */
  readonly #cached: number[][] = Array.from({ length: CACHED_ORDERS }, () => []);

  /** @param addressBits 13 to 64: addresses are below 2^`addressBits`, and below 2^53 */
  constructor(addressBits: number) {
    if (!(Number.isInteger(addressBits) && addressBits > GRANULE_BITS && addressBits <= 64)) {
      throw new Errno('ERANGE', `iova: addresses of ${addressBits} bits: must be an integer of ${GRANULE_BITS + 1} to 64`);
    }
    this.#order = Math.min(addressBits - GRANULE_BITS, LARGEST_ORDER);
    this.#root = this.#set(this.#root, this.#order, 0, 1, TAKEN);
  }

  /** Bytes that are taken, reserved ones not counted. */
  get takenBytes(): number {
    return this.#taken * GRANULE;
  }

  /**
   * Takes the highest free range.
   * @param sizeBytes a positive multiple of 4096
   * @param mask the highest address allowed, as a mask of ones
   * @param alignBytes a power of two, beyond what the length asks for
   * @returns its address; -1 when there is none
   */
  alloc(sizeBytes: number, mask: number, alignBytes: number = GRANULE): number {
    const count = roundedCount(sizeBytes / GRANULE);
    const order = Math.max(orderOf(count), orderOf(Math.max(1, alignBytes / GRANULE)));
    const limit = Math.min(this.#order, orderOf(Math.floor(mask / GRANULE) + 1));
    if (order > limit) return -1;
    let at = count === POWER[order] && order < CACHED_ORDERS ? this.#takeCached(order, limit) : -1;
    if (at < 0) at = this.#takeHighest(count, order, limit);
    if (at < 0 && this.#flush()) at = this.#takeHighest(count, order, limit);
    if (at < 0) return -1;
    this.#taken += count;
    return at * GRANULE;
  }

  /** Gives back what `alloc` gave. @param sizeBytes what it was asked for */
  free(address: number, sizeBytes: number): void {
    const at = address / GRANULE;
    const count = roundedCount(sizeBytes / GRANULE);
    this.#taken -= count;
    const order = orderOf(count);
    if (count === POWER[order] && order < CACHED_ORDERS) {
      const cached = this.#cached[order]!;
      if (cached.length < CACHED_RANGES) {
        cached.push(at);
        return;
      }
    }
    this.#root = this.#set(this.#root, this.#order, at, at + count, FREE);
  }

  /**
   * Keeps `alloc` away from the granules that `sizeBytes` from `start` on are in; what is beyond the space is left out.
   * @throws {Errno} ERANGE when that is no range
   */
  reserve(start: number, sizeBytes: number): void {
    const from = Math.floor(start / GRANULE);
    const end = Math.min(Math.ceil((start + sizeBytes) / GRANULE), POWER[this.#order]!);
    if (!(start >= 0 && sizeBytes > 0 && Number.isSafeInteger(start + sizeBytes))) {
      throw new Errno('ERANGE', `iova: reserved range of ${sizeBytes} bytes at 0x${hex(start)}`);
    }
    if (from < end) this.#root = this.#set(this.#root, this.#order, from, end, TAKEN);
  }

  /** What was given back last of an order; -1 when there is none below 2^`limit`. */
  #takeCached(order: number, limit: number): number {
    const cached = this.#cached[order]!;
    const end = POWER[limit]!;
    for (let i = cached.length - 1; i >= 0; i--) {
      const at = cached[i]!;
      if (at >= end) continue;
      const last = cached.pop()!;
      if (i < cached.length) cached[i] = last;
      return at;
    }
    return -1;
  }

  /** Tells the tree of all that was given back; false when it knows. */
  #flush(): boolean {
    let isNew = false;
    for (const [order, cached] of this.#cached.entries()) {
      for (const at of cached.splice(0)) {
        this.#root = this.#set(this.#root, this.#order, at, at + POWER[order]!, FREE);
        isNew = true;
      }
    }
    return isNew;
  }

  /** The highest free block of an order, less what the range leaves of it; -1 when there is none. */
  #takeHighest(count: number, order: number, limit: number): number {
    if (this.#largestBelow(limit) < order) return -1;
    this.#at = 0;
    this.#root = this.#take(this.#root, this.#order, order, limit);
    const at = this.#at;
    const end = at + POWER[order]!;
    if (at + count < end) this.#root = this.#set(this.#root, this.#order, at + count, end, FREE);
    return at;
  }

  /** Order of the largest free block among the lowest 2^`limit` granules. */
  #largestBelow(limit: number): number {
    let block = this.#root;
    for (let order = this.#order; order > limit; order--) {
      if (block === TAKEN) return NOTHING;
      if (block === FREE) return limit;
      block = this.#halves[2 * block]!;
    }
    return this.#largestIn(block, limit);
  }

  #largestIn(block: number, order: number): number {
    if (block === FREE) return order;
    return block === TAKEN ? NOTHING : this.#largest[block]!;
  }

  /** Takes the highest free block of `wanted` within a block that has one. @returns what has become of that block */
  #take(block: number, order: number, wanted: number, limit: number): number {
    if (order === wanted) return TAKEN;
    const node = block === FREE ? this.#node(FREE) : block;
    const half = order - 1;
    const isUpper = order <= limit && this.#largestIn(this.#halves[2 * node + 1]!, half) >= wanted;
    if (isUpper) this.#at += POWER[half]!;
    const side = isUpper ? 2 * node + 1 : 2 * node;
    const rest = this.#take(this.#halves[side]!, half, wanted, limit);
    this.#halves[side] = rest;
    return this.#settle(node, half);
  }

  /** Makes granules [from, end) of a block free or taken. @returns what has become of the block */
  #set(block: number, order: number, from: number, end: number, value: number): number {
    if (from === 0 && end === POWER[order]!) {
      this.#drop(block);
      return value;
    }
    if (block === value) return block;
    const node = block === FREE || block === TAKEN ? this.#node(block) : block;
    const half = order - 1;
    const middle = POWER[half]!;
    if (from < middle) {
      const lower = this.#set(this.#halves[2 * node]!, half, from, Math.min(end, middle), value);
      this.#halves[2 * node] = lower;
    }
    if (end > middle) {
      const upper = this.#set(this.#halves[2 * node + 1]!, half, Math.max(from, middle) - middle, end - middle, value);
      this.#halves[2 * node + 1] = upper;
    }
    return this.#settle(node, half);
  }

  /** A node whose halves have changed: gone when they are alike again. */
  #settle(node: number, half: number): number {
    const lower = this.#halves[2 * node]!;
    const upper = this.#halves[2 * node + 1]!;
    if (lower === upper) {
      this.#release(node);
      return lower;
    }
    this.#largest[node] = Math.max(this.#largestIn(lower, half), this.#largestIn(upper, half));
    return node;
  }

  #drop(block: number): void {
    if (block === FREE || block === TAKEN) return;
    this.#drop(this.#halves[2 * block]!);
    this.#drop(this.#halves[2 * block + 1]!);
    this.#release(block);
  }

  /** A new node whose halves are both as its block was. */
  #node(halves: number): number {
    let node = this.#spare;
    if (node === 0) {
      node = this.#used++;
      if (node === this.#largest.length) this.#grow();
    } else {
      this.#spare = this.#halves[2 * node]!;
    }
    this.#halves[2 * node] = this.#halves[2 * node + 1] = halves;
    return node;
  }

  #release(node: number): void {
    this.#halves[2 * node] = this.#spare;
    this.#spare = node;
  }

  #grow(): void {
    const halves = new Int32Array(2 * this.#halves.length);
    halves.set(this.#halves);
    this.#halves = halves;
    const largest = new Int8Array(2 * this.#largest.length);
    largest.set(this.#largest);
    this.#largest = largest;
  }
}
