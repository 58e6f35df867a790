import { describe, expect, test } from 'vitest';
import { idxd } from '../../../plugins/idxd.js';
import { FRESH_QUEUE } from '../../helpers/idxd-queue.js';
import { Bench, stub } from './fixture.js';

/** A device with all there is. */
const FULL = { opConfig: true, blockOnFault: true } as const;

/** The device is enabled, and queue 0; queue 1 is not. */
async function enabled(): Promise<Bench> {
  const bench = await Bench.start({ profile: FULL, more: [stub] });
  await bench.configure(0);
  await bench.configure(1, { group_id: 0, size: 8 });
  await bench.bind('dsa0');
  await bench.bind('wq0.0', 'stub');
  return bench;
}

const paths = (bench: Bench, part: string): string[] =>
  bench
    .part(part)
    .attributes.paths()
    .filter((path) => !['uevent', 'driver_override', 'modalias'].includes(path));

describe('attributes of dsa0', () => {
  test.each([
    ['version', '0x100'],
    ['max_groups', '4'],
    ['max_work_queues', '8'],
    ['max_work_queues_size', '128'],
    ['max_engines', '4'],
    ['numa_node', '-1'],
    ['max_batch_size', '1024'],
    ['max_transfer_size', '2147483648'],
    ['op_cap', '00000000,00000000,00000000,00000000,00000000,00000000,00000001,003f027d'],
    ['gen_cap', '0x835f2106'],
    ['configurable', '1'],
    ['clients', '0'],
    ['pasid_enabled', '0'],
    ['state', 'disabled'],
    ['errors', '00000000,00000000,00000000,00000000,00000000,00000000,00000000,00000000'],
    ['max_read_buffers', '96'],
    ['max_tokens', '96'],
    ['read_buffer_limit', '0'],
    ['token_limit', '0'],
    ['cdev_major', '0'],
    ['event_log_size', '64'],
  ])('%s is %s', async (name, value) => {
    await using bench = await Bench.start();
    expect(bench.read('dsa0', name)).toBe(value);
  });

  test.each([
    ['read_buffer_limit', '97', 'EINVAL'],
    ['read_buffer_limit', 'x', 'EINVAL'],
    ['read_buffer_limit', '-1', 'EINVAL'],
    ['event_log_size', '63', 'EINVAL'],
    ['event_log_size', '65536', 'EINVAL'],
    ['version', '1', 'EACCES'],
  ])('%s refuses %s: %s', async (name, text, code) => {
    await using bench = await Bench.start();
    const before = bench.read('dsa0', name);
    await expect(bench.write('dsa0', name, text)).rejects.toThrow(code);
    expect(bench.read('dsa0', name)).toBe(before);
  });

  test.each([
    ['read_buffer_limit', '96'],
    ['token_limit', '3'],
    ['event_log_size', '65535'],
  ])('%s takes %s, and nothing while the device is enabled', async (name, text) => {
    await using bench = await Bench.start();
    await bench.write('dsa0', name, text);
    expect(bench.read('dsa0', name)).toBe(text);
    await bench.configure();
    await bench.bind('dsa0');
    await expect(bench.write('dsa0', name, text)).rejects.toThrow('EPERM: dsa0: dsa0 is enabled: disable it first');
  });

  test('cmd_status is cleared by whatever is written', async () => {
    await using bench = await Bench.start();
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x800d0000');
    await bench.write('dsa0', 'cmd_status', 'whatever');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x0');
  });

  test('what a device has not, it does not show', async () => {
    await using bench = await Bench.start({ profile: { eventLog: 0 } });
    expect(paths(bench, 'dsa0')).not.toContain('event_log_size');
    expect(paths(bench, 'wq0.0')).not.toContain('op_config');
    expect(paths(bench, 'group0.0')).not.toContain('desc_progress_limit');
  });
});

