import { describe, expect, test } from 'vitest';
import { type AuxiliaryDevice, type AuxiliaryDriver, Errno } from '../../../core/index.js';
import { ETH_REP, type Mlx5Child, type Mlx5Eswitch, type Mlx5RepresentorOps } from '../../../drivers/mlx5/api.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { UPLINK, VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { SfBench, refusal } from './sf-fixture.js';

const MAC_A = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0a);
const MAC_B = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0b);

const eswitchOf = (bench: SfBench): Mlx5Eswitch => bench.nic.core.eswitch!;

/** Rules that the device has. */
const rules = (bench: SfBench): number => bench.nic.silicon.engine.switch.rules.size;

/** A driver of representors that writes down what it is told; `ops` goes before. */
function recorder(log: string[], ops: Partial<Mlx5RepresentorOps> = {}): AuxiliaryDriver<Mlx5Child, void> {
  return {
    name: 'recorder',
    ids: [ETH_REP],
    probe: (dev: AuxiliaryDevice<Mlx5Child>) =>
      dev.data.eswitch!.represent(dev, {
        load: async (port) => {
          await ops.load?.(port);
          log.push(`load ${port.sfnum}`);
          return `rep${port.sfnum}`;
        },
        unload: async (port) => {
          log.push(`unload ${port.sfnum}`);
          await ops.unload?.(port);
        },
      }),
  };
}

describe('representors', () => {
  test('are loaded for ports that are there, and those that come; and unloaded when they go', async () => {
    await using bench = await SfBench.start();
    const log: string[] = [];
    const { core, kernel } = bench.nic.system;
    const first = await bench.add(88);
    expect(bench.devlink.port(first).netdev).toBeUndefined();
    const driver = recorder(log);
    await core.registerDriver(kernel.auxiliary, driver);
    const second = await bench.add(89);
    expect(log).toEqual(['load 88', 'load 89']);
    expect([bench.devlink.port(first).netdev, bench.devlink.port(second).netdev]).toEqual(['rep88', 'rep89']);
    expect(eswitchOf(bench).representors).toEqual([
      { vport: 0x8000, controller: 0, pfnum: 0, sfnum: 88 },
      { vport: 0x8001, controller: 0, pfnum: 0, sfnum: 89 },
    ]);
    await bench.devlink.deletePort(first);
    expect(log.splice(0)).toEqual(['load 88', 'load 89', 'unload 88']);
    await core.unregisterDriver(kernel.auxiliary, driver);
    expect(log).toEqual(['unload 89']);
    expect(bench.devlink.port(second).netdev).toBeUndefined();
  });

  test('go with the mode, those of ports first', async () => {
    await using bench = await SfBench.start();
    const log: string[] = [];
    const { core, kernel } = bench.nic.system;
    await core.registerDriver(kernel.auxiliary, recorder(log));
    await bench.add(88);
    await bench.devlink.setEswitchMode('legacy');
    expect([log, eswitchOf(bench).representors]).toEqual([['load 88', 'unload 88'], []]);
  });

  test('one that cannot be made is a port that cannot be added', async () => {
    await using bench = await SfBench.start();
    const { core, kernel } = bench.nic.system;
    const load = (): string => {
      throw new Errno('ENOMEM', 'no ring');
    };
    await core.registerDriver(kernel.auxiliary, recorder([], { load }));
    expect(await refusal(() => bench.add(88))).toBe('ENOMEM: no ring');
    expect([bench.devlink.ports(), eswitchOf(bench).representors]).toEqual([[], []]);
    expect(bench.vhca(0x8000)).toBe(VHCA_STATES.invalid);
  });

  test('have one driver; one that fails for a port that is there leaves none loaded', async () => {
    await using bench = await SfBench.start();
    const log: string[] = [];
    const { core, kernel } = bench.nic.system;
    await bench.add(88);
    await bench.add(89);
    const load = ({ sfnum }: { readonly sfnum: number }): string => {
      if (sfnum === 89) throw new Errno('ENOMEM', 'no ring');
      return '';
    };
    await core.registerDriver(kernel.auxiliary, recorder(log, { load }));
    const part = bench.nic.system.device('mlx5_core.eth-rep.0') as AuxiliaryDevice<Mlx5Child>;
    expect([part.bound, log]).toEqual([false, ['load 88', 'unload 88']]);
    const other: AuxiliaryDriver<Mlx5Child, void> = { ...recorder(log), name: 'other' };
    await core.registerDriver(kernel.auxiliary, other);
    expect(part.bound).toBe(true);
    const again = refusal(() => eswitchOf(bench).represent(part, { load: () => '', unload: () => {} }));
    expect(await again).toMatch(/^EBUSY/);
  });

  test('one that throws when it goes is logged, and goes', async () => {
    await using bench = await SfBench.start();
    const { core, kernel } = bench.nic.system;
    const unload = (): void => {
      throw new Error('stuck');
    };
    await core.registerDriver(kernel.auxiliary, recorder([], { unload }));
    await bench.devlink.deletePort(await bench.add(88));
    expect(bench.nic.logged('representor')).toEqual(['port 32768: its representor: Error: stuck']);
    expect(bench.vhca(0x8000)).toBe(VHCA_STATES.invalid);
  });
});

