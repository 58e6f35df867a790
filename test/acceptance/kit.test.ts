import { Device, type Driver, Errno, Kernel, PlatformDevice } from 'backplane';
import { DriverHarness, FakeHost, FakePciFunction, failEach, removeAnywhere } from 'backplane/testing';
import { describe, expect, test } from 'vitest';
import { code } from './fixture.js';

describe('a kernel', () => {
  test('ends with everything gone, drivers and devices of all buses, and runs once', async () => {
    const kernel = new Kernel(new FakeHost());
    await kernel.start();
    const log: string[] = [];
    void kernel.platform.register({ name: 'p', probe: () => {}, remove: (dev) => void log.push(dev.name) });
    for (const id of [1, 2]) await kernel.platform.add(new PlatformDevice({ name: 'p', id }));
    await kernel.faux.create('f', { remove: () => void log.push('f') });
    await kernel.stop();
    await kernel.stop();
    expect(log).toEqual(['f', 'p.2', 'p.1']);
    expect([kernel.core.order.size, kernel.core.buses.size]).toEqual([0, 0]);
    expect(await code(() => kernel.start())).toBe('EBUSY');
  });
});

describe('the test kit', () => {
  const good: Driver = {
    name: 'good',
    probe: (dev) => {
      dev.devres.acquire(
        'clock',
        () => 1,
        () => {},
      );
      dev.devres.defer('timer', () => {});
    },
  };
  const leaky: Driver = {
    name: 'leaky',
    probe: (dev) => {
      const kid = new Device({ name: 'kid', parent: dev, release: () => {} });
      void dev.core!.add(kid);
      dev.devres.defer('timer', () => {});
    },
  };
  const onPlatform = (d: Driver): ConstructorParameters<typeof DriverHarness>[0] => ({
    driver: d,
    bus: 'platform',
    setup: (kernel) => kernel.platform.add(new PlatformDevice({ name: d.name })),
  });

  test('failEach names what it failed, and catches a driver that forgets its child', async () => {
    expect(await failEach(onPlatform(good))).toEqual(['clock', 'timer']);
    expect(await code(() => failEach(onPlatform(leaky)))).toBe('EBUSY');
  });

  test('removeAnywhere goes through every acquisition', async () => {
    expect(await removeAnywhere(onPlatform(good))).toEqual(expect.arrayContaining(['acquire clock', 'acquire timer']));
  });

  test('a harness binds, traces, unbinds and checks', async () => {
    await using harness = new DriverHarness(onPlatform(good));
    await harness.bind();
    expect(harness.trace.ledger('good')).toEqual(['+clock', '+timer']);
    await harness.unbind();
    expect(harness.trace.isPalindrome('good')).toBe(true);
    expect(harness.leaks()).toEqual([]);
  });

  test('a probe that fails is what bind throws', async () => {
    await using harness = new DriverHarness({
      driver: {
        name: 'bad',
        probe: () => {
          throw new Errno('EIO', 'bad: no answer');
        },
        ids: [{}],
      } as Driver,
      pci: () => [new FakePciFunction({ vendor: 1, device: 2 })],
    });
    expect(await code(() => harness.bind())).toBe('EIO');
  });
});