describe('attributes of queues', () => {
  test('a queue is shared, of no group and of nobody at first', async () => {
    await using bench = await Bench.start({ profile: FULL });
    const all = paths(bench, 'wq0.0').filter((name) => !['cdev_minor', 'op_config'].includes(name));
    expect(Object.fromEntries(all.map((name) => [name, bench.read('wq0.0', name)]))).toEqual(FRESH_QUEUE);
    expect(() => bench.read('wq0.0', 'cdev_minor')).toThrow('ENXIO');
  });

  test.each([
    ['group_id', '4', 'EINVAL'],
    ['group_id', '-2', 'EINVAL'],
    ['group_id', '1.5', 'EINVAL'],
    ['group_id', '', 'EINVAL'],
    ['mode', 'both', 'EINVAL'],
    ['size', '129', 'EINVAL'],
    ['size', '-1', 'EINVAL'],
    ['size', '0x10', 'EINVAL'],
    ['priority', '16', 'EINVAL'],
    ['priority', '-1', 'EINVAL'],
    ['block_on_fault', '2', 'EINVAL'],
    ['threshold', '0', 'EINVAL'],
    ['threshold', '1', 'EINVAL'],
    ['type', 'kernels', 'EINVAL'],
    ['name', '', 'EINVAL'],
    ['name', 'x'.repeat(1025), 'EINVAL'],
    ['driver_name', 'x'.repeat(129), 'EINVAL'],
    ['max_transfer_size', '0', 'EINVAL'],
    ['max_transfer_size', `${2 ** 31 + 1}`, 'EINVAL'],
    ['max_batch_size', '1025', 'EINVAL'],
    ['enqcmds_retries', '-1', 'EINVAL'],
    ['op_config', '80', 'EINVAL'],
    ['op_config', 'zz', 'EINVAL'],
    ['op_config', '0,0,0,0,0,0,0,0,1', 'EINVAL'],
    ['state', 'enabled', 'EACCES'],
    ['occupancy', '1', 'EACCES'],
  ])('%s refuses %s: %s', async (name, text, code) => {
    await using bench = await Bench.start({ profile: FULL });
    const before = bench.read('wq0.0', name);
    await expect(bench.write('wq0.0', name, text)).rejects.toThrow(code);
    expect(bench.read('wq0.0', name)).toBe(before);
  });

  test.each([
    ['group_id', '3', '3'],
    ['size', '+128', '128'],
    ['priority', '15', '15'],
    ['block_on_fault', 'on', '1'],
    ['type', 'mdev', 'mdev'],
    ['name', ' two words ', 'two words'],
    ['name', 'x'.repeat(1024), 'x'.repeat(1024)],
    ['max_transfer_size', '4097', '8192'],
    ['max_transfer_size', '0x1000', '4096'],
    ['max_transfer_size', `${2 ** 31}`, `${2 ** 31}`],
    ['max_batch_size', '33', '64'],
    ['max_batch_size', '010', '8'],
    ['enqcmds_retries', '65', '64'],
    ['op_config', '1,9', '00000000,00000000,00000000,00000000,00000000,00000000,00000001,00000009'],
  ])('%s takes %s as %s', async (name, text, value) => {
    await using bench = await Bench.start({ profile: FULL });
    await bench.write('wq0.0', name, text);
    expect(bench.read('wq0.0', name)).toBe(value);
  });

  test('sizes may not sum to more than the device has, whatever the queue has now', async () => {
    await using bench = await Bench.start();
    await bench.write('wq0.0', 'size', 100);
    await expect(bench.write('wq0.1', 'size', 29)).rejects.toThrow('EINVAL: wq0.1: 29 is not 0 to 28');
    await bench.write('wq0.1', 'size', 28);
    await bench.write('wq0.0', 'size', 1);
    await bench.write('wq0.1', 'size', 127);
  });

  test('a threshold is 1 to the size, of a shared queue; a queue that becomes dedicated has none', async () => {
    await using bench = await Bench.start();
    await bench.write('wq0.0', 'size', 16);
    await expect(bench.write('wq0.0', 'threshold', 17)).rejects.toThrow('EINVAL: wq0.0: 17 is not 1 to 16');
    await bench.write('wq0.0', 'threshold', 16);
    await bench.write('wq0.0', 'mode', 'dedicated');
    expect(bench.read('wq0.0', 'threshold')).toBe('0');
    await expect(bench.write('wq0.0', 'threshold', 1)).rejects.toThrow('EINVAL: wq0.0: is dedicated');
    await expect(bench.write('wq0.0', 'enqcmds_retries', 1)).rejects.toThrow('EOPNOTSUPP');
    expect(() => bench.read('wq0.0', 'enqcmds_retries')).toThrow('EOPNOTSUPP');
  });

  test('a device that cannot block on faults says EOPNOTSUPP', async () => {
    await using bench = await Bench.start();
    await expect(bench.write('wq0.0', 'block_on_fault', 1)).rejects.toThrow('EOPNOTSUPP: wq0.0: cannot block on faults');
  });

  test('D28 another type clears the name, the same one does not', async () => {
    await using bench = await Bench.start();
    await bench.write('wq0.0', 'type', 'kernel');
    await bench.write('wq0.0', 'name', 'dmaengine');
    await bench.write('wq0.0', 'type', 'kernel');
    expect(bench.read('wq0.0', 'name')).toBe('dmaengine');
    await bench.write('wq0.0', 'type', 'user');
    expect(bench.read('wq0.0', 'name')).toBe('');
  });

  test.each([
    ['size', '8', 'EPERM'],
    ['priority', '3', 'EPERM'],
    ['mode', 'shared', 'EPERM'],
    ['group_id', '1', 'EPERM'],
    ['type', 'user', 'EPERM'],
    ['name', 'other', 'EPERM'],
    ['driver_name', 'other', 'EPERM'],
    ['max_transfer_size', '4096', 'EPERM'],
    ['max_batch_size', '16', 'EPERM'],
    ['op_config', '1', 'EPERM'],
    ['block_on_fault', '1', 'ENXIO'],
    ['threshold', '1', 'ENXIO'],
  ])('D6 %s of an enabled queue cannot be written, and can again when it is disabled', async (name, text, code) => {
    await using bench = await enabled();
    await expect(bench.write('wq0.0', name, text)).rejects.toThrow(code);
    await bench.unbind('wq0.0');
    await bench.unbind('dsa0');
    await bench.write('wq0.0', 'size', 16);
    await bench.write('wq0.0', name, text);
    expect(bench.read('wq0.0', name).endsWith(text)).toBe(true);
  });

  test('D6 a queue that is disabled can be configured while the device is enabled, but for its size', async () => {
    await using bench = await enabled();
    await expect(bench.write('wq0.1', 'size', 4)).rejects.toThrow('EPERM: wq0.1: dsa0 is enabled: disable it first');
    for (const [name, value] of [
      ['priority', '3'],
      ['mode', 'shared'],
      ['group_id', '1'],
      ['threshold', '2'],
    ] as const) {
      await bench.write('wq0.1', name, value);
      expect(bench.read('wq0.1', name)).toBe(value);
    }
  });

  test('occupancy is what is in the queue now', async () => {
    await using bench = await Bench.start({ profile: { descriptorUs: 100 }, more: [stub] });
    await bench.configure();
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'stub');
    for (let i = 0; i < 3; i++) bench.post(0, 0);
    expect(bench.read('wq0.0', 'occupancy')).toBe('3');
    await bench.settle(1000);
    expect(bench.read('wq0.0', 'occupancy')).toBe('0');
  });
});

