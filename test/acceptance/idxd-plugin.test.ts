import { describe, expect, test } from 'vitest';
import { BusDriver, CharDevices, DmaChannels, type MaybePromise, Plugin, System } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import accelerators, {
  CMD_STATUS,
  DSA_BUS,
  type IdxdSubDriver,
  type Wq,
  enableWq,
  listConfig,
  loadConfig,
  matchDriver,
  saveConfig,
} from 'backplane/plugins/idxd';
import { IdxdBench, codeOf } from './idxd-bench.js';

/** What accel-config saves: a queue for the kernel, one for users and one for virtual machines. */
const CONFIG = [
  {
    dev: 'dsa0',
    read_buffer_limit: 0,
    groups: [
      {
        dev: 'group0.0',
        read_buffers_reserved: 0,
        use_read_buffer_limit: 0,
        read_buffers_allowed: 96,
        grouped_workqueues: [
          {
            dev: 'wq0.0',
            mode: 'dedicated',
            size: 16,
            group_id: 0,
            priority: 10,
            type: 'kernel',
            name: 'k',
            driver_name: 'dmaengine',
            threshold: 0,
          },
          {
            dev: 'wq0.1',
            mode: 'shared',
            size: 16,
            group_id: 0,
            priority: 5,
            type: 'user',
            name: 'u',
            driver_name: 'user',
            threshold: 8,
          },
          {
            dev: 'wq0.2',
            mode: 'dedicated',
            size: 8,
            group_id: 0,
            priority: 1,
            type: 'mdev',
            name: 'm',
            driver_name: 'mdev',
            threshold: 0,
          },
        ],
        grouped_engines: [
          { dev: 'engine0.0', group_id: 0 },
          { dev: 'engine0.1', group_id: 0 },
        ],
      },
    ],
  },
];

describe('a driver of queues in somebody else’s plugin', () => {
  class Counter implements IdxdSubDriver<Wq, string> {
    readonly name = 'counter';
    readonly bus = DSA_BUS;
    readonly types = ['wq'] as const;
    readonly events: string[] = [];
    async probe(wq: Wq): Promise<string> {
      matchDriver(wq, this.name);
      await enableWq(wq);
      this.events.push(`probe ${wq.name}`);
      return wq.name;
    }
    remove(_wq: Wq, name: string): MaybePromise<void> {
      this.events.push(`remove ${name}`);
    }
  }

  test('is offered each queue, enables the one that names it, and is gone before what it needs', async () => {
    const driver = new Counter();
    const counter = new Plugin('counter', ({ bind }) => bind(BusDriver).toConstantValue(driver), { requires: ['idxd'] });
    const bench = await IdxdBench.start();
    await bench.system.load(counter);
    await bench.setUp(0, { driver_name: 'counter' });
    await bench.setUp(1);
    await bench.must(bench.bind('dsa0'), 'dsa0');
    expect([await bench.bind('wq0.1', 'counter'), Number(bench.cat('dsa0/cmd_status')) === CMD_STATUS.driverName]).toEqual([
      'ENODEV',
      true,
    ]);
    expect([await bench.bind('wq0.0', 'counter'), bench.cat('wq0.0/state'), bench.r32(0x818) >>> 30]).toEqual([
      'ok',
      'enabled',
      1,
    ]);
    expect(await codeOf(() => bench.system.unload('idxd'))).toBe('EAGAIN');
    await bench.system.unload('counter');
    expect([driver.events, bench.cat('wq0.0/state'), bench.r32(0x818) >>> 30]).toEqual([
      ['probe wq0.0', 'remove wq0.0'],
      'disabled',
      0,
    ]);
    await bench.system.unload('idxd');
    expect(bench.system.core.buses.get('dsa')).toBeUndefined();
    await bench.system.stop();
  });
});

