import { isDeviceMac } from '../../../core/index.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import {
  COUNTERS,
  COUNTERS_OFFSET,
  type CounterName,
  L2_ENTRY,
  LIST_TYPES,
  NIC_VPORT,
  NIC_VPORT_IN,
  NIC_VPORT_OUT,
  NIC_VPORT_SELECT,
  VPORT,
  VPORT_STATE,
} from '../../../hw/regs/nic-contexts.js';
import { getWord, setWord } from '../../../hw/regs/nic-words.js';
import type { CommandOwner } from './queue-owner.js';

const MAC_BYTES = 8;
/** The first byte of an address that is locally administered. */
const LOCAL = 0x02;
/** Addresses that a context may list. */
const LISTED = 128;
const QUERY_BYTES = NIC_VPORT_OUT + NIC_VPORT.list + LISTED * MAC_BYTES;

/** What a port is to receive beside its own address. */
export interface VportRxMode {
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
}

/**
 * A port of the switch: that of the function, or another's for who manages it.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/vport.c
 */
export class Vport {
  readonly #owner: CommandOwner;
  readonly #other: number | undefined;

  /** @param other the number of another's port; absent: the function's own */
  constructor(owner: CommandOwner, other?: number) {
    this.#owner = owner;
    this.#other = other;
  }

  /** Whether there is a link. @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_query_vport_state */
  async isUp(): Promise<boolean> {
    const output = await this.#owner.exec(OPCODES.QUERY_VPORT_STATE, this.#input(16));
    return getWord(output, VPORT_STATE.state) === VPORT_STATE.up;
  }

  /** @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_modify_vport_admin_state */
  async setAdminState(state: 'down' | 'up' | 'follow'): Promise<void> {
    const input = this.#input(16);
    setWord(input, VPORT_STATE.admin, VPORT_STATE[state]);
    await this.#owner.exec(OPCODES.MODIFY_VPORT_STATE, input);
  }

  /** Its address: six bytes. @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_query_nic_vport_mac_address */
  async mac(): Promise<Uint8Array> {
    const output = await this.#owner.exec(OPCODES.QUERY_NIC_VPORT_CONTEXT, this.#input(16), new Uint32Array(QUERY_BYTES / 4));
    return macAt(output, NIC_VPORT_OUT + NIC_VPORT.address);
  }

  /**
   * Its address; where nobody has given it one, it gets one that no other function has.
   * @param index of the function, unique in the system
   * @throws {Errno} as the commands
   */
  async ensureMac(index: number): Promise<Uint8Array> {
    const own = await this.mac();
    if (isDeviceMac(own)) return own;
    const mac = Uint8Array.of(LOCAL, 0, 0, index >>> 16, index >>> 8, index);
    await this.setMac(mac);
    return mac;
  }

  /** Bytes of a packet at most, without its header. @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_query_nic_vport_mtu */
  async mtu(): Promise<number> {
    const output = await this.#owner.exec(OPCODES.QUERY_NIC_VPORT_CONTEXT, this.#input(16), new Uint32Array(QUERY_BYTES / 4));
    return getWord(output, NIC_VPORT.mtu, NIC_VPORT_OUT);
  }

  /** @param mac six bytes. @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_modify_nic_vport_mac_address */
  async setMac(mac: Uint8Array): Promise<void> {
    const input = this.#context(NIC_VPORT_SELECT.address);
    putMac(input, NIC_VPORT_IN + NIC_VPORT.address, mac);
    await this.#modify(input);
  }

  /** @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_modify_nic_vport_mtu */
  async setMtu(mtu: number): Promise<void> {
    const input = this.#context(NIC_VPORT_SELECT.mtu);
    setWord(input, NIC_VPORT.mtu, mtu, NIC_VPORT_IN);
    await this.#modify(input);
  }

  /** @throws {Errno} as the command @see Linux 7.2 vport.c mlx5_modify_nic_vport_promisc */
  async setRxMode({ promiscuous, allMulticast }: VportRxMode): Promise<void> {
    const input = this.#context(NIC_VPORT_SELECT.promiscuous);
    setWord(input, NIC_VPORT.promiscuousAll, promiscuous ? 1 : 0, NIC_VPORT_IN);
    setWord(input, NIC_VPORT.promiscuousMc, allMulticast ? 1 : 0, NIC_VPORT_IN);
    await this.#modify(input);
  }

