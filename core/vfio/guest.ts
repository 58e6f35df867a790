import type { DeviceCore } from '../device/index.js';
import type { DmaMemory } from '../hal/index.js';
import type { Irqs } from '../irq/index.js';
import { Errno, type Subscription, checkRange } from '../lib/index.js';
import type { IrqBypass, IrqBypassConsumer, IrqBypassProducer } from './bypass.js';
import type { EventFd } from './eventfd.js';
import { DESCRIPTOR_BYTES } from './posted-descriptor.js';
import type { PostedCpus } from './posted-cpus.js';
import { Vcpu } from './vcpu.js';

/** As many descriptors as a page has. */
const MAX_VCPUS = 4096 / DESCRIPTOR_BYTES;

/** How a virtual machine is. */
export interface GuestOptions {
  /** 1 to 64; default 1. */
  readonly vcpus?: number;
  /** In messages; default `guest`. */
  readonly name?: string;
}

/** Where an interrupt of a guest goes, as its device's message says. */
export interface GuestRoute {
  /** Numbers of its virtual CPUs. Of several, each gets it. */
  readonly vcpus: readonly number[];
  /** 16 to 255. */
  readonly vector: number;
  /** How it is delivered; what is neither cannot be posted. Default `fixed`. */
  readonly delivery?: 'fixed' | 'lowest' | 'other';
}

/** What a guest stands on. @internal */
export interface GuestParts {
  readonly core: DeviceCore;
  readonly irqs: Irqs;
  readonly memory: DmaMemory;
  readonly bypass: IrqBypass;
  readonly cpus: PostedCpus;
  closed(guest: Guest): void;
}

/**
 * A virtual machine, as far as interrupts see it: virtual CPUs, and eventfds that are interrupts of theirs. An interrupt of hardware that
 * signals such an eventfd is posted to the virtual CPU, without a handler of the host, where hardware can and the route allows it.
 *
 * @example
 * ```ts
 * await using guest = vfio.guest({ vcpus: 2 });
 * guest.vcpu(0).handle(0x41, () => ring.work());
 * guest.vcpu(0).run(3);
 * guest.irqfd(eventfd, { vcpus: [0], vector: 0x41 });
 * ```
 * @see Linux 7.2 virt/kvm/eventfd.c, arch/x86/kvm/irq.c
 */
export class Guest implements AsyncDisposable, Disposable {
  readonly name: string;
  readonly vcpus: readonly Vcpu[];
  readonly #parts: GuestParts;
  readonly #descriptors: number;
  readonly #irqfds = new Set<Irqfd>();
  #isClosed = false;

  /**
   * @throws {Errno} ERANGE for a number of virtual CPUs that cannot be; EBUSY when somebody else has the vectors of notifications; ENOMEM
   *   without memory for them
   * @internal
   */
  constructor(parts: GuestParts, options: GuestOptions) {
    const { vcpus = 1, name = 'guest' } = options;
    checkRange(name, 'vcpus', vcpus, 1, MAX_VCPUS);
    this.name = name;
    this.#parts = parts;
    const { memory, cpus } = parts;
    cpus.use();
    try {
      this.#descriptors = memory.alloc(vcpus * DESCRIPTOR_BYTES, { mask: Number.MAX_SAFE_INTEGER, alignBytes: DESCRIPTOR_BYTES });
    } catch (error) {
      cpus.unuse();
      throw error;
    }
    const at = (n: number): number => this.#descriptors + n * DESCRIPTOR_BYTES;
    this.vcpus = Array.from({ length: vcpus }, (_, n) => new Vcpu(`${name} vcpu ${n}`, memory, at(n), cpus));
  }

  /** @throws {Errno} EINVAL when there is none of that number */
  vcpu(n: number): Vcpu {
    const vcpu = this.vcpus[n];
    if (vcpu === undefined) throw new Errno('EINVAL', `${this.name}: has no vcpu ${n}`);
    return vcpu;
  }

