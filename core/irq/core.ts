import type { Device, DeviceCore } from '../device/index.js';
import type { Clock, InterruptController } from '../hal/index.js';
import { Errno, describeError } from '../lib/errno.js';
import { IndexMap } from '../lib/index-map.js';
import type { LogLevel } from '../lib/log.js';
import type { IrqAction } from './action.js';
import { IrqCpus } from './cpus.js';
import { IrqDesc } from './desc.js';
import type { IrqAllocOptions, IrqDomain } from './domain.js';
import { maskIrq } from './mask.js';
import { SpuriousPoll } from './spurious-poll.js';
import * as S from './state.js';
import type { IrqTracer } from './trace.js';
import type { VectorDomain } from './vector-domain.js';
import { InterruptWindows } from './windows.js';
import { disableOnce } from './control.js';

/** Interrupt numbers a system can have. @see Linux 7.2 include/linux/irq.h IRQ_BITMAP_BITS, MAX_SPARSE_IRQS */
const MAX_IRQS = 2 ** 20;
/** Numbers below this are wired interrupts' where the host does not say how many there are. */
const LEGACY_IRQS = 16;

/**
 * The interrupts of one system: numbers and descriptors, the vectors of its CPUs, and what is known of them everywhere in this
 * room. What users call is in `Irqs`.
 * @see Linux 7.2 kernel/irq/irqdesc.c
 */
export class IrqCore {
  readonly clock: Clock;
  readonly cpus: IrqCpus;
  readonly windows: InterruptWindows;
  /** By number; undefined where none is. */
  readonly descs: (IrqDesc | undefined)[] = [];
  readonly domains = new Set<IrqDomain>();
  /** Sees every step; absent when nobody looks. */
  tracer: IrqTracer | undefined = undefined;
  /** Whether hard handlers run as threads where that is possible. @see Linux 7.2 Documentation/admin-guide/kernel-parameters.txt threadirqs */
  readonly threadIrqs: boolean;
  /** What assigns the vectors of the CPUs; absent where there are no APICs. @internal */
  vectorDomain: VectorDomain | undefined = undefined;
  /** Vectors that came to a CPU and belonged to nobody. */
  unexpectedCount = 0;
  /** The interrupt of each vector: the CPU stands above the bits that vectors take. */
  readonly #vectors: (IrqDesc | undefined)[];
  readonly #vectorBits: number;
  /** What takes a vector of the system, on every CPU. */
  readonly #system: (((cpu: number) => void) | undefined)[] = [];
  readonly #numbers = new IndexMap(MAX_IRQS);
  readonly #spurious = new SpuriousPoll();
  readonly #firstDynamic: number;

  /** @param controller the host's interrupt hardware; without it interrupts come from software alone */
  constructor(
    readonly device: DeviceCore,
    readonly controller: InterruptController | undefined,
    options: { readonly threadIrqs?: boolean } = {},
  ) {
    this.clock = device.clock;
    this.threadIrqs = options.threadIrqs ?? false;
    this.cpus = new IrqCpus(controller);
    this.windows = new InterruptWindows(this, controller);
    this.#vectorBits = Math.ceil(Math.log2(controller?.vectors ?? 1));
    this.#vectors = Array.from({ length: this.cpus.count << this.#vectorBits }, () => undefined);
    this.#firstDynamic = controller?.lines?.count ?? LEGACY_IRQS;
  }

  get currentCpu(): number {
    return this.controller?.currentCpu ?? 0;
  }

  /** The first number that is not a wired interrupt's: dynamic numbers start there. */
  get firstDynamicIrq(): number {
    return this.#firstDynamic;
  }

  // Descriptors

  /**
   * Makes descriptors with the lowest free numbers in a row.
   * @param from the lowest number that will do; default above the wired interrupts
   * @returns the first number
   * @throws {Errno} EINVAL for no interrupts or an affinity without CPUs; ENOSPC when there are no such numbers
   * @see Linux 7.2 kernel/irq/irqdesc.c __irq_alloc_descs
   */
  allocDescs(count: number, options: IrqAllocOptions, from = this.#firstDynamic): number {
    if (!(Number.isInteger(count) && count > 0)) throw new Errno('EINVAL', `irq: ${count} interrupts cannot be allocated`);
    checkAffinity(count, options);
    const first =
      count === 1 ? this.#numbers.findFree(Math.max(from, 1)) : this.#numbers.findFreeRun(count, 1, Math.max(from, 1));
    if (first < 0) {
      throw new Errno(
        'ENOSPC',
        `irq: no ${count} free interrupt numbers in a row: ${this.#numbers.count} of ${MAX_IRQS} are in use`,
      );
    }
    this.#makeDescs(first, count, options);
    return first;
  }

