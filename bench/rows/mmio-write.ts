import { REGS, memoryDevice } from '../fixture/memory-device.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { dataViewSet } from '../yardsticks.js';

export const row: Row = {
  name: 'Mmio: posted write of a 32-bit register',
  unit: 'ns',
  yardstick: dataViewSet,
  async run(effort) {
    const regs = (await memoryDevice()).mapBar(0);
    return timing((calls) => {
      for (let i = 0; i < calls; i++) regs.write(REGS[i & 3]!, i);
    }, effort);
  },
};
