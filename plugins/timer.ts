import { PciDriver, Plugin } from '../core/index.js';
import { TimerDriver } from '../drivers/timer/timer-driver.js';

export { type Timer, Timers } from '../drivers/timer/api.js';

/** The driver of the timer card; its timers are in class `timer`. */
export default new Plugin('timer', ({ bind }) => {
  bind(PciDriver).to(TimerDriver);
});
