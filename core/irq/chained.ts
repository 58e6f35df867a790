import { Errno, joinErrors } from '../lib/errno.js';
import { NO_IRQ_CHIP } from './chip.js';
import { activateDesc, shutdownAndDeactivate, startup } from './control.js';
import type { IrqDesc } from './desc.js';
import { type FlowHandler, handleBad, maskAck } from './flow.js';
import { setType } from './manage.js';
import { unmaskIrq } from './mask.js';
import { locked } from './operations.js';
import * as S from './state.js';

const CHAINED_SETTINGS = S.CHAINED | S.NO_REQUEST | S.NO_THREAD;

/**
 * Makes an interrupt the input of another controller: it starts, and `flow` finds out which of the controller's have come. Without
 * `flow` that ends.
 * @throws {Errno} EBUSY when it is in use; ENOSYS when nobody has set up its chip; what the chip or a level threw
 * @see Linux 7.2 kernel/irq/chip.c irq_set_chained_handler_and_data
 * @internal
 */
export function setChainedHandler(desc: IrqDesc, flow: FlowHandler | undefined, data: unknown): void {
  const { virq, who } = desc;
  const isChained = (desc.settings & S.CHAINED) !== 0;
  if (flow === undefined) {
    if (isChained) locked(desc, () => unchain(desc));
    return;
  }
  if (isChained || desc.isRequested) throw new Errno('EBUSY', `${who}: irq ${virq}: has handlers: free them first`);
  if (desc.chip === NO_IRQ_CHIP) throw new Errno('ENOSYS', `${who}: irq ${virq}: nobody has set up its chip`);
  locked(desc, () => chain(desc, flow, data));
}

function chain(desc: IrqDesc, flow: FlowHandler, data: unknown): void {
  if (desc.trigger !== 'none') setType(desc, desc.trigger);
  const { flow: outer, settings } = desc;
  desc.flow = flow;
  desc.handlerData = data;
  desc.settings |= CHAINED_SETTINGS;
  try {
    if (!desc.managed) activateDesc(desc, false);
    startup(desc, true, true);
  } catch (error) {
    const errors: unknown[] = [error];
    try {
      shutdownAndDeactivate(desc);
    } catch (more) {
      errors.push(more);
    }
    desc.flow = outer;
    desc.handlerData = undefined;
    desc.settings = settings;
    throw joinErrors(errors, `chaining to irq ${desc.virq}`);
  }
}

/** Nobody can request it until its controller sets it up again. */
function unchain(desc: IrqDesc): void {
  desc.settings &= ~S.CHAINED;
  desc.flow = handleBad;
  desc.handlerData = undefined;
  shutdownAndDeactivate(desc);
}

/** For the flow handler of an input: what its chip wants before. @see Linux 7.2 include/linux/irqchip/chained_irq.h chained_irq_enter */
export function enterChained(desc: IrqDesc): void {
  if (desc.chip.eoi === undefined) maskAck(desc);
}

/** And after. @see Linux 7.2 include/linux/irqchip/chained_irq.h chained_irq_exit */
export function leaveChained(desc: IrqDesc): void {
  const { data } = desc;
  if (data.chip.eoi === undefined) unmaskIrq(desc);
  else data.chip.eoi(data);
}
