import { describe, expect, test } from 'vitest';
import { Errno } from '../../../core/lib/errno.js';
import { Signal } from '../../../core/lib/signal.js';
import { AdoptedClock, SteppedClock } from '../../../hw/remote/qtest-clock.js';

/** The clock of a QEMU: counts its nanoseconds; line 20 is raised in the step in which `irqAtNs` falls, and a doorbell rings at `ringAtNs`. */
class FakeLink {
  readonly irqLines = new Signal<[line: number, raised: boolean]>();
  readonly interrupted = new Signal<[]>();
  ns = 0;
  steps = 0;
  irqAtNs = Number.POSITIVE_INFINITY;
  ringAtNs = Number.POSITIVE_INFINITY;
  dead = false;

  stepClock(ns: number): void {
    if (this.dead) throw new Errno('EIO', 'qemu: exited');
    const before = this.ns;
    this.ns += ns;
    this.steps++;
    if (before < this.irqAtNs && this.ns >= this.irqAtNs) this.irqLines.emit(20, true);
    if (before < this.ringAtNs && this.ns >= this.ringAtNs) this.interrupted.emit();
  }
}

describe('SteppedClock', () => {
  test('QEMU is at an event before the event runs', async () => {
    const link = new FakeLink();
    const clock = new SteppedClock(link, link.interrupted);
    const at: number[] = [];
    clock.after(10.5, () => at.push(link.ns));
    clock.after(2500, () => at.push(link.ns));
    await clock.sleep(3000);
    expect(at).toEqual([10_500, 2_500_000]);
    expect([clock.now(), link.ns]).toEqual([3000, 3_000_000]);
  });

  test('elapse and settle take QEMU along to their end', async () => {
    const link = new FakeLink();
    const clock = new SteppedClock(link, link.interrupted);
    expect(clock.elapse(7)).toBe(0);
    expect(link.ns).toBe(7000);
    await clock.settle(5);
    expect([clock.now(), link.ns]).toEqual([12, 12_000]);
  });

  test.each(['irqAtNs', 'ringAtNs'] as const)('%s stops the clock in its millisecond, opens a window, which may cancel', (at) => {
    const link = new FakeLink();
    link[at] = 2_300_000;
    const clock = new SteppedClock(link, link.interrupted);
    const windows: number[] = [];
    let late = 0;
    const limit = clock.after(10_000, () => late++);
    clock.onEvent(() => {
      windows.push(clock.now());
      limit.cancel();
    });
    expect(clock.elapse(20_000)).toBe(0);
    expect(windows[0]).toBe(3000);
    expect(late).toBe(0);
    expect([clock.now(), link.ns]).toEqual([20_000, 20_000_000]);
  });

  test('a long way costs no more than a thousand steps', () => {
    const link = new FakeLink();
    const clock = new SteppedClock(link, link.interrupted);
    clock.elapse(3_600_000_000);
    expect(link.ns).toBe(3_600_000_000_000);
    expect(link.steps).toBeLessThanOrEqual(1001);
  });

  test('relax moves 100 us, or less to the next event, runs it, and opens no window', () => {
    const link = new FakeLink();
    const clock = new SteppedClock(link, link.interrupted);
    let ran = 0;
    let windows = 0;
    clock.onEvent(() => windows++);
    clock.after(130, () => ran++);
    expect([clock.relax(), clock.now(), ran]).toEqual([true, 100, 0]);
    expect([clock.relax(), clock.now(), ran]).toEqual([true, 130, 1]);
    expect([windows, clock.pending, link.ns]).toEqual([0, 0, 130_000]);
  });

  test('a QEMU that is gone does not stop those who sleep', async () => {
    const link = new FakeLink();
    link.dead = true;
    const clock = new SteppedClock(link, link.interrupted);
    await clock.sleep(5000);
    expect(clock.now()).toBe(5000);
  });
});

describe('AdoptedClock', () => {
  test('a listener from before the start hears the events after it', () => {
    const clock = new AdoptedClock();
    let heard = 0;
    clock.onEvent(() => heard++);
    const stepped = new SteppedClock(new FakeLink(), new Signal());
    clock.adopt(stepped);
    clock.after(1, () => {});
    stepped.runNext();
    expect(heard).toBe(1);
    expect(clock.now()).toBe(1);
  });
});
