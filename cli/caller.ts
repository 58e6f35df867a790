import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Caller, ERRNO, Errno, type ErrnoCode } from '../core/index.js';

/** Who calls a command of a plugin: his files are meant from `cwd`. */
export function callerAt(cwd: string, json: boolean): Caller {
  return {
    json,
    readFile: (path) => withFile(resolve(cwd, path), (file) => readFileSync(file, 'utf8')),
    writeFile: (path, text) => withFile(resolve(cwd, path), (file) => writeFileSync(file, text)),
  };
}

/** @throws {Errno} of the code that the system gave, EIO for one that is none of ours */
function withFile<T>(file: string, use: (file: string) => T): T {
  try {
    return use(file);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new Errno(Object.hasOwn(ERRNO, code) ? (code as ErrnoCode) : 'EIO', `${file}: ${message}`, { cause: error });
  }
}
