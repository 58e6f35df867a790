import {
  Napi,
  type NapiPoller,
  type NetDevice,
  NetDevices,
  NetNode,
  type NetNodeOptions,
  type NetOperations,
  NetRx,
  type TxRing,
  XMIT,
  parseMac,
} from '../../../core/class/index.js';
import { Bus, Device, DeviceCore } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';

/** What was asked to be run later, until somebody runs it. */
export class LaterQueue {
  readonly #all: (() => void)[] = [];
  readonly run = (fn: () => void): void => void this.#all.push(fn);

  /** Runs what is there, and what comes of it. @returns how many */
  drain(limit = Infinity): number {
    let count = 0;
    for (; this.#all.length > 0 && count < limit; count++) this.#all.shift()!();
    return count;
  }
}

/** A core with one device that is bound to a driver. */
export function bound(probe: (dev: Device) => unknown, remove?: () => PromiseLike<void> | void) {
  const clock = new VirtualClock({ mode: 'manual' });
  const core = new DeviceCore({ clock });
  const bus = new Bus('test');
  core.registerBus(bus);
  void core.registerDriver(bus, { name: 'net', probe, ...(remove && { remove }) });
  const dev = new Device({ name: 'card', bus, release: () => {} });
  void core.add(dev);
  const logged = (id: string): string[] => core.log.records().flatMap((line) => (line.id === id ? [line.text] : []));
  return { clock, core, dev, logged };
}

/** A card without hardware: frames stay in its rings until {@link complete}, and what is put in comes out of a poll. */
export class FakeCard implements NetOperations, NapiPoller {
  readonly node: NetNode;
  readonly napi: Napi;
  readonly calls: string[] = [];
  readonly sent: { queue: number; bytes: number[]; more: boolean }[] = [];
  readonly rings: { room: number }[];
  readonly timeouts: number[] = [];
  readonly incoming: Uint8Array[] = [];
  failsToOpen: Error | undefined = undefined;

  constructor(dev: Device, later: LaterQueue, options: Partial<NetNodeOptions> = {}) {
    this.node = new NetNode(dev, this, { mac: parseMac('02:00:00:00:00:01'), ...options });
    this.napi = new Napi(dev, NetRx.of(dev, later.run), this);
    this.rings = this.node.queues.map(() => ({ room: 4 }));
  }

  ringOf(queue: number): TxRing {
    return { room: () => this.rings[queue]!.room };
  }

  open(): void {
    this.calls.push('open');
    if (this.failsToOpen !== undefined) throw this.failsToOpen;
    for (const queue of this.node.queues) queue.wake();
    this.napi.enable();
    this.node.carrierOn();
  }

  stop(): void {
    this.calls.push('stop');
    this.node.carrierOff();
    for (const queue of this.node.queues) queue.stop();
    this.napi.disable();
  }

  startXmit(queue: number, buffer: Uint8Array, offset: number, length: number, more: boolean): number {
    this.sent.push({ queue, bytes: [...buffer.subarray(offset, offset + length)], more });
    this.rings[queue]!.room--;
    this.node.queues[queue]!.maybeStop(this.ringOf(queue), 1, 1);
    return XMIT.OK;
  }

  txTimeout(queue: number): void {
    this.timeouts.push(queue);
  }

  setMac(): void {
    this.calls.push('setMac');
  }

  setMtu(mtu: number): void {
    this.calls.push(`setMtu ${mtu}`);
  }

  /** Frames of a queue have left. */
  complete(queue: number, count: number): number {
    this.rings[queue]!.room += count;
    return this.node.queues[queue]!.maybeWake(this.ringOf(queue), 1);
  }

  poll(budget: number): number {
    let work = 0;
    for (; work < budget && this.incoming.length > 0; work++) {
      const frame = this.incoming.shift()!;
      this.node.receive(frame, 0, frame.length, 0);
    }
    if (work < budget) this.napi.completeDone(work);
    return work;
  }
}

/** A system with one {@link FakeCard}, which is `eth0`. */
export function withCard(options: Partial<NetNodeOptions> = {}) {
  const later = new LaterQueue();
  let card: FakeCard | undefined;
  const system = bound(
    (dev) => {
      card = new FakeCard(dev, later, options);
      dev.publish(NetDevices, card.node);
    },
    () => card!.node.shutdown(),
  );
  const eth: NetDevice = NetDevices.get(system.core, 'eth0');
  return { ...system, later, card: card!, eth };
}

export const FRAME = Uint8Array.from({ length: 60 }, (_, n) => n);
