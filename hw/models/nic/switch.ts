import type { Wire, WirePort } from '../../endpoint/index.js';
import { FRAME } from '../../regs/nic.js';
import { ESW } from '../../regs/nic-contexts.js';
import {
  BROADCAST,
  MULTICAST,
  RX_DROPPED,
  RX_ERRORS,
  RX_OUT_OF_BUFFER,
  RX_PACKETS,
  TX_DROPPED,
  TX_PACKETS,
  UNICAST,
  count,
  countPacket,
} from './counters.js';
import { ForwardingTable } from './forwarding-table.js';
import type { Nic } from './nic.js';
import { Ports } from './ports.js';
import { RECEIVED } from './receive-queue.js';
import type { Vport } from './vport.js';

const ALL_ONES = 0xff_ffff;
/** Of the first half of an address. */
const GROUP_BIT = 0x01_0000;
const HALF_BYTES = 3;

/**
 * The switch between the ports of functions and the cable.
 *
 * ```
 *   legacy      one table of all ports' addresses; nobody's: to the cable, or to who wants such
 *               group addresses: to all but the source
 *   switchdev   rules by source and address; no rule: to the manager's queue for that source
 * ```
 */
export class Switch {
  /** `ESW.legacy` or `ESW.switchdev`. */
  mode: number = ESW.legacy;
  readonly ports: Ports;
  readonly rules = new ForwardingTable();
  readonly #device: Nic;
  #wire: Wire | undefined = undefined;
  /** Its side of the cable. */
  readonly #socket: WirePort;

