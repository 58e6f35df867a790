import { Errno, hex } from '../lib/index.js';
import { findFrame } from '../lib/frame.js';
import {
  type Clock,
  type ClockEvent,
  type DmaMemory,
  type Host,
  type HostCapabilities,
  PCI,
  type PciAperture,
  type PciHotplugEvent,
  type PciRoot,
  type PollOptions,
  type Window,
  setField,
  writeDirect,
} from '../hal/index.js';
import type { Subscription } from '../lib/signal.js';
import { Device } from '../device/index.js';
import type { Log } from '../lib/log.js';
import { TapInterrupts } from './tap-interrupts.js';

/** Register reads without time moving after which a driver is taken to be stuck. */
export const SPIN_LIMIT = 100_000;
/** Functions of a bus. */
const DEVFNS = 256;
/** What is read where no function is. */
const ABSENT = 0xffff;

/** What the kit sees of a host, and can do to it. @internal */
export interface TapState {
  /** Before each access to a register or to configuration space. */
  onAccess: ((what: string) => void) | undefined;
  /** True: the device is not there any more. Reads give all ones, writes vanish. */
  gone: boolean;
  /** Reads since the clock last moved. */
  spins: number;
  spunAt: number;
}

class TapWindow implements Window {
  constructor(
    readonly inner: Window,
    readonly what: string,
    readonly tap: TapState,
    readonly clock: Clock,
  ) {}

  get sizeBytes(): number {
    return this.inner.sizeBytes;
  }

  #reads(offset: number): boolean {
    this.#seen('read', offset);
    const { tap } = this;
    const now = this.clock.now();
    if (now !== tap.spunAt) {
      tap.spunAt = now;
      tap.spins = 0;
    }
    if (++tap.spins > SPIN_LIMIT) {
      tap.spins = 0;
      throw new Errno(
        'ETIMEDOUT',
        `${this.what}: ${SPIN_LIMIT} reads at ${now} us without time moving: wait with clock.poll or clock.relax`,
      );
    }
    return !tap.gone;
  }

  #writes(offset: number): boolean {
    this.#seen('write', offset);
    return !this.tap.gone;
  }

  #seen(kind: string, offset: number): void {
    const { onAccess } = this.tap;
    if (onAccess !== undefined) onAccess(`${kind} ${this.what}+0x${hex(offset)}`);
  }

  read8(offset: number): number {
    return this.#reads(offset) ? this.inner.read8(offset) : 0xff;
  }
  read16(offset: number): number {
    return this.#reads(offset) ? this.inner.read16(offset) : 0xffff;
  }
  read32(offset: number): number {
    return this.#reads(offset) ? this.inner.read32(offset) : 0xffff_ffff;
  }
  read64(offset: number, out: Uint32Array): void {
    if (this.#reads(offset)) this.inner.read64(offset, out);
    else out[0] = out[1] = 0xffff_ffff;
  }
  write8(offset: number, value: number): void {
    if (this.#writes(offset)) this.inner.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    if (this.#writes(offset)) this.inner.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    if (this.#writes(offset)) this.inner.write32(offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (this.#writes(offset)) this.inner.write64(offset, lo, hi);
  }
  movdir64b(offset: number, words: Uint32Array, at: number): void {
    if (this.#writes(offset)) writeDirect(this.inner, offset, words, at);
  }
  enqcmd(offset: number, words: Uint32Array, at: number): boolean {
    return !this.#writes(offset) || this.inner.enqcmd?.(offset, words, at) !== false;
  }
}

class TapRoot implements PciRoot {
  constructor(
    readonly inner: PciRoot,
    readonly tap: TapState,
    readonly clock: Clock,
  ) {}

  get segment(): number {
    return this.inner.segment;
  }
  get firstBus(): number {
    return this.inner.firstBus;
  }
  get lastBus(): number {
    return this.inner.lastBus;
  }
  get apertures(): readonly PciAperture[] {
    return this.inner.apertures;
  }

  config(bus: number, devfn: number): Window {
    const what = `config ${hex(bus, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`;
    return new TapWindow(this.inner.config(bus, devfn), what, this.tap, this.clock);
  }

  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    return new TapWindow(this.inner.map(kind, address, sizeBytes), `${kind} 0x${hex(address)}`, this.tap, this.clock);
  }

  irqLine(at: number, pin: number): number | undefined {
    return this.inner.irqLine?.(at, pin);
  }

  onHotplug(listener: (event: PciHotplugEvent) => void): Subscription {
    return this.inner.onHotplug(listener);
  }
}

/** A clock event that somebody in a driver waits for. @internal */
export interface TapTimer {
  readonly owner: string;
  readonly dueUs: number;
  readonly stack: string;
}

/** Passes everything on, and knows which driver's events are pending. */
class TapClock implements Clock {
  readonly timers = new Set<TapTimer>();

  constructor(readonly inner: Clock) {}

  now(): number {
    return this.inner.now();
  }

  after(us: number, fn: () => void): ClockEvent {
    return this.#noted(us, fn, 'after');
  }

  alarm(us: number, fn: () => void): ClockEvent {
    return this.#noted(us, fn, 'alarm');
  }

  #noted(us: number, fn: () => void, kind: 'after' | 'alarm'): ClockEvent {
    const timer = this.#note(us);
    if (timer === undefined) return this.inner[kind](us, fn);
    const event = this.inner[kind](us, () => {
      this.timers.delete(timer);
      fn();
    });
    const cancel = (): void => {
      this.timers.delete(timer);
      event.cancel();
    };
    return { dueUs: event.dueUs, cancel, [Symbol.dispose]: cancel };
  }

  deadline(us: number, fn: () => void): ClockEvent {
    return this.inner.deadline(us, fn);
  }

  async sleep(us: number): Promise<void> {
    const timer = this.#note(us);
    try {
      await this.inner.sleep(us);
    } finally {
      if (timer !== undefined) this.timers.delete(timer);
    }
  }

  poll<T>(read: () => T | undefined | false, options: PollOptions): Promise<T> {
    return this.inner.poll(read, options);
  }

  relax(): boolean {
    return this.inner.relax();
  }

  onEvent(listener: () => void): Subscription {
    return this.inner.onEvent(listener);
  }

  #note(us: number): TapTimer | undefined {
    const frame = findFrame((f) => f.owner instanceof Device);
    if (frame === undefined) return undefined;
    const timer = { owner: (frame.owner as Device).name, dueUs: this.now() + us, stack: callerStack() };
    this.timers.add(timer);
    return timer;
  }
}

