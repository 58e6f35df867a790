import { type DmaPort, NO_ADDRESS } from '../../../../hw/endpoint/index.js';

export const PAGE = 4096;
const PAGES = 4096;
export const MEMORY_BYTES = PAGES * PAGE;
/** What is below is never given out: small numbers are no addresses of anything. */
const FIRST = 2 ** 20;

/** One address space of a device: which pages of memory it reaches. */
class Space {
  readonly #isMapped = new Uint8Array(PAGES);

  constructor(isMapped: boolean) {
    if (isMapped) this.#isMapped.fill(1);
  }
  set(address: number, sizeBytes: number, isMapped: boolean): void {
    this.#isMapped.fill(isMapped ? 1 : 0, Math.floor(address / PAGE), Math.ceil((address + sizeBytes) / PAGE));
  }
  reach(address: number, length: number): number {
    let done = 0;
    while (done < length) {
      const at = address + done;
      if (!(at >= 0 && at < MEMORY_BYTES) || this.#isMapped[Math.floor(at / PAGE)] === 0) break;
      done += Math.min(length - done, PAGE - (at % PAGE));
    }
    return done;
  }
}

/**
 * Memory of a host, and a device's way to it. All of it is reached without a PASID until it is unmapped, none with one until it is
 * mapped. Keeps what was written where, and brings other accesses with it when told to.
 */
export class Memory implements DmaPort {
  readonly bytes = new Uint8Array(MEMORY_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  /** Addresses that the device could not write or read. */
  readonly faults: number[] = [];
  /** Calls that have changed memory: address, length, PASID. */
  readonly writes: [address: number, length: number, pasid: number][] = [];
  /** Called inside every access of the device, before it is made. */
  during: () => void = () => {};
  readonly #spaces = new Map<number, Space>([[0, new Space(true)]]);
  #next = FIRST;

  /** Zeroed memory; never given back. */
  alloc(sizeBytes: number, alignBytes = PAGE): number {
    const address = Math.ceil(this.#next / alignBytes) * alignBytes;
    this.#next = address + sizeBytes;
    if (this.#next > MEMORY_BYTES) throw new Error(`no ${sizeBytes} bytes left of ${MEMORY_BYTES}`);
    return address;
  }
  map(address: number, sizeBytes: number, pasid = 0): void {
    this.#space(pasid).set(address, sizeBytes, true);
  }
  unmap(address: number, sizeBytes: number, pasid = 0): void {
    this.#space(pasid).set(address, sizeBytes, false);
  }

  address(lo: number, hi: number): number {
    if (hi >>> 0 < 2 ** 21) return (hi >>> 0) * 2 ** 32 + (lo >>> 0);
    this.faults.push(NO_ADDRESS);
    return NO_ADDRESS;
  }
  read(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    this.during();
    const isThere = this.#reaches(address, length, pasid);
    if (isThere) buffer.set(this.bytes.subarray(address, address + length), offset);
    else buffer.fill(0xff, offset, offset + length);
    return isThere;
  }
  write(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    const copy = buffer.slice(offset, offset + length);
    this.during();
    if (!this.#reaches(address, length, pasid)) return false;
    this.bytes.set(copy, address);
    this.writes.push([address, length, pasid]);
    return true;
  }
  copy(source: number, destination: number, length: number, pasid = 0): boolean {
    this.during();
    if (!this.#reaches(source, length, pasid) || !this.#reaches(destination, length, pasid)) return false;
    this.bytes.copyWithin(destination, source, source + length);
    this.writes.push([destination, length, pasid]);
    return true;
  }
  read32(address: number, pasid = 0): number {
    this.during();
    return this.#reaches(address, 4, pasid) ? this.view.getUint32(address, true) : 0xffff_ffff;
  }
  write32(address: number, value: number, pasid = 0): boolean {
    this.during();
    if (!this.#reaches(address, 4, pasid)) return false;
    this.view.setUint32(address, value, true);
    this.writes.push([address, 4, pasid]);
    return true;
  }
  reach(address: number, length: number, _isWrite: boolean, pasid = 0): number {
    return this.#space(pasid).reach(address, length);
  }
  requestPage(_address: number, _isWrite: boolean, _pasid: number | undefined, done: (isThere: boolean) => void): void {
    done(false);
  }

  #space(pasid: number): Space {
    let space = this.#spaces.get(pasid);
    if (space === undefined) this.#spaces.set(pasid, (space = new Space(false)));
    return space;
  }
  #reaches(address: number, length: number, pasid: number): boolean {
    const isThere = this.#space(pasid).reach(address, length) === length;
    if (!isThere) this.faults.push(address);
    return isThere;
  }
}
