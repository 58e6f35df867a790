import { DeviceClass } from '../../core/index.js';

/** A clock-event device: it calls somebody when time has come. One user at a time: a start replaces the one before. */
export interface Timer {
  /**
   * Calls `tick` every `periodUs` microseconds, in phase: the n-th call is for n periods from now. It runs in interrupt context:
   * it must not sleep or wait.
   * @param periodUs 1 to 2^32 - 1
   * @throws {Errno} ERANGE for another period
   */
  start(periodUs: number, tick: () => void): void;
  /**
   * Calls `tick` once, `delayUs` microseconds from now; as `start` otherwise.
   * @throws {Errno} ERANGE for another delay
   */
  startOnce(delayUs: number, tick: () => void): void;
  /** Ends what was started; nothing is called any more. */
  stop(): void;
  /** Microseconds to the next call; 0 when nothing is started. */
  remainingUs(): number;
  /** The counter of the device, in microseconds: it never stops and never goes back. */
  counterUs(): number;
}

/** The timers of a system: `timer0`, `timer1`, ... @see Linux 6.12 include/linux/clockchips.h struct clock_event_device */
export const Timers = new DeviceClass<Timer>('timer', {
  methods: ['start', 'startOnce', 'stop', 'remainingUs', 'counterUs'],
});
