import { describe, expect, test } from 'vitest';
import { Errno, type MdevDevice, type MdevDriver, type PciDevice } from '../../../core/index.js';
import { Bench, CARD, OTHER_UUID, PortDriver, UUID, codeOf, codeOfAsync, gate } from './bench.js';

const TYPE = 'mdev_supported_types/card-port';
const THIRD = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1003';
const read = (bench: Bench, path: string): string => bench.dev.attributes.read(`${TYPE}/${path}`).trim();

/** A driver of mediated devices that does nothing. */
const plain = (more: Partial<MdevDriver> = {}): MdevDriver => ({
  name: 'plain_mdev',
  deviceApi: 'vfio-pci',
  maxInstances: 2,
  probe: () => undefined,
  ...more,
});

describe('mdev parent', () => {
  test('4.3.1 shows its types with the driver’s name before them, and says so', async () => {
    await using bench = await Bench.start({
      types: [{ name: 'port', prettyName: 'A port' }, { name: 'half' }],
      mdev: () => plain({ showDescription: ({ spec }) => `a ${spec.name}\n` }),
    });
    const { attributes } = bench.dev;
    expect(attributes.paths().filter((path) => path.startsWith('mdev_'))).toEqual(
      ['port', 'half'].flatMap((type) =>
        ['create', 'device_api', 'name', 'available_instances', 'description'].map(
          (name) => `mdev_supported_types/card-${type}/${name}`,
        ),
      ),
    );
    expect(['device_api', 'name', 'available_instances', 'description'].map((name) => read(bench, name))).toEqual([
      'vfio-pci',
      'A port',
      '2',
      'a port',
    ]);
    expect(attributes.read('mdev_supported_types/card-half/name')).toBe('half\n');
    expect(attributes.mode(`${TYPE}/create`)).toBe(0o200);
    expect(bench.log('mdev_registered')).toEqual(['MDEV: Registered']);
    const told = bench.uevents.filter(({ env }) => env.has('MDEV_STATE'));
    expect(told.map(({ action, device, env }) => [action, device?.name, env.get('MDEV_STATE')])).toEqual([
      ['change', CARD, 'registered'],
    ]);
  });

  test('without a description there is no attribute for it', async () => {
    await using bench = await Bench.start();
    expect(bench.dev.attributes.has(`${TYPE}/description`)).toBe(false);
  });

  test.each(['', undefined])('4.3.2 a driver whose deviceApi is %j is EINVAL, and breaks a rule', async (deviceApi) => {
    await using bench = await Bench.start({ mdev: () => plain({ deviceApi: deviceApi as string }) });
    expect([bench.dev.bound, Errno.codeOf(bench.dev.probeError)]).toEqual([false, 'EINVAL']);
    expect(bench.violations.splice(0)).toEqual(['mdev-driver-incomplete']);
    expect([bench.kernel.mdev.parents, bench.kernel.mdev.findDriver('plain_mdev')]).toEqual([[], undefined]);
  });

  test('a device is a parent once: EEXIST', async () => {
    let code = '';
    await using bench = await Bench.start({
      driver: (it) => ({
        probe: (dev: PciDevice) => {
          it.probe(dev);
          code = codeOf(() => it.kernel.mdev.registerParent(dev, plain(), []));
        },
      }),
    });
    expect([code, bench.dev.bound, bench.kernel.mdev.parents.length]).toEqual(['EEXIST', true, 1]);
  });

  test('two parents share a driver, which is on the bus as long as one of them is', async () => {
    await using bench = await Bench.start({
      cards: 2,
      driver: (it) => ({ probe: (dev: PciDevice) => void it.kernel.mdev.registerParent(dev, it.portDriver, [{ name: 'port' }]) }),
    });
    const { mdev, core } = bench.kernel;
    expect(mdev.findDriver('port_mdev')).toBe(bench.portDriver);
    await core.unbind(bench.dev);
    expect(mdev.findDriver('port_mdev')).toBe(bench.portDriver);
    await core.unbind(bench.at('0000:00:05.0'));
    expect(mdev.findDriver('port_mdev')).toBeUndefined();
  });

  test('the UUID is taken on all parents, the count is of one', async () => {
    await using bench = await Bench.start({
      cards: 2,
      mdev: () => plain({ maxInstances: 1 }),
      driver: (it) => ({ probe: (dev: PciDevice) => void it.kernel.mdev.registerParent(dev, it.portDriver, [{ name: 'port' }]) }),
    });
    const [a, b] = bench.kernel.mdev.parents.map(({ types }) => types[0]!);
    await bench.kernel.mdev.create(a!, UUID);
    expect(codeOf(() => bench.kernel.mdev.create(b!, UUID))).toBe('EEXIST');
    expect([a!.available, b!.available]).toEqual([0, 1]);
    expect((await bench.kernel.mdev.create(b!, OTHER_UUID)).mdevParent.dev.name).toBe('0000:00:05.0');
  });
});

