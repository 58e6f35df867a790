import { NO_ADDRESS } from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';
import type { DsaDevice } from './device.js';
import { type Execution, STATUS_BYTES } from './execution.js';

const { DESCRIPTOR, FLAGS, STATUS } = DSA;

/**
 * Tells software how a descriptor ended: by its completion record, or else by the errors of the device; and then by its interrupt.
 * @returns false when it was cancelled meanwhile; nobody is told any more then
 */
export function deliver(device: DsaDevice, x: Execution): boolean {
  const { status } = x;
  const isUsable = x.has(FLAGS.completionValid) && status !== STATUS.completionAlignment;
  if (isUsable && (x.has(FLAGS.requestCompletion) || status !== STATUS.success)) {
    if (!complete(x) && !x.isCancelled) {
      device.errors.descriptor(x, STATUS.completionFault, x.u32(DESCRIPTOR.completion), x.u32(DESCRIPTOR.completion + 4), true);
    }
  } else if (!isUsable && status !== STATUS.success && status !== STATUS.predicate) {
    x.writeRecord();
    device.errors.descriptor(x, status, x.faultLo, x.faultHi, x.isFaultWrite);
  }
  if (x.isCancelled) return false;
  if (x.has(FLAGS.requestInterrupt) && (x.invalidFlags & FLAGS.requestInterrupt) === 0) {
    const message = device.messageFor(x);
    if (message >= 0) device.interrupts.signal(message, x.isIms);
  }
  return !x.isCancelled;
}

/** The status comes last: who polls for it finds the rest. */
function complete(x: Execution): boolean {
  x.writeRecord();
  const { dma, recordRest, pasid } = x;
  const address = dma.address(x.u32(DESCRIPTOR.completion), x.u32(DESCRIPTOR.completion + 4));
  if (address === NO_ADDRESS) return false;
  if (!dma.write(address + STATUS_BYTES, recordRest, 0, recordRest.length, pasid) || x.isCancelled) return false;
  return dma.write32(address, x.statusWord, pasid);
}
