/** An adapter with as many sub-functions as are wanted, each with an open network device and a rule of the switch that brings it its frames. */
import { type CpuMask, type Devlink, Devlinks, type NetDevice, NetDevices, System, parseMac } from 'backplane';
import { type HostSim, type HostSimOptions, hostSim } from 'backplane/plugins/host-sim';
import { type Mlx5Core, mlx5 } from 'backplane/plugins/mlx5';
import { mlx5Eth } from 'backplane/plugins/mlx5-eth';
import { UPLINK } from 'backplane/regs/nic-contexts';
import type { Wire } from 'backplane/sim';

const PF = '0000:00:04.0';
/** Who is at the other end of the cable. */
export const PEER_MAC = '02:00:00:ff:ff:ff';
/** How long one look waits for the next: a sub-function comes in some hundred microseconds. */
const LOOK_US = 20;

/** What the adapter is to have. */
export interface SubFunctionsOptions {
  readonly sfs: number;
  readonly cpus: number;
  /** Entries of the MSI-X table, and messages in memory. */
  readonly msix: number;
  readonly ims: number;
  /** Channels of each network device; default 1. */
  readonly channels?: number;
  readonly wire?: Wire;
  readonly machine?: HostSimOptions;
}

/** A sub-function that works. */
export interface SubFunction {
  readonly core: Mlx5Core;
  readonly eth: NetDevice;
  readonly mac: string;
  /** The interrupts of its channels. */
  readonly virqs: readonly number[];
}

/** The adapter, its driver and its sub-functions. */
export class SubFunctions implements AsyncDisposable {
  readonly all: SubFunction[] = [];
  readonly #channels: number;

  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    channels: number,
  ) {
    this.#channels = channels;
  }

  static async start({ sfs, cpus, msix, ims, channels = 1, wire, machine = {} }: SubFunctionsOptions): Promise<SubFunctions> {
    const sim = hostSim({ ...machine, cpus, nic: [{ sfs, msix, imsCapacity: ims, ...(wire && { wire }) }] });
    const system = await System.start(sim.plugin, mlx5(), mlx5Eth({ channels, logSqSize: 6, logRqSize: 6 }));
    const farm = new SubFunctions(sim, system, channels);
    await farm.devlink.setEswitchMode('switchdev');
    return farm;
  }

  /** Of the physical function. */
  get devlink(): Devlink {
    return this.system.get(Devlinks, `pci/${PF}`);
  }
  get pf(): Mlx5Core {
    return this.system.device(PF).state as Mlx5Core;
  }

  /** Adds one: port, address, state, network device, rules; and opens it. */
  async add(): Promise<SubFunction> {
    const { system, sim, devlink } = this;
    const n = this.all.length + 1;
    const mac = `02:00:00:00:${byte(n >>> 8)}:${byte(n)}`;
    const { index } = await devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum: n });
    await devlink.setPortFunction(index, { hwAddr: mac, state: 'active' });
    let nested: string | undefined;
    while ((nested = devlink.port(index).function?.nested) === undefined) await sim.settle(LOOK_US);
    const own = system.get(Devlinks, nested);
    await own.setParam('enable_eth', true, 'driverinit');
    await own.reload();
    const core = system.device(nested.slice(nested.indexOf('/') + 1)).state as Mlx5Core;
    const eth = system.get(NetDevices, `p0sf${n}`);
    await eth.open();
    await this.pf.eswitch!.forward(UPLINK, parseMac(mac), [core.vport]);
    await this.pf.eswitch!.forward(core.vport, parseMac(PEER_MAC), [UPLINK]);
    const virqs = Array.from({ length: this.#channels }, (_, channel) => core.irqOf(channel));
    const made = { core, eth, mac, virqs };
    this.all.push(made);
    return made;
  }

  /** Where the interrupt of a channel goes. */
  cpuOf(sf: SubFunction, channel = 0): number {
    return (sf.core.compCpus(channel) as CpuMask).first;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

const byte = (value: number): string => (value & 0xff).toString(16).padStart(2, '0');
