import { irteDestination } from '../hal/index.js';
import type { Irqs } from '../irq/index.js';
import { checkRange, describeError } from '../lib/index.js';
import type { GuestHandler, Vcpu } from './vcpu.js';

/** Vectors of the host by which it hears of interrupts for a guest: of one that runs, and of one that is blocked. @see Linux 7.2 arch/x86/include/asm/irq_vectors.h POSTED_INTR_VECTOR, POSTED_INTR_WAKEUP_VECTOR */
export const NOTIFY_VECTOR = 0xf2;
export const WAKEUP_VECTOR = 0xf1;

/**
 * The CPUs of the host as virtual CPUs use them: who runs on each, and who is blocked there. It takes the vectors of notifications as
 * long as there are guests.
 */
export class PostedCpus {
  readonly #irqs: Irqs;
  readonly #running: (Vcpu | undefined)[] = [];
  readonly #blocked: Set<Vcpu>[];
  #guests = 0;

  constructor(irqs: Irqs) {
    this.#irqs = irqs;
    this.#blocked = Array.from({ length: irqs.core.cpus.count }, () => new Set<Vcpu>());
  }

  /** A guest begins; each is matched by an `unuse`. @throws {Errno} EBUSY when somebody else has the vectors */
  use(): void {
    if (this.#guests === 0) this.#takeVectors();
    this.#guests++;
  }

  unuse(): void {
    if (--this.#guests > 0) return;
    const { core } = this.#irqs;
    core.setSystemVector(NOTIFY_VECTOR, undefined);
    core.setSystemVector(WAKEUP_VECTOR, undefined);
  }

  #takeVectors(): void {
    const { core } = this.#irqs;
    core.setSystemVector(NOTIFY_VECTOR, (cpu) => this.#running[cpu]?.notified());
    try {
      core.setSystemVector(WAKEUP_VECTOR, (cpu) => this.#wake(cpu));
    } catch (error) {
      core.setSystemVector(NOTIFY_VECTOR, undefined);
      throw error;
    }
  }

  /** @throws {Errno} ERANGE when there is no such CPU */
  checkCpu(cpu: number): void {
    checkRange('guest', 'cpu', cpu, 0, this.#blocked.length - 1);
  }

  running(cpu: number): Vcpu | undefined {
    return this.#running[cpu];
  }

  /** It runs, or is blocked. */
  enter(vcpu: Vcpu): void {
    if (vcpu.state === 'running') this.#running[vcpu.cpu] = vcpu;
    else this.#blocked[vcpu.cpu]!.add(vcpu);
  }

  /** It does not run, and is not blocked, any more. */
  leave(vcpu: Vcpu): void {
    if (this.#running[vcpu.cpu] === vcpu) this.#running[vcpu.cpu] = undefined;
    this.#blocked[vcpu.cpu]!.delete(vcpu);
  }

  /** A CPU as a descriptor names it. */
  destination(cpu: number): number {
    const messages = this.#irqs.core.controller?.messages;
    if (messages?.kind !== 'apic') return 0;
    return irteDestination(messages.apicId(cpu), messages.remapping?.x2apic ?? true);
  }

  /** The host notifies a CPU of its own; where there are no APICs it need not. */
  notify(cpu: number, vector: number): void {
    const { controller } = this.#irqs.core;
    if (controller?.messages.kind === 'apic') controller.send(cpu, vector);
    else if (vector === NOTIFY_VECTOR) this.#running[cpu]?.notified();
    else this.#wake(cpu);
  }

  /** Calls `fn` in task context, when interrupts are delivered. */
  queue(fn: () => void): void {
    this.#irqs.core.windows.queueCall(fn);
  }

  /** A handler of a guest is called; what it throws is a broken rule, and the guest goes on. */
  call(who: string, handler: GuestHandler | undefined, vector: number): void {
    const { device } = this.#irqs.core;
    try {
      if (handler === undefined) device.logFor('debug', who, `vector ${vector}: the guest has no handler`, 'guest_vector');
      else handler(vector);
    } catch (error) {
      device.report('callback-threw', undefined, `${who}: handler of vector ${vector} threw: ${describeError(error)}`);
    }
  }

  /** @see Linux 7.2 arch/x86/kvm/vmx/posted_intr.c pi_wakeup_handler */
  #wake(cpu: number): void {
    for (const vcpu of this.#blocked[cpu]!) if (vcpu.descriptor.isOutstanding) vcpu.wake();
  }
}
