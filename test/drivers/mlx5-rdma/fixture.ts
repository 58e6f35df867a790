import { CharDevices, type CharFile, type Mmio, POLL, System, type Task } from '../../../core/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { type Nic, type NicProfile, nic } from '../../../hw/models/nic/index.js';
import type { MachineOptions } from '../../../hw/sim/index.js';
import { type HostSim, hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import mlx5Rdma, { RDMA, RDMA_EVENT } from '../../../plugins/mlx5-rdma.js';
import { OwnCq, OwnWq, PAGE, UserMemory } from '../mlx5-vnet/user-memory.js';

export const NODE = 'infiniband/uverbs0';
export const LOG_SIZE = 4;
/** Where a task has its queues, one after the other, and a packet. */
const QUEUES = 0x10_0000;
const PACKET = 0x80_0000;

/** An event, as `read` gives it. */
export interface SeenEvent {
  readonly type: number;
  readonly element: number;
  readonly count: number;
}

/** A system whose adapter users may open. `await using bench = await RdmaBench.start()`. */
export class RdmaBench implements AsyncDisposable {
  readonly #users: UserMemory[] = [];

  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly silicon: Nic,
  ) {}

  static async start(profile: NicProfile = {}, machine: MachineOptions = {}): Promise<RdmaBench> {
    let silicon: Nic | undefined;
    const model = nic({ sfs: 0, ...profile, onCreate: (made) => (silicon = made) });
    const sim = hostSim({ cpus: 4, iommu: true, ...machine, devices: [{ at: '00:04.0', model }] });
    const system = await System.start(sim.plugin, mlx5(), mlx5Rdma);
    return new RdmaBench(sim, system, silicon!);
  }

  get core(): Mlx5Core {
    return this.system.device('0000:00:04.0').state as Mlx5Core;
  }

  user(name: string): UserMemory {
    const user = new UserMemory(this.sim.dma, name);
    this.#users.push(user);
    return user;
  }

  /** A task that has the device open. */
  async open(name: string, capabilities: readonly string[] = ['CAP_NET_RAW']): Promise<RdmaTask> {
    const memory = this.user(name);
    const task: Task = { ...memory.task, capabilities };
    return new RdmaTask(await CharDevices.get(this.system.core, NODE).open(task), memory);
  }

  async settle(us = 100): Promise<void> {
    await this.sim.settle(us);
    await this.system.core.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const user of this.#users) user[Symbol.dispose]();
    await this.system.stop();
  }
}

/** A task that has the device open, and what it does. */
export class RdmaTask implements AsyncDisposable {
  readonly doorbells: Mmio;
  #queues = 0;

  constructor(
    readonly file: CharFile,
    readonly memory: UserMemory,
  ) {
    this.doorbells = file.mmap({ sizeBytes: PAGE });
    memory.map(PACKET, PAGE);
  }

  async createCq(compVector = 0): Promise<OwnCq> {
    const at = this.memory.map(QUEUES + this.#queues++ * 0x1_0000, 2 * PAGE);
    const cq = new OwnCq(this.memory, at, at + PAGE, LOG_SIZE);
    cq.number = await this.file.ioctl(RDMA.CREATE_CQ, { address: at, record: at + PAGE, logSize: LOG_SIZE, compVector });
    return cq;
  }

  async createSq(cq: OwnCq): Promise<OwnWq> {
    const at = this.memory.map(QUEUES + this.#queues++ * 0x1_0000, 2 * PAGE);
    const wq = new OwnWq(this.memory, at, at + PAGE, LOG_SIZE);
    const place = { address: at, record: at + PAGE, logSize: LOG_SIZE, cqn: cq.number };
    wq.number = await this.file.ioctl(RDMA.CREATE_SQ, place);
    return wq;
  }

  /** Sends a packet, by a queue that may be another's. */
  send(wq: OwnWq, length = 64): void {
    wq.send(PACKET, length);
    wq.doorbell(this.doorbells);
  }

  /** What has happened; nothing when `poll` says so. */
  async events(room = 8): Promise<SeenEvent[]> {
    if ((this.file.poll() & (POLL.IN | POLL.PRI)) === 0) return [];
    const buffer = new Uint8Array(room * RDMA_EVENT.sizeBytes);
    const bytes = await this.file.read(buffer);
    const view = new DataView(buffer.buffer);
    return Array.from({ length: bytes / RDMA_EVENT.sizeBytes }, (_, n) => {
      const at = n * RDMA_EVENT.sizeBytes;
      return {
        type: view.getUint32(at + RDMA_EVENT.type, true),
        element: view.getUint32(at + RDMA_EVENT.element, true),
        count: view.getUint32(at + RDMA_EVENT.count, true),
      };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }
}
