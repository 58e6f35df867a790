import { REGS, memoryDevice } from '../fixture/memory-device.js';
import { timed, timing } from '../gauge.js';
import type { Row } from '../row.js';

export const row: Row = {
  name: 'mapBar, one write, one read, unmap',
  unit: 'ns',
  yardstick: timed('new DataView, set, get', () => {
    const buffer = new ArrayBuffer(4096);
    return (calls) => {
      let total = 0;
      for (let i = 0; i < calls; i++) {
        const view = new DataView(buffer);
        view.setUint32(0, i, true);
        total = (total + view.getUint32(0, true)) | 0;
      }
      return total;
    };
  }),
  async run(effort) {
    const dev = await memoryDevice();
    return timing((calls) => {
      let total = 0;
      for (let i = 0; i < calls; i++) {
        const regs = dev.mapBar(0);
        regs.write(REGS[0]!, i);
        total = (total + regs.read(REGS[0]!)) | 0;
        regs[Symbol.dispose]();
      }
      return total;
    }, effort);
  },
};
