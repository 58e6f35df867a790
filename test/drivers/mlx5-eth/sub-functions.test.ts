import { describe, expect, test } from 'vitest';
import { type Devlink, Devlinks, type NetDevice, NetDevices, XMIT, parseMac } from '../../../core/index.js';
import type { Mlx5EthOptions } from '../../../drivers/mlx5-eth/api.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { UPLINK } from '../../../hw/regs/nic-contexts.js';
import { EthBench, SMALL, frame, receiver } from './fixture.js';

const FIRST_SF = 0x8000;
/** Longer than anything that goes on by itself. */
const WHILE_US = 100_000;

/** One adapter whose switch goes by rules. */
class SwitchBench implements AsyncDisposable {
  private constructor(readonly bench: EthBench) {}

  static async start(options: Mlx5EthOptions = SMALL, adapters = 1): Promise<SwitchBench> {
    const nics = Array.from({ length: adapters }, () => ({ sfs: 4 }));
    const bench = await EthBench.start({ nics, machine: { cpus: 8 }, options });
    const one = new SwitchBench(bench);
    for (let n = 0; n < adapters; n++) await one.devlinkOf(n).setEswitchMode('switchdev');
    return one;
  }

  devlinkOf(adapter: number): Devlink {
    return Devlinks.get(this.bench.system.core, `pci/0000:00:0${4 + adapter}.0`);
  }

  get devlink(): Devlink {
    return this.devlinkOf(0);
  }

  get pf(): Mlx5Core {
    return this.bench.core(0);
  }