describe('attributes of groups and engines', () => {
  test('a group lists its queues and engines, wherever they come from', async () => {
    await using bench = await Bench.start();
    for (const part of ['wq0.1', 'wq0.3', 'engine0.2']) await bench.write(part, 'group_id', 1);
    expect([bench.read('group0.1', 'work_queues'), bench.read('group0.1', 'engines')]).toEqual(['wq0.1 wq0.3', 'engine0.2']);
    await bench.write('wq0.3', 'group_id', 2);
    await bench.write('wq0.1', 'group_id', -1);
    expect([bench.read('group0.1', 'work_queues'), bench.read('group0.2', 'work_queues')]).toEqual(['', 'wq0.3']);
  });

  test('read buffers are shared out: reserved ones are missing elsewhere, and each engine needs four', async () => {
    await using bench = await Bench.start();
    await bench.write('group0.0', 'read_buffers_reserved', 90);
    await expect(bench.write('group0.1', 'read_buffers_reserved', 7)).rejects.toThrow('EINVAL: group0.1: 7 is not 0 to 6');
    await expect(bench.write('group0.1', 'read_buffers_allowed', 7)).rejects.toThrow('EINVAL: group0.1: 7 is not 0 to 6');
    await bench.write('group0.0', 'tokens_allowed', 96);
    await bench.write('engine0.0', 'group_id', 1);
    await expect(bench.write('group0.1', 'read_buffers_allowed', 3)).rejects.toThrow('EINVAL: group0.1: 3 is not 4 to 6');
    await bench.write('group0.1', 'read_buffers_allowed', 4);
    expect([bench.read('group0.0', 'tokens_reserved'), bench.read('group0.1', 'tokens_allowed')]).toEqual(['90', '4']);
  });

  test('a group can be limited when the device has a limit', async () => {
    await using bench = await Bench.start();
    await expect(bench.write('group0.0', 'use_read_buffer_limit', 1)).rejects.toThrow('EPERM');
    await bench.write('dsa0', 'read_buffer_limit', 4);
    await bench.write('group0.0', 'use_token_limit', 1);
    expect(bench.read('group0.0', 'use_read_buffer_limit')).toBe('1');
  });

  test('traffic classes are fixed, unless the driver is told otherwise', async () => {
    await using bench = await Bench.start();
    expect(bench.read('group0.0', 'traffic_class_a')).toBe('1');
    await expect(bench.write('group0.0', 'traffic_class_a', 0)).rejects.toThrow('EPERM: group0.0: its traffic classes are fixed');
    await using free = await Bench.start({ plugin: idxd({ trafficClassOverride: true }) });
    expect(free.read('group0.0', 'traffic_class_b')).toBe('-1');
    await free.write('group0.0', 'traffic_class_b', 7);
    await expect(free.write('group0.0', 'traffic_class_b', 8)).rejects.toThrow('EINVAL: group0.0: 8 is not 0 to 7');
    await free.configure();
    free.takeWire();
    await free.bind('dsa0');
    expect(free.takeWire()).toContain('w64 GRPCFG[0]+0x28 0x6000038');
  });

  test('an engine is in one group, or in none', async () => {
    await using bench = await Bench.start();
    await expect(bench.write('engine0.0', 'group_id', 4)).rejects.toThrow('EINVAL: engine0.0: 4 is not -1 to 3');
    await bench.write('engine0.0', 'group_id', 3);
    expect(bench.read('engine0.0', 'group_id')).toBe('3');
    await bench.write('engine0.0', 'group_id', -1);
    expect(bench.read('engine0.0', 'group_id')).toBe('-1');
  });

  test('D6 nothing of a group or an engine can be written while the device is enabled', async () => {
    await using bench = await enabled();
    const all = [
      ['engine0.0', 'group_id'],
      ['group0.0', 'read_buffers_reserved'],
      ['group0.0', 'read_buffers_allowed'],
      ['group0.0', 'use_read_buffer_limit'],
      ['group0.0', 'traffic_class_a'],
    ] as const;
    for (const [part, name] of all) await expect(bench.write(part, name, 0)).rejects.toThrow(`EPERM: ${part}: dsa0 is enabled`);
  });
});
