import { requested, roundRobin } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { emit } from '../yardsticks.js';

/** Woken in one window. */
const COUNT = 64;

export const row: Row = {
  name: 'thread half: one of 64 woken in a window',
  unit: 'ns',
  yardstick: emit,
  // 60 ns where an emit takes 21.4.
  target: 2.8,
  async run(effort) {
    const made = await requested(COUNT, 'thread');
    const wakeAll = roundRobin(made);
    const { windows } = made.kernel.irqs.core;
    return timing(
      (calls) => {
        for (let i = 0; i < calls; i++) {
          wakeAll(COUNT);
          windows.drain();
        }
      },
      effort,
      COUNT,
    );
  },
};
