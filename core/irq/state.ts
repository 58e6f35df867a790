/**
 * Bits of `IrqDesc.state`: what is so now.
 * @see Linux 7.2 include/linux/irq.h IRQD_*, kernel/irq/internals.h IRQS_*
 */
export const DISABLED = 1 << 0;
export const MASKED = 1 << 1;
export const IN_PROGRESS = 1 << 2;
export const PENDING = 1 << 3;
export const REPLAY = 1 << 4;
export const WAITING = 1 << 5;
export const WAKEUP_ARMED = 1 << 6;
export const AFFINITY_PENDING = 1 << 7;
export const STARTED = 1 << 8;
export const ACTIVATED = 1 << 9;
export const MANAGED = 1 << 10;
export const MANAGED_SHUTDOWN = 1 << 11;
export const AFFINITY_SET = 1 << 12;
export const NO_BALANCING = 1 << 13;
export const PER_CPU = 1 << 14;
export const LEVEL = 1 << 15;
export const CAN_RESERVE = 1 << 16;
export const SINGLE_TARGET = 1 << 17;
export const AFFINITY_ON_ACTIVATE = 1 << 18;
export const FORWARDED_TO_VCPU = 1 << 19;
export const WAKEUP = 1 << 20;
export const SPURIOUS_DISABLED = 1 << 21;
export const POLL_IN_PROGRESS = 1 << 22;
export const ONESHOT = 1 << 23;
export const SUSPENDED = 1 << 24;
/** Delivered outside interrupt context, it is refused. */
export const ENFORCE_IRQ_CONTEXT = 1 << 25;
export const RESEND_WHEN_IN_PROGRESS = 1 << 26;
/** It has moved, and its first interrupt at the new place has not come. */
export const MOVE_IN_PROGRESS = 1 << 28;

/**
 * Bits of `IrqDesc.settings`: what it is meant to be.
 * @see Linux 7.2 include/linux/irq.h IRQ_*
 */
export const NO_REQUEST = 1 << 0;
export const NO_THREAD = 1 << 1;
export const PER_CPU_DEVID = 1 << 2;
/** Disabling reaches the hardware at once, not when the next interrupt comes. */
export const DISABLE_UNLAZY = 1 << 3;
export const HIDDEN = 1 << 4;
/** Its handlers are polled: what comes unhandled is not counted. */
export const IS_POLLED = 1 << 5;
export const NO_AUTOEN = 1 << 6;
export const NO_DEBUG = 1 << 7;
/** Its handler runs in the thread of another. */
export const NESTED_THREAD = 1 << 8;
/** Another interrupt's flow handler is its only user. */
export const CHAINED = 1 << 9;
