import type { DeviceCore, TraceEvent } from '../device/index.js';
import { Errno } from '../lib/index.js';

/** A trace event as one line: `probe 0000:00:01.0 timer ok`. */
export function formatEvent(event: TraceEvent): string {
  return [event.kind, event.who, event.driver, event.detail, event.result].filter((part) => part !== undefined).join(' ');
}

/** The one ordered record of what the core did: devres, bus, log. */
export class TraceLog {
  readonly #events: TraceEvent[] = [];

  /** @internal */
  constructor(core: DeviceCore) {
    core.tracer = (event) => this.#events.push(event);
  }

  /** All events, in order. */
  get events(): readonly TraceEvent[] {
    return this.#events;
  }

  /** All events as lines; with kinds, only those. */
  lines(...kinds: readonly TraceEvent['kind'][]): string[] {
    return this.#events.filter((e) => kinds.length === 0 || kinds.includes(e.kind)).map(formatEvent);
  }

  /** The labels that were acquired and undone for a device: `['+bar 0', '+irq 32', '-irq 32', '-bar 0']`. */
  ledger(device: string): string[] {
    return this.#events
      .filter((e) => e.who === device && (e.kind === 'acquire' || e.kind === 'undo'))
      .map((e) => `${e.kind === 'acquire' ? '+' : '-'}${e.detail ?? ''}`);
  }

  /** Whether a device's ledger was undone last first: read backwards, it says the same. */
  isPalindrome(device: string): boolean {
    const all = this.ledger(device);
    return all.every((line, i) => {
      const other = all[all.length - 1 - i]!;
      return line.slice(1) === other.slice(1) && line[0] !== other[0];
    });
  }

  /**
   * Checks that lines starting with these words happened in this order; others may lie between.
   * @throws {Errno} ENOENT naming the first that is missing, with what happened after the one before it
   */
  expectInOrder(...wanted: readonly string[]): void {
    const lines = this.lines();
    let from = 0;
    for (const [i, want] of wanted.entries()) {
      const at = lines.findIndex((line, k) => k >= from && line.startsWith(want));
      if (at < 0) {
        const after = i === 0 ? 'from the start' : `after "${wanted[i - 1]}"`;
        throw new Errno('ENOENT', `trace: no "${want}" ${after}; there was:\n  ${lines.slice(from).join('\n  ')}`);
      }
      from = at + 1;
    }
  }

  clear(): void {
    this.#events.length = 0;
  }
}
