import { hits, requested } from '../fixture/interrupts.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

const settled = Promise.resolve();

export const row: Row = {
  name: 'thread half: from the device on, one',
  unit: 'ns',
  yardstick: timed('queueMicrotask', () => {
    let count = 0;
    const task = (): void => {
      count++;
    };
    return async (calls) => {
      for (let i = 0; i < calls; i++) {
        queueMicrotask(task);
        await settled;
      }
      return count;
    };
  }),
  target: 2,
  async run(effort) {
    const { slots } = (await requested(1, 'thread')).sender;
    return timing(async (calls) => {
      for (let i = 0; i < calls; i++) {
        // The window opens in a microtask, before this goes on.
        slots.send(0);
        await settled;
      }
      return hits;
    }, effort);
  },
};
