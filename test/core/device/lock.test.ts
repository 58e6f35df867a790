import { describe, expect, test } from 'vitest';
import { Device, Bus } from '../../../core/device/index.js';
import { parentLocked, relock, unlock, waitForLock } from '../../../core/device/lock.js';
import { run } from '../../../core/lib/flow.js';
import { currentFrame, enterFrame, findFrame, leaveFrame } from '../../../core/lib/frame.js';

describe('the lock of a device', () => {
  test('is taken at once when it is free', () => {
    const dev = new Device({ name: 'd1' });
    expect(run(waitForLock(dev, 'test'))).toBeUndefined();
    expect(dev.busy).toBe(true);
    unlock(dev);
    expect(dev.busy).toBe(false);
  });

  test('goes to who waited longest, and is never free in between', async () => {
    const dev = new Device({ name: 'd1' });
    dev.busy = true;
    const order: unknown[] = [];
    const turn = async (n: number): Promise<void> => {
      await run(waitForLock(dev, 'test'));
      unlock(dev);
      order.push(n, dev.busy);
    };
    const all = [turn(1), turn(2), turn(3)];
    unlock(dev);
    expect(dev.busy).toBe(true);
    await Promise.all(all);
    expect([order, dev.lockQueue]).toEqual([[1, true, 2, true, 3, false], undefined]);
  });

  test('is refused with EDEADLK to who is inside the operation that holds it', () => {
    const dev = new Device({ name: 'd1' });
    dev.busy = true;
    const saved = enterFrame(dev, 'probe');
    expect(() => run(waitForLock(dev, 'unbind'))).toThrow('EDEADLK: d1: unbind from inside its own probe would wait for itself');
    leaveFrame(saved);
    expect([dev.busy, dev.lockQueue]).toEqual([true, undefined]);
  });

  test('can be given up and taken back inside the same operation, even if somebody else has it meanwhile', async () => {
    const dev = new Device({ name: 'd1' });
    dev.busy = true;
    const saved = enterFrame(dev, 'unbind');
    const back = run(relock(dev));
    leaveFrame(saved);
    unlock(dev);
    await back;
    expect(dev.busy).toBe(true);
  });
});

describe('the lock of a parent', () => {
  const bus = new Bus('usb', { needParentLock: true });
  function* look(parent: Device, seen: unknown[]) {
    seen.push(parent.busy, findFrame((f) => f.owner === parent)?.what);
  }

  test('is held, with a frame, while the flow runs', () => {
    const parent = new Device({ name: 'par' });
    const kid = new Device({ name: 'kid', parent, bus });
    const seen: unknown[] = [];
    void run(parentLocked(kid, 'probe', look(parent, seen)));
    expect(seen).toEqual([true, 'probe of kid']);
    expect([parent.busy, currentFrame()]).toEqual([false, undefined]);
  });

  test('stays with a caller who holds it', () => {
    const parent = new Device({ name: 'par' });
    const kid = new Device({ name: 'kid', parent, bus });
    parent.busy = true;
    const saved = enterFrame(parent, 'probe');
    const seen: unknown[] = [];
    void run(parentLocked(kid, 'probe', look(parent, seen)));
    leaveFrame(saved);
    expect([seen, parent.busy]).toEqual([[true, 'probe'], true]);
  });

  test('is not taken on other buses', () => {
    const parent = new Device({ name: 'par' });
    const seen: unknown[] = [];
    void run(parentLocked(new Device({ name: 'kid', parent, bus: new Bus('pci') }), 'probe', look(parent, seen)));
    expect(seen).toEqual([false, undefined]);
  });
});
