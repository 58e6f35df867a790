import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { checkRange } from '../../core/lib/bits.js';
import { Errno, describeError } from '../../core/lib/errno.js';
import type { Wire, WirePort } from '../endpoint/index.js';

const HOST = '127.0.0.1';
const MAX_PORT = 0xffff;
/** A header of Ethernet, and what UDP carries at most. */
const FRAME_BYTES = { min: 14, max: 65_507 } as const;

/** Options of {@link UdpWire.open}. */
export interface UdpWireOptions {
  /** Our port, 1 to 65,535; default one that is free. */
  readonly port?: number;
  /** The port of the other end, 1 to 65,535; default none yet. */
  readonly peerPort?: number;
  /** Frames that may wait until they are sent, 1 to 65,536; default 256. */
  readonly queue?: number;
}

/**
 * A wire to another program of this machine: each frame is a datagram between two ports of 127.0.0.1. A QEMU can be at the other end
 * (`-netdev dgram`), and so can one of these.
 *
 * It is as real as the network: frames come when they come, each in a turn of the event loop, never inside of anything else. Those that
 * nobody takes in time are lost. There is a link while it is open; an open one keeps the process alive.
 *
 * @example
 * ```ts
 * await using wire = await UdpWire.open({ port: 4000, peerPort: 4001 });
 * const sim = hostSim({ nic: [{ wire }] });
 * ```
 */
export class UdpWire implements Wire, AsyncDisposable {
  /** Frames that were sent, that came, and that were lost here, of either. */
  sent = 0;
  received = 0;
  lost = 0;
  /** Ours. */
  readonly port: number;
  readonly #socket: Socket;
  readonly #queue: number;
  #peerPort = 0;
  #port: WirePort | undefined = undefined;
  /** Frames that the socket has not sent yet. */
  #waiting = 0;
  #closed: Promise<void> | undefined = undefined;
  readonly #onSent = (error: Error | null): void => {
    this.#waiting--;
    if (error === null) this.sent++;
    else this.lost++;
  };

  private constructor(socket: Socket, queue: number) {
    this.port = socket.address().port;
    this.#socket = socket;
    this.#queue = queue;
    socket.on('message', (bytes, from) => this.#arrived(bytes, from));
    // What goes wrong with one frame; the socket works on.
    socket.on('error', () => this.lost++);
  }

  /** @throws {Errno} ERANGE for an option out of its range; EADDRINUSE for a port that is taken; EIO when there is no such socket */
  static async open(options: UdpWireOptions = {}): Promise<UdpWire> {
    const { port = 0, queue = 256 } = options;
    checkRange('udp', 'port', port, options.port === undefined ? 0 : 1, MAX_PORT);
    checkRange('udp', 'queue', queue, 1, 0x1_0000);
    checkPeerPort(options.peerPort);
    const socket = createSocket('udp4');
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.bind(port, HOST, () => {
          socket.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      socket.close();
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        throw new Errno('EADDRINUSE', `udp: port ${port} of ${HOST} is taken: give another`, { cause: error });
      }
      throw new Errno('EIO', `udp: port ${port} of ${HOST}: ${describeError(error)}`, { cause: error });
    }
    const wire = new UdpWire(socket, queue);
    wire.peerPort = options.peerPort;
    return wire;
  }

  /** The port of the other end: frames go there, and come from there alone. @throws {Errno} ERANGE when it is none of 1 to 65,535 */
  get peerPort(): number | undefined {
    return this.#peerPort === 0 ? undefined : this.#peerPort;
  }
  set peerPort(port: number | undefined) {
    checkPeerPort(port);
    this.#peerPort = port ?? 0;
  }

  attach(port: WirePort | undefined): void {
    this.#port = port;
    port?.setLink(this.#closed === undefined);
  }

  send(frame: Uint8Array, offset: number, length: number): void {
    const isFrame = length >= FRAME_BYTES.min && length <= FRAME_BYTES.max;
    if (!isFrame || this.#closed !== undefined || this.#peerPort === 0 || this.#waiting === this.#queue) {
      this.lost++;
      return;
    }
    this.#waiting++;
    this.#socket.send(Buffer.from(frame.subarray(offset, offset + length)), this.#peerPort, HOST, this.#onSent);
  }

  /** Takes the link away, and gives the port back. Idempotent. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = new Promise((resolve) => {
        this.#socket.close(resolve);
      });
      this.#port?.setLink(false);
    }
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #arrived(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    if (port !== this.#peerPort || address !== HOST || bytes.length < FRAME_BYTES.min || this.#port === undefined) {
      this.lost++;
      return;
    }
    this.received++;
    this.#port.receive(bytes, 0, bytes.length);
  }
}

function checkPeerPort(port: number | undefined): void {
  if (port !== undefined) checkRange('udp', 'peerPort', port, 1, MAX_PORT);
}
