import { getHeapStatistics } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { EVENTS } from '../../../hw/regs/nic.js';
import { NicBench } from './fixture.js';

/** Rounds of so many events, after which the code is what it stays: an allocation for each would be 16 bytes or more. */
const EVENTS_PER_ROUND = 4000;
const AT_ONCE = 100;
const WARM_UP = 20;
const ROUNDS = 9;

/** Bytes that an event costs: the median, since a collection or a compilation in one of the rounds is not what is looked for. */
function bytesEach(handle: () => void): number {
  const round = (): void => {
    for (let n = 0; n < EVENTS_PER_ROUND; n += AT_ONCE) handle();
  };
  for (let n = 0; n < WARM_UP; n++) round();
  const bytes = Array.from({ length: ROUNDS }, () => {
    const before = getHeapStatistics().used_heap_size;
    round();
    return (getHeapStatistics().used_heap_size - before) / EVENTS_PER_ROUND;
  });
  return bytes.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
}

/** Devices reach memory as it is, and registers at once: what models of those allocate is not the driver's. */
const MACHINE = { iommu: false, postedWrites: false } as const;

describe('an event on its way from its queue to who is told', () => {
  test('allocates nothing on a queue of completions', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 }, machine: MACHINE });
    const { core, silicon } = bench;
    const eqn = await core.compEqn(0);
    let completions = 0;
    core.addCq(eqn, 7, { completed: () => void completions++, failed: () => {} });
    const model = silicon.pf.eqs[eqn]!;
    const bytes = bytesEach(() => {
      for (let n = 0; n < AT_ONCE; n++) model.postCompletion(7);
      core.pollEq(eqn);
    });
    expect(completions).toBe((WARM_UP + ROUNDS) * EVENTS_PER_ROUND);
    expect(bytes).toBeLessThan(4);
  }, 60_000);

  test('allocates nothing on a queue of what happens', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 }, machine: MACHINE });
    const { core, silicon } = bench;
    let events = 0;
    using _listener = core.events.on(EVENTS.general, ({ type, subType }) => void (events += type + subType));
    const queue = core.eqs.asyncEqs[1]!;
    const model = silicon.pf.eqs[queue.eqn]!;
    const bytes = bytesEach(() => {
      for (let n = 0; n < AT_ONCE; n++) model.post(EVENTS.general);
      queue.poll();
    });
    expect(events).toBe((WARM_UP + ROUNDS) * EVENTS_PER_ROUND * EVENTS.general);
    expect(bytes).toBeLessThan(4);
  }, 60_000);
});
