import { Signal, type Subscription } from '../lib/signal.js';
import { Errno, checkRange, isPowerOfTwo } from '../lib/index.js';
import { type PciAperture, type PciHotplugEvent, type PciRoot, RegisterFile, type Window, devfn } from '../hal/index.js';
import { BufferWindow } from './buffer-window.js';

/** One base address register of a fake function, and what answers behind it. */
export interface FakeBar {
  /** Power of two; 16 to 2^31. */
  readonly sizeBytes: number;
  /** Default `mem32`. */
  readonly kind?: 'mem32' | 'mem64' | 'io';
  /** What answers; default plain memory. A `RegisterFile` gives registers with their datasheet's modes. */
  readonly window?: Window;
}

/** What a fake function says of itself. */
export interface FakePciOptions {
  readonly vendor: number;
  readonly device: number;
  /** Base class, sub-class and interface in 24 bits; default 0xff0000 (unassigned). */
  readonly classCode?: number;
  readonly revision?: number;
  /** Its interrupt pin, 1 to 4 (INTA to INTD); default 0, none. Device n has line 16 + (n + pin - 1) modulo 4. */
  readonly interruptPin?: number;
  readonly subsystem?: { readonly vendor: number; readonly device: number };
  readonly bars?: readonly FakeBar[];
  /** Capabilities in order: id, and the bytes that follow id and next pointer. */
  readonly capabilities?: readonly { readonly id: number; readonly body: readonly number[] }[];
}

const ABSENT = new BufferWindow(0);
/** Base address registers of a header. */
const BARS = 6;
const MOST_BYTES = 2 ** 31;
/** Devices of a bus beside the host bridge. */
const SLOTS = 31;

/** A PCI function made of a configuration space and windows: the smallest thing a PCI driver can be bound to. */
export class FakePciFunction {
  readonly config = new BufferWindow(256);
  readonly #bars: readonly FakeBar[];
  readonly #windows: Window[] = [];
  /** Bits of configuration space that can be written. */
  readonly #writable = new Uint8Array(256);

  constructor(readonly options: FakePciOptions) {
    this.#bars = options.bars ?? [];
    const { config } = this;
    // All ones, or zero, is what is read where nothing is.
    checkRange('fake function', 'vendor', options.vendor, 1, 0xfffe);
    checkRange('fake function', 'device', options.device, 0, 0xffff);
    config.write16(0x00, options.vendor);
    config.write16(0x02, options.device);
    config.write32(0x08, (((options.classCode ?? 0xff0000) << 8) | (options.revision ?? 0)) >>> 0);
    config.write16(0x2c, options.subsystem?.vendor ?? 0);
    config.write16(0x2e, options.subsystem?.device ?? 0);
    checkRange('fake function', 'interrupt pin', options.interruptPin ?? 0, 0, 4);
    config.write8(0x3d, options.interruptPin ?? 0);
    this.#writable.set([0x47, 0x05], 0x04);
    this.#writable[0x3c] = 0xff;
    let index = 0;
    for (const bar of this.#bars) {
      if (!isPowerOfTwo(bar.sizeBytes) || bar.sizeBytes < 16 || bar.sizeBytes > MOST_BYTES) {
        throw new Errno('EINVAL', `fake BAR ${index}: ${bar.sizeBytes} bytes are not a power of two of 16 to ${MOST_BYTES}`);
      }
      const at = 0x10 + 4 * index;
      const kind = bar.kind ?? 'mem32';
      if (index + (kind === 'mem64' ? 2 : 1) > BARS)
        throw new Errno('ENOSPC', `fake BAR ${index}: a header has ${BARS} registers`);
      config.write32(at, kind === 'io' ? 1 : kind === 'mem64' ? 4 : 0);
      const mask = (-bar.sizeBytes >>> 0) & ~(kind === 'io' ? 3 : 15);
      new DataView(this.#writable.buffer).setUint32(at, mask >>> 0, true);
      if (kind === 'mem64') this.#writable.fill(0xff, at + 4, at + 8);
      this.#windows[index] = bar.window ?? new BufferWindow(bar.sizeBytes);
      index += kind === 'mem64' ? 2 : 1;
    }
    this.#addCapabilities();
  }

  /** The test-side door to what is behind BAR `index`. @throws {Errno} ENOENT when there is no such BAR */
  bar(index: number): Window {
    const window = this.#windows[index];
    if (window === undefined) throw new Errno('ENOENT', `fake function: has no BAR ${index}`);
    return window;
  }

  /** The BAR as plain memory. @throws {Errno} EINVAL when it was given a window of its own */
  memory(index: number): Uint8Array {
    const window = this.bar(index);
    if (!(window instanceof BufferWindow)) throw new Errno('EINVAL', `fake function: BAR ${index} is not plain memory`);
    return window.bytes;
  }

  /** Configuration space as software sees it: only what the specification lets it write is written. @internal */
  readonly port: Window = {
    sizeBytes: 256,
    read8: (offset) => this.config.read8(offset),
    read16: (offset) => this.config.read16(offset),
    read32: (offset) => this.config.read32(offset),
    read64: (offset, out) => this.config.read64(offset, out),
    write8: (offset, value) => this.#write(offset, value, 1),
    write16: (offset, value) => this.#write(offset, value, 2),
    write32: (offset, value) => this.#write(offset, value, 4),
    write64: (offset, lo, hi) => {
      this.#write(offset, lo, 4);
      this.#write(offset + 4, hi, 4);
    },
  };

  /** What answers at a bus address, and how far into it; undefined when nothing decodes it. @internal */
  decode(kind: 'io' | 'mem', address: number): { window: Window; offset: number } | undefined {
    const command = this.config.read16(0x04);
    if ((command & (kind === 'io' ? 1 : 2)) === 0) return undefined;
    for (const [index, window] of this.#windows.entries()) {
      if (window === undefined) continue;
      const low = this.config.read32(0x10 + 4 * index);
      const isIo = (low & 1) === 1;
      if (isIo !== (kind === 'io')) continue;
      const high = !isIo && (low & 6) === 4 ? this.config.read32(0x14 + 4 * index) : 0;
      const base = high * 2 ** 32 + ((low & ~(isIo ? 3 : 15)) >>> 0);
      if (address >= base && address < base + window.sizeBytes) return { window, offset: address - base };
    }
    return undefined;
  }

  #write(offset: number, value: number, bytes: number): void {
    for (let i = 0; i < bytes; i++) {
      const mask = this.#writable[offset + i] ?? 0;
      const old = this.config.read8(offset + i);
      this.config.write8(offset + i, (old & ~mask) | ((value >>> (8 * i)) & mask));
    }
  }

