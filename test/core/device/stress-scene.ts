import assert from 'node:assert/strict';
import { type Arbitrary, constantFrom, nat, oneof, record } from 'fast-check';
import { DL_AUTOPROBE_CONSUMER, type Device, type Driver, type ProbeType } from '../../../core/device/index.js';
import { Errno, defer } from '../../../core/lib/errno.js';
import { isThenable } from '../../../core/lib/flow.js';
import { Fixture } from './conformance/fixture.js';

const DEVICES = 4;
const DRIVERS = 4;

type Outcome = 'bind' | 'fail' | 'defer' | 'child' | 'resources';
type Command =
  | { readonly op: 'add' | 'remove' | 'unbind' | 'attach' | 'reprobe' | 'hold'; readonly dev: number }
  | { readonly op: 'bind' | 'link'; readonly dev: number; readonly other: number }
  | { readonly op: 'register' | 'unregister'; readonly driver: number }
  | { readonly op: 'trigger' | 'rescan' | 'turn' | 'settle' };

const dev = nat(DEVICES - 1);
const driver = nat(DRIVERS - 1);
export const command: Arbitrary<Command> = oneof(
  { weight: 4, arbitrary: record({ op: constantFrom('add', 'remove', 'unbind', 'attach', 'reprobe', 'hold'), dev }) },
  { weight: 1, arbitrary: record({ op: constantFrom('bind', 'link'), dev, other: driver }) },
  { weight: 2, arbitrary: record({ op: constantFrom('register', 'unregister'), driver }) },
  { weight: 2, arbitrary: record({ op: constantFrom('trigger', 'rescan', 'turn', 'settle') }) },
);
export const outcome = constantFrom<Outcome>('bind', 'fail', 'defer', 'child', 'resources');

/** A system in which the driver callbacks take `waits` turns, with everything that it hands out counted. */
export class Scene {
  readonly fx = new Fixture();
  readonly slots: (Device | undefined)[] = Array.from({ length: DEVICES });
  readonly drivers: Driver[];
  readonly released = new Map<Device, number>();
  readonly made = new Set<Device>();
  readonly running: PromiseLike<unknown>[] = [];
  readonly inside = new Map<Device, string>();
  readonly #outcomes: readonly Outcome[];
  readonly #waits: readonly number[];
  #probes = 0;
  #calls = 0;
  held = 0;

  constructor(outcomes: readonly Outcome[], waits: readonly number[]) {
    this.#outcomes = outcomes;
    this.#waits = waits;
    const types: ProbeType[] = ['default', 'prefer-asynchronous', 'default', 'force-synchronous'];
    this.drivers = types.map((probeType, i) => ({
      name: `drv${i}`,
      probeType,
      probe: (d) => this.#during(d, 'probe', () => this.#probe(d)),
      remove: (d) => this.#during(d, 'remove', () => {}),
    }));
  }

