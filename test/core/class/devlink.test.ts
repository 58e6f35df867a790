import { describe, expect, test } from 'vitest';
import { type Devlink, type DevlinkPortOps, Devlinks, type EswitchMode } from '../../../core/class/index.js';
import { devlinkFixture, gate, refusal } from './devlink-fixture.js';

describe('Devlinks', () => {
  test('an instance is named by bus and device, and says which driver it has', async () => {
    const { core, devlink } = devlinkFixture({ info: () => ({ serialNumber: '7', versions: { running: { fw: '0.1' } } }) });
    expect(Devlinks.list(core).map(([name]) => name)).toEqual(['pci/0000:06:00.0']);
    expect(await devlink.info()).toEqual({ driver: 'mlx5_core', serialNumber: '7', versions: { running: { fw: '0.1' } } });
    expect(await devlinkFixture().devlink.info()).toEqual({ driver: 'mlx5_core' });
  });

  test('what a driver does not do is EOPNOTSUPP', async () => {
    const { devlink } = devlinkFixture();
    expect(await refusal(() => devlink.eswitchMode())).toMatch(/^EOPNOTSUPP/);
    expect(await refusal(() => devlink.setEswitchMode('legacy'))).toMatch(/^EOPNOTSUPP/);
    expect(await refusal(() => devlink.addPort({ flavour: 'pcisf', pfnum: 0 }))).toMatch(/^EOPNOTSUPP/);
    expect(await refusal(() => devlink.reload())).toMatch(/^EOPNOTSUPP/);
    expect([devlink.ports(), devlink.params(), devlink.resources(), devlink.reporters()]).toEqual([[], [], [], []]);
  });

  test('once the device is unbound the handle is dead', async () => {
    const { core, dev, devlink } = devlinkFixture();
    await core.unbind(dev);
    expect(() => devlink.ports()).toThrow('ENODEV: pci/0000:06:00.0: is gone');
    expect(Devlinks.list(core)).toEqual([]);
  });
});

describe('operations', () => {
  test('run one after the other', async () => {
    const log: string[] = [];
    const first = gate();
    const { devlink } = devlinkFixture({
      eswitch: {
        mode: () => 'legacy',
        setMode: async (mode) => {
          log.push(`begin ${mode}`);
          if (mode === 'switchdev') await first.opened;
          log.push(`end ${mode}`);
        },
      },
    });
    const one = devlink.setEswitchMode('switchdev');
    const other = devlink.setEswitchMode('legacy');
    first.open();
    await other;
    await one;
    expect(log).toEqual(['begin switchdev', 'end switchdev', 'begin legacy', 'end legacy']);
  });

  test('are over before the device is unbound, and those that come too late find nothing', async () => {
    const log: string[] = [];
    const first = gate();
    const setMode = async (mode: EswitchMode): Promise<void> => {
      log.push(`begin ${mode}`);
      await first.opened;
      log.push(`end ${mode}`);
    };
    const { core, dev, devlink } = devlinkFixture({ eswitch: { mode: () => 'legacy', setMode } });
    const running = refusal(() => devlink.setEswitchMode('switchdev'));
    const unbound = Promise.resolve(core.unbind(dev)).then(() => log.push('unbound'));
    const late = refusal(() => devlink.setEswitchMode('legacy'));
    first.open();
    await unbound;
    expect(log).toEqual(['begin switchdev', 'end switchdev', 'unbound']);
    expect([await running, await late]).toEqual(Array(2).fill('ENODEV: pci/0000:06:00.0: is gone'));
  });

  test('from inside one of the same device are refused: EDEADLK', async () => {
    const inside = { run: (): unknown => undefined };
    const { node } = devlinkFixture({ eswitch: { mode: () => 'legacy', setMode: () => void inside.run() } });
    inside.run = () => node.reload();
    expect(await refusal(() => node.setEswitchMode('switchdev'))).toMatch(/^EDEADLK/);
    expect(await refusal(() => node.reload())).toMatch(/^EOPNOTSUPP/);
  });

  test('that fail leave the device free for the next', async () => {
    let fails = true;
    const setMode = async (): Promise<void> => {
      if (fails) throw new Error('busy');
    };
    const { devlink } = devlinkFixture({ eswitch: { mode: () => 'legacy', setMode } });
    expect(await refusal(() => devlink.setEswitchMode('switchdev'))).toBe('Error: busy');
    fails = false;
    expect(await refusal(() => devlink.setEswitchMode('switchdev'))).toBe('nothing');
  });
});

