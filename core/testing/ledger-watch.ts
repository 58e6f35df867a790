import type { Devres, DevresEntry, DevresHooks } from '../devres/index.js';
import type { DeviceCore, Violation } from '../device/index.js';
import { Errno } from '../lib/index.js';
import { callerStack } from './tap.js';

/** One thing that is still held, and by whom. */
export interface Holding {
  /** The device. */
  readonly owner: string;
  /** What: a ledger label, `timer`, `child x`, `dma memory`. */
  readonly what: string;
  /** How long, in virtual microseconds; undefined where that is not known. */
  readonly ageUs: number | undefined;
  /** Where it was acquired; the empty string where that is not known. */
  readonly stack: string;
}

/** Listens to every ledger of a core: what is held, since when, by whose call; and makes acquisitions fail. @internal */
export class LedgerWatch implements DevresHooks {
  readonly #core: DeviceCore;
  readonly #live = new Map<DevresEntry, { owner: string; sinceUs: number; stack: string }>();
  readonly violations: Violation[] = [];
  /** Called before each acquisition; throwing makes it fail. */
  onAcquire: ((owner: string, label: string) => void) | undefined = undefined;
  /** Labels acquired, in order, since the last reset. */
  acquired: string[] = [];

  constructor(core: DeviceCore) {
    this.#core = core;
    core.devresHooks = this;
    core.violations.on((violation) => this.violations.push(violation));
  }

  acquiring(ledger: Devres, label: string): void {
    this.acquired.push(label);
    this.onAcquire?.(ledger.owner.name, label);
  }

  added(ledger: Devres, entry: DevresEntry): void {
    const owner = ledger.owner.name;
    this.#live.set(entry, { owner, sinceUs: this.#core.clock.now(), stack: callerStack() });
    this.#core.tracer?.({ kind: 'acquire', who: owner, detail: entry.label });
  }

  released(ledger: Devres, entry: DevresEntry): void {
    this.#live.delete(entry);
    this.#core.tracer?.({ kind: 'undo', who: ledger.owner.name, detail: entry.label });
  }

  /** What ledgers hold; an entry that was forgotten or that nobody holds any more is dropped on the way. */
  holdings(): Holding[] {
    const all: Holding[] = [];
    for (const [entry, { owner, sinceUs, stack }] of this.#live) {
      if (entry.ledger === undefined) {
        this.#live.delete(entry);
        continue;
      }
      all.push({ owner, what: entry.label, ageUs: this.#core.clock.now() - sinceUs, stack });
    }
    return all;
  }
}

/** The report of what is held: one paragraph a thing, with the stack that acquired it. */
export function formatHoldings(when: string, holdings: readonly Holding[]): string {
  const head = `${holdings.length} ${holdings.length === 1 ? 'thing is' : 'things are'} still held ${when}`;
  const lines = holdings.map(({ owner, what, ageUs, stack }) => {
    const age = ageUs === undefined ? '' : `, held for ${ageUs} us`;
    return `  ${what} of ${owner}${age}${stack === '' ? '' : `, acquired\n${stack}`}`;
  });
  return [head, ...lines].join('\n');
}

/** The error of a leak. @internal */
export const leakError = (when: string, holdings: readonly Holding[]): Errno =>
  new Errno('EBUSY', formatHoldings(when, holdings));
