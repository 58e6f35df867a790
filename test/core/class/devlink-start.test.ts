import { describe, expect, test } from 'vitest';
import type { Devlink, DevlinkParam, DevlinkReload } from '../../../core/class/index.js';
import { devlinkFixture, refusal } from './devlink-fixture.js';

describe('parameters', () => {
  const ENABLE_ETH: DevlinkParam = { name: 'enable_eth', type: 'bool', cmodes: ['driverinit'], initial: false };
  const reload: DevlinkReload = { actions: ['driver_reinit'], down: () => {}, up: () => ['driver_reinit'] };

  test('of driverinit are stored, and hold from the next start on', async () => {
    const seen: unknown[] = [];
    const { devlink, node } = devlinkFixture(
      {
        reload: {
          ...reload,
          down: () => void seen.push(node.param('enable_eth')),
          up: () => (seen.push(node.param('enable_eth')), []),
        },
      },
      (it) => it.registerParams([ENABLE_ETH]),
    );
    await devlink.setParam('enable_eth', true, 'driverinit');
    expect(node.param('enable_eth')).toBe(false);
    expect(devlink.params()).toEqual([
      { name: 'enable_eth', type: 'bool', isGeneric: true, values: [{ cmode: 'driverinit', value: true }] },
    ]);
    await devlink.reload();
    expect(seen).toEqual([false, true]);
    await devlink.reload();
    expect(seen).toEqual([false, true, true, true]);
  });

  test('of driverinit stay stored while only firmware is activated', async () => {
    const { devlink, node } = devlinkFixture(
      { reload: { ...reload, actions: ['driver_reinit', 'fw_activate'], up: (action) => [action] } },
      (it) => it.registerParams([ENABLE_ETH]),
    );
    await devlink.setParam('enable_eth', true, 'driverinit');
    await devlink.reload({ action: 'fw_activate' });
    expect(node.param('enable_eth')).toBe(false);
    await devlink.reload();
    expect(node.param('enable_eth')).toBe(true);
  });

  test('of runtime are applied at once', async () => {
    let mode = 'dmfs';
    const steering: DevlinkParam = {
      name: 'flow_steering_mode',
      type: 'string',
      isGeneric: false,
      cmodes: ['runtime'],
      get: () => mode,
      set: async (value) => {
        mode = String(value);
      },
    };
    const { devlink } = devlinkFixture({}, (it) => it.registerParams([steering]));
    await devlink.setParam('flow_steering_mode', 'smfs', 'runtime');
    expect(mode).toBe('smfs');
    expect(devlink.params()[0]).toMatchObject({ isGeneric: false, values: [{ cmode: 'runtime', value: 'smfs' }] });
  });

  test('are checked in the order of Linux: name, type, value, cmode', async () => {
    const validate = (value: unknown): void => {
      if (value === 32) throw new RangeError('32');
    };
    const size: DevlinkParam = { name: 'io_eq_size', type: 'u32', cmodes: ['driverinit'], initial: 1024, validate };
    const { devlink, node } = devlinkFixture({ reload }, (it) => it.registerParams([size]));
    const set = async (...args: Parameters<Devlink['setParam']>): Promise<string> => refusal(() => devlink.setParam(...args));
    expect(await set('io_eq', 'x')).toMatch(/^EINVAL: .* has no parameter io_eq$/);
    expect(await set('io_eq_size', true)).toMatch(/^EINVAL: .*true is not of type u32$/);
    for (const value of [-1, 0.5, 2 ** 32]) expect(await set('io_eq_size', value, 'driverinit')).toMatch(/^EINVAL: .*type u32$/);
    expect(await set('io_eq_size', 32)).toBe('RangeError: 32');
    expect(await set('io_eq_size', 64)).toMatch(/^EINVAL: .*has no cmode: name one of driverinit$/);
    expect(await set('io_eq_size', 64, 'runtime')).toMatch(/^EOPNOTSUPP: .*has no cmode runtime, but driverinit$/);
    await devlink.reload();
    expect(node.param('io_eq_size')).toBe(1024);
  });

  test('that lack what their modes need are not registered: EINVAL; a second one neither: EEXIST', () => {
    const { node } = devlinkFixture();
    expect(() => node.registerParams([{ name: 'a', type: 'bool', cmodes: ['driverinit'] }])).toThrow('EINVAL');
    expect(() => node.registerParams([{ name: 'b', type: 'bool', cmodes: ['runtime'] }])).toThrow('EINVAL');
    node.registerParams([ENABLE_ETH]);
    expect(() => node.registerParams([ENABLE_ETH])).toThrow('EEXIST');
  });
});

