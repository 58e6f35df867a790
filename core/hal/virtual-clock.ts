import { Errno } from '../lib/errno.js';
import { Signal, type Subscription } from '../lib/signal.js';
import type { Clock, ClockEvent, ClockTimer, PollOptions } from './clock.js';

class Event implements ClockEvent, ClockTimer {
  /** Where it is in the queue; -1 when it is not. */
  index = -1;
  constructor(
    readonly clock: VirtualClock,
    public dueUs: number,
    public seq: number,
    public fn: (() => void) | undefined,
    readonly kind: 'event' | 'sleep' | 'deadline' | 'timer',
  ) {}

  get isPending(): boolean {
    return this.index >= 0;
  }
  start(us: number): void {
    this.clock.restart(this, us);
  }
  cancel(): void {
    this.clock.cancel(this);
  }

  [Symbol.dispose](): void {
    this.cancel();
  }
}

const before = (a: Event, b: Event): boolean => a.dueUs < b.dueUs || (a.dueUs === b.dueUs && a.seq < b.seq);

/** Options of a {@link VirtualClock}. */
export interface VirtualClockOptions {
  /**
   * `auto` (default): the clock jumps to the next event whenever somebody sleeps and all else is at rest, as fast as it can.
   * `manual`: it moves by `elapse`, `settle` and `relax` alone.
   */
  readonly mode?: 'auto' | 'manual';
  /**
   * For hardware that keeps its own time: takes it along to `toUs`, before the clock itself goes there.
   * @returns the time reached: earlier than `toUs` when the hardware asked for attention on the way
   */
  readonly advance?: (toUs: number) => number;
}

/** Turns of the event loop after which an `auto` clock, with nobody asleep, jumps to the next event: some milliseconds. */
const IDLE_TURNS_BEFORE_EVENT = 2000;
/** The same when that event is a deadline: what it limits may wait for a file. */
const IDLE_TURNS_BEFORE_DEADLINE = 20_000;
/** Turns `settle` waits for promises that wait for promises of the event loop. */
const SETTLE_TURNS = 2;

/**
 * The clock of simulated hardware and of fakes: one queue of events, ordered by time and then by the order they were made.
 *
 * It never looks at the wall clock. The same calls give the same order on every machine.
 */
export class VirtualClock implements Clock {
  #nowUs = 0;
  #seq = 0;
  readonly #heap: Event[] = [];
  #sleepers = 0;
  #deadlines = 0;
  #pumping = false;
  #idleTurns = 0;
  readonly #ran = new Signal<[]>();
  readonly #advance: ((toUs: number) => number) | undefined;
  #mode: 'auto' | 'manual';
  /** Calls of `settle` under way: they alone move the clock. */
  #settling = 0;

  constructor(options: VirtualClockOptions = {}) {
    this.#mode = options.mode ?? 'auto';
    this.#advance = options.advance;
  }

  /** Whether the clock moves by itself; may be changed at any time. */
  get mode(): 'auto' | 'manual' {
    return this.#mode;
  }

  set mode(mode: 'auto' | 'manual') {
    this.#mode = mode;
    this.#pump();
  }

  now(): number {
    return this.#nowUs;
  }

  /** Number of events that have not run. */
  get pending(): number {
    return this.#heap.length;
  }

  /** Time of the next event, if there is one. */
  get nextDueUs(): number | undefined {
    return this.#heap[0]?.dueUs;
  }

  after(us: number, fn: () => void): ClockEvent {
    return this.#add(us, fn, 'event');
  }

  timer(fn: () => void): ClockTimer {
    return new Event(this, 0, 0, checkFunction(fn), 'timer');
  }

  deadline(us: number, fn: () => void): ClockEvent {
    const event = this.#add(us, fn, 'deadline');
    this.#deadlines++;
    this.#pump();
    return event;
  }

  alarm(us: number, fn: () => void): ClockEvent {
    const event = this.#add(us, fn, 'sleep');
    this.#sleepers++;
    this.#pump();
    return event;
  }

  sleep(us: number): Promise<void> {
    return new Promise((resolve) => this.alarm(us, resolve));
  }

  async poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T> {
    const end = this.#nowUs + options.timeoutUs;
    const step = Math.max(options.intervalUs ?? 10, 1);
    for (;;) {
      const value = read();
      if (value !== undefined && value !== false) return value;
      if (this.#nowUs >= end) {
        throw new Errno('ETIMEDOUT', `${options.what ?? 'poll'}: no result within ${options.timeoutUs} us`);
      }
      await this.sleep(Math.min(step, end - this.#nowUs));
    }
  }

  relax(): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.kind === 'deadline') return false;
    this.#step(false);
    return true;
  }

  onEvent(listener: () => void): Subscription {
    return this.#ran.on(listener);
  }

