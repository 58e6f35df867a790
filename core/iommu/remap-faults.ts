import { type RemapFault, type RemappingUnit, formatBdf } from '../hal/index.js';
import type { IrqCore } from '../irq/index.js';
import { type Subscription, hex } from '../lib/index.js';

/** Older ones are forgotten. */
const KEPT = 256;

/** The messages that a remapping unit has refused: each is logged with who sent it and why it went nowhere. */
export class RemapFaults {
  /** The last 256, oldest first. */
  readonly list: RemapFault[] = [];
  readonly #core: IrqCore;
  readonly #listening: Subscription;

  constructor(core: IrqCore, unit: RemappingUnit) {
    this.#core = core;
    this.#listening = unit.onFault((fault) => this.#add(fault));
  }

  close(): void {
    this.#listening.dispose();
  }

  #add(fault: RemapFault): void {
    if (this.list.length === KEPT) this.list.shift();
    this.list.push(fault);
    const { requesterId, address, data, index, reason } = fault;
    const who = formatBdf(0, requesterId >>> 8, requesterId & 0xff);
    const entry = index === undefined ? '' : ` for entry ${index}`;
    const text = `interrupt message 0x${hex(data)} to 0x${hex(address)}${entry} refused: ${reason}`;
    this.#core.device.logFor('warn', who, text, 'remap_fault');
  }
}
