import { describe, expect, test } from 'vitest';
import { FRESH_QUEUE } from '../helpers/idxd-queue.js';
import { IdxdBench } from './idxd-bench.js';

describe('7.2 what a device shows', () => {
  test('names and values of dsa0', async () => {
    await using bench = await IdxdBench.start();
    const values: Record<string, string> = {
      version: '0x100',
      max_groups: '4',
      max_work_queues: '8',
      max_work_queues_size: '128',
      max_engines: '4',
      numa_node: '-1',
      max_batch_size: '1024',
      max_transfer_size: '2147483648',
      gen_cap: '0x835f2106',
      configurable: '1',
      clients: '0',
      pasid_enabled: '0',
      state: 'disabled',
      max_read_buffers: '96',
      max_tokens: '96',
      read_buffer_limit: '0',
      token_limit: '0',
      event_log_size: '64',
    };
    for (const [name, value] of Object.entries(values)) expect(bench.cat(`dsa0/${name}`), `at ${name}`).toBe(value);
    const zeros = Array.from({ length: 6 }, () => '00000000').join(',');
    expect(bench.cat('dsa0/op_cap')).toBe(`${zeros},00000001,003f027d`);
    expect(bench.cat('dsa0/errors')).toBe(`${zeros},00000000,00000000`);
  });

  test('7.1 after loading, cmd_status says that nothing is configured; any write clears it', async () => {
    await using bench = await IdxdBench.start();
    expect(bench.cat('dsa0/cmd_status')).toBe('0x800d0000');
    expect(await bench.echo('whatever', 'dsa0/cmd_status')).toBe('ok');
    expect(bench.cat('dsa0/cmd_status')).toBe('0x0');
  });

  test('what the part lacks is not shown', async () => {
    await using bench = await IdxdBench.start({ eventLog: 0 });
    const hidden = [
      'dsa0/event_log_size',
      'wq0.0/ats_disable',
      'wq0.0/prs_disable',
      'wq0.0/op_config',
      'group0.0/desc_progress_limit',
    ];
    for (const path of [...hidden, 'dsa0/iaa_cap', 'dsa0/dsacaps'])
      expect(await bench.catError(path), `at ${path}`).toBe('ENOENT');
  });

  test('a queue as it comes', async () => {
    await using bench = await IdxdBench.start();
    for (const [name, value] of Object.entries(FRESH_QUEUE)) expect(bench.cat(`wq0.3/${name}`), `at ${name}`).toBe(value);
    expect(await bench.catError('wq0.3/cdev_minor')).toBe('ENXIO');
    expect([bench.cat('engine0.3/group_id'), bench.cat('group0.3/work_queues'), bench.cat('group0.3/engines')]).toEqual([
      '-1',
      '',
      '',
    ]);
    expect([bench.cat('group0.0/traffic_class_a'), bench.cat('group0.0/traffic_class_b')]).toEqual(['1', '1']);
  });
});

