import { describe, expect, test } from 'vitest';
import {
  AuxName,
  AuxiliaryBus,
  type AuxiliaryDevice,
  AuxiliaryDriver,
  DevlinkNode,
  type DevlinkPort,
  Devlinks,
  Errno,
  type EswitchMode,
  type FunctionState,
  type NewPort,
  type PciDevice,
  PciDriver,
  Plugin,
  inject,
  injectable,
  pciId,
} from '../../core/index.js';
import { nic } from '../../hw/models/nic/index.js';
import { EDU_DEVICE, EDU_VENDOR } from '../../hw/regs/edu.js';
import { hostSim } from '../../plugins/host-sim.js';
import mlx5Plugin from '../../plugins/mlx5.js';
import mlx5EthPlugin from '../../plugins/mlx5-eth.js';
import { Desk } from './fixture.js';

const DEV = 'pci/0000:00:04.0';
const PART = new AuxName('card.sf');

/** A card with a switch, whose ports users add. */
class Card {
  mode: EswitchMode = 'legacy';
  readonly devlink: DevlinkNode;

  constructor(dev: PciDevice) {
    this.devlink = new DevlinkNode(dev, {
      info: () => ({ versions: { running: { fw: '0.1', 'fw.version': '0.1.0' } } }),
      eswitch: {
        mode: () => this.mode,
        setMode: (mode) => {
          this.mode = mode;
        },
      },
      addPort: (wanted) => this.add(wanted),
      reload: {
        actions: ['driver_reinit'],
        down: () => {},
        up: () => {
          if (this.devlink.param('enable_eth') === false) throw new Errno('EIO', 'mlx5_core: no answer');
          return ['driver_reinit'];
        },
      },
    });
    const { devlink } = this;
    devlink.registerParams([
      { name: 'enable_eth', type: 'bool', cmodes: ['driverinit'], initial: true },
      { name: 'io_eq_size', type: 'u32', cmodes: ['driverinit'], initial: 1024 },
      { name: 'steering', type: 'string', isGeneric: false, cmodes: ['runtime'], get: () => 'dmfs', set: () => {} },
    ]);
    devlink.registerResource({ name: 'max_local_SFs', size: 16 });
    devlink.registerReporter({ name: 'fw' });
    void devlink.registerReporter({ name: 'fw_fatal', recover: () => {}, autoRecover: false }).report();
  }

  add({ flavour, pfnum, sfnum = 0, controller = 0 }: NewPort): DevlinkPort {
    if (this.mode === 'legacy') {
      throw new Errno('EOPNOTSUPP', 'mlx5_core: SF ports are only supported in eswitch switchdev mode.');
    }
    let state: FunctionState = 'inactive';
    let hwAddr = '00:00:00:00:00:00';
    let roce: boolean | undefined;
    let maxIoEqs: number | undefined;
    const port = this.devlink.registerPort(
      32_768,
      { flavour: flavour!, controller, pfnum: pfnum!, sfnum },
      {
        netdev: () => 'eth6',
        function: () => ({
          hwAddr,
          state,
          opstate: state === 'active' ? 'attached' : 'detached',
          ...(roce !== undefined && { roce }),
          ...(maxIoEqs !== undefined && { maxIoEqs }),
          ...(state === 'active' && { nested: 'auxiliary/card.sf.1' }),
        }),
        delete: () => {},
        setHwAddr: (address) => {
          hwAddr = [...address].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
        },
        setRoce: (isEnabled) => {
          roce = isEnabled;
        },
        setMaxIoEqs: (count) => {
          maxIoEqs = count;
        },
        setState: async (wanted) => {
          state = wanted;
        },
      },
    );
    return port;
  }
}

@injectable()
class CardDriver implements PciDriver<Card> {
  readonly name = 'card';
  readonly ids = [pciId(EDU_VENDOR, EDU_DEVICE)];

  constructor(@inject(AuxiliaryBus) private readonly aux: AuxiliaryBus) {}

  probe(dev: PciDevice): Card {
    const card = new Card(dev);
    dev.publish(Devlinks, card.devlink, card.devlink.handle);
    void this.aux.add(dev, PART, { id: 1 });
    return card;
  }
}

@injectable()
class PartDriver implements AuxiliaryDriver<undefined, void> {
  readonly name = 'part';
  readonly ids = [PART];

  probe(dev: AuxiliaryDevice<undefined>): void {
    const devlink = new DevlinkNode(dev);
    devlink.registerPort(1, { flavour: 'virtual', port: 0 }, { netdev: () => 'p0sf88' });
    dev.publish(Devlinks, devlink, devlink.handle);
  }
}