  #addCapabilities(): void {
    let at = 0x40;
    let link = 0x34;
    for (const { id, body } of this.options.capabilities ?? []) {
      if (at + 2 + body.length > 256) throw new Errno('ENOSPC', 'fake function: its capabilities do not fit 256 bytes');
      this.config.write8(link, at);
      this.config.write8(at, id);
      for (const [i, byte] of body.entries()) this.config.write8(at + 2 + i, byte);
      link = at + 1;
      at = (at + 2 + body.length + 3) & ~3;
    }
    if (at > 0x40) this.config.write16(0x06, 0x10);
  }
}

/** Registers behind a BAR: `regs(0x1000, [STATUS, CTRL])` is a `RegisterFile` to be given as a BAR's window. */
export function fakeRegisters(sizeBytes: number, regs: ConstructorParameters<typeof RegisterFile>[0]): RegisterFile {
  return new RegisterFile(regs, sizeBytes);
}

/** A host bridge with one bus of fake functions. @internal */
export class FakePciRoot implements PciRoot {
  readonly segment = 0;
  readonly firstBus = 0;
  readonly lastBus = 0;
  readonly apertures: readonly PciAperture[] = [
    { kind: 'mem', base: 0xe000_0000, limit: 0xefff_ffff },
    { kind: 'prefetch', base: 0x80_0000_0000, limit: 0xff_ffff_ffff },
    { kind: 'io', base: 0xc000, limit: 0xffff },
  ];
  readonly #slots = new Map<number, FakePciFunction>();
  readonly #hotplug = new Signal<[PciHotplugEvent]>();

  constructor(functions: readonly FakePciFunction[]) {
    if (functions.length > SLOTS) throw new Errno('ENOSPC', `fake: ${functions.length} functions on a bus of ${SLOTS}`);
    for (const [index, fn] of functions.entries()) this.#slots.set(devfn(index + 1, 0), fn);
  }

  config(bus: number, at: number): Window {
    return (bus === 0 ? this.#slots.get(at)?.port : undefined) ?? ABSENT;
  }

  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    return new RoutedWindow(this.#slots, kind, address, sizeBytes);
  }

  irqLine(at: number, pin: number): number {
    return 16 + (((at >> 3) + pin - 1) & 3);
  }

  onHotplug(listener: (event: PciHotplugEvent) => void): Subscription {
    return this.#hotplug.on(listener);
  }
}

/** Finds at each access what decodes the address, as a bus does. */
class RoutedWindow implements Window {
  constructor(
    readonly slots: ReadonlyMap<number, FakePciFunction>,
    readonly kind: 'io' | 'mem',
    readonly address: number,
    readonly sizeBytes: number,
  ) {}

  #at<R>(offset: number, use: (window: Window, at: number) => R): R {
    if (offset >= 0 && offset < this.sizeBytes) {
      for (const fn of this.slots.values()) {
        const hit = fn.decode(this.kind, this.address + offset);
        if (hit !== undefined) return use(hit.window, hit.offset);
      }
    }
    return use(ABSENT, 0);
  }

  read8(offset: number): number {
    return this.#at(offset, (w, at) => w.read8(at));
  }
  read16(offset: number): number {
    return this.#at(offset, (w, at) => w.read16(at));
  }
  read32(offset: number): number {
    return this.#at(offset, (w, at) => w.read32(at));
  }
  read64(offset: number, out: Uint32Array): void {
    this.#at(offset, (w, at) => w.read64(at, out));
  }
  write8(offset: number, value: number): void {
    this.#at(offset, (w, at) => w.write8(at, value));
  }
  write16(offset: number, value: number): void {
    this.#at(offset, (w, at) => w.write16(at, value));
  }
  write32(offset: number, value: number): void {
    this.#at(offset, (w, at) => w.write32(at, value));
  }
  write64(offset: number, lo: number, hi: number): void {
    this.#at(offset, (w, at) => w.write64(at, lo, hi));
  }
}
