import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Errno, describeError } from '../../core/lib/errno.js';
import type { Wire, WirePort } from '../endpoint/index.js';
import { UdpWire } from './udp-wire.js';

/**
 * socat's parent: waits for the end of its own standard input, which is a pipe that our process holds and never writes to. The end comes
 * when we let go, by will or by death: then socat is killed, and the interface is gone with it. When socat ends first, so does this.
 */
const GUARD = `
exec 3<&0
"$@" </dev/null >/dev/null 3<&- &
socat=$!
( read -r _ <&3; kill -9 $socat ) >/dev/null 2>&1 &
guard=$!
wait $socat
status=$?
kill $guard 2>/dev/null
exit $status
`;

const NAME = /^[A-Za-z][\w.-]{0,14}$/;
const ADDRESS = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/;
const DEVICE = '/dev/net/tun';
const START_MS = 5000;
const LOOK_MS = 5;
/** Another program may take the port that was free a moment ago. */
const TRIES = 3;
/** More than the longest frame: socat cuts what is longer. */
const BUFFER_BYTES = 65_536;
const IFF_UP = 1;

/** What the message says for what socat says. */
const REASONS = [
  [/Permission denied|not permitted/, 'EPERM', 'not allowed: run as root, or with CAP_NET_ADMIN'],
  [/socat: (command )?not found/, 'ENOENT', "there is no socat: install Debian's socat"],
  [/Device or resource busy/, 'EBUSY', 'another program has it: give another name'],
] as const;

/** Options of {@link TapWire.open}. */
export interface TapWireOptions {
  /** Of the interface, up to 15 characters; default `backplane0`. */
  readonly name?: string;
  /** Of this machine at it, with the length of the network; default 198.51.100.1/24, of those for documentation. */
  readonly address?: string;
}

/**
 * A wire to this machine's own network: a TAP interface of Linux, so that `ping` and all others reach what is on the wire. Needs root (or
 * CAP_NET_ADMIN), `/dev/net/tun` and socat, which moves frames between the interface and a {@link UdpWire}.
 *
 * The interface is there while this is open, and not after our process has died. Whoever deletes it takes the link.
 *
 * @example
 * ```ts
 * await using wire = await TapWire.open({ address: '198.51.100.1/24' });
 * const sim = hostSim({ nic: [{ wire }] });
 * using pace = new Pace(sim.clock);
 * ```
 * @see Linux 7.2 Documentation/networking/tuntap.rst
 */
export class TapWire implements Wire, AsyncDisposable {
  readonly name: string;
  readonly #udp: UdpWire;
  readonly #guard: ChildProcess;
  readonly #gone: Promise<void>;
  #end: string | undefined = undefined;
  #said = '';

