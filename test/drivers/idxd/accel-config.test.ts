import { array, assert, asyncProperty, boolean, constantFrom, integer, record, tuple } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Errno } from '../../../core/index.js';
import { loadConfig, readConfig } from '../../../drivers/idxd/accel-config.js';
import { listConfig, saveConfig } from '../../../drivers/idxd/accel-list.js';
import { Accelerators } from './accel-fixture.js';

/** As accel-config saves it: a dedicated queue for the kernel and a shared one for users, in a group each. */
const CONFIG = [
  {
    dev: 'dsa0',
    read_buffer_limit: 0,
    groups: [
      {
        dev: 'group0.0',
        read_buffers_reserved: 8,
        use_read_buffer_limit: 0,
        read_buffers_allowed: 16,
        grouped_workqueues: [
          {
            dev: 'wq0.0',
            mode: 'dedicated',
            size: 16,
            group_id: 0,
            priority: 10,
            block_on_fault: 0,
            max_batch_size: 64,
            max_transfer_size: 65_536,
            type: 'kernel',
            name: 'dmaengine',
            driver_name: 'dmaengine',
            threshold: 0,
          },
        ],
        grouped_engines: [
          { dev: 'engine0.0', group_id: 0 },
          { dev: 'engine0.1', group_id: 0 },
        ],
      },
      {
        dev: 'group0.1',
        read_buffers_allowed: 8,
        grouped_workqueues: [
          { dev: 'wq0.1', mode: 'shared', size: 32, priority: 5, type: 'user', name: 'app', driver_name: 'user', threshold: 28 },
        ],
        grouped_engines: [{ dev: 'engine0.2' }],
      },
    ],
    ungrouped_engines: [{ dev: 'engine0.3' }],
  },
];

type Json = Record<string, unknown>;

/** The configuration with a change: of the queue, the group or the accelerator that comes first. */
const changed = (wq: Json, group: Json = {}, dsa: Json = {}): unknown => {
  const copy = structuredClone(CONFIG);
  Object.assign(copy[0]!.groups[0]!.grouped_workqueues[0]!, wq);
  Object.assign(copy[0]!.groups[0]!, group);
  Object.assign(copy[0]!, dsa);
  return copy;
};