const card = new Plugin('card', ({ bind }) => {
  bind(PciDriver).to(CardDriver);
  bind(AuxiliaryDriver).to(PartDriver);
});

async function makeDesk(): Promise<Desk> {
  return Desk.make(hostSim({ edu: 1 }).plugin, card);
}

const ADDED =
  `${DEV}/32768: type eth netdev eth6 flavour pcisf controller 0 pfnum 0 sfnum 88 external false splittable false\n` +
  '  function:\n' +
  '    hw_addr 00:00:00:00:00:00 state inactive opstate detached\n';

describe('devlink', () => {
  test('shows instances, their ports and parameters', async () => {
    await using desk = await makeDesk();
    expect(await desk.text('devlink dev show')).toBe(`${DEV}\nauxiliary/card.sf.1\n`);
    expect(await desk.text('devlink dev')).toBe(await desk.text('devlink dev show'));
    expect(await desk.text(`devlink dev show ${DEV}`)).toBe(`${DEV}\n`);
    expect(await desk.text('devlink port show')).toBe('auxiliary/card.sf.1/1: type eth netdev p0sf88 flavour virtual port 0\n');
    expect(await desk.text(`devlink dev param show ${DEV}`)).toBe(
      `${DEV}:\n` +
        '  name enable_eth type generic\n    values:\n      cmode driverinit value true\n' +
        '  name io_eq_size type generic\n    values:\n      cmode driverinit value 1024\n' +
        '  name steering type driver-specific\n    values:\n      cmode runtime value dmfs\n',
    );
    expect(await desk.json(`devlink dev param show ${DEV} name io_eq_size`)).toEqual({
      param: { [DEV]: [{ name: 'io_eq_size', type: 'generic', values: [{ cmode: 'driverinit', value: 1024 }] }] },
    });
    expect(await desk.json('devlink dev show')).toEqual({ dev: { [DEV]: {}, 'auxiliary/card.sf.1': {} } });
  });

  test('adds, sets up and deletes a port as the tool of iproute2 does', async () => {
    await using desk = await makeDesk();
    await desk.text(`devlink dev eswitch set ${DEV} mode switchdev`);
    expect(await desk.text(`devlink dev eswitch show ${DEV}`)).toBe(`${DEV}: mode switchdev\n`);
    expect(await desk.text(`devlink port add ${DEV} flavour pcisf pfnum 0 sfnum 88`)).toBe(ADDED);
    expect(await desk.text(`devlink port show ${DEV}/32768`)).toBe(ADDED);
    expect(await desk.text('devlink port show eth6')).toBe(ADDED);
    const set = `devlink port function set ${DEV}/32768`;
    expect(await desk.text(`${set} hw_addr 00:11:22:33:44:55 state active roce disable max_io_eqs 4`)).toBe('');
    expect(await desk.text(`devlink port show ${DEV}/32768`)).toBe(
      ADDED.split('    ')[0] +
        '    hw_addr 00:11:22:33:44:55 state active opstate attached roce disable max_io_eqs 4\n' +
        '    nested_devlink:\n      auxiliary/card.sf.1\n',
    );
    expect(await desk.json(`devlink port show ${DEV}/32768`)).toEqual({
      port: {
        [`${DEV}/32768`]: {
          type: 'eth',
          netdev: 'eth6',
          flavour: 'pcisf',
          controller: 0,
          pfnum: 0,
          sfnum: 88,
          external: false,
          splittable: false,
          function: {
            hw_addr: '00:11:22:33:44:55',
            state: 'active',
            opstate: 'attached',
            roce: 'disable',
            max_io_eqs: 4,
            nested_devlink: { 'auxiliary/card.sf.1': {} },
          },
        },
      },
    });
    expect(await desk.text('devlink port del eth6')).toBe('');
    expect(await desk.run(`devlink port show ${DEV}/32768`)).toMatchObject({ code: 1 });
  });

  test('prints a refusal as the tool does, and exits with 1', async () => {
    await using desk = await makeDesk();
    expect(await desk.run(`devlink port add ${DEV} flavour pcisf pfnum 0 sfnum 88`)).toEqual({
      code: 1,
      out: '',
      err:
        'Error: mlx5_core: SF ports are only supported in eswitch switchdev mode.\n' +
        'devlink answers: Operation not supported\n',
    });
    expect((await desk.run(`devlink port add ${DEV} pfnum 0`)).err).toBe(
      'Error: Port flavour or PCI PF are not specified\ndevlink answers: Invalid argument\n',
    );
    expect((await desk.run(`devlink dev reload ${DEV} action fw_activate`)).err).toBe(
      'Error: Requested reload action is not supported by the driver\ndevlink answers: Operation not supported\n',
    );
    for (const line of ['dev show pci/0000:00:09.0', `port del ${DEV}/7`, 'port del eth9', 'port show eth9']) {
      expect(await desk.run(`devlink ${line}`)).toEqual({
        code: 1,
        out: '',
        err: expect.stringMatching(/^Error: .*no such (device|port)\ndevlink answers: No such device\n$/),
      });
    }
  });

  test('stores parameters for the next reload, and says what a reload has done to who names it', async () => {
    await using desk = await makeDesk();
    const set = `devlink dev param set ${DEV}`;
    expect(await desk.text(`${set} name io_eq_size value 64 cmode driverinit`)).toBe('');
    expect(await desk.text(`devlink dev param show ${DEV} name io_eq_size`)).toMatch(/cmode driverinit value 64\n$/);
    expect(await desk.text(`devlink dev reload ${DEV}`)).toBe('');
    expect(await desk.text(`devlink dev reload ${DEV} action driver_reinit`)).toBe(
      'reload_actions_performed:\n    driver_reinit\n',
    );
    expect((await desk.run(`${set} name io_eq_size value many cmode driverinit`)).err).toMatch(/"many" is not of type u32\n/);
    expect((await desk.run(`${set} name enable_eth value true cmode runtime`)).err).toMatch(
      /answers: Operation not supported\n$/,
    );
    expect((await desk.run(`${set} name enable_eth value true`)).err).toMatch(
      /has no cmode.*\ndevlink answers: Invalid argument\n$/,
    );
    expect((await desk.run(`${set} name nothing value true cmode driverinit`)).err).toMatch(/answers: Invalid argument\n$/);
    expect((await desk.run(`devlink dev param show ${DEV} name nothing`)).code).toBe(1);
  });

  test('shows a device that has not come up again', async () => {
    await using desk = await makeDesk();
    await desk.text(`devlink dev param set ${DEV} name enable_eth value false cmode driverinit`);
    expect((await desk.run(`devlink dev reload ${DEV}`)).err).toBe(
      'Error: mlx5_core: no answer\ndevlink answers: Input/output error\n',
    );
    expect(await desk.text(`devlink dev show ${DEV}`)).toBe(`${DEV}:\n  reload_failed true\n`);
    expect(await desk.json(`devlink dev show ${DEV}`)).toEqual({ dev: { [DEV]: { reload_failed: true } } });
  });

  test('shows what the device says of itself, its resources and its health', async () => {
    await using desk = await makeDesk();
    expect(await desk.text(`devlink dev info ${DEV}`)).toBe(
      `${DEV}:\n  driver card\n  versions:\n      running:\n        fw 0.1\n        fw.version 0.1.0\n`,
    );
    expect(await desk.json(`devlink dev info ${DEV}`)).toEqual({
      info: { [DEV]: { driver: 'card', versions: { running: { fw: '0.1', 'fw.version': '0.1.0' } } } },
    });
    expect(await desk.text(`devlink resource show ${DEV}`)).toBe(
      `${DEV}:\n  name max_local_SFs size 16 unit entry dpipe_tables none\n`,
    );
    const health = `${DEV}:\n  reporter fw\n    state healthy error 0 recover 0\n  reporter fw_fatal\n    state`;
    const rest = 'grace_period 0 auto_recover false\n';
    expect(await desk.text(`devlink health show ${DEV}`)).toBe(`${health} error error 1 recover 0 ${rest}`);
    await desk.text(`devlink health recover ${DEV} reporter fw_fatal`);
    expect(await desk.text(`devlink health show ${DEV}`)).toBe(`${health} healthy error 1 recover 1 ${rest}`);
    await desk.text(`devlink health set ${DEV} reporter fw_fatal grace_period 500 auto_recover true`);
    const set = 'grace_period 500 auto_recover true\n';
    expect(await desk.text(`devlink health show ${DEV}`)).toBe(`${health} healthy error 1 recover 1 ${set}`);
  });

  test('takes -j for JSON, and -p for several lines of it', async () => {
    await using desk = await makeDesk();
    expect(await desk.text('devlink -j dev show')).toBe(await desk.text('devlink dev show --json'));
    expect(await desk.text(`devlink -jp dev eswitch show ${DEV}`)).toBe(
      `{\n    "dev": {\n        "${DEV}": {\n            "mode": "legacy"\n        }\n    }\n}\n`,
    );
  });

  test.each([
    ['devlink rate show', 'devlink has no command'],
    ['devlink port split', 'devlink has no command'],
    ['devlink constructor', 'devlink has no command'],
    [`devlink dev show ${DEV} now`, "'now'"],
    [`devlink port del ${DEV}/1 now`, "'now'"],
    ['devlink port add', 'DEV is missing'],
    [`devlink port add ${DEV} flavour sf pfnum 0`, "flavour 'sf' is none of"],
    [`devlink port add ${DEV} flavour pcisf pfnum`, 'value of pfnum is missing'],
    [`devlink port add ${DEV} flavour pcisf pfnum 0 pfnum 0`, 'pfnum is given twice'],
    [`devlink port add ${DEV} flavour pcisf pfnum x`, 'pfnum is a whole number'],
    [`devlink dev eswitch set ${DEV} mode hub`, "mode 'hub' is none of legacy, switchdev"],
    [`devlink dev reload ${DEV} quickly yes`, "word 'quickly' is none of action, limit"],
    [`devlink port function set ${DEV}/1 roce on`, "roce 'on' is none of enable, disable"],
  ])('%s is a wrong command line', async (line, text) => {
    await using desk = await makeDesk();
    expect(await desk.run(line)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(text) });
  });
});

