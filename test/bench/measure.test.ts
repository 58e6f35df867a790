import { describe, expect, test } from 'vitest';
import { measure, median } from '../../bench/measure.js';
import type { Gauge, Row } from '../../bench/row.js';

/** A gauge that gives these figures, one a round, and notes what happens to it. */
function scripted(name: string, figures: readonly number[], log: string[]): Gauge {
  return {
    name,
    prepare: () => {
      log.push(`prepare ${name}`);
      let round = 0;
      return () => {
        log.push(name);
        return figures[round++]!;
      };
    },
  };
}

describe('median', () => {
  test('is the middle value by size, whatever the order', () => {
    expect(median([10, 9, 100])).toBe(10);
    expect(median([4, 1, 3, 2])).toBe(3);
    expect(median([7])).toBe(7);
  });
});

describe('measure', () => {
  test('sets the yardstick up first, and takes both figures in every round', async () => {
    const log: string[] = [];
    const run = scripted('row', [20, 30], log);
    const row: Row = { name: 'a row', unit: 'ns', yardstick: scripted('yard', [10, 10], log), run: run.prepare };
    await measure('X', row, { rounds: 2, roundMs: 0 });
    expect(log).toEqual(['prepare yard', 'prepare row', 'yard', 'row', 'yard', 'row']);
  });

  test('the ratio is the median of the rounds, not the quotient of the medians', async () => {
    const yardstick = scripted('yard', [10, 20, 40], []);
    const run = scripted('row', [30, 40, 60], []);
    const row: Row = { name: 'a row', unit: 'ns', yardstick, target: 3, run: run.prepare };
    expect(await measure('X', row, { rounds: 3, roundMs: 0 })).toEqual({
      id: 'X',
      name: 'a row',
      unit: 'ns',
      value: 40,
      yardstick: 'yard',
      yardstickValue: 20,
      ratio: 2,
      target: 3,
      ratios: [3, 2, 1.5],
    });
  });

  test('a row that has a rate gets one from its median', async () => {
    const gauge = scripted('it', [500, 500, 250], []);
    const rate = { of: 'bytes', count: 1000 } as const;
    const row: Row = { name: 'a row', unit: 'ns', yardstick: scripted('yard', [1, 1, 1], []), rate, run: gauge.prepare };
    expect(await measure('X', row, { rounds: 3, roundMs: 0 })).toMatchObject({ rate: { of: 'bytes', perSecond: 2e9 } });
  });
});