  /** As `allocDescs` for one number in particular. @throws {Errno} EEXIST when it is taken; EINVAL, ENOSPC */
  allocDescAt(virq: number, options: IrqAllocOptions = {}): number {
    if (!(Number.isInteger(virq) && virq >= 0)) throw new Errno('EINVAL', `irq: ${virq} is no interrupt number`);
    if (virq >= MAX_IRQS) throw new Errno('ENOSPC', `irq: ${virq} is above the last interrupt number, ${MAX_IRQS - 1}`);
    if (this.#numbers.has(virq)) throw new Errno('EEXIST', `irq: ${virq} is taken`);
    checkAffinity(1, options);
    this.#makeDescs(virq, 1, options);
    return virq;
  }

  #makeDescs(first: number, count: number, { node = -1, affinity }: IrqAllocOptions): void {
    for (let n = 0; n < count; n++) {
      const own = affinity?.[n];
      const near = own === undefined || node >= 0 ? node : this.cpus.node(own.mask.first);
      const desc = new IrqDesc(this, first + n, near, own?.mask ?? this.cpus.defaultAffinity);
      if (own !== undefined) desc.state |= S.AFFINITY_SET;
      if (own?.managed === true) {
        desc.state |= S.MANAGED | S.MANAGED_SHUTDOWN;
        desc.managedMask = own.mask;
      }
      this.#numbers.take(first + n);
      while (this.descs.length < first + n) this.descs.push(undefined);
      this.descs[first + n] = desc;
    }
    this.tracer?.event('irq_alloc_descs', this.currentCpu, first, -1, 'irq', `count=${count}`);
  }

  /** @see Linux 7.2 kernel/irq/irqdesc.c irq_free_descs */
  freeDescs(first: number, count: number): void {
    for (let virq = first; virq < first + count; virq++) {
      const desc = this.descs[virq];
      if (desc === undefined) continue;
      this.windows.cancelResend(desc);
      this.#spurious.delete(desc);
      this.descs[virq] = undefined;
      this.#numbers.free(virq);
    }
    this.tracer?.event('irq_free_descs', this.currentCpu, first, -1, 'irq', `count=${count}`);
  }

  /** How many interrupts there are. */
  get count(): number {
    return this.#numbers.count;
  }

  /** All interrupts in the order of their numbers. */
  *all(): Generator<IrqDesc> {
    for (let virq = this.#numbers.findTaken(0); virq >= 0; virq = this.#numbers.findTaken(virq + 1)) yield this.descs[virq]!;
  }

  // Vectors

  /** The interrupt that a vector of a CPU is. */
  vector(cpu: number, vector: number): IrqDesc | undefined {
    return this.#vectors[(cpu << this.#vectorBits) + vector];
  }

  /** Sets what a vector of a CPU is; undefined when it is nothing any more. */
  setVector(cpu: number, vector: number, desc: IrqDesc | undefined): void {
    this.#vectors[(cpu << this.#vectorBits) + vector] = desc;
  }

  /**
   * Sets what takes a vector that no device can have, on every CPU: in interrupt context, where it must not throw.
   * @throws {Errno} EBUSY when something takes it
   * @see Linux 7.2 arch/x86/include/asm/idtentry.h DEFINE_IDTENTRY_SYSVEC
   * @internal
   */
  setSystemVector(vector: number, handler: ((cpu: number) => void) | undefined): void {
    if (handler !== undefined && this.#system[vector] !== undefined) {
      throw new Errno('EBUSY', `irq: vector ${vector} of the system is taken`);
    }
    this.#system[vector] = handler;
  }

  /** A CPU has taken a vector: its flow handler runs. The hot path. @internal */
  deliver(cpu: number, vector: number): void {
    const desc = this.#vectors[(cpu << this.#vectorBits) + vector];
    if (desc === undefined) {
      this.#strayVector(cpu, vector);
      return;
    }
    try {
      desc.flow(desc, cpu);
    } catch (error) {
      this.flowFailed(desc, error);
    }
  }

  /** An interrupt that came by no vector is handled; nothing is thrown. @internal */
  runFlow(desc: IrqDesc, cpu: number): void {
    try {
      desc.flow(desc, cpu);
    } catch (error) {
      this.flowFailed(desc, error);
    }
  }

  /** A chip could not reach its hardware in an interrupt: the handlers have run or not, and the machine goes on. @internal */
  flowFailed(desc: IrqDesc, error: unknown): void {
    const text = `irq ${desc.virq}: its chip failed in the interrupt: ${describeError(error)}`;
    this.log('err', desc, text);
    this.device.report('irq-flow-failed', desc.device, text);
  }

  /** No device's: it is the system's, or nobody's. */
  #strayVector(cpu: number, vector: number): void {
    this.controller?.eoi(cpu);
    const system = this.#system[vector];
    if (system !== undefined) {
      system(cpu);
      return;
    }
    this.tracer?.event('spurious_vector', cpu, 0, vector, 'cpu', '');
    this.unexpected(cpu, 0, `cpu ${cpu}: no interrupt for vector ${vector}`);
  }

