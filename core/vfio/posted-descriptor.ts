import type { DmaMemory } from '../hal/index.js';

/** Bytes of a descriptor, which is aligned to that. */
export const DESCRIPTOR_BYTES = 64;

const PIR_WORDS = 8;
const CONTROL = 32;
const DESTINATION = 36;
const ON = 0x1;
const SN = 0x2;
const VECTOR_SHIFT = 16;

/**
 * Where interrupts for a virtual CPU are posted: by hardware, and by the host for those that come to it.
 *
 * ```
 * byte  0   256 bits, one per vector: requested (PIR)
 *      32   bit 0 outstanding (ON): a notification is on its way; bit 1 suppress (SN): none is to be sent; 23:16 its vector (NV)
 *      36   the CPU that is notified (NDST), as destinations of interrupts are
 * ```
 * @see Intel VT-d Architecture Specification 4.1, 9.12; Linux 7.2 arch/x86/include/asm/posted_intr.h struct pi_desc
 */
export class PostedDescriptor {
  readonly #memory: DmaMemory;

  constructor(
    memory: DmaMemory,
    /** Bus address. */
    readonly address: number,
  ) {
    this.#memory = memory;
  }

  get isOutstanding(): boolean {
    return (this.#control & ON) !== 0;
  }

  get isSuppressed(): boolean {
    return (this.#control & SN) !== 0;
  }

  /** The vector by which the host is notified. */
  get notifyVector(): number {
    return (this.#control >>> VECTOR_SHIFT) & 0xff;
  }

  /** Whether a vector is requested and not yet taken. */
  isRequested(vector: number): boolean {
    return (this.#memory.read32(this.address + (vector >>> 5) * 4) & (1 << (vector & 31))) !== 0;
  }

  /** Whether any vector is. */
  get hasRequests(): boolean {
    for (let n = 0; n < PIR_WORDS; n++) if (this.#memory.read32(this.address + n * 4) !== 0) return true;
    return false;
  }

  request(vector: number): void {
    const at = this.address + (vector >>> 5) * 4;
    this.#memory.write32(at, this.#memory.read32(at) | (1 << (vector & 31)));
  }

  /** Says that a notification is on its way. @returns false when one was already */
  setOutstanding(): boolean {
    const control = this.#control;
    if ((control & ON) !== 0) return false;
    this.#control = control | ON;
    return true;
  }

  /** Says who is notified how; what is outstanding stays so. */
  aim(vector: number, destination: number, isSuppressed: boolean): void {
    this.#memory.write32(this.address + DESTINATION, destination);
    this.#control = (this.#control & ON) | (isSuppressed ? SN : 0) | (vector << VECTOR_SHIFT);
  }

  suppress(): void {
    this.#control |= SN;
  }

  /** Takes what is requested: adds it to `into`, of 8 words; nothing is outstanding then. */
  take(into: Uint32Array): void {
    this.#control &= ~ON;
    for (let n = 0; n < PIR_WORDS; n++) {
      const at = this.address + n * 4;
      const word = this.#memory.read32(at);
      if (word === 0) continue;
      this.#memory.write32(at, 0);
      into[n]! |= word;
    }
  }

  get #control(): number {
    return this.#memory.read32(this.address + CONTROL);
  }

  set #control(value: number) {
    this.#memory.write32(this.address + CONTROL, value >>> 0);
  }
}
