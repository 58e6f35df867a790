import type { IrqDesc } from './desc.js';
import { handleEvent, handlePerCpuEvent } from './event.js';
import { maskIrq, unmaskIrq } from './mask.js';
import { resend } from './resend.js';
import * as S from './state.js';

/** Of this module: what another exports is read, and checked, at each use. */
const { DISABLED, MASKED, PENDING } = S;

/** What is done with an interrupt when it arrives, around its handlers: acknowledge, mask, end. */
export type FlowHandler = (desc: IrqDesc, cpu: number) => void;

function ack(desc: IrqDesc): void {
  const level = desc.ackLevel;
  level.chip.ack?.(level);
}

/** @internal */
export function maskAck(desc: IrqDesc): void {
  const { data } = desc;
  if (data.chip.maskAck === undefined) {
    // Unacknowledged it would stop its CPU.
    try {
      maskIrq(desc);
    } finally {
      ack(desc);
    }
    return;
  }
  data.chip.maskAck(data);
  desc.state |= S.MASKED;
}

/** Whether handlers may run; if there is none, or it is disabled, it is pending from now on. @internal */
export function canRun(desc: IrqDesc): boolean {
  desc.state &= ~(S.REPLAY | S.WAITING);
  if (desc.action !== undefined && (desc.state & S.DISABLED) === 0) return true;
  desc.state |= S.PENDING;
  return false;
}

/** What makes an interrupt anything but the next one of a line that is on. */
const UNUSUAL = S.DISABLED | S.IN_PROGRESS | S.WAKEUP_ARMED | S.REPLAY | S.WAITING;

/** Whether it is being handled already, or is armed to wake the system. */
const isBusy = (desc: IrqDesc): boolean => (desc.state & (S.IN_PROGRESS | S.WAKEUP_ARMED)) !== 0;

/**
 * A message or an edge: what comes while its handlers run is remembered, and they run again. All MSI, MSI-X and IMS on x86.
 * @see Linux 7.2 kernel/irq/chip.c handle_edge_irq
 */
export function handleEdge(desc: IrqDesc, cpu: number): void {
  // One look at the state in the common case: nothing of it is set.
  if ((desc.state & UNUSUAL) !== 0 || desc.action === undefined) {
    if (isBusy(desc) || !canRun(desc)) {
      desc.state |= PENDING;
      maskAck(desc);
      return;
    }
  }
  desc.countOne(cpu);
  ack(desc);
  do {
    if ((desc.state & (PENDING | DISABLED | MASKED)) === (PENDING | MASKED)) unmaskIrq(desc);
    handleEvent(desc, cpu);
  } while ((desc.state & (PENDING | DISABLED)) === PENDING);
}

/**
 * A level: masked until it is handled, since it stays asserted so long.
 * @see Linux 7.2 kernel/irq/chip.c handle_level_irq
 */
export function handleLevel(desc: IrqDesc, cpu: number): void {
  maskAck(desc);
  if (isBusy(desc) || !canRun(desc)) return;
  desc.countOne(cpu);
  handleEvent(desc, cpu);
  if ((desc.state & (S.DISABLED | S.MASKED)) === S.MASKED && desc.threadsOneshot === 0) unmaskIrq(desc);
}

/**
 * Hardware that keeps quiet until it is told the end of the interrupt.
 * @see Linux 7.2 kernel/irq/chip.c handle_fasteoi_irq
 */
export function handleFasteoi(desc: IrqDesc, cpu: number): void {
  if (isBusy(desc)) {
    if ((desc.state & S.RESEND_WHEN_IN_PROGRESS) !== 0) desc.state |= S.PENDING;
    endUnlessIfHandled(desc);
    return;
  }
  if (!canRun(desc)) {
    try {
      maskIrq(desc);
    } finally {
      endUnlessIfHandled(desc);
    }
    return;
  }
  desc.countOne(cpu);
  try {
    if ((desc.state & S.ONESHOT) !== 0) maskIrq(desc);
    handleEvent(desc, cpu);
  } finally {
    endAndUnmask(desc);
  }
  if ((desc.state & S.PENDING) !== 0) resend(desc, false);
}

function eoi(desc: IrqDesc): void {
  const { data } = desc;
  data.chip.eoi?.(data);
}

/** The end of an interrupt that nothing was done for. @see Linux 7.2 kernel/irq/chip.c cond_eoi_irq */
function endUnlessIfHandled(desc: IrqDesc): void {
  if (desc.data.chip.eoiIfHandled !== true) eoi(desc);
}

/** @see Linux 7.2 kernel/irq/chip.c cond_unmask_eoi_irq */
function endAndUnmask(desc: IrqDesc): void {
  if ((desc.state & S.ONESHOT) === 0) {
    eoi(desc);
  } else if ((desc.state & (S.DISABLED | S.MASKED)) === S.MASKED && desc.threadsOneshot === 0) {
    eoi(desc);
    unmaskIrq(desc);
  } else if (desc.data.chip.eoiThreaded !== true) {
    eoi(desc);
  }
}

/** No hardware to serve. @see Linux 7.2 kernel/irq/chip.c handle_simple_irq */
export function handleSimple(desc: IrqDesc, cpu: number): void {
  if (isBusy(desc) || !canRun(desc)) return;
  desc.countOne(cpu);
  handleEvent(desc, cpu);
}

/** One that each CPU has for itself: neither shared nor in anybody's way. @see Linux 7.2 kernel/irq/chip.c handle_percpu_irq */
export function handlePerCpu(desc: IrqDesc, cpu: number): void {
  desc.countOne(cpu);
  ack(desc);
  handlePerCpuEvent(desc, cpu);
  eoi(desc);
}

/** One that nobody has set up. @see Linux 7.2 kernel/irq/handle.c handle_bad_irq */
export function handleBad(desc: IrqDesc, cpu: number): void {
  desc.countOne(cpu);
  desc.core.unexpected(cpu, desc.virq, `irq ${desc.virq}: came while nobody has set it up`);
  ack(desc);
}
