import { hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import type { Subscription } from '../lib/signal.js';
import type { Window } from './window.js';

/** Device and function of a bus as one byte: device in bits 7:3, function in bits 2:0. */
export function devfn(device: number, fn: number): number {
  return (device << 3) | fn;
}

/** `0000:00:05.0`: segment, bus, device and function as Linux writes them. */
export function formatBdf(segment: number, bus: number, devfn: number): string {
  return `${hex(segment, 4)}:${hex(bus, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`;
}

/**
 * Reads `0000:00:05.0` or `00:05.0`.
 * @throws {Errno} EINVAL when it is neither
 */
export function parseBdf(text: string): { segment: number; bus: number; devfn: number } {
  const m = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(text);
  if (m === null) throw new Errno('EINVAL', `${text}: not a PCI address such as 0000:00:05.0`);
  return {
    segment: Number.parseInt(m[1] ?? '0', 16),
    bus: Number.parseInt(m[2]!, 16),
    devfn: devfn(Number.parseInt(m[3]!, 16), Number(m[4])),
  };
}

/** A range of bus addresses that the root decodes and hands down to the devices below it. */
export interface PciAperture {
  readonly kind: 'io' | 'mem' | 'prefetch';
  readonly base: number;
  /** Last address, included. */
  readonly limit: number;
}

/** What happened below a root port: a function came (hot add), or is gone without warning (surprise removal). */
export interface PciHotplugEvent {
  readonly action: 'added' | 'removed';
  readonly bus: number;
  readonly devfn: number;
}

/**
 * A PCI host bridge as the core sees it: configuration space by bus and function, and address ranges to hand out.
 *
 * Nothing behind it is configured: bus numbers, bridge windows and BARs are the core's to assign.
 * @see PCI Express Base Specification 5.0, 7.2 (configuration access)
 */
export interface PciRoot {
  readonly segment: number;
  readonly firstBus: number;
  readonly lastBus: number;
  readonly apertures: readonly PciAperture[];
  /**
   * The configuration space of one function: 4096 bytes, or 256 where the host has no extended access. Valid for as long as
   * the host runs, and also for functions that are not there: those read all ones.
   */
  config(bus: number, devfn: number): Window;
  /** A window on `sizeBytes` of memory or I/O space from the bus address `address` on. */
  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window;
  /** The interrupt line that a pin (1 to 4) of a device on the first bus is wired to; undefined when it is to none. */
  irqLine?(devfn: number, pin: number): number | undefined;
  /** Tells of functions that come and go while the host runs. */
  onHotplug(listener: (event: PciHotplugEvent) => void): Subscription;
}

/** One function of a PCI device, by place: what a bus hands to a driver's device. */
export interface PciFunction {
  readonly root: PciRoot;
  readonly bus: number;
  readonly devfn: number;
  readonly config: Window;
}
