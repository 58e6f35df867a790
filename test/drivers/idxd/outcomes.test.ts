import { describe, expect, test } from 'vitest';
import { ABORTED } from '../../../drivers/idxd/completion.js';
import { Outcome, Outcomes } from '../../../drivers/idxd/outcomes.js';
import { STATUS } from '../../../hw/regs/dsa.js';
import { Lane } from './dma-fixture.js';

describe('Outcomes', () => {
  test('what is under way is never forgotten, however much comes and ends after it', async () => {
    await using lane = await Lane.open();
    const { pool } = lane.path;
    const outcomes = new Outcomes('wq0.0', 4);
    const kept = [outcomes.begin(), outcomes.begin(), outcomes.begin()];
    for (let n = 0; n < 1000; n++) outcomes.end(outcomes.begin(), ABORTED, pool, 0);
    expect(kept.map((cookie) => outcomes.status(cookie))).toEqual(['in-progress', 'in-progress', 'in-progress']);
    // Its place was passed over: no other has been given a number that lies there.
    expect(() => outcomes.status(kept[0]! + 64)).toThrow('ENOENT');
    outcomes.end(kept[0]!, ABORTED, pool, 0);
    expect(outcomes.status(kept[0]!)).toBe('aborted');
  });

  test('what is told of a transfer is as the record has it, at any status', async () => {
    await using lane = await Lane.open();
    const { pool } = lane.path;
    const outcomes = new Outcomes('wq0.0', 4);
    const told = new Outcome();
    const of = (status: number): string => {
      const cookie = outcomes.begin();
      outcomes.end(cookie, status, pool, 0);
      outcomes.tell(cookie, told);
      return `${told.status} ${told.error?.code}`;
    };
    expect(of(STATUS.success)).toBe('complete undefined');
    expect(of(STATUS.predicate)).toBe('complete undefined');
    expect(of(ABORTED)).toBe('aborted ECANCELED');
    expect(of(0x7f)).toBe('error EIO');
    expect(told.error!.message).toContain('status 0x7f, unknown status');
    // All that the datasheet has, but for success.
    for (const status of Object.values(STATUS).filter((one) => one > STATUS.predicate)) {
      expect(of(status)).toMatch(/^error E/);
      expect(told.error!.message).toMatch(/: status 0x[0-9a-f]+, (?!unknown)/);
    }
  });
});
