import { describe, expect, test } from 'vitest';
import { System, formatMac, parseMac } from '../../../../core/index.js';
import { Vport, deleteL2Entry, setL2Entry } from '../../../../drivers/lib/mlx5/index.js';
import type { Mlx5Core } from '../../../../drivers/mlx5/mlx5-core.js';
import type { Nic } from '../../../../hw/models/nic/index.js';
import { hostSim } from '../../../../plugins/host-sim.js';
import { mlx5 } from '../../../../plugins/mlx5.js';

async function open() {
  let silicon: Nic | undefined;
  const sim = hostSim({ cpus: 2, nic: [{ sfs: 0, onCreate: (made) => (silicon = made) }] });
  const system = await System.start(sim.plugin, mlx5());
  const core = system.device('0000:00:04.0').state as Mlx5Core;
  const own = silicon!.pf.vport!;
  return { core, own, vport: new Vport(core), [Symbol.asyncDispose]: () => system.stop() };
}

const text = ({ high, low }: { high: number; low: number }): string =>
  formatMac(Uint8Array.of(high >>> 16, high >>> 8, high, low >>> 16, low >>> 8, low));
const MACS = ['02:11:22:33:44:55', '02:aa:bb:cc:dd:ee'];

describe('a port', () => {
  test('has an address, which can be another', async () => {
    await using it = await open();
    expect(formatMac(await it.vport.mac())).toBe(text(it.own.mac));
    await it.vport.setMac(parseMac(MACS[0]!));
    expect([text(it.own.mac), formatMac(await it.vport.mac())]).toEqual([MACS[0], MACS[0]]);
  });

  test('lists its addresses: those and no others; and says its own all the same', async () => {
    await using it = await open();
    await it.vport.setList('unicast', MACS.map(parseMac));
    await it.vport.setList('multicast', [parseMac('01:00:5e:00:00:01')]);
    expect(it.own.unicast.map(text)).toEqual(MACS);
    expect(it.own.multicast.map(text)).toEqual(['01:00:5e:00:00:01']);
    expect(formatMac(await it.vport.mac())).toBe(text(it.own.mac));
    await it.vport.setList('unicast', []);
    expect(it.own.unicast).toEqual([]);
  });

  test('is told what to take, how large frames are, and whether its own come back', async () => {
    await using it = await open();
    await it.vport.setRxMode({ promiscuous: true, allMulticast: false });
    await it.vport.setMtu(9000);
    await it.vport.setLoopback(false);
    expect(it.own).toMatchObject({ promiscuousAll: true, promiscuousMc: false, mtu: 9000, disableUcLoopback: true });
    await it.vport.setRxMode({ promiscuous: false, allMulticast: true });
    await it.vport.setLoopback(true);
    expect(it.own).toMatchObject({ promiscuousAll: false, promiscuousMc: true, mtu: 9000, disableUcLoopback: false });
  });

  test('has a link unless it is to have none', async () => {
    await using it = await open();
    const own = new Vport(it.core, 0);
    expect(await it.vport.isUp()).toBe(true);
    await own.setAdminState('down');
    expect([await it.vport.isUp(), await own.isUp()]).toEqual([false, false]);
    await own.setAdminState('follow');
    expect(await it.vport.isUp()).toBe(true);
  });

  test('has counters of 64 bits', async () => {
    await using it = await open();
    it.own.counters[2] = 2 ** 40 + 7;
    const counters = await it.vport.counters();
    expect([counters.rxUnicastPackets, counters.txDropped]).toEqual([2 ** 40 + 7, 0]);
  });

  test('of another, that there is not, is refused', async () => {
    await using it = await open();
    await expect(new Vport(it.core, 0x8005).mac()).rejects.toThrow(/EINVAL/);
  });

  test('gives the switch addresses one by one', async () => {
    await using it = await open();
    await setL2Entry(it.core, 3, parseMac(MACS[1]!));
    expect([...it.own.entries].map(([index, mac]) => [index, text(mac)])).toEqual([[3, MACS[1]]]);
    await deleteL2Entry(it.core, 3);
    expect(it.own.entries.size).toBe(0);
    await expect(deleteL2Entry(it.core, 3)).rejects.toThrow(/EINVAL/);
  });
});
