import type { DmaMemory } from '../hal/index.js';
import { Errno, checkRange } from '../lib/index.js';
import { PostedDescriptor } from './posted-descriptor.js';
import { NOTIFY_VECTOR, type PostedCpus, WAKEUP_VECTOR } from './posted-cpus.js';

/** What a virtual CPU does: it runs on a CPU of the host; it waits for an interrupt; or it could run, and another does. */
export type VcpuState = 'running' | 'blocked' | 'preempted';

/** A handler of the guest for one of its vectors. */
export type GuestHandler = (vector: number) => void;

/**
 * A CPU of a virtual machine, with what it knows of its interrupts. It is preempted when it is made.
 *
 * Interrupts are requested in its descriptor, which lies in memory of the host, and handled, highest vector first, while it runs: in
 * task context, when interrupts are delivered. What is requested while it does not run waits there; it is woken when it is blocked.
 * @see Linux 7.2 arch/x86/kvm/vmx/posted_intr.c
 */
export class Vcpu {
  readonly descriptor: PostedDescriptor;
  /** Interrupts that handlers have been called for. */
  handled = 0;
  /** Times that it was woken by an interrupt. */
  wakeups = 0;
  #state: VcpuState = 'preempted';
  #cpu = 0;
  #isEnded = false;
  readonly #cpus: PostedCpus;
  readonly #handlers: (GuestHandler | undefined)[] = [];
  /** Taken from the descriptor and not yet handled. */
  readonly #pending = new Uint32Array(8);
  #isQueued = false;
  readonly #onCall = (): void => {
    this.#isQueued = false;
    if (this.#state === 'blocked' && this.#hasRequests) this.wake();
    this.#deliver();
  };

  /** @internal */
  constructor(
    /** `guest vcpu 0`. */
    readonly name: string,
    memory: DmaMemory,
    address: number,
    cpus: PostedCpus,
  ) {
    this.#cpus = cpus;
    this.descriptor = new PostedDescriptor(memory, address);
    this.descriptor.aim(NOTIFY_VECTOR, cpus.destination(0), true);
  }

  get state(): VcpuState {
    return this.#state;
  }

  /** The CPU of the host that it runs on, or ran on last. */
  get cpu(): number {
    return this.#cpu;
  }

  /** Sets what the guest does when a vector comes; undefined for nothing. @throws {Errno} ERANGE for a vector outside 0 to 255 */
  handle(vector: number, handler: GuestHandler | undefined): void {
    checkRange(this.name, 'vector', vector, 0, 255);
    this.#handlers[vector] = handler;
  }

  /**
   * Runs it on a CPU of the host; what ran there is preempted. It takes what was requested meanwhile.
   * @throws {Errno} ERANGE when there is no such CPU; ENODEV when its machine has ended
   * @see Linux 7.2 arch/x86/kvm/vmx/posted_intr.c vmx_vcpu_pi_load
   */
  run(cpu: number = this.#cpu): void {
    this.#checkAlive();
    this.#cpus.checkCpu(cpu);
    this.#cpus.leave(this);
    this.#cpus.running(cpu)?.preempt();
    this.#state = 'running';
    this.#cpu = cpu;
    this.#cpus.enter(this);
    this.descriptor.aim(NOTIFY_VECTOR, this.#cpus.destination(cpu), false);
    this.notified();
  }

  /**
   * Something else runs on its CPU: interrupts are collected, and notify nobody.
   * @throws {Errno} ENODEV when its machine has ended
   * @see Linux 7.2 arch/x86/kvm/vmx/posted_intr.c vmx_vcpu_pi_put
   */
  preempt(): void {
    this.#checkAlive();
    this.#cpus.leave(this);
    this.#state = 'preempted';
    this.descriptor.suppress();
  }

  /**
   * It has nothing to do until an interrupt comes, which wakes it: at once, when one is requested and not handled.
   * @throws {Errno} ENODEV when its machine has ended
   * @see Linux 7.2 arch/x86/kvm/vmx/posted_intr.c pi_enable_wakeup_handler
   */
  block(): void {
    this.#checkAlive();
    this.#cpus.leave(this);
    this.#state = 'blocked';
    this.#cpus.enter(this);
    this.descriptor.aim(WAKEUP_VECTOR, this.#cpus.destination(this.#cpu), false);
    if (this.#hasRequests) this.notified();
  }

  /**
   * Requests one of its vectors, as the host does for what it has to hand on.
   * @throws {Errno} EINVAL for a vector outside 16 to 255; ENODEV when its machine has ended
   * @see Linux 7.2 arch/x86/kvm/vmx/common.h __vmx_deliver_posted_interrupt
   */
  inject(vector: number): void {
    this.#checkAlive();
    Vcpu.checkVector(this.name, vector);
    this.descriptor.request(vector);
    if (!this.descriptor.setOutstanding() || this.#state === 'preempted') return;
    this.#cpus.notify(this.#cpu, this.#state === 'running' ? NOTIFY_VECTOR : WAKEUP_VECTOR);
  }

  /** It is to look at its descriptor. @internal */
  notified(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#cpus.queue(this.#onCall);
  }

  /** An interrupt has come while it was blocked: it runs, where it ran last. @internal */
  wake(): void {
    this.wakeups++;
    this.run();
  }

  /** The machine ends. @internal */
  end(): void {
    this.#cpus.leave(this);
    this.#state = 'preempted';
    this.#isEnded = true;
  }

  /** Its descriptor is somebody else's memory by then. */
  #checkAlive(): void {
    if (this.#isEnded) throw new Errno('ENODEV', `${this.name}: its machine has ended`);
  }

  /** Whether something is requested and not handled. */
  get #hasRequests(): boolean {
    return this.descriptor.hasRequests || highest(this.#pending) >= 0;
  }

  #deliver(): void {
    const pending = this.#pending;
    // A handler may preempt or block it: the rest waits until it runs again.
    while (this.#state === 'running') {
      this.descriptor.take(pending);
      const vector = highest(pending);
      if (vector < 0) return;
      pending[vector >>> 5]! &= ~(1 << (vector & 31));
      this.handled++;
      this.#cpus.call(this.name, this.#handlers[vector], vector);
    }
  }

  /** @throws {Errno} EINVAL for a vector that a guest cannot have @internal */
  static checkVector(who: string, vector: number): void {
    if (Number.isInteger(vector) && vector >= 16 && vector <= 255) return;
    throw new Errno('EINVAL', `${who}: vector ${vector} of a guest: must be an integer of 16 to 255`);
  }
}

function highest(words: Uint32Array): number {
  for (let n = words.length - 1; n >= 0; n--) if (words[n] !== 0) return n * 32 + 31 - Math.clz32(words[n]!);
  return -1;
}
