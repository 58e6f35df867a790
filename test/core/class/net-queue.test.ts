import { describe, expect, test } from 'vitest';
import { ByteLimits, type TxQueue } from '../../../core/class/index.js';
import { withCard } from './net-fixture.js';

function open() {
  const { eth, card } = withCard();
  void eth.open();
  const queue: TxQueue = card.node.queues[0]!;
  const ring = { free: 0, room: () => ring.free, looks: 0 };
  return { eth, queue, ring };
}

describe('a transmit queue', () => {
  test('is stopped where there is no room: 0 stopped, 1 left alone', () => {
    const { queue, ring } = open();
    ring.free = 3;
    expect(queue.maybeStop(ring, 2, 2)).toBe(1);
    expect(queue.isStopped).toBe(false);
    ring.free = 1;
    expect(queue.maybeStop(ring, 2, 2)).toBe(0);
    expect(queue.isStopped).toBe(true);
  });

  test('is started again when room comes while it is stopped: -1, and no wake is lost', () => {
    const { queue } = open();
    // The last entry becomes free between the look and the stop.
    let looks = 0;
    const ring = { room: () => (looks++ === 0 ? 0 : 8) };
    expect(queue.maybeStop(ring, 2, 4)).toBe(-1);
    expect(queue.isStopped).toBe(false);
  });

  test('is woken by room: 0 woken, 1 was not stopped, -1 not enough', () => {
    const { queue, ring } = open();
    ring.free = 8;
    expect(queue.maybeWake(ring, 4)).toBe(1);
    queue.stop();
    ring.free = 3;
    expect(queue.maybeWake(ring, 4)).toBe(-1);
    ring.free = 4;
    expect(queue.maybeWake(ring, 4, true)).toBe(1);
    expect(queue.isStopped).toBe(true);
    expect(queue.maybeWake(ring, 4)).toBe(0);
    expect(queue.isStopped).toBe(false);
  });

  test('rings for each frame, but not while others follow at once, unless it is stopped', () => {
    const { queue } = open();
    expect(queue.sent(100, false)).toBe(true);
    expect(queue.sent(100, true)).toBe(false);
    queue.stop();
    expect(queue.sent(100, true)).toBe(true);
  });

  test('with a byte limit it is closed by bytes under way and opened by their end', () => {
    const { queue } = open();
    queue.limits.minBytes = 0;
    queue.sent(60, false);
    expect(queue.isStopped).toBe(true);
    queue.completed(60);
    expect(queue.isStopped).toBe(false);
    expect(queue.limits.limit).toBeGreaterThanOrEqual(60);
    queue.sent(60, false);
    queue.reset();
    expect(queue.isStopped).toBe(false);
    expect(queue.limits.inFlight).toBe(0);
  });
});

describe('byte queue limits', () => {
  test('grow while the queue runs dry', () => {
    const limits = new ByteLimits();
    limits.minBytes = 0;
    let last = 0;
    for (let round = 0; round < 5; round++) {
      while (limits.room >= 0) limits.queued(100);
      limits.completed(limits.inFlight, 0);
      expect(limits.limit).toBeGreaterThan(last);
      last = limits.limit;
    }
  });

  test('know nothing of what left before there was a limit', () => {
    const limits = new ByteLimits();
    limits.queued(1e9);
    limits.completed(1e9, 0);
    limits.minBytes = 3000;
    while (limits.room >= 0) limits.queued(1000);
    limits.completed(limits.inFlight, 0);
    expect(limits.limit).toBe(7000);
  });

  test('shrink when less is enough for a second', () => {
    const limits = new ByteLimits();
    limits.minBytes = 0;
    for (let round = 0; round < 6; round++) {
      while (limits.room >= 0) limits.queued(100);
      limits.completed(limits.inFlight, 0);
    }
    const high = limits.limit;
    // From here on one frame completes at a time, with others behind it.
    for (let n = 0; n < 10; n++) limits.queued(100);
    for (let n = 1; n <= 20; n++) {
      limits.queued(100);
      limits.completed(100, n * 200_000);
    }
    expect(limits.limit).toBeLessThan(high);
    expect(limits.limit).toBeGreaterThanOrEqual(0);
  });

  test('are none at first, and refuse what cannot be', () => {
    const limits = new ByteLimits();
    limits.queued(1e9);
    expect(limits.room).toBe(Infinity);
    limits.completed(1e9, 0);
    expect(() => limits.completed(1, 0)).toThrow(/EINVAL.*0 are under way/);
    expect(() => (limits.minBytes = -1)).toThrow(/ERANGE/);
  });
});
