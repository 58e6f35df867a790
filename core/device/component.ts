import type { DevresGroup, DevresHandle } from '../devres/index.js';
import { Errno, describeError, joinErrors } from '../lib/errno.js';
import { type Flow, type MaybePromise, run, settle } from '../lib/flow.js';
import { enterFrame, findFrame, leaveFrame } from '../lib/frame.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';

/** What a part of an aggregate device does when the whole comes together and falls apart. */
export interface ComponentOps {
  /** @param data what the aggregate handed to `bindAll` */
  bind?(dev: Device, aggregate: Device, data: unknown): MaybePromise<void>;
  unbind?(dev: Device, aggregate: Device, data: unknown): MaybePromise<void>;
}

/** What the aggregate does when all of its parts are there, and when the first of them goes. */
export interface AggregateOps {
  /** Calls `components.bindAll(dev, data)` when it is ready for its parts. */
  bind(dev: Device): MaybePromise<void>;
  /** Calls `components.unbindAll(dev, data)`. */
  unbind?(dev: Device): MaybePromise<void>;
}

/** Which component fills a place of an aggregate. */
export type ComponentMatch = (dev: Device, subcomponent: number) => boolean;

class Component {
  aggregate: Aggregate | undefined = undefined;
  bound = false;
  group: DevresGroup | undefined = undefined;
  handle: DevresHandle | undefined = undefined;
  constructor(
    readonly dev: Device,
    readonly ops: ComponentOps,
    readonly subcomponent: number,
  ) {}
}

interface Place {
  readonly match: ComponentMatch;
  component: Component | undefined;
  /** Its component fills an earlier place as well. */
  duplicate: boolean;
}

class Aggregate {
  readonly places: Place[];
  bound = false;
  group: DevresGroup | undefined = undefined;
  handle: DevresHandle | undefined = undefined;
  constructor(
    readonly dev: Device,
    readonly ops: AggregateOps,
    matches: readonly ComponentMatch[],
  ) {
    this.places = matches.map((match) => ({ match, component: undefined, duplicate: false }));
  }

  /** Its components, each once, in the order of its places. */
  get components(): Component[] {
    return this.places.filter((p) => !p.duplicate && p.component !== undefined).map((p) => p.component!);
  }
}

/**
 * Drivers of several devices that work as one: the aggregate is bound when all its components have been added.
 *
 * What is added belongs to its device: it goes when that is unbound, or when its handle is disposed of. Operations run one
 * after the other.
 * @see Linux 6.12 drivers/base/component.c
 */
export class Components {
  readonly #core: DeviceCore;
  readonly #components: Component[] = [];
  /** Newest first: they are tried in this order. */
  readonly #aggregates: Aggregate[] = [];
  #busy = false;
  readonly #waiting: (() => void)[] = [];

  constructor(core: DeviceCore) {
    this.#core = core;
  }

