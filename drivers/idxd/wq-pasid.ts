import { Errno, describeError, hex } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import type { CommandName } from './commands.js';
import { writePasid } from './configure.js';
import { type Wq, wqOperand } from './wq.js';

/**
 * Has a dedicated queue work in an address space; what was submitted before, and what has arrived of it in part, is gone by then.
 * @throws {Errno} ENXIO when the device refuses, and has no such queue any more until this succeeds; as `Commands.run`
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_wq_set_pasid
 */
export async function setPasid(wq: Wq, pasid: number | undefined): Promise<void> {
  await command(wq, 'disableWq', wqOperand(wq), DSA.ERRORS.wqNotEnabled);
  wq.pasid = pasid;
  writePasid(wq);
  await command(wq, 'enableWq', wq.index, DSA.ERRORS.wqNotDisabled);
}

/**
 * The queue works in no address space any more. A device that cannot be told is in the log: it has halted, or is gone.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_wq_disable_pasid
 */
export function clearPasid(wq: Wq): Promise<void> {
  return quietly(wq, () => setPasid(wq, undefined)).finally(() => (wq.pasid = undefined));
}

/**
 * Waits for the work of an address space, in all queues.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_drain_pasid
 */
export function drainPasid(wq: Wq, pasid: number): Promise<void> {
  return quietly(wq, () => command(wq, 'drainPasid', pasid, DSA.ERRORS.none));
}

/** @param other the status that says that it was so before */
async function command(wq: Wq, name: CommandName, operand: number, other: number): Promise<void> {
  const { status } = await wq.idxd.commands.run(name, operand);
  if (status === DSA.ERRORS.none || status === other) return;
  throw new Errno('ENXIO', `${wq.name}: ${name} refused with status 0x${hex(status)}`);
}

async function quietly(wq: Wq, body: () => Promise<void>): Promise<void> {
  if (wq.idxd.state !== 'enabled') return;
  try {
    await body();
  } catch (error) {
    wq.log('warn', `work may be under way: ${describeError(error)}`, 'command_failed');
  }
}
