import type { Clock } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import { type Flow, type MaybePromise, settle } from '../lib/flow.js';
import type { ReporterSettings, ReporterView } from './devlink.js';

/** A part of a device that may fail. @see Linux 7.2 include/net/devlink.h struct devlink_health_reporter_ops */
export interface DevlinkReporterOptions {
  readonly name: string;
  /** Makes it work again. */
  recover?(): MaybePromise<void>;
  /** Whether that is tried at once, until a user says otherwise; default whether it can be. */
  readonly autoRecover?: boolean;
  /** How long it must have been well since the last time, for that; default 0. Likewise. */
  readonly gracePeriodMs?: number;
}

/** Tells how a part of a device is, and has it recovered. @see Linux 7.2 net/devlink/health.c */
export class DevlinkReporter implements Disposable {
  readonly options: DevlinkReporterOptions;
  readonly #clock: Clock;
  readonly #recoverLocked: () => MaybePromise<void>;
  readonly #leave: (reporter: DevlinkReporter) => void;
  #isHealthy = true;
  #errors = 0;
  #recoveries = 0;
  #recoveredUs: number | undefined = undefined;
  #autoRecover: boolean;
  #gracePeriodMs: number;

  /** @internal */
  constructor(
    options: DevlinkReporterOptions,
    clock: Clock,
    recoverLocked: (reporter: DevlinkReporter) => MaybePromise<void>,
    leave: (reporter: DevlinkReporter) => void,
  ) {
    this.options = options;
    this.#clock = clock;
    this.#recoverLocked = () => recoverLocked(this);
    this.#leave = leave;
    this.#autoRecover = options.recover !== undefined && options.autoRecover !== false;
    this.#gracePeriodMs = options.gracePeriodMs ?? 0;
  }

  /** It is not shown any more; harmless when it is gone. */
  [Symbol.dispose](): void {
    this.#leave(this);
  }

  /**
   * It has failed; it is recovered at once where that may be.
   * @throws {Errno} ECANCELED when it had not recovered, or only just; what recovering threw
   * @see Linux 7.2 net/devlink/health.c devlink_health_report
   */
  report(): MaybePromise<void> {
    const wasHealthy = this.#isHealthy;
    this.#isHealthy = false;
    this.#errors++;
    if (!this.#autoRecover) return;
    const since = this.#recoveredUs;
    const isTooSoon = since !== undefined && this.#clock.now() < since + this.#gracePeriodMs * 1000;
    if (!wasHealthy || isTooSoon)
      throw new Errno('ECANCELED', `health reporter ${this.options.name}: has failed again: not recovered`);
    return this.#recoverLocked();
  }

  /** @see Linux 7.2 net/devlink/health.c devlink_health_reporter_recover @internal */
  *recover(): Flow<void> {
    if (this.#isHealthy) return;
    const { options } = this;
    const { name } = options;
    if (options.recover === undefined) throw new Errno('EOPNOTSUPP', `health reporter ${name}: cannot be recovered`);
    yield* settle(options.recover());
    this.#isHealthy = true;
    this.#recoveries++;
    this.#recoveredUs = this.#clock.now();
  }

  /** @see Linux 7.2 net/devlink/health.c devlink_nl_health_reporter_set_doit @internal */
  set({ autoRecover, gracePeriodMs }: ReporterSettings): void {
    const { options } = this;
    const { name } = options;
    if (options.recover === undefined && (autoRecover !== undefined || gracePeriodMs !== undefined)) {
      throw new Errno('EOPNOTSUPP', `health reporter ${name}: cannot be recovered`);
    }
    if (gracePeriodMs !== undefined && !(Number.isInteger(gracePeriodMs) && gracePeriodMs >= 0)) {
      throw new Errno('EINVAL', `health reporter ${name}: a grace period of ${gracePeriodMs} ms: must be an integer, 0 or more`);
    }
    this.#autoRecover = autoRecover ?? this.#autoRecover;
    this.#gracePeriodMs = gracePeriodMs ?? this.#gracePeriodMs;
  }

  /** @internal */
  view(): ReporterView {
    const { name } = this.options;
    const state = this.#isHealthy ? 'healthy' : 'error';
    const counts = { name, state, errors: this.#errors, recoveries: this.#recoveries } as const;
    return this.options.recover === undefined
      ? counts
      : { ...counts, gracePeriodMs: this.#gracePeriodMs, autoRecover: this.#autoRecover };
  }
}
