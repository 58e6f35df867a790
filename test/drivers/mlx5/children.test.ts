import { describe, expect, test } from 'vitest';
import { type AuxiliaryDevice, AuxiliaryDriver, type AuxName, Errno, Plugin } from '../../../core/index.js';
import { ETH, ETH_REP, type Mlx5Child, RDMA } from '../../../drivers/mlx5/api.js';
import { NicBench, codeOf } from './fixture.js';

const names = (bench: NicBench): string[] => bench.core.parts.map(({ name }) => name);

/** A driver of parts that writes down what becomes of them. */
class PartDriver implements AuxiliaryDriver<Mlx5Child, string> {
  readonly name: string;
  readonly ids: readonly AuxName<Mlx5Child>[];
  constructor(
    name: AuxName<Mlx5Child>,
    private readonly notes: string[],
    private readonly refuses = false,
  ) {
    this.name = `part-${name.key}`;
    this.ids = [name];
  }
  async probe(dev: AuxiliaryDevice<Mlx5Child>): Promise<string> {
    // Event queues and commands work as long as a part is there.
    const eqn = await dev.data.compEqn(0);
    this.notes.push(`probe ${dev.name} ${dev.data.hasEq(eqn)}`);
    if (this.refuses) throw new Errno('ENODEV', `${dev.name}: not for us`);
    return dev.name;
  }
  async remove(dev: AuxiliaryDevice<Mlx5Child>): Promise<void> {
    await dev.data.exec(0x80d, new Uint32Array(4));
    this.notes.push(`remove ${dev.name}`);
  }
}

const partDrivers = (notes: string[], refuses = false): Plugin =>
  new Plugin('parts', ({ bind }) => {
    for (const name of [ETH, ETH_REP, RDMA]) bind(AuxiliaryDriver).toConstantValue(new PartDriver(name, notes, refuses));
  });

describe('parts of a function', () => {
  test('are probed in their order when it is up, and removed in the other while it is', async () => {
    const notes: string[] = [];
    const bench = await NicBench.start({ more: [partDrivers(notes)] });
    await bench[Symbol.asyncDispose]();
    expect(notes).toEqual([
      'probe mlx5_core.eth.0 true',
      'probe mlx5_core.rdma.0 true',
      'remove mlx5_core.rdma.0',
      'remove mlx5_core.eth.0',
    ]);
  });

  test('may have drivers that come later, or refuse them: they are there all the same', async () => {
    const notes: string[] = [];
    await using bench = await NicBench.start();
    await bench.system.load(partDrivers(notes, true));
    expect(notes.length).toBe(2);
    expect(names(bench)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    expect(bench.core.parts.map(({ bound }) => bound)).toEqual([false, false]);
  });

  test('come and go as its user and its switch want, in their order', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    core.isSwitchdev = true;
    await core.rescan();
    expect(names(bench)).toEqual(['mlx5_core.eth.0', 'mlx5_core.eth-rep.0', 'mlx5_core.rdma.0']);
    core.isSwitchdev = false;
    core.params.enableRdma = false;
    await core.rescan();
    expect(names(bench)).toEqual(['mlx5_core.eth.0']);
  });

  test('are as its options say', async () => {
    await using bench = await NicBench.start({ options: { enableRdma: false, enableVnet: true } });
    expect(names(bench)).toEqual(['mlx5_core.eth.0']);
  });

  test('are all there or none: when one cannot be made, the others go', async () => {
    await using bench = await NicBench.start();
    const { core, system } = bench;
    const { auxiliary } = system.kernel;
    core.params.enableRdma = false;
    await core.rescan();
    const other = await auxiliary.create(core.dev, RDMA, { id: 0, data: core });
    core.params.enableRdma = true;
    expect(await codeOf(core.rescan())).toBe('EEXIST');
    expect(names(bench)).toEqual([]);
    await auxiliary.destroy(other);
    await core.rescan();
    expect(names(bench)).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
  });
});