  /**
   * Makes an eventfd an interrupt of the guest, until that is disposed of or closed.
   * @throws {Errno} EBADF when it is closed; EBUSY when it is an interrupt of this guest; EINVAL for a route that cannot be; ENODEV when the guest has ended
   * @see Linux 7.2 virt/kvm/eventfd.c kvm_irqfd_assign
   */
  irqfd(context: EventFd, route?: GuestRoute): Irqfd {
    if (this.#isClosed) throw new Errno('ENODEV', `${this.name}: has ended`);
    context.checkOpen(this.name);
    for (const other of this.#irqfds) {
      if (other.context === context) throw new Errno('EBUSY', `${this.name}: ${context.name} is an interrupt of it already`);
    }
    const irqfd = new Irqfd(this, this.#parts, context, route, (it) => this.#irqfds.delete(it));
    this.#irqfds.add(irqfd);
    return irqfd;
  }

  /** Ends it: interrupts go to the host again. Harmless when it has ended. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const irqfd of this.#irqfds) irqfd[Symbol.dispose]();
    for (const vcpu of this.vcpus) vcpu.end();
    const parts = this.#parts;
    parts.cpus.unuse();
    parts.memory.free(this.#descriptors);
    parts.closed(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }
}

/**
 * An eventfd that is an interrupt of a guest: each signal requests its vector. Where the other end of the eventfd is an interrupt that
 * can be posted, that one goes to the guest by itself.
 */
export class Irqfd implements IrqBypassConsumer, Disposable {
  readonly #guest: Guest;
  readonly #parts: GuestParts;
  readonly #ended: (irqfd: Irqfd) => void;
  readonly #listening: Subscription;
  #route: GuestRoute | undefined;
  #producer: IrqBypassProducer | undefined = undefined;
  #isPosted = false;
  #isEnded = false;

  /** @internal */
  constructor(
    guest: Guest,
    parts: GuestParts,
    readonly context: EventFd,
    route: GuestRoute | undefined,
    ended: (irqfd: Irqfd) => void,
  ) {
    this.#guest = guest;
    this.#parts = parts;
    this.#ended = ended;
    checkRoute(guest, route);
    this.#route = route;
    this.#listening = context.listen(() => this.#signalled());
    try {
      parts.bypass.registerConsumer(this);
    } catch (error) {
      this.#log(`irq bypass consumer (eventfd ${context.name}) registration fails: ${Errno.codeOf(error)}`);
    }
    // What was signalled before is not lost.
    if (context.count > 0) this.#signalled();
  }

  /** Whether hardware posts it: the host sees nothing of it. */
  get isPosted(): boolean {
    return this.#isPosted;
  }

  get route(): GuestRoute | undefined {
    return this.#route;
  }

  /**
   * The guest has changed the message; undefined: it is masked, and nothing is requested. What cannot be posted there goes by the host's
   * handler and the eventfd.
   * @throws {Errno} EINVAL for a route that cannot be
   * @see Linux 7.2 arch/x86/kvm/irq.c kvm_arch_update_irqfd_routing
   */
  setRoute(route: GuestRoute | undefined): void {
    checkRoute(this.#guest, route);
    this.#route = route;
    const producer = this.#producer;
    if (producer === undefined) return;
    try {
      this.#update(producer);
    } catch (error) {
      this.#unpost(producer);
      this.#log(`irq ${producer.irq} is not posted: ${Errno.codeOf(error)}`);
    }
  }

  /** It is an interrupt of the guest no longer. Harmless when that was done. */
  [Symbol.dispose](): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#listening.dispose();
    this.#parts.bypass.unregisterConsumer(this);
    this.#ended(this);
  }

  /** @see Linux 7.2 arch/x86/kvm/irq.c kvm_arch_irq_bypass_add_producer @internal */
  addProducer(producer: IrqBypassProducer): void {
    this.#update(producer);
    this.#producer = producer;
  }

  /** @see Linux 7.2 arch/x86/kvm/irq.c kvm_arch_irq_bypass_del_producer @internal */
  delProducer(producer: IrqBypassProducer): void {
    this.#producer = undefined;
    this.#unpost(producer);
  }

  #update(producer: IrqBypassProducer): void {
    const route = this.#route;
    const isPostable = route?.vcpus.length === 1 && (route.delivery ?? 'fixed') !== 'other';
    if (!isPostable) {
      this.#unpost(producer);
      return;
    }
    const { address: descriptor } = this.#guest.vcpu(route.vcpus[0]!).descriptor;
    this.#parts.irqs.setVcpuAffinity(producer.irq, { descriptor, vector: route.vector });
    this.#isPosted = true;
  }

  #unpost(producer: IrqBypassProducer): void {
    if (!this.#isPosted) return;
    this.#isPosted = false;
    this.#parts.irqs.setVcpuAffinity(producer.irq, undefined);
  }

  #log(text: string): void {
    this.#parts.core.logFor('info', this.#guest.name, text, 'bypass_failed');
  }

  #signalled(): void {
    const { context } = this;
    if (context.isClosed) {
      this[Symbol.dispose]();
      return;
    }
    if (context.count > 0) context.read();
    const route = this.#route;
    if (route === undefined) return;
    for (const n of route.vcpus) this.#guest.vcpus[n]!.inject(route.vector);
  }
}

function checkRoute(guest: Guest, route: GuestRoute | undefined): void {
  if (route === undefined) return;
  Vcpu.checkVector(guest.name, route.vector);
  for (const n of route.vcpus) guest.vcpu(n);
}
