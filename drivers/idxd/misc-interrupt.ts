import { type IrqReturn, bit, hex } from '../../core/index.js';
import { INTCAUSE } from '../../hw/regs/dsa.js';
import { recoverFromHalt } from './halt.js';
import type { Idxd } from './idxd.js';
import { takeSwError } from './sw-error.js';

const causeOf = (name: keyof typeof INTCAUSE.fields): number => bit(INTCAUSE.fields[name].lsb) >>> 0;
const ERROR = causeOf('error');
const COMMAND = causeOf('command');
const HALT = causeOf('halt');
const EVENT_LOG = causeOf('evl');
const HANDLES_REVOKED = causeOf('handlesRevoked');
const KNOWN = ERROR | COMMAND | HALT | EVENT_LOG | HANDLES_REVOKED | causeOf('occupancy') | causeOf('perfmon');
/** What a device says that is gone. */
const ONES = 0xffff_ffff;

/**
 * The handler of vector 0: everything that is the device's as a whole. Causes are acknowledged before they are looked into, so that one
 * that comes meanwhile interrupts again.
 * @see Linux 6.12 drivers/dma/idxd/irq.c idxd_misc_thread
 */
export class MiscInterrupt {
  readonly #idxd: Idxd;
  #hasWarned = false;

  constructor(idxd: Idxd) {
    this.#idxd = idxd;
  }

  handle(): IrqReturn {
    const idxd = this.#idxd;
    const causes = idxd.regs.read(INTCAUSE);
    if (causes === 0 || causes === ONES) return 'none';
    idxd.regs.write(INTCAUSE, causes);
    if ((causes & HALT) !== 0) {
      recoverFromHalt(idxd);
      return 'handled';
    }
    if ((causes & ERROR) !== 0) idxd.swError(takeSwError(idxd.regs));
    if ((causes & HANDLES_REVOKED) !== 0) idxd.handlesRevoked();
    if ((causes & COMMAND) !== 0) idxd.commands.interrupted();
    if ((causes & EVENT_LOG) !== 0) idxd.eventLog?.drain();
    if ((causes & ~KNOWN) !== 0 && !this.#hasWarned) {
      this.#hasWarned = true;
      idxd.dev.log('warn', `interrupt with causes that nobody knows: 0x${hex((causes & ~KNOWN) >>> 0)}`, 'unknown_cause');
    }
    return 'handled';
  }
}
