import { describe, expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { DriverHarness, failEach } from '../../../core/testing/index.js';
import { ADDRESS, Bench, stub } from './fixture.js';
import { SMALL, deviceHarness } from './harness.js';

const CONFIGURED = ['0x10', '0x0', '0xa1', '0xb5', '0x0', '0x0', '0x0', '0x0'];
const at = (i: number): string => `+0x${(4 * i).toString(16)}`;

/** The words of queue 0 as they are read, and written. */
const WQ = [...CONFIGURED.map((_, i) => `r32 WQCFG[0]${at(i)}`), ...CONFIGURED.map((word, i) => `w32 WQCFG[0]${at(i)} ${word}`)];

/** The six words of a group. */
const group = (index: number, wqs: string, engines: string): string[] =>
  [wqs, '0x0', '0x0', '0x0', engines, '0x6000009'].map((word, i) => `w64 GRPCFG[${index}]+0x${(8 * i).toString(16)} ${word}`);

/** With an interrupt when it is done. */
const command = (word: string): string[] => [
  'r32 GENSTATUS',
  `w32 CMD ${word}`,
  'r32 INTCAUSE',
  'w32 INTCAUSE 0x2',
  'r32 CMDSTATUS',
];

const ENABLE = [
  ...WQ,
  ...group(0, '0x1', '0x1'),
  ...[1, 2, 3].flatMap((index) => group(index, '0x0', '0x0')),
  'r32 GENCFG',
  'w32 GENCFG 0x1000',
  'w64 EVLCFG 0xfffff000',
  'w64 EVLCFG_SIZE 0x40',
  'r32 GENCTRL',
  'w32 GENCTRL 0x7',
  'r32 GENCFG',
  'w32 GENCFG 0x3000',
  'r32 GENSTATUS',
  ...command('0x80100000'),
];

const DISABLE = [
  'r32 GENSTATUS',
  ...command('0x80200000'),
  ...command('0x80500000'),
  'r32 GENCTRL',
  'w32 GENCTRL 0x3',
  'r32 GENCFG',
  'w32 GENCFG 0x0',
  'r32 GENCTRL',
  'w32 GENCTRL 0x3',
  'w64 EVLCFG 0x0',
  'w64 EVLCFG_SIZE 0x0',
];

describe('IdxdDeviceDriver', () => {
  test('D4 without a queue in a group, nothing is written to the device, and cmd_status says so', async () => {
    await using bench = await Bench.start();
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x800d0000');
    await bench.write('dsa0', 'cmd_status', 1);
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x0');
    bench.takeWire();
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: no queue is in a group: write its group_id');
    expect([bench.read('dsa0', 'cmd_status'), bench.read('dsa0', 'state'), bench.takeWire()]).toEqual([
      '0x800d0000',
      'disabled',
      [],
    ]);
  });

  test('D4 nor without an engine in a group', async () => {
    await using bench = await Bench.start();
    await bench.write('wq0.0', 'group_id', 0);
    await bench.write('wq0.0', 'mode', 'dedicated');
    bench.takeWire();
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: no engine is in a group: write its group_id');
    expect(bench.takeWire()).toEqual([]);
  });

  test('a shared queue without PASIDs keeps the device from being enabled: 0x800c0000, and nothing is written', async () => {
    await using bench = await Bench.start();
    await bench.configure(0, { mode: 'shared', threshold: 8 });
    bench.takeWire();
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: wq0.0 is shared');
    expect([bench.read('dsa0', 'cmd_status'), bench.takeWire()]).toEqual(['0x800c0000', []]);
  });

  test('enables and disables the device in the order of Linux, and forgets the configuration then', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    bench.takeWire();
    await bench.bind('dsa0');
    expect([bench.takeWire(), bench.read('dsa0', 'state'), bench.read('dsa0', 'cmd_status')]).toEqual([ENABLE, 'enabled', '0x0']);
    await bench.unbind('dsa0');
    expect([bench.takeWire(), bench.read('dsa0', 'state')]).toEqual([DISABLE, 'disabled']);
    const left = ['size', 'group_id', 'mode', 'priority', 'type', 'name', 'driver_name'].map((name) => bench.read('wq0.0', name));
    expect(left).toEqual(['0', '-1', 'shared', '0', 'none', '', 'stub']);
    expect(bench.read('engine0.0', 'group_id')).toBe('-1');
  });

  test('writes a limit of read buffers between queues and groups', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    await bench.write('dsa0', 'read_buffer_limit', 5);
    await bench.write('group0.0', 'use_read_buffer_limit', 1);
    bench.takeWire();
    await bench.bind('dsa0');
    const wire = bench.takeWire();
    expect(wire.slice(WQ.length, WQ.length + 2)).toEqual(['r32 GENCFG', 'w32 GENCFG 0x5']);
    expect(wire).toContain('w64 GRPCFG[0]+0x28 0x6000089');
  });

  test.each([
    ['an engine in another group than the queue', '0x15', (bench: Bench) => bench.write('engine0.0', 'group_id', 1)],
    [
      'no way to memory',
      '0x12',
      async (bench: Bench) => bench.system.kernel.pci.find(ADDRESS)!.config.modify(PCI.COMMAND, { master: 0 }),
    ],
  ])('what the device says to %s is in cmd_status: %s, and the next attempt succeeds', async (_what, status, spoil) => {
    await using bench = await Bench.start();
    await bench.configure();
    await spoil(bench);
    await expect(bench.bind('dsa0')).rejects.toThrow(`ENXIO: dsa0: not enabled: status ${status}`);
    expect([bench.read('dsa0', 'cmd_status'), bench.read('dsa0', 'state')]).toEqual([status, 'disabled']);
    expect(bench.part('dsa0').devres.size).toBe(0);
    await bench.write('engine0.0', 'group_id', 0);
    bench.system.kernel.pci.find(ADDRESS)!.config.modify(PCI.COMMAND, { master: 1 });
    await bench.bind('dsa0');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x0');
  });

  test('a device that something else has enabled is 0x80000010', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    await bench.bind('dsa0');
    bench.idxd.state = 'halted';
    await bench.unbind('dsa0');
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: is halted, not disabled');
    bench.idxd.state = 'disabled';
    await bench.configure();
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: is enabled already');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80000010');
  });

  test('a second bind is EBUSY', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    await bench.bind('dsa0');
    await expect(bench.bind('dsa0')).rejects.toThrow('EBUSY');
    expect(bench.read('dsa0', 'state')).toBe('enabled');
  });

  test('queues that are enabled are unbound first, with a warning, and none can be bound meanwhile', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await bench.configure(0);
    await bench.configure(1, { size: 8 });
    await bench.bind('dsa0');
    await bench.bind('wq0.1', 'stub');
    const unbound = bench.unbind('dsa0');
    await expect(bench.bind('wq0.0', 'stub')).rejects.toThrow('ENXIO: wq0.0: dsa0 is being disabled');
    await unbound;
    const warnings = bench.system.core.log.records().filter(({ id }) => id === 'active_wq');
    expect(warnings.map(({ who, text }) => `${who}: ${text}`)).toEqual(['dsa0: wq0.1 is enabled: it is unbound first']);
    expect([bench.part('wq0.1').bound, bench.read('dsa0', 'state')]).toEqual([false, 'disabled']);
  });
});

