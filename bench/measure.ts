import type { Effort, Result, Row } from './row.js';

/** The middle one of some values; of an even number, the upper of the two in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/**
 * Measures a row against its yardstick.
 *
 * Both figures of a round are taken one right after the other, so that a machine that is slow for a while is slow for both.
 */
export async function measure(id: string, row: Row, effort: Effort): Promise<Result> {
  // The yardstick first: it is to find a process in which nothing has run yet.
  const yardstick = await row.yardstick.prepare(effort);
  const run = await row.run(effort);
  const yards: number[] = [];
  const values: number[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    yards.push(await yardstick());
    values.push(await run());
  }
  const ratios = values.map((value, i) => value / yards[i]!);
  const value = median(values);
  return {
    id,
    name: row.name,
    unit: row.unit,
    value,
    yardstick: row.yardstick.name,
    yardstickValue: median(yards),
    ratio: median(ratios),
    target: row.target,
    ...(row.rate !== undefined && { rate: rateOf(row.rate, value) }),
    ratios,
  };
}

function rateOf({ of, count, beside }: NonNullable<Row['rate']>, ns: number): NonNullable<Result['rate']> {
  return { of, perSecond: (count / ns) * 1e9, ...(beside !== undefined && { beside }) };
}
