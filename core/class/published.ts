import { type Class, Device, type DeviceCore, type UpperEdge } from '../device/index.js';
import { assert } from '../lib/errno.js';
import { isThenable } from '../lib/flow.js';
import { type GuardMaker, Target } from './guard.js';

/** One published object: its name is taken from `publish` to the end of the binding, and it is visible while bound. */
export class Published<T extends object> implements UpperEdge {
  readonly #core: DeviceCore;
  readonly #cls: Class;
  readonly #target: Target;
  #device: Device | undefined = undefined;
  /** What users get. */
  readonly handle: T;

  constructor(
    core: DeviceCore,
    cls: Class,
    /** The device whose driver published it. */
    readonly dev: Device,
    readonly name: string,
    /** The number in an automatic name. */
    readonly id: number | undefined,
    object: T,
    guards: GuardMaker<T>,
  ) {
    this.#core = core;
    this.#cls = cls;
    this.#target = new Target(object, name, core.sections);
    this.handle = guards.make(this.#target);
  }

  /** Whether users see it. */
  get visible(): boolean {
    return this.#device !== undefined;
  }

  appear(): void {
    if (this.visible) return;
    const device = new Device({ name: this.name, parent: this.dev, class: this.#cls });
    // It belongs to the binding like a child of the driver's, but goes before all of those.
    device.ownedBy = this.dev;
    this.#device = device;
    this.#core.tracer?.({ kind: 'publish', who: this.dev.name, detail: this.name });
    assert(!isThenable(this.#core.add(device)), `adding class device ${this.name} waits`);
  }

  vanish(): void {
    const device = this.#device;
    this.#device = undefined;
    this.#target.end();
    // Somebody may have removed it by hand: that must not stop the unbind.
    if (device === undefined || !device.registered) return;
    this.#core.tracer?.({ kind: 'withdraw', who: this.dev.name, detail: this.name });
    assert(!isThenable(this.#core.remove(device)), `removing class device ${this.name} waits`);
  }
}
