import type { Result } from './row.js';

/** A ratio may be this many times its target before the gate closes: what a shared machine adds by itself. */
const NOISE = 1.25;

/** `near`: above the target, by no more than noise; `-`: there is no target. */
export type Verdict = 'pass' | 'near' | 'MISS' | '-';

export function verdict({ ratio, target }: Pick<Result, 'ratio' | 'target'>): Verdict {
  if (target === undefined) return '-';
  if (ratio <= target) return 'pass';
  return ratio <= target * NOISE ? 'near' : 'MISS';
}

/** The result with the lower ratio: a second try may only help. */
export function better(a: Result, b: Result): Result {
  return b.ratio < a.ratio ? b : a;
}

const UNITS = {
  ns: ['ns', 'us', 'ms', 's'],
  ms: ['ms', 's'],
  bytes: ['B', 'kB', 'MB'],
  times: [''],
} as const;

/** A value in the unit that leaves it below a thousand, in three digits. */
export function inUnit(value: number, unit: Result['unit']): string {
  const names = UNITS[unit];
  let scaled = value;
  let i = 0;
  for (; i < names.length - 1 && scaled >= 999.5; i++) scaled /= 1000;
  return `${digits(scaled)} ${names[i]!}`.trimEnd();
}

const THOUSANDS = ['', 'k', 'M', 'G', 'T'] as const;

/** How many in a second, in three digits: `3.51 M descriptors/s`, `43.2 GB/s`. */
export function inRate({ of, perSecond, beside }: NonNullable<Result['rate']>): string {
  let scaled = perSecond;
  let i = 0;
  for (; i < THOUSANDS.length - 1 && scaled >= 999.5; i++) scaled /= 1000;
  const prefix = THOUSANDS[i]!;
  const rate = `${digits(scaled)} ${of === 'bytes' ? `${prefix}B` : `${prefix} ${of}`.trim()}/s`;
  return beside === undefined ? rate : `${rate} (${beside})`;
}

function digits(value: number): string {
  return value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

/** Lines of a table; each can be printed as soon as its row is done. */
export class Table {
  readonly #widths: readonly [id: number, name: number];

  /** @param ids of all rows to come */
  constructor(ids: readonly string[]) {
    this.#widths = [Math.max(3, ...ids.map((id) => id.length)), 52];
  }

  header(): string {
    return this.#line('row', 'what', 'median', 'yardstick', '', 'ratio', 'target', 'verdict');
  }

  line(result: Result): string {
    const { id, name, unit, value, yardstick, yardstickValue, ratio, target } = result;
    const limit = target === undefined ? '' : digits(target);
    const scale = inUnit(yardstickValue, unit);
    const rate = result.rate === undefined ? '' : `  ${inRate(result.rate)}`;
    return this.#line(id, name, inUnit(value, unit), yardstick, scale, digits(ratio), limit, verdict(result)) + rate;
  }

  #line(
    id: string,
    name: string,
    value: string,
    yardstick: string,
    scale: string,
    ratio: string,
    target: string,
    end: string,
  ): string {
    const [idWidth, nameWidth] = this.#widths;
    const right = [value.padStart(9), `${yardstick.padStart(22)} ${scale.padStart(8)}`, ratio.padStart(7), target.padStart(7)];
    return `${id.padEnd(idWidth)}  ${name.padEnd(nameWidth)}  ${right.join('  ')}  ${end}`;
  }
}