describe('mdev create', () => {
  test('86 makes a device of the lower-case UUID, bound to the driver, with its links, and says how many bytes it took', async () => {
    await using bench = await Bench.start();
    const { attributes } = bench.dev;
    expect(await attributes.write(`${TYPE}/create`, '83B8F4F2-509F-382F-3C1E-E6BFE0FA1001\n')).toBe(37);
    const dev = bench.kernel.mdev.find(UUID)!;
    expect([dev.name, dev.bus?.name, dev.parent, dev.driver?.name, dev.active]).toEqual([
      UUID,
      'mdev',
      bench.dev,
      'port_mdev',
      true,
    ]);
    expect(attributes.read(`${TYPE}/devices/${UUID}`)).toBe(`${dev.path}\n`);
    expect(dev.attributes.read('mdev_type')).toBe(`${bench.dev.path}/${TYPE}\n`);
    expect(read(bench, 'available_instances')).toBe('1');
    expect(dev.attributes.mode('remove')).toBe(0o200);
  });

  test('36 characters are enough', async () => {
    await using bench = await Bench.start();
    expect(await bench.dev.attributes.write(`${TYPE}/create`, UUID)).toBe(36);
  });

  test.each([
    ['', 'nothing'],
    [UUID.slice(1), 'too short'],
    [`${UUID}\n\n`, 'two newlines'],
    [`${UUID}0`, 'too long'],
    [UUID.replace('-', '0'), 'no UUID'],
    [UUID.replace('8', 'g'), 'a letter that is no digit'],
    [UUID.replaceAll('-', ''), 'without dashes'],
    [` ${UUID.slice(1)}`, 'a space'],
  ])('4.3.4 %j is EINVAL: %s', async (text) => {
    await using bench = await Bench.start();
    expect(codeOf(() => bench.dev.attributes.write(`${TYPE}/create`, text))).toBe('EINVAL');
    expect([read(bench, 'available_instances'), bench.kernel.mdev.devices]).toEqual(['2', []]);
  });

  test('4.3.4 a taken UUID is EEXIST, also when there is room for none; a new one is EUSERS then', async () => {
    await using bench = await Bench.start();
    await bench.create();
    await bench.create(OTHER_UUID);
    expect(read(bench, 'available_instances')).toBe('0');
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, UUID.toUpperCase()))).toBe('EEXIST');
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, THIRD))).toBe('EUSERS');
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, 'nonsense'))).toBe('EINVAL');
    await bench.kernel.mdev.remove(bench.kernel.mdev.find(UUID)!);
    await bench.create(THIRD);
  });

  test('4.3.4 all types of a parent share the count, unless its driver counts', async () => {
    await using bench = await Bench.start({ types: [{ name: 'port' }, { name: 'half' }] });
    const [port, half] = bench.parent.types;
    await bench.kernel.mdev.create(half!, UUID);
    expect([port!.available, half!.available]).toEqual([1, 1]);
    await using counted = await Bench.start({
      types: [{ name: 'port' }, { name: 'half' }],
      mdev: () =>
        plain({ maxInstances: 0, getAvailable: ({ spec, devices }) => (spec.name === 'half' ? 4 - devices.length : 0) }),
    });
    await counted.kernel.mdev.create(counted.parent.types[1]!, UUID);
    // Who counts himself also refuses himself.
    await counted.kernel.mdev.create(counted.parent.types[0]!, OTHER_UUID);
    expect(counted.parent.types.map(({ available }) => available)).toEqual([0, 3]);
  });

  test.each(['now', 'later'] as const)('4.3.4 what probe throws %s is the error, and nothing is left', async (when) => {
    const error = new Errno('EIO', 'port_mdev: no luck');
    let fails = true;
    const fail = async (): Promise<never> => {
      await Promise.resolve();
      throw error;
    };
    const probe = (): unknown => {
      if (!fails) return undefined;
      if (when === 'later') return fail();
      throw error;
    };
    await using bench = await Bench.start({ mdev: () => plain({ probe }) });
    expect(await codeOfAsync(() => bench.create())).toBe('EIO');
    expect([
      read(bench, 'available_instances'),
      bench.kernel.mdev.find(UUID),
      bench.dev.attributes.has(`${TYPE}/devices/${UUID}`),
    ]).toEqual(['2', undefined, false]);
    fails = false;
    await bench.create();
    expect(bench.violations).toEqual([]);
  });

  test('the bus never binds a device by itself', async () => {
    await using bench = await Bench.start();
    const { dev } = await bench.create();
    await bench.kernel.core.unbind(dev);
    expect(await bench.kernel.core.attach(dev)).toBe(false);
    expect([dev.bound, dev.registered]).toEqual([false, true]);
    await bench.kernel.mdev.remove(dev);
    expect(read(bench, 'available_instances')).toBe('2');
  });
});

