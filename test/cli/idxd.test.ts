import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { dsa } from '../../hw/models/dsa/index.js';
import { hostSim } from '../../plugins/host-sim.js';
import { idxd } from '../../plugins/idxd.js';
import { TempDir } from '../helpers/temp-dir.js';
import { Desk, Project, Up } from './fixture.js';

// Some start processes, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const desk = (devices = 1): Promise<Desk> => {
  const at = (i: number): string => `00:0${4 + i}.0`;
  const host = hostSim({ devices: Array.from({ length: devices }, (_, i) => ({ at: at(i), model: dsa() })) });
  return Desk.make(host.plugin, idxd());
};

const QUEUE = {
  dev: 'wq0.0',
  mode: 'dedicated',
  size: 16,
  group_id: 0,
  priority: 10,
  type: 'kernel',
  name: 'dmaengine',
  driver_name: 'dmaengine',
};
const CONFIG = [
  {
    dev: 'dsa0',
    groups: [{ dev: 'group0.0', grouped_workqueues: [QUEUE], grouped_engines: [{ dev: 'engine0.0', group_id: 0 }] }],
  },
];

/** The lines of accel-config's documentation that bring a queue up. */
const UP = [
  'idxd config-engine dsa0/engine0.0 --group-id=0',
  'idxd config-wq dsa0/wq0.0 --group-id=0 --mode=dedicated --wq-size=16 -p 10 --type kernel --name=dmaengine -d dmaengine',
  'idxd enable-device dsa0',
  'idxd enable-wq dsa0/wq0.0',
];

