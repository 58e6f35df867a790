import { array, assert, asyncProperty, boolean, constantFrom, integer, record, tuple } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Errno, System } from '../../../core/index.js';
import { loadConfig, readConfig } from '../../../drivers/idxd/accel-config.js';
import { listConfig, saveConfig } from '../../../drivers/idxd/accel-list.js';
import { IdxdCommand } from '../../../drivers/idxd/cli/idxd-command.js';
import { dsa } from '../../../hw/models/dsa/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { idxd } from '../../../plugins/idxd.js';
import { Accelerators } from './accel-fixture.js';

/** What a command line does, on a machine with accelerators. */
async function run({ system }: Accelerators, line: string): Promise<void> {
  const nothing = (): never => {
    throw new Error('no file is meant');
  };
  const caller = { json: false, readFile: nothing, writeFile: nothing };
  await new IdxdCommand().run(system, line.split(' '), { write: () => {} }, caller);
}

const ungrouped = (...wqs: readonly object[]) => [
  { dev: 'dsa0', ungrouped_workqueues: wqs.map((it, i) => ({ dev: `wq0.${i}`, ...it })) },
];
const KERNEL = { mode: 'dedicated', size: 16, priority: 1, type: 'kernel', name: 'a', driver_name: 'dmaengine' };

/** With a queue enabled in group 0, and one for whatever a test wants of it. */
const enabled = (limits: object = {}, group: object = {}, other: object = KERNEL) => [
  {
    dev: 'dsa0',
    ...limits,
    groups: [
      {
        dev: 'group0.0',
        grouped_workqueues: [
          { dev: 'wq0.0', ...KERNEL },
          { dev: 'wq0.1', ...other },
        ],
        grouped_engines: [{ dev: 'engine0.0' }],
        ...group,
      },
    ],
  },
];

describe('what no attribute takes is refused before any is written', () => {
  test.each(['0x8', '0000000000000008', '0,0,0,0,0,0,0,0,8', '8,', ''])('operations %j', async (op_config) => {
    await using one = await Accelerators.start({ opConfig: true });
    const { state } = one;
    const message = `EINVAL: wq0.0: op_config ${JSON.stringify(op_config)}: must be a bitmap within dsa0's op_cap, `;
    expect(() => readConfig(one.system, ungrouped({ size: 4, op_config }))).toThrow(message);
    await expect(loadConfig(one.system, ungrouped({ size: 4, op_config }))).rejects.toThrow(message);
    await expect(run(one, `config-wq wq0.0 -s 4 --op-config=${op_config}`)).rejects.toThrow(message);
    expect(one.state).toEqual(state);
  });
  test.each(['', ' '])('the name %j of a queue that has another', async (name) => {
    await using one = await Accelerators.start({});
    await loadConfig(one.system, ungrouped({ name: 'x', driver_name: 'user' }));
    const { state } = one;
    await expect(loadConfig(one.system, ungrouped({ size: 4, name }))).rejects.toThrow(
      'EINVAL: wq0.0: name "": must have a character: it is x (at [0].ungrouped_workqueues[0].name)',
    );
    await expect(loadConfig(one.system, ungrouped({ size: 4, driver_name: name }))).rejects.toThrow(
      'EINVAL: wq0.0: driver_name "": must have a character: it is user',
    );
    expect(one.state).toEqual(state);
    await loadConfig(one.system, ungrouped({ size: 4, type: 'kernel', name }));
    expect([one.read('wq0.0', 'name'), one.read('wq0.0', 'size')]).toEqual(['', '4']);
  });
});

