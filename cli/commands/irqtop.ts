import type { IrqCore } from '../../core/irq/core.js';
import { chipName } from '../../core/irq/proc.js';
import { wholeNumber } from '../args.js';
import type { Context, Ongoing } from '../command.js';
import { UsageError } from '../usage-error.js';

/** Time between two looks. */
const DELAY_MS = 1000;

interface Rate {
  readonly virq: number;
  /** `IR-IMS-0000:00:05.0 0-edge timer0`. */
  readonly name: string;
  readonly total: number;
  /** Since the last look. */
  readonly delta: number;
  /** A second of the system's time; undefined when that has not moved. */
  readonly perSecond: number | undefined;
}

interface Sample {
  readonly nowUs: number;
  readonly deltaUs: number;
  readonly total: number;
  readonly delta: number;
  /** The busiest first; those that never came are left out. */
  readonly interrupts: readonly Rate[];
}

/** Shows how often interrupts come, again and again. */
export function irqtop({ system, args, out }: Context): Ongoing {
  const looks = numberOf(args.value('iterations'), '--iterations', Infinity);
  if (looks < 1) throw new UsageError(`--iterations is 1 or more, got '${looks}'`);
  const delayMs = numberOf(args.value('delay'), '--delay', DELAY_MS);
  const counter = new Counter(system.kernel.irqs.core);
  let left = looks;
  let timer: NodeJS.Timeout | undefined;
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const look = (): void => {
    const sample = counter.look();
    out.show(sample, () => text(sample, left < looks));
    if (--left > 0) timer = setTimeout(look, delayMs);
    else end();
  };
  look();
  return { ended, stop: () => clearTimeout(timer) };
}

function numberOf(value: string | undefined, what: string, standard: number): number {
  return value === undefined ? standard : wholeNumber(value, what, 2 ** 31 - 1);
}

/** Knows what it saw last. */
class Counter {
  readonly #core: IrqCore;
  readonly #totals = new Map<number, number>();
  #nowUs = 0;

  constructor(core: IrqCore) {
    this.#core = core;
  }

  look(): Sample {
    const nowUs = this.#core.clock.now();
    const deltaUs = nowUs - this.#nowUs;
    this.#nowUs = nowUs;
    const interrupts: Rate[] = [];
    for (const desc of this.#core.all()) {
      const { virq, total } = desc;
      // A number may have become another interrupt's, which begins at 0.
      const before = this.#totals.get(virq) ?? 0;
      const delta = total < before ? total : total - before;
      this.#totals.set(virq, total);
      if (total === 0) continue;
      const users = desc.actions.map(({ name }) => name).join(', ');
      const type = desc.flowName === '' ? '' : `-${desc.flowName}`;
      const name = `${chipName(desc)} ${desc.data.hwirq}${type}  ${users}`.trimEnd();
      interrupts.push({ virq, name, total, delta, perSecond: deltaUs === 0 ? undefined : (delta * 1e6) / deltaUs });
    }
    interrupts.sort((a, b) => b.delta - a.delta || b.total - a.total || a.virq - b.virq);
    const sum = (key: 'total' | 'delta'): number => interrupts.reduce((all, one) => all + one[key], 0);
    return { nowUs, deltaUs, total: sum('total'), delta: sum('delta'), interrupts };
  }
}

/** @see util-linux 2.41 sys-utils/irqtop.c */
function text({ nowUs, deltaUs, total, delta, interrupts }: Sample, isNext: boolean): string[] {
  const rows = interrupts.map(({ virq, name, total, delta, perSecond }) => {
    const rate = perSecond === undefined ? '-' : perSecond.toFixed(perSecond < 10 ? 1 : 0);
    return `${`${virq}`.padStart(5)} ${`${total}`.padStart(10)} ${`${delta}`.padStart(8)} ${rate.padStart(9)}  ${name}`;
  });
  return [
    ...(isNext ? [''] : []),
    `irqtop | now ${nowUs} us, ${deltaUs} us since the last look | total: ${total} delta: ${delta}`,
    `${'IRQ'.padStart(5)} ${'TOTAL'.padStart(10)} ${'DELTA'.padStart(8)} ${'RATE/s'.padStart(9)}  NAME`,
    ...rows,
  ];
}