describe('loadConfig', () => {
  test('writes what a file says, and what it does not name stays as it is', async () => {
    await using one = await Accelerators.start({});
    const before = one.read('wq0.2', 'max_batch_size');
    expect(await loadConfig(one.system, CONFIG)).toEqual({ configured: ['dsa0'], enabled: [] });
    const wq = (name: string) =>
      ['mode', 'size', 'group_id', 'priority', 'type', 'name', 'driver_name', 'threshold'].map((it) => one.read(name, it));
    expect(wq('wq0.0')).toEqual(['dedicated', '16', '0', '10', 'kernel', 'dmaengine', 'dmaengine', '0']);
    expect(wq('wq0.1')).toEqual(['shared', '32', '1', '5', 'user', 'app', 'user', '28']);
    expect([one.read('wq0.0', 'max_batch_size'), one.read('wq0.0', 'max_transfer_size')]).toEqual(['64', '65536']);
    expect(['engine0.0', 'engine0.2', 'engine0.3'].map((name) => one.read(name, 'group_id'))).toEqual(['0', '1', '-1']);
    expect([one.read('group0.0', 'read_buffers_reserved'), one.read('group0.0', 'read_buffers_allowed')]).toEqual(['8', '16']);
    expect([one.read('wq0.2', 'size'), one.read('wq0.2', 'max_batch_size')]).toEqual(['0', before]);
  });
  test('takes what saveConfig gives, on another machine too', async () => {
    await using one = await Accelerators.start({});
    await loadConfig(one.system, CONFIG);
    const saved = saveConfig(one.system);
    expect(saved).toMatchObject([
      {
        dev: 'dsa0',
        read_buffer_limit: 0,
        groups: [
          { dev: 'group0.0', grouped_workqueues: [CONFIG[0]!.groups[0]!.grouped_workqueues[0]] },
          {
            dev: 'group0.1',
            grouped_workqueues: [{ dev: 'wq0.1', group_id: 1, threshold: 28 }],
            grouped_engines: [{ group_id: 1 }],
          },
          { dev: 'group0.2' },
          { dev: 'group0.3' },
        ],
        ungrouped_engines: [{ dev: 'engine0.3' }],
      },
    ]);
    await using other = await Accelerators.start({});
    await loadConfig(other.system, JSON.parse(JSON.stringify(saved)));
    expect(other.state).toEqual(one.state);
    expect(saveConfig(other.system)).toEqual(saved);
    await using idle = await Accelerators.start({});
    expect(saveConfig(idle.system)).toEqual([]);
  });
  test('takes what listConfig gives, though that tells more', async () => {
    await using one = await Accelerators.start({ pasid: true, opConfig: true, version: 0x200 });
    await loadConfig(one.system, CONFIG);
    const list = listConfig(one.system, true);
    expect(list).toMatchObject([
      { dev: 'dsa0', max_groups: 4, work_queue_size: 128, state: 'disabled', configurable: 1, version: '0x200' },
    ]);
    expect(list[0]).not.toHaveProperty('errors');
    const { state } = one;
    await loadConfig(one.system, list);
    expect(one.state).toEqual(state);
    expect(listConfig(one.system, false)).toEqual([]);
  });
  test('knows the words of older files', async () => {
    await using one = await Accelerators.start({});
    const { groups, ...rest } = CONFIG[0]!;
    const [{ read_buffers_allowed: tokens_allowed, ...group }] = groups as [(typeof groups)[0]];
    await loadConfig(one.system, [
      {
        ...rest,
        token_limit: 4,
        groups: [{ ...group, tokens_allowed, use_token_limit: 1, traffic_class_a: 0 }],
        'ungrouped workqueues': [{ dev: 'wq0.3', size: 4 }],
      },
    ]);
    expect([one.read('dsa0', 'read_buffer_limit'), one.read('wq0.3', 'size'), one.read('wq0.3', 'group_id')]).toEqual([
      '4',
      '4',
      '-1',
    ]);
    expect([one.read('group0.0', 'read_buffers_allowed'), one.read('group0.0', 'use_read_buffer_limit')]).toEqual(['16', '1']);
  });
  test('moves what several share, whoever gives and whoever takes', async () => {
    await using one = await Accelerators.start({});
    const sizes = (...all: readonly number[]) => [
      { dev: 'dsa0', ungrouped_workqueues: all.map((size, i) => ({ dev: `wq0.${i}`, size })) },
    ];
    const buffers = (...all: readonly number[]) => [
      { dev: 'dsa0', groups: all.map((n, i) => ({ dev: `group0.${i}`, read_buffers_reserved: n, read_buffers_allowed: n })) },
    ];
    await loadConfig(one.system, sizes(100, 28));
    await loadConfig(one.system, sizes(28, 100));
    expect([one.read('wq0.0', 'size'), one.read('wq0.1', 'size')]).toEqual(['28', '100']);
    await loadConfig(one.system, buffers(90, 6));
    await loadConfig(one.system, buffers(6, 90));
    expect([one.read('group0.0', 'read_buffers_reserved'), one.read('group0.1', 'read_buffers_allowed')]).toEqual(['6', '90']);
  });
  test('turns a queue from one thing into another: the name stays, the threshold of a dedicated one does not', async () => {
    await using one = await Accelerators.start({});
    await loadConfig(one.system, changed({ mode: 'shared', threshold: 12, type: 'user', name: 'same' }));
    await loadConfig(one.system, changed({ mode: 'dedicated', threshold: 12, type: 'kernel', name: 'same' }));
    expect(['mode', 'threshold', 'type', 'name'].map((it) => one.read('wq0.0', it))).toEqual([
      'dedicated',
      '0',
      'kernel',
      'same',
    ]);
  });
  test('enables what it has configured, and disables it first when forced', async () => {
    await using one = await Accelerators.start({});
    const kernel = [{ ...CONFIG[0]!, groups: [CONFIG[0]!.groups[0]!] }];
    expect(await loadConfig(one.system, kernel, { enable: true })).toEqual({ configured: ['dsa0'], enabled: ['dsa0', 'wq0.0'] });
    expect([one.read('dsa0', 'state'), one.read('wq0.0', 'state')]).toEqual(['enabled', 'enabled']);
    expect(listConfig(one.system, false)).toMatchObject([
      { groups: [{ grouped_workqueues: [{ dev: 'wq0.0', state: 'enabled' }] }, {}, {}, {}] },
    ]);
    const { state } = one;
    await expect(loadConfig(one.system, kernel)).rejects.toThrow(/^EPERM: dsa0: is enabled: disable it first/);
    await expect(loadConfig(one.system, changed({ priority: 16 }), { forced: true })).rejects.toThrow(
      /^EINVAL: wq0\.0: priority 16/,
    );
    expect(one.state).toEqual(state);
    await loadConfig(one.system, kernel, { forced: true });
    expect([one.read('dsa0', 'state'), one.read('wq0.0', 'size')]).toEqual(['disabled', '16']);
  });
});

