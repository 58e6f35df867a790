import type { ClockTimer } from '../../../core/hal/index.js';
import { UAR_CQ_ARM } from '../../regs/nic.js';
import { CompletionEntry } from './completion-queue.js';
import { TX_DROPPED, count } from './counters.js';
import type { NicFunction } from './function.js';
import type { Nic } from './nic.js';
import { type SendQueue, SendScratch } from './send-queue.js';
import { Switch } from './switch.js';

/** It works in slices of this many microseconds: so a moment of time costs one event, however many packets it sees. */
const SLICE_US = 1;
const CQN_MASK = 0xff_ffff;
const NS_PER_US = 1000;
const PER_WORD = 2 ** -32;
/** Of `#us`: what the work of this slice takes, and by how much the last wait was too long. */
const COST = 0;
const AHEAD = 1;

/**
 * The data path of an adapter: send queues have turns, one after the other, and the switch brings their packets to receive queues.
 *
 * ```
 *   doorbell --> waiting queues --> turn: up to 64 units --> switch --> receive queue, or the cable
 *                      ^   more to do       |                               |
 *                      +--------------------+------> completion queues <----+
 * ```
 */
export class Engine {
  readonly device: Nic;
  readonly cqe = new CompletionEntry();
  readonly sending = new SendScratch();
  /** Nanoseconds, for completions: as of the last time that something came or was sent. Signed. */
  timestampLo = 0;
  timestampHi = 0;
  #switch: Switch | undefined = undefined;
  readonly #timer: ClockTimer;
  /** Queues that wait for their turn: each names the next one. */
  #first: SendQueue | undefined = undefined;
  #last: SendQueue | undefined = undefined;
  #isRunning = false;
  /** Microseconds, by {@link COST} and {@link AHEAD}: a fraction that were kept otherwise would be an object each time. */
  readonly #us = new Float64Array(2);

  constructor(device: Nic) {
    this.device = device;
    this.#timer = device.clock.timer(() => this.#run());
  }

  get switch(): Switch {
    return (this.#switch ??= new Switch(this.device));
  }

  /** A function comes to have a port: the physical one at the start, others with ALLOC_SF. */
  attach(fn: NicFunction): void {
    fn.vport = this.switch.ports.add(fn);
  }

  /** The function has a port no longer. */
  detach(fn: NicFunction): void {
    if (fn.vport !== undefined) this.switch.ports.remove(fn.vport);
    fn.vport = undefined;
  }

  /** All queues of the function are gone: those in its tables now. They are forgotten afterwards. */
  stop(fn: NicFunction): void {
    if (fn.vport !== undefined) this.switch.ports.clear(fn.vport);
    if (fn.isManager && this.#switch !== undefined) this.#switch.ports.forgetQueues();
    for (const tir of fn.tirs) tir?.destroy();
    for (const rqt of fn.rqts) rqt?.destroy();
    for (const sq of fn.sqs) sq?.destroy();
    for (const rq of fn.rqs) rq?.destroy();
    for (const cq of fn.cqs) cq?.destroy();
  }

  /** Everything is as at the start; each function has been stopped, and detached. */
  reset(): void {
    this.switch.reset();
    this.#timer.cancel();
    while (this.#take() !== undefined) continue;
    this.#us.fill(0);
  }

  /** A 64-bit store to a page of UAR that the function has: `UAR_CQ_ARM`, or one of `UAR_SQ_DOORBELLS`. */
  doorbell(fn: NicFunction, uar: number, offset: number, lo: number, hi: number): void {
    if (offset === UAR_CQ_ARM) {
      const cq = fn.cqs[hi & CQN_MASK];
      if (cq !== undefined && cq.setup.uar === uar) cq.arm(lo);
      else fn.uarViolations++;
    } else {
      const sq = fn.sqs[hi >>> 8];
      if (sq !== undefined && sq.setup.uar === uar) sq.ring();
      else fn.uarViolations++;
    }
  }

  /** A queue wants a turn. */
  wake(sq: SendQueue): void {
    if (sq.isWaiting) return;
    sq.isWaiting = true;
    if (this.#last === undefined) this.#first = sq;
    else this.#last.next = sq;
    this.#last = sq;
    if (!this.#timer.isPending && !this.#isRunning) this.#timer.start(0);
  }

  /** A queue sends a packet: it comes from the function's port, or leaves by another. */
  send(sq: SendQueue, frame: Uint8Array, length: number): void {
    const { packetUs, bytesPerUs } = this.device.settings;
    this.#us[COST] = this.#us[COST]! + packetUs + length / bytesPerUs;
    const { vport } = sq.fn;
    if (vport === undefined) return;
    const { leavesBy } = sq.setup;
    if (leavesBy < 0) {
      this.switch.forward(vport, frame, 0, length);
      return;
    }
    const port = this.switch.ports.at(leavesBy);
    if (port !== undefined) this.switch.output(port, frame, 0, length);
    else count(vport.counters, TX_DROPPED);
  }

  /** It is now. */
  stamp(): void {
    const ns = this.device.clock.now() * NS_PER_US;
    this.timestampLo = ns | 0;
    this.timestampHi = (ns * PER_WORD) | 0;
  }

  /** A slice: turns of queues until there is nothing more to do, or its time is used up. */
  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const us = this.#us;
    us[COST] = 0;
    this.stamp();
    while (this.#leftUs() < SLICE_US) {
      const sq = this.#take();
      if (sq === undefined) break;
      if (sq.run()) this.wake(sq);
    }
    this.#isRunning = false;
    const leftUs = this.#leftUs();
    if (this.#first === undefined && leftUs <= 0) {
      us[AHEAD] = 0;
      return;
    }
    const wholeUs = Math.max(0, Math.ceil(leftUs));
    us[AHEAD] = wholeUs - leftUs;
    this.#timer.start(wholeUs);
  }

  /** What the work of this slice takes, less what was waited for it already. */
  #leftUs(): number {
    return this.#us[COST]! - this.#us[AHEAD]!;
  }

  /** The queue whose turn it is. */
  #take(): SendQueue | undefined {
    const sq = this.#first;
    if (sq === undefined) return undefined;
    this.#first = sq.next;
    if (this.#first === undefined) this.#last = undefined;
    sq.next = undefined;
    sq.isWaiting = false;
    return sq;
  }
}
