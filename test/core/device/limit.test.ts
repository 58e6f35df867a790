import { describe, expect, test } from 'vitest';
import type { Device } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { ADD, Fixture, M, P, errno, errnoLater, gate, sync } from './conformance/fixture.js';

const LIMIT_US = 1_000;
const make = () => new Fixture({ callbackLimitUs: LIMIT_US });

describe('a callback that never ends', () => {
  test('a hung probe is reported and taken back after the limit, and the next driver is tried', async () => {
    const fx = make();
    const hold = gate();
    fx.register('A', 'd', (dev) => {
      fx.act(dev, 'x');
      return hold.wait;
    });
    fx.register('B', 'd');
    const d1 = fx.device('d1');
    fx.take();
    const added = fx.core.add(d1);
    await fx.clock.settle(LIMIT_US - 1);
    expect(d1.busy).toBe(true);
    await fx.clock.settle(1);
    await added;
    expect(fx.take()).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      'L:err:hung',
      P('d1', 'A', '-ETIMEDOUT'),
      'L:err:probe_failed',
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      'dm(x)',
      M('d1', 'B'),
    ]);
    expect([d1.driver, d1.busy, fx.violations]).toEqual([undefined, false, ['hung-callback']]);
  });

  test('until it ends its device is not probed again and acquires nothing; then it may', async () => {
    const fx = make();
    const hold = gate();
    const late: unknown[] = [];
    fx.register(
      'A',
      'd',
      async (dev: Device) => {
        await hold.wait;
        late.push(
          errno(() =>
            dev.devres.acquire(
              'late',
              () => 1,
              () => {},
            ),
          ),
        );
        late.push(errno(() => fx.core.addChild(dev, fx.device('kid', { parent: dev }))));
      },
      0,
    );
    const d1 = fx.device('d1');
    const added = fx.core.add(d1);
    await fx.clock.settle(LIMIT_US);
    await added;
    expect(errno(() => fx.core.attach(d1))).toBe('-EBUSY');
    hold.open();
    await fx.clock.settle();
    expect(late).toEqual(['-ENODEV', '-ENODEV']);
    expect(errno(() => fx.core.attach(d1))).toBe(true);
  });

  test('a hung remove is given up: what was acquired is released, and the caller gets ETIMEDOUT', async () => {
    const fx = make();
    const hold = gate();
    const a = fx.register('A', 'd', (dev) => void fx.act(dev, 'x'));
    a.onRemove = () => hold.wait;
    const d1 = fx.add('d1');
    fx.take();
    const unbound = errnoLater(() => fx.core.unbind(d1));
    await fx.clock.settle(LIMIT_US);
    expect(await unbound).toBe('-ETIMEDOUT');
    expect(fx.take()).toEqual([
      'N:UNBIND(d1)',
      'R(d1,A)',
      'L:err:hung',
      'L:err:remove_failed',
      'DX(d1)',
      'dm(x)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
    expect(errno(() => fx.core.attach(d1))).toBe('-EBUSY');
    hold.fail(new Errno('EIO', 'too late'));
    await fx.clock.settle();
    expect(fx.take()).toContain('L:warn:hung_ended');
    expect(errno(() => fx.core.attach(d1))).toBe(true);
  });

  test('a hung release is given up, and the releases before it still run', async () => {
    const fx = make();
    fx.register('A', 'd', (dev) => {
      fx.act(dev, 'first');
      fx.act(dev, 'hangs', () => new Promise<void>(() => {}));
    });
    const d1 = fx.add('d1');
    fx.take();
    const gone = errnoLater(() => fx.core.remove(d1));
    await fx.clock.settle(LIMIT_US);
    expect(await gone).toBe('-ETIMEDOUT');
    expect(fx.take().filter((t) => /^(dm|REL)/.test(t))).toEqual(['dm(hangs)', 'dm(first)', 'REL(d1)']);
  });

  test('a callback that ends in time leaves no timer behind', async () => {
    const fx = make();
    const hold = gate();
    const pending = fx.clock.pending;
    fx.register('A', 'd', () => hold.wait);
    const added = fx.core.add(fx.device('d1'));
    expect(fx.clock.pending).toBe(pending + 1);
    hold.open();
    await added;
    expect(fx.clock.pending).toBe(pending);
    expect(fx.violations).toEqual([]);
  });

  test('a removal waits behind a hung probe, and succeeds when that is given up', async () => {
    const fx = make();
    const hold = gate();
    fx.register('A', 'd', () => hold.wait);
    const d1 = fx.device('d1');
    const added = fx.core.add(d1);
    const gone = fx.core.remove(d1);
    await fx.clock.settle(LIMIT_US);
    await added;
    await gone;
    expect([d1.registered, sync(fx.core.attach(d1))]).toEqual([false, false]);
    expect(fx.take().slice(-1)).toEqual(['REL(d1)']);
  });
});
