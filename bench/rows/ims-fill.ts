import { fillAndEmpty } from '../fixture/interrupts.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';

/** A slot of a store of so many, allocated and freed. */
const slotOf = (slots: number): Row['yardstick'] => ({
  name: `a slot of ${slots}`,
  prepare: async (effort) => timing(await fillAndEmpty(slots), effort, slots),
});

export const row: Row = {
  name: 'IMS: fill and empty 65,536 slots, each',
  unit: 'ns',
  yardstick: slotOf(64),
  // As of devices: what lives so long is moved by the garbage collector.
  target: 4,
  run: async (effort) => slotOf(effort.roundMs === 0 ? 16 : 65_536).prepare(effort),
};
