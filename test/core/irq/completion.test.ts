import { describe, expect, test } from 'vitest';
import { Completion } from '../../../core/irq/completion.js';
import { VirtualClock } from '../../../core/hal/index.js';

describe('Completion', () => {
  test('lets a wait go on when it completes, and no clock event is left', async () => {
    const clock = new VirtualClock();
    const done = new Completion(clock, 'dev0: command');
    clock.after(30, () => done.complete());
    await done.wait(1000);
    expect([clock.now(), clock.pending]).toEqual([30, 0]);
  });

  test('counts: what came before lets a later wait go on, once', async () => {
    const clock = new VirtualClock();
    const done = new Completion(clock, 'dev0: command');
    done.complete();
    expect(done.isDone).toBe(true);
    await done.wait(5);
    expect([clock.now(), done.isDone]).toEqual([0, false]);
    await expect(done.wait(5)).rejects.toThrow('ETIMEDOUT: dev0: command: not done within 5 us');
  });

  test('wakes in the order of the waits, one for each', async () => {
    const done = new Completion(new VirtualClock({ mode: 'manual' }), 'dev0');
    const order: number[] = [];
    const waits = [1, 2].map((n) => done.wait(5).then(() => order.push(n)));
    done.complete();
    await waits[0];
    expect(order).toEqual([1]);
    done.complete();
    await waits[1];
    expect(order).toEqual([1, 2]);
  });

  test('forgets at reinit what was not waited for', async () => {
    const done = new Completion(new VirtualClock(), 'dev0');
    done.complete();
    done.reinit();
    await expect(done.wait(1)).rejects.toThrow('ETIMEDOUT');
  });

  test('ends every wait with the error it fails with, also those that come', async () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const done = new Completion(clock, 'dev0');
    const wait = done.wait(5);
    done.fail(new Error('gone'));
    await expect(wait).rejects.toThrow('gone');
    await expect(done.wait(5)).rejects.toThrow('gone');
    expect(clock.pending).toBe(0);
  });
});