describe('reload', () => {
  const both = { actions: ['driver_reinit', 'fw_activate'], limits: ['no_reset'] } as const;

  test('goes down and comes up, and tells what was done to who named it', async () => {
    const log: string[] = [];
    const { devlink } = devlinkFixture({
      reload: {
        ...both,
        down: async (action, limit) => void log.push(`down ${action} ${limit}`),
        up: async (action) => {
          log.push(`up ${action}`);
          return action === 'fw_activate' ? ['driver_reinit', 'fw_activate'] : [action];
        },
      },
    });
    expect(await devlink.reload()).toBeUndefined();
    expect(await devlink.reload({ action: 'driver_reinit' })).toEqual(['driver_reinit']);
    expect(await devlink.reload({ action: 'fw_activate', limits: ['no_reset'] })).toEqual(['driver_reinit', 'fw_activate']);
    expect(log).toEqual([
      'down driver_reinit undefined',
      'up driver_reinit',
      'down driver_reinit undefined',
      'up driver_reinit',
      'down fw_activate no_reset',
      'up fw_activate',
    ]);
  });

  test('is refused for what the driver cannot do, and nothing has happened', async () => {
    const log: string[] = [];
    const ops = { down: () => void log.push('down'), up: () => [] };
    const { devlink } = devlinkFixture({ reload: { ...ops, ...both } });
    expect(await refusal(() => devlink.reload({ limits: [] }))).toBe('EINVAL: Invalid limit selected');
    expect(await refusal(() => devlink.reload({ limits: ['no_reset', 'other' as 'no_reset'] }))).toBe(
      'EOPNOTSUPP: Multiselection of limit is not supported',
    );
    expect(await refusal(() => devlink.reload({ limits: ['no_reset'] }))).toBe(
      'EINVAL: Requested limit is invalid for this action',
    );
    const { devlink: simple } = devlinkFixture({ reload: { ...ops, actions: ['driver_reinit'] } });
    expect(await refusal(() => simple.reload({ action: 'fw_activate' }))).toBe(
      'EOPNOTSUPP: Requested reload action is not supported by the driver',
    );
    expect(await refusal(() => simple.reload({ limits: ['no_reset'] }))).toBe(
      'EOPNOTSUPP: Requested limit is not supported by the driver',
    );
    expect(log).toEqual([]);
  });

  test('that does not come up is remembered until one does; one that does not go down changes nothing', async () => {
    let failing: 'down' | 'up' | undefined;
    const step = (which: 'down' | 'up'): void => {
      if (failing === which) throw new Error(which);
    };
    const { devlink } = devlinkFixture({
      reload: { actions: ['driver_reinit'], down: () => step('down'), up: () => (step('up'), ['driver_reinit']) },
    });
    const states: [string, boolean][] = [];
    for (failing of ['down', 'up', 'down', undefined] as const) {
      states.push([await refusal(() => devlink.reload()), devlink.isReloadFailed()]);
    }
    expect(states).toEqual([
      ['Error: down', false],
      ['Error: up', true],
      ['Error: down', true],
      ['nothing', false],
    ]);
  });
});

describe('resources', () => {
  test('have a size, and may tell how many are in use', () => {
    const { devlink, node } = devlinkFixture({}, (it) => {
      it.registerResource({ name: 'max_local_SFs', size: 16 });
      it.registerResource({ name: 'vectors', size: 64, occupied: () => 3 });
    });
    expect(devlink.resources()).toEqual([
      { name: 'max_local_SFs', size: 16 },
      { name: 'vectors', size: 64, occupied: 3 },
    ]);
    expect(() => node.registerResource({ name: 'vectors', size: 1 })).toThrow('EEXIST');
  });
});