describe('a command line', () => {
  test('that asks too much of several queues together configures none of them', async () => {
    await using one = await Accelerators.start({}, {});
    const { state } = one;
    await expect(run(one, 'config-wq wq0.0 wq0.1 -s 100')).rejects.toThrow(
      'EINVAL: wq0.1: size 100: dsa0 has 128 entries, others take 100',
    );
    expect(one.state).toEqual(state);
    await run(one, 'config-wq wq0.0 wq1.0 wq0.0 -s 100');
    expect([one.read('wq0.0', 'size'), one.read('wq1.0', 'size')]).toEqual(['100', '100']);
  });
  test('that is refused by the second attribute leaves the first as it was, on other accelerators too', async () => {
    await using one = await Accelerators.start({}, {});
    await loadConfig(one.system, enabled({}, {}, { size: 16 }), { enable: false });
    await run(one, 'config-wq wq0.1 -m dedicated -p 2');
    await run(one, 'enable-device dsa0');
    const { state } = one;
    await expect(run(one, 'config-wq wq1.0 wq0.1 -p 7 -s 20')).rejects.toThrow('EPERM: wq0.1: dsa0 is enabled: disable it first');
    await expect(run(one, 'config-wq wq0.1 -p 7 -t 8')).rejects.toThrow('EINVAL: wq0.1: is dedicated: ');
    await expect(run(one, 'config-device dsa1 -e 128 -l 97')).rejects.toThrow('EINVAL: dsa1: read_buffer_limit 97: ');
    await expect(run(one, 'config-group group1.0 -r 8 -a 3')).rejects.toThrow('EPERM: group1.0: its traffic classes are fixed');
    expect(one.state).toEqual(state);
  });
  test('gives a disabled queue of an enabled device a threshold within its size', async () => {
    await using one = await Accelerators.start({});
    await loadConfig(one.system, enabled());
    await run(one, 'enable-device dsa0');
    await expect(run(one, 'config-wq wq0.1 -m shared -t 17')).rejects.toThrow('threshold 17: must be 1 to its size, 16');
    expect(one.read('wq0.1', 'mode')).toBe('dedicated');
    await run(one, 'config-wq wq0.1 -m shared -t 8');
    expect([one.read('wq0.1', 'mode'), one.read('wq0.1', 'threshold')]).toEqual(['shared', '8']);
  });
});

describe('a device that is to be disabled first', () => {
  test.each<[what: string, group: object, other: object, message: string]>([
    ['the threshold that it has', {}, { mode: 'shared', threshold: 8 }, 'threshold 8: must be 1 to its size, 0'],
    [
      'the read buffers that it has',
      { read_buffers_allowed: 8, grouped_engines: [0, 1, 2].map((i) => ({ dev: `engine0.${i}` })) },
      {},
      'read_buffers_allowed 8: must be 12, for 3 engines, to 96',
    ],
  ])('is not, for %s but cannot have afterwards', async (_what, group, other, message) => {
    await using one = await Accelerators.start({});
    await loadConfig(one.system, enabled({}, { read_buffers_allowed: 8 }));
    await run(one, 'enable-device dsa0');
    await run(one, 'config-wq wq0.1 -m shared -t 8');
    const { state } = one;
    await expect(loadConfig(one.system, enabled({}, group, other), { forced: true })).rejects.toThrow(message);
    expect(one.state).toEqual(state);
    expect(one.read('dsa0', 'state')).toBe('enabled');
  });
});

/** Mostly what can be; not always together. */
const most = <T>(...values: readonly T[]) => constantFrom(...values);
const WQ = record(
  {
    mode: most('dedicated', 'shared'),
    size: integer({ min: 0, max: 80 }),
    priority: integer({ min: 0, max: 15 }),
    type: most('none', 'kernel', 'user'),
    name: most('a', 'a', 'b', ''),
    driver_name: most('user', 'user', 'dmaengine'),
    threshold: integer({ min: 0, max: 12 }),
    max_batch_size: most(1, 33, 1024),
    op_config: most('8', '8', '9', '0,3f', 'ffffffff'),
  },
  { requiredKeys: [] },
);
const GROUP = record(
  {
    read_buffers_reserved: integer({ min: 0, max: 50 }),
    read_buffers_allowed: integer({ min: 8, max: 60 }),
    use_read_buffer_limit: most(0, 1),
  },
  { requiredKeys: [] },
);
const WHOLE = record({ read_buffer_limit: most(0, 5), event_log_size: most(64, 100) }, { requiredKeys: [] });

