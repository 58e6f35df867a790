import type { Plugin } from '../core/index.js';
import { Errno } from '../core/lib/errno.js';
import { MAX_CPUS } from './args.js';

/** What interrupts the simulated machine has. */
export const INTERRUPT_PLATFORMS = ['remapped', 'plain', 'virtual', 'none'] as const;
export type InterruptPlatform = (typeof INTERRUPT_PLATFORMS)[number];

/** What a system is put together from: the content of `backplane.config.ts`, `.js` or `.json`. */
export interface Config {
  /** Where the hardware is: `sim` (default), `qtest`, or a plugin that binds `Host`. */
  readonly host?: 'sim' | 'qtest' | Plugin;
  /**
   * Devices of the machine: on `sim` the name of a model, and where it is to be, `edu` or `edu@00:05.0`; on `qtest` what
   * follows QEMU's `-device`, `edu,addr=4`.
   */
  readonly devices?: readonly string[];
  /** Plugins: themselves, paths from the configuration's directory, names of packages, or of those that come with Backplane. */
  readonly plugins?: readonly (string | Plugin)[];
  /** Source of all randomness: a whole number of 0 to 2^32 - 1, default 1. */
  readonly seed?: number;
  /** CPUs of the simulated machine, 1 to 1,024; default 1. */
  readonly cpus?: number;
  /** How its devices interrupt; default `remapped`. See `MachineOptions.interrupts`. */
  readonly interrupts?: InterruptPlatform;
}

/** Gives back `config`, with its type: `export default defineConfig({ host: 'sim', devices: ['edu'], plugins: ['edu'] })`. */
export function defineConfig(config: Config): Config {
  return config;
}

/** What is there when nothing is said: a machine with something in it to look at. */
export const DEFAULT_CONFIG: Config = { host: 'sim', devices: ['edu'], plugins: ['edu'] };

/** A value as a message shows it. */
function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return `an object with ${Object.keys(value).join(', ') || 'nothing'}`;
  return JSON.stringify(value) ?? String(value);
}

type Check = (value: unknown, at: string, isPlugin: (value: unknown) => boolean) => void;

/**
 * Holds a configuration to its form.
 * @param from named in errors: its path
 * @param isPlugin whether a value is a plugin of this Backplane
 * @throws {Errno} EINVAL with the path within the configuration, what is wanted there and what was got
 */
export function checkConfig(value: unknown, from: string, isPlugin: (value: unknown) => boolean): Config {
  const wrong = (at: string, wanted: string, got: unknown): Errno =>
    new Errno('EINVAL', `${from}: ${at === '' ? '' : `${at}: `}wanted ${wanted}, got ${show(got)}`);
  const each =
    (wanted: string, one: Check): Check =>
    (list, at) => {
      if (!Array.isArray(list)) throw wrong(at, `a list of ${wanted}`, list);
      for (const [i, item] of list.entries()) one(item, `${at}[${i}]`, isPlugin);
    };
  const isName = (name: unknown): boolean => typeof name === 'string' && name !== '';
  const checks: Readonly<Record<keyof Config, Check>> = {
    host: (host, at) => {
      if (host !== 'sim' && host !== 'qtest' && !isPlugin(host))
        throw wrong(at, "'sim', 'qtest' or a plugin that binds Host", host);
    },
    devices: each('names of devices', (device, at) => {
      if (!isName(device)) throw wrong(at, 'the name of a device', device);
    }),
    plugins: each('plugins', (plugin, at) => {
      if (!isName(plugin) && !isPlugin(plugin)) throw wrong(at, 'a plugin, or its path or name', plugin);
    }),
    seed: (seed, at) => {
      if (!(Number.isInteger(seed) && Number(seed) >= 0 && Number(seed) < 2 ** 32)) {
        throw wrong(at, 'a whole number of 0 to 4294967295', seed);
      }
    },
    cpus: (cpus, at) => {
      if (!(Number.isInteger(cpus) && Number(cpus) >= 1 && Number(cpus) <= MAX_CPUS)) {
        throw wrong(at, `a whole number of 1 to ${MAX_CPUS}`, cpus);
      }
    },
    interrupts: (platform, at) => {
      if (!INTERRUPT_PLATFORMS.some((one) => one === platform))
        throw wrong(at, `one of ${INTERRUPT_PLATFORMS.join(', ')}`, platform);
    },
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('', 'an object', value);
  for (const [key, item] of Object.entries(value)) {
    if (!Object.hasOwn(checks, key)) throw wrong(key, `one of ${Object.keys(checks).join(', ')}`, item);
    if (item !== undefined) checks[key as keyof Config](item, key, isPlugin);
  }
  return value;
}