describe('health reporters', () => {
  test('that can recover do so at once, and count', async () => {
    let recovered = 0;
    const { devlink, node } = devlinkFixture();
    const fw = node.registerReporter({ name: 'fw_fatal', recover: () => void recovered++, gracePeriodMs: 60 });
    await fw.report();
    expect(recovered).toBe(1);
    expect(devlink.reporters()).toEqual([
      { name: 'fw_fatal', state: 'healthy', errors: 1, recoveries: 1, gracePeriodMs: 60, autoRecover: true },
    ]);
  });

  test('that fail again within their grace period stay so, until a user recovers them: ECANCELED', async () => {
    let recovered = 0;
    const { clock, devlink, node } = devlinkFixture();
    const fw = node.registerReporter({ name: 'fw_fatal', recover: () => void recovered++, gracePeriodMs: 60 });
    await fw.report();
    clock.elapse(59_999);
    expect(await refusal(() => fw.report())).toMatch(/^ECANCELED/);
    clock.elapse(1);
    expect(await refusal(() => fw.report())).toMatch(/^ECANCELED/);
    expect(devlink.reporters()[0]).toMatchObject({ state: 'error', errors: 3, recoveries: 1 });
    await devlink.recover('fw_fatal');
    await devlink.recover('fw_fatal');
    expect(recovered).toBe(2);
    clock.elapse(60_000);
    await fw.report();
    expect(devlink.reporters()[0]).toMatchObject({ state: 'healthy', errors: 4, recoveries: 3 });
  });

  test('are recovered as their user says, from the next failure on', async () => {
    let recovered = 0;
    const { clock, devlink, node } = devlinkFixture();
    const fw = node.registerReporter({ name: 'fw_fatal', recover: () => void recovered++ });
    await devlink.setReporter('fw_fatal', { autoRecover: false });
    await fw.report();
    expect([recovered, devlink.reporters()[0]]).toEqual([
      0,
      { name: 'fw_fatal', state: 'error', errors: 1, recoveries: 0, gracePeriodMs: 0, autoRecover: false },
    ]);
    await devlink.recover('fw_fatal');
    await devlink.setReporter('fw_fatal', { autoRecover: true, gracePeriodMs: 10 });
    expect(await refusal(() => fw.report())).toMatch(/^ECANCELED/);
    await devlink.recover('fw_fatal');
    clock.elapse(10_000);
    await fw.report();
    expect(recovered).toBe(3);
  });

  test('take no setting that cannot be', async () => {
    const { devlink, node } = devlinkFixture();
    node.registerReporter({ name: 'fw' });
    node.registerReporter({ name: 'fw_fatal', recover: () => {} });
    expect(await refusal(() => devlink.setReporter('fw', { autoRecover: true }))).toMatch(/^EOPNOTSUPP/);
    await devlink.setReporter('fw', {});
    expect(await refusal(() => devlink.setReporter('tx', {}))).toMatch(/^EINVAL/);
    for (const gracePeriodMs of [-1, 0.5, NaN]) {
      expect(await refusal(() => devlink.setReporter('fw_fatal', { gracePeriodMs }))).toMatch(/^EINVAL: .*an integer, 0 or more/);
    }
  });

  test('that cannot recover say so: EOPNOTSUPP; an unknown one is EINVAL', async () => {
    const { devlink, node } = devlinkFixture();
    const fw = node.registerReporter({ name: 'fw' });
    await devlink.recover('fw');
    await fw.report();
    expect(await refusal(() => devlink.recover('fw'))).toMatch(/^EOPNOTSUPP/);
    expect(await refusal(() => devlink.recover('tx'))).toMatch(/^EINVAL/);
    expect(devlink.reporters()).toEqual([{ name: 'fw', state: 'error', errors: 1, recoveries: 0 }]);
    fw[Symbol.dispose]();
    expect(devlink.reporters()).toEqual([]);
  });

  test('whose recovery fails stay in error', async () => {
    const { devlink, node } = devlinkFixture();
    const recover = async (): Promise<void> => {
      throw new Error('dead');
    };
    const fw = node.registerReporter({ name: 'fw_fatal', recover });
    expect(await refusal(() => fw.report())).toBe('Error: dead');
    expect(devlink.reporters()[0]).toMatchObject({ state: 'error', recoveries: 0 });
  });
});
