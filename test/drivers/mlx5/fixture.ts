import type { Window } from '../../../core/hal/index.js';
import { Devlinks, Errno, type PciDevice, type Plugin, System } from '../../../core/index.js';
import type { Mlx5Options } from '../../../drivers/mlx5/api.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import type { Model, PciModel } from '../../../hw/endpoint/index.js';
import { type Nic, type NicProfile, nic } from '../../../hw/models/nic/index.js';
import { CMD_DOORBELL, EVENTS, REGISTERS_BAR, SF_BASE_ID, swap32 } from '../../../hw/regs/nic.js';
import { CMD, FUNCTION_ID, OPCODES, type OpcodeName } from '../../../hw/regs/nic-commands.js';
import { setWord } from '../../../hw/regs/nic-words.js';
import type { MachineOptions } from '../../../hw/sim/index.js';
import { type HostSim, hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';

/** Where the adapter is. */
export const ADDRESS = '0000:06:00.0';

/** A command as it was handed over. */
export interface SeenCommand {
  readonly name: OpcodeName;
  readonly slot: number;
  /** Its end is told by an event. */
  readonly hasEvent: boolean;
}

const NAMES = new Map(Object.entries(OPCODES).map(([name, opcode]) => [opcode as number, name as OpcodeName]));

/** What a {@link NicBench} is. */
export interface NicBenchOptions {
  readonly profile?: NicProfile;
  readonly options?: Mlx5Options;
  /** Loaded before the driver. */
  readonly more?: readonly Plugin[];
  readonly machine?: Omit<MachineOptions, 'devices' | 'roots'>;
  /** Whether a function that has failed is recovered at once; default true. */
  readonly recovers?: boolean;
  /** Before anything is loaded: the silicon is as it came. */
  readonly prepare?: (silicon: Nic) => void;
}

/** BAR 0 of the adapter; `onDoorbell` is told of each command before the device is. */
function watched(to: Window, onDoorbell: (slots: number) => void): Window {
  return {
    sizeBytes: to.sizeBytes,
    read8: (offset) => to.read8(offset),
    read16: (offset) => to.read16(offset),
    read32: (offset) => to.read32(offset),
    read64: (offset, out) => to.read64(offset, out),
    write8: (offset, value) => to.write8(offset, value),
    write16: (offset, value) => to.write16(offset, value),
    write32: (offset, value) => {
      if (offset === CMD_DOORBELL.offset) onDoorbell(swap32(value));
      to.write32(offset, value);
    },
    write64: (offset, lo, hi) => to.write64(offset, lo, hi),
  };
}

/** The model, with its commands written down. */
function recorded(profile: NicProfile, seen: SeenCommand[], onCreate: (silicon: Nic) => void): PciModel {
  let silicon: Nic | undefined;
  const model = nic({ ...profile, onCreate: (made) => (silicon = made) });
  const note = (slots: number): void => {
    const { pf, dma } = silicon!;
    const bytes = new Uint8Array(CMD.sizeBytes);
    for (let slot = 0; slot < 32; slot++) {
      if ((slots & (1 << slot)) === 0) continue;
      dma.read(dma.address(pf.commands.addressLo, pf.commands.addressHi) + slot * CMD.sizeBytes, bytes, 0, CMD.sizeBytes);
      const name = NAMES.get((bytes[CMD.in]! << 8) | bytes[CMD.in + 1]!)!;
      seen.push({ name, slot, hasEvent: pf.subscribes(EVENTS.command) });
    }
  };
  return {
    ...model,
    create: (context): Model => {
      const made = model.create(context);
      onCreate(silicon!);
      const { [REGISTERS_BAR]: registers, ...others } = silicon!.regions;
      return {
        regions: { ...others, [REGISTERS_BAR]: watched(registers!, note) },
        reset: (kind) => made.reset(kind),
      };
    },
  };
}

/** A system with one adapter and its driver. `await using bench = await NicBench.start()`. */
export class NicBench implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    /** The model's side for tests. */
    readonly silicon: Nic,
    /** Commands of the function since the last `commands.length = 0`. */
    readonly commands: SeenCommand[],
  ) {}

  static async start({
    profile = {},
    options = {},
    more = [],
    machine = {},
    recovers = true,
    prepare,
  }: NicBenchOptions = {}): Promise<NicBench> {
    const commands: SeenCommand[] = [];
    let silicon: Nic | undefined;
    const model = recorded(profile, commands, (made) => {
      silicon = made;
      prepare?.(made);
    });
    const sim = hostSim({ cpus: 8, ...machine, roots: [{ firstBus: 6 }], devices: [{ at: '06:00.0', model }] });
    const system = await System.start(sim.plugin, ...more, mlx5(options));
    const bench = new NicBench(sim, system, silicon!, commands);
    if (!recovers) await Devlinks.get(system.core, `pci/${ADDRESS}`).setReporter('fw_fatal', { autoRecover: false });
    return bench;
  }

  get dev(): PciDevice {
    return this.system.device(ADDRESS) as PciDevice;
  }

  /** The function. @throws {Errno} ENODEV when it is not bound */
  get core(): Mlx5Core {
    if (!this.dev.bound) throw new Errno('ENODEV', `${ADDRESS}: is not bound`);
    return this.dev.state as Mlx5Core;
  }

  /** Names of the commands since this was called last. */
  takeCommands(): OpcodeName[] {
    return this.commands.splice(0).map(({ name }) => name);
  }

  /** What the log has of this kind. */
  logged(id: string): string[] {
    return this.system.core.log.records().flatMap((record) => (record.id === id ? [record.text] : []));
  }

  /** Moves time, and lets promises and what is scheduled run. */
  async settle(us = 0): Promise<void> {
    await this.sim.settle(us);
    await this.system.core.settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

/** The code that a promise is rejected with; `none` when it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
}

/** A sub-function that is all the way up. */
export async function openSf(bench: NicBench, index: number): Promise<Mlx5Core> {
  for (const opcode of [OPCODES.ALLOC_SF, OPCODES.ENABLE_HCA]) {
    const input = new Uint32Array(4);
    setWord(input, FUNCTION_ID, SF_BASE_ID + index);
    await bench.core.exec(opcode, input);
  }
  await bench.settle(10_000);
  const sf = bench.system.device(`mlx5_core.sf.${index + 1}`).state as Mlx5Core;
  await sf.down();
  await sf.up();
  return sf;
}
