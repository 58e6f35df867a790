import { lstatSync, mkdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { Errno } from '../core/lib/errno.js';

/** Bytes of a socket's path at most, without the final zero. @see Linux 6.12 include/uapi/linux/un.h */
const PATH_BYTES = 107;

/** Where a system listens that was not told where. */
export function defaultSocket(): string {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const own =
    runtime === undefined || runtime === '' ? join(tmpdir(), `backplane-${process.getuid!()}`) : join(runtime, 'backplane');
  return join(own, 'default.sock');
}

/** @throws {Errno} ENAMETOOLONG for a path that no socket can have */
export function socketPath(given: string | undefined, cwd: string): string {
  const path = given === undefined ? defaultSocket() : resolve(cwd, given);
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES) {
    throw new Errno(
      'ENAMETOOLONG',
      `${path}: ${bytes} bytes, a socket's path has at most ${PATH_BYTES}: give a shorter --socket`,
    );
  }
  return path;
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

function lstat(path: string) {
  return lstatSync(path, { throwIfNoEntry: false });
}

/**
 * Holds the directory of a socket to what makes it ours alone.
 * @returns whether it is there
 * @throws {Errno} EPERM when it is a link, belongs to somebody else, or others may do something in it
 */
function checkDirectory(dir: string): boolean {
  const found = lstat(dir);
  if (found === undefined) return false;
  const remedy = 'give a --socket in a directory that only you can enter';
  if (!found.isDirectory()) throw new Errno('EPERM', `${dir}: is not a directory, or a link to one: ${remedy}`);
  if (found.uid !== process.getuid!()) throw new Errno('EPERM', `${dir}: belongs to user ${found.uid}: ${remedy}`);
  const mode = found.mode & 0o777;
  if ((mode & 0o077) !== 0) throw new Errno('EPERM', `${dir}: has mode 0${mode.toString(8)}, must be 0700: ${remedy}`);
  return true;
}

/**
 * Makes sure that nothing is at `path`, and that its directory is there and ours.
 *
 * A directory that is missing is made. A socket that nobody listens on is what a killed system has left; it is removed.
 * @returns removes the directory again, if it was made and is empty
 * @throws {Errno} EPERM for a directory that is not ours alone; EADDRINUSE when a system listens; EEXIST for another file
 */
export async function claimSocket(path: string): Promise<() => void> {
  const dir = dirname(path);
  if (!checkDirectory(dir)) {
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) === 'ENOENT')
        throw new Errno('ENOENT', `${dir}: its parent directory is missing: make it`, { cause: error });
      if (codeOf(error) !== 'EEXIST') throw new Errno('EACCES', `${dir}: cannot be made`, { cause: error });
    }
    checkDirectory(dir);
  }
  const found = lstat(path);
  if (found !== undefined) {
    if (!found.isSocket()) throw new Errno('EEXIST', `${path}: is there and no socket: remove it`);
    if (await listens(path)) throw new Errno('EADDRINUSE', `${path}: a system listens there already: stop it, or give --socket`);
    unlinkSync(path);
  }
  return () => {
    try {
      rmdirSync(dir);
    } catch {
      // Another system has its socket there.
    }
  };
}

/** Whether there is a socket that we may talk to. @throws {Errno} EPERM when its directory is not ours alone */
export async function findSocket(path: string): Promise<boolean> {
  return checkDirectory(dirname(path)) && lstat(path)?.isSocket() === true && (await listens(path));
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
