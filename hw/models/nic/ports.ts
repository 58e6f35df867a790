import { FRAME, SF_BASE_ID } from '../../regs/nic.js';
import { UPLINK, VPORT_STATE } from '../../regs/nic-contexts.js';
import type { NicFunction } from './function.js';
import { MacTable } from './mac-table.js';
import type { Nic } from './nic.js';
import { type Mac, Vport } from './vport.js';

const PF = 0;
const PF_SLOT = 0;
const UPLINK_SLOT = 1;
const FIRST_SF_SLOT = 2;
const NONE = -1;
/** One table for all ports. */
const ANY = 0;
/** Of the first half of an address: locally administered. */
const LOCAL_BIT = 0x02_0000;

/** The ports of a switch, by their place: those of functions that exist, and the one to the cable; and their addresses. */
export class Ports {
  readonly uplink: Vport;
  /** The ports of functions, without gaps. */
  readonly live: Vport[] = [];
  /** Those that get unicast packets that are for nobody. */
  readonly promiscuous: Vport[] = [];
  /** Whether somebody is at the other end of the cable. */
  hasCarrier = true;
  readonly #ports: (Vport | undefined)[];
  /** By slot: where in `live` a port is. */
  readonly #places: Int32Array;
  readonly #addresses = new MacTable();
  readonly #macHigh: number;

  constructor(device: Nic) {
    const slots = FIRST_SF_SLOT + device.settings.sfs;
    this.#ports = new Array<Vport | undefined>(slots).fill(undefined);
    this.#places = new Int32Array(slots);
    this.#macHigh = LOCAL_BIT | device.context.random.below(0x1_0000);
    this.uplink = new Vport(device.pf, UPLINK, UPLINK_SLOT, this.#macOf(UPLINK_SLOT));
    this.#ports[UPLINK_SLOT] = this.uplink;
  }

  /** The place of a port, -1 for a number that none can have. */
  slotOf(number: number): number {
    if (number === PF) return PF_SLOT;
    if (number === UPLINK) return UPLINK_SLOT;
    const slot = number - SF_BASE_ID + FIRST_SF_SLOT;
    return slot >= FIRST_SF_SLOT && slot < this.#ports.length ? slot : NONE;
  }

  /** The port at a place. */
  at(slot: number): Vport | undefined {
    return this.#ports[slot];
  }

  /** The port whose address it is. */
  find(high: number, low: number): Vport | undefined {
    const slot = this.#addresses.find(high, low, ANY);
    return slot < 0 ? undefined : this.#ports[slot];
  }

  /** Makes the port of a function. */
  add(fn: NicFunction): Vport {
    const slot = this.slotOf(fn.id);
    const port = new Vport(fn, fn.id, slot, this.#macOf(slot));
    port.isUp = this.hasCarrier;
    this.#ports[slot] = port;
    this.#places[slot] = this.live.push(port) - 1;
    this.#addMac(port, port.mac);
    return port;
  }

  /** It is gone, with its addresses; rules about it are software's. */
  remove(port: Vport): void {
    this.clear(port);
    this.#removeMac(port, port.mac);
    port.setRepQueue(undefined);
    this.#ports[port.slot] = undefined;
    const place = this.#places[port.slot]!;
    const last = this.live.pop()!;
    if (last === port) return;
    this.live[place] = last;
    this.#places[last.slot] = place;
  }

  /** Its function has been torn down: what that has set is no longer so, but for its address, which may be the manager's choice. */
  clear(port: Vport): void {
    port.setTir(undefined);
    this.setUnicast(port, []);
    for (const index of port.entries.keys()) this.setEntry(port, index, undefined);
    this.setPromiscuous(port, false);
    port.clear();
  }

  /** As at the start; those of functions have been removed. */
  reset(): void {
    const { uplink } = this;
    uplink.counters.fill(0);
    uplink.mtu = FRAME.defaultMtu;
    uplink.admin = VPORT_STATE.follow;
    uplink.update(this.hasCarrier);
  }

  /** The cable has come, or is gone: functions hear of it. */
  setCarrier(hasCarrier: boolean): void {
    this.hasCarrier = hasCarrier;
    this.uplink.update(hasCarrier);
    for (const port of this.live) port.update(hasCarrier);
  }

  /** The manager's queues are gone. */
  forgetQueues(): void {
    for (const port of this.live) port.setRepQueue(undefined);
    this.uplink.setRepQueue(undefined);
  }

  /** Gives a function's port its address. */
  setMac(port: Vport, mac: Mac): void {
    this.#removeMac(port, port.mac);
    port.mac = mac;
    this.#addMac(port, mac);
  }

  /** Gives a function's port more addresses, instead of those that it had. */
  setUnicast(port: Vport, macs: readonly Mac[]): void {
    for (const mac of port.unicast) this.#removeMac(port, mac);
    port.unicast = macs;
    for (const mac of macs) this.#addMac(port, mac);
  }

  /** Gives a function's port one more address, by a number of software's, or takes it away. */
  setEntry(port: Vport, index: number, mac: Mac | undefined): void {
    const old = port.entries.get(index);
    if (old !== undefined) this.#removeMac(port, old);
    port.entries.delete(index);
    if (mac === undefined) return;
    port.entries.set(index, mac);
    this.#addMac(port, mac);
  }

  /** Whether a function's port gets unicast packets that are for nobody. */
  setPromiscuous(port: Vport, isPromiscuous: boolean): void {
    const at = this.promiscuous.indexOf(port);
    if (isPromiscuous && at < 0) this.promiscuous.push(port);
    else if (!isPromiscuous && at >= 0) this.promiscuous.splice(at, 1);
  }

  #addMac(port: Vport, { high, low }: Mac): void {
    this.#addresses.add(high, low, ANY, port.slot);
  }
  #removeMac(port: Vport, { high, low }: Mac): void {
    this.#addresses.remove(high, low, ANY, port.slot);
  }

  #macOf(slot: number): Mac {
    return { high: this.#macHigh, low: slot };
  }
}
