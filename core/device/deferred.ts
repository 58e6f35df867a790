import type { ClockEvent } from '../hal/clock.js';
import { Errno } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import { outsideFrames } from '../lib/frame.js';
import { List, ListNode } from '../lib/list.js';
import { attachDevice } from './attach.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import { moveToTail } from './order.js';

/** One line of the report of deferred devices. */
export interface DeferredDevice {
  readonly device: Device;
  /** `driver: reason`, or the empty string. */
  readonly reason: string;
}

/** Retries in a row that a device's own probe may bring about. */
const MAX_RETRIGGERS = 1000;

/**
 * The devices whose probe could not be decided yet, in two lists: `pending` waits for a trigger, `active` is being retried.
 *
 * Every successful bind anywhere is a trigger. Retries are done by one worker, after the operation that triggered them.
 * @see Linux 6.12 drivers/base/dd.c
 */
export class DeferredProbe {
  readonly #core: DeviceCore;
  readonly #pending = new List<Device>();
  readonly #active = new List<Device>();
  #triggers = 0;
  #initial: boolean;
  #timeoutUs: number;
  #timer: ClockEvent | undefined = undefined;

  /** @param timeoutUs how long optional suppliers are waited for; 0: not at all */
  constructor(core: DeviceCore, initial: boolean, timeoutUs: number) {
    this.#core = core;
    this.#initial = initial;
    this.#timeoutUs = timeoutUs;
    if (!initial) this.#arm();
  }

  /** Counts triggers, to see one that came while a probe ran. @internal */
  get triggerCount(): number {
    return this.#triggers;
  }

  /** Devices waiting for a trigger, oldest first, each with its reason. */
  report(): DeferredDevice[] {
    return this.#pending.toArray().map((device) => ({ device, reason: device.deferredReason ?? '' }));
  }

  /** The report as `devices_deferred` shows it. */
  text(): string {
    return this.report()
      .map(({ device, reason }) => `${device.name}\t${reason}\n`)
      .join('');
  }

  /** Queues a device, at the end; only if a driver ever matched it. @internal */
  add(dev: Device): void {
    if (!dev.canMatch || dev.isDead) return;
    if (dev.deferredNode === undefined) dev.deferredNode = new ListNode(dev);
    if (dev.deferredNode.list === undefined) this.#pending.push(dev.deferredNode);
  }

  /**
   * Queues a device whose probe was deferred. Triggers that came while it ran were meant for it too: then it is tried again at
   * once. A device that keeps triggering itself is left to the next trigger of somebody else; the kernel would go on for ever.
   * @param before `triggerCount` when the probe began
   * @see Linux 6.12 drivers/base/dd.c driver_probe_device
   * @internal
   */
  addAfterProbe(dev: Device, before: number): void {
    this.add(dev);
    if (before === this.#triggers) {
      dev.retriggered = 0;
      return;
    }
    if (++dev.retriggered < MAX_RETRIGGERS) {
      this.trigger();
    } else if (dev.retriggered === MAX_RETRIGGERS) {
      const text = `its probe binds something and defers, ${MAX_RETRIGGERS} times over: retried no more until something else binds`;
      this.#core.violate('deferral-loop', dev, text);
    }
  }

  /** @internal */
  remove(dev: Device): void {
    dev.retriggered = 0;
    const node = dev.deferredNode;
    if (node?.list === undefined) return;
    node.list.delete(node);
    dev.deferredReason = undefined;
  }

  /** Lets every waiting device be tried again, once the running operation is over. */
  trigger(): void {
    if (this.#initial) return;
    this.#triggers++;
    if (this.#pending.size === 0) return;
    for (let dev = this.#pending.first; dev !== undefined; dev = this.#pending.first) {
      this.#pending.delete(dev.deferredNode!);
      this.#active.push(dev.deferredNode!);
    }
    this.#core.requestWorker();
  }

  /** Whether the worker has something to do. @internal */
  get work(): boolean {
    return this.#active.size > 0;
  }

  /** Retries the active devices, one completely after the other. @internal */
  *retryAll(): Flow<void> {
    for (let dev = this.#active.first; dev !== undefined; dev = this.#active.first) {
      this.#active.delete(dev.deferredNode!);
      dev.deferredReason = undefined;
      dev.get();
      try {
        moveToTail(this.#core, dev);
        if (dev.bus?.autoprobe === true) yield* attachDevice(this.#core, dev, true);
      } finally {
        dev.put();
      }
    }
  }

  /** Triggers count from now on, and the timeout begins. @internal */
  endInitialPhase(): void {
    this.#initial = false;
    this.#arm();
  }

  get initialPhase(): boolean {
    return this.#initial;
  }

  /** The time after which missing suppliers are given up; 0 once it has passed. */
  get timeoutUs(): number {
    return this.#timeoutUs;
  }

  set timeoutUs(us: number) {
    this.#timeoutUs = us;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#initial) this.#arm();
  }

  /** A driver came: suppliers may still turn up. @internal */
  extend(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#arm();
  }

  /**
   * What a driver whose optional supplier is missing should throw: later, or never.
   * @see Linux 6.12 drivers/base/dd.c driver_deferred_probe_check_state
   */
  checkState(dev: Device): Errno {
    if (!this.#core.options.modules && !this.#initial) {
      return new Errno('ENODEV', `${dev.name}: ignoring dependency: no further drivers can come`);
    }
    if (this.#timeoutUs === 0 && !this.#initial) {
      dev.log('warn', 'deferred probe timeout, ignoring dependency', 'deferred_timeout');
      return new Errno('ETIMEDOUT', `${dev.name}: deferred probe timeout, ignoring dependency`);
    }
    return Errno.stackless('EPROBE_DEFER', 'supplier not there yet');
  }

  #arm(): void {
    const { clock } = this.#core;
    // It is nobody's, not even where a driver comes in the probe of a device.
    if (this.#timeoutUs > 0) this.#timer = outsideFrames(() => clock.after(this.#timeoutUs, () => this.#expired()));
  }

  #expired(): void {
    this.#timer = undefined;
    this.#timeoutUs = 0;
    this.trigger();
    this.#core.afterWorker(() => {
      for (const { device, reason } of this.report()) {
        device.log('warn', `deferred probe pending: ${reason === '' ? '(reason unknown)' : reason}`, 'deferred_pending');
      }
    });
  }

  /** @internal */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
