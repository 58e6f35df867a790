import type { InterruptController, InterruptEntry, InterruptLines, MsiMsg } from '../hal/index.js';
import type { Subscription } from '../lib/index.js';

const NOTHING: Subscription = { dispose() {}, [Symbol.dispose]() {} };

/** Lines that a device which has vanished does not drive any more. */
class TapLines implements InterruptLines {
  constructor(
    readonly inner: InterruptLines,
    readonly isGone: () => boolean,
  ) {}

  get count(): number {
    return this.inner.count;
  }
  get requesterId(): number {
    return this.inner.requesterId;
  }
  route(line: number, msg: MsiMsg, level: boolean): void {
    this.inner.route(line, msg, level);
  }
  setMask(line: number, masked: boolean): void {
    this.inner.setMask(line, masked || this.isGone());
  }
  eoi(line: number): void {
    // It would be sent again: the model behind the line does not know that it is gone.
    if (!this.isGone()) this.inner.eoi(line);
  }
  isAsserted(line: number): boolean {
    return !this.isGone() && this.inner.isAsserted(line);
  }
}

/** Passes everything on, and says which interrupt a CPU is about to take. @internal */
export class TapInterrupts implements InterruptController {
  readonly lines: InterruptLines | undefined;
  readonly #inner: InterruptController;
  readonly #taken: (what: string) => void;

  constructor(inner: InterruptController, taken: (what: string) => void, isGone: () => boolean) {
    this.#inner = inner;
    this.#taken = taken;
    this.lines = inner.lines && new TapLines(inner.lines, isGone);
  }

  get cpus(): number {
    return this.#inner.cpus;
  }
  get vectors(): number {
    return this.#inner.vectors;
  }
  get messages(): InterruptController['messages'] {
    return this.#inner.messages;
  }
  get currentCpu(): number {
    return this.#inner.currentCpu;
  }
  set currentCpu(cpu: number) {
    this.#inner.currentCpu = cpu;
  }
  node(cpu: number): number {
    return this.#inner.node?.(cpu) ?? 0;
  }
  onMessage(listener: Parameters<NonNullable<InterruptController['onMessage']>>[0]): Subscription {
    return this.#inner.onMessage?.(listener) ?? NOTHING;
  }
  attach(entry: InterruptEntry | undefined): void {
    this.#inner.attach(entry);
  }
  nextCpu(): number {
    return this.#inner.nextCpu();
  }
  take(cpu: number): number {
    const vector = this.#inner.take(cpu);
    if (vector >= 0) this.#taken(`interrupt ${vector}`);
    return vector;
  }
  eoi(cpu: number): void {
    this.#inner.eoi(cpu);
  }
  send(cpu: number, vector: number): void {
    this.#inner.send(cpu, vector);
  }
  isPending(cpu: number, vector: number): boolean {
    return this.#inner.isPending(cpu, vector);
  }
  setOnline(cpu: number, online: boolean): void {
    this.#inner.setOnline(cpu, online);
  }
}
