import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Errno } from '../core/lib/errno.js';

/** What is exported by a module, by name. */
export type Exports = Readonly<Record<string, unknown>>;

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts']);
const LOADER = '@oxc-node/core';
/** Names the `tsconfig.json` to the loader; by itself it looks for one beside each file and above. */
const LOADER_TSCONFIG = 'OXC_TSCONFIG_PATH';

let hasLoader = false;
let imports = 0;

/**
 * Lets TypeScript files be imported, those of decorators too: only when one is named, since the loader is optional and slow to start.
 * @param file where the first one is: without a `tsconfig.json` there or above, ours is used, which has decorators on
 * @throws {Errno} ENOENT when the loader is not installed
 */
async function registerLoader(file: string): Promise<void> {
  if (hasLoader) return;
  if (!hasTsconfig(dirname(file))) {
    process.env[LOADER_TSCONFIG] ??= fileURLToPath(new URL('../../cli/typescript.json', import.meta.url));
  }
  try {
    await import(`${LOADER}/register`);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Errno('ENOENT', `${file}: TypeScript needs ${LOADER}: npm install --save-dev ${LOADER}`, { cause: error });
  }
  hasLoader = true;
}

function hasTsconfig(dir: string): boolean {
  return existsSync(join(dir, 'tsconfig.json')) || (dirname(dir) !== dir && hasTsconfig(dirname(dir)));
}

/**
 * Imports a JavaScript or TypeScript file, or reads a JSON file as the default export of one.
 * @param isFresh import it anew even if it was before; what it imports itself is not
 * @throws {Errno} ENOENT when it, or what its kind needs, is missing; EINVAL when it is no JSON, or cannot be translated
 */
export async function importFile(path: string, isFresh = false): Promise<Exports> {
  if (!existsSync(path)) throw new Errno('ENOENT', `${path}: no such file`);
  if (extname(path) === '.json') {
    try {
      return { default: JSON.parse(readFileSync(path, 'utf8')) as unknown };
    } catch (error) {
      throw new Errno('EINVAL', `${path}: ${(error as Error).message}`, { cause: error });
    }
  }
  if (TYPESCRIPT.has(extname(path))) await registerLoader(path);
  const url = pathToFileURL(path);
  if (isFresh) url.searchParams.set('fresh', String(++imports));
  try {
    return (await import(url.href)) as Exports;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    if (code === 'GenericFailure') throw new Errno('EINVAL', `${path}: ${message.split('\n')[0]}`, { cause: error });
    if (code === 'ERR_MODULE_NOT_FOUND') throw new Errno('ENOENT', `${path}: ${message}`, { cause: error });
    throw error;
  }
}

/** A module of Backplane's own: `plugins/edu`. Undefined when there is none. */
export function ownModule(name: string): string | undefined {
  const path = fileURLToPath(new URL(`../${name}.js`, import.meta.url));
  return existsSync(path) ? path : undefined;
}

/**
 * The file that a plugin or program is in, by what somebody wrote: a path, a name of ours, or a package.
 * @param from directory that paths start at, and packages are looked for from
 * @param own where names of ours are: `plugins`
 * @throws {Errno} ENOENT when it is none of these
 */
export function findModule(wanted: string, from: string, own: 'plugins' | 'samples'): string {
  const path = resolve(from, wanted);
  if (/^\.{0,2}\//.test(wanted) || (extname(wanted) !== '' && existsSync(path))) {
    if (!existsSync(path)) throw new Errno('ENOENT', `${path}: no such file`);
    return path;
  }
  const ours = /^[a-z][a-z0-9-]*$/.test(wanted) ? ownModule(`${own}/${wanted}`) : undefined;
  if (ours !== undefined) return ours;
  try {
    return createRequire(join(from, 'backplane')).resolve(wanted);
  } catch (error) {
    throw new Errno('ENOENT', `${wanted}: no file, no package in ${from}, and nothing of ours in ${own}/`, { cause: error });
  }
}