describe('devlink of a system without any device for it', () => {
  test.each(['dev eswitch set', 'dev param set', 'dev reload', 'health recover'])('%s asks for the device', async (words) => {
    await using desk = await Desk.make(hostSim({ edu: 1 }).plugin);
    expect(await desk.run(`devlink ${words}`)).toMatchObject({ code: 2, err: expect.stringContaining('DEV is missing') });
    expect(await desk.run('devlink dev reload pci/0000:00:09.0')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no such device'),
    });
  });
});

describe('devlink of an adapter with sub-functions', () => {
  const NIC = 'pci/0000:06:00.0';
  const SF = 'auxiliary/mlx5_core.sf.1';
  const PORT = `${NIC}/32768`;

  test('its user adds one, activates it, says what it is for, and deletes it', async () => {
    const sim = hostSim({ roots: [{ firstBus: 6 }], devices: [{ at: '06:00.0', model: nic() }], cpus: 2 });
    await using desk = await Desk.make(sim.plugin, mlx5Plugin, mlx5EthPlugin);
    const settled = async (): Promise<void> => {
      await sim.settle(100_000);
      await desk.target.system.core.settle();
    };
    expect((await desk.run(`devlink port add ${NIC} flavour pcisf pfnum 0 sfnum 88`)).err).toBe(
      'Error: mlx5_core: SF ports are only supported in eswitch switchdev mode.\ndevlink answers: Operation not supported\n',
    );
    await desk.text(`devlink dev eswitch set ${NIC} mode switchdev`);
    const line = `${PORT}: type eth netdev enp6s0f0npf0sf88 flavour pcisf controller 0 pfnum 0 sfnum 88 external false splittable false`;
    expect(await desk.text(`devlink port add ${NIC} flavour pcisf pfnum 0 sfnum 88`)).toBe(
      `${line}\n  function:\n    hw_addr 00:00:00:00:00:00 state inactive opstate detached\n`,
    );
    expect((await desk.run(`devlink port add ${NIC} flavour pcisf pfnum 0 sfnum 88`)).err).toBe(
      'Error: mlx5_core: SF already exist. Choose different sfnum\ndevlink answers: File exists\n',
    );
    await desk.text(`devlink port function set ${PORT} hw_addr 02:00:00:00:00:58 state active`);
    await settled();
    expect(await desk.text(`devlink port show ${PORT}`)).toBe(
      `${line}\n  function:\n    hw_addr 02:00:00:00:00:58 state active opstate attached\n` +
        `    nested_devlink:\n      ${SF}\n`,
    );
    expect(await desk.text('devlink dev show')).toBe(`${NIC}\n${SF}\n`);
    await desk.text(`devlink dev param set ${SF} name enable_eth value true cmode driverinit`);
    expect(await desk.text(`devlink dev reload ${SF} action driver_reinit`)).toBe(
      'reload_actions_performed:\n    driver_reinit\n',
    );
    const own = `${SF}/1: type eth netdev p0sf88 flavour virtual port 0\n`;
    expect([await desk.text(`devlink port show ${SF}/1`), await desk.text('devlink port show p0sf88')]).toEqual([own, own]);
    await desk.text(`devlink port del ${PORT}`);
    await settled();
    expect(await desk.text('devlink port show')).toBe('');
    expect(await desk.text('devlink dev show')).toBe(`${NIC}\n`);
  });
});
