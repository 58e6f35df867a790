import type { Clock } from '../hal/clock.js';
import type { Log } from '../lib/log.js';

/** Defaults of {@link CoreOptions}. */
export const CALLBACK_LIMIT_US = 60_000_000;
export const DEFERRED_TIMEOUT_US = 10_000_000;

/** A broken rule: what the kernel would warn of with a stack trace. The test kit fails a test that has one. */
export interface Violation {
  /** Short and stable: `removed-twice`. */
  readonly rule: string;
  /** The device, or the empty string. */
  readonly dev: string;
  readonly text: string;
}

/** How a core behaves; all of it has a default. */
export interface CoreOptions {
  readonly clock: Clock;
  readonly log?: Log;
  /** Virtual time a probe, remove or release may take before it is reported and given up; default 60 s. */
  readonly callbackLimitUs?: number;
  /** Virtual time after which missing suppliers are warned about; 0 for never; default 10 s. */
  readonly deferredTimeoutUs?: number;
  /** True: no retries until `endInitialPhase`. */
  readonly initialPhase?: boolean;
  /** Whether drivers can come later; default true. */
  readonly modules?: boolean;
  /** Probe, remove and probe again at each bind. @see Linux CONFIG_DEBUG_TEST_DRIVER_REMOVE */
  readonly testRemove?: boolean;
  /** Drivers, by name, that probe asynchronously; with `*` all do, but those named. @see Linux driver_async_probe= */
  readonly asyncProbe?: readonly string[];
}