describe('configurations of accel-config', () => {
  test('one is loaded with three kinds of queues, which are there for their users; saved it is the same', async () => {
    await using bench = await IdxdBench.start({ pasid: true });
    const loaded = await loadConfig(bench.system, CONFIG, { enable: true });
    expect(loaded).toEqual({ configured: ['dsa0'], enabled: ['dsa0', 'wq0.0', 'wq0.1', 'wq0.2'] });
    expect(['wq0.0', 'wq0.1', 'wq0.2'].map((wq) => bench.dev(wq).driver?.name)).toEqual(['dmaengine', 'user', 'mdev']);
    expect([
      bench.system.list(DmaChannels).length,
      bench.system.list(CharDevices).map(([name]) => name),
      bench.system.kernel.mdev.parents.length,
    ]).toEqual([1, ['dsa/wq0.1'], 1]);
    const saved = saveConfig(bench.system);
    expect(saved).toMatchObject([
      { dev: 'dsa0', groups: [{ dev: 'group0.0', grouped_workqueues: CONFIG[0]!.groups[0]!.grouped_workqueues }, {}, {}, {}] },
    ]);
    expect(listConfig(bench.system, false)).toMatchObject([{ dev: 'dsa0', state: 'enabled' }]);
    expect(await codeOf(() => loadConfig(bench.system, CONFIG))).toBe('EPERM');
    await using other = await IdxdBench.start({ pasid: true });
    await loadConfig(other.system, JSON.parse(JSON.stringify(saved)), { enable: true });
    expect(saveConfig(other.system)).toEqual(saved);
  });

  test.each<[string, (config: typeof CONFIG) => void, string]>([
    ['a size beyond what there is', (it) => (it[0]!.groups[0]!.grouped_workqueues[0]!.size = 120), 'EINVAL'],
    ['a mode that there is not', (it) => (it[0]!.groups[0]!.grouped_workqueues[0]!.mode = 'private'), 'EINVAL'],
    ['a queue that there is not', (it) => (it[0]!.groups[0]!.grouped_workqueues[0]!.dev = 'wq0.99'), 'ENODEV'],
    ['a device that there is not', (it) => (it[0]!.dev = 'dsa7'), 'ENODEV'],
    ['a queue twice', (it) => (it[0]!.groups[0]!.grouped_workqueues[1]!.dev = 'wq0.0'), 'EEXIST'],
    ['a priority out of range', (it) => (it[0]!.groups[0]!.grouped_workqueues[2]!.priority = 16), 'EINVAL'],
    ['no configuration at all', (it) => it.push('no device' as never), 'EINVAL'],
  ])('%s: nothing is changed', async (_what, spoil, code) => {
    await using bench = await IdxdBench.start({ pasid: true });
    const before = saveConfig(bench.system);
    const config = structuredClone(CONFIG);
    spoil(config);
    expect(await codeOf(() => loadConfig(bench.system, config, { enable: true }))).toBe(code);
    expect([saveConfig(bench.system), bench.cat('dsa0/state')]).toEqual([before, 'disabled']);
  });
});

test('the plugin in its simplest use: a machine, the driver, a copy', async () => {
  const sim = hostSim({ dsa: 1 });
  await using system = await System.start(sim.plugin, accelerators);
  await loadConfig(
    system,
    [
      {
        dev: 'dsa0',
        groups: [
          {
            dev: 'group0.0',
            grouped_workqueues: [
              { dev: 'wq0.0', mode: 'dedicated', size: 8, priority: 1, type: 'kernel', name: 'k', driver_name: 'dmaengine' },
            ],
            grouped_engines: [{ dev: 'engine0.0' }],
          },
        ],
      },
    ],
    { enable: true },
  );
  const channel = system.list(DmaChannels)[0]![1];
  const { dma } = system.kernel;
  const [from, to] = [dma.alloc(channel.device(), 4096), dma.alloc(channel.device(), 4096)];
  from.fill(7);
  await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, 4096)));
  expect(to.read32(4092)).toBe(0x0707_0707);
});