  /** Something came that nobody wanted. @internal */
  unexpected(_cpu: number, _virq: number, text: string): void {
    this.unexpectedCount++;
    this.device.logFor('warn', 'irq', text, 'unexpected_irq');
  }

  /** One interrupt came so often in a window that nothing else would ever run again. @internal */
  storm(desc: IrqDesc | undefined, text: string): void {
    this.report('irq-storm', desc, desc === undefined ? text : `irq ${desc.virq}: ${text}: disabled`);
    if (desc === undefined) return;
    try {
      disableOnce(desc);
      maskIrq(desc);
    } catch (error) {
      this.flowFailed(desc, error);
    }
  }

  // What goes wrong

  /** A handler threw: nothing was handled. @internal */
  handlerThrew(action: IrqAction, error: unknown): void {
    // A rule that it broke was recorded.
    if (Errno.is(error) && error.rule !== undefined) return;
    const { desc } = action;
    this.report('callback-threw', desc, `irq ${desc.virq}: handler ${action.name} threw: ${describeError(error)}`);
  }

  /** A hard handler gave a promise: it sleeps in interrupt context. @internal */
  handlerWaits(action: IrqAction, result: PromiseLike<unknown>): void {
    const { desc } = action;
    result.then(undefined, (error: unknown) => this.handlerThrew(action, error));
    this.report(
      'sleep-in-interrupt',
      desc,
      `irq ${desc.virq}: hard handler ${action.name} is asynchronous: give what waits to the thread half`,
    );
  }

  /** @throws {Errno} EINVAL inside a handler, which must not wait (rule `sleep-in-interrupt`). @internal */
  mightSleep(what: string, dev: Device | undefined): void {
    if (!this.windows.inHandler) return;
    throw this.device.violate(
      'sleep-in-interrupt',
      dev,
      `${what} in an interrupt handler, which must not sleep: do it in the thread half`,
    );
  }

  /** @internal */
  report(rule: string, desc: IrqDesc | undefined, text: string): void {
    this.device.logFor('warn', desc?.who ?? 'irq', text, `WARN ${rule}`);
    this.device.report(rule, desc?.device, text);
  }

  /** @internal */
  log(level: LogLevel, desc: IrqDesc | undefined, text: string): void {
    this.device.logFor(level, desc?.who ?? 'irq', text);
  }

  /** @internal */
  pollSpurious(desc: IrqDesc): void {
    this.#spurious.add(desc);
  }

  /** @internal */
  forgetSpurious(desc: IrqDesc): void {
    this.#spurious.delete(desc);
  }
}

function checkAffinity(count: number, { affinity }: IrqAllocOptions): void {
  if (affinity === undefined) return;
  if (affinity.length < count) throw new Errno('EINVAL', `irq: ${affinity.length} affinities for ${count} interrupts`);
  for (let n = 0; n < count; n++) {
    if (affinity[n]!.mask.isEmpty) throw new Errno('EINVAL', `irq: affinity ${n} names no CPU`);
  }
}
