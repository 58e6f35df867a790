import { type Devlink, Devlinks, Errno, type NetDevice, NetDevices, System } from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { type Mlx5Core, mlx5 } from 'backplane/plugins/mlx5';
import { type Mlx5EthOptions, mlx5Eth } from 'backplane/plugins/mlx5-eth';
import type { Nic, NicOptions } from 'backplane/plugins/models';
import { cable } from 'backplane/sim';

/** Longer than anything that goes on by itself. */
export const WHILE_US = 100_000;

export interface NicWorldOptions {
  /** Of each adapter; of two, a cable is between them. Default one. */
  readonly nics?: readonly NicOptions[];
  readonly cpus?: number;
  readonly eth?: Mlx5EthOptions;
}

/** Adapters with their drivers, by what the package exports. */
export class NicWorld implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly silicon: readonly Nic[],
  ) {}

  static async start({ nics = [{}], cpus = 8, eth = {} }: NicWorldOptions = {}): Promise<NicWorld> {
    const silicon: Nic[] = [];
    const ends = cable();
    const nic = nics.map((part, n) => ({
      ...(nics.length === 2 && { wire: ends[n]! }),
      ...part,
      onCreate: (made: Nic): void => void (silicon[n] = made),
    }));
    const sim = hostSim({ cpus, nic });
    const system = await System.start(sim.plugin, mlx5(), mlx5Eth({ channels: 2, logSqSize: 6, logRqSize: 6, ...eth }));
    return new NicWorld(sim, system, silicon);
  }

  core(n = 0): Mlx5Core {
    return this.system.device(`0000:00:0${4 + n}.0`).state as Mlx5Core;
  }

  eth(n = 0): NetDevice {
    return this.system.get(NetDevices, `eth${n}`);
  }

  get devlink(): Devlink {
    return Devlinks.get(this.system.core, 'pci/0000:00:04.0');
  }

  devlinkOf(device: string): Devlink {
    return Devlinks.get(this.system.core, `auxiliary/${device}`);
  }

  /** Auxiliary devices that there are, by name. */
  get parts(): string[] {
    return this.system.core.buses
      .get('auxiliary')!
      .devices.map(({ name }) => name)
      .toSorted();
  }

  /** Adds a sub-function, activates it, and waits until it was probed. @returns its port */
  async sf(sfnum: number): Promise<number> {
    const { index } = await this.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum });
    await this.devlink.setPortFunction(index, { state: 'active' });
    await this.settle(WHILE_US);
    return index;
  }

  async settle(us = 100): Promise<void> {
    await this.sim.settle(us);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

/** What it is refused with: `EEXIST: ...`; `nothing` when it is not. */
export async function refusal(fn: () => unknown): Promise<string> {
  try {
    await fn();
  } catch (error) {
    return error instanceof Errno ? error.message : String(error);
  }
  return 'nothing';
}

/** A frame with a number in it. */
export function frame(to: string, from: string, length: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  const addresses = `${to}:${from}`.split(':').map((byte) => Number.parseInt(byte, 16));
  bytes.set([...addresses, 0x88, 0xb5]);
  for (let n = 14; n < length; n++) bytes[n] = (n * 7 + number * 13) & 0xff;
  return bytes;
}

/** Copies of what a device receives. */
export function received(eth: NetDevice): Uint8Array[] {
  const all: Uint8Array[] = [];
  eth.onReceive((buffer, offset, length) => all.push(buffer.slice(offset, offset + length)));
  return all;
}
