import { Errno, PCI, describeError, hex } from '../../core/index.js';
import { ERRORS, GENSTATUS, RESETS, STATES } from '../../hw/regs/dsa.js';
import { enableCauses } from './causes.js';
import { restoreConfiguration, saveConfiguration } from './configuration.js';
import type { Idxd } from './idxd.js';
import { type Bound, unbindPart } from './unbind-part.js';

/** How long a function may take to answer after its reset. @see PCI Express Base Specification 6.0, 2.3.1 */
const READY_US = 1_000_000;

/** Who waits for work is told that it was aborted, before his queue goes. */
const TELL_US = 1;
const RESET_NAMES = ['software', 'function-level', 'warm', 'cold'];

/**
 * The device has had a hardware error and stands still: everybody is told, and what can be reset is.
 *
 * After a software reset it is as after probe: disabled, and without configuration. After a function-level reset its configuration and its
 * drivers are as they were before. Other resets are not ours to do: it stays halted.
 * @see Linux 6.12 drivers/dma/idxd/irq.c idxd_halt; 7.2 idxd_reset_prepare, idxd_reset_done
 */
export function recoverFromHalt(idxd: Idxd): void {
  const { dev, regs } = idxd;
  const needed = regs.readField(GENSTATUS, GENSTATUS.fields.resetNeeded);
  idxd.halted();
  idxd.commands.halted();
  const reset = needed === RESETS.software ? resetSoftware : needed === RESETS.flr ? resetFunction : undefined;
  dev.log('err', `${idxd.name}: has halted: needs a ${RESET_NAMES[needed]!} reset`, 'halted');
  if (reset !== undefined) idxd.schedule('recovery from a halt', () => recover(idxd, reset));
}

/**
 * The device may be at work, whatever it was told: then it reaches no memory from now on, so that what it had of that can go, and is reset
 * as after a halt. One that stands still is left alone, as one that is gone is.
 */
export function cutOff(idxd: Idxd): void {
  const { dev, regs } = idxd;
  const state = regs.readField(GENSTATUS, GENSTATUS.fields.state);
  if (idxd.state === 'halted' || (state !== STATES.enabled && state !== STATES.draining)) return;
  dev.config.modify(PCI.COMMAND, { master: 0 });
  dev.log('err', `${idxd.name}: does not end its work: is cut off from memory, and reset`, 'cut_off');
  idxd.halted();
  idxd.commands.cutOff();
  idxd.schedule('recovery of a device that was cut off', () => recover(idxd, resetFunction));
}

async function recover(idxd: Idxd, reset: (idxd: Idxd) => Promise<void>): Promise<void> {
  await idxd.dev.clock.sleep(TELL_US);
  await reset(idxd);
}

async function resetSoftware(idxd: Idxd): Promise<void> {
  await unbindAll(idxd);
  const { status } = await idxd.commands.run('resetDevice');
  if (status !== ERRORS.none) throw new Errno('EIO', `${idxd.name}: reset refused with status 0x${hex(status)}`);
  idxd.state = 'disabled';
  idxd.clear();
  enableCauses(idxd);
}

async function resetFunction(idxd: Idxd): Promise<void> {
  const configuration = saveConfiguration(idxd);
  const bound = await unbindAll(idxd);
  await idxd.dev.reset(READY_US);
  idxd.dev.config.modify(PCI.COMMAND, { master: 1 });
  idxd.commands.restarted();
  idxd.state = 'disabled';
  enableCauses(idxd);
  restoreConfiguration(configuration);
  for (const one of bound.reverse()) await rebind(one);
}

async function rebind({ dev, driver }: Bound): Promise<void> {
  if (!dev.registered) return;
  try {
    await dev.idxd.core.bind(dev, driver);
  } catch (error) {
    dev.log('err', `not bound to ${driver.name} again: ${describeError(error)}`, 'rebind_failed');
  }
}

/** Queues first, and then the device as a whole. */
async function unbindAll(idxd: Idxd): Promise<Bound[]> {
  const bound: Bound[] = [];
  for (const dev of [...idxd.wqs, idxd.conf]) {
    const one = await unbindPart(dev);
    if (one !== undefined) bound.push(one);
  }
  return bound;
}
