import { describe, expect, test } from 'vitest';
import { DmaChannels } from 'backplane';
import { IdxdBench, bytesOf, codeOf } from './idxd-bench.js';

const SHARED = { mode: 'shared', threshold: 8 } as const;
/** What a system with address spaces has. */
const PASID = { pasid: true } as const;

describe('7.1 objects', () => {
  test('a device, its queues, engines and groups, by names of their number', async () => {
    await using bench = await IdxdBench.start([{}, { workQueues: 2, engines: 1, groups: 1 }]);
    for (const name of ['dsa0', 'wq0.0', 'wq0.7', 'engine0.3', 'group0.3', 'dsa1', 'wq1.1', 'engine1.0', 'group1.0']) {
      expect(bench.has(name), `at ${name}`).toBe(true);
    }
    expect(['wq0.8', 'wq1.2', 'engine1.1', 'dsa2'].map((name) => bench.has(name))).toEqual([false, false, false, false]);
    expect([bench.dev('dsa0').parent?.name, bench.dev('wq0.1').parent?.name, bench.dev('group1.0').parent?.name]).toEqual([
      '0000:00:05.0',
      'dsa0',
      'dsa1',
    ]);
  });

  test('D1 one that has halted is left alone: nothing is there, and it is off the bus', async () => {
    await using bench = await IdxdBench.start();
    await bench.system.core.unbind(bench.dev('0000:00:05.0'));
    bench.pins().halt();
    const dev = bench.system.kernel.pci.find('0000:00:05.0')!;
    const { bus } = bench.system.kernel.pci;
    expect(await codeOf(() => bus.attributesOf(bus.findDriver('idxd')!).write('bind', dev.name))).toBe('ENXIO');
    expect([dev.bound, dev.config.read16(4) & 4, bench.has('dsa0')]).toEqual([false, 0, false]);
  });

  test('unloading with queues at work takes them away, and loading begins anew', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const [from, to] = [bench.memory(channel, 4096, 7), bench.memory(channel, 4096)];
    await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, 4096)));
    await bench.system.reload('idxd');
    expect([bench.has('wq0.0'), bench.cat('dsa0/state'), bench.cat('wq0.0/type')]).toEqual([true, 'disabled', 'none']);
    expect(await codeOf(() => channel.status(1))).toBe('ENODEV');
    const again = await bench.channel();
    const buffer = bench.memory(again, 64);
    await again.wait(again.submit(again.prepareFill(buffer.address, 1, 2, 64)));
    expect(buffer.read32(60)).toBe(2);
  });
});

describe('7.3 enabling a device', () => {
  test('D4 nothing configured', async () => {
    await using bench = await IdxdBench.start();
    await bench.echo(1, 'dsa0/cmd_status');
    expect([await bench.bind('dsa0'), bench.cat('dsa0/cmd_status'), bench.cat('dsa0/state'), bench.r32(0x90)]).toEqual([
      'ENXIO',
      '0x800d0000',
      'disabled',
      0,
    ]);
  });

  test('an engine in another group than its queue is 0x15 of the device; put right, it is enabled', async () => {
    await using bench = await IdxdBench.start();
    await bench.setUp();
    await bench.echo(1, 'engine0.0/group_id');
    expect([await bench.bind('dsa0'), bench.cat('dsa0/cmd_status'), bench.cat('dsa0/state')]).toEqual([
      'ENXIO',
      '0x15',
      'disabled',
    ]);
    await bench.echo(0, 'engine0.0/group_id');
    expect([await bench.bind('dsa0'), bench.cat('dsa0/cmd_status'), bench.cat('dsa0/state'), bench.r32(0x90)]).toEqual([
      'ok',
      '0x0',
      'enabled',
      1,
    ]);
    expect(await bench.bind('dsa0')).toBe('EBUSY');
    expect(bench.r32(0x80) & 0x3000).toBe(0x3000);
    expect(bench.r32(0x88)).toBe(7);
  });

  test('G10 a shared queue where nothing can be shared is refused with the device', async () => {
    await using bench = await IdxdBench.start();
    await bench.setUp(0, { mode: 'shared', threshold: 8 });
    expect([await bench.bind('dsa0'), bench.cat('dsa0/cmd_status')]).toEqual(['ENXIO', '0x800c0000']);
  });

  test('disabling takes the queues away first, and turns the log and its interrupt off', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel();
    expect(await bench.unbind('dsa0')).toBe('ok');
    expect([bench.dev('wq0.0').bound, bench.cat('wq0.0/state'), bench.cat('dsa0/state')]).toEqual([
      false,
      'disabled',
      'disabled',
    ]);
    expect([bench.r32(0x90), bench.r32(0x80) & 0x2000, bench.r32(0x88), bench.r32(0xe8)]).toEqual([0, 0, 3, 0]);
    expect(bench.system.list(DmaChannels)).toEqual([]);
  });
});

