import type { TraceEvent } from '../device/index.js';
import { formatBdf } from '../hal/index.js';
import type { Subscription } from '../lib/signal.js';
import type { IrqCore } from './core.js';
import { messageOf, slotCount } from './message.js';
import type { IrqTraceEvent, IrqTraceName, IrqTracer } from './trace.js';

/** A step of the driver core, with its place in time. */
export type DeviceTraceEvent = TraceEvent & Pick<IrqTraceEvent, 'timeUs' | 'seq'>;

/** What a {@link IrqTraceLog} keeps and sees; all of it has a default. */
export interface IrqTraceLogOptions {
  /** Events kept, at least 1; the oldest go first. Default 65,536. */
  readonly capacity?: number;
  /** Whether the steps of the driver core are kept too; default false. */
  readonly devices?: boolean;
}

/**
 * Records what happens to the interrupts of a system, from its making until it is disposed: what the core does, and what devices
 * post (`msi_post`) where the host tells.
 *
 * A recorded post carries the interrupt whose message it is: 0 when it is the message of none.
 */
export class IrqTraceLog implements IrqTracer, Subscription {
  readonly #core: IrqCore;
  readonly #capacity: number;
  readonly #ring: (IrqTraceEvent | DeviceTraceEvent)[] = [];
  readonly #messages: MessageOwners;
  /** Who looked before, and goes on to. */
  readonly #outer: IrqTracer | undefined;
  readonly #release: () => void;
  /** How many events there were. */
  #seq = 0;

  constructor(core: IrqCore, { capacity = 65_536, devices = false }: IrqTraceLogOptions = {}) {
    this.#core = core;
    this.#capacity = Math.max(1, capacity);
    this.#messages = new MessageOwners(core);
    this.#outer = core.tracer;
    core.tracer = this;
    const outerDevice = core.device.tracer;
    if (devices) {
      core.device.tracer = (event) => {
        outerDevice?.(event);
        this.#keep({ ...event, timeUs: core.clock.now(), seq: this.#seq });
      };
    }
    const posts = core.controller?.onMessage?.((requesterId, address, data) => this.#posted(requesterId, address, data));
    this.#release = () => {
      posts?.dispose();
      core.tracer = this.#outer;
      if (devices) core.device.tracer = outerDevice;
    };
  }

  /** What happened to interrupts, in order. */
  get events(): IrqTraceEvent[] {
    return this.all.filter((event): event is IrqTraceEvent => !('kind' in event));
  }

  /** The same, and the steps of the driver core between. */
  get all(): (IrqTraceEvent | DeviceTraceEvent)[] {
    const oldest = this.#seq % this.#capacity;
    const ring = this.#ring;
    return ring.length < this.#capacity ? [...ring] : [...ring.slice(oldest), ...ring.slice(0, oldest)];
  }

  /** How many were lost because they were too many. */
  get dropped(): number {
    return this.#seq - this.#ring.length;
  }

  event(name: IrqTraceName, cpu: number, virq: number, vector: number, who: string, detail: string): void {
    this.#outer?.event(name, cpu, virq, vector, who, detail);
    if (name === 'msi_write_msg') this.#messages.changed(virq);
    this.#keep({ name, timeUs: this.#core.clock.now(), seq: this.#seq, cpu, virq, vector, who, detail });
  }

  /** Looks no longer; what was seen is kept. */
  dispose(): void {
    this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #posted(requesterId: number, address: number, data: number): void {
    const virq = this.#messages.ownerOf(address, data);
    // A requester id has no segment; the device of the interrupt knows its name.
    const who = this.#core.descs[virq]?.device?.name ?? formatBdf(0, requesterId >>> 8, requesterId & 0xff);
    this.event('msi_post', -1, virq, -1, who, `address=0x${address.toString(16)} data=0x${data.toString(16)}`);
  }

  #keep(event: IrqTraceEvent | DeviceTraceEvent): void {
    this.#ring[this.#seq++ % this.#capacity] = event;
  }
}

/** Which interrupt a message is: as its slot says, which is looked at again once something was written to it. */
class MessageOwners {
  readonly #core: IrqCore;
  readonly #owners = new Map<string, number>();
  /** Interrupts whose message is not known. */
  readonly #unknown: Set<number>;

  constructor(core: IrqCore) {
    this.#core = core;
    this.#unknown = new Set(Array.from(core.all(), ({ virq }) => virq));
  }

  /** @param first of the slot that was written */
  changed(first: number): void {
    const desc = this.#core.descs[first];
    const count = desc === undefined ? 0 : slotCount(desc);
    for (let virq = first; virq < first + count; virq++) this.#unknown.add(virq);
  }

  /** @returns 0 when it is nobody's */
  ownerOf(address: number, data: number): number {
    for (const virq of this.#unknown) {
      const message = this.#message(virq);
      if (message !== undefined) this.#owners.set(message, virq);
    }
    this.#unknown.clear();
    const key = `${address} ${data}`;
    const owner = this.#owners.get(key);
    // It may have had another message since.
    if (owner === undefined || this.#message(owner) === key) return owner ?? 0;
    this.#owners.delete(key);
    return 0;
  }

  #message(virq: number): string | undefined {
    const desc = this.#core.descs[virq];
    const message = desc === undefined ? undefined : messageOf(desc);
    return message === undefined ? undefined : `${message.addressHi * 2 ** 32 + message.addressLo} ${message.data}`;
  }
}
