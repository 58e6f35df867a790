import { type ReceiveHash, type RxMode, parseMac } from '../../core/index.js';
import { EVENTS } from '../../hw/regs/nic.js';
import { ReceiveTable, Tir, type TirTarget, Vport, setRxTir, takenBack } from '../lib/mlx5/index.js';
import type { Channel } from './channel.js';
import { EthDevice, type EthSetup } from './eth-device.js';

/** Multicast addresses that the context of a port may list. */
const MULTICAST = 128;
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
    if (!this.#hasRxMode) this.dev.devres.defer('rx mode', () => takenBack(this.#applyRxMode(PLAIN)));
    this.#hasRxMode = true;
    await this.#applyRxMode(mode);
  }

  receiveHash(): ReceiveHash {
    return this.parameters.receiveHash;
  }

  /** @see Linux 7.2 en_ethtool.c mlx5e_set_rxfh, en/rss.c mlx5e_rss_set_rxfh */
  async setReceiveHash(hash: ReceiveHash): Promise<void> {
    const { parameters, live } = this;
    parameters.checkReceiveHash(hash);
    if (live.length > 0) {
      await this.#tir!.replaceRx(this.#target(hash));
      await this.#table!.set(queuesOf(hash, live));
    }
    parameters.setReceiveHash(hash);
  }

  /** @see Linux 7.2 en/rx_res.c mlx5e_rx_res_channels_activate */
  protected override async steer(channels: readonly Channel[]): Promise<void> {
    const { core, dev } = this;
    const { receiveHash } = this.parameters;
    this.#table = await ReceiveTable.create(core, dev, queuesOf(receiveHash, channels));
    this.#tir = await Tir.create(core, dev, this.#target(receiveHash));
    await setRxTir(core, dev, this.#tir);
  }

  protected override isLinkUp(): Promise<boolean> {
    return this.#vport.isUp();
  }

  #target({ key }: ReceiveHash): TirTarget {
    return { table: this.#table!.number, key };
  }

  /** @see Linux 7.2 en_fs.c mlx5e_vport_context_update */
  async #applyRxMode({ promiscuous, allMulticast, unicast, multicast }: RxMode): Promise<void> {
    await this.#vport.setList('unicast', this.#listed('unicast', unicast, 2 ** (this.core.caps.logMaxMacs - 1)));
    await this.#vport.setList('multicast', this.#listed('multicast', multicast, MULTICAST));
    await this.#vport.setRxMode({ promiscuous, allMulticast });
  }

  /** As many as the device takes. @see Linux 7.2 en_fs.c mlx5e_vport_context_update_addr_list */
  #listed(type: string, macs: readonly string[], most: number): Uint8Array[] {
    if (macs.length > most) {
      const text = `${type} list size (${macs.length}) > (${most}) max vport list size, some addresses will be dropped`;
      this.dev.log('warn', text, 'addresses_dropped');
    }
    return macs.slice(0, most).map(parseMac);
  }
}

function queuesOf({ table }: ReceiveHash, channels: readonly Channel[]): number[] {
  return table.map((n) => channels[n]!.rx.rq.number);
}