describe('7.3 enabling a queue', () => {
  async function enabled(settings: Readonly<Record<string, string | number>> = {}, pasid = false): Promise<IdxdBench> {
    const bench = await IdxdBench.start(pasid ? PASID : {});
    await bench.setUp(0, settings);
    await bench.must(bench.bind('dsa0'), 'dsa0');
    return bench;
  }
  const refused = async (bench: IdxdBench, driver = 'dmaengine'): Promise<string[]> => [
    await bench.bind('wq0.0', driver),
    bench.cat('dsa0/cmd_status'),
    bench.cat('wq0.0/state'),
  ];

  test('D7 what the device refuses is rolled back; put right, it works', async () => {
    await using bench = await IdxdBench.start({}, { interrupts: 'ims' });
    await bench.setUp(0, { priority: 0 });
    await bench.must(bench.bind('dsa0'), 'dsa0');
    const slot = (): number[] => [0, 4, 8, 12].map((at) => bench.r32(0x8000 + at));
    const control = (): number => bench.r32(0x800 + 24) >>> 30;
    expect([await refused(bench), slot(), control()]).toEqual([['ENXIO', '0x23', 'disabled'], [0, 0, 0, 1], 0]);
    await bench.echo(1, 'wq0.0/priority');
    expect([await refused(bench), slot()[3], control()]).toEqual([['ok', '0x0', 'enabled'], 0, 1]);
    expect(slot()[0]).not.toBe(0);
    expect(await bench.bind('wq0.0', 'dmaengine')).toBe('EBUSY');
  });

  test('D28 the driver that is not named', async () => {
    await using bench = await enabled({ driver_name: 'user' });
    expect(await refused(bench)).toEqual(['ENODEV', '0x80200000', 'disabled']);
  });

  test.each([
    ['without a group', { group_id: -1 }, '0x80030000'],
    ['without a size', { size: 0 }, '0x800e0000'],
  ] as const)('%s', async (_what, settings, status) => {
    await using bench = await IdxdBench.start();
    await bench.setUp(1);
    await bench.setUp(0, settings);
    await bench.echo(0, 'engine0.0/group_id');
    await bench.must(bench.bind('dsa0'), 'dsa0');
    // With a type, a queue in a group gets a size of its own.
    const expected = 'size' in settings ? ['ok', '0x0', 'enabled'] : ['ENXIO', status, 'disabled'];
    expect(await refused(bench)).toEqual(expected);
  });

  test('without a name', async () => {
    await using bench = await enabled();
    await bench.echo('user', 'wq0.0/type');
    await bench.echo('kernel', 'wq0.0/type');
    expect(await refused(bench)).toEqual(['ENXIO', '0x80040000', 'disabled']);
  });

  test('shared without a threshold; with one, and PASIDs, it is a channel', async () => {
    await using bench = await IdxdBench.start(PASID);
    await bench.setUp(0, { mode: 'shared' });
    await bench.must(bench.bind('dsa0'), 'dsa0');
    expect(await refused(bench)).toEqual(['ENXIO', '0x80060000', 'disabled']);
    await bench.echo(SHARED.threshold, 'wq0.0/threshold');
    expect(await refused(bench)).toEqual(['ok', '0x0', 'enabled']);
    const channel = bench.system.list(DmaChannels)[0]![1];
    const cookies = Array.from({ length: 8 }, () => channel.submit(channel.prepareInterrupt()));
    expect((await Promise.all(cookies.map((cookie) => channel.wait(cookie)))).map(({ status }) => status)).toEqual(
      cookies.map(() => 'complete'),
    );
  });

  test('while the device is disabled', async () => {
    await using bench = await IdxdBench.start();
    await bench.setUp();
    expect(await bench.bind('wq0.0', 'dmaengine')).toBe('ENXIO');
    expect(bench.cat('wq0.0/state')).toBe('disabled');
  });

  test('7.3 a queue of users where there is no address space', async () => {
    await using bench = await enabled({ type: 'user', driver_name: 'user' });
    expect(await refused(bench, 'user')).toEqual(['EOPNOTSUPP', '0x80110000', 'disabled']);
  });
});

