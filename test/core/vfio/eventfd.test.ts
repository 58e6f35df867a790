import { describe, expect, test } from 'vitest';
import { EventFd } from '../../../core/vfio/index.js';
import { codeOf, codeOfAsync } from './bench.js';

describe('EventFd', () => {
  test('a read takes what was signalled, and without a signal it is EAGAIN', () => {
    const fd = new EventFd();
    fd.signal();
    fd.signal(3);
    expect([fd.count, fd.read(), fd.count]).toEqual([4, 4, 0]);
    expect(codeOf(() => fd.read())).toBe('EAGAIN');
  });

  test('who waits is woken by the signal, and one that was there before is enough', async () => {
    const fd = new EventFd();
    const waiting = fd.wait();
    fd.signal();
    expect(await waiting).toBe(1);
    fd.signal(2);
    expect(await fd.wait()).toBe(2);
  });

  test('of two that wait one gets the signal, the other the next', async () => {
    const fd = new EventFd();
    const got: number[] = [];
    const waits = [1, 2].map((who) => fd.wait().then(() => got.push(who)));
    fd.signal();
    await Promise.resolve();
    await Promise.race(waits);
    expect(got).toHaveLength(1);
    fd.signal();
    await Promise.all(waits);
    expect(got).toHaveLength(2);
  });

  test('listeners hear of each signal until they are disposed of', () => {
    const fd = new EventFd();
    let heard = 0;
    const listening = fd.listen(() => heard++);
    fd.signal();
    listening.dispose();
    fd.signal();
    expect([heard, fd.count]).toEqual([1, 2]);
  });

  test('closed, it is no descriptor: EBADF, also for who waits, and it is signalled no more', async () => {
    const fd = new EventFd();
    const waiting = codeOfAsync(() => fd.wait());
    fd.close();
    fd.close();
    fd.signal();
    expect([await waiting, fd.count, fd.isClosed]).toEqual(['EBADF', 0, true]);
    expect(codeOf(() => fd.read())).toBe('EBADF');
    expect(await codeOfAsync(() => fd.wait())).toBe('EBADF');
  });
});
