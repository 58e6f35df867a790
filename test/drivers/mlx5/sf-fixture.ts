import {
  type AuxiliaryDevice,
  type Devlink,
  Devlinks,
  Errno,
  type MaybePromise,
  type PortFunction,
} from '../../../core/index.js';
import { FUNCTION_ID, OPCODES } from '../../../hw/regs/nic-commands.js';
import { VHCA } from '../../../hw/regs/nic-contexts.js';
import { getWord } from '../../../hw/regs/nic-words.js';
import { ADDRESS, NicBench, type NicBenchOptions } from './fixture.js';

const HANDLE = `pci/${ADDRESS}`;
/** Longer than anything that goes on by itself. */
const WHILE_US = 100_000;

/** An adapter, and what a user does with its sub-functions. */
export class SfBench implements AsyncDisposable {
  /** What the function was asked to do with others, since it was looked at last; without looks at their states. */
  readonly #asked: string[] = [];

  private constructor(readonly nic: NicBench) {
    const { core } = nic;
    const exec = core.exec.bind(core);
    core.exec = (opcode, input, output) => {
      const id = getWord(input, FUNCTION_ID);
      const isArming = opcode === OPCODES.MODIFY_VHCA_STATE && getWord(input, VHCA.select) === VHCA.selectArm;
      if (id !== 0 && opcode !== OPCODES.QUERY_VHCA_STATE && !isArming) {
        const [name] = Object.entries(OPCODES).find(([, it]) => it === opcode)!;
        this.#asked.push(`${name} ${id}`);
      }
      return exec(opcode, input, output);
    };
  }

  takeAsked(): string[] {
    return this.#asked.splice(0);
  }

  static async start(options: NicBenchOptions & { readonly isLegacy?: boolean } = {}): Promise<SfBench> {
    const bench = new SfBench(await NicBench.start(options));
    if (options.isLegacy !== true) await bench.devlink.setEswitchMode('switchdev');
    bench.takeAsked();
    return bench;
  }

  get devlink(): Devlink {
    return Devlinks.get(this.nic.system.core, HANDLE);
  }

  async add(sfnum: number): Promise<number> {
    return (await this.devlink.addPort({ flavour: 'pcisf', pfnum: 0, sfnum })).index;
  }

  /** Adds and activates one, and waits until it has its driver. */
  async attach(sfnum: number): Promise<number> {
    const port = await this.add(sfnum);
    await this.devlink.setPortFunction(port, { state: 'active' });
    await this.settle();
    return port;
  }

  async settle(): Promise<void> {
    await this.nic.settle(WHILE_US);
  }

  /** Time moves with {@link pass} alone: who is waited for is not given up. */
  stopClock(): void {
    this.nic.sim.clock.mode = 'manual';
  }

  /** Does something, and lets time pass for it and what comes of it. */
  async pass<T>(what: MaybePromise<T>): Promise<T> {
    await this.nic.sim.settle(WHILE_US);
    return what;
  }

  /** `active attached`. */
  state(port: number): string {
    const { state, opstate } = this.functionOf(port);
    return `${state} ${opstate}`;
  }

  functionOf(port: number): PortFunction {
    return this.devlink.port(port).function!;
  }

  sf(id: number): AuxiliaryDevice {
    return this.nic.system.device(`mlx5_core.sf.${id}`) as AuxiliaryDevice;
  }

  sfDevlink(id: number): Devlink {
    return Devlinks.get(this.nic.system.core, `auxiliary/mlx5_core.sf.${id}`);
  }

  /** Auxiliary devices that there are, by name. */
  get parts(): string[] {
    return this.nic.system.core.buses
      .get('auxiliary')!
      .devices.map(({ name }) => name)
      .toSorted();
  }

  vhca(port: number): number {
    return this.nic.silicon.vhca.state(port);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.nic[Symbol.asyncDispose]();
  }
}

/** What it is refused with. */
export async function refusal(fn: () => unknown): Promise<string> {
  try {
    await fn();
  } catch (error) {
    return error instanceof Errno ? error.message : String(error);
  }
  return 'nothing';
}