describe('mdev remove', () => {
  test('4.3.5 1 removes it, 0 does nothing, and what is no number is EINVAL', async () => {
    await using bench = await Bench.start();
    const { dev } = await bench.create();
    for (const text of ['', 'yes', '1x', '-1', '0x', '1 1'])
      expect(codeOf(() => dev.attributes.write('remove', text))).toBe('EINVAL');
    await dev.attributes.write('remove', '0\n');
    expect(dev.registered).toBe(true);
    await dev.attributes.write('remove', '0x1\n');
    await bench.kernel.core.settle();
    expect([dev.registered, read(bench, 'available_instances')]).toEqual([false, '2']);
    expect(bench.dev.attributes.has(`${TYPE}/devices/${UUID}`)).toBe(false);
    expect((bench.portDriver as PortDriver).removed).toEqual([UUID]);
  });

  test('4.3.5 one that is gone is ENODEV', async () => {
    await using bench = await Bench.start();
    const { dev } = await bench.create();
    await bench.kernel.mdev.remove(dev);
    expect(codeOf(() => bench.kernel.mdev.remove(dev))).toBe('ENODEV');
  });

  test('4.3.5 while it is being created it is EAGAIN, and its UUID is taken', async () => {
    const open = gate();
    await using bench = await Bench.start({ mdev: () => plain({ probe: () => open.passed }) });
    const making = bench.kernel.mdev.create(bench.parent.types[0]!, UUID);
    const dev = bench.kernel.mdev.find(UUID)!;
    expect(dev.active).toBe(false);
    expect(codeOf(() => bench.kernel.mdev.remove(dev))).toBe('EAGAIN');
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, UUID))).toBe('EEXIST');
    open.pass();
    expect((await making).active).toBe(true);
  });

  test('4.3.5 it waits for its users, and is EAGAIN meanwhile; the count comes back at the end', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const going = bench.kernel.mdev.remove(port.dev);
    expect(codeOf(() => bench.kernel.mdev.remove(port.dev))).toBe('EAGAIN');
    await bench.machine.settle(1000);
    expect([port.dev.bound, read(bench, 'available_instances')]).toEqual([true, '1']);
    expect((bench.portDriver as PortDriver).removed).toEqual([]);
    await file.close();
    await going;
    expect([port.dev.registered, read(bench, 'available_instances')]).toEqual([false, '2']);
    expect((bench.portDriver as PortDriver).removed).toEqual([UUID]);
  });

  test('4.3.5 the count comes back with the last reference', async () => {
    await using bench = await Bench.start();
    const { dev } = await bench.create();
    dev.get();
    await bench.kernel.mdev.remove(dev);
    expect(read(bench, 'available_instances')).toBe('1');
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, UUID))).toBe('EEXIST');
    dev.put();
    expect(read(bench, 'available_instances')).toBe('2');
  });
});

