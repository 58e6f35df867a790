import type { Device } from '../device/index.js';
import type { MaybePromise } from '../lib/flow.js';
import type { IrqDesc } from './desc.js';
import type { TriggerType } from './types.js';

/** What a hard handler says: `none`: not mine; `wake`: run my thread half. Nothing, or anything else, is `handled`. */
export type IrqReturn = 'handled' | 'none' | 'wake';

/** Runs in interrupt context: it must not sleep, wait, acquire or free. */
export type IrqHandler = (virq: number) => unknown;
/** Runs in task context, and may wait. */
export type IrqThreadFn = (virq: number) => MaybePromise<unknown>;

/** What is requested. @see Linux 7.2 include/linux/interrupt.h IRQF_*, request_threaded_irq */
export interface IrqSpec {
  /** The hard half; without it every interrupt wakes the thread half. */
  readonly hard?: IrqHandler | undefined;
  readonly thread?: IrqThreadFn | undefined;
  /** In tables and traces; default the name of the device. */
  readonly name?: string | undefined;
  /** Default: what the interrupt is set to. */
  readonly trigger?: TriggerType | undefined;
  /** Others may request it too, on the same terms. */
  readonly shared?: boolean | undefined;
  /** It stays masked until the thread half is done. Needed without hard half, unless the chip needs no mask. */
  readonly oneshot?: boolean | undefined;
  /** Takes over whether the others on the line are oneshot. */
  readonly condOneshot?: boolean | undefined;
  /** Requesting leaves it disabled. Not with `shared`. */
  readonly noAutoEnable?: boolean | undefined;
  /** It belongs to one CPU, and moves nowhere. */
  readonly perCpu?: boolean | undefined;
  readonly noBalancing?: boolean | undefined;
  /** Its hard half is never made a thread. */
  readonly noThread?: boolean | undefined;
  /** What comes unhandled is not counted: the handler is polled. */
  readonly irqPoll?: boolean | undefined;
  /** A mismatch with the others on the line is not logged. */
  readonly probeShared?: boolean | undefined;
  /** Stays on while the system sleeps. */
  readonly noSuspend?: boolean | undefined;
  /** As the others on the line want it while the system sleeps. Only with `shared`, not with `noSuspend`. */
  readonly condSuspend?: boolean | undefined;
  /** Tells this user from others of the line; default one of its own. */
  readonly devId?: unknown;
}

/** The thread half of an action, and what it has to do. */
export class IrqThread {
  /** Woken, and not yet begun. */
  wanted = false;
  /** It has begun, and is not done. */
  isRunning = false;
  isStopped = false;

  constructor(
    readonly action: IrqAction,
    readonly fn: IrqThreadFn,
  ) {}
}

/** One user of an interrupt. @see Linux 7.2 include/linux/interrupt.h struct irqaction */
export class IrqAction {
  /** The next on the same line. */
  next: IrqAction | undefined = undefined;
  /** Its bit among those whose threads the line waits for; 0 unless oneshot. */
  threadMask = 0;
  readonly thread: IrqThread | undefined;
  /** Whether its lack of a thread was reported. */
  hasWarned = false;

  constructor(
    readonly desc: IrqDesc,
    readonly dev: Device | undefined,
    readonly name: string,
    readonly handler: IrqHandler,
    threadFn: IrqThreadFn | undefined,
    readonly spec: IrqSpec,
    public oneshot: boolean,
  ) {
    this.thread = threadFn === undefined ? undefined : new IrqThread(this, threadFn);
  }

  /** Tells it from others of the line. */
  get devId(): unknown {
    return this.spec.devId ?? this;
  }
}