describe('a device whose configuration is read-only', () => {
  test('D27 is configured from its registers, and enabled by its probe', async () => {
    await using bench = await Bench.start({ profile: { readOnlyConfig: true }, more: [stub] });
    expect([bench.read('dsa0', 'configurable'), bench.read('dsa0', 'state')]).toEqual(['0', 'enabled']);
    expect(['size', 'mode', 'group_id', 'max_batch_size'].map((name) => bench.read('wq0.3', name))).toEqual([
      '16',
      'dedicated',
      '0',
      '1024',
    ]);
    expect([bench.read('group0.0', 'engines'), bench.read('group0.0', 'read_buffers_allowed')]).toEqual([
      'engine0.0 engine0.1 engine0.2 engine0.3',
      '96',
    ]);
    expect(bench.takeWire().filter((what) => /w(32|64) (WQCFG|GRPCFG)/.test(what))).toEqual([]);
  });

  test('D27 leaves 0x80200000 in cmd_status, since no queue has a driver yet', async () => {
    await using bench = await Bench.start({ profile: { readOnlyConfig: true } });
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80200000');
  });

  test.each([
    ['wq0.0', 'size', '8'],
    ['wq0.0', 'mode', 'shared'],
    ['wq0.0', 'group_id', '1'],
    ['wq0.0', 'priority', '3'],
    ['wq0.0', 'threshold', '3'],
    ['wq0.0', 'max_batch_size', '16'],
    ['wq0.0', 'max_transfer_size', '4096'],
    ['engine0.0', 'group_id', '1'],
    ['group0.0', 'read_buffers_reserved', '1'],
    ['dsa0', 'read_buffer_limit', '1'],
    ['dsa0', 'event_log_size', '128'],
  ])('D27 refuses a write to %s/%s with EPERM', async (part, attribute, text) => {
    await using bench = await Bench.start({ profile: { readOnlyConfig: true } });
    await bench.unbind('dsa0');
    await expect(bench.write(part, attribute, text)).rejects.toThrow('EPERM');
  });

  test('D27 has queues that can be enabled, disabled and enabled again, and keeps its configuration', async () => {
    await using bench = await Bench.start({ profile: { readOnlyConfig: true }, more: [stub] });
    for (let round = 0; round < 2; round++) {
      for (const [name, value] of Object.entries({ type: 'kernel', name: 'x', driver_name: 'stub' }))
        await bench.write('wq0.1', name, value);
      await bench.bind('wq0.1', 'stub');
      expect(bench.read('wq0.1', 'state')).toBe('enabled');
      await bench.unbind('dsa0');
      expect([bench.read('wq0.1', 'state'), bench.read('wq0.1', 'size')]).toEqual(['disabled', '16']);
      await bench.bind('dsa0');
    }
  });
});