  /**
   * Its addresses of a kind: those and no others.
   * @throws {Errno} as the command
   * @see Linux 7.2 vport.c mlx5_modify_nic_vport_mac_list
   */
  async setList(type: keyof typeof LIST_TYPES, macs: readonly Uint8Array[]): Promise<void> {
    const input = this.#context(NIC_VPORT_SELECT.list, macs.length);
    setWord(input, NIC_VPORT.listType, LIST_TYPES[type], NIC_VPORT_IN);
    setWord(input, NIC_VPORT.listSize, macs.length, NIC_VPORT_IN);
    macs.forEach((mac, n) => putMac(input, NIC_VPORT_IN + NIC_VPORT.list + n * MAC_BYTES, mac));
    await this.#modify(input);
  }

  /**
   * Whether what it sends to itself is kept from it.
   * @throws {Errno} as the command
   * @see Linux 7.2 vport.c mlx5_nic_vport_update_local_lb
   */
  async setLoopback(enabled: boolean): Promise<void> {
    const input = this.#context(NIC_VPORT_SELECT.loopback);
    const disable = enabled ? 0 : 1;
    setWord(input, NIC_VPORT.disableUcLoopback, disable, NIC_VPORT_IN);
    setWord(input, NIC_VPORT.disableMcLoopback, disable, NIC_VPORT_IN);
    await this.#modify(input);
  }

  /** What it has counted. @throws {Errno} as the command */
  async counters(): Promise<Record<CounterName, number>> {
    const bytes = COUNTERS_OFFSET + 8 * COUNTERS.length;
    const output = await this.#owner.exec(OPCODES.QUERY_VPORT_COUNTER, this.#input(16), new Uint32Array(bytes / 4));
    const at = (n: number): number =>
      output[(COUNTERS_OFFSET + 8 * n) / 4]! * 2 ** 32 + output[(COUNTERS_OFFSET + 8 * n) / 4 + 1]!;
    return Object.fromEntries(COUNTERS.map((name, n) => [name, at(n)])) as Record<CounterName, number>;
  }

  #input(bytes: number): Uint32Array {
    const input = new Uint32Array(bytes / 4);
    if (this.#other === undefined) return input;
    setWord(input, VPORT.other, 1);
    setWord(input, VPORT.number, this.#other);
    return input;
  }

  #context(select: number, listed = 0): Uint32Array {
    const input = this.#input(NIC_VPORT_IN + NIC_VPORT.list + listed * MAC_BYTES);
    setWord(input, NIC_VPORT_SELECT.select, select);
    return input;
  }

  async #modify(input: Uint32Array): Promise<void> {
    await this.#owner.exec(OPCODES.MODIFY_NIC_VPORT_CONTEXT, input);
  }
}

/** Gives the switch an address of the function's own port. @param index of the entry @throws {Errno} as the command */
export async function setL2Entry(owner: CommandOwner, index: number, mac: Uint8Array): Promise<void> {
  const input = new Uint32Array((L2_ENTRY.address + MAC_BYTES) / 4);
  setWord(input, L2_ENTRY.index, index);
  putMac(input, L2_ENTRY.address, mac);
  await owner.exec(OPCODES.SET_L2_TABLE_ENTRY, input);
}

/** Takes it away. @throws {Errno} as the command */
export async function deleteL2Entry(owner: CommandOwner, index: number): Promise<void> {
  const input = new Uint32Array((L2_ENTRY.address + MAC_BYTES) / 4);
  setWord(input, L2_ENTRY.index, index);
  await owner.exec(OPCODES.DELETE_L2_TABLE_ENTRY, input);
}

function putMac(words: Uint32Array, offset: number, mac: Uint8Array): void {
  words[offset >>> 2] = (mac[0]! << 8) | mac[1]!;
  words[(offset >>> 2) + 1] = (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!;
}

function macAt(words: Uint32Array, offset: number): Uint8Array {
  const hi = words[offset >>> 2]!;
  const lo = words[(offset >>> 2) + 1]!;
  return Uint8Array.of(hi >>> 8, hi, lo >>> 24, lo >>> 16, lo >>> 8, lo);
}
