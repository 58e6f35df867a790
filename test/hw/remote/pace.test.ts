import { describe, expect, test, vi } from 'vitest';
import { VirtualClock } from '../../../core/hal/virtual-clock.js';
import { Pace } from '../../../hw/remote/pace.js';

describe('Pace', () => {
  test('takes a virtual clock along with the wall clock, until it is disposed of', async () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const ticks: number[] = [];
    clock.after(3000, () => ticks.push(clock.now()));
    const start = performance.now();
    {
      using _pace = new Pace(clock);
      await vi.waitFor(() => expect(ticks).toHaveLength(1), { timeout: 20_000 });
    }
    const end = clock.now();
    // It is at the event's own time that the event runs, and never ahead of the wall clock.
    expect(ticks).toEqual([3000]);
    expect(end).toBeLessThanOrEqual((performance.now() - start) * 1000);
    const other = new VirtualClock({ mode: 'manual' });
    using _pace = new Pace(other);
    // Several steps of one that is kept: long enough for another to be seen.
    await vi.waitFor(() => expect(other.now()).toBeGreaterThan(5000), { timeout: 20_000 });
    expect(clock.now()).toBe(end);
  });

  test('a machine that was kept waiting falls behind', async () => {
    const clock = new VirtualClock({ mode: 'manual' });
    using _pace = new Pace(clock);
    const start = clock.now();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    await vi.waitFor(() => expect(clock.now()).toBeGreaterThan(start), { interval: 1 });
    expect(clock.now() - start).toBeLessThan(250_000);
  });
});
