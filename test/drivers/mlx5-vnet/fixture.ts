import {
  Devlinks,
  type Kernel,
  type Mmio,
  type Plugin,
  System,
  VIRTIO_FEATURES,
  VIRTIO_STATUS,
  parseMac,
} from '../../../core/index.js';
import type { Vnet } from '../../../drivers/mlx5-vnet/vnet.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { type Nic, type NicProfile, nic } from '../../../hw/models/nic/index.js';
import type { MachineOptions } from '../../../hw/sim/index.js';
import { type HostSim, hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import { VdpaUser, mlx5Vnet } from '../../../plugins/mlx5-vnet.js';
import { LOG_SIZE, QueueUser } from './queue-user.js';
import { UserMemory } from './user-memory.js';

export { PACKET_BYTES, frame } from './queue-user.js';

export const ADDRESS = '0000:06:00.0';
const HANDLE = `pci/${ADDRESS}`;
const LONG_US = 100_000;

const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK } = VIRTIO_STATUS;
export const STARTED = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

export interface VnetBenchOptions {
  readonly profile?: NicProfile;
  readonly pairs?: number;
  /** Sub-functions; default 2. */
  readonly count?: number;
  readonly machine?: Omit<MachineOptions, 'devices' | 'roots'>;
  readonly plugins?: readonly Plugin[];
  /** What sub-functions are for; default `enable_vnet`. */
  readonly enable?: readonly string[];
}

/** Address of sub-function `n`, from 0 on. */
export const macOf = (n: number): string => `02:00:00:00:88:0${n}`;

/** A system with an adapter that has sub-functions for vDPA. `await using bench = await VnetBench.start()`. */
export class VnetBench implements AsyncDisposable {
  readonly #users: UserMemory[] = [];

  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly silicon: Nic,
  ) {}

  static async start(options: VnetBenchOptions = {}): Promise<VnetBench> {
    const { profile = {}, pairs = 1, count = 2, machine = {}, plugins = [], enable = ['enable_vnet'] } = options;
    let silicon: Nic | undefined;
    const model = nic({ ...profile, onCreate: (made) => (silicon = made) });
    const sim = hostSim({ cpus: 4, iommu: true, ...machine, roots: [{ firstBus: 6 }], devices: [{ at: '06:00.0', model }] });
    const system = await System.start(sim.plugin, mlx5(), mlx5Vnet({ pairs }), ...plugins);
    const bench = new VnetBench(sim, system, silicon!);
    await bench.#addAll(count, enable);
    return bench;
  }

  async #addAll(count: number, enable: readonly string[]): Promise<void> {
    if (count === 0) return;
    const devlink = Devlinks.get(this.system.core, HANDLE);
    await devlink.setEswitchMode('switchdev');
    for (let n = 0; n < count; n++) {
      const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: 88 + n });
      await devlink.setPortFunction(index, { hwAddr: macOf(n), state: 'active' });
      await this.settle(LONG_US);
      const sf = Devlinks.get(this.system.core, `auxiliary/mlx5_core.sf.${n + 1}`);
      for (const name of enable) await sf.setParam(name, true, 'driverinit');
      await sf.reload();
      await this.settle(LONG_US);
    }
    for (let from = 0; from < count; from++) {
      for (let to = 0; to < count; to++) {
        if (from !== to) await this.pf.eswitch!.forward(0x8000 + from, parseMac(macOf(to)), [0x8000 + to]);
      }
    }
  }

  get kernel(): Kernel {
    return this.system.kernel;
  }

  get pf(): Mlx5Core {
    return this.system.device(ADDRESS).state as Mlx5Core;
  }

  sf(n: number): Mlx5Core {
    return this.system.device(`mlx5_core.sf.${n + 1}`).state as Mlx5Core;
  }

  vnet(n: number): Vnet {
    return this.system.device(`mlx5_core.vnet.${n + 1}`).state as Vnet;
  }

  user(name: string): UserMemory {
    const user = new UserMemory(this.sim.dma, name);
    this.#users.push(user);
    return user;
  }

  /** Leaves so many dedicated vectors to be had, and no more. */
  leave(vectors: number): void {
    const { vectors: table } = this.pf.irqTable;
    while (table.available - table.reserve > vectors) table.requestDedicated(this.pf.dev, { name: 'squatter' });
  }

  /** A user of sub-function `n`, with DRIVER_OK. */
  async guest(n: number, name = `guest${n}`): Promise<NetGuest> {
    const vdpa = await VdpaUser.open(this.system.core, `vhost-vdpa-${n + 1}`, this.user(name).task);
    const guest = new NetGuest(vdpa, this.#users.at(-1)!);
    await guest.start();
    return guest;
  }

  logged(id: string): string[] {
    return this.system.core.log.records().flatMap((record) => (record.id === id ? [record.text] : []));
  }

  async settle(us = 1000): Promise<void> {
    await this.sim.settle(us);
    await this.system.core.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const user of this.#users) user[Symbol.dispose]();
    await this.system.stop();
  }
}

/** A user who drives the queues of a device himself. */
export class NetGuest extends QueueUser implements AsyncDisposable {
  constructor(
    readonly vdpa: VdpaUser,
    memory: UserMemory,
  ) {
    super(memory);
  }

  override doorbells(index: number): Mmio {
    return this.vdpa.doorbells(index);
  }

  /** Makes the rings, and goes through all that a virtio driver does: one call behind the other, without waiting for each. */
  async start(): Promise<void> {
    const { vdpa } = this;
    const count = vdpa.info.vqCount;
    this.mapPackets(count);
    await Promise.all([
      vdpa.setStatus(ACKNOWLEDGE),
      vdpa.setStatus(ACKNOWLEDGE | DRIVER),
      vdpa.setFeatures(VIRTIO_FEATURES.VERSION_1 | VIRTIO_FEATURES.ACCESS_PLATFORM | VIRTIO_FEATURES.NET_MAC),
      vdpa.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK),
      ...Array.from({ length: count }, (_, index) => this.#setUp(index)).flat(),
      vdpa.setStatus(STARTED),
    ]);
    this.started(await vdpa.config(0, vdpa.info.configBytes));
  }

  #setUp(index: number): Promise<void>[] {
    const { vdpa } = this;
    const { descriptor, device, driver } = this.makeQueue(index);
    const { call } = this.queues[index]!;
    return [
      vdpa.setVringNum(index, 1 << LOG_SIZE),
      vdpa.setVringAddr(index, { descriptor, device, driver }),
      vdpa.setVringCall(index, call),
      vdpa.setVringEnable(index, true),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vdpa[Symbol.asyncDispose]();
  }
}
