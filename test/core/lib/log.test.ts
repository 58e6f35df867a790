import { describe, expect, test } from 'vitest';
import { LOG_LEVELS, Log } from '../../../core/lib/log.js';

describe('Log', () => {
  test('stamps each line with a number and the time, and tells who follows', () => {
    let now = 5;
    const log = new Log(() => now);
    const heard: number[] = [];
    const following = log.follow((r) => heard.push(r.seq));
    log.write('err', 'd1', 'no', 'probe_failed');
    now = 9;
    following.dispose();
    log.write('info', 'd2', 'yes');
    expect(log.records()).toEqual([
      { seq: 0, timeUs: 5, level: 'err', who: 'd1', text: 'no', id: 'probe_failed' },
      { seq: 1, timeUs: 9, level: 'info', who: 'd2', text: 'yes', id: undefined },
    ]);
    expect(heard).toEqual([0]);
  });

  test('keeps the last 4096 lines, oldest first', () => {
    const log = new Log();
    const ends = (): number[] => [log.records().length, log.records()[0]!.seq, log.records().at(-1)!.seq];
    for (let i = 0; i < 4096; i++) log.write('debug', 'x', '');
    expect(ends()).toEqual([4096, 0, 4095]);
    log.write('debug', 'x', '');
    expect(ends()).toEqual([4096, 1, 4096]);
    for (let i = 0; i < 5000; i++) log.write('debug', 'x', '');
    expect(ends()).toEqual([4096, 5001, 9096]);
  });

  test("the index of a level is Linux's number for it", () => {
    // include/linux/kern_levels.h
    expect(['emerg', 'err', 'warn', 'debug'].map((l) => LOG_LEVELS.indexOf(l as 'err'))).toEqual([0, 3, 4, 7]);
  });
});
