import { describe, expect, test } from 'vitest';
import { CharDevices } from '../../../core/index.js';
import { Users, configureQueue } from './user-fixture.js';

describe('UserDriver', () => {
  test('shows an enabled queue as a character device with a number of its own', async () => {
    await using users = await Users.start(['dedicated', 'shared']);
    const { bench } = users;
    expect(CharDevices.list(bench.system.core).map(([name]) => name)).toEqual(['dsa/wq0.0', 'dsa/wq0.1']);
    expect([bench.read('wq0.0', 'cdev_minor'), bench.read('wq0.1', 'cdev_minor')]).toEqual(['0', '1']);
    expect([bench.read('wq0.1', 'type'), bench.read('wq0.1', 'state'), bench.read('dsa0', 'cmd_status')]).toEqual([
      'user',
      'enabled',
      '0x0',
    ]);
    await bench.unbind('wq0.0');
    expect(() => bench.read('wq0.0', 'cdev_minor')).toThrow('ENXIO');
    expect([bench.read('wq0.0', 'type'), bench.read('wq0.0', 'state')]).toEqual(['none', 'disabled']);
    expect(CharDevices.list(bench.system.core).map(([name]) => name)).toEqual(['dsa/wq0.1']);
    await configureQueue(bench.wq(), 'dedicated');
    await bench.bind('wq0.0', 'user');
    expect(bench.read('wq0.0', 'cdev_minor')).toBe('0');
  });

  test('D28 another driver’s queue is ENODEV, and cmd_status says so', async () => {
    await using users = await Users.start(['dedicated']);
    const { bench } = users;
    await bench.unbind('wq0.0');
    await bench.write('wq0.0', 'driver_name', 'dmaengine');
    await expect(bench.bind('wq0.0', 'user')).rejects.toThrow("ENODEV: wq0.0: its driver_name is 'dmaengine', not user");
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80200000');
  });

  test('without PASIDs a queue cannot be for users: EOPNOTSUPP, and cmd_status says so', async () => {
    await expect(Users.start(['dedicated'], { profile: { pasid: false } })).rejects.toThrow(
      'EOPNOTSUPP: wq0.0: dsa0 has no PASIDs, or the platform none',
    );
    await expect(Users.start(['dedicated'], { machine: { iommu: false } })).rejects.toThrow('EOPNOTSUPP: wq0.0');
  });

  test('the type that a queue had comes back when the device does not enable it', async () => {
    await using users = await Users.start(['dedicated']);
    const { bench } = users;
    await bench.unbind('wq0.0');
    for (const [name, value] of [
      ['type', 'kernel'],
      ['name', 'app'],
      ['mode', 'dedicated'],
    ] as const)
      await bench.write('wq0.0', name, value);
    await expect(bench.bind('wq0.0', 'user')).rejects.toThrow('ENXIO: dsa0: wq0.0 not enabled: status 0x23');
    expect([bench.read('wq0.0', 'type'), bench.read('wq0.0', 'state'), bench.read('dsa0', 'cmd_status')]).toEqual([
      'kernel',
      'disabled',
      '0x23',
    ]);
  });
});
