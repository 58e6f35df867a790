import type { Device, DeviceCore } from '../device/index.js';
import type { Clock, ClockEvent } from '../hal/index.js';
import { Errno, describeError } from '../lib/errno.js';
import { List, ListNode } from '../lib/list.js';

/** Packets of one poll at most. @see Linux 7.2 include/linux/netdevice.h NAPI_POLL_WEIGHT */
export const NAPI_WEIGHT = 64;
/** Packets and microseconds of one round of polls at most. @see Linux 7.2 net/core/hotdata.c netdev_budget, netdev_budget_usecs */
export const NET_RX = { budget: 300, budgetUs: 2000 } as const;
/** Rounds without time moving, after which the rest is put off: who is polled for ever must not stop the world. */
const ROUNDS = 10_000;

/** What is polled. */
export interface NapiPoller {
  /**
   * Handles what has come, in task context. Less than `budget` only after {@link Napi.completeDone}; `budget` to be polled again, and then
   * without touching the `Napi`.
   * @param budget packets to receive at most; what was sent is cleaned up whatever it is, and nothing else is done for 0
   * @returns packets, or `budget`
   */
  poll(budget: number): number;
}

/** Calls a function in task context, soon: after the interrupts that are pending. Also for interrupt handlers. */
export type RunLater = (run: () => void) => void;

/** The receive work of one CPU: who is to be polled, in order. @see Linux 7.2 include/linux/netdevice.h struct softnet_data */
export class SoftNet {
  readonly #net: NetRx;
  #poll = new List<Napi>();
  #current = new List<Napi>();
  readonly #repoll = new List<Napi>();
  #isRaised = false;
  #isRunning = false;
  #rounds = 0;
  #lastUs = -1;
  /** Rounds that ended with work left over, for their budget or their time. */
  timeSqueeze = 0;
  /** Packets that polls have reported. */
  processed = 0;

  /** @internal */
  constructor(net: NetRx) {
    this.#net = net;
  }