describe('eswitch', () => {
  test('has one of two modes', async () => {
    let mode: EswitchMode = 'legacy';
    const setMode = (it: EswitchMode): void => {
      mode = it;
    };
    const { devlink } = devlinkFixture({ eswitch: { mode: () => mode, setMode } });
    await devlink.setEswitchMode('switchdev');
    expect(devlink.eswitchMode()).toBe('switchdev');
    expect(await refusal(() => devlink.setEswitchMode('hub' as EswitchMode))).toMatch(/^EINVAL: .*legacy, switchdev/);
  });
});

const SF = { flavour: 'pcisf', controller: 0, pfnum: 0, sfnum: 88 } as const;

describe('ports', () => {
  test('are shown by index, with what they are', () => {
    const { devlink, node } = devlinkFixture({}, (it) => {
      it.registerPort(32_768, SF, { netdev: () => 'eth6', function: () => ({ hwAddr: '00:00:00:00:00:00', state: 'inactive' }) });
      it.registerPort(0, { flavour: 'physical', port: 0 });
    });
    expect(devlink.ports()).toEqual([
      { index: 0, type: 'notset', flavour: 'physical', port: 0 },
      {
        index: 32_768,
        type: 'eth',
        netdev: 'eth6',
        ...SF,
        isExternal: false,
        function: { hwAddr: '00:00:00:00:00:00', state: 'inactive' },
      },
    ]);
    expect(() => devlink.port(1)).toThrow('ENODEV: pci/0000:06:00.0/1: no such port');
    expect(() => node.registerPort(0, SF)).toThrow('EEXIST: pci/0000:06:00.0: port 0 is there already');
  });

  test('that a user adds need a flavour and a PF: the driver is not asked otherwise', async () => {
    const wanted: unknown[] = [];
    const { devlink, node } = devlinkFixture({
      addPort: (it) => {
        wanted.push(it);
        return node.registerPort(32_768, SF);
      },
    });
    for (const it of [{}, { flavour: 'pcisf' }, { pfnum: 0 }] as const) {
      expect(await refusal(() => devlink.addPort(it))).toBe('EINVAL: Port flavour or PCI PF are not specified');
    }
    expect(await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 })).toMatchObject({ index: 32_768, sfnum: 88 });
    expect(wanted).toEqual([{ flavour: 'pcisf', pfnum: 0, sfnum: 88 }]);
  });

  test('that are deleted are not shown from that moment on; some cannot be', async () => {
    const seen: number[] = [];
    const { devlink } = devlinkFixture({}, (it) => {
      it.registerPort(1, SF, { delete: () => void seen.push(it.ports().length) });
      it.registerPort(2, { flavour: 'physical', port: 0 });
    });
    await devlink.deletePort(1);
    expect(seen).toEqual([1]);
    expect(await refusal(() => devlink.deletePort(1))).toMatch(/^ENODEV/);
    expect(await refusal(() => devlink.deletePort(2))).toMatch(/^EOPNOTSUPP/);
  });

  test('that are disposed of leave a later one of their index alone', () => {
    const { node } = devlinkFixture();
    const first = node.registerPort(1, SF);
    first[Symbol.dispose]();
    node.registerPort(1, SF);
    first[Symbol.dispose]();
    expect(node.ports()).toHaveLength(1);
  });
});

