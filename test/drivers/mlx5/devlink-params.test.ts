import { describe, expect, test } from 'vitest';
import { CharDevices, type NetDevice, NetDevices, type ParamValue } from '../../../core/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { CAPS, CAPS_BYTES, CAPS_OFFSET, HEADER, OPCODES } from '../../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../../hw/regs/nic-words.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';
import mlx5Rdma, { RDMA } from '../../../plugins/mlx5-rdma.js';
import { UserMemory } from '../mlx5-vnet/user-memory.js';
import { SfBench, refusal } from './sf-fixture.js';

const RINGS = { logSqSize: 6, logRqSize: 6 } as const;
const LEGACY = { isLegacy: true, profile: { sfs: 0 } } as const;

async function reloadWith(bench: SfBench, params: Readonly<Record<string, ParamValue>>): Promise<void> {
  for (const [name, value] of Object.entries(params)) await bench.devlink.setParam(name, value, 'driverinit');
  await bench.devlink.reload();
}

const netOf = ({ nic }: SfBench): NetDevice => nic.system.list(NetDevices)[0]![1];
const macs = (count: number): string[] => Array.from({ length: count }, (_, n) => `02:00:00:00:07:0${n}`);

/** What the device says now. */
async function capsNow(core: Mlx5Core): Promise<Record<'roce' | 'logMaxMacs', number>> {
  const input = new Uint32Array(4);
  setWord(input, HEADER.opMod, 1);
  const output = await core.exec(OPCODES.QUERY_HCA_CAP, input, new Uint32Array((CAPS_OFFSET + CAPS_BYTES) / 4));
  return {
    roce: getWord(output, CAPS.roce, CAPS_OFFSET),
    logMaxMacs: getWord(output, CAPS.logMaxMacs, CAPS_OFFSET),
  };
}

describe('max_macs', () => {
  test('is a power of two, and no more than the device allows', async () => {
    await using bench = await SfBench.start(LEGACY);
    const set = (value: ParamValue): Promise<string> => refusal(() => bench.devlink.setParam('max_macs', value, 'driverinit'));
    expect([await set(0), await set(3), await set(256), await set(true)]).toEqual([
      'EINVAL: mlx5_core: max_macs value must be greater than 0',
      'EINVAL: mlx5_core: Only power of 2 values are supported for max_macs',
      'EINVAL: mlx5_core: max_macs value is out of the supported range: 1 to 128',
      expect.stringMatching(/^EINVAL: .*is not of type u32/),
    ]);
    expect([await set(1), await set(128)]).toEqual(['nothing', 'nothing']);
  });

  test('limits the list of addresses, from the next start on: those beyond it are dropped, and a line says so', async () => {
    await using bench = await SfBench.start({ ...LEGACY, more: [mlx5Eth(RINGS)] });
    const { core, silicon } = bench.nic;
    const listed = (): number => silicon.pf.vport!.unicast.length;
    const set = async (): Promise<void> => {
      await netOf(bench).open();
      await netOf(bench).setRxMode({ unicast: macs(6) });
    };
    await set();
    expect([listed(), (await capsNow(core)).logMaxMacs]).toEqual([6, 8]);
    await bench.devlink.setParam('max_macs', 4, 'driverinit');
    await netOf(bench).setRxMode({ unicast: macs(5) });
    expect([listed(), bench.nic.logged('addresses_dropped')]).toEqual([5, []]);
    await bench.devlink.reload();
    await set();
    expect([listed(), (await capsNow(core)).logMaxMacs]).toEqual([4, 3]);
    expect(bench.nic.logged('addresses_dropped')).toEqual([
      'unicast list size (6) > (4) max vport list size, some addresses will be dropped',
    ]);
    await reloadWith(bench, { max_macs: 128 });
    await set();
    expect([listed(), core.commands.hasLost]).toEqual([6, false]);
  });
});

