import { type ClockEvent, type Device, type PciDevice, hex } from '../../core/index.js';
import { HEALTH, HEALTH_COUNTER, SYNDROMES } from '../../hw/regs/nic.js';
import type { FunctionWindow } from './function-window.js';

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/health.c MAX_MISSES, lib/tout.c HEALTH_POLL_INTERVAL */
const POLL_US = 2_000_000;
const MOST_MISSES = 3;
const ONES = 0xffff_ffff;

const NAMES = new Map<number, string>(Object.entries(SYNDROMES).map(([name, value]) => [value, name]));

/**
 * Looks every two seconds whether the firmware of a function is alive and well.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/health.c poll_health
 */
export class Health {
  readonly #dev: Device;
  readonly #pci: PciDevice;
  readonly #window: FunctionWindow;
  readonly #onFatal: (why: string) => void;
  #event: ClockEvent | undefined = undefined;
  #counter = 0;
  #misses = 0;
  #syndrome: number = SYNDROMES.none;

  /** @param onFatal told once that the function is of no use any more, and why */
  constructor(dev: Device, pci: PciDevice, window: FunctionWindow, onFatal: (why: string) => void) {
    this.#dev = dev;
    this.#pci = pci;
    this.#window = window;
    this.#onFatal = onFatal;
  }

  /** What the firmware said last; one of `SYNDROMES`. */
  get syndrome(): number {
    return this.#syndrome;
  }

  /** Looks in which the health counter stood still, in a row. */
  get misses(): number {
    return this.#misses;
  }

  start(): void {
    this.#counter = 0;
    this.#misses = 0;
    this.#syndrome = SYNDROMES.none;
    this.#next();
  }

  /** Looks no more; harmless when it does not. */
  stop(): void {
    this.#event?.cancel();
    this.#event = undefined;
  }

  /** Looks now. */
  poll(): void {
    const why = this.#fatal();
    if (why === undefined) this.#next();
    else {
      this.stop();
      this.#onFatal(why);
    }
  }

  #next(): void {
    this.stop();
    this.#event = this.#pci.clock.after(POLL_US, () => this.poll());
  }

  #fatal(): string | undefined {
    const word = this.#window.readAt(HEALTH.syndrome);
    if (word === ONES && this.#pci.isGone) return 'it does not answer';
    const syndrome = (word >>> 16) & 0xff;
    if (syndrome !== this.#syndrome) {
      this.#syndrome = syndrome;
      if (syndrome !== SYNDROMES.none) this.#report(syndrome, word & 0xffff);
    }
    if (syndrome !== SYNDROMES.none && syndrome !== SYNDROMES.temperature) return `syndrome 0x${hex(syndrome, 2)}`;
    const counter = this.#window.read(HEALTH_COUNTER);
    this.#misses = counter === this.#counter ? this.#misses + 1 : 0;
    this.#counter = counter;
    return this.#misses < MOST_MISSES ? undefined : `its health counter stands still at ${counter}`;
  }

  #report(syndrome: number, extension: number): void {
    const name = NAMES.get(syndrome) ?? 'unknown';
    const level = syndrome === SYNDROMES.temperature ? 'warn' : 'err';
    const firmware = hex(this.#window.readAt(HEALTH.firmware));
    const text = `health: syndrome 0x${hex(syndrome, 2)} (${name}), extension 0x${hex(extension, 4)}, firmware 0x${firmware}`;
    this.#dev.log(level, text, 'health');
  }
}
