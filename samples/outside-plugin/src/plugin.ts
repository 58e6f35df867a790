import { PciDriver, Plugin } from 'backplane';
import { DiceDriver } from './driver.js';

export default new Plugin('dice', ({ bind }) => {
  bind(PciDriver).to(DiceDriver);
});
