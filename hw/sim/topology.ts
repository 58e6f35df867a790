import { type PciAperture, devfn, parseBdf } from '../../core/hal/index.js';
import { Errno } from '../../core/lib/index.js';
import { type BridgeConfig, type BridgeOptions, type PciModel, type PlatformModel, bridge } from '../endpoint/index.js';

/** A PCI function and the model in it. */
export interface PciSpec {
  /** On a root bus `00:04.0` or `0000:00:04.0`; below a bridge device and function alone, `00.0`. */
  readonly at: string;
  readonly model: PciModel;
}

/** A bridge and what is below it. */
export interface BridgeSpec {
  /** As {@link PciSpec.at}. */
  readonly at: string;
  readonly bridge: BridgeOptions | BridgeConfig;
  readonly children?: readonly (PciSpec | BridgeSpec)[];
}

/** A device at a fixed physical address. */
export interface PlatformSpec {
  /** First address, a multiple of 4 outside memory. */
  readonly at: number;
  readonly model: PlatformModel;
  /** The input of the I/O APIC that its interrupt line is wired to; default none. */
  readonly line?: number;
}

/** One device of a machine, as data. */
export type DeviceSpec = PciSpec | BridgeSpec | PlatformSpec;

/** A PCI host bridge. */
export interface RootSpec {
  /** Default 0. */
  readonly segment?: number;
  /** Default 0. */
  readonly firstBus?: number;
  /** Default 255. */
  readonly lastBus?: number;
  /** Default an equal share of {@link DEFAULT_APERTURES}; roots must not share addresses. */
  readonly apertures?: readonly PciAperture[];
}

/** What the roots hand out unless told otherwise: 60 KiB of I/O ports, 1,000 MiB below 4 GiB, 512 GiB above memory. */
export const DEFAULT_APERTURES: readonly PciAperture[] = [
  { kind: 'io', base: 0x1000, limit: 0xffff },
  { kind: 'mem', base: 0xc000_0000, limit: 0xfe7f_ffff },
  { kind: 'prefetch', base: 2 ** 41, limit: 2 ** 41 + 2 ** 39 - 1 },
];

/** The share of root `index` of `count` in the default apertures: whole MiB of memory, whole 4 KiB of I/O. */
export function defaultApertures(index: number, count: number): PciAperture[] {
  return DEFAULT_APERTURES.map(({ kind, base, limit }) => {
    const unit = kind === 'io' ? 2 ** 12 : 2 ** 20;
    const share = Math.floor((limit + 1 - base) / unit / count) * unit;
    return { kind, base: base + index * share, limit: base + (index + 1) * share - 1 };
  });
}

/** The bridge that a specification declares. */
export function bridgeConfig(spec: BridgeSpec): BridgeConfig {
  return 'classCode' in spec.bridge ? spec.bridge : bridge(spec.bridge);
}

/** A place in the topology, independent of the bus numbers that software gives. */
export interface Place {
  readonly segment: number;
  readonly bus: number;
  /** From the root bus downwards: device and function on each bus. */
  readonly path: readonly number[];
}

/**
 * Reads `00:04.0`, or `00:1c.0/00.0`: device 0 on the bus below the bridge `00:1c.0`.
 * @throws {Errno} EINVAL when it is neither
 */
export function parsePlace(text: string): Place {
  const [first, ...rest] = text.split('/');
  const { segment, bus, devfn: own } = parseBdf(first!);
  return { segment, bus, path: [own, ...rest.map((part) => parseDevfn(part, text))] };
}

/** Reads `1f.7`: device and function. */
export function parseDevfn(text: string, who = text): number {
  const m = /^([01][0-9a-f])\.([0-7])$/i.exec(text);
  if (m === null) throw new Errno('EINVAL', `${who}: ${text} is not a device and function such as 00.0`);
  return devfn(Number.parseInt(m[1]!, 16), Number(m[2]));
}