describe('7.4 vector 0', () => {
  test('D20 an error and the end of a command in one pass; the error is acknowledged and shown', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 50, eventLog: 0 });
    await bench.channel();
    const words = new Uint32Array(16);
    words[1] = 0x0b00_0000;
    bench.pins().portals.movdir64b(0x1000, words);
    expect(await bench.idxd.commands.run('drainWq', 1)).toEqual({ status: 0, result: 0 });
    expect([bench.r32(0xc0) & 3, bench.r32(0x98)]).toEqual([0, 0]);
    expect(bench.cat('dsa0/errors').endsWith(',0000000b,0000100d')).toBe(true);
  });

  test('an event is drained from the log', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel();
    expect(bench.r32(0xe8)).toBe(64);
    const words = new Uint32Array(16);
    words[1] = 0x0b00_0000;
    for (let i = 0; i < 70; i++) {
      bench.pins().portals.movdir64b(0x1000, words);
      await bench.settle(100);
    }
    expect([bench.r32(0xf0), bench.r32(0xf4), bench.r32(0xc0) & 1]).toEqual([6, 6, 0]);
  });

  test('D21 handles are taken back in the middle of the work, and nobody learns of it', async () => {
    await using bench = await IdxdBench.start({ commandCap: 0x7ffe, descriptorUs: 3 });
    const channel = await bench.channel();
    const [from, to] = [bench.memory(channel, 64, 7), bench.memory(channel, 0x1000)];
    const cookies: number[] = [];
    for (let i = 0; i < 16; i++) cookies.push(channel.submit(channel.prepareMemcpy(to.address + 64 * i, from.address, 64)));
    await bench.settle(10);
    bench.pins().revokeHandles();
    const results = await Promise.all(cookies.map((cookie) => channel.wait(cookie)));
    expect(results.map(({ status }) => status)).toEqual(cookies.map(() => 'complete'));
    expect(bytesOf(to, 64, 15 * 64)).toEqual(bytesOf(from));
    await channel.wait(channel.submit(channel.prepareInterrupt()));
  });

  test('D25 after a halt that software can mend nothing is left, and all can be set up again', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 100 });
    const channel = await bench.channel();
    const cookie = channel.submit(channel.prepareInterrupt());
    const waiting = codeOf(() => channel.wait(cookie));
    bench.pins().halt('software');
    await bench.settle(1000);
    expect(await waiting).not.toBe('ok');
    expect(await codeOf(() => channel.prepareInterrupt())).toMatch(/^(EIO|ENODEV)$/);
    await bench.settle(100_000);
    expect([bench.cat('dsa0/state'), bench.r32(0x90)]).toEqual(['disabled', 0]);
    const again = await bench.channel();
    expect((await again.wait(again.submit(again.prepareInterrupt()))).status).toBe('complete');
  });

  test('D25 after one that needs a function reset, it works as before', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel(0, { max_transfer_size: 8192 });
    bench.pins().halt('flr');
    await bench.settle(2_000_000);
    expect([bench.cat('dsa0/state'), bench.cat('wq0.0/state'), bench.cat('wq0.0/max_transfer_size')]).toEqual([
      'enabled',
      'enabled',
      '8192',
    ]);
    const channel = bench.system.list(DmaChannels)[0]![1];
    expect((await channel.wait(channel.submit(channel.prepareInterrupt()))).status).toBe('complete');
  });

  test('D25 one that needs more stays halted: submitting is EIO', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    bench.pins().halt('warm');
    await bench.settle(1000);
    expect([bench.cat('dsa0/state'), await codeOf(() => channel.submit(channel.prepareInterrupt()))]).toEqual(['halted', 'EIO']);
  });
});
