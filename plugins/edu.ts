import { PciDriver, Plugin } from '../core/index.js';
import { EduDriver } from '../drivers/edu/edu-driver.js';

export { type Edu, Edus } from '../drivers/edu/api.js';

/** The driver of QEMU's educational device; its devices are in class `edu`. */
export default new Plugin('edu', ({ bind }) => {
  bind(PciDriver).to(EduDriver);
});
