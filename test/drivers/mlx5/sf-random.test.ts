import { describe, expect, test } from 'vitest';
import { Devlinks, Errno, Random } from '../../../core/index.js';
import { defaultSeed } from '../../../core/testing/seed.js';
import { VHCA_STATES } from '../../../hw/regs/nic-contexts.js';
import { SfBench } from './sf-fixture.js';

const SFS = 6;
const BASE = 0x8000;
const OPERATIONS = 250;

/** Users who do as they like with sub-functions, and do not wait for each other. */
class Users {
  readonly unexpected: unknown[] = [];
  readonly #bench: SfBench;
  readonly #random: Random;
  readonly #pending = new Set<Promise<void>>();

  constructor(bench: SfBench, seed: number) {
    this.#bench = bench;
    this.#random = new Random(seed);
  }

  #below(n: number): number {
    return this.#random.below(n);
  }

  /** Begins something. */
  step(): void {
    const bench = this.#bench;
    const port = BASE + this.#below(SFS);
    const { devlink } = bench;
    const sfs = Devlinks.list(bench.nic.system.core).filter(([name]) => name.startsWith('auxiliary/'));
    const sf = sfs[this.#below(Math.max(sfs.length, 1))]?.[1];
    const { core } = bench.nic.system;
    const dev = core.buses.get('auxiliary')!.devices.find(({ name }) => name.startsWith('mlx5_core.sf.'));
    const kinds: (() => unknown)[] = [
      () => bench.add(this.#below(SFS + 1)),
      () => bench.add(this.#below(SFS + 1)),
      () => devlink.setPortFunction(port, { state: 'active' }),
      () => devlink.setPortFunction(port, { state: 'active' }),
      () => devlink.setPortFunction(port, { state: 'inactive' }),
      () => devlink.deletePort(port),
      () => sf?.setParam('enable_eth', this.#below(2) === 1, 'driverinit'),
      () => sf?.reload(),
      () => (dev === undefined ? undefined : core.unbind(dev)),
      () => (dev === undefined ? undefined : core.attach(dev)),
      () => bench.nic.sim.settle(this.#below(400)),
      () => (this.#below(12) === 0 ? devlink.setEswitchMode('legacy') : undefined),
      () => devlink.setEswitchMode('switchdev'),
      () => (this.#below(30) === 0 ? devlink.reload() : undefined),
    ];
    const kind = kinds[this.#below(kinds.length)]!;
    const done = (async () => void (await kind()))().catch((error: unknown) => {
      const all = error instanceof AggregateError ? error.errors : [error];
      this.unexpected.push(...all.filter((one) => !Errno.is(one)));
    });
    this.#pending.add(done);
    void done.then(() => this.#pending.delete(done));
  }

  /** Now and then somebody waits for one of them. */
  async wait(): Promise<void> {
    if (this.#below(3) > 0) return;
    if (this.#below(4) === 0) await Promise.all(this.#pending);
    else await Promise.resolve();
  }

  async end(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}

describe('sub-functions under users who do not wait for each other', () => {
  test.each([0, 1, 2, 3, 4, 5])('have states that the device has too, and go without a trace (%i)', async (n) => {
    const seed = defaultSeed() * 100 + n;
    await using bench = await SfBench.start({ profile: { sfs: SFS } });
    const users = new Users(bench, seed);
    for (let i = 0; i < OPERATIONS; i++) {
      users.step();
      await users.wait();
    }
    await users.end();
    await bench.settle();
    expect(users.unexpected).toEqual([]);
    const { vhca } = bench.nic.silicon;
    const shown = new Map(bench.devlink.ports().map(({ index, sfnum }) => [index, sfnum]));
    for (let id = BASE; id < BASE + SFS; id++) {
      const state = vhca.state(id);
      expect([id, state === VHCA_STATES.invalid]).toEqual([id, !shown.has(id)]);
      if (!shown.has(id)) continue;
      expect([id, vhca.swId(id)]).toEqual([id, shown.get(id)]);
      const expected: Record<number, string> = {
        [VHCA_STATES.allocated]: 'inactive detached',
        [VHCA_STATES.active]: 'active detached',
      };
      expect([id, bench.state(id)]).toEqual([id, expected[state] ?? 'active attached']);
    }
    await bench.devlink.setEswitchMode('legacy');
    await bench.settle();
    expect(bench.parts).toEqual(['mlx5_core.eth.0', 'mlx5_core.rdma.0']);
    // A function that was taken away may be told of a command that its driver has just begun.
    const wrong = bench.nic.sim.guestErrors.filter(({ text }) => !text.includes('command while its interface is not working'));
    expect([wrong, bench.nic.sim.modelErrors, bench.nic.sim.iommuFaults]).toEqual([[], [], []]);
  });
});
