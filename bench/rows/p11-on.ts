import { Parts, cycle, trivial } from '../fixture/auxiliary.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'trace points that count steps',
  unit: 'ns',
  yardstick: timed('off', () => cycle(1, trivial)),
  run(effort) {
    const parts = new Parts(trivial);
    let steps = 0;
    parts.core.tracer = () => {
      steps++;
    };
    return timing((calls) => {
      for (let i = 0; i < calls; i++) void parts.bus.destroy(parts.create(0) as never);
      return steps;
    }, effort);
  },
};
