import { describe, expect, test } from 'vitest';
import type { StoredFirmware } from '../../../hw/models/nic/index.js';
import { OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { SfBench, refusal } from './sf-fixture.js';

const versions = (version: string): unknown => ({ fw: version, 'fw.version': version });

async function withFirmware(activation?: StoredFirmware['activation'], sfs = 0): Promise<SfBench> {
  const stored: StoredFirmware = { version: [2, 7, 19], ...(activation && { activation }) };
  return SfBench.start({ isLegacy: sfs === 0, profile: { sfs, storedFirmware: stored } });
}

const seen = async ({ devlink }: SfBench): Promise<unknown> => (await devlink.info()).versions;
const OLD = versions('0.1.0');
const NEW = versions('2.7.19');

describe('devlink dev reload action fw_activate', () => {
  test('runs the firmware that was stored, by a reset, after which the driver starts anew', async () => {
    await using bench = await withFirmware();
    const { core } = bench.nic;
    expect(await seen(bench)).toEqual({ running: OLD, stored: NEW });
    await core.compEqn(0);
    const ids = core.parts.map(({ name }) => name);
    await bench.devlink.setParam('enable_rdma', false, 'driverinit');
    expect(await bench.devlink.reload({ action: 'fw_activate' })).toEqual(['driver_reinit', 'fw_activate']);
    expect(await seen(bench)).toEqual({ running: NEW, stored: NEW });
    expect([core.isUp, core.isFailed, bench.devlink.isReloadFailed(), core.eqs.completionEqs]).toEqual([true, false, false, []]);
    // What was set for the driver waits for `driver_reinit`.
    expect(core.parts.map(({ name }) => name)).toEqual(ids);
  });

  test('without firmware in store that which runs starts again', async () => {
    await using bench = await SfBench.start({ isLegacy: true, profile: { sfs: 0 } });
    expect(await bench.devlink.reload({ action: 'fw_activate' })).toEqual(['driver_reinit', 'fw_activate']);
    expect([await seen(bench), bench.nic.core.isUp]).toEqual([{ running: OLD, stored: OLD }, true]);
  });

  test('limit no_reset patches it while everything goes on, if it can be', async () => {
    await using bench = await withFirmware('live');
    const { core } = bench.nic;
    const eqn = await core.compEqn(0);
    expect(await bench.devlink.reload({ action: 'fw_activate', limits: ['no_reset'] })).toEqual(['fw_activate']);
    expect([await seen(bench), core.hasEq(eqn)]).toEqual([{ running: NEW, stored: NEW }, true]);
    expect(await refusal(() => bench.devlink.reload({ action: 'fw_activate', limits: ['no_reset'] }))).toBe(
      "EINVAL: mlx5_core: FW upgrade to the stored FW can't be done by FW live patching",
    );
  });

  test('what needs a reboot is refused, and what the firmware refuses; all is as before then', async () => {
    for (const [activation, inject, text] of [
      ['reboot', false, /^EINVAL: mlx5_core: FW activate requires reboot$/],
      ['reset', true, /^EIO: mlx5_core: FW activate command failed: /],
    ] as const) {
      await using bench = await withFirmware(activation);
      const { core, silicon } = bench.nic;
      const eqn = await core.compEqn(0);
      const { commands } = core;
      const exec = commands.exec.bind(commands);
      let asked = 0;
      commands.exec = (opcode, input, output) => {
        // The first is the question whether it can be.
        if (opcode === OPCODES.ACCESS_REG && ++asked === 2 && inject)
          silicon.inject({ opcode, status: STATUS.internal, times: 1 });
        return exec(opcode, input, output);
      };
      expect(await refusal(() => bench.devlink.reload({ action: 'fw_activate' }))).toMatch(text);
      expect([core.isUp, core.hasEq(eqn), bench.devlink.isReloadFailed()]).toEqual([true, true, false]);
      expect(await seen(bench)).toEqual({ running: OLD, stored: NEW });
    }
  });

  test('is for who manages the adapter', async () => {
    await using bench = await withFirmware('live', 2);
    await bench.attach(88);
    const sf = bench.sfDevlink(1);
    for (const options of [{ action: 'fw_activate' }, { action: 'fw_activate', limits: ['no_reset'] }] as const) {
      expect(await refusal(() => sf.reload(options))).toBe('EOPNOTSUPP: mlx5_core: FW activate is unsupported for this function');
    }
    expect((await sf.info()).versions).toEqual({ running: OLD, stored: NEW });
  });

  test('a function that does not answer says what runs', async () => {
    await using bench = await SfBench.start({ isLegacy: true, recovers: false, profile: { sfs: 0 } });
    bench.nic.core.fail('of a test');
    expect(await seen(bench)).toEqual({ running: OLD });
  });
});
