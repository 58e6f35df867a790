import process from 'node:process';
import type { Program } from './command.js';
import { interruption } from './interrupt.js';
import { LocalTarget } from './local.js';
import { Out } from './out.js';
import { listen } from './server.js';
import { readSetup } from './setup.js';
import { socketPath } from './socket-path.js';

/** Keeps a system running until it is interrupted, and lets other processes of the same user talk to it. */
export async function up({ flags, io, cwd, signal, commands }: Program): Promise<number> {
  const socket = socketPath(flags.value('socket'), cwd);
  const target = await LocalTarget.start(await readSetup(flags, cwd), commands.system);
  try {
    const listener = await listen(target, socket);
    try {
      new Out(io).show({ socket, pid: process.pid }, () => [`listening on ${socket}`]);
      await interruption(signal);
    } finally {
      await listener.close();
    }
  } catch (error) {
    await target.close(io);
    throw error;
  }
  return target.close(io);
}
