import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Signal } from '../../../core/lib/signal.js';
import { QtestInterrupts } from '../../../hw/remote/qtest-interrupts.js';
import { BASE, FakeMemory } from './fake-doorbell-memory.js';

/** The hardware's side: memory, and lines that are heard at the next request or by listening. */
class FakeLink {
  readonly irqLines = new Signal<[line: number, raised: boolean]>();
  onReply: (() => void) | undefined = undefined;
  heard = 0;
  hear(): void {
    this.heard++;
  }
}

class Fixture {
  readonly link = new FakeLink();
  readonly memory = new FakeMemory();
  readonly irqs = new QtestInterrupts(this.link, this.memory);
  told = 0;
  readonly entry = {
    pending: () => {
      this.told++;
    },
    drain: () => {},
    interrupt: () => {
      throw new Error('nothing is delivered from in here');
    },
  };

  constructor() {
    this.irqs.start();
    this.irqs.attach(this.entry);
  }

  /** A device sends a message to doorbell `n`. */
  send(n: number): void {
    this.memory.write32(BASE + 4 * n, n + 1);
  }

  takeAll(): number[] {
    const all: number[] = [];
    while (this.irqs.nextCpu() === 0) all.push(this.irqs.take(0));
    return all;
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('QtestInterrupts', () => {
  test('an answered request is followed by a look, which tells and does not deliver', () => {
    const f = new Fixture();
    const n = f.irqs.messages.alloc();
    f.send(n);
    expect([f.told, f.irqs.nextCpu(), f.irqs.take(0)]).toEqual([0, -1, -1]);
    f.link.onReply!();
    expect([f.told, f.irqs.nextCpu(), f.irqs.isPending(0, n)]).toEqual([1, 0, true]);
    expect([f.irqs.take(0), f.irqs.isPending(0, n), f.irqs.nextCpu(), f.irqs.take(0)]).toEqual([n, false, -1, -1]);
  });

  test('the lowest vector is taken first, over all of them', () => {
    const f = new Fixture();
    for (let n = 0; n < 4096; n++) f.irqs.messages.alloc();
    for (const n of [4095, 31, 32, 0, 2048]) f.send(n);
    f.link.onReply!();
    expect([f.takeAll(), f.told]).toEqual([[0, 31, 32, 2048, 4095], 1]);
    f.irqs.send(0, 40);
    expect(f.irqs.take(0)).toBe(40);
    f.irqs.send(0, 5);
    expect(f.takeAll()).toEqual([5]);
  });

  test('without an entry what rings stays pending, and who attaches is told', () => {
    const f = new Fixture();
    f.irqs.messages.alloc();
    f.irqs.attach(undefined);
    f.send(0);
    f.link.onReply!();
    expect(f.told).toBe(0);
    f.irqs.attach(f.entry);
    expect([f.told, f.takeAll()]).toEqual([1, [0]]);
    f.irqs.attach(f.entry);
    expect(f.told).toBe(1);
  });

  test('a CPU that is taken out loses what is pending and hears nothing', () => {
    const f = new Fixture();
    f.irqs.messages.alloc();
    f.irqs.send(0, 0);
    f.irqs.setOnline(0, false);
    f.irqs.send(0, 0);
    f.send(0);
    f.link.onReply!();
    expect([f.irqs.nextCpu(), f.told]).toEqual([-1, 1]);
    f.irqs.setOnline(0, true);
    expect(f.irqs.nextCpu()).toBe(-1);
    f.send(0);
    f.link.onReply!();
    expect(f.takeAll()).toEqual([0]);
  });

  test('there are no other CPUs and vectors', () => {
    const f = new Fixture();
    f.irqs.send(1, 0);
    f.irqs.send(0, 4096);
    expect([f.irqs.nextCpu(), f.irqs.take(1), f.irqs.isPending(1, 0), f.irqs.isPending(0, 4096)]).toEqual([-1, -1, false, false]);
  });

  test('looks are taken only while there are doorbells', () => {
    const f = new Fixture();
    expect([f.link.onReply, vi.getTimerCount()]).toEqual([undefined, 0]);
    const n = f.irqs.messages.alloc();
    f.send(n);
    vi.advanceTimersByTime(1);
    expect([f.told, f.takeAll()]).toEqual([1, [n]]);
    f.irqs.messages.free(n);
    expect([f.link.onReply, vi.getTimerCount()]).toEqual([undefined, 0]);
    f.irqs.messages.alloc();
    f.irqs.stop();
    expect([f.link.onReply, vi.getTimerCount()]).toEqual([undefined, 0]);
  });

  test('lines are listened to only while one is unmasked, and ring their doorbell', () => {
    const f = new Fixture();
    const { messages, lines } = f.irqs;
    const n = messages.alloc();
    lines.route(20, messages.message(n), true);
    vi.advanceTimersByTime(3);
    expect(f.link.heard).toBe(0);
    lines.setMask(20, false);
    vi.advanceTimersByTime(3);
    expect(f.link.heard).toBe(3);
    f.link.irqLines.emit(20, true);
    expect([f.told, f.takeAll(), lines.isAsserted(20)]).toEqual([1, [n], true]);
    lines.eoi(20);
    expect(f.takeAll()).toEqual([n]);
  });

  test('the clock is told of each that becomes pending', () => {
    const f = new Fixture();
    let count = 0;
    f.irqs.interrupted.on(() => count++);
    f.irqs.messages.alloc();
    f.irqs.send(0, 0);
    f.send(0);
    f.link.onReply!();
    f.link.onReply!();
    expect(count).toBe(2);
  });
});
