import { describe, expect, test } from 'vitest';
import { Bench } from './fixture.js';
import { Parts, settingsOf, uuidOf } from './mdev-fixture.js';

const TYPES = 'mdev_supported_types/mdev-1dwq-v1';

describe('MdevQueueDriver', () => {
  test('86 makes a queue the parent of devices of one type, which a user creates by UUID and removes', async () => {
    await using parts = await Parts.start(['dedicated']);
    const { bench } = parts;
    expect(bench.read('wq0.0', `${TYPES}/device_api`)).toBe('vfio-pci');
    expect(bench.read('wq0.0', `${TYPES}/name`)).toBe('DSA, 1 dedicated work queue');
    expect(bench.read('wq0.0', `${TYPES}/available_instances`)).toBe('1');
    await bench.write('wq0.0', `${TYPES}/create`, uuidOf(7).toUpperCase());
    const dev = bench.system.device(uuidOf(7));
    expect([dev.bound, dev.parent?.name, bench.read('wq0.0', 'clients')]).toEqual([true, 'wq0.0', '1']);
    expect(bench.read('wq0.0', `${TYPES}/available_instances`)).toBe('0');
    await dev.attributes.write('remove', '1\n');
    expect(bench.read('wq0.0', `${TYPES}/available_instances`)).toBe('1');
    expect([dev.registered, bench.read('wq0.0', 'clients'), parts.vfio.list()]).toEqual([false, '0', []]);
  });

  test('a dedicated queue makes one device, a shared one as many as its threshold', async () => {
    await using parts = await Parts.start(['dedicated', { ...settingsOf('shared'), threshold: 2 }]);
    const only = await parts.create(0);
    await expect(parts.create(0)).rejects.toThrow('EUSERS: ');
    await parts.create(1);
    const second = await parts.create(1);
    expect([parts.type(1).name, parts.type(1).available]).toEqual(['mdev-1swq-v1', 0]);
    await expect(parts.create(1)).rejects.toThrow('EUSERS: wq0.1: 2 of 2 mediated devices exist: remove one first');
    await parts.remove(only);
    await parts.remove(second);
    expect([parts.type(0).available, parts.type(1).available]).toEqual([1, 1]);
    await parts.create(0, only.uuid);
    await parts.create(1, second.uuid);
  });

  test('D28 a queue with another driver name is refused with ENODEV, and cmd_status says so', async () => {
    await using bench = await Bench.start({ profile: { pasid: true } });
    await bench.configure(0, { ...settingsOf('dedicated'), driver_name: 'user' });
    await bench.bind('dsa0');
    await expect(bench.bind('wq0.0', 'mdev')).rejects.toThrow('ENODEV: ');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80200000');
  });

  test('is refused without address spaces, and without a message store', async () => {
    await using plain = await Bench.start();
    await using storeless = await Bench.start({ profile: { pasid: true, imsMult: 0 } });
    for (const [bench, status] of [
      [plain, '0x80110000'],
      [storeless, '0x80100000'],
    ] as const) {
      await bench.configure(0, settingsOf('dedicated'));
      await bench.bind('dsa0');
      await expect(bench.bind('wq0.0', 'mdev')).rejects.toThrow('EOPNOTSUPP: ');
      expect([bench.read('dsa0', 'cmd_status'), bench.read('wq0.0', 'state')]).toEqual([status, 'disabled']);
    }
  });

  test('D7 a queue that the device refuses is left as it was configured, and can be enabled when that is mended', async () => {
    await using bench = await Bench.start({ profile: { pasid: true } });
    await bench.configure(0, { ...settingsOf('dedicated'), priority: 0 });
    await bench.bind('dsa0');
    await expect(bench.bind('wq0.0', 'mdev')).rejects.toThrow('ENXIO: ');
    expect([bench.read('dsa0', 'cmd_status'), bench.read('wq0.0', 'type')]).toEqual(['0x23', 'mdev']);
    await bench.write('wq0.0', 'priority', 1);
    await bench.bind('wq0.0', 'mdev');
    expect([bench.read('wq0.0', 'state'), bench.read('wq0.0', 'type')]).toEqual(['enabled', 'mdev']);
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x0');
  });

  test("takes its devices with it when it is unbound, and the queue can be somebody else's then", async () => {
    await using parts = await Parts.start(['shared']);
    const devs = [await parts.create(), await parts.create()];
    await parts.bench.unbind('wq0.0');
    expect(devs.map((dev) => dev.registered)).toEqual([false, false]);
    expect(parts.bench.system.kernel.mdev.parents).toEqual([]);
    const settings = { type: 'kernel', name: 'own', driver_name: 'dmaengine', mode: 'dedicated', priority: 1 };
    for (const [name, value] of Object.entries(settings)) await parts.bench.write('wq0.0', name, value);
    await parts.bench.bind('wq0.0', 'dmaengine');
    expect(parts.bench.read('wq0.0', 'state')).toBe('enabled');
  });
});