describe('mdev parent unbind', () => {
  test('4.3.6 takes its devices first, then its types, then runs remove, and says so', async () => {
    const order: string[] = [];
    await using bench = await Bench.start({
      driver: (it) => ({
        remove: (dev: PciDevice) => void order.push(`remove ${dev.name} ${it.kernel.mdev.devices.length}`),
      }),
      mdev: () => plain({ remove: (dev: MdevDevice) => void order.push(`remove ${dev.name}`) }),
    });
    await bench.create();
    await bench.create(OTHER_UUID);
    await bench.kernel.core.unbind(bench.dev);
    expect(order).toEqual([`remove ${OTHER_UUID}`, `remove ${UUID}`, `remove ${CARD} 0`]);
    expect(bench.dev.attributes.paths().filter((path) => path.startsWith('mdev_'))).toEqual([]);
    expect([bench.kernel.mdev.parents, bench.kernel.mdev.findDriver('plain_mdev')]).toEqual([[], undefined]);
    const told = bench.uevents.map(({ env }) => env.get('MDEV_STATE')).filter((state) => state !== undefined);
    expect(told).toEqual(['registered', 'unregistered']);
    expect(bench.violations).toEqual([]);
  });

  test('4.3.6 while it waits for a user nothing can be created or removed: ENODEV', async () => {
    await using bench = await Bench.start({ driver: (it) => ({ remove: () => it.parent.unregister() }) });
    const { file } = await bench.open();
    // By hand, as long as the device is bound.
    const going = bench.parent.unregister();
    expect(codeOf(() => bench.kernel.mdev.create(bench.parent.types[0]!, OTHER_UUID))).toBe('ENODEV');
    expect(codeOf(() => bench.dev.attributes.write(`${TYPE}/create`, OTHER_UUID))).toBe('ENODEV');
    await file.close();
    await going;
    expect([bench.kernel.mdev.parents, bench.kernel.mdev.devices, bench.dev.bound]).toEqual([[], [], true]);
    await bench.kernel.core.unbind(bench.dev);
    expect(bench.violations).toEqual([]);
  });

  test('4.3.6 a device that is being created when its parent goes is gone, too', async () => {
    const open = gate();
    await using bench = await Bench.start({ mdev: () => plain({ probe: () => open.passed }) });
    const making = codeOfAsync(() => bench.kernel.mdev.create(bench.parent.types[0]!, UUID));
    const going = bench.kernel.core.unbind(bench.dev);
    open.pass();
    await going;
    expect(await making).toBe('ENODEV');
    expect([bench.kernel.mdev.devices, bench.kernel.mdev.parents, bench.violations]).toEqual([[], [], []]);
    expect(bench.dev.attributes.paths().filter((path) => path.startsWith('mdev_'))).toEqual([]);
  });

  test.each(['unregister', 'unbind'] as const)('4.3.6 %s waits for a removal that is under way', async (how) => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const removing = bench.kernel.mdev.remove(port.dev);
    const going = how === 'unbind' ? bench.kernel.core.unbind(bench.dev) : bench.parent.unregister();
    await bench.machine.settle(0);
    expect([port.dev.bound, bench.dev.bound]).toEqual([true, true]);
    await file.close();
    await Promise.all([removing, going]);
    expect([bench.kernel.mdev.devices, bench.kernel.mdev.parents, bench.violations]).toEqual([[], [], []]);
    expect((bench.portDriver as PortDriver).removed).toEqual([UUID]);
  });
});
