import { EQE, EVENTS, FRAME, PORT_SUBTYPES } from '../../regs/nic.js';
import { UPLINK, VPORT_STATE } from '../../regs/nic-contexts.js';
import { newCounters } from './counters.js';
import type { NicFunction } from './function.js';
import type { ReceiveQueue } from './receive-queue.js';
import type { Tir } from './tir.js';

/** A function has one physical port as it sees it. */
const PORT = 1;
const PORT_SHIFT = 4;

/** A hardware address in two halves of 24 bits. */
export interface Mac {
  readonly high: number;
  readonly low: number;
}

/** A port of the switch: that of a function, or the one to the outside, which is the physical function's as well. */
export class Vport {
  readonly fn: NicFunction;
  readonly number: number;
  /** Its place in the switch. */
  readonly slot: number;
  /** By the indices of `counters.ts`. */
  readonly counters = newCounters();
  mac: Mac;
  mtu: number = FRAME.defaultMtu;
  /** `VPORT_STATE.admin`. */
  admin: number = VPORT_STATE.follow;
  isUp = true;
  promiscuousUc = false;
  promiscuousMc = false;
  promiscuousAll = false;
  disableUcLoopback = false;
  disableMcLoopback = false;
  unicast: readonly Mac[] = [];
  multicast: readonly Mac[] = [];
  /** Addresses that were set one by one, by their index. */
  readonly entries = new Map<number, Mac>();
  /** Where its packets go. */
  tir: Tir | undefined = undefined;
  /** The manager's queue for packets that it has sent, and no rule is for. */
  repQueue: ReceiveQueue | undefined = undefined;

  constructor(fn: NicFunction, number: number, slot: number, mac: Mac) {
    this.fn = fn;
    this.number = number;
    this.slot = slot;
    this.mac = mac;
  }

  get isUplink(): boolean {
    return this.number === UPLINK;
  }

  /** What its function has set for itself alone is as at the start. */
  clear(): void {
    this.mtu = FRAME.defaultMtu;
    this.promiscuousUc = this.promiscuousMc = this.promiscuousAll = false;
    this.disableUcLoopback = this.disableMcLoopback = false;
    this.multicast = [];
  }

  /** @param tir undefined: nobody takes its packets any more */
  setTir(tir: Tir | undefined): void {
    if (tir !== undefined) tir.users++;
    if (this.tir !== undefined) this.tir.users--;
    this.tir = tir;
  }

  setRepQueue(rq: ReceiveQueue | undefined): void {
    if (rq !== undefined) rq.users++;
    if (this.repQueue !== undefined) this.repQueue.users--;
    this.repQueue = rq;
  }

  /** Its state as it follows from what was asked for, and from the cable. Its function hears of a change. */
  update(hasCarrier: boolean): void {
    const isUp = this.admin === VPORT_STATE.up || (this.admin === VPORT_STATE.follow && hasCarrier);
    if (isUp === this.isUp) return;
    this.isUp = isUp;
    if (this.isUplink) return;
    this.fn.event(EVENTS.portChange, isUp ? PORT_SUBTYPES.active : PORT_SUBTYPES.down, (eqe) => {
      eqe.setUint8(EQE.port, PORT << PORT_SHIFT);
    });
  }
}
