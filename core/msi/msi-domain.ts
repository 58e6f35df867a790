import type { DevresEntry } from '../devres/index.js';
import type { Device } from '../device/index.js';
import type { MsiMsg } from '../hal/index.js';
import {
  type BusToken,
  type FlowHandler,
  type IrqAffinityDesc,
  type IrqChip,
  IrqDomain,
  type MsiDomainDraft,
  type MsiFlag,
} from '../irq/index.js';
import { Errno, joinErrors } from '../lib/errno.js';
import { Signal, type Subscription } from '../lib/signal.js';
import { type MsiAllocOptions, NO_OPTIONS, affinityOf } from './alloc-options.js';
import type { DeviceMsi } from './device-msi.js';
import { restoreDesc } from './irq-state.js';
import { MsiDesc } from './msi-desc.js';
import { MsiMap } from './msi-map.js';
import { MSI_LEVEL_OPS } from './msi-ops.js';
import { Slots } from './slots.js';
import type { MsiDomainOps } from './template.js';

/** Which descriptors: those that have an interrupt, those that have none. @see Linux 7.2 include/linux/msi.h enum msi_desc_filter */
export type MsiFilter = 'all' | 'associated' | 'not-associated';

/** What a domain is made of. @internal */
export interface MsiDomainParts {
  readonly id: string;
  readonly size: number;
  readonly data: unknown;
  readonly draft: MsiDomainDraft;
  readonly ops: MsiDomainOps;
  /** The template's chip. */
  readonly base: IrqChip;
  readonly parent: IrqDomain;
  readonly requesterId: number | undefined;
  readonly slotLabel: string | undefined;
}

/**
 * One set of a device's message interrupts: indices from 0 up, each with a place for its message and an interrupt behind it.
 *
 * It lives until unbind, or until it is removed; what manages it throws ENODEV after that. Its slots are freed before it.
 * @see Linux 7.2 kernel/irq/msi.c
 */
export class MsiDomain<Cookie = unknown> implements Disposable, AsyncDisposable {
  /** `default` for MSI and MSI-X, `secondary` for IMS, or a name of its own. */
  readonly id: string;
  /** Indices are 0 to `size` - 1. */
  readonly size: number;
  readonly device: Device;
  readonly busToken: BusToken;
  /** What was asked for, without what the parent lacks. */
  readonly flags: ReadonlySet<MsiFlag>;
  /** The template's own. */
  readonly data: unknown;
  /** Its level of the hierarchy. */
  readonly irqDomain: IrqDomain;
  /** @internal */
  readonly chip: IrqChip;
  /** @internal */
  readonly flow: FlowHandler;
  /** @internal */
  readonly flowName: string;
  /** @internal */
  readonly ops: MsiDomainOps;
  /** The template's chip: it writes what `chip` has noted. @internal */
  readonly base: IrqChip;
  /** Of the ledger. @internal */
  entry: DevresEntry | undefined = undefined;
  readonly #msi: DeviceMsi;
  readonly #slots: Slots;
  #isGone = false;

  /** @internal */
  constructor(msi: DeviceMsi, { id, size, data, draft, ops, base, parent, requesterId, slotLabel }: MsiDomainParts) {
    const { device, core } = msi;
    const { chip, busToken, flow, flowName, flags } = draft;
    this.id = id;
    this.size = size;
    this.device = device;
    this.busToken = busToken;
    this.flags = flags;
    this.data = data;
    this.chip = chip;
    this.flow = flow;
    this.flowName = flowName;
    this.ops = ops;
    this.base = base;
    this.#msi = msi;
    this.irqDomain = new IrqDomain(core, { name: chip.name, ops: MSI_LEVEL_OPS, parent, busToken, hostData: this, device });
    this.#slots = new Slots(this, requesterId, slotLabel);
  }

  /** Chip and device, as in `/proc/interrupts`: `IR-IMS-0000:00:05.0`. */
  get name(): string {
    return this.chip.name;
  }

  /** How many indices are taken. */
  get count(): number {
    return this.#slots.descs.count;
  }

