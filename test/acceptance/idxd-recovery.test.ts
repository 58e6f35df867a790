import { describe, expect, test } from 'vitest';
import { AddressSpace, CharDevices, DmaChannels } from 'backplane';
import { SubDevice, loadConfig } from 'backplane/plugins/idxd';
import { IdxdBench, bytesOf, codeOf } from './idxd-bench.js';

describe('commands', () => {
  test('D13 of many callers, each has its own answer, and none is written while another is active', async () => {
    await using bench = await IdxdBench.start({ commandCap: 0x7ffe });
    await bench.channel();
    const { commands } = bench.idxd;
    const answers = await Promise.all([
      commands.run('requestHandle', 3),
      commands.run('enableWq', 0),
      commands.run('enableWq', 9),
      commands.run('drainWq', 2),
      commands.run('requestHandle', 4),
      commands.run('drainAll'),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([0, 0x21, 2, 0x32, 0, 0]);
    expect([answers[4].result - answers[0].result, bench.r32(0xc0) & 1]).toEqual([1, 0]);
  });

  test('D14 a lost interrupt costs time, and no more', async () => {
    await using bench = await IdxdBench.start();
    await bench.setUp();
    const { interrupts } = bench.pins();
    const raise = interrupts.raise.bind(interrupts);
    interrupts.raise = () => {};
    expect([await bench.bind('dsa0'), bench.cat('dsa0/state')]).toEqual(['ok', 'enabled']);
    interrupts.raise = raise;
    expect(await bench.bind('wq0.0', 'dmaengine')).toBe('ok');
  });

  test('D14 one that never ends is ETIMEDOUT, and the next one is not written over it', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 40_000_000 });
    const channel = await bench.channel();
    channel.submit(channel.prepareInterrupt());
    const { commands } = bench.idxd;
    expect(await codeOf(() => commands.run('drainAll'))).toBe('ETIMEDOUT');
    expect([(await commands.run('drainAll')).status, bench.r32(0xc0) & 1]).toEqual([0, 0]);
  });
});

describe('resets by others', () => {
  test('3.4 D26 a function reset behind its back: work times out; unbinding, setting up and binding mend it', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const dev = bench.system.kernel.pci.find('0000:00:05.0')!;
    const waiting = bench.sim.settle(1_000_000);
    await dev.reset();
    await waiting;
    expect(bench.r32(0x90)).toBe(0);
    const lost = await codeOf(async () => channel.wait(channel.submit(channel.prepareInterrupt()), 1000));
    expect(lost).toMatch(/^(ETIMEDOUT|EIO|ENODEV)$/);
    if (bench.dev('wq0.0').bound) expect(await bench.unbind('wq0.0', 'dmaengine')).toBe('ok');
    if (bench.dev('dsa0').bound) expect(await bench.unbind('dsa0')).toBe('ok');
    const again = await bench.channel();
    expect((await again.wait(again.submit(again.prepareInterrupt()))).status).toBe('complete');
  });

  test('bus mastering taken away is an error, and does not stop the driver from leaving', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel();
    const dev = bench.system.kernel.pci.find('0000:00:05.0')!;
    dev.config.write16(4, 2);
    await bench.settle(1000);
    expect((bench.r32(0xc0) >>> 8) & 0xff).toBe(0x51);
    dev.config.write16(4, 6);
    expect([await bench.unbind('wq0.0', 'dmaengine'), await bench.unbind('dsa0')]).toEqual(['ok', 'ok']);
  });
});

describe('the device goes away', () => {
  test('in the middle of work: who waits is told, and handles are dead', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 1000 });
    const channel = await bench.channel();
    const waiting = codeOf(() => channel.wait(channel.submit(channel.prepareInterrupt())));
    bench.sim.yank('00:05.0');
    await bench.settle(100_000);
    expect(await waiting).toMatch(/^(ENODEV|EIO)$/);
    expect([await codeOf(() => channel.prepareInterrupt()), bench.has('dsa0'), bench.system.list(DmaChannels)]).toEqual([
      'ENODEV',
      false,
      [],
    ]);
  });

  test('silently: its commands end with an error, and removing it works', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel();
    const removal = bench.sim.yank('00:05.0', { silent: true });
    const code = await bench.unbind('wq0.0', 'dmaengine');
    expect(code).toMatch(/^(ok|ENODEV|ETIMEDOUT)$/);
    removal.report();
    await bench.settle(1000);
    expect(bench.has('dsa0')).toBe(false);
  });
});

