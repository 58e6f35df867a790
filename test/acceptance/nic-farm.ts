import { type Devlink, Devlinks, type NetDevice, NetDevices, System, XMIT, parseMac } from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { type Mlx5Core, mlx5 } from 'backplane/plugins/mlx5';
import { mlx5Eth } from 'backplane/plugins/mlx5-eth';

export const PF = '0000:00:04.0';
export const CPUS = 8;
/** Of each sub-function. */
export const QUEUES = 4;
const BATCH = 32;
export const FRAME_BYTES = 64;
/** From 10.0.0.1 to 10.0.0.2, by UDP to port 5000: what the receive hash looks at. */
const UDP = [0x08, 0x00, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
const SOURCE_PORT = 34;
const NUMBER = 44;

/** A sub-function, with its network device open. */
export interface Sf {
  readonly port: number;
  readonly core: Mlx5Core;
  readonly eth: NetDevice;
  readonly mac: string;
  /** How often each number has come. */
  readonly seen: Uint8Array;
}

const macOf = (n: number): string => `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`;

/** An adapter whose own eight completion queues are open, in mode switchdev. */
export class Farm implements AsyncDisposable {
  readonly sfs: Sf[] = [];

  private constructor(
    readonly sim: HostSim,
    readonly system: System,
  ) {}

  static async start(imsCapacity: number): Promise<Farm> {
    const sim = hostSim({ cpus: CPUS, nic: [{ sfs: 256, msix: 64, imsCapacity }] });
    const driver = mlx5({ eventEqSize: 64, ioEqSize: 64 });
    const system = await System.start(sim.plugin, driver, mlx5Eth({ logSqSize: 6, logRqSize: 6 }));
    const farm = new Farm(sim, system);
    await system.get(NetDevices, 'eth0').open();
    await farm.devlink.setEswitchMode('switchdev');
    return farm;
  }

  get devlink(): Devlink {
    return this.system.get(Devlinks, `pci/${PF}`);
  }

  get pf(): Mlx5Core {
    return this.system.device(PF).state as Mlx5Core;
  }

  async add(): Promise<void> {
    const { system, sim, devlink, sfs } = this;
    const n = sfs.length;
    const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: n });
    await devlink.setPortFunction(index, { hwAddr: macOf(n), state: 'active' });
    let nested: string | undefined;
    while ((nested = devlink.port(index).function?.nested) === undefined) await sim.settle(20);
    const own = system.get(Devlinks, nested);
    await own.setParam('enable_eth', true, 'driverinit');
    await own.reload();
    const core = system.device(nested.replace('auxiliary/', '')).state as Mlx5Core;
    const eth = system.list(NetDevices).find(([, one]) => one.info().device === `mlx5_core.eth.${core.adevIdx}`)![1];
    await eth.setChannels(QUEUES);
    await eth.open();
    const seen = new Uint8Array(2 ** 16);
    eth.onReceive((buffer, offset) => seen[new DataView(buffer.buffer, buffer.byteOffset).getUint16(offset + NUMBER)]!++);
    sfs.push({ port: index, core, eth, mac: macOf(n), seen });
  }

  /** Each sends to the next, by rules of the switch. */
  async connect(): Promise<void> {
    for (const [n, { core }] of this.sfs.entries()) {
      const to = this.sfs[(n + 1) % this.sfs.length]!;
      await this.pf.eswitch!.forward(core.vport, parseMac(to.mac), [to.core.vport]);
    }
  }

  /** Each sends so many packets, with numbers from 0 on: a batch at a time, in turn, by its queues in turn. */
  async sendAll(packets: number): Promise<void> {
    for (let first = 0; first < packets; first += BATCH) {
      const last = Math.min(first + BATCH, packets) - 1;
      for (const n of this.sfs.keys()) await this.sendBatch(n, first, last);
      await this.sim.settle(100);
    }
    await this.sim.settle(1000);
  }

  /** Sub-function `n` sends packets with numbers `first` to `last`, at most {@link BATCH}. */
  async sendBatch(n: number, first: number, last: number): Promise<void> {
    const { eth, mac } = this.sfs[n]!;
    const queue = Math.floor(first / BATCH) % QUEUES;
    const bytes = new Uint8Array(FRAME_BYTES);
    bytes.set([...parseMac(this.sfs[(n + 1) % this.sfs.length]!.mac), ...parseMac(mac), ...UDP]);
    const view = new DataView(bytes.buffer);
    for (let number = first; number <= last; number++) {
      view.setUint16(SOURCE_PORT, number);
      view.setUint16(NUMBER, number);
      while (eth.send(queue, bytes, 0, FRAME_BYTES, number < last) === XMIT.BUSY) await eth.ready(queue);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}
