import type { CpuMask } from './cpu-mask.js';

/** Told when the affinity of an interrupt has changed. */
export type AffinityNotifier = (mask: CpuMask) => void;

/** What few interrupts have: an object of its own, so that all others are smaller. @internal */
export class IrqDescRare {
  wakeDepth = 0;
  managedMask: CpuMask | undefined = undefined;
  pendingMask: CpuMask | undefined = undefined;
  affinityHint: CpuMask | undefined = undefined;
  notifier: AffinityNotifier | undefined = undefined;
  isNotifying = false;
  handlerData: unknown = undefined;
  lastUnhandledUs = 0;
  threadsHandledLast = 0;
  threadWaiters: (() => void)[] | undefined = undefined;
  failed: string | undefined = undefined;
  perCpu: number[] | undefined = undefined;
}

/** Of all that have nothing of it: never written to. @internal */
export const NOTHING_RARE = new IrqDescRare();

/** The same, or the first of its own. @internal */
export const writable = (rare: IrqDescRare): IrqDescRare => (rare === NOTHING_RARE ? new IrqDescRare() : rare);
