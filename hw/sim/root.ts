import type { PciAperture, PciHotplugEvent, PciRoot, Window } from '../../core/hal/index.js';
import { Errno, Signal, type Subscription, checkRange, hex } from '../../core/lib/index.js';
import { pinLine } from './ioapic.js';
import { type AddressSpace, type Claim, MappedWindow, PostedQueue } from './mapped-window.js';
import type { Functions, Slot } from './slot.js';
import type { RootSpec } from './topology.js';

const ABSENT = 0xffff_ffff;

/** Configuration space by place, whoever is there at the time of the access. Configuration accesses push posted writes. */
class ConfigWindow implements Window {
  readonly sizeBytes = 4096;
  constructor(
    readonly root: Root,
    readonly bus: number,
    readonly devfn: number,
  ) {}

  #space(): Window | undefined {
    this.root.posted.flush();
    return this.root.route(this.bus, this.devfn)?.endpoint.space;
  }

  read8(offset: number): number {
    return this.#space()?.read8(offset) ?? ABSENT & 0xff;
  }
  read16(offset: number): number {
    return this.#space()?.read16(offset) ?? ABSENT & 0xffff;
  }
  read32(offset: number): number {
    return this.#space()?.read32(offset) ?? ABSENT;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = ABSENT;
  }
  write8(offset: number, value: number): void {
    this.#space()?.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    this.#space()?.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    this.#space()?.write32(offset, value);
  }
  write64(): void {}
}

/**
 * A PCI host bridge: it routes configuration accesses by the bus numbers, and memory and I/O accesses by the windows and
 * BARs, that software has programmed.
 */
export class Root implements PciRoot {
  readonly segment: number;
  readonly firstBus: number;
  readonly lastBus: number;
  readonly apertures: readonly PciAperture[];
  /** The functions on the root bus. */
  readonly functions: Functions = new Map();
  readonly posted = new PostedQueue();
  readonly #mem: AddressSpace;
  readonly #io: AddressSpace;
  readonly #hotplug = new Signal<[PciHotplugEvent]>();

  /** @param isPosting whether memory writes are posted */
  constructor(spec: RootSpec & { readonly apertures: readonly PciAperture[] }, isPosting: boolean) {
    const { segment = 0, firstBus = 0, lastBus = 255, apertures } = spec;
    checkRange('sim', 'segment', segment, 0, 0xffff);
    checkRange('sim', 'firstBus', firstBus, 0, 255);
    checkRange('sim', 'lastBus', lastBus, firstBus, 255);
    this.segment = segment;
    this.firstBus = firstBus;
    this.lastBus = lastBus;
    this.apertures = apertures;
    const { posted } = this;
    this.#mem = { posted, isPosting, resolve: (address) => this.#resolve('mem', address) };
    this.#io = { posted, isPosting: false, resolve: (address) => this.#resolve('io', address) };
  }

  config(bus: number, devfn: number): Window {
    return new ConfigWindow(this, bus, devfn);
  }

  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    return new MappedWindow(kind === 'mem' ? this.#mem : this.#io, address, sizeBytes);
  }

  irqLine(devfn: number, pin: number): number | undefined {
    return pin >= 1 && pin <= 4 ? pinLine(devfn, pin) : undefined;
  }

  onHotplug(listener: (event: PciHotplugEvent) => void): Subscription {
    return this.#hotplug.on(listener);
  }

  /** Tells the operating system; not where software has given the bus no number, since it cannot have seen it. */
  announce(action: PciHotplugEvent['action'], parent: Slot | undefined, devfn: number): void {
    const bus = parent === undefined ? this.firstBus : parent.bridge!.secondary;
    if (parent === undefined || bus > 0) this.#hotplug.emit({ action, bus, devfn });
  }

  /** The function that a configuration access reaches. */
  route(bus: number, devfn: number): Slot | undefined {
    if (bus === this.firstBus) return this.functions.get(devfn);
    for (let functions: Functions | undefined = this.functions; functions !== undefined;) {
      const via = find(functions, (slot) => slot.bridge?.routes(bus) === true);
      // Type 1 accesses go on as type 1 until the bridge whose secondary bus it is makes them type 0.
      if (via?.bridge?.secondary === bus) return via.children!.get(devfn);
      functions = via?.children;
    }
    return undefined;
  }

  #resolve(kind: 'io' | 'mem', address: number): Claim | undefined {
    const isOurs = this.apertures.some(
      (range) => (range.kind === 'io') === (kind === 'io') && range.base <= address && address <= range.limit,
    );
    if (!isOurs) return undefined;
    for (let functions: Functions | undefined = this.functions; functions !== undefined;) {
      let below: Functions | undefined = undefined;
      for (const slot of functions.values()) {
        const claim = slot.claim(kind, address);
        if (claim !== undefined) return claim;
        if (below === undefined && slot.bridge?.forwards(kind, address) === true) below = slot.children;
      }
      functions = below;
    }
    return undefined;
  }
}

function find(functions: Functions, test: (slot: Slot) => boolean): Slot | undefined {
  for (const slot of functions.values()) if (test(slot)) return slot;
  return undefined;
}

/**
 * Checks that roots share neither bus numbers nor addresses with each other, nor addresses with memory.
 * @param memory ranges [start, end)
 * @throws {Errno} EINVAL when they do
 */
export function checkRoots(roots: readonly Root[], memory: readonly { readonly start: number; readonly end: number }[]): void {
  const seen: { root: number; isIo: boolean; base: number; limit: number }[] = [];
  for (const [i, root] of roots.entries()) {
    for (const { kind, base, limit } of root.apertures) {
      const isIo = kind === 'io';
      const clash = seen.find((other) => other.root !== i && other.isIo === isIo && base <= other.limit && other.base <= limit);
      const inMemory = !isIo && memory.some((range) => base < range.end && range.start <= limit);
      if (clash === undefined && !inMemory) continue;
      const what = clash === undefined ? 'memory' : `an aperture of root ${clash.root}`;
      throw new Errno('EINVAL', `sim: root ${i}: ${kind} aperture 0x${hex(base)} to 0x${hex(limit)} overlaps ${what}`);
    }
    for (const { base, limit, kind } of root.apertures) seen.push({ root: i, isIo: kind === 'io', base, limit });
    const twin = roots.findIndex(
      (other) => other.segment === root.segment && other.firstBus <= root.lastBus && root.firstBus <= other.lastBus,
    );
    if (twin !== i) throw new Errno('EINVAL', `sim: root ${i} and root ${twin} share bus numbers of segment ${root.segment}`);
  }
}