describe('num_doorbells', () => {
  test('is no more than there can be channels', async () => {
    await using bench = await SfBench.start();
    await bench.attach(88);
    for (const devlink of [bench.devlink, bench.sfDevlink(1)]) {
      expect(await refusal(() => devlink.setParam('num_doorbells', 9, 'driverinit'))).toBe(
        'EINVAL: mlx5_core: Requested num_doorbells (9) exceeds maximum number of channels (8)',
      );
      await devlink.setParam('num_doorbells', 8, 'driverinit');
    }
  });

  test('is how many pages the channels take, in turns; 0: that of the function', async () => {
    await using bench = await SfBench.start({ ...LEGACY, more: [mlx5Eth({ ...RINGS, channels: 4 })] });
    const { core, silicon } = bench.nic;
    /** The pages of the queues, by channel. */
    const pages = async (): Promise<number[]> => {
      await netOf(bench).open();
      const { sqs, rqs, cqs } = silicon.pf;
      const of = (queues: readonly ({ readonly setup: { readonly uar: number } } | undefined)[]): number[] =>
        queues.flatMap((queue) => (queue === undefined ? [] : [queue.setup.uar]));
      const [sq, rq, cq] = [of(sqs), of(rqs), of(cqs)];
      expect([rq, cq.filter((_, n) => n % 2 === 0), cq.filter((_, n) => n % 2 === 1)]).toEqual([sq, sq, sq]);
      return sq;
    };
    const free = silicon.pf.uarNumbers.size;
    const own = core.uar.index;
    const first = await pages();
    expect([new Set(first).size, first.includes(own), silicon.pf.uarNumbers.size]).toEqual([4, false, free + 4]);
    await netOf(bench).close();
    expect(silicon.pf.uarNumbers.size).toBe(free);
    await reloadWith(bench, { num_doorbells: 2 });
    const [a, b, c, d] = await pages();
    expect([a === c, b === d, a === b]).toEqual([true, true, false]);
    await reloadWith(bench, { num_doorbells: 0 });
    expect(await pages()).toEqual(new Array(4).fill(core.uar.index));
  });
});

describe('enable_roce', () => {
  test('is what the device and the part for RDMA are told from the next start on', async () => {
    const machine = { iommu: true };
    await using bench = await SfBench.start({ ...LEGACY, machine, more: [mlx5Rdma] });
    const { core, sim, system } = bench.nic;
    const told = async (): Promise<unknown> => {
      using memory = new UserMemory(sim.dma, 'one');
      await using file = await CharDevices.get(system.core, 'infiniband/uverbs0').open(memory.task);
      const info = await file.ioctl(RDMA.QUERY_DEVICE, undefined);
      return [info.isRoceEnabled, core.isRoceEnabled, (await capsNow(core)).roce];
    };
    expect(await told()).toEqual([true, true, 1]);
    await bench.devlink.setParam('enable_roce', false, 'driverinit');
    expect(await told()).toEqual([true, true, 1]);
    await bench.devlink.reload();
    expect(await told()).toEqual([false, false, 0]);
    await reloadWith(bench, { enable_roce: true });
    expect(await told()).toEqual([true, true, 1]);
  });

  test('is not for a sub-function whose port has it off, which has no part for RDMA then', async () => {
    await using bench = await SfBench.start();
    const port = await bench.add(88);
    await bench.devlink.setPortFunction(port, { roce: false, state: 'active' });
    await bench.settle();
    const sf = bench.sfDevlink(1);
    expect(await refusal(() => sf.setParam('enable_roce', true, 'driverinit'))).toBe(
      "EOPNOTSUPP: mlx5_core: Device doesn't support RoCE",
    );
    await sf.setParam('enable_rdma', true, 'driverinit');
    await sf.reload();
    expect((bench.sf(1).state as Mlx5Core).parts).toEqual([]);
  });

  test('of a sub-function stays its own affair when its manager allows it something else', async () => {
    await using bench = await SfBench.start();
    const port = await bench.attach(88);
    await bench.sfDevlink(1).setParam('enable_rdma', true, 'driverinit');
    await bench.sfDevlink(1).reload();
    const core = bench.sf(1).state as Mlx5Core;
    expect([core.parts.map(({ name }) => name), (await capsNow(core)).roce]).toEqual([['mlx5_core.rdma.1'], 0]);
    await bench.devlink.setPortFunction(port, { maxIoEqs: 4 });
    expect((await capsNow(core)).roce).toBe(0);
    await bench.sfDevlink(1).setParam('enable_roce', true, 'driverinit');
    await bench.sfDevlink(1).reload();
    expect([core.isRoceEnabled, (await capsNow(core)).roce, core.compVectorCount]).toEqual([true, 1, 1]);
  });
});