describe('a driver of queues', () => {
  test('D28 is ENODEV for a queue whose driver_name is another, and cmd_status says 0x80200000', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await bench.configure(0, { driver_name: 'dmaengine' });
    await bench.bind('dsa0');
    await expect(bench.bind('wq0.0', 'stub')).rejects.toThrow("ENODEV: wq0.0: its driver_name is 'dmaengine', not stub");
    expect([bench.read('dsa0', 'cmd_status'), bench.read('wq0.0', 'state')]).toEqual(['0x80200000', 'disabled']);
  });

  test('is ENXIO while the device is not enabled, whatever its driver_name is', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await bench.configure(0, { driver_name: 'dmaengine' });
    await expect(bench.bind('wq0.0', 'stub')).rejects.toThrow('ENXIO: wq0.0: dsa0 is disabled: bind it to driver idxd first');
  });

  test('is not offered what is no queue', async () => {
    await using bench = await Bench.start({ more: [stub] });
    await expect(bench.bind('engine0.0', 'stub')).rejects.toThrow('ENODEV');
    await expect(bench.bind('dsa0', 'stub')).rejects.toThrow('ENODEV');
  });
});

describe('IdxdDeviceDriver at every step', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    expect(await failEach(deviceHarness(SMALL))).toEqual(['event log', 'dma 4096 bytes']);
  });

  test('its ledger reads the same backwards', async () => {
    await using harness = new DriverHarness(deviceHarness(SMALL));
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('dsa0')).toBe(true);
  });
});
