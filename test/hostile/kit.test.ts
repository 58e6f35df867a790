import { describe, expect, test } from 'vitest';
import { AuxName, Device, type Driver, Errno, type Kernel } from 'backplane';
import { DriverHarness, FakePciFunction, type HarnessOptions, explore, removeAnywhere } from 'backplane/testing';
import { driverOf } from './fixture.js';

const optionsOf = (driver: HarnessOptions['driver'], more: Partial<HarnessOptions> = {}): HarnessOptions => ({
  driver,
  pci: () => [new FakePciFunction({ vendor: 0x1234, device: 1, bars: [{ sizeBytes: 4096 }] })],
  ...more,
});

/** A driver with all that makes life hard for a kit: sleeps, children, and resources of children. */
const busy = (kernel: Kernel): Driver =>
  driverOf({
    probe: async (dev) => {
      const regs = dev.mapBar(0);
      for (let i = 0; i < 2; i++) {
        await kernel.clock.sleep(100);
        regs.read32(0);
        const part = await kernel.auxiliary.add(dev, new AuxName('hostile.part'), {});
        part.devres.defer('of the part', () => {});
      }
    },
    remove: () => kernel.clock.sleep(10),
  });

describe('explore', () => {
  test('finds nothing wrong with a good driver whose probe waits while it is removed', async () => {
    const result = await explore(optionsOf(busy), { runs: 80 });
    expect(result.steps['remove']).toBeGreaterThan(5);
  });

  test('refuses an operation with the name of a step of its own', async () => {
    await expect(explore(optionsOf(driverOf()), { operations: { bind: () => {} } })).rejects.toThrow('EEXIST: explore');
  });

  test('an operation may have the name of a method of every object', async () => {
    const operations = { toString: () => Promise.reject(new Error('mine')) };
    await expect(explore(optionsOf(driverOf()), { operations })).rejects.toThrow('toString: EIO: plain: Error: mine');
  });
});

describe('removeAnywhere', () => {
  test('does not pass a driver that never binds', async () => {
    const driver = driverOf({
      probe: () => {
        throw new Errno('EIO', 'plain: no');
      },
    });
    await expect(removeAnywhere(optionsOf(driver))).rejects.toThrow('EIO: plain: fails without any removal: EIO: plain: no');
  });

  test('does not pass a use that fails by itself', async () => {
    const use = (): never => {
      throw new Errno('EINVAL', 'use: wrong');
    };
    await expect(removeAnywhere(optionsOf(driverOf()), { use })).rejects.toThrow('fails without any removal: EINVAL: use');
  });
});

describe('DriverHarness', () => {
  const forgetful = (kernel: Kernel): Driver =>
    driverOf({ probe: (dev) => kernel.core.add(new Device({ name: 'forgotten', parent: dev, release: () => {} })) });

  test('reports a child that the end of the system has swept away', async () => {
    const harness = new DriverHarness(optionsOf(forgetful));
    await harness.bind();
    await expect(harness[Symbol.asyncDispose]()).rejects.toThrow('child forgotten of 0000:00:01.0');
  });

  test('counts such a child among the expected leaks', async () => {
    const harness = new DriverHarness(optionsOf(forgetful));
    await harness.bind();
    harness.expectLeak(1);
    await expect(harness[Symbol.asyncDispose]()).resolves.toBeUndefined();
  });

  test('says why it cannot bind a device that is gone', async () => {
    await using harness = new DriverHarness(optionsOf(driverOf()));
    await harness.bind();
    await harness.remove();
    await expect(harness.bind()).rejects.toThrow('ENODEV: 0000:00:01.0: driver plain was not asked: the device is gone');
  });

  test('stops the host when remove throws', async () => {
    const driver = driverOf({
      remove: () => {
        throw new Errno('EBUSY', 'plain: still in use');
      },
    });
    const harness = new DriverHarness(optionsOf(driver));
    await harness.bind();
    const { core } = harness;
    await expect(harness[Symbol.asyncDispose]()).rejects.toThrow('EBUSY: plain: still in use');
    expect(core.buses.size).toBe(0);
  });

  test('tells what the body threw that was to break a rule', async () => {
    await using harness = new DriverHarness(optionsOf(driverOf()));
    const body = (): never => {
      throw new Error('mine');
    };
    await expect(harness.expectViolation('added-twice', body)).rejects.toThrow('was not broken, and the body threw Error: mine');
  });

  test('that finds no device tells that, and not what a driver on bus faux has left', async () => {
    const harness = new DriverHarness(optionsOf({ name: 'own', probe: () => {} }, { bus: 'faux' }));
    await expect(harness.bind()).rejects.toThrow('ENODEV: harness: driver own matches no device of bus faux');
  });
});