describe('port functions', () => {
  const all: Required<Pick<DevlinkPortOps, 'setHwAddr' | 'setRoce' | 'setMaxIoEqs' | 'setState'>> = {
    setHwAddr: () => {},
    setRoce: () => {},
    setMaxIoEqs: () => {},
    setState: () => {},
  };

  test('are changed in a fixed order, the state last', async () => {
    const log: string[] = [];
    const { devlink } = devlinkFixture({}, (it) => {
      it.registerPort(1, SF, {
        setState: (state) => void log.push(`state ${state}`),
        setMaxIoEqs: async (count) => void log.push(`max_io_eqs ${count}`),
        setRoce: (on) => void log.push(`roce ${on}`),
        setHwAddr: async (address) => void log.push(`hw_addr ${address.join()}`),
      });
    });
    await devlink.setPortFunction(1, { state: 'active', maxIoEqs: 4, roce: false, hwAddr: '02:0:0:0:a:ff' });
    expect(log).toEqual(['hw_addr 2,0,0,0,10,255', 'roce false', 'max_io_eqs 4', 'state active']);
  });

  test('that cannot do one thing are not changed at all', async () => {
    const log: string[] = [];
    const { devlink } = devlinkFixture({}, (it) => {
      it.registerPort(1, SF, { setHwAddr: () => void log.push('hw_addr'), setMigratable: () => void log.push('migratable') });
      it.registerPort(2, { flavour: 'pcivf' }, { setMigratable: () => void log.push('migratable of a VF') });
    });
    const hwAddr = '02:00:00:00:00:01';
    const refused = async (settings: Parameters<Devlink['setPortFunction']>[1]): Promise<string> =>
      refusal(() => devlink.setPortFunction(1, { hwAddr, ...settings }));
    expect(await refused({ state: 'active' })).toBe('EOPNOTSUPP: Function does not support state setting');
    expect(await refused({ roce: true })).toBe("EOPNOTSUPP: Port doesn't support RoCE function attribute");
    expect(await refused({ maxIoEqs: 1 })).toBe('EOPNOTSUPP: Function does not support max_io_eqs setting');
    expect(await refused({ migratable: true })).toBe('EOPNOTSUPP: migratable function attribute supported for VFs only');
    expect(await refused({ ipsecCrypto: true })).toBe("EOPNOTSUPP: Port doesn't support ipsec_crypto function attribute");
    expect(await refused({ ipsecPacket: true })).toBe("EOPNOTSUPP: Port doesn't support ipsec_packet function attribute");
    expect(await refusal(() => devlink.setPortFunction(2, { hwAddr }))).toBe(
      "EOPNOTSUPP: Port doesn't support function attributes",
    );
    expect(log).toEqual([]);
    await devlink.setPortFunction(2, { migratable: true });
    expect(log).toEqual(['migratable of a VF']);
  });

  test('keep what was changed before an error', async () => {
    const log: string[] = [];
    const { devlink } = devlinkFixture({}, (it) => {
      const setRoce = (): void => {
        throw new Error('no');
      };
      it.registerPort(1, SF, {
        ...all,
        setHwAddr: () => void log.push('hw_addr'),
        setRoce,
        setState: () => void log.push('state'),
      });
    });
    const settings = { hwAddr: '02:00:00:00:00:01', roce: true, state: 'active' } as const;
    expect(await refusal(() => devlink.setPortFunction(1, settings))).toBe('Error: no');
    expect(log).toEqual(['hw_addr']);
  });

  test.each([
    ['02:00:00:00:01', 'Address must be 6 bytes for Ethernet device'],
    ['02:00:00:00:00:01:02', 'Address must be 6 bytes for Ethernet device'],
    ['01:00:5e:00:00:01', 'Non-unicast hardware address unsupported'],
    ['ff:ff:ff:ff:ff:ff', 'Non-unicast hardware address unsupported'],
    ['02-00', 'hw_addr "02-00": is no address: write 02:00:00:00:00:01'],
    ['', 'hw_addr "": is no address: write 02:00:00:00:00:01'],
  ])('do not take the address %j: EINVAL', async (hwAddr, text) => {
    const { devlink } = devlinkFixture({}, (it) => void it.registerPort(1, SF, all));
    expect(await refusal(() => devlink.setPortFunction(1, { hwAddr }))).toBe(`EINVAL: ${text}`);
  });

  test('take whole numbers of event queues and two states alone: EINVAL', async () => {
    const { devlink } = devlinkFixture({}, (it) => void it.registerPort(1, SF, all));
    for (const maxIoEqs of [-1, 1.5, 2 ** 32]) {
      expect(await refusal(() => devlink.setPortFunction(1, { maxIoEqs }))).toMatch(/^EINVAL: max_io_eqs/);
    }
    expect(await refusal(() => devlink.setPortFunction(1, { state: 'on' as 'active' }))).toMatch(/^EINVAL: state "on"/);
  });
});