  /**
   * Moves time forward by `us` microseconds, synchronously, running what falls due; promises run only after it returns.
   * @returns the number of events run
   */
  elapse(us: number): number {
    const end = this.#nowUs + check(us);
    let count = 0;
    for (let did = this.#towards(end); did !== undefined; did = this.#towards(end)) if (did === 'event') count++;
    return count;
  }

  /** As `elapse`, and lets promises run before, between and after the events. */
  async settle(us = 0): Promise<void> {
    const end = this.#nowUs + check(us);
    this.#settling++;
    try {
      await turns(SETTLE_TURNS);
      for (let did = this.#towards(end); did !== undefined; did = this.#towards(end)) {
        if (did !== 'moved') await turns(SETTLE_TURNS);
      }
    } finally {
      this.#settling--;
      this.#pump();
    }
  }

  /** Jumps to the next event and runs it; false when there is none. */
  runNext(): boolean {
    while (this.#heap.length > 0) if (this.#step(true)) return true;
    return false;
  }

  /** @internal */
  restart(event: Event, us: number): void {
    const dueUs = this.#nowUs + check(us);
    this.cancel(event);
    event.dueUs = dueUs;
    event.seq = this.#seq++;
    this.#insert(event);
  }

  /** @internal */
  cancel(event: Event): void {
    if (event.index < 0) return;
    this.#forget(event);
    const i = event.index;
    const last = this.#heap.pop()!;
    if (last !== event) {
      last.index = i;
      this.#heap[i] = last;
      this.#down(i);
      this.#up(last.index);
    }
    event.index = -1;
  }

  #forget(event: Event): void {
    if (event.kind === 'timer') return;
    event.fn = undefined;
    if (event.kind === 'sleep') this.#sleepers--;
    else if (event.kind === 'deadline') this.#deadlines--;
  }

  #add(us: number, fn: () => void, kind: Event['kind']): Event {
    const event = new Event(this, this.#nowUs + check(us), this.#seq++, checkFunction(fn), kind);
    this.#insert(event);
    return event;
  }

  #insert(event: Event): void {
    event.index = this.#heap.push(event) - 1;
    this.#up(event.index);
  }

  /** One step on the way to `end`: the next event due by then, else the rest of the way; undefined when there. */
  #towards(end: number): 'event' | 'hardware' | 'moved' | undefined {
    const next = this.#heap[0];
    if (next !== undefined && next.dueUs <= end) return this.#step(true) ? 'event' : 'hardware';
    if (this.#nowUs >= end) return undefined;
    this.#moveTo(end);
    if (this.#advance === undefined) return 'moved';
    this.#ran.emit();
    return 'hardware';
  }

  /** Moves time on; false when the hardware stopped it on the way. */
  #moveTo(us: number): boolean {
    if (us > this.#nowUs) this.#nowUs = this.#advance === undefined ? us : this.#advance(us);
    return this.#nowUs >= us;
  }

  /** Goes to the next event and runs it; false when the hardware stopped the clock before it. */
  #step(drain: boolean): boolean {
    const event = this.#heap[0]!;
    const there = this.#moveTo(event.dueUs);
    // What the hardware did on the way may have cancelled it.
    const fn = there ? event.fn : undefined;
    if (fn !== undefined) {
      this.cancel(event);
      fn();
    }
    if (drain) this.#ran.emit();
    return fn !== undefined;
  }

  /** Whether the clock has to go on by itself: somebody waits for time to pass. */
  get #runs(): boolean {
    return this.#mode === 'auto' && this.#settling === 0 && (this.#sleepers > 0 || this.#deadlines > 0);
  }

  #pump(): void {
    this.#idleTurns = 0;
    if (this.#pumping || !this.#runs) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#turn();
    });
  }

  #turn(): void {
    if (!this.#runs) {
      this.#pumping = false;
      return;
    }
    setImmediate(() => {
      this.#turn();
    });
    const patience = this.#heap[0]!.kind === 'deadline' ? IDLE_TURNS_BEFORE_DEADLINE : IDLE_TURNS_BEFORE_EVENT;
    if (this.#sleepers === 0 && ++this.#idleTurns <= patience) return;
    this.#idleTurns = 0;
    this.#step(true);
  }

  #up(index: number): void {
    const heap = this.#heap;
    const event = heap[index]!;
    let i = index;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (before(heap[parent]!, event)) break;
      heap[i] = heap[parent]!;
      heap[i]!.index = i;
      i = parent;
    }
    heap[i] = event;
    event.index = i;
  }

  #down(index: number): void {
    const heap = this.#heap;
    const event = heap[index]!;
    let i = index;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (before(event, heap[child]!)) break;
      heap[i] = heap[child]!;
      heap[i]!.index = i;
      i = child;
    }
    heap[i] = event;
    event.index = i;
  }
}

function check(us: number): number {
  if (!(us >= 0 && us <= Number.MAX_SAFE_INTEGER)) {
    throw new Errno('EINVAL', `clock: ${us} us is not a non-negative number of microseconds`);
  }
  return us;
}

function checkFunction(fn: () => void): () => void {
  if (typeof fn !== 'function') throw new Errno('EINVAL', `clock: ${typeof fn} is not a function to call`);
  return fn;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
