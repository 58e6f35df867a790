import {
  type AuxiliaryDevice,
  type AuxiliaryDriver,
  type DevresGroup,
  Errno,
  Irqs,
  type MaybePromise,
  NetDevices,
  inject,
  injectable,
} from '../../core/index.js';
import { ETH_REP, type Mlx5Child, type Mlx5Representor, type Mlx5RepresentorOps } from '../mlx5/api.js';
import { Mlx5EthOptions } from './api.js';
import { Gate } from './gate.js';
import { representorName, sfPortName } from './names.js';
import { Mlx5Rep } from './rep.js';

/** Rings of representors: few packets come here. @see Linux 7.2 en_rep.c MLX5E_REP_PARAMS_DEF_LOG_SQ_SIZE */
const LOG_SIZE = 7;
/** Locally administered, and of none of the functions. */
const LOCAL = 0x06;

/** A representor that is there. */
interface Loaded {
  readonly rep: Mlx5Rep;
  /** What makes it visible. */
  readonly shown: DevresGroup;
}

/** The representors of one switch. */
export class Representors implements Mlx5RepresentorOps {
  readonly #dev: AuxiliaryDevice<Mlx5Child>;
  readonly #irqs: Irqs;
  readonly #options: Mlx5EthOptions;
  readonly #gate = new Gate();
  readonly #all = new Map<number, Loaded>();

  constructor(dev: AuxiliaryDevice<Mlx5Child>, irqs: Irqs, options: Mlx5EthOptions) {
    this.#dev = dev;
    this.#irqs = irqs;
    this.#options = options;
  }

  /** @see Linux 7.2 en_rep.c mlx5e_vport_rep_load */
  load(port: Mlx5Representor): Promise<string> {
    return this.#gate.run(() => this.#load(port));
  }

  #load({ vport, pfnum, sfnum }: Mlx5Representor): string {
    const dev = this.#dev;
    const { data: core } = dev;
    const { logSqSize = LOG_SIZE, logRqSize = LOG_SIZE } = this.#options;
    const portName = sfPortName(pfnum, sfnum);
    const rep = new Mlx5Rep({
      core,
      dev,
      irqs: this.#irqs,
      mac: addressOf(core.adevIdx, vport),
      maxChannels: 1,
      options: { ...this.#options, logSqSize, logRqSize },
      portName,
      leavesBy: vport,
      vport,
      gate: this.#gate,
    });
    const name = representorName(core.pci.name, portName);
    const shown = dev.devres.group(`representor ${portName}`);
    dev.publish(NetDevices, rep.node, name);
    shown.close();
    this.#all.set(vport, { rep, shown });
    return name;
  }

  /** @see Linux 7.2 en_rep.c mlx5e_vport_rep_unload */
  async unload({ vport }: Mlx5Representor): Promise<void> {
    const loaded = this.#all.get(vport);
    if (loaded === undefined) return;
    this.#all.delete(vport);
    await loaded.shown[Symbol.asyncDispose]();
    await loaded.rep.node.shutdown();
  }

  /** All of them are closed, and stay so. */
  async shutdown(): Promise<void> {
    for (const { rep } of this.#all.values()) await rep.node.shutdown();
  }
}

/**
 * The driver of representors: a network device for the port of each sub-function, while the switch goes by rules. They have the names that
 * udev gives them: `enp6s0f0npf0sf88`.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_rep.c mlx5e_rep_probe, mlx5e_rep_remove
 */
@injectable()
export class Mlx5RepDriver implements AuxiliaryDriver<Mlx5Child, Representors> {
  readonly name = 'eth-rep';
  readonly ids = [ETH_REP];

  constructor(
    @inject(Irqs) private readonly irqs: Irqs,
    @inject(Mlx5EthOptions) private readonly options: Mlx5EthOptions,
  ) {}

  /** @throws {Errno} ENODEV of a function that does not manage the switch */
  async probe(dev: AuxiliaryDevice<Mlx5Child>): Promise<Representors> {
    const { eswitch } = dev.data;
    if (eswitch === undefined) throw new Errno('ENODEV', `${dev.name}: its function manages no switch`);
    const representors = new Representors(dev, this.irqs, this.options);
    await eswitch.represent(dev, representors);
    return representors;
  }

  remove(_dev: AuxiliaryDevice<Mlx5Child>, representors: Representors): MaybePromise<void> {
    return representors.shutdown();
  }
}

/** An address that no other port of the system has. */
const addressOf = (adevIdx: number, vport: number): Uint8Array =>
  Uint8Array.of(LOCAL, adevIdx >>> 16, adevIdx >>> 8, adevIdx, vport >>> 8, vport);