  private constructor(name: string, address: string, udp: UdpWire) {
    this.name = name;
    this.#udp = udp;
    const ends = [
      `UDP4:127.0.0.1:${udp.port},bind=127.0.0.1:${udp.peerPort}`,
      `TUN:${address},tun-type=tap,tun-name=${name},iff-no-pi,iff-up`,
    ];
    // A session of its own: an interrupt typed at the terminal must not reach the guard before us.
    this.#guard = spawn('sh', ['-c', GUARD, 'backplane-tap', 'socat', '-b', String(BUFFER_BYTES), ...ends], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    });
    this.#guard.stderr?.on('data', (text: Buffer) => {
      this.#said = (this.#said + text.toString()).slice(-1000);
    });
    this.#gone = new Promise((resolve) => {
      const gone = (how: string): void => {
        this.#end ??= this.#said.trim().replaceAll('\n', '; ') || how;
        void udp.close();
        resolve();
      };
      this.#guard.on('close', (status) => gone(`socat exited with status ${status}`));
      this.#guard.on('error', (error) => gone(describeError(error)));
    });
  }

  /**
   * Makes the interface, and sets it up.
   * @throws {Errno} EOPNOTSUPP elsewhere than on Linux; ENOENT without `/dev/net/tun` or socat; EPERM when it is not allowed; EINVAL for
   *   what is no name or address; EEXIST for a name that an interface has, EBUSY for one that another program has; EADDRINUSE for a
   *   network that overlaps one of this machine's; EIO with what else socat says
   */
  static async open(options: TapWireOptions = {}): Promise<TapWire> {
    const { name = 'backplane0', address = '198.51.100.1/24' } = options;
    if (!NAME.test(name)) throw new Errno('EINVAL', `tap: '${name}' is no name of an interface: up to 15 letters and digits`);
    const network = parse(address);
    if (network === undefined) throw new Errno('EINVAL', `tap: ${name}: '${address}' is no address as 198.51.100.1/24`);
    if (process.platform !== 'linux')
      throw new Errno('EOPNOTSUPP', `tap: ${name}: there are no TAP interfaces on ${process.platform}`);
    if (!existsSync(DEVICE))
      throw new Errno('ENOENT', `tap: ${name}: ${DEVICE} is missing: load the module tun, or let the container have it`);
    if (existsSync(`/sys/class/net/${name}`))
      throw new Errno('EEXIST', `tap: ${name}: there is an interface of this name: give another`);
    const rival = overlapping(network);
    if (rival !== undefined) throw new Errno('EADDRINUSE', `tap: ${name}: ${address} overlaps ${rival}: give another address`);
    for (let tries = 1; ; tries++) {
      const wire = new TapWire(name, address, await pair());
      const reason = await wire.#started();
      if (reason === undefined) return wire;
      await wire.close();
      if (tries === TRIES || !reason.includes('Address already in use')) throw errorFor(name, reason);
    }
  }

  /** Why there is no link any more: what socat said; undefined while there is one. */
  get end(): string | undefined {
    return this.#end;
  }

  attach(port: WirePort | undefined): void {
    this.#udp.attach(port);
  }

  send(frame: Uint8Array, offset: number, length: number): void {
    this.#udp.send(frame, offset, length);
  }

  /** Takes the link away, and the interface. Idempotent. */
  async close(): Promise<void> {
    this.#end ??= 'closed';
    this.#guard.stdin?.destroy();
    await this.#gone;
    await this.#udp.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @returns why not; undefined: the interface is up */
  async #started(): Promise<string | undefined> {
    for (let ms = 0; ms < START_MS; ms += LOOK_MS) {
      if (this.#end !== undefined) return this.#end;
      if (isUp(this.name)) return undefined;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return `not up within ${START_MS} ms`;
  }
}

/** An address with the length of its network. */
interface Network {
  readonly ip: number;
  readonly bits: number;
}

function parse(address: string): Network | undefined {
  const [a = 256, b = 256, c = 256, d = 256, bits = 33] = ADDRESS.exec(address)?.slice(1).map(Number) ?? [];
  if (Math.max(a, b, c, d) > 255 || bits > 32) return undefined;
  return { ip: ((a * 256 + b) * 256 + c) * 256 + d, bits };
}

/** A network of this machine's that has addresses in common with another one, and its interface. */
function overlapping(wanted: Network): string | undefined {
  for (const [name, all = []] of Object.entries(networkInterfaces())) {
    for (const { cidr } of all) {
      // Addresses of IPv6 are not parsed.
      const own = parse(cidr ?? '');
      if (own === undefined) continue;
      const size = 2 ** (32 - Math.min(own.bits, wanted.bits));
      if (Math.floor(own.ip / size) === Math.floor(wanted.ip / size)) return `${cidr} of ${name}`;
    }
  }
  return undefined;
}

/** A wire whose other end has a free port too. */
async function pair(): Promise<UdpWire> {
  await using other = await UdpWire.open();
  const wire = await UdpWire.open();
  wire.peerPort = other.port;
  return wire;
}

function isUp(name: string): boolean {
  try {
    return (Number(readFileSync(`/sys/class/net/${name}/flags`, 'utf8')) & IFF_UP) !== 0;
  } catch {
    return false;
  }
}

function errorFor(name: string, said: string): Errno {
  const [, code, what] = REASONS.find(([pattern]) => pattern.test(said)) ?? ([undefined, 'EIO', said] as const);
  return new Errno(code, `tap: ${name}: ${what}`);
}
