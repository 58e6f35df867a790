import { type Server, type Socket, createServer } from 'node:net';
import process from 'node:process';
import { Errno } from '../core/lib/errno.js';
import { LineReader, REQUEST_LIMIT, type Reply, decodeRequest, encodeReply } from './protocol.js';
import { USAGE, report } from './report.js';
import { claimSocket } from './socket-path.js';
import type { Target } from './target.js';

/** A system that other processes of the same user talk to. */
export interface Listener {
  /** Stops listening, and closes the connections once their running commands are over. */
  close(): Promise<void>;
}

/**
 * Serves a system on a UNIX socket that only its owner can use.
 * @throws {Errno} EADDRINUSE when a system listens there; EPERM, EEXIST, ENOENT for a path that is not safe
 */
export async function listen(target: Target, path: string): Promise<Listener> {
  const removeDirectory = await claimSocket(path);
  const sockets = new Set<Socket>();
  const calls = new Set<Promise<void>>();
  const ending = new AbortController();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serve(target, socket, ending.signal, (call) => {
      calls.add(call);
      void call.finally(() => calls.delete(call));
    });
  });
  try {
    await open(server, path);
  } catch (error) {
    removeDirectory();
    throw error;
  }
  return {
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      ending.abort();
      await Promise.all(calls);
      for (const socket of sockets) socket.end(() => socket.destroy());
      await closed;
      removeDirectory();
    },
  };
}

function open(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(new Errno(taken ? 'EADDRINUSE' : 'EACCES', `${path}: ${error.message}`, { cause: error }));
    });
    // The mode of the socket is right from its first moment.
    const mask = process.umask(0o177);
    server.listen(path, resolve);
    process.umask(mask);
  });
}

function serve(target: Target, socket: Socket, ending: AbortSignal, track: (call: Promise<void>) => void): void {
  const lines = new LineReader(REQUEST_LIMIT);
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, ending]);
  const reply = (message: Reply): void => {
    if (socket.writable) socket.write(encodeReply(message));
  };
  const texts = { out: (out: string) => reply({ out }), err: (err: string) => reply({ err }) };
  const refuse = (error: unknown): void => {
    report(error, { ...texts, json: false, colour: false });
    reply({ exit: USAGE });
    socket.end();
  };
  const run = async (line: string): Promise<void> => {
    try {
      const { argv, cwd, ...how } = decodeRequest(line);
      reply({ exit: await target.run(argv, { io: { ...texts, ...how }, cwd, signal }) });
    } catch (error) {
      refuse(error);
    }
  };
  socket.setEncoding('utf8');
  socket.on('data', (piece: string) => {
    try {
      for (const line of lines.push(piece)) track(run(line));
    } catch (error) {
      socket.pause();
      refuse(error);
    }
  });
  socket.once('close', () => gone.abort());
  // A caller that is killed closes its end without a word.
  socket.on('error', () => socket.destroy());
}