test('any configuration is loaded as a whole, and can be saved and loaded again, or leaves the device enabled as it is', async () => {
  await using one = await Accelerators.start({ pasid: true, opConfig: true });
  const [ready] = enabled({}, {}, { ...KERNEL, mode: 'shared', threshold: 4, type: 'user', driver_name: 'user' });
  const rest = { ungrouped_engines: [1, 2, 3].map((i) => ({ dev: `engine0.${i}` })) };
  const results = { loaded: 0, refused: 0 };
  const inFirst = array(boolean(), { minLength: 4, maxLength: 4 });
  await assert(
    asyncProperty(tuple(WQ, WQ), tuple(GROUP, GROUP), WHOLE, inFirst, async (wqs, groups, whole, engines) => {
      await loadConfig(one.system, [{ ...ready, ...rest }], { forced: true, enable: true });
      const { state } = one;
      const config = groups.map((group, i) => ({
        dev: `group0.${i}`,
        ...group,
        grouped_workqueues: [{ dev: `wq0.${i}`, ...wqs[i] }],
        grouped_engines: engines.flatMap((first, n) => (first === (i === 0) ? [{ dev: `engine0.${n}` }] : [])),
      }));
      try {
        await loadConfig(one.system, [{ dev: 'dsa0', ...whole, groups: config }], { forced: true });
      } catch (error) {
        if (!Errno.is(error)) throw error;
        results.refused++;
        expect([one.state, one.read('dsa0', 'state'), one.read('wq0.0', 'state')]).toEqual([state, 'enabled', 'enabled']);
        return;
      }
      results.loaded++;
      const after = one.state;
      await loadConfig(one.system, saveConfig(one.system));
      expect(one.state).toEqual(after);
    }),
    { seed: 5, numRuns: 200 },
  );
  expect(Math.min(results.loaded, results.refused)).toBeGreaterThan(30);
});

describe('limits of read buffers', () => {
  test('go with who used them, and come with who does', async () => {
    await using one = await Accelerators.start({});
    const limited = (limit: number, use: number) => enabled({ read_buffer_limit: limit }, { use_read_buffer_limit: use });
    const now = () => [one.read('dsa0', 'read_buffer_limit'), one.read('group0.0', 'use_read_buffer_limit')];
    await loadConfig(one.system, limited(4, 1));
    expect(now()).toEqual(['4', '1']);
    await loadConfig(one.system, limited(0, 0));
    expect(now()).toEqual(['0', '0']);
    await loadConfig(one.system, limited(4, 1));
    await run(one, 'config-device dsa0 -l 0');
    await expect(run(one, 'config-group group0.0 -l 0')).rejects.toThrow(
      'EPERM: group0.0: use_read_buffer_limit 0: dsa0 has no read_buffer_limit',
    );
    await loadConfig(one.system, limited(5, 0));
    expect(now()).toEqual(['5', '0']);
  });
});

describe('traffic classes', () => {
  const classes = (value: number) => [{ dev: 'dsa0', groups: [{ dev: 'group0.0', traffic_class_a: value }] }];

  test('of a file are written where they are software’s to choose, and saved', async () => {
    const host = hostSim({ devices: [{ at: '00:04.0', model: dsa({}) }] });
    await using system = await System.start(host.plugin, idxd({ trafficClassOverride: true }));
    await loadConfig(system, listConfig(system, true));
    await loadConfig(system, ungrouped({ size: 4 }));
    expect(saveConfig(system)[0]).toMatchObject({ groups: [{ dev: 'group0.0' }, {}, {}, {}] });
    expect(JSON.stringify(saveConfig(system))).not.toContain('traffic_class');
    await loadConfig(system, classes(3));
    expect(system.device('group0.0').attributes.read('traffic_class_a')).toBe('3\n');
    expect(saveConfig(system)[0]).toMatchObject({ groups: [{ dev: 'group0.0', traffic_class_a: 3 }, {}, {}, {}] });
    await expect(loadConfig(system, classes(8))).rejects.toThrow('EINVAL: group0.0: traffic_class_a 8: ');
  });
  test('of a file are passed over where they are fixed', async () => {
    await using one = await Accelerators.start({ version: 0x200 });
    await loadConfig(one.system, classes(3));
    expect(one.read('group0.0', 'traffic_class_a')).toBe('1');
  });
});
