import type { Device, Driver } from '../../core/device/index.js';
import { Parts, trivial } from '../fixture/auxiliary.js';
import { timing } from '../gauge.js';
import type { Row } from '../row.js';
import { LINUX, emit } from '../yardsticks.js';

export const row: Row = {
  name: 'unbind and bind an existing device',
  unit: 'ns',
  yardstick: emit,
  target: 0.15 * LINUX.rebind,
  run(effort) {
    const parts = new Parts(trivial);
    const { core } = parts;
    const driver = parts.driver as Driver;
    const dev = parts.create(0) as Device;
    return timing((calls) => {
      for (let i = 0; i < calls; i++) {
        void core.unbind(dev);
        void core.bind(dev, driver);
      }
    }, effort);
  },
};
