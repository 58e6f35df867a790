import { Errno } from '../lib/index.js';
import type { VfioIrqSet, VfioOps } from './uapi.js';

const MAX_U32 = 0xffff_ffff;
const ACTIONS: readonly unknown[] = ['mask', 'unmask', 'trigger'];

/**
 * Whether what a user wants of interrupts has the right shape, for the interrupts that the device has.
 * @throws {Errno} EINVAL
 * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_set_irqs_validate_and_prepare
 */
export function checkIrqSet(who: string, set: VfioIrqSet, ops: Pick<VfioOps, 'info' | 'irqInfo'>): void {
  const { index, action, start, count, eventfds, bools } = set;
  const refuse = (what: string): Errno => new Errno('EINVAL', `${who}: interrupts of index ${index}: ${what}`);
  if (!isCount(index) || index >= ops.info.irqs) throw refuse('there are none');
  if (!isCount(start) || !isCount(count) || count >= MAX_U32 - start) throw refuse(`${count} from ${start} on`);
  if (!ACTIONS.includes(action)) throw refuse(`${action} is no action: must be ${ACTIONS.join(', ')}`);
  const { count: all } = ops.irqInfo(index);
  if (start >= all || start + count > all) throw refuse(`${count} from ${start} on, of ${all}`);
  if (eventfds !== undefined && bools !== undefined) throw refuse('both eventfds and bools: give one of them');
  const data = eventfds ?? bools;
  if (data !== undefined && data.length < count) throw refuse(`${data.length} values for ${count} interrupts`);
}

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= MAX_U32;