  constructor(device: Nic) {
    this.#device = device;
    this.ports = new Ports(device);
    this.#socket = {
      receive: (frame, offset, length) => this.#arrive(frame, offset, length),
      setLink: (isUp) => this.ports.setCarrier(isUp),
    };
  }

  /** What the adapter is connected to; with nothing, its ports are up, and functions reach each other. */
  get wire(): Wire | undefined {
    return this.#wire;
  }
  set wire(wire: Wire | undefined) {
    this.#wire?.attach(undefined);
    this.#wire = wire;
    if (wire === undefined) this.ports.setCarrier(true);
    else wire.attach(this.#socket);
  }

  /** The adapter is gone: whoever is at the other end of its cable sees no link. */
  unplug(): void {
    this.#wire?.attach(undefined);
    this.#wire = undefined;
  }

  /** No rules, and no queues for what has none. */
  setMode(mode: number): void {
    this.mode = mode;
    this.rules.clear();
    this.ports.forgetQueues();
  }

  /** As at the start; the ports of functions have been removed. */
  reset(): void {
    this.setMode(ESW.legacy);
    this.ports.reset();
  }

  /** A packet that comes into the switch at a port: a function has sent it, or the cable. */
  forward(source: Vport, frame: Uint8Array, offset: number, length: number): void {
    const high = halfAt(frame, offset);
    const low = halfAt(frame, offset + HALF_BYTES);
    const kind = kindOf(high, low);
    const isFromCable = source === this.ports.uplink;
    if (!source.isUp) {
      this.#drop(source);
      return;
    }
    countPacket(source.counters, (isFromCable ? RX_PACKETS : TX_PACKETS) + kind, length);
    if (this.mode === ESW.switchdev) this.#byRule(source, high, low, kind, frame, offset, length);
    else if (kind === UNICAST) this.#byAddress(source, high, low, frame, offset, length);
    else this.#flood(source, kind, frame, offset, length);
  }

  /** A packet that leaves the switch by a port, whoever sent it. */
  output(port: Vport, frame: Uint8Array, offset: number, length: number): void {
    const kind = kindOf(halfAt(frame, offset), halfAt(frame, offset + HALF_BYTES));
    this.#deliver(undefined, port, kind, frame, offset, length);
  }

  #byAddress(source: Vport, high: number, low: number, frame: Uint8Array, offset: number, length: number): void {
    const { uplink, promiscuous } = this.ports;
    const owner = this.ports.find(high, low);
    if (owner !== undefined) {
      this.#deliver(source, owner, UNICAST, frame, offset, length);
      return;
    }
    if (source !== uplink) this.#deliver(source, uplink, UNICAST, frame, offset, length);
    else if (promiscuous.length === 0) this.#drop(source);
    for (let i = 0; i < promiscuous.length; i++) {
      const port = promiscuous[i]!;
      if (port !== source) this.#deliver(source, port, UNICAST, frame, offset, length);
    }
  }

  #flood(source: Vport, kind: number, frame: Uint8Array, offset: number, length: number): void {
    const { uplink, live } = this.ports;
    if (source !== uplink) this.#deliver(source, uplink, kind, frame, offset, length);
    for (let i = 0; i < live.length; i++) {
      const port = live[i]!;
      // Where nobody listens, nothing is lost.
      if (port !== source && port.tir !== undefined) this.#deliver(source, port, kind, frame, offset, length);
    }
  }

  #byRule(source: Vport, high: number, low: number, kind: number, frame: Uint8Array, offset: number, length: number): void {
    const outputs = this.rules.find(source.slot, high, low);
    if (outputs === undefined) {
      this.#miss(source, frame, offset, length);
      return;
    }
    for (let i = 0; i < outputs.length; i++) {
      const port = this.ports.at(outputs[i]!);
      if (port !== undefined) this.#deliver(source, port, kind, frame, offset, length);
      else this.#drop(source);
    }
  }

  /** To the manager's queue for packets of the source. */
  #miss(source: Vport, frame: Uint8Array, offset: number, length: number): void {
    const outcome = source.repQueue?.receive(frame, offset, length, 0, source.number) ?? RECEIVED.dropped;
    if (outcome === RECEIVED.ok) return;
    if (outcome !== RECEIVED.outOfBuffer) {
      this.#drop(source);
      return;
    }
    const { vport } = this.#device.pf;
    if (vport !== undefined) count(vport.counters, RX_OUT_OF_BUFFER);
  }

  /** A packet has come into the switch, and goes nowhere. */
  #drop(source: Vport): void {
    count(source.counters, source === this.ports.uplink ? RX_DROPPED : TX_DROPPED);
  }

  /** @param source undefined: it comes from the manager, for this port alone */
  #deliver(source: Vport | undefined, port: Vport, kind: number, frame: Uint8Array, offset: number, length: number): void {
    const { counters, tir } = port;
    if (port === this.ports.uplink) {
      // What has come by the cable does not go back.
      if (source === port) count(counters, RX_DROPPED);
      else this.#leave(kind, frame, offset, length);
      return;
    }
    if (source === port && (port.disableUcLoopback || tir?.takesOwn === false)) {
      count(counters, TX_DROPPED);
      return;
    }
    const rq = port.isUp ? tir?.choose(frame, offset, length) : undefined;
    if (rq === undefined) {
      count(counters, RX_DROPPED);
      return;
    }
    if (length > port.mtu + FRAME.headerBytes + FRAME.tagBytes) {
      count(counters, RX_ERRORS);
      return;
    }
    const outcome = rq.receive(frame, offset, length, tir!.hash, 0);
    if (outcome === RECEIVED.ok) countPacket(counters, RX_PACKETS + kind, length);
    else if (outcome === RECEIVED.outOfBuffer) count(counters, RX_OUT_OF_BUFFER);
    else count(counters, outcome === RECEIVED.error ? RX_ERRORS : RX_DROPPED);
  }

  /** To the cable. */
  #leave(kind: number, frame: Uint8Array, offset: number, length: number): void {
    const { counters, isUp } = this.ports.uplink;
    if (this.#wire === undefined || !isUp) {
      count(counters, TX_DROPPED);
      return;
    }
    countPacket(counters, TX_PACKETS + kind, length);
    this.#wire.send(frame, offset, length);
  }

  /** From the cable. */
  #arrive(frame: Uint8Array, offset: number, length: number): void {
    const { uplink } = this.ports;
    if (!(length >= FRAME.minBytes && length <= FRAME.maxMtu + FRAME.headerBytes + FRAME.tagBytes)) {
      count(uplink.counters, RX_ERRORS);
      return;
    }
    this.#device.engine.stamp();
    this.forward(uplink, frame, offset, length);
  }
}

/** Three bytes of an address. */
function halfAt(frame: Uint8Array, at: number): number {
  return (frame[at]! << 16) | (frame[at + 1]! << 8) | frame[at + 2]!;
}

/** What kind of packet goes to an address. */
function kindOf(high: number, low: number): number {
  if ((high & GROUP_BIT) === 0) return UNICAST;
  return high === ALL_ONES && low === ALL_ONES ? BROADCAST : MULTICAST;
}
