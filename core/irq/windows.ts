import type { DeviceCore } from '../device/index.js';
import type { InterruptController, InterruptEntry } from '../hal/index.js';
import { describeError } from '../lib/errno.js';
import type { IrqThread } from './action.js';
import type { IrqCore } from './core.js';
import type { IrqDesc } from './desc.js';
import { finishThread, forgetWake, runThread } from './thread.js';

/** Interrupts in one window after which the device is taken to storm; more than spurious detection needs. */
const STORM = 250_000;

/**
 * When interrupts are delivered: hardware keeps them pending until the running synchronous section has returned.
 *
 * They drain when the outermost core entry returns, after each event of the clock, and otherwise in one microtask queued by the
 * first post. CPUs in ascending order, on each the highest vector first until none is left; then the thread halves that were
 * woken, and again until nothing is left.
 */
export class InterruptWindows implements InterruptEntry {
  readonly #core: IrqCore;
  readonly #controller: InterruptController | undefined;
  readonly #sections: DeviceCore['sections'];
  /** Something may be pending. */
  #wanted = false;
  #isScheduled = false;
  #draining = false;
  /** Interrupt handlers on the stack. */
  #depth = 0;
  /** Interrupts left in this window until one is taken to storm. */
  #budget = STORM;
  /** Something is in these, beside what hardware keeps. */
  #hasQueued = false;
  /** The thread halves that were woken; and the array that serves the next round: none is made for each. */
  #threads: (IrqThread | undefined)[] = [];
  #threadCount = 0;
  #ranThreads: (IrqThread | undefined)[] = [];
  readonly #resends = new Set<IrqDesc>();
  /** Interrupts whose notifiers are to be told. */
  #moved: IrqDesc[] = [];
  /** What is to be called; and the array that serves the next round. */
  #calls: ((() => void) | undefined)[] = [];
  #callCount = 0;
  #ranCalls: ((() => void) | undefined)[] = [];
  readonly #onMicrotask = (): void => {
    this.#isScheduled = false;
    this.drain();
  };

  constructor(core: IrqCore, controller: InterruptController | undefined) {
    this.#core = core;
    this.#controller = controller;
    this.#sections = core.device.sections;
  }

  /** Whether a handler runs: nothing may sleep, wait or free then. */
  get inHandler(): boolean {
    return this.#depth > 0;
  }

  pending(): void {
    this.#wanted = true;
    if (!this.#isScheduled) this.#schedule();
  }

  interrupt(cpu: number, vector: number): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    const outer = controller.currentCpu;
    controller.currentCpu = cpu;
    this.#depth++;
    try {
      this.#core.deliver(cpu, vector);
    } finally {
      this.#depth--;
      controller.currentCpu = outer;
    }
  }

  /** An interrupt has come, though by no vector: it is handled here and now. @internal */
  handle(desc: IrqDesc): void {
    this.#depth++;
    this.#core.runFlow(desc, this.#core.currentCpu);
    this.#depth--;
  }

  /** Calls `fn` as an interrupt handler is called. @internal */
  inInterrupt(fn: () => void): void {
    this.#depth++;
    try {
      fn();
    } finally {
      this.#depth--;
    }
  }

  /** Delivers what is pending; nothing while a handler or a core entry runs. */
  drain(): void {
    if (!this.#wanted || this.#draining || this.#depth > 0 || this.#sections.depth > 0) return;
    this.#draining = true;
    this.#budget = STORM;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        this.#deliverAll();
        if (this.#hasQueued) this.#runQueued();
      }
    } finally {
      this.#draining = false;
    }
  }

  #deliverAll(): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    let cpu = controller.nextCpu();
    while (cpu >= 0) {
      const vector = controller.take(cpu);
      if (vector >= 0) {
        this.interrupt(cpu, vector);
        if (--this.#budget <= 0) this.#storm(this.#core.vector(cpu, vector), `vector ${vector} of cpu ${cpu}`);
      }
      const next = controller.nextCpu();
      // A CPU is emptied before another that became ready meanwhile, also a lower one.
      if (next < 0 || next > cpu || vector < 0) cpu = next;
    }
  }

  #storm(desc: IrqDesc | undefined, what: string): void {
    this.#budget = STORM;
    this.#core.storm(desc, `${what} came last of ${STORM} interrupts in one window, without time moving`);
  }

  /** @internal */
  queueThread(thread: IrqThread): void {
    this.#threads[this.#threadCount++] = thread;
    this.#queued();
  }

  /** Raises an interrupt without hardware's help, soon. @internal */
  queueResend(desc: IrqDesc): void {
    this.#resends.add(desc);
    this.#queued();
  }

  /** @internal */
  cancelResend(desc: IrqDesc): void {
    if (this.#resends.size > 0) this.#resends.delete(desc);
  }

  /** Tells the notifier of an interrupt in task context, soon. @internal */
  queueNotifier(desc: IrqDesc): void {
    this.#moved.push(desc);
    this.#queued();
  }

  /** Calls `fn`, which must not throw, in task context, soon. @internal */
  queueCall(fn: () => void): void {
    this.#calls[this.#callCount++] = fn;
    this.#queued();
  }

  #queued(): void {
    this.#hasQueued = true;
    this.pending();
  }

  #runQueued(): void {
    this.#hasQueued = false;
    this.#runResends();
    this.#runThreads();
    this.#runNotifiers();
    if (this.#callCount > 0) this.#runCalls();
  }

  #runCalls(): void {
    const count = this.#callCount;
    const all = this.#calls;
    this.#calls = this.#ranCalls;
    this.#ranCalls = all;
    this.#callCount = 0;
    for (let i = 0; i < count; i++) {
      const call = all[i]!;
      all[i] = undefined;
      call();
    }
  }

  #runResends(): void {
    for (const desc of this.#resends) {
      this.#resends.delete(desc);
      this.handle(desc);
      if (--this.#budget <= 0) this.#storm(desc, 'its replay');
    }
  }

  #runThreads(): void {
    const count = this.#threadCount;
    if (count === 0) return;
    const all = this.#threads;
    this.#threads = this.#ranThreads;
    this.#ranThreads = all;
    this.#threadCount = 0;
    for (let i = 0; i < count; i++) {
      const thread = all[i]!;
      all[i] = undefined;
      if (--this.#budget <= 0) {
        this.#storm(thread.action.desc, 'the wake of its thread half');
        forgetWake(thread);
      }
      const running = runThread(thread);
      if (running !== undefined) void finishThread(thread, running);
    }
  }

  #runNotifiers(): void {
    if (this.#moved.length === 0) return;
    const all = this.#moved;
    this.#moved = [];
    for (const desc of all) {
      desc.isNotifying = false;
      if (--this.#budget <= 0) {
        this.#budget = STORM;
        this.#core.report(
          'irq-storm',
          desc,
          `irq ${desc.virq}: its affinity notifier moves it without end: not told of the last move`,
        );
        continue;
      }
      try {
        desc.notifier?.(desc.pendingMask ?? desc.affinity);
      } catch (error) {
        const text = `irq ${desc.virq}: its affinity notifier threw: ${describeError(error)}`;
        this.#core.device.report('callback-threw', desc.device, text);
      }
    }
  }

  #schedule(): void {
    this.#isScheduled = true;
    queueMicrotask(this.#onMicrotask);
  }
}
