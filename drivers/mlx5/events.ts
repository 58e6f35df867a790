import { Errno, type Subscription } from '../../core/index.js';
import { EQE, EVENT_TYPES } from '../../hw/regs/nic.js';
import type { Mlx5Event, Mlx5Events } from './api.js';
import type { Words } from '../lib/mlx5/index.js';

type Listener = (event: Mlx5Event) => void;

const ANY = EVENT_TYPES;
const NOBODY: readonly Listener[] = [];

/** An entry of an event queue; the same object for all entries of a queue. */
export class EventEntry implements Mlx5Event {
  /** Index of its first word. */
  at = 0;
  readonly #memory: Words;

  constructor(memory: Words) {
    this.#memory = memory;
  }

  get type(): number {
    return this.read8(EQE.type);
  }

  get subType(): number {
    return this.read8(EQE.subType);
  }

  read8(offset: number): number {
    return (this.read32(offset & ~3) >>> (8 * (offset & 3))) & 0xff;
  }

  read16(offset: number): number {
    return (this.read32(offset & ~3) >>> (8 * (offset & 2))) & 0xffff;
  }

  read32(offset: number): number {
    return this.#memory.get(this.at + (offset >>> 2));
  }
}

/** Who listens to which events of a function. */
export class Events implements Mlx5Events {
  readonly #listeners: (readonly Listener[])[] = Array.from({ length: EVENT_TYPES + 1 }, () => NOBODY);

  on(type: number | 'any', listener: Listener): Subscription {
    const index = type === 'any' ? ANY : type;
    const before = this.#listeners[index];
    if (before === undefined) throw new Errno('ERANGE', `mlx5 events: type ${type}: must be 0 to ${EVENT_TYPES - 1}`);
    const own: Listener = (event) => listener(event);
    this.#listeners[index] = [...before, own];
    const dispose = (): void => {
      this.#listeners[index] = this.#listeners[index]!.filter((one) => one !== own);
    };
    return { dispose, [Symbol.dispose]: dispose };
  }

  /** In interrupt context. */
  tell(event: Mlx5Event): void {
    const { type } = event;
    call(this.#listeners[type]!, event);
    call(this.#listeners[ANY]!, event);
  }
}

function call(listeners: readonly Listener[], event: Mlx5Event): void {
  for (let n = 0; n < listeners.length; n++) listeners[n]!(event);
}