describe('7.2 what may be written', () => {
  const RULES: readonly (readonly [path: string, good: readonly (string | number)[], bad: readonly (string | number)[]])[] = [
    ['wq0.0/group_id', [0, 3, -1, 2], [4, -2, 'x', '']],
    ['wq0.0/mode', ['dedicated', 'shared'], ['Dedicated', 'exclusive', '']],
    ['wq0.0/size', [0, 16, 128], [129, -1, 'x', '1.5']],
    ['wq0.0/priority', [0, 1, 15], [16, -1, 'x']],
    ['wq0.0/type', ['none', 'kernel', 'user'], ['Kernel', 'iaa', '']],
    ['wq0.0/name', ['a', 'x'.repeat(1024)], ['', 'x'.repeat(1025)]],
    ['wq0.0/driver_name', ['user', 'x'.repeat(128)], ['', 'x'.repeat(129)]],
    ['wq0.0/max_transfer_size', [1, 4096, 2147483648], [0, 2147483649, -1, 'x']],
    ['wq0.0/max_batch_size', [1, 2, 1024], [0, 1025, 'x']],
    ['dsa0/read_buffer_limit', [0, 96, 10], [97, -1, 'x']],
    ['dsa0/event_log_size', [64, 65535], [63, 65536, 'x']],
    ['engine0.0/group_id', [0, -1, 3], [4, -2, 'x']],
    ['group0.0/read_buffers_reserved', [0, 8], [97, -1, 'x']],
    ['group0.0/use_read_buffer_limit', [1, 0], [-1, 'x']],
  ];

  test.each(RULES)('%s', async (path, good, bad) => {
    await using bench = await IdxdBench.start();
    if (path.startsWith('group')) await bench.echo(20, 'dsa0/read_buffer_limit');
    for (const value of good) {
      expect(await bench.echo(value, path), `${value}`).toBe('ok');
      expect(bench.cat(path)).toBe(`${value}`);
    }
    const kept = bench.cat(path);
    for (const value of bad) expect(await bench.echo(value, path), `'${value}'`).toBe('EINVAL');
    expect(bench.cat(path)).toBe(kept);
  });

  test('limits are rounded up to a power of two', async () => {
    await using bench = await IdxdBench.start();
    await bench.echo(4097, 'wq0.0/max_transfer_size');
    await bench.echo(33, 'wq0.0/max_batch_size');
    expect([bench.cat('wq0.0/max_transfer_size'), bench.cat('wq0.0/max_batch_size')]).toEqual(['8192', '64']);
  });

  test('thresholds are 1 to the size, of shared queues; dedicating a queue clears its threshold', async () => {
    await using bench = await IdxdBench.start();
    await bench.echo(8, 'wq0.0/size');
    const answers = await Promise.all([0, 9, 1, 8].map((value) => bench.echo(value, 'wq0.0/threshold')));
    expect([answers, bench.cat('wq0.0/threshold')]).toEqual([['EINVAL', 'EINVAL', 'ok', 'ok'], '8']);
    await bench.echo('dedicated', 'wq0.0/mode');
    expect([bench.cat('wq0.0/threshold'), await bench.echo(4, 'wq0.0/threshold')]).toEqual(['0', 'EINVAL']);
    expect(await bench.catError('wq0.0/enqcmds_retries')).toBe('EOPNOTSUPP');
    expect(await bench.echo(3, 'wq0.0/enqcmds_retries')).toBe('EOPNOTSUPP');
  });

  test('retries are cut at 64', async () => {
    await using bench = await IdxdBench.start();
    expect([await bench.echo(100, 'wq0.0/enqcmds_retries'), bench.cat('wq0.0/enqcmds_retries')]).toEqual(['ok', '64']);
  });

  test('sizes are of all queues together', async () => {
    await using bench = await IdxdBench.start();
    expect([await bench.echo(100, 'wq0.0/size'), await bench.echo(29, 'wq0.1/size'), await bench.echo(28, 'wq0.1/size')]).toEqual(
      ['ok', 'EINVAL', 'ok'],
    );
    expect([await bench.echo(101, 'wq0.0/size'), await bench.echo(50, 'wq0.0/size')]).toEqual(['EINVAL', 'ok']);
  });

  test('D28 another type clears the name, the same does not', async () => {
    await using bench = await IdxdBench.start();
    await bench.echo('kernel', 'wq0.0/type');
    await bench.echo('abc', 'wq0.0/name');
    await bench.echo('kernel', 'wq0.0/type');
    expect(bench.cat('wq0.0/name')).toBe('abc');
    await bench.echo('user', 'wq0.0/type');
    expect(bench.cat('wq0.0/name')).toBe('');
  });

  test('lists of groups follow their members', async () => {
    await using bench = await IdxdBench.start();
    for (const [path, id] of [
      ['wq0.0', 1],
      ['wq0.5', 1],
      ['engine0.2', 1],
      ['wq0.1', 0],
    ] as const) {
      await bench.echo(id, `${path}/group_id`);
    }
    expect(['group0.1/work_queues', 'group0.1/engines', 'group0.0/work_queues'].map((path) => bench.cat(path))).toEqual([
      'wq0.0 wq0.5',
      'engine0.2',
      'wq0.1',
    ]);
    await bench.echo(-1, 'wq0.0/group_id');
    expect(bench.cat('group0.1/work_queues')).toBe('wq0.5');
  });

  test('read buffers: what is reserved and allowed must be there', async () => {
    await using bench = await IdxdBench.start();
    await bench.echo(0, 'engine0.0/group_id');
    await bench.echo(0, 'engine0.1/group_id');
    const write = (value: number, group: number, name: string): Promise<string> =>
      bench.echo(value, `group0.${group}/read_buffers_${name}`);
    expect([await write(7, 0, 'allowed'), await write(8, 0, 'allowed'), await write(97, 0, 'allowed')]).toEqual([
      'EINVAL',
      'ok',
      'EINVAL',
    ]);
    expect([await write(90, 0, 'reserved'), await write(7, 1, 'reserved'), await write(6, 1, 'reserved')]).toEqual([
      'ok',
      'EINVAL',
      'ok',
    ]);
    expect([await write(91, 0, 'allowed'), await write(90, 0, 'allowed')]).toEqual(['EINVAL', 'ok']);
    expect([bench.cat('group0.1/tokens_reserved'), bench.cat('group0.0/tokens_allowed')]).toEqual(['6', '90']);
  });

  test('traffic classes are fixed below version 3, unless that is overridden', async () => {
    await using bench = await IdxdBench.start();
    expect(await bench.echo(2, 'group0.0/traffic_class_a')).toBe('EPERM');
    await using other = await IdxdBench.start({}, { trafficClassOverride: true });
    expect(['ok', 'ok', 'EINVAL', 'EINVAL']).toEqual([
      await other.echo(0, 'group0.0/traffic_class_a'),
      await other.echo(7, 'group0.0/traffic_class_b'),
      await other.echo(8, 'group0.0/traffic_class_a'),
      await other.echo(-1, 'group0.0/traffic_class_a'),
    ]);
  });

  test('blocking on faults is for parts that can', async () => {
    await using bench = await IdxdBench.start();
    expect(await bench.echo(1, 'wq0.0/block_on_fault')).toBe('EOPNOTSUPP');
    await using other = await IdxdBench.start({ blockOnFault: true });
    expect([await other.echo(1, 'wq0.0/block_on_fault'), other.cat('wq0.0/block_on_fault')]).toEqual(['ok', '1']);
    expect(await other.echo('maybe', 'wq0.0/block_on_fault')).toBe('EINVAL');
  });

  test('operations of a queue: those of the device, or some of them', async () => {
    await using bench = await IdxdBench.start({ opConfig: true });
    const all = bench.cat('wq0.0/op_config');
    expect(all.endsWith('00000001,003f027f') || all.endsWith('00000001,003f027d')).toBe(true);
    expect(await bench.echo('9', 'wq0.0/op_config')).toBe('ok');
    expect(bench.cat('wq0.0/op_config').endsWith(',00000000,00000009')).toBe(true);
    expect([await bench.echo('80', 'wq0.0/op_config'), await bench.echo('xyz', 'wq0.0/op_config')]).toEqual(['EINVAL', 'EINVAL']);
  });
});

