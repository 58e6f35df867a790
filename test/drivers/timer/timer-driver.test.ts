import { describe, expect, test } from 'vitest';
import { Machine } from '../../../hw/sim/index.js';
import { timer } from '../../../hw/models/timer.js';
import { DriverHarness } from '../../../core/testing/index.js';
import { Timers } from '../../../drivers/timer/api.js';
import { TimerDriver } from '../../../drivers/timer/timer-driver.js';

const bench = (timers = 1): DriverHarness =>
  new DriverHarness({
    driver: ({ ims, irqs }) => new TimerDriver(ims, irqs),
    host: () => new Machine({ lines: 32, devices: [{ at: '00:04.0', model: timer({ timers }) }] }),
  });

describe('TimerDriver', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    await using harness = bench();
    expect(await harness.failEach()).toEqual(['bar 0', 'ims domain', 'ims slot', 'irq 32', 'class timer']);
  });

  test('several timers of a card give everything back as well', async () => {
    await using harness = bench(3);
    expect(await harness.failEach()).toHaveLength(2 + 3 * 3);
  });

  test('the card may vanish at any access, acquisition and interrupt, and while it ticks', async () => {
    await using harness = bench(2);
    const points = await harness.removeAnywhere(undefined, {
      use: async ({ kernel }) => {
        for (const [, one] of Timers.list(kernel.core)) one.start(10, () => {});
        await kernel.clock.sleep(35);
        for (const [, one] of Timers.list(kernel.core)) one.stop();
      },
    });
    expect(points.filter((point) => point.startsWith('interrupt')).length).toBeGreaterThan(3);
  });

  test('holds in every interleaving of binds, removals, interrupts and ticks', async () => {
    await using harness = bench(2);
    const result = await harness.explore({
      runs: 50,
      operations: {
        start: ({ kernel }) => Timers.list(kernel.core).map(([, one]) => one.start(5, () => {})),
        sleep: ({ kernel }) => kernel.clock.sleep(12),
      },
    });
    expect(result.steps['interrupt']).toBeGreaterThan(0);
  });

  test('a timer kept past its binding is gone', async () => {
    await using harness = bench();
    const [kept] = await harness.bind<readonly { stop(): void; start(us: number, tick: () => void): void }[]>();
    await harness.unbind();
    await harness.expectViolation('use-after-unbind', () => kept!.start(10, () => {}));
  });

  test('its ledger reads the same backwards', async () => {
    await using harness = bench(2);
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('0000:00:04.0')).toBe(true);
  });
});