describe('rules', () => {
  test('are the device’s, and are taken away one by one', async () => {
    await using bench = await SfBench.start();
    const [a, b] = [await bench.add(88), await bench.add(89)];
    const eswitch = eswitchOf(bench);
    await eswitch.forward(a, MAC_B, [b]);
    await eswitch.forward(b, MAC_A, [a, UPLINK]);
    await eswitch.forward(a, MAC_B, [b, UPLINK]);
    expect(rules(bench)).toBe(2);
    await eswitch.unforward(a, MAC_B);
    expect(rules(bench)).toBe(1);
    expect(await refusal(() => eswitch.unforward(a, MAC_B))).toMatch(/^ENOENT: .*port 32768, 02:00:00:00:00:0b/);
  });

  test('go with the ports that they name, and with the mode', async () => {
    await using bench = await SfBench.start();
    const [a, b, c] = [await bench.add(88), await bench.add(89), await bench.add(90)];
    const eswitch = eswitchOf(bench);
    await eswitch.forward(a, MAC_B, [b]);
    await eswitch.forward(b, MAC_A, [a]);
    await eswitch.forward(c, MAC_A, [UPLINK]);
    await bench.devlink.deletePort(a);
    expect(rules(bench)).toBe(1);
    await eswitch.forward(UPLINK, MAC_A, [c]);
    await bench.devlink.setEswitchMode('legacy');
    expect(rules(bench)).toBe(0);
  });

  test('are none in mode legacy, and are for six bytes and some ports', async () => {
    await using bench = await SfBench.start();
    const eswitch = eswitchOf(bench);
    expect(await refusal(() => eswitch.forward(UPLINK, MAC_A.subarray(1), [0]))).toMatch(/^EINVAL/);
    expect(await refusal(() => eswitch.forward(UPLINK, MAC_A, []))).toMatch(/^EINVAL/);
    expect(await refusal(() => eswitch.forward(UPLINK, MAC_A, Array(65).fill(0)))).toMatch(/^EINVAL/);
    await bench.devlink.setEswitchMode('legacy');
    expect(await refusal(() => eswitch.forward(UPLINK, MAC_A, [0]))).toMatch(/^EOPNOTSUPP/);
  });

  test('one that the device refuses is not remembered', async () => {
    await using bench = await SfBench.start();
    const eswitch = eswitchOf(bench);
    const fault = bench.nic.silicon.inject({ opcode: OPCODES.SET_FDB_ENTRY, status: 0x08 });
    expect(await refusal(() => eswitch.forward(UPLINK, MAC_A, [0]))).toMatch(/^ENOMEM/);
    fault.cancel();
    expect(await refusal(() => eswitch.unforward(UPLINK, MAC_A))).toMatch(/^ENOENT/);
  });

  test('the address that a port is given is the device’s', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    await bench.devlink.setPortFunction(port, { hwAddr: '02:aa:bb:cc:dd:ee' });
    expect(bench.nic.silicon.sfs[0]?.vport?.mac).toEqual({ high: 0x02aabb, low: 0xccddee });
  });
});
