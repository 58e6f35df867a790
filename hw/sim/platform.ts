import { Errno, checkRange, hex } from '../../core/lib/index.js';
import type { IrqPort } from '../endpoint/index.js';
import { Connection, type Fabric } from './connection.js';
import { type AddressSpace, Claim, PostedQueue } from './mapped-window.js';
import type { PlatformSpec } from './topology.js';

/** A device without configuration space: it has a line, and may send messages that it keeps elsewhere. */
class PlatformIrq implements IrqPort {
  readonly msiEnabled = false;
  readonly msixEnabled = false;
  readonly #connection: Connection;
  #level = false;
  constructor(connection: Connection) {
    this.#connection = connection;
  }
  intx(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    this.#connection.intx(level);
  }
  msi(): boolean {
    return false;
  }
  msix(): boolean {
    return false;
  }
  post(addressLo: number, addressHi: number, data: number): boolean {
    return this.#connection.message(addressLo, addressHi, data);
  }
}

/** Platform devices sit on a bus that no root has, one function after the other. */
const FIRST_REQUESTER = 0xff00;
const REQUESTERS = 256;

/** The devices at fixed physical addresses, outside all PCI roots. */
export class PlatformBus implements AddressSpace {
  readonly posted = new PostedQueue();
  /** In the order they were declared. */
  readonly #claims: Claim[] = [];

  constructor(
    readonly isPosting: boolean,
    readonly fabric: Fabric,
  ) {}

  /**
   * @throws {Errno} EINVAL for an address that cannot be, EBUSY when another device is there, ENOSPC for the 257th device,
   * ERANGE when there is no such line
   */
  add({ at, model: kind, line }: PlatformSpec): void {
    const name = `0x${hex(at)}`;
    const end = at + kind.sizeBytes;
    if (!(Number.isSafeInteger(at) && at >= 0 && at % 4 === 0 && Number.isSafeInteger(end) && kind.sizeBytes > 0)) {
      throw new Errno('EINVAL', `${name}: ${kind.name}: ${kind.sizeBytes} bytes: must start at a multiple of 4, below 2^53`);
    }
    if (this.fabric.memory.ranges.some((range) => at < range.end && range.start < end)) {
      throw new Errno('EBUSY', `${name}: ${kind.name}: ${kind.sizeBytes} bytes lie in memory`);
    }
    const other = this.#claims.find((claim) => at < claim.end && claim.start < end);
    if (other !== undefined) {
      throw new Errno('EBUSY', `${name}: ${kind.name}: ${kind.sizeBytes} bytes reach into the device at 0x${hex(other.start)}`);
    }
    const requesterId = FIRST_REQUESTER + this.#claims.length;
    if (this.#claims.length === REQUESTERS)
      throw new Errno('ENOSPC', `${name}: ${kind.name}: ${REQUESTERS} platform devices are there`);
    if (line !== undefined) checkRange(name, 'line', line, 0, this.fabric.interrupts.lines.count - 1);
    const place = { line, isMaster: () => true, requesterId: () => requesterId };
    const connection = new Connection(name, this.fabric, place);
    const irq = new PlatformIrq(connection);
    const model = kind.create({ name, clock: connection, dma: connection.dma, irq, random: connection.random, log: connection });
    const window = model.regions[0];
    if (window === undefined) throw new Errno('EINVAL', `${name}: ${kind.name}: the model has no region 0`);
    this.#claims.push(new Claim(at, end, window, connection));
  }

  /** What the messages of the device that starts there carry. */
  requesterId(address: number): number | undefined {
    const index = this.#claims.findIndex((claim) => claim.start === address);
    return index < 0 ? undefined : FIRST_REQUESTER + index;
  }

  resolve(address: number): Claim | undefined {
    return this.#claims.find((claim) => claim.start <= address && address < claim.end);
  }
}