describe('idxd', () => {
  test('brings a queue up with the words of accel-config, and down again', async () => {
    await using one = await desk();
    expect(await one.text('idxd list')).toBe('[]\n');
    const out: string[] = [];
    for (const line of UP) out.push(await one.text(line));
    expect(out).toEqual(['', '', 'enabled 1 device(s) out of 1\n', 'enabled 1 wq(s) out of 1\n']);
    expect(await one.json('idxd list')).toMatchObject([
      {
        dev: 'dsa0',
        state: 'enabled',
        groups: [
          { grouped_workqueues: [{ ...QUEUE, state: 'enabled', clients: 0 }], grouped_engines: [{ dev: 'engine0.0' }] },
          {},
          {},
          {},
        ],
      },
    ]);
    expect(JSON.parse(await one.text('idxd list'))).toEqual(await one.json('idxd list'));
    expect(await one.text('idxd disable-wq wq0.0')).toBe('disabled 1 wq(s) out of 1\n');
    expect(await one.json('idxd disable-device dsa0')).toEqual({ disabled: ['dsa0'] });
    expect(await one.text('idxd list')).toBe('[]\n');
  });
  test('loads a file and saves one', async () => {
    using dir = new TempDir();
    const cwd = dir.path;
    writeFileSync(join(cwd, 'in.conf'), JSON.stringify(CONFIG));
    await using one = await desk();
    expect(await one.text('idxd load-config -c in.conf -e', { cwd })).toBe('configured dsa0\nenabled dsa0, wq0.0\n');
    expect(await one.text('idxd save-config -s out.conf', { cwd })).toBe('out.conf: dsa0\n');
    const saved: unknown = JSON.parse(readFileSync(join(cwd, 'out.conf'), 'utf8'));
    expect(saved).toMatchObject([{ groups: [{ grouped_workqueues: [QUEUE] }, {}, {}, {}] }]);
    expect(await one.json('idxd save-config')).toEqual(saved);
    expect(await one.run('idxd load-config out.conf', { cwd })).toMatchObject({
      code: 1,
      err: expect.stringContaining('EPERM: dsa0'),
    });
    expect(JSON.parse(await one.text('idxd load-config out.conf --forced', { cwd, json: true }))).toEqual({
      configured: ['dsa0'],
      enabled: [],
    });
  });
  test('tells of a fault in one line, without the usage', async () => {
    using dir = new TempDir();
    const cwd = dir.path;
    const wrong = JSON.stringify(CONFIG).replace('"size":16', '"size":160');
    writeFileSync(join(cwd, 'wrong.conf'), wrong);
    writeFileSync(join(cwd, 'cut.conf'), wrong.slice(0, -3));
    await using one = await desk();
    expect(await one.run('idxd load-config wrong.conf -e', { cwd })).toEqual({
      code: 1,
      out: '',
      err:
        'backplane idxd: EINVAL: wrong.conf: wq0.0: size 160: must be an integer of 0 to 128 ' +
        '(at [0].groups[0].grouped_workqueues[0].size)\n',
    });
    expect(await one.run('idxd load-config cut.conf', { cwd })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/EINVAL: cut\.conf: /),
    });
    expect(await one.run('idxd load-config none.conf', { cwd })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/ENOENT: .*none\.conf/),
    });
    expect(await one.run('idxd config-wq wq0.0 --priority=x')).toMatchObject({
      code: 1,
      err: 'backplane idxd: EINVAL: wq0.0: priority "x": must be an integer of 0 to 15\n',
    });
    expect(await one.text('idxd save-config')).toBe('[]\n');
  });
  test('does what it can for several, and tells of each that failed', async () => {
    await using one = await desk(2);
    await one.text(UP[0]!);
    await one.text(UP[1]!);
    const { code, out, err } = await one.run('idxd enable-device all');
    expect({ code, out }).toEqual({ code: 1, out: 'enabled 1 device(s) out of 2\n' });
    expect(err).toMatch(/^backplane idxd: ENXIO: dsa1: .* \(cmd_status 0x800d0000\)\n$/);
    expect(await one.run('idxd enable-device dsa0')).toMatchObject({
      code: 1,
      err: expect.stringContaining('EBUSY: dsa0: is enabled already'),
    });
    expect(await one.run('idxd disable-wq dsa0/wq0.0 dsa0/wq0.1')).toMatchObject({
      code: 1,
      err: 'backplane idxd: ENXIO: wq0.0: is disabled already\nbackplane idxd: ENXIO: wq0.1: is disabled already\n',
    });
  });
  test.each([
    ['idxd', 'EINVAL: idxd: a command is missing'],
    ['idxd enlist', 'EINVAL: idxd: no command enlist'],
    ['idxd list --foo', 'EINVAL: idxd: list: unknown option --foo'],
    ['idxd list --idle=1', 'EINVAL: idxd: list: --idle takes no value'],
    ['idxd list -i -i', 'EINVAL: idxd: list: --idle is given twice'],
    ['idxd config-wq wq0.0 -p', 'EINVAL: idxd: config-wq: --priority needs a N'],
    ['idxd load-config', 'EINVAL: idxd: load-config: the file is missing'],
    ['idxd config-device dsa0', 'EINVAL: idxd: config-device: nothing to set'],
    ['idxd enable-wq', 'EINVAL: idxd: the name of a work queue is missing'],
  ])('%s is a wrong line: the usage is shown', async (line, message) => {
    await using one = await desk(0);
    const { code, err } = await one.run(line);
    expect(code).toBe(1);
    expect(err).toBe(
      'usage: backplane idxd <list|load-config|save-config|config-...|enable-...|disable-...> [option...] [name...]\n' +
        `backplane idxd: ${message}\n`,
    );
  });
  test.each([
    ['idxd enable-wq dsa1/wq0.0', "ENODEV: dsa1/wq0.0: is not a work queue: see 'backplane idxd list --idle'"],
    ['idxd enable-device wq0.0', "ENODEV: wq0.0: is not an accelerator: see 'backplane idxd list --idle'"],
    ['idxd list -d dsa7', 'ENODEV: dsa7: no such device that is enabled: see list --idle'],
  ])('%s names what is not there', async (line, message) => {
    await using one = await desk();
    expect(await one.run(line)).toEqual({ code: 1, out: '', err: `backplane idxd: ${message}\n` });
  });
  test('explains itself', async () => {
    await using one = await desk(0);
    const help = await one.text('idxd --help');
    for (const word of ['list', 'load-config', 'save-config', 'config-device', 'config-group', 'config-wq', 'config-engine']) {
      expect(help).toContain(`\n  ${word} `);
    }
    expect(await one.text('idxd config-wq --help')).toMatch(
      /^usage: backplane idxd config-wq .*\n\nSet attributes of a work queue\.\n\n  -g, --group-id N /,
    );
    expect(await one.text('idxd enable-wq -h')).toBe('usage: backplane idxd enable-wq <dsa0/wq0.0>...\n\nEnable a work queue.\n');
    expect(await one.text('help')).toContain('\n  idxd <list|');
  });
  test('works on a system that is kept running, with the files of who calls', async () => {
    using project = new Project({ 'a.conf': JSON.stringify(CONFIG) });
    await using _up = await Up.start(project, ['--device', 'dsa', '--plugin', 'idxd']);
    expect(await project.run(['idxd', 'load-config', '-c', 'a.conf', '--enable'])).toEqual({
      code: 0,
      out: 'configured dsa0\nenabled dsa0, wq0.0\n',
      err: '',
    });
    expect(JSON.parse((await project.run(['idxd', 'list', '--json'])).out)).toMatchObject([{ dev: 'dsa0', state: 'enabled' }]);
    expect((await project.run(['idxd', 'save-config', '-s', 'b.conf'])).out).toBe('b.conf: dsa0\n');
    const other = await project.run([
      '--one-shot',
      '--device',
      'dsa',
      '--plugin',
      'idxd',
      'idxd',
      'load-config',
      'b.conf',
      '--json',
    ]);
    expect(other).toEqual({ code: 0, out: '{"configured":["dsa0"],"enabled":[]}\n', err: '' });
  });
});
