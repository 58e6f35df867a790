import { type Device, type DevresHandle, Errno, type EswitchMode, describeError, formatMac } from '../../core/index.js';
import { OPCODES } from '../../hw/regs/nic-commands.js';
import { ESW } from '../../hw/regs/nic-contexts.js';
import { setWord } from '../../hw/regs/nic-words.js';
import type { Mlx5Eswitch, Mlx5Representor, Mlx5RepresentorOps } from './api.js';
import { warnOnly } from './held.js';
import type { Mlx5Core } from './mlx5-core.js';
import { writeAddress } from './sf/sf-commands.js';

/** A port of another function, and who makes a network device of it. */
interface Port {
  readonly representor: Mlx5Representor;
  netdev: string | undefined;
  isLoaded: boolean;
}

/** A rule, by what it is for. */
interface Rule {
  readonly source: number;
  readonly address: Uint8Array;
  readonly outputs: readonly number[];
}

const MODES: Readonly<Record<EswitchMode, number>> = { legacy: ESW.legacy, switchdev: ESW.switchdev };
const ADDRESS_BYTES = 6;

/**
 * The switch of an adapter, as its manager has it. In mode legacy it learns addresses from its ports; in mode switchdev it goes by rules,
 * and packets that no rule is for come to the representor of their port.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eswitch.c, eswitch_offloads.c
 */
export class Eswitch implements Mlx5Eswitch {
  readonly #core: Mlx5Core;
  readonly #ports = new Map<number, Port>();
  readonly #rules = new Map<string, Rule>();
  /** By each port that they name. */
  readonly #rulesOf = new Map<number, Set<Rule>>();
  #mode: EswitchMode = 'legacy';
  #ops: Mlx5RepresentorOps | undefined = undefined;
  /** Deletes what can be there in mode switchdev alone. */
  beforeLegacy: () => Promise<void> = async () => {};

  constructor(core: Mlx5Core) {
    this.#core = core;
  }

  get mode(): EswitchMode {
    return this.#mode;
  }