  /** Makes a sub-function, with packets. @returns its own devlink */
  async add(sfnum: number, adapter = 0): Promise<Devlink> {
    const devlink = this.devlinkOf(adapter);
    const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum });
    await devlink.setPortFunction(index, { state: 'active' });
    await this.bench.settle(WHILE_US);
    const aux = [...this.bench.system.core.buses.get('auxiliary')!.devices].findLast(({ name }) =>
      name.startsWith('mlx5_core.sf.'),
    )!;
    const own = Devlinks.get(this.bench.system.core, `auxiliary/${aux.name}`);
    await own.setParam('enable_eth', true, 'driverinit');
    await own.reload();
    return own;
  }

  /** Makes a sub-function. @returns its network device, open */
  async sf(sfnum: number): Promise<NetDevice> {
    await this.add(sfnum);
    const eth = this.bench.system.get(NetDevices, `p0sf${sfnum}`);
    await eth.open();
    return eth;
  }

  /** The representor of a sub-function. */
  rep(sfnum: number): NetDevice {
    return this.bench.system.get(NetDevices, `enp0s4f0npf0sf${sfnum}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bench[Symbol.asyncDispose]();
  }
}

describe('sub-functions at the switch', () => {
  test('124 with rules, a thousand frames go from one to the other, and nowhere else', async () => {
    await using it = await SwitchBench.start({ channels: 2 });
    const { bench, pf } = it;
    const [a, b] = [await it.sf(88), await it.sf(89)];
    const [macA, macB] = [a.info().mac, b.info().mac];
    await pf.eswitch!.forward(FIRST_SF, parseMac(macB), [FIRST_SF + 1]);
    await pf.eswitch!.forward(FIRST_SF + 1, parseMac(macA), [FIRST_SF]);
    await it.rep(88).open();
    const slow = receiver(it.rep(88));
    const got = receiver(b);
    for (let n = 0; n < 1000; n++) {
      const one = frame(macB, macA, 64, n);
      while (a.send(n & 1, one, 0, 64) === XMIT.BUSY) await a.ready(n & 1);
    }
    await bench.settle(1000);
    expect(got).toHaveLength(1000);
    expect(slow).toHaveLength(0);
    expect(await a.statistics()).toMatchObject({ txPackets: 1000, txDropped: 0, txErrors: 0 });
    expect(await b.statistics()).toMatchObject({ rxPackets: 1000, rxDropped: 0, rxMissed: 0, rxErrors: 0 });
  });

  test('125 without a rule a frame comes to the representor of its sender, once; what is sent there comes to the port', async () => {
    await using it = await SwitchBench.start();
    const { bench } = it;
    const [a, b] = [await it.sf(88), await it.sf(89)];
    const rep = it.rep(88);
    await rep.open();
    const [slow, other, atA] = [receiver(rep), receiver(b), receiver(a)];
    const unknown = frame('02:aa:bb:cc:dd:ee', a.info().mac, 100);
    a.send(0, unknown, 0, 100);
    await bench.settle();
    expect([slow.map(({ bytes }) => bytes), other.length]).toEqual([[unknown], 0]);
    const back = frame(a.info().mac, '02:aa:bb:cc:dd:ee', 90);
    expect(rep.send(0, back, 0, 90)).toBe(XMIT.OK);
    await bench.settle();
    expect([atA.map(({ bytes }) => bytes), other.length]).toEqual([[back], 0]);
    expect(await rep.statistics()).toMatchObject({ rxPackets: 1, txPackets: 1 });
    expect(rep.info()).toMatchObject({ portName: 'pf0sf88', hasCarrier: true });
  });

  test('a port has a link while its representor is open, and none when that was closed', async () => {
    await using it = await SwitchBench.start();
    const { bench } = it;
    const a = await it.sf(88);
    const rep = it.rep(88);
    await rep.open();
    await bench.settle(1000);
    expect(a.info().hasCarrier).toBe(true);
    await rep.close();
    await bench.settle(1000);
    expect(a.info().hasCarrier).toBe(false);
    await rep.open();
    await bench.settle(1000);
    expect(a.info()).toMatchObject({ hasCarrier: true });
  });

  test('a representor goes with its port, and all of them with the mode; open or not', async () => {
    await using it = await SwitchBench.start();
    const { bench, devlink } = it;
    const a = await it.sf(88);
    await it.sf(89);
    const rep = it.rep(88);
    await rep.open();
    const names = (): string[] => bench.system.list(NetDevices).map(([name]) => name);
    expect(names().filter((name) => name.startsWith('enp'))).toEqual(['enp0s4f0npf0sf88', 'enp0s4f0npf0sf89']);
    await devlink.deletePort(FIRST_SF);
    expect(names()).not.toContain('enp0s4f0npf0sf88');
    expect(() => rep.send(0, new Uint8Array(60), 0, 60)).toThrow(/ENODEV/);
    await bench.settle(WHILE_US);
    expect(() => a.send(0, new Uint8Array(60), 0, 60)).toThrow(/ENODEV/);
    await it.rep(89).open();
    await devlink.setEswitchMode('legacy');
    await bench.settle(WHILE_US);
    expect(names()).toEqual(['eth0']);
  });

  test('a network device is called by the number of its sub-function, and so in its port; at the second adapter also by its place', async () => {
    await using it = await SwitchBench.start(SMALL, 2);
    const { bench } = it;
    const names = (): string[] => bench.system.list(NetDevices).map(([name]) => name);
    const netdevs = (of: Devlink): (string | undefined)[] => of.ports().map(({ netdev }) => netdev);
    const other = await it.add(7);
    const first = await it.add(88);
    const second = await it.add(88, 1);
    const sfs = ['p0sf7', 'p0sf88', 'enp0s5f0s88'];
    const reps = ['enp0s4f0npf0sf7', 'enp0s4f0npf0sf88', 'enp0s5f0npf0sf88'];
    expect(names().toSorted()).toEqual(['eth0', 'eth1', ...sfs, ...reps].toSorted());
    expect([other, first, second].map(netdevs)).toEqual(sfs.map((name) => [name]));
    expect([netdevs(it.devlinkOf(0)), netdevs(it.devlinkOf(1))]).toEqual([reps.slice(0, 2), reps.slice(2)]);
    for (const own of [second, other, first]) await own.reload();
    expect([other, first, second].map(netdevs)).toEqual(sfs.map((name) => [name]));
    await it.devlink.deletePort(FIRST_SF + 1);
    await bench.settle(WHILE_US);
    // Whatever becomes of others.
    await second.reload();
    expect(netdevs(second)).toEqual(['enp0s5f0s88']);
  });

  test('options are those of representors too', async () => {
    await using it = await SwitchBench.start({ channels: 2, logRqSize: 6, adaptiveRx: true });
    await it.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 });
    const rep = it.rep(88);
    expect(rep.coalesce()).toMatchObject({ adaptiveRx: true });
    expect([rep.ring(), rep.channels()]).toMatchObject([{ rx: 64, tx: 128 }, { combined: 1 }]);
  });

  test('representors are opened at once and closed in any order: each has its own, and nothing else', async () => {
    await using it = await SwitchBench.start();
    const { bench, devlink } = it;
    const a = await it.sf(88);
    await it.sf(89);
    const part = bench.system.device('mlx5_core.eth-rep.0');
    const before = part.devres.size;
    // Another port comes while these are being opened.
    const opening = [it.rep(88).open(), it.rep(89).open()];
    await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 90 });
    for (const one of opening) await one;
    await it.rep(89).close();
    await it.rep(90).open();
    const got = receiver(it.rep(88));
    a.send(0, frame('02:aa:bb:cc:dd:ee', a.info().mac, 60), 0, 60);
    await bench.settle();
    expect([got.length, it.rep(90).info().isOpen]).toEqual([1, true]);
    await it.rep(88).close();
    await it.rep(90).close();
    expect(part.devres.size).toBe(before + 1);
  });

  test('a frame from the cable goes by rules of the uplink, and what is sent out by rules to it', async () => {
    const bench = await EthBench.start({ nics: [{ sfs: 2 }, { sfs: 0 }], machine: { cpus: 8 } });
    await using _ = bench;
    await Devlinks.get(bench.system.core, 'pci/0000:00:04.0').setEswitchMode('switchdev');
    const far = bench.eth(1);
    await far.open();
    const near = bench.eth(0);
    await near.open();
    const [macNear, macFar] = [near.info().mac, far.info().mac];
    const { eswitch } = bench.core(0);
    await eswitch!.forward(0, parseMac(macFar), [UPLINK]);
    await eswitch!.forward(UPLINK, parseMac(macNear), [0]);
    const [atNear, atFar] = [receiver(near), receiver(far)];
    near.send(0, frame(macFar, macNear, 77), 0, 77);
    far.send(0, frame(macNear, macFar, 78), 0, 78);
    await bench.settle();
    expect([atNear.map(({ bytes }) => bytes.length), atFar.map(({ bytes }) => bytes.length)]).toEqual([[78], [77]]);
  });

  test('the function goes with traffic and sub-functions alive: nothing is held, nothing throws', async () => {
    await using it = await SwitchBench.start();
    const { bench } = it;
    const all = [await it.sf(88), await it.sf(89), await it.sf(90)];
    await it.rep(89).open();
    for (const eth of all)
      for (let n = 0; n < 40; n++) eth.send(0, frame('ff:ff:ff:ff:ff:ff', eth.info().mac, 64), 0, 64, n % 4 !== 3);
    await bench.system.core.remove(bench.system.device('0000:00:04.0'));
    for (const eth of all) expect(() => eth.info()).toThrow(/ENODEV/);
    expect(bench.system.list(NetDevices)).toEqual([]);
    expect(bench.logged('release_failed')).toEqual([]);
  });
});
