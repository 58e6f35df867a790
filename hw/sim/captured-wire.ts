import type { Clock } from '../../core/hal/index.js';
import type { Wire, WirePort } from '../endpoint/index.js';
import { type PacketDirection, type Pcapng, packetBytes } from './pcapng.js';

/** Options of a {@link CapturedWire}. */
export interface CaptureOptions {
  /** The interface that its packets belong to; default `wire`. */
  readonly name?: string;
  /** How long the capture may get, in bytes; default 2^30. */
  readonly maxBytes?: number;
}

/**
 * A wire with an ear on it: whatever passes goes into a capture, `out` being what the port sends.
 *
 * @example
 * ```ts
 * const capture = new Pcapng();
 * const sim = hostSim({ nic: [{ onCreate: (nic) => (nic.wire = new CapturedWire(wire, capture, nic.clock, { name: 'uplink' })) }] });
 * ```
 */
export class CapturedWire implements Wire {
  /** Frames that passed when the capture was full. */
  missed = 0;
  readonly #wire: Wire;
  readonly #capture: Pcapng;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #interface: number;
  readonly #maxBytes: number;
  #port: WirePort | undefined = undefined;
  readonly #socket: WirePort = {
    receive: (frame, offset, length) => {
      this.#record('in', frame, offset, length);
      this.#port?.receive(frame, offset, length);
    },
    setLink: (isUp) => this.#port?.setLink(isUp),
  };

  /** @param clock what tells the time of a packet: that of the machine, or a real one */
  constructor(wire: Wire, capture: Pcapng, clock: Pick<Clock, 'now'>, options: CaptureOptions = {}) {
    this.#wire = wire;
    this.#capture = capture;
    this.#clock = clock;
    this.#interface = capture.interface(options.name ?? 'wire');
    this.#maxBytes = options.maxBytes ?? 2 ** 30;
  }

  attach(port: WirePort | undefined): void {
    this.#port = port;
    this.#wire.attach(port === undefined ? undefined : this.#socket);
  }

  send(frame: Uint8Array, offset: number, length: number): void {
    this.#record('out', frame, offset, length);
    this.#wire.send(frame, offset, length);
  }

  #record(direction: PacketDirection, frame: Uint8Array, offset: number, length: number): void {
    if (this.#capture.sizeBytes + packetBytes(length) > this.#maxBytes) this.missed++;
    else this.#capture.packet(this.#interface, this.#clock.now(), direction, frame, offset, length);
  }
}