describe('the system stops', () => {
  test('with all of it in use: who waits is told, who has something open has nothing left', async () => {
    const bench = await IdxdBench.start({ pasid: true, descriptorUs: 1000 });
    const wq = (n: number, type: string, driver: string): object => ({
      dev: `wq0.${n}`,
      mode: 'dedicated',
      size: 8,
      priority: 1,
      type,
      name: 'x',
      driver_name: driver,
    });
    const queues = [wq(0, 'kernel', 'dmaengine'), wq(1, 'user', 'user'), wq(2, 'mdev', 'mdev')];
    const group = { dev: 'group0.0', grouped_workqueues: queues, grouped_engines: [{ dev: 'engine0.0' }] };
    await loadConfig(bench.system, [{ dev: 'dsa0', groups: [group] }], { enable: true });
    const { kernel } = bench.system;
    const channel = bench.system.list(DmaChannels)[0]![1];
    const waiting = codeOf(() => channel.wait(channel.submit(channel.prepareInterrupt())));
    const user = { name: 'user', mm: new AddressSpace('user') };
    const file = await bench.system.get(CharDevices, 'dsa/wq0.1').open(user);
    const reading = codeOf(() => file.wait());
    const uuid = '00000000-0000-4000-8000-000000000001';
    await kernel.mdev.create(kernel.mdev.parents[0]!.types[0]!, uuid);
    const part = await SubDevice.open(kernel.vfio, uuid, kernel.vfio.container(user.mm));
    await part.enable();
    await bench.system.stop();
    expect([await waiting, await reading, await codeOf(() => file.poll()), part.file.isClosed]).toEqual([
      expect.stringMatching(/^(ok|ENODEV|EIO|ECANCELED)$/),
      'ENODEV',
      'ENODEV',
      true,
    ]);
    expect([await codeOf(() => channel.prepareInterrupt()), await codeOf(() => part.disable())]).toEqual(['ENODEV', 'EBADF']);
  });
});

describe('several devices', () => {
  test('each has its own queues, and unbinding one leaves the other at work', async () => {
    await using bench = await IdxdBench.start([{}, {}]);
    const first = await bench.channel();
    await bench.must(bench.echo(0, 'engine1.0/group_id'), 'engine');
    for (const [name, value] of Object.entries({
      group_id: 0,
      mode: 'dedicated',
      size: 8,
      priority: 1,
      type: 'kernel',
      name: 'x',
      driver_name: 'dmaengine',
    })) {
      await bench.must(bench.echo(value, `wq1.3/${name}`), name);
    }
    expect([await bench.bind('dsa1'), await bench.bind('wq1.3', 'dmaengine')]).toEqual(['ok', 'ok']);
    const second = bench.system.list(DmaChannels).find(([, one]) => one !== first && one.device().name === 'wq1.3')![1];
    expect([await bench.unbind('dsa0'), bench.cat('dsa1/state')]).toEqual(['ok', 'enabled']);
    const [from, to] = [bench.memory(second, 64, 3), bench.memory(second, 64)];
    await second.wait(second.submit(second.prepareMemcpy(to.address, from.address, 64)));
    expect(bytesOf(to)).toEqual(bytesOf(from));
    await bench.system.core.unbind(bench.system.kernel.pci.find('0000:00:05.0')!);
    expect([bench.has('dsa0'), bench.has('dsa1'), bench.cat('wq1.3/state')]).toEqual([false, true, 'enabled']);
  });

  test('what is bound is EBUSY, what is not ENODEV, and so is what there is not', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel();
    expect([await bench.bind('dsa0'), await bench.bind('wq0.0', 'dmaengine')]).toEqual(['EBUSY', 'EBUSY']);
    expect([
      await bench.unbind('wq0.1', 'dmaengine'),
      await bench.bind('wq0.9', 'dmaengine'),
      await bench.bind('engine0.0'),
    ]).toEqual(['ENODEV', 'ENODEV', 'ENODEV']);
  });
});