describe('a configuration with a fault', () => {
  const twice = { grouped_engines: [{ dev: 'engine0.0' }, { dev: 'engine0.0' }] };

  test.each<[why: string, config: unknown, message: string]>([
    ['no list', {}, 'EINVAL: configuration: must be a list of objects'],
    ['no object', [7], "EINVAL: configuration: its element 0 must be an object, with a 'dev'"],
    ['no name', [{}], "EINVAL: configuration: an object without 'dev', the name of its device"],
    ['no such device', [{ dev: 'dsa7' }], 'ENODEV: dsa7: no such accelerator'],
    ['a part for a device', [{ dev: 'wq0.0' }], 'ENODEV: wq0.0: no such accelerator'],
    ['one device twice', [{ dev: 'dsa0' }, { dev: 'dsa0' }], 'EEXIST: dsa0: is configured twice'],
    ['one part twice', changed({}, twice), 'EEXIST: engine0.0: is configured twice'],
    ['no such part', changed({ dev: 'wq0.8' }), 'ENODEV: wq0.8: dsa0 has no wq of this name'],
    ['a part of another kind', changed({ dev: 'engine0.0' }), 'ENODEV: engine0.0: dsa0 has no wq of this name'],
    ['no such attribute', changed({ prio: 1 }), 'EINVAL: wq0.0: prio: is no attribute of a wq'],
    ['a name of JavaScript', changed({ constructor: 1 }), 'EINVAL: wq0.0: constructor: is no attribute of a wq'],
    ['a list that is none', changed({}, {}, { groups: 5 }), 'EINVAL: dsa0: groups: must be a list of objects'],
    ['a priority', changed({ priority: 16 }), 'EINVAL: wq0.0: priority 16: must be an integer of 0 to 15'],
    ['half a priority', changed({ priority: 1.5 }), 'EINVAL: wq0.0: priority 1.5: must be an integer of 0 to 15'],
    ['a word for a number', changed({ size: 'all' }), 'EINVAL: wq0.0: size "all": must be an integer of 0 to 128'],
    ['a size', changed({ size: 129 }), 'EINVAL: wq0.0: size 129: must be an integer of 0 to 128'],
    ['a sum of sizes', changed({ size: 97 }), 'EINVAL: wq0.1: size 32: dsa0 has 128 entries, others take 97'],
    ['a mode', changed({ mode: 'open' }), 'EINVAL: wq0.0: mode "open": must be one of dedicated, shared'],
    ['a type', changed({ type: 'net' }), 'EINVAL: wq0.0: type "net": must be one of none, kernel, user, mdev'],
    ['a group', changed({ group_id: 4 }), 'EINVAL: wq0.0: group_id 4: must be an integer of -1 to 3'],
    ['two groups', changed({ group_id: 1 }), 'EINVAL: wq0.0: group_id 1: is in the list of group 0'],
    ['a threshold', changed({ mode: 'shared', threshold: 17 }), 'EINVAL: wq0.0: threshold 17: must be 1 to its size, 16'],
    ['a name', changed({ name: 'x'.repeat(1025) }), 'must be a line of at most 1024 characters'],
    ['two lines for a name', changed({ driver_name: 'a\nb' }), 'EINVAL: wq0.0: driver_name "a\\nb": must be a line of'],
    ['a batch', changed({ max_batch_size: 1025 }), 'EINVAL: wq0.0: max_batch_size 1025: must be an integer of 1 to 1024'],
    [
      'no transfer',
      changed({ max_transfer_size: 0 }),
      'EINVAL: wq0.0: max_transfer_size 0: must be an integer of 1 to 2147483648',
    ],
    ['what it cannot block', changed({ block_on_fault: 1 }), 'EOPNOTSUPP: wq0.0: block_on_fault 1: dsa0 cannot do that'],
    [
      'an attribute it has not',
      changed({ prs_disable: 1 }),
      'EOPNOTSUPP: wq0.0: prs_disable 1: the device has no such attribute',
    ],
    ['operations', changed({ op_config: '8' }), 'EOPNOTSUPP: wq0.0: op_config 8: the device has no such attribute'],
    [
      'read buffers',
      changed({}, { read_buffers_reserved: 97 }),
      'EINVAL: group0.0: read_buffers_reserved 97: must be an integer of 0 to 96',
    ],
    [
      'too few read buffers',
      changed({}, { read_buffers_allowed: 7 }),
      'EINVAL: group0.0: read_buffers_allowed 7: must be 8, for 2 engines, to 96',
    ],
    [
      'a limit that is none',
      changed({}, { use_read_buffer_limit: 1 }),
      'EPERM: group0.0: use_read_buffer_limit 1: dsa0 has no read_buffer_limit',
    ],
    [
      'an event log',
      changed({}, {}, { event_log_size: 63 }),
      'EINVAL: dsa0: event_log_size 63: must be an integer of 64 to 65535',
    ],
  ])('is refused, with nothing written: %s', async (_why, config, message) => {
    await using one = await Accelerators.start({});
    const { state } = one;
    await expect(loadConfig(one.system, config)).rejects.toThrow(message);
    expect(one.state).toEqual(state);
  });
  test.each<[place: string, config: unknown]>([
    ['[0]', [7]],
    ['[1].dev', [{ dev: 'dsa0' }, { dev: 'dsa7' }]],
    ['[0].groups', changed({}, {}, { groups: 5 })],
    ['[0].groups[0].grouped_workqueues[0].dev', changed({ dev: 'wq0.8' })],
    ['[0].groups[0].grouped_engines[1].dev', changed({}, twice)],
    ['[0].groups[0].grouped_workqueues[0].prio', changed({ prio: 1 })],
    ['[0].groups[1].grouped_workqueues[0].size', changed({ size: 97 })],
    ['[0].groups[0].tokens_allowed', changed({}, { read_buffers_allowed: 16, tokens_allowed: 97 })],
    ['[0]["ungrouped workqueues"][0].size', [{ dev: 'dsa0', 'ungrouped workqueues': [{ dev: 'wq0.3', size: -1 }] }]],
  ])('is told of with its file and its place: %s', async (place, config) => {
    await using one = await Accelerators.start({});
    const told = (): unknown => readConfig(one.system, config, 'a.conf');
    expect(told).toThrow(/^E[A-Z]+: a\.conf: /);
    expect(told).toThrow(` (at ${place})`);
  });
  test('in what it says of one accelerator leaves the others as they are', async () => {
    await using one = await Accelerators.start({}, {});
    const { state } = one;
    const second = { dev: 'dsa1', ungrouped_workqueues: [{ dev: 'wq1.0', size: 129 }] };
    await expect(loadConfig(one.system, [...CONFIG, second], { enable: true })).rejects.toThrow(/^EINVAL: wq1\.0: size 129: /);
    expect(one.state).toEqual(state);
    expect(listConfig(one.system, false)).toEqual([]);
  });
  test('that shows when a queue is enabled leaves nothing enabled, and can be loaded again when it is mended', async () => {
    await using one = await Accelerators.start({});
    const kernel = (priority: number) => {
      const [first] = changed({ priority }) as typeof CONFIG;
      return [{ ...first!, groups: [first!.groups[0]!] }];
    };
    await expect(loadConfig(one.system, kernel(0), { enable: true })).rejects.toThrow(
      /^ENXIO: dsa0: wq0\.0 not enabled: .*\(cmd_status 0x23\)$/,
    );
    expect(listConfig(one.system, false)).toEqual([]);
    expect(await loadConfig(one.system, kernel(1), { enable: true })).toMatchObject({ enabled: ['dsa0', 'wq0.0'] });
  });
  test('is refused for operations that the device has not', async () => {
    await using one = await Accelerators.start({ opConfig: true });
    expect(() => readConfig(one.system, changed({ op_config: '00000002,00000008' }))).toThrow(
      /^EINVAL: wq0\.0: op_config "00000002,00000008": must be a bitmap within dsa0's op_cap, /,
    );
    await loadConfig(one.system, changed({ op_config: '8' }));
    expect(Number.parseInt(one.read('wq0.0', 'op_config').split(',').at(-1)!, 16)).toBe(8);
  });
  test('is refused for a device that cannot be configured, but for what that is already', async () => {
    await using one = await Accelerators.start({ readOnlyConfig: true });
    const saved = saveConfig(one.system);
    const group = { dev: 'group0.0', grouped_workqueues: [{ dev: 'wq0.0', size: 8 }] };
    expect(() => readConfig(one.system, [{ dev: 'dsa0', groups: [group] }])).toThrow(
      /^EPERM: wq0\.0: size 8: dsa0 cannot be configured: it stays 16 \(at /,
    );
    expect(readConfig(one.system, saved)).toHaveLength(1);
  });
  test('of any kind is refused as a whole; what is not is so afterwards', async () => {
    const number = (most: number) => integer({ min: -1, max: most + 1 });
    const wq = record(
      {
        mode: constantFrom('dedicated', 'shared'),
        size: number(70),
        priority: number(15),
        type: constantFrom('none', 'kernel', 'user', 'mdev'),
        name: constantFrom('a', 'b'),
        threshold: number(70),
        max_batch_size: constantFrom(0, 1, 32, 1024, 2048),
      },
      { requiredKeys: [] },
    );
    const group = record({ read_buffers_reserved: number(60), read_buffers_allowed: number(60) }, { requiredKeys: [] });
    const engines = array(boolean(), { minLength: 4, maxLength: 4 });
    await using one = await Accelerators.start({});
    const seed = 4;
    await assert(
      asyncProperty(tuple(wq, wq), tuple(group, group), engines, async (wqs, groups, inFirst) => {
        const config = [
          {
            dev: 'dsa0',
            groups: groups.map((it, i) => ({
              dev: `group0.${i}`,
              ...it,
              grouped_workqueues: [{ dev: `wq0.${i}`, ...wqs[i] }],
              grouped_engines: inFirst.flatMap((first, n) => (first === (i === 0) ? [{ dev: `engine0.${n}` }] : [])),
            })),
          },
        ];
        const { state } = one;
        try {
          await loadConfig(one.system, config);
        } catch (error) {
          if (!Errno.is(error)) throw error;
          expect(error.text).toMatch(/^(wq|group)0\.[01]: \w+ "?-?\w+"?: /);
          expect(one.state).toEqual(state);
          return;
        }
        for (const [i, wanted] of wqs.entries()) {
          for (const [key, value] of Object.entries(wanted)) {
            const isMoot = key === 'threshold' && one.read(`wq0.${i}`, 'mode') === 'dedicated';
            if (!isMoot) expect(one.read(`wq0.${i}`, key)).toBe(`${value}`);
          }
        }
        for (const [i, wanted] of groups.entries()) {
          for (const [key, value] of Object.entries(wanted)) expect(one.read(`group0.${i}`, key)).toBe(`${value}`);
        }
      }),
      { seed, numRuns: 300 },
    );
  });
});
