import { EventFd, type Mmio, VIRTIO_NET_CONFIG, type VqAddresses, formatMac, parseMac } from '../../../core/index.js';
import { VNET_CONFIG, VQ_DRIVER_AREA } from '../../../drivers/mlx5-vnet/api.js';
import { OwnCq, OwnWq, PAGE, type UserMemory } from './user-memory.js';

export const LOG_SIZE = 4;
/** Where a user has his rings, by queue, and his packets. */
export const RINGS = 0x10_0000;
export const RING_STRIDE = 0x1_0000;
export const PACKETS = 0x100_0000;
export const PACKET_BYTES = 2048;

/** A queue as its user has it. */
export interface GuestQueue {
  readonly cq: OwnCq;
  readonly wq: OwnWq;
  readonly call: EventFd;
}

/** Who has the queues of a device in his memory, however he came by it. */
export abstract class QueueUser {
  readonly queues: GuestQueue[] = [];
  mac = '';

  constructor(readonly memory: UserMemory) {}

  /** By which queue `index` is rung for. */
  abstract doorbells(index: number): Mmio;

  /** Memory for the packets of `count` queues. */
  mapPackets(count: number): void {
    this.memory.map(PACKETS, count * 2 ** LOG_SIZE * PACKET_BYTES);
  }

  /** The rings of a queue, anew. @returns where they are */
  makeQueue(index: number): VqAddresses {
    const { memory } = this;
    const descriptor = RINGS + index * RING_STRIDE;
    if (memory.space.physicalOf(descriptor) === undefined) memory.map(descriptor, 3 * PAGE);
    const [device, driver] = [descriptor + PAGE, descriptor + 2 * PAGE];
    const cq = new OwnCq(memory, device, driver + VQ_DRIVER_AREA.completion, LOG_SIZE);
    const wq = new OwnWq(memory, descriptor, driver + VQ_DRIVER_AREA.work, LOG_SIZE);
    const call = new EventFd(`${memory.task.name} vq ${index}`);
    this.queues[index] = { cq, wq, call };
    return { descriptor, device, driver };
  }

  /** The queues work: takes their numbers from the configuration, and gives buffers for packets that come. */
  started(config: Uint8Array): void {
    const view = new DataView(config.buffer);
    this.mac = formatMac(config.subarray(VIRTIO_NET_CONFIG.mac, VIRTIO_NET_CONFIG.mac + 6));
    for (const [index, { cq, wq }] of this.queues.entries()) {
      const at = VNET_CONFIG.queues + index * VNET_CONFIG.queueBytes;
      wq.number = view.getUint32(at + VNET_CONFIG.workQueue, true);
      cq.number = view.getUint32(at + VNET_CONFIG.completionQueue, true);
    }
    for (let index = 0; index < this.queues.length; index += 2) {
      for (let n = 0; n < 1 << LOG_SIZE; n++) this.queues[index]!.wq.receive(this.packet(index, n), PACKET_BYTES);
    }
  }

  /** Where the packet of an entry is. */
  packet(index: number, n: number): number {
    return PACKETS + (index * 2 ** LOG_SIZE + (n % 2 ** LOG_SIZE)) * PACKET_BYTES;
  }

  /** Sends a packet by queue `index`. */
  send(index: number, frame: Uint8Array): void {
    const { wq } = this.queues[index]!;
    const at = this.packet(index, wq.producer);
    this.memory.write(at, frame);
    wq.send(at, frame.length);
    wq.doorbell(this.doorbells(index));
  }

  /** Packets that have come to queue `index`; their buffers are given back. */
  received(index: number): Uint8Array[] {
    const { cq, wq } = this.queues[index]!;
    return cq.take().map(({ counter, bytes }) => {
      const at = this.packet(index, counter);
      const frame = this.memory.read(at, bytes);
      wq.receive(at, PACKET_BYTES);
      return frame;
    });
  }

  /** Asks for the next interrupt of a queue. */
  arm(index: number): void {
    this.queues[index]!.cq.arm(this.doorbells(index));
  }

  /** Signals of a queue since this was called last. */
  signals(index: number): number {
    const { call, cq } = this.queues[index]!;
    const count = call.count === 0 ? 0 : call.read();
    cq.sn += count;
    return count;
  }
}

/** An Ethernet frame of `length` bytes with a number in it. */
export function frame(to: string, from: string, length: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(parseMac(to));
  bytes.set(parseMac(from), 6);
  bytes.set([0x88, 0xb5], 12);
  for (let n = 14; n < length; n++) bytes[n] = (n * 7 + number * 13) & 0xff;
  return bytes;
}
