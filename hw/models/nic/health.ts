import { HEALTH, SYNDROMES } from '../../regs/nic.js';
import type { Nic } from './nic.js';

const HARDWARE_ID = 0x0212;

/** What a function tells of itself: the health buffer, and the counter that grows while its firmware is alive. */
export class Health {
  /** `SYNDROMES`. */
  syndrome: number = SYNDROMES.none;
  extension = 0;
  readonly #device: Nic;
  #sinceUs = 0;
  /** What the counter stands at, once the firmware is dead; -1 while it lives. */
  #stalledAt = -1;

  constructor(device: Nic) {
    this.#device = device;
    this.reset();
  }

  reset(): void {
    this.syndrome = SYNDROMES.none;
    this.extension = 0;
    this.#sinceUs = this.#device.clock.now();
    this.#stalledAt = -1;
  }

  /** Something has gone wrong; the first of it stays. */
  report(syndrome: number, extension = 0): void {
    if (this.syndrome !== SYNDROMES.none) return;
    this.syndrome = syndrome;
    this.extension = extension & 0xffff;
  }

  /** The firmware dies: its counter stands still, and it answers to nothing. */
  stall(): void {
    if (this.#stalledAt < 0) this.#stalledAt = this.counter;
  }

  /** It is of no use any more, until it is reset. */
  get hasFailed(): boolean {
    return this.isStalled || (this.syndrome !== SYNDROMES.none && this.syndrome !== SYNDROMES.temperature);
  }

  get isStalled(): boolean {
    return this.#stalledAt >= 0;
  }

  get counter(): number {
    if (this.#stalledAt >= 0) return this.#stalledAt;
    const steps = Math.floor((this.#device.clock.now() - this.#sinceUs) / this.#device.settings.healthUs);
    return (steps + 1) % 2 ** 32;
  }

  /** A word of the health buffer; 0 where it has none. @param offset in the initialisation segment */
  word(offset: number): number {
    switch (offset) {
      case HEALTH.firmware:
        return this.#device.firmware.runningWord;
      case HEALTH.hardware:
        return HARDWARE_ID;
      case HEALTH.syndrome:
        return ((this.syndrome << 16) | this.extension) >>> 0;
      default:
        return 0;
    }
  }
}