  // Allocation

  /**
   * Allocates an interrupt at the lowest free index. In the ledger of an IMS domain it is `ims slot`.
   * @throws {Errno} EBUSY when all indices are taken; ENOSPC when a level has no room, with its error as `cause`; ENODEV when the
   *   domain is gone; what the store threw. Nothing has changed then
   * @see Linux 7.2 kernel/irq/msi.c msi_domain_alloc_irq_at
   */
  alloc(options: MsiAllocOptions<Cookie> = NO_OPTIONS): MsiMap {
    return this.#alloc(0, this.size - 1, options);
  }

  /** As `alloc`, at one index in particular. @throws {Errno} also EBUSY when it is taken; ERANGE when there is no such index */
  allocAt(index: number, options: MsiAllocOptions<Cookie> = NO_OPTIONS): MsiMap {
    if (!this.#isIndex(index))
      throw new Errno('ERANGE', `${this.who}: index ${index}: must be an integer of 0 to ${this.size - 1}`);
    return this.#alloc(index, index, options);
  }

  /** As `alloc`, at the lowest free index of `lo` to `hi`, both included. @throws {Errno} also EINVAL for no such range */
  allocIn(lo: number, hi: number, options: MsiAllocOptions<Cookie> = NO_OPTIONS): MsiMap {
    this.#checkRange(lo, hi);
    return this.#alloc(lo, hi, options);
  }

  /**
   * Allocates every index of `first` to `last`, both included: all or nothing.
   * @throws {Errno} as `allocAt`, and EINVAL for no such range (rule `msi-range`)
   * @see Linux 7.2 kernel/irq/msi.c msi_domain_alloc_irqs_range
   */
  allocRange(first: number, last: number, options: MsiAllocOptions<Cookie> = NO_OPTIONS): MsiMap[] {
    this.#checkRange(first, last);
    const maps: MsiMap[] = [];
    try {
      for (let index = first; index <= last; index++) maps.push(this.#alloc(index, index, options));
      return maps;
    } catch (error) {
      const errors: unknown[] = [error];
      for (const map of maps.reverse()) attempt(errors, () => this.free(map));
      throw joinErrors(errors, `giving back what there was of ${first} to ${last}`);
    }
  }

  /**
   * Allocates one index that is several interrupts in a row: MSI with several messages.
   * @param affinity one for each; default anywhere
   * @throws {Errno} as `alloc`
   */
  allocMulti(count: number, affinity?: readonly IrqAffinityDesc[]): MsiMap {
    return this.#locked('allocating a slot', () => this.#slots.alloc(0, this.size - 1, count, undefined, affinity));
  }

  /**
   * Takes the lowest free index of `lo` to `hi` without an interrupt behind it: for buses that set up all before they allocate any.
   * It goes with `drop`, with the slot once it is associated, and at last with the domain.
   * @see Linux 7.2 kernel/irq/msi.c msi_domain_insert_msi_desc
   */
  insert(lo: number, hi: number, options: MsiAllocOptions<Cookie> = NO_OPTIONS): MsiDesc {
    this.#checkRange(lo, hi);
    const { cookie, affinity } = options;
    return this.#locked('inserting a descriptor', () => this.#slots.insert(lo, hi, 1, cookie, affinityOf(affinity)));
  }

  /** Gives an interrupt to a descriptor that has none. @throws {Errno} as `alloc`: the descriptor is gone then */
  associate(desc: MsiDesc): MsiMap {
    return this.#locked('associating a descriptor', () => {
      this.#checkUnassociated(desc);
      return this.#slots.associate(desc);
    });
  }