const CORE_DIR = new URL('..', import.meta.url).pathname;

/** The stack of who called the core, without the core's own lines. @internal */
export function callerStack(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(2);
  const callers = lines.filter((line) => !line.includes(CORE_DIR) && !line.includes('<anonymous>'));
  return (callers.length > 0 ? callers : lines).slice(0, 6).join('\n');
}

/** Any host, with the kit listening in between. @internal */
export class TapHost implements Host {
  readonly tap: TapState = { onAccess: undefined, gone: false, spins: 0, spunAt: -1 };
  readonly clock: TapClock;
  readonly pci: readonly PciRoot[];
  readonly interrupts: TapInterrupts | undefined;

  constructor(readonly inner: Host) {
    this.clock = new TapClock(inner.clock);
    this.pci = inner.pci.map((root) => new TapRoot(root, this.tap, this.clock));
    this.interrupts =
      inner.interrupts &&
      new TapInterrupts(
        inner.interrupts,
        (what) => this.tap.onAccess?.(what),
        () => this.tap.gone,
      );
  }

  /** The device vanishes: it answers no more, and neither reaches for memory nor sends interrupts. */
  vanish(): void {
    this.tap.gone = true;
    // The models behind do not know that they are gone; what is on the first bus passes on what is below it.
    for (const root of this.inner.pci) {
      for (let at = 0; at < DEVFNS; at++) {
        const config = root.config(root.firstBus, at);
        const command = config.read16(PCI.COMMAND.offset);
        if (command !== ABSENT) config.write16(PCI.COMMAND.offset, setField(PCI.COMMAND.fields.master, command, 0));
      }
    }
  }

  get name(): string {
    return this.inner.name;
  }
  get capabilities(): HostCapabilities {
    return this.inner.capabilities;
  }
  get dma(): DmaMemory {
    return this.inner.dma;
  }
  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    if (this.inner.map === undefined) throw new Errno('EOPNOTSUPP', `${this.name}: has no addresses for platform devices`);
    const inner = this.inner.map(kind, address, sizeBytes);
    return new TapWindow(inner, `${kind} 0x${hex(address)}`, this.tap, this.clock);
  }
  get iommu(): Host['iommu'] {
    return this.inner.iommu;
  }
  requesterId(address: number): number | undefined {
    return this.inner.requesterId?.(address);
  }
  start(log: Log): ReturnType<Host['start']> {
    return this.inner.start(log);
  }
  stop(): ReturnType<Host['stop']> {
    return this.inner.stop();
  }
}
