import { describe, expect, test } from 'vitest';
import { NAPI_WEIGHT, NET_RX, Napi, type NapiPoller, NetRx } from '../../../core/class/index.js';
import { LaterQueue, bound } from './net-fixture.js';

/** Polls that do what they are told. */
class Scripted implements NapiPoller {
  readonly budgets: number[] = [];
  readonly completions: boolean[] = [];
  napi!: Napi;
  /** Packets that wait. */
  waiting = 0;
  during: (() => void) | undefined = undefined;

  constructor(
    readonly name: string,
    readonly order: string[],
  ) {}

  poll(budget: number): number {
    this.budgets.push(budget);
    this.order.push(this.name);
    const work = Math.min(budget, this.waiting);
    this.waiting -= work;
    this.during?.();
    if (work < budget) this.completions.push(this.napi.completeDone(work));
    return work;
  }
}

function fixture(names: readonly string[] = ['a']) {
  const later = new LaterQueue();
  const order: string[] = [];
  const pollers = names.map((name) => new Scripted(name, order));
  const system = bound((dev) => {
    const net = NetRx.of(dev, later.run);
    for (const poller of pollers) {
      poller.napi = new Napi(dev, net, poller);
      poller.napi.enable();
    }
  });
  const net = NetRx.of(system.dev, later.run);
  return { ...system, later, order, pollers, net, a: pollers[0]! };
}

describe('napi', () => {
  test('is polled once for each time it is scheduled, in task context and not at once', () => {
    const { a, later } = fixture();
    expect(a.napi.schedule()).toBe(true);
    expect(a.budgets).toEqual([]);
    expect(later.drain()).toBe(1);
    expect(a.budgets).toEqual([NAPI_WEIGHT]);
    expect(a.completions).toEqual([true]);
    expect(a.napi.isScheduled).toBe(false);
  });

  test('who is scheduled while polled is polled again, and its interrupts stay off until then', () => {
    const { a, later } = fixture();
    a.during = () => {
      a.during = undefined;
      expect(a.napi.schedule()).toBe(false);
    };
    a.napi.schedule();
    later.drain();
    expect(a.budgets).toHaveLength(2);
    expect(a.completions).toEqual([false, true]);
  });

  test('scheduling one that is disabled does nothing', () => {
    const { a, later } = fixture();
    a.napi.disable();
    expect(a.napi.schedule()).toBe(false);
    later.drain();
    expect(a.budgets).toEqual([]);
  });

  test('with its full budget used it comes again, behind the others', () => {
    const { pollers, later, order } = fixture(['a', 'b']);
    const [a, b] = pollers;
    a!.waiting = 100;
    a!.napi.schedule();
    b!.napi.schedule();
    later.drain();
    expect(order).toEqual(['a', 'b', 'a']);
    expect(a!.completions).toEqual([true]);
  });

  test('119 a poll that returns more than its budget is one line, not repeated', () => {
    const { a, dev, net, later, logged } = fixture();
    const napi = new Napi(dev, net, { poll: () => 65 });
    napi.enable();
    napi.schedule();
    later.drain(3);
    expect(logged('napi_over_budget')).toEqual(['NAPI poll function Object returned 65, exceeding its budget of 64.']);
    expect(a.budgets).toEqual([]);
  });

  test('a round ends after 300 packets, and says that it was squeezed; the rest follows', () => {
    const { a, net, later } = fixture();
    a.waiting = 1000;
    a.napi.schedule();
    later.drain();
    expect(a.waiting).toBe(0);
    expect(net.cpu(0).processed).toBe(1000);
    // One instance alone ends each round by its own weight, with time left.
    expect(net.cpu(0).timeSqueeze).toBe(0);
    const many = fixture(['a', 'b', 'c', 'd', 'e', 'f']);
    for (const one of many.pollers) {
      one.waiting = 64;
      one.napi.schedule();
    }
    expect(many.later.drain(1)).toBe(1);
    expect(many.net.cpu(0).timeSqueeze).toBe(1);
    expect(many.net.cpu(0).processed).toBe(Math.ceil(NET_RX.budget / 64) * 64);
    many.later.drain();
    expect(many.net.cpu(0).processed).toBe(6 * 64);
  });

  test('a round ends after 2 milliseconds', () => {
    const { pollers, clock, net, later } = fixture(['a', 'b']);
    const [a, b] = pollers;
    a!.during = () => void clock.elapse(NET_RX.budgetUs);
    a!.napi.schedule();
    b!.napi.schedule();
    later.drain(1);
    expect(net.cpu(0).timeSqueeze).toBe(1);
    expect(b!.budgets).toEqual([]);
    later.drain();
    expect(b!.budgets).toEqual([64]);
  });

  test('interrupts can be deferred after work: it is polled by time instead, and armed when nothing has come', () => {
    const { a, clock, later } = fixture();
    a.napi.deferHardIrqs = 1;
    a.napi.flushTimeoutUs = 20;
    a.waiting = 3;
    a.napi.schedule();
    later.drain();
    expect(a.completions).toEqual([false]);
    clock.elapse(20);
    later.drain();
    expect(a.completions).toEqual([false, true]);
  });

  test('disabling waits for what is to be done, and refuses in its own poll', () => {
    const { a, later } = fixture();
    a.waiting = 70;
    a.napi.schedule();
    a.napi.disable();
    expect(a.budgets).toEqual([64]);
    expect(a.napi.isEnabled).toBe(false);
    later.drain();
    expect(a.budgets).toEqual([64]);
    a.napi.enable();
    let code = '';
    a.during = () => {
      a.during = undefined;
      expect(() => a.napi.disable()).toThrow(/EDEADLK/);
      code = 'refused';
    };
    a.napi.schedule();
    later.drain();
    expect(code).toBe('refused');
  });

  test('a poll that throws is reported, and can be scheduled again', () => {
    const { a, core, later, logged } = fixture();
    const rules: string[] = [];
    core.violations.on(({ rule }) => rules.push(rule));
    a.during = () => {
      a.during = undefined;
      throw new Error('bad');
    };
    a.napi.schedule();
    later.drain();
    expect(logged('callback_threw')).toEqual(['its poll function threw: Error: bad']);
    expect(rules).toEqual(['callback-threw']);
    expect(a.napi.schedule()).toBe(true);
    later.drain();
    expect(a.completions).toEqual([true]);
  });

  test('one that is polled for ever does not stop the world', () => {
    const { dev, net, later, clock } = fixture();
    let polls = 0;
    const napi = new Napi(dev, net, { poll: (budget) => (polls++, budget) });
    napi.enable();
    napi.schedule();
    later.drain();
    const before = polls;
    expect(before).toBeGreaterThan(10_000);
    clock.elapse(1);
    later.drain();
    expect(polls).toBeGreaterThan(before);
  });

  test('each CPU has a list of its own', () => {
    const { pollers, net, later } = fixture(['a', 'b']);
    const [a, b] = pollers;
    a!.waiting = 5;
    b!.waiting = 7;
    a!.napi.schedule(0);
    b!.napi.schedule(3);
    later.drain();
    expect([net.cpu(0).processed, net.cpu(3).processed]).toEqual([5, 7]);
    expect(b!.napi.cpu).toBe(3);
  });
});
