import { describe, expect, test } from 'vitest';
import { ADDRESS, Bench } from './fixture.js';
import { Parts, TYPES, settingsOf, stateOf, uuidOf } from './mdev-fixture.js';

const TYPE = `mdev_supported_types/idxd-${TYPES.dedicated}`;
const SHARED_TYPE = `mdev_supported_types/idxd-${TYPES.shared}`;

/** How many devices can be made: of a dedicated queue, of a shared one. */
const available = (bench: Bench): string[] =>
  [TYPE, SHARED_TYPE].map((type) => bench.read(ADDRESS, `${type}/available_instances`));

describe('MdevQueueDriver', () => {
  test('86 makes the PCI function the parent of devices with a queue each, which a user creates by UUID and removes', async () => {
    await using parts = await Parts.start(['dedicated']);
    const { bench } = parts;
    expect(bench.read(ADDRESS, `${TYPE}/device_api`)).toBe('vfio-pci');
    expect(bench.read(ADDRESS, `${TYPE}/name`)).toBe('DSA, 1 dedicated work queue');
    expect(bench.read(ADDRESS, `${SHARED_TYPE}/name`)).toBe('DSA, 1 shared work queue');
    expect(available(bench)).toEqual(['1', '0']);
    await bench.write(ADDRESS, `${TYPE}/create`, uuidOf(7).toUpperCase());
    const dev = bench.system.device(uuidOf(7));
    expect([dev.bound, dev.parent?.name, dev.attributes.read('wq')]).toEqual([true, ADDRESS, 'wq0.0\n']);
    expect([bench.read('wq0.0', 'clients'), ...available(bench)]).toEqual(['1', '0', '0']);
    await dev.attributes.write('remove', '1\n');
    expect(available(bench)).toEqual(['1', '0']);
    expect([dev.registered, bench.read('wq0.0', 'clients'), parts.vfio.list()]).toEqual([false, '0', []]);
  });

  test('a dedicated queue makes one device, a shared one as many as its threshold', async () => {
    await using parts = await Parts.start(['dedicated', { ...settingsOf('shared'), threshold: 2 }]);
    const only = await parts.create(0);
    await expect(parts.create(0)).rejects.toThrow(
      `ENODEV: ${ADDRESS}: no queue has room for dsa-1dwq-v1: remove a device, or bind a queue to mdev`,
    );
    await parts.create(1);
    const second = await parts.create(1);
    expect([parts.type(1).name, parts.type(1).available]).toEqual(['idxd-dsa-1swq-v1', 0]);
    await expect(parts.create(1)).rejects.toThrow('ENODEV: ');
    await parts.remove(only);
    await parts.remove(second);
    expect([parts.type(0).available, parts.type(1).available]).toEqual([1, 1]);
    await parts.create(0, only.uuid);
    await parts.create(1, second.uuid);
  });

  test('takes the first queue with room, in the order of their numbers', async () => {
    await using parts = await Parts.start(['dedicated', { ...settingsOf('shared'), threshold: 2 }, 'dedicated', 'shared']);
    const { bench } = parts;
    expect(available(bench)).toEqual(['2', '10']);
    const dedicated = [await parts.create(0), await parts.create(0)];
    const shared = [await parts.create(1), await parts.create(1), await parts.create(1)];
    const names = (devs: typeof shared): string[] => devs.map((dev) => stateOf(dev).wq.name);
    expect([names(dedicated), names(shared)]).toEqual([
      ['wq0.0', 'wq0.2'],
      ['wq0.1', 'wq0.1', 'wq0.3'],
    ]);
    expect(available(bench)).toEqual(['0', '7']);
    // What is bound later is not behind what was bound before.
    await bench.unbind('wq0.0');
    const { group_id: _, size: __, ...settings } = settingsOf('dedicated');
    for (const [name, value] of Object.entries(settings)) await bench.write('wq0.0', name, value);
    await bench.bind('wq0.0', 'mdev');
    await parts.remove(dedicated[1]!);
    expect(names([await parts.create(0)])).toEqual(['wq0.0']);
  });

  test('a queue that is unbound takes along what was made of it; the rest stays, and so do the types', async () => {
    await using parts = await Parts.start(['dedicated', 'dedicated', 'shared']);
    const { bench } = parts;
    const [first, second, share] = [await parts.create(0), await parts.create(0), await parts.create(2)];
    await bench.unbind('wq0.0');
    expect([first, second, share].map(({ registered }) => registered)).toEqual([false, true, true]);
    expect(available(bench)).toEqual(['0', '7']);
    await bench.unbind('wq0.2');
    expect([second, share].map(({ registered }) => registered)).toEqual([true, false]);
    expect(available(bench)).toEqual(['0', '0']);
    await bench.unbind('wq0.1');
    expect([second.registered, bench.system.kernel.mdev.parents]).toEqual([false, []]);
    expect(bench.part(ADDRESS).attributes.has(`${TYPE}/create`)).toBe(false);
  });

  test('nothing more is made of a queue that is being unbound', async () => {
    await using parts = await Parts.start(['shared', 'shared']);
    const { bench } = parts;
    const first = await parts.create();
    const part = await parts.open(first, parts.process('anna'));
    const gone = bench.unbind('wq0.0');
    expect(available(bench)).toEqual(['0', '8']);
    expect(() => bench.system.kernel.mdev.remove(first)).toThrow(
      `ENODEV: ${first.name}: wq0.0 is being unbound, and takes it with it`,
    );
    const second = await parts.create();
    expect([stateOf(second).wq.name, first.registered]).toEqual(['wq0.1', true]);
    await part.file.close();
    await gone;
    expect([first.registered, second.registered]).toEqual([false, true]);
  });

  test('one that was unbound by hand has its room given away, and is refused until there is some', async () => {
    await using parts = await Parts.start(['dedicated']);
    const { core, mdev } = parts.bench.system.kernel;
    const first = await parts.create();
    await core.unbind(first);
    const second = await parts.create();
    const driver = mdev.findDriver('idxd_mdev')!;
    expect(() => core.bind(first, driver)).toThrow(`ENODEV: ${first.name}: wq0.0 has no room for it`);
    await parts.remove(second);
    await core.bind(first, driver);
    expect([first.bound, parts.type().available]).toEqual([true, 0]);
  });

  test('the function that is unbound takes all of it along, without an orphan', async () => {
    await using parts = await Parts.start(['dedicated', 'shared']);
    const { core, mdev } = parts.bench.system.kernel;
    const broken: string[] = [];
    core.violations.on(({ rule }) => broken.push(rule));
    const devs = [await parts.create(0), await parts.create(1)];
    await core.remove(parts.bench.part(ADDRESS));
    expect([devs.map((dev) => dev.registered), mdev.parents, broken]).toEqual([[false, false], [], []]);
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
