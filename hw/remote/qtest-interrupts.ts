import { Signal } from '../../core/lib/signal.js';
import type { InterruptController, InterruptEntry } from '../../core/hal/interrupts.js';
import { DOORBELLS, type DoorbellMemory, Doorbells } from './qtest-doorbells.js';
import type { QtestLink } from './qtest-link.js';
import { QtestLines } from './qtest-lines.js';

/** Pause between two looks when nobody accesses the hardware: device models that run by themselves ring at any time. */
const LOOK_MS = 1;

/**
 * Interrupts of a QEMU without a guest: doorbells in guest memory and the inputs of the I/O APIC, both on one CPU whose vectors
 * are the doorbells; the lowest number is taken first. Looks are taken only while there are doorbells. @internal
 */
export class QtestInterrupts implements InterruptController {
  readonly cpus = 1;
  readonly vectors = DOORBELLS;
  readonly messages: Doorbells;
  readonly lines: QtestLines;
  currentCpu = 0;
  /** Told when an interrupt became pending, whoever takes it. */
  readonly interrupted = new Signal<[]>();
  readonly #link: Pick<QtestLink, 'irqLines' | 'hear' | 'onReply'>;
  /** Vectors that are pending, 32 to a word; none is below the word `#first`. */
  readonly #pending = new Uint32Array(DOORBELLS / 32);
  #first = this.#pending.length;
  #isOnline = true;
  #entry: InterruptEntry | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  readonly #look = (): void => this.#collect();

  constructor(link: Pick<QtestLink, 'irqLines' | 'hear' | 'onReply'>, memory: DoorbellMemory) {
    this.#link = link;
    this.messages = new Doorbells(memory, this.#pending, () => this.#watch());
    this.lines = new QtestLines(link.irqLines, this.messages, (doorbell) => this.send(0, doorbell));
  }

  start(): void {
    this.messages.start();
  }

  /** No look is taken from now on. Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#link.onReply = undefined;
  }

  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
    if (this.nextCpu() === 0) entry?.pending();
  }

  nextCpu(): number {
    const pending = this.#pending;
    while (this.#first < pending.length && pending[this.#first] === 0) this.#first++;
    return this.#first < pending.length ? 0 : -1;
  }

  take(cpu: number): number {
    if (cpu !== 0 || this.nextCpu() !== 0) return -1;
    const word = this.#pending[this.#first]!;
    const lowest = word & -word;
    this.#pending[this.#first] = word ^ lowest;
    return 32 * this.#first + 31 - Math.clz32(lowest);
  }

  /** A doorbell has no service to end: what rings while its handler runs, is taken after it. */
  eoi(_cpu: number): void {}

  send(cpu: number, vector: number): void {
    if (cpu !== 0 || !this.#isOnline || !(vector >= 0 && vector < DOORBELLS)) return;
    this.#pending[vector >>> 5]! |= 1 << (vector & 31);
    this.#tell();
  }

  isPending(cpu: number, vector: number): boolean {
    return cpu === 0 && ((this.#pending[vector >>> 5] ?? 0) & (1 << (vector & 31))) !== 0;
  }

  setOnline(cpu: number, online: boolean): void {
    if (cpu !== 0) return;
    this.#isOnline = online;
    if (!online) this.#pending.fill(0);
  }

  #collect(): void {
    if (!this.messages.collect()) return;
    if (this.#isOnline) this.#tell();
    else this.#pending.fill(0);
  }

  #tell(): void {
    this.#first = 0;
    this.interrupted.emit();
    this.#entry?.pending();
  }

  /** The first doorbell was taken, or the last given back. */
  #watch(): void {
    this.stop();
    if (!this.messages.inUse) return;
    this.#link.onReply = this.#look;
    this.#timer = setInterval(() => this.#idleLook(), LOOK_MS);
    // A program that forgets to stop its host may end all the same.
    this.#timer.unref();
  }

  #idleLook(): void {
    this.#collect();
    if (this.lines.inUse) this.#link.hear();
  }
}
