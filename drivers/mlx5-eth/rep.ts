import { Vport, setRepQueue } from '../lib/mlx5/index.js';
import type { Channel } from './channel.js';
import { EthDevice, type EthSetup } from './eth-device.js';

/** What a representor is made of. */
export interface RepSetup extends EthSetup {
  readonly vport: number;
}

/**
 * The network device that stands for the port of another function: what that sends, and no rule of the switch is for, comes here; what is
 * sent here comes to that. While it is open, that port has a link.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_rep.c
 */
export class Mlx5Rep extends EthDevice {
  readonly #vport: number;
  readonly #port: Vport;

  constructor(setup: RepSetup) {
    super(setup);
    this.#vport = setup.vport;
    this.#port = new Vport(setup.core, setup.vport);
  }

  /** Its address is that of the software alone. */
  setMac(): void {}

  protected override steer([channel]: readonly Channel[]): Promise<void> {
    return setRepQueue(this.core, this.dev, this.#vport, channel!.rx.rq.number);
  }

  /** @see Linux 7.2 en_rep.c mlx5e_rep_open */
  protected override async isLinkUp(): Promise<boolean> {
    await this.#port.setAdminState('up');
    return true;
  }

  /** @see Linux 7.2 en_rep.c mlx5e_rep_close */
  protected override closing(): Promise<void> {
    return this.#port.setAdminState('down');
  }
}
