import { type NetDevice, NetDevices, type Plugin, System } from '../../../core/index.js';
import type { Mlx5EthOptions } from '../../../drivers/mlx5-eth/api.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { cable } from '../../../hw/endpoint/index.js';
import type { Nic, NicOptions } from '../../../hw/models/nic/index.js';
import { type HostSim, type HostSimOptions, hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';

/** Small rings: tests have many of them. */
export const SMALL: Mlx5EthOptions = { channels: 2, logSqSize: 6, logRqSize: 6 };

export interface EthBenchOptions {
  /** Of each adapter; default two with a cable between them. */
  readonly nics?: readonly NicOptions[];
  readonly options?: Mlx5EthOptions;
  readonly machine?: HostSimOptions;
  readonly plugins?: readonly Plugin[];
}

/** A frame as it came: the device's memory is not kept. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly queue: number;
}

/** A system of adapters, two of them with a cable between, and their network devices. */
export class EthBench implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly nics: readonly Nic[],
  ) {}

  static async start({ nics = [{}, {}], options = SMALL, machine = {}, plugins = [] }: EthBenchOptions = {}): Promise<EthBench> {
    const made: Nic[] = [];
    const ends = cable();
    const parts = nics.map((nic, n) => ({
      sfs: 0,
      ...(nics.length > 1 && n < ends.length && { wire: ends[n]! }),
      ...nic,
      onCreate: (device: Nic): void => void (made[n] = device),
    }));
    const sim = hostSim({ cpus: 4, ...machine, nic: parts });
    const system = await System.start(sim.plugin, mlx5(), mlx5Eth(options), ...plugins);
    return new EthBench(sim, system, made);
  }

  /** `eth0`, ... */
  eth(n: number): NetDevice {
    return this.system.get(NetDevices, `eth${n}`);
  }

  /** The function of the adapter `n`. */
  core(n: number): Mlx5Core {
    return this.system.device(`0000:00:0${4 + n}.0`).state as Mlx5Core;
  }

  logged(id: string): string[] {
    return this.system.core.log.records().flatMap((record) => (record.id === id ? [record.text] : []));
  }

  /** Moves time, and lets promises run. */
  async settle(us = 100): Promise<void> {
    await this.sim.settle(us);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

/** Collects what comes. */
export function receiver(eth: NetDevice): Received[] {
  const all: Received[] = [];
  eth.onReceive((buffer, offset, length, queue) => all.push({ bytes: buffer.slice(offset, offset + length), queue }));
  return all;
}

/** An Ethernet frame of `length` bytes with a number in it. */
export function frame(to: string, from: string, length: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(to.split(':').map((byte) => Number.parseInt(byte, 16)));
  bytes.set(
    from.split(':').map((byte) => Number.parseInt(byte, 16)),
    6,
  );
  bytes.set([0x88, 0xb5], 12);
  for (let n = 14; n < length; n++) bytes[n] = (n * 7 + number * 13) & 0xff;
  return bytes;
}
