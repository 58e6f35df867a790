import { type ReceiveHash, type RxMode, parseMac } from '../../core/index.js';
import { EVENTS } from '../../hw/regs/nic.js';
import { ReceiveTable, Tir, type TirTarget, Vport, setRxTir } from '../lib/mlx5/index.js';
import type { Channel } from './channel.js';
import { EthDevice, type EthSetup } from './eth-device.js';

/** What is received when nobody has said. */
const PLAIN: RxMode = { promiscuous: false, allMulticast: false, unicast: [], multicast: [] };

/**
 * The network device of a function's own port.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_nic_profile
 */
export class Mlx5Eth extends EthDevice {
  readonly #vport: Vport;
  #table: ReceiveTable | undefined = undefined;
  #tir: Tir | undefined = undefined;
  #hasRxMode = false;

  constructor(setup: EthSetup) {
    super(setup);
    this.#vport = new Vport(setup.core);
  }

  /** Follows the link, until the part is unbound. @see Linux 7.2 en_main.c async_event */
  watchCarrier(): void {
    const look = (): void => void this.updateCarrier();
    this.dev.devres.use(
      'port events',
      this.core.events.on(EVENTS.portChange, () => this.irqs.later(look)),
    );
  }

  async setMac(mac: Uint8Array): Promise<void> {
    await this.#vport.setMac(mac);
  }

  async setMtu(mtu: number): Promise<void> {
    await this.#vport.setMtu(mtu);
  }

  async setRxMode(mode: RxMode): Promise<void> {
    if (!this.#hasRxMode) this.dev.devres.defer('rx mode', () => this.#applyRxMode(PLAIN));
    this.#hasRxMode = true;
    await this.#applyRxMode(mode);
  }

  receiveHash(): ReceiveHash {
    return this.parameters.receiveHash;
  }

  async setReceiveHash(hash: ReceiveHash): Promise<void> {
    this.parameters.setReceiveHash(hash);
    if (this.live.length === 0) return;
    await this.#table!.set(this.#queuesOf(this.live));
    await this.#tir!.replaceRx(this.#target);
  }

  /** @see Linux 7.2 en/rx_res.c mlx5e_rx_res_channels_activate */
  protected override async steer(channels: readonly Channel[]): Promise<void> {
    const { core, dev } = this;
    this.#table = await ReceiveTable.create(core, dev, this.#queuesOf(channels));
    this.#tir = await Tir.create(core, dev, this.#target);
    await setRxTir(core, dev, this.#tir);
  }

  protected override isLinkUp(): Promise<boolean> {
    return this.#vport.isUp();
  }

  get #target(): TirTarget {
    return { table: this.#table!.number, key: this.parameters.receiveHash.key };
  }

  /** @see Linux 7.2 en_fs.c mlx5e_vport_context_update */
  async #applyRxMode({ promiscuous, allMulticast, unicast, multicast }: RxMode): Promise<void> {
    await this.#vport.setList('unicast', unicast.map(parseMac));
    await this.#vport.setList('multicast', multicast.map(parseMac));
    await this.#vport.setRxMode({ promiscuous, allMulticast });
  }

  #queuesOf(channels: readonly Channel[]): number[] {
    return this.parameters.receiveHash.table.map((n) => channels[n]!.rx.rq.number);
  }
}
