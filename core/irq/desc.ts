import type { Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import type { IrqAction } from './action.js';
import type { IrqChip } from './chip.js';
import type { IrqCore } from './core.js';
import type { CpuMask } from './cpu-mask.js';
import { IrqData } from './data.js';
import { type AffinityNotifier, type IrqDescRare, NOTHING_RARE, writable } from './desc-rare.js';
import { type FlowHandler, handleBad } from './flow.js';
import * as S from './state.js';
import type { TriggerType } from './types.js';

/**
 * One interrupt: its number, its levels, its users, and how it is doing.
 * @see Linux 7.2 include/linux/irqdesc.h struct irq_desc
 */
export class IrqDesc {
  /** The level nearest to the device. */
  readonly data: IrqData;
  /** Bits of `core/irq/state.ts`. @internal */
  state = S.DISABLED | S.MASKED;
  /** @internal */
  settings = 0;
  /** How often it was disabled more than enabled; 0 while it is on. */
  depth = 1;
  /** @internal */
  flow: FlowHandler = handleBad;
  /** `edge`, `level`, ...: as in `/proc/interrupts`. */
  flowName = '';
  /** The first of its users. @internal */
  action: IrqAction | undefined = undefined;
  trigger: TriggerType = 'none';
  /** Where it may be delivered. */
  affinity: CpuMask;
  /** Where it is delivered. */
  effective: CpuMask;
  /** The device it belongs to, where that is known. */
  device: Device | undefined = undefined;
  /** The MSI descriptor, of an interrupt that is a message. @internal */
  msi: object | undefined = undefined;
  /** The level whose `ack` this interrupt's comes to, found once. @internal */
  ackLevel: IrqData;
  /** Interrupts since the counting of unhandled ones began. */
  count = 0;
  /** Of those, how many nobody handled. */
  unhandled = 0;
  /** Thread halves that have handled something. @internal */
  threadsHandled = 0;
  /** Bits of the oneshot actions whose threads are not done. @internal */
  threadsOneshot = 0;
  /** Woken threads that are not done. @internal */
  threadsActive = 0;
  /** Users that are being added or taken away, or whose thread halves are not done yet. @internal */
  changing = 0;
  #rare: IrqDescRare = NOTHING_RARE;
  /** The CPU of the last interrupt, and how many came there in a row. */
  #cpu = -1;
  #counted = 0;

  constructor(
    readonly core: IrqCore,
    readonly virq: number,
    /** NUMA node, -1 for any. */
    readonly node: number,
    affinity: CpuMask,
  ) {
    this.affinity = affinity;
    this.effective = affinity;
    this.data = new IrqData(this, undefined);
    this.ackLevel = this.data;
  }

  /** The chip nearest to the device. */
  get chip(): IrqChip {
    return this.data.chip;
  }
  get disabled(): boolean {
    return (this.state & S.DISABLED) !== 0;
  }
  get masked(): boolean {
    return (this.state & S.MASKED) !== 0;
  }
  get pending(): boolean {
    return (this.state & S.PENDING) !== 0;
  }
  get inProgress(): boolean {
    return (this.state & S.IN_PROGRESS) !== 0;
  }
  get replay(): boolean {
    return (this.state & S.REPLAY) !== 0;
  }
  get started(): boolean {
    return (this.state & S.STARTED) !== 0;
  }
  get activated(): boolean {
    return (this.state & S.ACTIVATED) !== 0;
  }
  get managed(): boolean {
    return (this.state & S.MANAGED) !== 0;
  }
  /** Shut down because no CPU of its mask is online. */
  get managedShutdown(): boolean {
    return (this.state & S.MANAGED_SHUTDOWN) !== 0;
  }
  get spuriousDisabled(): boolean {
    return (this.state & S.SPURIOUS_DISABLED) !== 0;
  }
  get affinityPending(): boolean {
    return (this.state & S.AFFINITY_PENDING) !== 0;
  }
  get affinitySet(): boolean {
    return (this.state & S.AFFINITY_SET) !== 0;
  }
  get forwardedToVcpu(): boolean {
    return (this.state & S.FORWARDED_TO_VCPU) !== 0;
  }
  get levelTriggered(): boolean {
    return (this.state & S.LEVEL) !== 0;
  }
  get enforcesIrqContext(): boolean {
    return (this.state & S.ENFORCE_IRQ_CONTEXT) !== 0;
  }
  get canReserve(): boolean {
    return (this.state & S.CAN_RESERVE) !== 0;
  }

  // What few interrupts have: see `IrqDescRare`

  /** @internal */
  get wakeDepth(): number {
    return this.#rare.wakeDepth;
  }
  set wakeDepth(depth: number) {
    this.#rare = writable(this.#rare);
    this.#rare.wakeDepth = depth;
  }
  /** The CPUs that it is managed for; undefined when it is not. @internal */
  get managedMask(): CpuMask | undefined {
    return this.#rare.managedMask;
  }
  set managedMask(mask: CpuMask | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.managedMask = mask;
  }
  /** Where it is to go at its next interrupt. @internal */
  get pendingMask(): CpuMask | undefined {
    return this.#rare.pendingMask;
  }
  set pendingMask(mask: CpuMask | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.pendingMask = mask;
  }
  /** What its driver would like; see `IrqHandle.setAffinityHint`. */
  get affinityHint(): CpuMask | undefined {
    return this.#rare.affinityHint;
  }
  set affinityHint(mask: CpuMask | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.affinityHint = mask;
  }
  /** @internal */
  get notifier(): AffinityNotifier | undefined {
    return this.#rare.notifier;
  }
  set notifier(notifier: AffinityNotifier | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.notifier = notifier;
  }
  /** It will be told soon. @internal */
  get isNotifying(): boolean {
    return this.#rare.isNotifying;
  }
  set isNotifying(on: boolean) {
    this.#rare = writable(this.#rare);
    this.#rare.isNotifying = on;
  }
  /** Of a flow handler that serves other interrupts; see `Irqs.setChainedHandler`. */
  get handlerData(): unknown {
    return this.#rare.handlerData;
  }
  set handlerData(data: unknown) {
    this.#rare = writable(this.#rare);
    this.#rare.handlerData = data;
  }
  /** @internal */
  get lastUnhandledUs(): number {
    return this.#rare.lastUnhandledUs;
  }
  set lastUnhandledUs(timeUs: number) {
    this.#rare = writable(this.#rare);
    this.#rare.lastUnhandledUs = timeUs;
  }
  /** @internal */
  get threadsHandledLast(): number {
    return this.#rare.threadsHandledLast;
  }
  set threadsHandledLast(count: number) {
    this.#rare = writable(this.#rare);
    this.#rare.threadsHandledLast = count;
  }
  /** Called when no thread is active. @internal */
  get threadWaiters(): (() => void)[] | undefined {
    return this.#rare.threadWaiters;
  }
  set threadWaiters(waiters: (() => void)[] | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.threadWaiters = waiters;
  }
  /** Why nothing may be done with it any more: its storage failed. @internal */
  get failed(): string | undefined {
    return this.#rare.failed;
  }
  set failed(why: string | undefined) {
    this.#rare = writable(this.#rare);
    this.#rare.failed = why;
  }

  /** Its users, in the order of their requests. */
  get actions(): IrqAction[] {
    const all: IrqAction[] = [];
    for (let action = this.action; action !== undefined; action = action.next) all.push(action);
    return all;
  }

  /** How many interrupts came on a CPU. */
  countOn(cpu: number): number {
    return (this.#rare.perCpu?.[cpu] ?? 0) + (cpu === this.#cpu ? this.#counted : 0);
  }

  /** How many interrupts came in all. */
  get total(): number {
    let sum = this.#counted;
    for (const count of this.#rare.perCpu ?? []) sum += count ?? 0;
    return sum;
  }

  /** @internal */
  countOne(cpu: number): void {
    if (cpu === this.#cpu) this.#counted++;
    else this.countElsewhere(cpu);
  }

  /** Not private: each object would have to be marked for a private method. @internal */
  countElsewhere(cpu: number): void {
    if (this.#cpu >= 0) {
      this.#rare = writable(this.#rare);
      const perCpu = (this.#rare.perCpu ??= []);
      perCpu[this.#cpu] = (perCpu[this.#cpu] ?? 0) + this.#counted;
    }
    this.#cpu = cpu;
    this.#counted = 1;
  }

  /** Whether it has a user, or one whose request or free is not over. @internal */
  get isRequested(): boolean {
    return this.action !== undefined || this.changing > 0;
  }

  /** Whose name goes into messages. @internal */
  get who(): string {
    return this.device?.name ?? `irq ${this.virq}`;
  }

  /** @throws {Errno} EIO when its storage has failed. @internal */
  checkUsable(): void {
    if (this.failed !== undefined) {
      throw new Errno(
        'EIO',
        `${this.who}: irq ${this.virq}: its message store failed before: ${this.failed}: free it and allocate again`,
      );
    }
  }
}