  /** Gives back the index of a descriptor that has no interrupt. */
  drop(desc: MsiDesc): void {
    this.#locked('dropping a descriptor', () => {
      this.#checkUnassociated(desc);
      this.#slots.descs.delete(desc.index);
    });
  }

  // Freeing

  /**
   * Frees one interrupt.
   * @throws {Errno} EBUSY while a handler is installed; EINVAL when it is free, or not of this domain (rule `msi-stale-map`).
   *   Nothing has changed then
   */
  free(map: MsiMap): void {
    this.#mayManage('freeing a slot');
    this.#msi.refuseLocked('freeing a slot');
    const desc = this.#descOf(map, 'freed');
    this.#refuseRequested(desc);
    this.#slots.release(desc);
  }

  /** Frees all of this domain, and of no other. @throws {Errno} EBUSY while a handler is installed: nothing is freed then */
  freeAll(): void {
    this.#mayManage('freeing all slots');
    this.#msi.refuseLocked('freeing all slots');
    for (const desc of this.#slots.descs) this.#refuseRequested(desc);
    const errors: unknown[] = [];
    for (const desc of this.#slots.descs) attempt(errors, () => this.#slots.release(desc));
    if (errors.length > 0) throw joinErrors(errors, `freeing all of ${this.name}`);
  }

  /** The end of a slot, whether or not a handler is installed. @internal */
  endSlot(map: MsiMap): void {
    const desc = this.#descOf(map, 'ended');
    this.#msi.force('freeing a slot', MsiDomain.#end, desc);
  }

  static readonly #end = (desc: MsiDesc): void => desc.domain.#slots.end(desc);

  // What is there

  /**
   * The interrupt at an index; 0 when there is none. An index that cannot be is reported (rule `msi-range`).
   * @see Linux 7.2 kernel/irq/msi.c msi_domain_get_virq
   */
  lookup(index: number): number {
    if (this.#isIndex(index)) return this.#slots.descs.get(index)?.virq ?? 0;
    this.report('msi-range', `index ${index} looked up: must be an integer of 0 to ${this.size - 1}`);
    return 0;
  }

  /** The descriptors by index; they may be freed meanwhile. @see Linux 7.2 include/linux/msi.h msi_for_each_desc */
  *descs(filter: MsiFilter = 'all'): Generator<MsiDesc> {
    for (const desc of this.#slots.descs) if (filter === 'all' || (desc.virq !== 0) === (filter === 'associated')) yield desc;
  }

  /** What was last written to an index: zeros when it was deactivated, undefined when nothing was. */
  message(index: number): MsiMsg | undefined {
    return this.#slots.descs.get(index)?.msg;
  }

  /**
   * Tells of every message that is written to a slot, until the slot is freed: for who exports an interrupt to somebody else.
   * @throws {Errno} EINVAL when the slot is free (rule `msi-stale-map`)
   * @see Linux 7.2 drivers/ntb/msi.c ntb_msi_set_desc
   */
  onMessageChanged(map: MsiMap, listener: (msg: MsiMsg) => void): Subscription {
    const desc = this.#descOf(map, 'listened to');
    if (typeof listener !== 'function')
      throw new Errno('EINVAL', `${this.who}: ${String(listener)} cannot listen: give a function`);
    desc.changed ??= new Signal();
    return desc.changed.on(listener);
  }

  /** What the device calls an interrupt: what goes into its registers and descriptors. It may change as the device does. */
  deviceVisibleId(map: MsiMap): number {
    const desc = this.#descOf(map, 'looked at');
    return this.ops.deviceVisibleId?.(desc) ?? desc.index;
  }

  /** Writes all messages and masks again: the device has forgotten them. @throws what stores threw, after all were tried */
  restore(): void {
    this.#locked('restoring messages', () => {
      const errors: unknown[] = [];
      for (const desc of this.descs('associated')) attempt(errors, () => restoreDesc(desc));
      if (errors.length > 0) throw joinErrors(errors, `restoring ${this.name}`);
    });
  }

  // The end

  /**
   * Frees what is allocated, and ends the domain; nothing happens when it is gone.
   * @throws {Errno} EBUSY while a handler is installed: nothing is freed then
   */
  remove(): void {
    if (this.#isGone || this.entry === undefined) return;
    this.freeAll();
    void this.device.devres.releaseEntry(this.entry);
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove();
  }

  /** The end of the domain: what is left of it goes first, highest index first. @internal */
  end(): void {
    const errors: unknown[] = [];
    const left = [...this.descs('associated')].reverse();
    if (left.length > 0) {
      this.report('msi-left-behind', `ends with ${left.map((desc) => `${desc.index} (irq ${desc.virq})`).join(', ')} allocated`);
      for (const desc of left) attempt(errors, () => this.#slots.release(desc));
    }
    this.#isGone = true;
    attempt(errors, () => this.ops.teardown?.(this));
    attempt(errors, () => this.#msi.leave(this));
    this.irqDomain.remove();
    if (errors.length > 0) throw joinErrors(errors, `the end of ${this.name}`);
  }

  // For the other files of this room

  /** Who speaks, in messages. @internal */
  get who(): string {
    return `${this.device.name}: ${this.id} domain`;
  }

  /** @internal */
  holds(map: MsiMap): boolean {
    return this.#slots.descs.get(map.index)?.map === map;
  }

  /** @internal */
  report(rule: string, text: string): void {
    const { device: core } = this.irqDomain.core;
    core.logFor('warn', this.device.name, `${this.id} domain: ${text}`, `WARN ${rule}`);
    core.report(rule, this.device, `${this.id} domain: ${text}`);
  }

  #alloc(lo: number, hi: number, options: MsiAllocOptions<Cookie>): MsiMap {
    if (typeof options !== 'object' || options === null) {
      throw new Errno('EINVAL', `${this.who}: ${String(options)} are no options: an index goes to allocAt`);
    }
    const { cookie, affinity } = options;
    const each = affinityOf(affinity);
    this.#lock('allocating a slot');
    try {
      return this.#slots.alloc(lo, hi, 1, cookie, each);
    } finally {
      this.#msi.unlock();
    }
  }

  #locked<T>(what: string, fn: () => T): T {
    this.#lock(what);
    try {
      return fn();
    } finally {
      this.#msi.unlock();
    }
  }

  #lock(what: string): void {
    this.#mayManage(what);
    this.#msi.lock(what);
  }

  #mayManage(what: string): void {
    this.irqDomain.core.mightSleep(what, this.device);
    if (this.#isGone) throw new Errno('ENODEV', `${this.who}: ${what}: the domain is gone`);
  }

  #refuseRequested({ index, count, virq }: MsiDesc): void {
    for (let n = 0; virq !== 0 && n < count; n++) {
      if (this.irqDomain.core.descs[virq + n]?.isRequested !== true) continue;
      throw new Errno('EBUSY', `${this.who}: index ${index}: a handler of irq ${virq + n} is installed: free that first`);
    }
  }

  #descOf(map: MsiMap, what: string): MsiDesc {
    if (!(map instanceof MsiMap)) throw this.#stale(`${String(map)}, which is no map, ${what}`);
    const desc = this.#slots.descs.get(map.index);
    if (desc === undefined || desc.map !== map) throw this.#stale(`map of index ${map.index}, irq ${map.virq}, ${what}`);
    return desc;
  }

  #checkUnassociated(desc: MsiDesc): void {
    if (!(desc instanceof MsiDesc)) throw this.#stale(`${String(desc)}, which is no descriptor, used`);
    if (this.#slots.descs.get(desc.index) !== desc || desc.virq !== 0) throw this.#stale(`descriptor ${desc.index} used`);
  }

  #stale(text: string): Errno {
    const why = `${this.id} domain: ${text}: it is not, or no more, what is there`;
    return this.irqDomain.core.device.violate('msi-stale-map', this.device, why);
  }

  #isIndex(index: number): boolean {
    return Number.isInteger(index) && index >= 0 && index < this.size;
  }

  #checkRange(lo: number, hi: number): void {
    if (this.#isIndex(lo) && this.#isIndex(hi) && lo <= hi) return;
    const text = `${this.id} domain: ${lo} to ${hi} is no range of the indices 0 to ${this.size - 1}`;
    throw this.irqDomain.core.device.violate('msi-range', this.device, text);
  }
}

function attempt(errors: unknown[], step: () => void): void {
  try {
    step();
  } catch (error) {
    errors.push(error);
  }
}
