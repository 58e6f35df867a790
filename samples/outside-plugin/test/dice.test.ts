import type { Kernel } from 'backplane';
import { Machine } from 'backplane/sim';
import { explore, failEach, removeAnywhere } from 'backplane/testing';
import { harnessTest } from 'backplane/testing/vitest';
import { expect } from 'vitest';
import { type Dice, DiceDriver } from '../src/driver.js';
import { die } from '../src/model.js';

const bench = {
  driver: ({ clock }: Kernel) => new DiceDriver(clock),
  host: () => new Machine({ devices: [{ at: '00:04.0', model: die }] }),
};
const test = harnessTest(bench);

test('a die shows one of its sides', async ({ harness }) => {
  const dice = await harness.bind<Dice>();
  const values = [await dice.roll(), await dice.roll(), await dice.roll()];
  expect(values.every((v) => v >= 1 && v <= 6)).toBe(true);
});

test('unbind gives everything back, last first', async ({ harness }) => {
  await harness.bind();
  await harness.unbind();
  expect(harness.trace).toUndoLastFirst('0000:00:04.0');
  expect(harness).toHoldNothing();
});

test('a die kept past unbind throws ENODEV', async ({ harness }) => {
  const dice = await harness.bind<Dice>();
  await harness.unbind();
  await harness.expectViolation('use-after-unbind', () => dice.roll());
});

test('probe gives everything back whichever acquisition fails', async () => {
  expect(await failEach(bench)).toEqual(['bar 0', 'class dice']);
});

test('the device may vanish anywhere', async () => {
  const points = await removeAnywhere(bench, {
    use: async ({ device }) => (device.state as Dice).roll().catch(() => 0),
  });
  expect(points.length).toBeGreaterThan(5);
});

test('any order of binds, unbinds, removals and rolls settles', async () => {
  const result = await explore(bench, {
    operations: { roll: ({ device }) => (device.state as Dice | undefined)?.roll() },
  });
  expect(result.schedules).toBe(100);
});
