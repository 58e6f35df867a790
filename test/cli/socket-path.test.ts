import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { type Server, createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { claimSocket, findSocket, socketPath } from '../../cli/socket-path.js';
import { TempDir } from '../helpers/temp-dir.js';

const listening = (path: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer().listen(path, () => resolve(server));
  });

/** Leaves a socket as a process does that is killed. */
function abandon(path: string): void {
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', code]);
}

describe('claimSocket', () => {
  test('makes the directory for its owner alone, and takes it away again', async () => {
    using dir = new TempDir();
    const release = await claimSocket(join(dir.path, 'new/a.sock'));
    expect(lstatSync(join(dir.path, 'new')).mode & 0o777).toBe(0o700);
    release();
    expect(dir.names).toEqual([]);
  });
  test('refuses a directory that others may enter', async () => {
    using dir = new TempDir();
    chmodSync(dir.path, 0o750);
    await expect(claimSocket(join(dir.path, 'a.sock'))).rejects.toThrow(`EPERM: ${dir.path}: has mode 0750, must be 0700`);
  });
  test('refuses a link to a directory', async () => {
    using dir = new TempDir();
    mkdirSync(join(dir.path, 'real'), { mode: 0o700 });
    symlinkSync(join(dir.path, 'real'), join(dir.path, 'link'));
    await expect(claimSocket(join(dir.path, 'link/a.sock'))).rejects.toThrow('EPERM');
  });
  test('refuses the directory of somebody else', async () => {
    using dir = new TempDir();
    const isRoot = process.getuid!() === 0;
    if (isRoot) chownSync(dir.path, 1, 1);
    const path = isRoot ? dir.path : '/';
    await expect(claimSocket(join(path, 'a.sock'))).rejects.toThrow(`EPERM: ${path}: belongs to user ${isRoot ? 1 : 0}`);
  });
  test('refuses a file that is no socket, and leaves it', async () => {
    using dir = new TempDir();
    writeFileSync(join(dir.path, 'a.sock'), 'mine');
    await expect(claimSocket(join(dir.path, 'a.sock'))).rejects.toThrow('EEXIST');
    expect(dir.names).toEqual(['a.sock']);
  });
  test('refuses a socket that somebody listens on', async () => {
    using dir = new TempDir();
    const path = join(dir.path, 'a.sock');
    const server = await listening(path);
    await expect(claimSocket(path)).rejects.toThrow(`EADDRINUSE: ${path}`);
    server.close();
  });
  test('removes a socket that a killed process has left', async () => {
    using dir = new TempDir();
    const path = join(dir.path, 'a.sock');
    abandon(path);
    expect(dir.names).toEqual(['a.sock']);
    await claimSocket(path);
    expect(dir.names).toEqual([]);
  });
});

describe('findSocket', () => {
  test('tells one that somebody listens on from one that was left, and from none', async () => {
    using dir = new TempDir();
    const path = join(dir.path, 'a.sock');
    const server = await listening(path);
    abandon(join(dir.path, 'b.sock'));
    expect(await findSocket(path)).toBe(true);
    expect(await findSocket(join(dir.path, 'b.sock'))).toBe(false);
    expect(await findSocket(join(dir.path, 'c.sock'))).toBe(false);
    expect(await findSocket(join(dir.path, 'none/c.sock'))).toBe(false);
    server.close();
  });
  test('does not talk to a socket where others may have put theirs', async () => {
    using dir = new TempDir();
    chmodSync(dir.path, 0o777);
    await expect(findSocket(join(dir.path, 'a.sock'))).rejects.toThrow('EPERM');
  });
});

test('a path that no socket can have is refused with its length', () => {
  expect(() => socketPath('x'.repeat(108), '/')).toThrow('ENAMETOOLONG');
});