describe('7.2 when it may be written', () => {
  test('D6 while the device is enabled sizes and engines are fixed; of an enabled queue all, and free again afterwards', async () => {
    await using bench = await IdxdBench.start({ blockOnFault: true });
    await bench.channel();
    const refused: Record<string, string> = {
      'wq0.0/size': 'EPERM',
      'wq0.1/size': 'EPERM',
      'engine0.1/group_id': 'EPERM',
      'dsa0/read_buffer_limit': 'EPERM',
      'dsa0/event_log_size': 'EPERM',
      'group0.1/read_buffers_reserved': 'EPERM',
      'wq0.0/group_id': 'EPERM',
      'wq0.0/priority': 'EPERM',
      'wq0.0/max_transfer_size': 'EPERM',
      'wq0.0/block_on_fault': 'ENXIO',
      'wq0.0/threshold': 'ENXIO',
    };
    const values: Record<string, string | number> = { 'wq0.0/group_id': 0, 'engine0.1/group_id': 0 };
    for (const [path, code] of Object.entries(refused))
      expect(await bench.echo(values[path] ?? 1, path), `at ${path}`).toBe(code);
    for (const [path, text] of [
      ['wq0.0/mode', 'shared'],
      ['wq0.0/type', 'user'],
      ['wq0.0/name', 'other'],
      ['wq0.0/driver_name', 'user'],
    ] as const) {
      expect(await bench.echo(text, path), `at ${path}`).toBe('EPERM');
    }
    expect([await bench.echo(3, 'wq0.1/priority'), await bench.echo(0, 'wq0.1/group_id')]).toEqual(['ok', 'ok']);
    expect([await bench.unbind('wq0.0', 'dmaengine'), await bench.echo(5, 'wq0.0/priority')]).toEqual(['ok', 'ok']);
    expect([await bench.unbind('dsa0'), await bench.echo(5, 'wq0.0/size')]).toEqual(['ok', 'ok']);
  });

  test('disabling a queue forgets what was for its user, disabling the device the rest', async () => {
    await using bench = await IdxdBench.start();
    await bench.channel(0, { max_transfer_size: 4096, max_batch_size: 2 });
    await bench.unbind('wq0.0', 'dmaengine');
    const names = [
      'priority',
      'threshold',
      'mode',
      'name',
      'max_transfer_size',
      'max_batch_size',
      'type',
      'size',
      'group_id',
      'driver_name',
    ];
    const values = (): string[] => names.map((name) => bench.cat(`wq0.0/${name}`));
    expect(values()).toEqual(['0', '0', 'shared', '', '2097152', '32', 'none', '16', '0', 'dmaengine']);
    await bench.unbind('dsa0');
    expect(values().slice(7)).toEqual(['0', '-1', 'dmaengine']);
    expect(bench.cat('engine0.0/group_id')).toBe('-1');
  });

  test('D27 a configuration that is read-only is shown as it is, refuses writes, and is enabled at once', async () => {
    await using bench = await IdxdBench.start({ readOnlyConfig: true });
    expect(['configurable', 'state', 'cmd_status'].map((name) => bench.cat(`dsa0/${name}`))).toEqual([
      '0',
      'enabled',
      '0x80200000',
    ]);
    expect(['size', 'group_id', 'mode', 'priority'].map((name) => bench.cat(`wq0.7/${name}`))).toEqual([
      '16',
      '0',
      'dedicated',
      '1',
    ]);
    expect(bench.cat('group0.0/engines')).toBe('engine0.0 engine0.1 engine0.2 engine0.3');
    for (const [path, value] of [
      ['wq0.0/size', 1],
      ['wq0.0/group_id', 1],
      ['wq0.0/mode', 'shared'],
      ['wq0.0/priority', 2],
      ['wq0.0/max_transfer_size', 64],
      ['engine0.0/group_id', 1],
      ['dsa0/read_buffer_limit', 1],
      ['group0.0/read_buffers_reserved', 1],
    ] as const) {
      expect(await bench.echo(value, path), `at ${path}`).toBe('EPERM');
    }
    for (const [name, value] of Object.entries({ type: 'kernel', name: 'k', driver_name: 'dmaengine' })) {
      expect(await bench.echo(value, `wq0.2/${name}`), `at ${name}`).toBe('ok');
    }
    expect([await bench.bind('wq0.2', 'dmaengine'), bench.cat('wq0.2/state')]).toEqual(['ok', 'enabled']);
    expect([await bench.unbind('wq0.2', 'dmaengine'), bench.cat('wq0.2/size'), bench.cat('wq0.2/mode')]).toEqual([
      'ok',
      '16',
      'dedicated',
    ]);
  });
});
