import { type Socket, createConnection } from 'node:net';
import { Errno } from '../core/lib/errno.js';
import { LineReader, type Reply, encodeRequest } from './protocol.js';
import { OK } from './report.js';
import type { Call, Target } from './target.js';

/** The system behind a socket. */
export class RemoteTarget implements Target {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws {Errno} ECONNREFUSED when nobody listens; ECONNRESET when the system ends meanwhile; EINTR */
  run(argv: readonly string[], { io, cwd, signal }: Call): Promise<number> {
    const request = encodeRequest({ argv, cwd, json: io.json, colour: io.colour });
    const lines = new LineReader();
    return new Promise((resolve, reject) => {
      const socket: Socket = createConnection(this.#path, () => socket.write(request));
      const interrupt = (): void => {
        socket.destroy();
        reject(new Errno('EINTR', `${argv[0]}: interrupted`));
      };
      if (signal.aborted) interrupt();
      signal.addEventListener('abort', interrupt);
      socket.setEncoding('utf8');
      socket.on('data', (piece: string) => {
        for (const line of lines.push(piece)) {
          const reply = JSON.parse(line) as Reply;
          if ('out' in reply) io.out(reply.out);
          else if ('err' in reply) io.err(reply.err);
          else {
            resolve(reply.exit);
            socket.end();
          }
        }
      });
      socket.on('error', (error) => {
        reject(
          new Errno('ECONNREFUSED', `${this.#path}: ${error.message}: start a system with 'backplane up'`, { cause: error }),
        );
      });
      socket.once('close', () => {
        signal.removeEventListener('abort', interrupt);
        reject(new Errno('ECONNRESET', `${this.#path}: the system has ended`));
      });
    });
  }

  async close(): Promise<number> {
    return OK;
  }
}