  /**
   * Adds a component, and binds the aggregate that was waiting for it.
   * @param subcomponent tells the components of one device apart, from 1; absent when it has one
   * @throws {Errno} EINVAL for a subcomponent below 1; what a `bind` threw, and it is not added then
   */
  add(dev: Device, ops: ComponentOps, subcomponent?: number): MaybePromise<DevresHandle> {
    if (subcomponent !== undefined && !(subcomponent >= 1)) {
      throw this.#core.violate('subcomponent-0', dev, `subcomponent ${subcomponent}: must be 1 or more`);
    }
    return run(this.#exclusive(dev, 'adding a component', this.#add(new Component(dev, ops, subcomponent ?? 0))));
  }

  /** Takes away what `add` added, unbinding its aggregate first. @throws {Errno} EINVAL when there is no such component */
  remove(dev: Device, ops: ComponentOps): MaybePromise<void> {
    const found = this.#components.find((c) => c.dev === dev && c.ops === ops);
    if (found === undefined) throw this.#core.violate('component-unknown', dev, 'has no such component');
    return found.handle?.release();
  }

  /**
   * Adds an aggregate, and binds it if all its components are there.
   * @param matches one for each place, in the order in which they are bound
   * @throws what its `bind` threw, and it is not added then
   */
  addAggregate(dev: Device, ops: AggregateOps, matches: readonly ComponentMatch[]): MaybePromise<DevresHandle> {
    return run(this.#exclusive(dev, 'adding an aggregate', this.#addAggregate(new Aggregate(dev, ops, matches))));
  }

  /** Unbinds an aggregate and takes it away; nothing happens when there is none. */
  removeAggregate(dev: Device, ops: AggregateOps): MaybePromise<void> {
    return this.#aggregates.find((a) => a.dev === dev && a.ops === ops)?.handle?.release();
  }

  /** Whether all its components are there and bound. @see Linux 7.2 drivers/base/component.c component_master_is_bound */
  isBound(dev: Device): boolean {
    return this.#aggregates.some((a) => a.dev === dev && a.bound);
  }

  /**
   * Binds the components of an aggregate in the order of its places; called from its `bind`.
   * @throws what the `bind` of a component threw; those bound before are unbound again, last first
   */
  bindAll(dev: Device, data?: unknown): MaybePromise<void> {
    return run(this.#bindAll(this.#aggregateOf(dev), data));
  }

  /** Unbinds the components of an aggregate, last first; called from its `unbind`. */
  unbindAll(dev: Device, data?: unknown): MaybePromise<void> {
    return run(this.#unbindAll(this.#aggregateOf(dev).components, dev, data));
  }

  #aggregateOf(dev: Device): Aggregate {
    const found = this.#aggregates.find((a) => a.dev === dev);
    if (found === undefined) throw new Errno('EINVAL', `${dev.name}: is no aggregate`);
    return found;
  }

  *#add(component: Component): Flow<DevresHandle> {
    const { dev } = component;
    dev.devres.faultPoint('component');
    this.#components.push(component);
    try {
      for (const aggregate of this.#aggregates) {
        if (!aggregate.bound && (yield* this.#bringUp(aggregate, component))) break;
      }
    } catch (error) {
      this.#detach(component);
      throw error;
    }
    const drop = (): MaybePromise<void> => run(this.#exclusive(dev, 'removing a component', this.#drop(component)));
    return (component.handle = dev.devres.adopt('component', component, drop));
  }

  *#addAggregate(aggregate: Aggregate): Flow<DevresHandle> {
    const { dev } = aggregate;
    dev.devres.faultPoint('aggregate');
    this.#aggregates.unshift(aggregate);
    try {
      yield* this.#bringUp(aggregate);
    } catch (error) {
      this.#disband(aggregate);
      throw error;
    }
    const drop = (): MaybePromise<void> => run(this.#exclusive(dev, 'removing an aggregate', this.#dropAggregate(aggregate)));
    return (aggregate.handle = dev.devres.adopt('aggregate', aggregate, drop));
  }

  *#drop(component: Component): Flow<void> {
    const { aggregate } = component;
    try {
      if (aggregate !== undefined) yield* this.#takeDown(aggregate);
    } finally {
      this.#detach(component);
    }
  }

  *#dropAggregate(aggregate: Aggregate): Flow<void> {
    try {
      yield* this.#takeDown(aggregate);
    } finally {
      this.#disband(aggregate);
    }
  }

  #detach(component: Component): void {
    for (const place of component.aggregate?.places ?? []) if (place.component === component) place.component = undefined;
    component.aggregate = undefined;
    this.#components.splice(this.#components.indexOf(component), 1);
  }

  #disband(aggregate: Aggregate): void {
    for (const { component } of aggregate.places) if (component !== undefined) component.aggregate = undefined;
    this.#aggregates.splice(this.#aggregates.indexOf(aggregate), 1);
  }

  /** Finds a component for each place; those found are taken, also when others are missing. @see Linux find_components */
  #fill(aggregate: Aggregate): boolean {
    for (const place of aggregate.places) {
      if (place.component !== undefined) continue;
      const found = this.#components.find(
        (c) => (c.aggregate === undefined || c.aggregate === aggregate) && place.match(c.dev, c.subcomponent),
      );
      if (found === undefined) return false;
      place.component = found;
      place.duplicate = found.aggregate !== undefined;
      found.aggregate = aggregate;
    }
    return true;
  }

  /** Binds an aggregate that is complete. @see Linux 6.12 drivers/base/component.c try_to_bring_up_aggregate_device */
  *#bringUp(aggregate: Aggregate, added?: Component): Flow<boolean> {
    if (!this.#fill(aggregate) || (added !== undefined && added.aggregate !== aggregate)) return false;
    const { dev } = aggregate;
    const group = dev.devres.group('aggregate');
    try {
      yield* settle(aggregate.ops.bind(dev));
    } catch (error) {
      yield* this.#release(group);
      throw error;
    }
    this.#watch(dev, aggregate);
    group.close();
    aggregate.group = group;
    aggregate.bound = true;
    return true;
  }

  /** Last in the ledger of what was acquired for an aggregate: when that ledger is released, the whole falls apart first. */
  #watch(dev: Device, part: Aggregate | Component): void {
    dev.devres.adopt('aggregate binding', part, () => {
      const aggregate = part instanceof Aggregate ? part : part.aggregate;
      if (!part.bound || aggregate === undefined) return undefined;
      return run(this.#exclusive(dev, 'unbinding an aggregate', this.#takeDown(aggregate)));
    });
  }

  *#takeDown(aggregate: Aggregate): Flow<void> {
    if (!aggregate.bound) return;
    aggregate.bound = false;
    const { dev, group } = aggregate;
    const errors: unknown[] = [];
    try {
      yield* settle(aggregate.ops.unbind?.(dev));
    } catch (error) {
      errors.push(error);
    }
    const left = aggregate.components.filter((c) => c.bound);
    if (left.length > 0) {
      const names = left.map((c) => c.dev.name).join(', ');
      this.#core.violate('components-left-bound', dev, `its unbind left ${names} bound: call unbindAll`);
      try {
        yield* this.#unbindAll(left, dev, undefined);
      } catch (error) {
        errors.push(error);
      }
    }
    aggregate.group = undefined;
    if (group !== undefined) yield* this.#release(group);
    if (errors.length > 0) throw joinErrors(errors, `unbind of aggregate ${dev.name}`);
  }

  *#bindAll({ dev, components }: Aggregate, data: unknown): Flow<void> {
    for (const [i, component] of components.entries()) {
      const own = component.dev;
      const temporary = dev.devres.group(`component ${own.name}`);
      const group = own.devres.group('component');
      try {
        yield* settle(component.ops.bind?.(own, dev, data));
      } catch (error) {
        yield* this.#release(group);
        yield* this.#release(temporary);
        if (!Errno.is(error, 'EPROBE_DEFER'))
          own.log('err', `bind to ${dev.name} failed: ${describeError(error)}`, 'component_bind');
        try {
          yield* this.#unbindAll(components.slice(0, i), dev, data);
        } catch (more) {
          dev.log('err', `unbinding after that failed: ${describeError(more)}`, 'component_unbind');
        }
        throw error;
      }
      this.#watch(own, component);
      group.close();
      component.group = group;
      component.bound = true;
      temporary.keep();
    }
  }

  *#unbindAll(components: readonly Component[], aggregate: Device, data: unknown): Flow<void> {
    const errors: unknown[] = [];
    for (const component of [...components].reverse()) {
      if (!component.bound) continue;
      component.bound = false;
      try {
        yield* settle(component.ops.unbind?.(component.dev, aggregate, data));
      } catch (error) {
        errors.push(error);
      }
      const { group } = component;
      component.group = undefined;
      if (group !== undefined) yield* this.#release(group);
    }
    if (errors.length > 0) throw joinErrors(errors, `unbind of the components of ${aggregate.name}`);
  }

  /** Releases a group, unless its whole ledger is being released; what fails is logged, so that it hides no other error. */
  *#release(group: DevresGroup): Flow<void> {
    if (!group.live) return;
    try {
      yield* settle(group.release());
    } catch {
      // It was logged when it failed.
    }
  }

  /** One operation after the other. @throws {Errno} EDEADLK from inside one, which would wait for itself */
  *#exclusive<T>(dev: Device, what: string, flow: Flow<T>): Flow<T> {
    const inside = findFrame((f) => f.owner === this);
    if (inside !== undefined) throw new Errno('EDEADLK', `${dev.name}: ${what} while ${inside.what} would wait for itself`);
    if (this.#busy) yield new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy = true;
    const saved = enterFrame(this, what);
    try {
      return yield* flow;
    } finally {
      leaveFrame(saved);
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy = false;
      else next();
    }
  }
}