  /** Calls `fn` after some turns, and sees to it that no other callback of the device runs meanwhile. */
  #during(d: Device, what: string, fn: () => void): void | Promise<void> {
    assert.equal(this.inside.get(d), undefined, `${what} of ${d.name}`);
    this.inside.set(d, what);
    const waits = this.#waits[this.#calls++ % this.#waits.length] ?? 0;
    if (waits > 0) return this.#later(d, waits, fn);
    try {
      fn();
    } finally {
      this.inside.delete(d);
    }
  }

  async #later(d: Device, waits: number, fn: () => void): Promise<void> {
    try {
      for (let i = 0; i < waits; i++) await Promise.resolve();
      fn();
    } finally {
      this.inside.delete(d);
    }
  }

  #probe(d: Device): void {
    const { fx } = this;
    const n = this.#probes++;
    switch (this.#outcomes[n % this.#outcomes.length]) {
      case 'fail':
        throw new Errno('EIO', d.name);
      case 'defer':
        throw defer('not yet');
      case 'resources':
        for (const wait of [false, true]) {
          this.held++;
          d.devres.defer('r', () => {
            this.held--;
            return wait ? Promise.resolve() : undefined;
          });
        }
        return;
      case 'child':
        if (d.parent !== undefined) return;
        this.run(() => fx.core.addChild(d, this.make(`kid${n}`, d)));
        return;
      default:
    }
  }

  make(name: string, parent?: Device): Device {
    const made = this.fx.device(name, {
      bus: this.fx.nb,
      ...(parent === undefined ? {} : { parent }),
      release: (d) => void this.released.set(d, (this.released.get(d) ?? 0) + 1),
    });
    this.made.add(made);
    return made;
  }

  /** Starts an operation; only an Errno, or several, may come of it. */
  run(op: () => unknown): void {
    const check = (error: unknown): void => {
      const all: unknown[] = error instanceof AggregateError ? error.errors : [error];
      for (const e of all) if (!Errno.is(e) || e.code === 'EDEADLK') throw e;
    };
    try {
      const result = op();
      if (isThenable(result)) this.running.push(result.then(undefined, check));
    } catch (error) {
      check(error);
    }
  }

  step(c: Command): void | Promise<void> {
    const { core, nb } = this.fx;
    const slot = 'dev' in c ? this.slots[c.dev] : undefined;
    switch (c.op) {
      case 'add':
        return this.#add(c.dev);
      case 'remove':
      case 'unbind':
      case 'attach':
      case 'reprobe':
        return this.#operate(c.op, slot);
      case 'hold':
        if (slot?.phase === 'registered') this.#hold(slot);
        return;
      case 'bind':
        if (slot !== undefined) this.run(() => core.bind(slot, this.drivers[c.other]!));
        return;
      case 'link': {
        const supplier = this.slots[c.other];
        if (supplier?.phase === 'registered' && slot?.phase === 'registered') core.link(slot, supplier, DL_AUTOPROBE_CONSUMER);
        return;
      }
      case 'register':
        return this.run(() => core.registerDriver(nb, this.drivers[c.driver]!));
      case 'unregister':
        return this.run(() => core.unregisterDriver(nb, this.drivers[c.driver]!));
      case 'trigger':
        return core.trigger();
      case 'rescan':
        return this.run(() => core.rescan(nb));
      case 'turn':
        return Promise.resolve();
      case 'settle':
        return core.settle();
    }
  }

  #operate(op: 'remove' | 'unbind' | 'attach' | 'reprobe', d: Device | undefined): void {
    if (d !== undefined) this.run(() => this.fx.core[op](d));
  }

  /** Refused while the last device of this name is on its way out. */
  #add(index: number): void {
    if (this.slots[index]?.registered === true) return;
    const added = this.make(`d${index}`);
    this.run(() => this.fx.core.add(added));
    if (added.registered) this.slots[index] = added;
    else added.put();
  }

  #hold(held: Device): void {
    held.get();
    this.run(async () => {
      await this.fx.core.settle();
      held.put();
    });
  }

  async settle(): Promise<void> {
    while (this.running.length > 0) await this.running.shift();
    await this.fx.core.settle();
  }

  check(): void {
    const { core, nb } = this.fx;
    assert.equal(core.idle, true);
    assert.deepEqual([...this.inside], []);
    const here = [...this.made].filter((d) => d.registered);
    assert.deepEqual(new Set(nb.devices), new Set(here));
    assert.equal(nb.byName.size, here.length);
    for (const d of here) assert.equal(nb.find(d.name), d);
    assert.equal(core.order.size, here.length);
    const bound = nb.drivers.flatMap((d) => nb.devicesOf(d));
    assert.deepEqual(new Set(bound), new Set(here.filter((d) => d.bound)));
    for (const d of this.made) {
      assert.deepEqual([d.name, d.busy, d.lockQueue, d.asyncSlot], [d.name, false, undefined, undefined]);
      assert.equal(d.driver !== undefined, d.bound);
      if (!d.bound) assert.deepEqual([d.devres.size, d.owned?.size ?? 0], [0, 0]);
    }
    for (const rec of nb.records.values()) assert.deepEqual([rec.listed, rec.scanners, rec.jobs], [true, 0, 0]);
    for (const { device } of core.deferred.report()) assert.deepEqual([device.registered, device.bound], [true, false]);
  }

  async end(): Promise<void> {
    const { core, nb } = this.fx;
    for (const d of nb.devices) if (d.parent === undefined) this.run(() => core.remove(d));
    await this.settle();
    for (const d of nb.drivers) this.run(() => core.unregisterDriver(nb, d));
    await this.settle();
    this.check();
    core.unregisterBus(nb);
    assert.deepEqual([this.held, core.deferred.report()], [0, []]);
    for (const d of this.made) assert.deepEqual([d.name, this.released.get(d), d.refs], [d.name, 1, 0]);
    const provoked = ['removed-twice', 'driver-not-registered', 'link-to-unbound-supplier'];
    assert.deepEqual(
      this.fx.violations.filter((rule) => !provoked.includes(rule)),
      [],
    );
  }
}
