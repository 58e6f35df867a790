import { REGS, memoryDevice } from '../fixture/memory-device.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { dataViewGet } from '../yardsticks.js';

export const row: Row = {
  name: 'Mmio: read of a 32-bit register, simulated host',
  unit: 'ns',
  yardstick: dataViewGet,
  async run(effort) {
    const regs = (await memoryDevice()).mapBar(0);
    return timing((calls) => {
      let total = 0;
      for (let i = 0; i < calls; i++) total = (total + regs.read(REGS[i & 3]!)) | 0;
      return total;
    }, effort);
  },
};
