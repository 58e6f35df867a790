import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RealClock } from '../../../hw/remote/real-clock.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('RealClock', () => {
  test('events run in order of their time, never early, each followed by a window', () => {
    const clock = new RealClock();
    const ran: [string, number][] = [];
    clock.onEvent(() => ran.push(['window', clock.now()]));
    clock.after(2500, () => ran.push(['b', clock.now()]));
    clock.deadline(2400, () => ran.push(['a', clock.now()]));
    clock.after(100, () => ran.push(['never', 0])).cancel();
    vi.advanceTimersByTime(2);
    expect(ran).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(ran.map(([name]) => name)).toEqual(['a', 'window', 'b', 'window']);
    expect(ran[0]?.[1]).toBeGreaterThanOrEqual(2400);
  });

  test('an event may add another, counted from now', () => {
    const clock = new RealClock();
    const at: number[] = [];
    clock.after(1000, () => clock.after(1000, () => at.push(clock.now())));
    vi.advanceTimersByTime(5);
    expect(at).toHaveLength(1);
    expect(at[0]).toBeGreaterThanOrEqual(2000);
  });

  test('poll looks once more after the limit, then throws ETIMEDOUT', async () => {
    const clock = new RealClock();
    const looks: number[] = [];
    const look = () => {
      looks.push(clock.now());
      return false;
    };
    const [result] = await Promise.allSettled([
      clock.poll(look, { timeoutUs: 3000, intervalUs: 1000, what: 'reset' }),
      vi.advanceTimersByTimeAsync(10),
    ]);
    expect(result).toMatchObject({ reason: { message: 'ETIMEDOUT: reset: no result within 3000 us' } });
    expect(looks.at(-1)).toBeGreaterThanOrEqual(3000);
  });

  test('poll gives what the look gave', async () => {
    const clock = new RealClock();
    let looks = 0;
    const value = clock.poll(() => (++looks === 3 ? 'ready' : undefined), { timeoutUs: 100_000 });
    await vi.advanceTimersByTimeAsync(10);
    expect(await value).toBe('ready');
  });
});