  get representors(): readonly Mlx5Representor[] {
    return [...this.#ports.values()].map((port) => port.representor).toSorted((a, b) => a.vport - b.vport);
  }

  /** The network device that stands for a port. */
  netdevOf(vport: number): string | undefined {
    return this.#ports.get(vport)?.netdev;
  }

  /**
   * Changes the mode; the part for representors comes and goes with it.
   * @throws {Errno} EOPNOTSUPP when the function does not manage the switch; as `Mlx5Child.exec`
   * @see Linux 7.2 eswitch_offloads.c mlx5_devlink_eswitch_mode_set
   */
  async setMode(mode: EswitchMode): Promise<void> {
    const core = this.#core;
    if (!core.isUp || core.caps.eswitchManager === 0) {
      throw new Errno('EOPNOTSUPP', `mlx5_core: ${core.dev.name}: is not up, or does not manage the switch`);
    }
    if (mode === this.#mode) return;
    if (mode === 'legacy') await this.#leave();
    await this.#tell(mode);
    this.#mode = mode;
    core.isSwitchdev = mode === 'switchdev';
    await core.rescan();
  }

  /** As after coming up, whatever the device says: before it goes down. */
  async reset(): Promise<void> {
    if (this.#mode === 'legacy') return;
    const core = this.#core;
    core.isSwitchdev = false;
    await this.#leave();
    // One that has failed is reset.
    if (!core.isFailed) await warnOnly(core.dev, 'the switch keeps its mode', this.#tell('legacy'));
    this.#mode = 'legacy';
  }

  async #leave(): Promise<void> {
    await this.beforeLegacy();
    await this.#dropRules(this.#rules.values());
  }

  async #tell(mode: EswitchMode): Promise<void> {
    const input = new Uint32Array(4);
    setWord(input, ESW.mode, MODES[mode]);
    await this.#core.exec(OPCODES.SET_ESWITCH_MODE, input);
  }

  // Ports

  /** A port is there. @throws what its representor throws; it is not there then */
  async addPort(representor: Mlx5Representor): Promise<void> {
    const port: Port = { representor, netdev: undefined, isLoaded: false };
    this.#ports.set(representor.vport, port);
    try {
      await this.#load(port);
    } catch (error) {
      this.#ports.delete(representor.vport);
      throw error;
    }
  }

  /** It is going, with its rules. */
  async removePort(vport: number): Promise<void> {
    const port = this.#ports.get(vport);
    if (port === undefined) return;
    this.#ports.delete(vport);
    await this.#unload(port);
    await this.#dropRules(this.#rulesOf.get(vport) ?? []);
  }

  async represent(dev: Device, ops: Mlx5RepresentorOps): Promise<void> {
    if (this.#ops !== undefined) throw new Errno('EBUSY', `${dev.name}: ports have representors already`);
    dev.devres.faultPoint('representors');
    this.#ops = ops;
    const entry: DevresHandle = dev.devres.adopt('representors', this, (eswitch) => eswitch.#unrepresent());
    try {
      for (const { vport } of this.representors) {
        const port = this.#ports.get(vport);
        if (port !== undefined) await this.#load(port);
      }
    } catch (error) {
      if (entry.held) await entry.release();
      throw error;
    }
  }

  async #unrepresent(): Promise<void> {
    for (const port of [...this.#ports.values()].toReversed()) await this.#unload(port);
    this.#ops = undefined;
  }

  async #load(port: Port): Promise<void> {
    if (this.#ops === undefined || port.isLoaded) return;
    port.isLoaded = true;
    try {
      port.netdev = await this.#ops.load(port.representor);
    } catch (error) {
      port.isLoaded = false;
      throw error;
    }
  }

  async #unload(port: Port): Promise<void> {
    if (!port.isLoaded) return;
    port.isLoaded = false;
    port.netdev = undefined;
    try {
      await this.#ops?.unload(port.representor);
    } catch (error) {
      this.#core.dev.log('err', `port ${port.representor.vport}: its representor: ${describeError(error)}`, 'representor');
    }
  }

  // Rules

  async forward(source: number, address: Uint8Array, outputs: readonly number[]): Promise<void> {
    const who = this.#core.dev.name;
    if (this.#mode === 'legacy') throw new Errno('EOPNOTSUPP', `${who}: the switch goes by rules in mode switchdev alone`);
    if (address.length !== ADDRESS_BYTES || outputs.length === 0 || outputs.length > ESW.maxOutputs) {
      throw new Errno('EINVAL', `${who}: a rule is for six bytes and 1 to ${ESW.maxOutputs} ports`);
    }
    const input = new Uint32Array(ESW.output / 4 + outputs.length);
    setWord(input, ESW.source, source);
    writeAddress(input, ESW.address, address);
    setWord(input, ESW.outputs, outputs.length);
    input.set(outputs, ESW.output / 4);
    await this.#core.exec(OPCODES.SET_FDB_ENTRY, input);
    const key = keyOf(source, address);
    this.#forget(key);
    const rule: Rule = { source, address: address.slice(), outputs: [...outputs] };
    this.#rules.set(key, rule);
    for (const vport of [source, ...outputs]) {
      const all = this.#rulesOf.get(vport) ?? new Set();
      this.#rulesOf.set(vport, all.add(rule));
    }
  }

  async unforward(source: number, address: Uint8Array): Promise<void> {
    const key = keyOf(source, address);
    if (!this.#forget(key)) throw new Errno('ENOENT', `${this.#core.dev.name}: no rule for ${key}`);
    const input = new Uint32Array(ESW.output / 4);
    setWord(input, ESW.source, source);
    writeAddress(input, ESW.address, address);
    await this.#core.exec(OPCODES.DELETE_FDB_ENTRY, input);
  }

  async #dropRules(rules: Iterable<Rule>): Promise<void> {
    for (const { source, address } of rules) {
      await warnOnly(this.#core.dev, `the rule for ${formatMac(address)} stays`, this.unforward(source, address));
    }
  }

  #forget(key: string): boolean {
    const rule = this.#rules.get(key);
    if (rule === undefined) return false;
    this.#rules.delete(key);
    for (const vport of [rule.source, ...rule.outputs]) {
      const all = this.#rulesOf.get(vport);
      all?.delete(rule);
      if (all?.size === 0) this.#rulesOf.delete(vport);
    }
    return true;
  }
}

const keyOf = (source: number, address: Uint8Array): string => `port ${source}, ${formatMac(address)}`;
