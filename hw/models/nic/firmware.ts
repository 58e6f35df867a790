import { RESET_LEVELS } from '../../regs/nic-commands.js';

/** Major and minor, of 8 bits each, and sub-minor, of 16. */
export type FirmwareVersion = readonly [major: number, minor: number, subMinor: number];

/** Firmware that lies beside the one that runs. */
export interface StoredFirmware {
  readonly version: FirmwareVersion;
  /** How it comes to run: while everything goes on, or with a reset; or only when the machine is switched on again. Default with a reset. */
  readonly activation?: 'live' | 'reset' | 'reboot';
}

/** That which all adapters come with. */
const FIRST: FirmwareVersion = [0, 1, 0];

/** The firmware of an adapter: what runs, and what may run after that. */
export class Firmware {
  #running = FIRST;
  #stored: StoredFirmware | undefined;
  #isDue = false;

  constructor(stored: StoredFirmware | undefined) {
    this.#stored = stored;
  }

  get running(): FirmwareVersion {
    return this.#running;
  }

  /** As registers have it; 0: nothing lies there. */
  get storedWord(): number {
    return this.#stored === undefined ? 0 : wordOf(this.#stored.version);
  }

  /** As registers have it. */
  get runningWord(): number {
    return wordOf(this.#running);
  }

  /** What makes the stored one run, one bit each; a reset is possible without one, too. */
  get levels(): number {
    const activation = this.#stored?.activation ?? 'reset';
    if (activation === 'reboot') return RESET_LEVELS.reboot;
    return RESET_LEVELS.reset | (activation === 'live' ? RESET_LEVELS.live : 0);
  }

  /** The stored one is to run: at once, or from the next reset on. @returns whether it can, in this way */
  activate(level: number): boolean {
    if ((this.levels & level) === 0 || (level !== RESET_LEVELS.live && level !== RESET_LEVELS.reset)) return false;
    if (level === RESET_LEVELS.live) this.#take();
    else this.#isDue = true;
    return true;
  }

  /** The adapter is reset. */
  reset(): void {
    if (this.#isDue) this.#take();
    this.#isDue = false;
  }

  #take(): void {
    this.#running = this.#stored?.version ?? this.#running;
    this.#stored = undefined;
  }
}

const wordOf = ([major, minor, subMinor]: FirmwareVersion): number => ((major << 24) | (minor << 16) | subMinor) >>> 0;