  /** @internal */
  add(node: ListNode<Napi>): void {
    this.#poll.push(node);
    if (!this.#isRunning) this.#raise();
  }

  /** One poll. @returns what it has done @internal */
  pollOnce(napi: Napi): number {
    const work = napi.run();
    this.processed += work;
    const { weight } = napi;
    if (work > weight) napi.overBudget(work);
    if (work < weight) return work;
    if (napi.isEnding) napi.complete();
    else if (napi.node.list !== undefined) napi.dev.log('warn', 'budget exhausted after napi rescheduled', 'napi_rescheduled');
    else this.#repoll.push(napi.node);
    return work;
  }

  #raise(): void {
    if (this.#isRaised) return;
    this.#isRaised = true;
    this.#net.later(this.#run);
  }

  /** @see Linux 7.2 net/core/dev.c net_rx_action */
  readonly #run = (): void => {
    this.#isRaised = false;
    const { clock } = this.#net;
    const startUs = clock.now();
    let { budget } = NET_RX;
    this.#isRunning = true;
    let list = this.#take();
    for (;;) {
      if (list.size === 0) {
        if (this.#repoll.size > 0 || this.#poll.size === 0) break;
        list = this.#take();
      }
      const napi = list.first!;
      list.delete(napi.node);
      budget -= this.pollOnce(napi);
      if (budget > 0 && clock.now() - startUs < NET_RX.budgetUs) continue;
      this.timeSqueeze++;
      break;
    }
    this.#isRunning = false;
    // What is left comes first, then what was scheduled meanwhile, then those that have used all they might.
    move(this.#poll, list);
    move(this.#repoll, list);
    this.#current = this.#poll;
    this.#poll = list;
    if (list.size > 0) this.#again(startUs);
  };

  /** Those who are to be polled now; others may be scheduled meanwhile. */
  #take(): List<Napi> {
    const list = this.#poll;
    this.#poll = this.#current;
    this.#current = list;
    return list;
  }

  #again(nowUs: number): void {
    this.#rounds = nowUs === this.#lastUs ? this.#rounds + 1 : 0;
    this.#lastUs = nowUs;
    if (this.#rounds < ROUNDS) this.#raise();
    else this.#net.clock.after(1, () => this.#raise());
  }
}

function move(from: List<Napi>, to: List<Napi>): void {
  while (from.size > 0) {
    const { node } = from.first!;
    from.delete(node);
    to.push(node);
  }
}

/** The receive work of one system, by CPU. @see Linux 7.2 net/core/dev.c net_rx_action */
export class NetRx {
  static readonly #all = new WeakMap<DeviceCore, NetRx>();
  readonly #cpus: (SoftNet | undefined)[] = [];

  /** Of the system of `dev`, which has one. @param later how work gets into task context; of the first who asks */
  static of(dev: Device, later: RunLater): NetRx {
    const { core } = dev;
    if (core === undefined) throw new Errno('ENODEV', `${dev.name}: polls without being in a system`);
    let net = NetRx.#all.get(core);
    if (net === undefined) {
      net = new NetRx(core.clock, later);
      NetRx.#all.set(core, net);
    }
    return net;
  }

  private constructor(
    readonly clock: Clock,
    /** @internal */
    readonly later: RunLater,
  ) {}

  /** @param cpu a number of a CPU */
  cpu(cpu: number): SoftNet {
    while (this.#cpus.length <= cpu) this.#cpus.push(undefined);
    return (this.#cpus[cpu] ??= new SoftNet(this));
  }
}

const SCHEDULED = 1;
const MISSED = 2;
const ENDING = 4;

/**
 * Polling instead of an interrupt for each packet: an interrupt schedules it, it is polled until there is nothing left, and then interrupts
 * are armed again.
 * @see Linux 7.2 include/linux/netdevice.h struct napi_struct
 */
export class Napi {
  /** @internal */
  readonly node: ListNode<Napi> = new ListNode<Napi>(this);
  readonly #net: NetRx;
  readonly #poller: NapiPoller;
  #state = SCHEDULED;
  #isEnabled = false;
  #isPolling = false;
  #hasTold = false;
  #cpu = 0;
  #deferred = 0;
  #timer: ClockEvent | undefined = undefined;
  /** How often in a row, after work, interrupts stay off and {@link flushTimeoutUs} polls instead; default 0. */
  deferHardIrqs = 0;
  /** In microseconds; 0: interrupts are not deferred. @see Linux 7.2 Documentation/networking/napi.rst gro_flush_timeout */
  flushTimeoutUs = 0;

  /** It is disabled at first. @param dev who is told of its mistakes */
  constructor(
    readonly dev: Device,
    net: NetRx,
    poller: NapiPoller,
    /** Packets of one poll at most. */
    readonly weight: number = NAPI_WEIGHT,
  ) {
    this.#net = net;
    this.#poller = poller;
  }

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** The CPU that it was scheduled on last. */
  get cpu(): number {
    return this.#cpu;
  }

  /** Whether it is being polled, or is going to be. */
  get isScheduled(): boolean {
    return this.#isEnabled && (this.#state & SCHEDULED) !== 0;
  }

  /** @internal */
  get isEnding(): boolean {
    return (this.#state & ENDING) !== 0;
  }

  /** From now on it can be scheduled. @see Linux 7.2 net/core/dev.c napi_enable */
  enable(): void {
    if (this.#isEnabled) return;
    this.#isEnabled = true;
    this.#state = 0;
  }

  /**
   * It is not polled any more when this has returned: what was to be done is done.
   * @throws {Errno} EDEADLK in its own poll, which would wait for itself
   * @see Linux 7.2 net/core/dev.c napi_disable
   */
  disable(): void {
    if (!this.#isEnabled) return;
    if (this.#isPolling)
      throw new Errno('EDEADLK', `${this.dev.name}: napi disabled in its own poll, which would wait for itself`);
    this.#state |= ENDING;
    while ((this.#state & SCHEDULED) !== 0) {
      this.node.list?.delete(this.node);
      const work = this.#net.cpu(this.#cpu).pollOnce(this);
      // A poll that says that it is done and is not would be waited for for ever.
      if (work < this.weight && this.node.list === undefined) break;
    }
    this.#timer?.cancel();
    this.#isEnabled = false;
    this.#state = SCHEDULED;
  }

  /**
   * Has it polled soon. One that is being polled is polled once more. Also for interrupt handlers.
   * @param cpu the CPU of the interrupt
   * @returns whether it was not scheduled before
   * @see Linux 7.2 net/core/dev.c napi_schedule_prep
   */
  schedule(cpu = 0): boolean {
    const state = this.#state;
    if ((state & ENDING) !== 0) return false;
    if ((state & SCHEDULED) !== 0) {
      this.#state = state | MISSED;
      return false;
    }
    this.#state = state | SCHEDULED;
    this.#cpu = cpu;
    this.#net.cpu(cpu).add(this.node);
    return true;
  }

  /**
   * Nothing is left: of a poll that returns less than its budget.
   * @param work packets of this poll
   * @returns whether interrupts are to be armed; false when another poll comes anyway
   * @see Linux 7.2 net/core/dev.c napi_complete_done
   */
  completeDone(work: number): boolean {
    let timeoutUs = 0;
    if (work > 0) this.#deferred = this.deferHardIrqs;
    if (this.#deferred > 0) {
      this.#deferred--;
      timeoutUs = this.flushTimeoutUs;
    }
    const state = this.#state;
    this.#state = state & ~(MISSED | SCHEDULED);
    if ((state & MISSED) !== 0) {
      this.#state |= SCHEDULED;
      this.#net.cpu(this.#cpu).add(this.node);
      return false;
    }
    if (timeoutUs === 0) return true;
    this.#timer?.cancel();
    this.#timer = this.#net.clock.after(timeoutUs, this.#flush);
    return false;
  }

  readonly #flush = (): void => void this.schedule(this.#cpu);

  /** As {@link completeDone} without work. */
  complete(): boolean {
    return this.completeDone(0);
  }

  /** @internal */
  run(): number {
    if ((this.#state & SCHEDULED) === 0) return 0;
    this.#isPolling = true;
    try {
      return this.#poller.poll(this.weight);
    } catch (error) {
      const text = `its poll function threw: ${describeError(error)}`;
      this.dev.log('err', text, 'callback_threw');
      this.dev.core?.report('callback-threw', this.dev, text);
      this.#state &= ~(SCHEDULED | MISSED);
      return 0;
    } finally {
      this.#isPolling = false;
    }
  }

  /** @see Linux 7.2 net/core/dev.c __napi_poll @internal */
  overBudget(work: number): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    const name = this.#poller.constructor.name;
    const text = `NAPI poll function ${name} returned ${work}, exceeding its budget of ${this.weight}.`;
    this.dev.log('err', text, 'napi_over_budget');
  }
}
