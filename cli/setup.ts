import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Plugin } from '../core/index.js';
import { Errno } from '../core/lib/errno.js';
import { type Args, cpusOf, seedOf } from './args.js';
import { type Config, DEFAULT_CONFIG, INTERRUPT_PLATFORMS, checkConfig } from './config.js';
import { hostPlugin } from './host.js';
import { findModule, importFile } from './load.js';
import { UsageError } from './usage-error.js';

const CONFIG_FILES = ['backplane.config.ts', 'backplane.config.js', 'backplane.config.json'];

/** A plugin and the file it came from, if it came from one. */
export interface Loaded {
  readonly plugin: Plugin;
  readonly path?: string;
}

/** What a system is started with. */
export interface Setup {
  /** The host is the first. */
  readonly plugins: readonly Loaded[];
}

const isPlugin = (value: unknown): boolean => value instanceof Plugin;

/**
 * Loads the plugin that a file exports as its default.
 * @param wanted a path, a package, or a name of ours
 * @throws {Errno} ENOENT when there is none; EINVAL when what it exports is no plugin
 */
export async function loadPlugin(wanted: string, from: string, isFresh = false): Promise<Loaded> {
  const path = findModule(wanted, from, 'plugins');
  const plugin = (await importFile(path, isFresh))['default'];
  if (plugin instanceof Plugin) return { plugin, path };
  const isOther = typeof plugin === 'object' && plugin?.constructor.name === 'Plugin';
  const what = isOther ? 'is a Plugin of another copy of Backplane' : `is ${plugin === undefined ? 'missing' : 'no Plugin'}`;
  throw new Errno('EINVAL', `${path}: its default export ${what}: export default new Plugin(name, bindings)`);
}

/**
 * Reads the configuration: the file that `--config` names or that is in `cwd`, with what the other flags say in its place; without
 * any of these, a machine with something in it.
 * @throws {Errno} EINVAL for a wrong configuration, with path, wanted and got; ENOENT for what is missing
 */
export async function readSetup(flags: Args, cwd: string): Promise<Setup> {
  const named = flags.value('config');
  const file = named === undefined ? CONFIG_FILES.map((name) => join(cwd, name)).find(existsSync) : resolve(cwd, named);
  const said = fromFlags(flags, cwd);
  if (file === undefined) {
    const isSilent = said.host === undefined && said.devices === undefined && said.plugins === undefined;
    return assemble({ ...(isSilent && DEFAULT_CONFIG), ...said }, cwd);
  }
  const exported = await importFile(file);
  return assemble({ ...checkConfig(exported['default'], file, isPlugin), ...said }, dirname(file));
}

/** @throws {UsageError} for a value that cannot be */
function fromFlags(flags: Args, cwd: string): Config {
  const host = flags.value('host');
  if (host !== undefined && host !== 'sim' && host !== 'qtest') throw new UsageError(`--host is sim or qtest, got '${host}'`);
  const devices = flags.values('device');
  // A path given here starts at the caller, wherever the configuration is.
  const plugins = flags.values('plugin').map((wanted) => (wanted.startsWith('.') ? resolve(cwd, wanted) : wanted));
  const seed = seedOf(flags);
  const cpus = cpusOf(flags);
  const how = flags.value('interrupts');
  const interrupts = INTERRUPT_PLATFORMS.find((one) => one === how);
  if (how !== undefined && interrupts === undefined) {
    throw new UsageError(`--interrupts is ${INTERRUPT_PLATFORMS.join(', ')}, got '${how}'`);
  }
  return {
    ...(host !== undefined && { host }),
    ...(devices.length > 0 && { devices }),
    ...(plugins.length > 0 && { plugins }),
    ...(seed !== undefined && { seed }),
    ...(cpus !== undefined && { cpus }),
    ...(interrupts !== undefined && { interrupts }),
  };
}

async function assemble(config: Config, dir: string): Promise<Setup> {
  const plugins: Loaded[] = [{ plugin: await hostPlugin(config) }];
  for (const wanted of config.plugins ?? []) {
    plugins.push(typeof wanted === 'string' ? await loadPlugin(wanted, dir) : { plugin: wanted });
  }
  return { plugins };
}
