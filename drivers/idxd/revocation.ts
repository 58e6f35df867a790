import { Errno, describeError } from '../../core/index.js';
import { requestHandle } from './completion-vector.js';
import type { KernelPath } from './submit.js';

/** What was submitted before the handle was changed is given so long to get to the device, in microseconds. */
const SETTLE_US = 100;
/** How long descriptors with an old handle are looked after, until the device is asked. */
const LIMIT_US = 10_000;

/**
 * The device has taken back the interrupt handles that it gave out: requests another one, for a path that is paused, and lets it go on with
 * that. Descriptors that name the old one are refused without an interrupt; a drain, which does interrupt, says when to look for them, and
 * they are submitted again. No client learns of it. When there is no handle to be had, the queue is of no use: its work is aborted.
 * @see Linux 6.12 drivers/dma/idxd/irq.c idxd_int_handle_revoke_work, idxd_int_handle_revoke_drain
 */
export async function renewHandle(path: KernelPath): Promise<void> {
  const { wq, vector } = path;
  const { clock } = wq.idxd.dev;
  try {
    path.handle = await requestHandle(wq, vector);
  } catch (error) {
    path.fail(new Errno('ENXIO', `${wq.name}: has lost its interrupt: ${describeError(error)}`, { cause: error }));
    await path.abort();
    path.completions.abort(false);
    return;
  }
  path.resume();
  await clock.sleep(SETTLE_US);
  if (!path.hasHandle) return;
  path.drain();
  const isRenewed = (): boolean => {
    path.completions.reap();
    return !path.hasHandle || !path.hasOldHandles;
  };
  await clock.poll(isRenewed, { intervalUs: SETTLE_US, timeoutUs: LIMIT_US }).catch(() => {});
  // What is before the drain takes longer, or there was no room for it.
  if (path.hasHandle && path.hasOldHandles && (await path.command('drainWq'))) path.completions.reap();
}
