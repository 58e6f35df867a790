import * as NIC from '../../../../hw/regs/nic.js';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as CTX from '../../../../hw/regs/nic-contexts.js';
import { getAddress, getWord, setWord } from '../../../../hw/regs/nic-words.js';
import { type Wire, type WirePort, cable } from '../../../../hw/endpoint/index.js';
import type { NicOptions } from '../../../../hw/models/nic/index.js';
import { type Answer, type FunctionDriver, type Host, type HostEq, working } from './fixture.js';
import { HostCq, HostRq, HostSq, createTir } from './queues.js';

const { OPCODES, STATUS } = CMDS;
const { COUNTERS, ESW, NIC_VPORT, NIC_VPORT_IN, NIC_VPORT_SELECT, VPORT } = CTX;

export type Mac = readonly [number, number, number, number, number, number];
export const BROADCAST: Mac = [255, 255, 255, 255, 255, 255];
/** The address of machine `n`. */
export const mac = (n: number): Mac => [0x02, 0xaa, 0, 0, n >> 8, n & 255];

/** A frame: addresses, a type of its own, and bytes that follow from `seed`. */
export function frame(to: Mac, from: Mac, length = 60, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (seed * 31 + i * 7) & 255;
  bytes.set(to);
  bytes.set(from, 6);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
}

function putMac(words: Uint32Array, at: number, bytes: Mac): void {
  words[at / 4] = (bytes[0] << 8) | bytes[1];
  words[at / 4 + 1] = (bytes[2] << 24) | (bytes[3] << 16) | (bytes[4] << 8) | bytes[5];
}

/** An address as an output has it. */
export function getMac(words: Uint32Array, at: number): Mac {
  const [first = 0, second = 0] = words.subarray(at / 4);
  return [(first >>> 8) & 255, first & 255, second >>> 24, (second >>> 16) & 255, (second >>> 8) & 255, second & 255];
}

export interface PortOptions {
  readonly mac?: Mac;
  readonly buffers?: number;
  readonly pasid?: number;
  readonly loopback?: boolean;
  readonly logSize?: number;
}

/** A function that sends and receives: one queue of each kind. */
export class Port {
  readonly eq: HostEq;
  readonly txCq: HostCq;
  readonly rxCq: HostCq;
  readonly sq: HostSq;
  readonly rq: HostRq;
  readonly tir: number;
  readonly mac: Mac;

  constructor(
    readonly driver: FunctionDriver,
    options: PortOptions = {},
  ) {
    const { buffers = 32, pasid = 0, logSize = 6 } = options;
    this.mac = options.mac ?? mac(driver.id);
    this.eq = driver.createEq({ logSize: 8, events: [NIC.EVENTS.cqError, NIC.EVENTS.portChange] });
    this.txCq = new HostCq(driver, this.eq, { logSize, pasid });
    this.rxCq = new HostCq(driver, this.eq, { logSize, pasid });
    this.sq = new HostSq(driver, this.txCq, { logSize, pasid });
    this.rq = new HostRq(driver, this.rxCq, { logSize, pasid });
    this.tir = createTir(driver, this.rq, { loopback: options.loopback ?? true });
    driver.about(OPCODES.SET_RX_TIR, this.tir);
    this.modify(NIC_VPORT_SELECT.address, (words) => putMac(words, NIC_VPORT_IN + NIC_VPORT.address, this.mac));
    this.rq.fill(buffers);
  }

  /** Changes the context of its port. */
  modify(select: number, fill: (words: Uint32Array) => void): Answer {
    return modifyPort(this.driver, this.driver.id, select, fill);
  }

  /** Frames that have come. */
  received(): Uint8Array[] {
    return this.rxCq.drain().map((cqe) => this.rq.frameOf(cqe));
  }

  counter(name: CTX.CounterName): number {
    return counterOf(this.driver, this.driver.id, name);
  }
}

/** Changes the context of a port: the function's own, or another. */
export function modifyPort(
  driver: FunctionDriver,
  number: number,
  select: number,
  fill: (words: Uint32Array) => void,
  extraBytes = 0,
): Answer {
  return driver.exec(OPCODES.MODIFY_NIC_VPORT_CONTEXT, {
    inBytes: NIC_VPORT_IN + NIC_VPORT.list + extraBytes,
    fill: (words) => {
      if (number !== driver.id) setWord(words, VPORT.other, 1);
      setWord(words, VPORT.number, number);
      setWord(words, NIC_VPORT_SELECT.select, select);
      fill(words);
    },
  });
}

/** Gives a port more unicast addresses. */
export const setUnicast = (driver: FunctionDriver, number: number, macs: readonly Mac[]): Answer =>
  modifyPort(
    driver,
    number,
    NIC_VPORT_SELECT.list,
    (words) => {
      setWord(words, NIC_VPORT.listSize, macs.length, NIC_VPORT_IN);
      macs.forEach((bytes, i) => putMac(words, NIC_VPORT_IN + NIC_VPORT.list + 8 * i, bytes));
    },
    8 * macs.length,
  );

/** A counter of a port: the function's own, or another. */
export function counterOf(driver: FunctionDriver, number: number, name: CTX.CounterName): number {
  const output = driver.must(OPCODES.QUERY_VPORT_COUNTER, {
    outBytes: CTX.COUNTERS_OFFSET + 8 * COUNTERS.length,
    fill: (words) => {
      if (number !== driver.id) setWord(words, VPORT.other, 1);
      setWord(words, VPORT.number, number);
    },
  });
  return getAddress(output, CTX.COUNTERS_OFFSET + 8 * COUNTERS.indexOf(name));
}

/** State of a port: what was asked for, and what it is. */
export function stateOf(driver: FunctionDriver, number: number): readonly [admin: number, state: number] {
  const output = driver.must(OPCODES.QUERY_VPORT_STATE, {
    fill: (words) => {
      setWord(words, VPORT.other, number === driver.id ? 0 : 1);
      setWord(words, VPORT.number, number);
    },
  });
  return [getWord(output, CTX.VPORT_STATE.admin), getWord(output, CTX.VPORT_STATE.state)];
}
export const setState = (driver: FunctionDriver, number: number, admin: number): Answer =>
  driver.exec(OPCODES.MODIFY_VPORT_STATE, {
    fill: (words) => {
      setWord(words, VPORT.other, number === driver.id ? 0 : 1);
      setWord(words, VPORT.number, number);
      setWord(words, CTX.VPORT_STATE.admin, admin);
    },
  });

export const setMode = (driver: FunctionDriver, mode: number): Answer =>
  driver.exec(OPCODES.SET_ESWITCH_MODE, { fill: (words) => setWord(words, ESW.mode, mode) });

/** Packets from a port to an address go to these ports. */
export const setRule = (driver: FunctionDriver, source: number, to: Mac, outputs: readonly number[]): Answer =>
  driver.exec(OPCODES.SET_FDB_ENTRY, {
    inBytes: ESW.output + 4 * outputs.length,
    fill: (words) => {
      setWord(words, ESW.source, source);
      putMac(words, ESW.address, to);
      setWord(words, ESW.outputs, outputs.length);
      outputs.forEach((port, i) => (words[ESW.output / 4 + i] = port));
    },
  });
export const deleteRule = (driver: FunctionDriver, source: number, to: Mac): Answer =>
  driver.exec(OPCODES.DELETE_FDB_ENTRY, {
    inBytes: ESW.output,
    fill: (words) => {
      setWord(words, ESW.source, source);
      putMac(words, ESW.address, to);
    },
  });
export const setRepQueue = (driver: FunctionDriver, port: number, rqn: number): Answer =>
  driver.exec(OPCODES.SET_REP_QUEUE, {
    fill: (words) => {
      setWord(words, VPORT.other, 1);
      setWord(words, VPORT.number, port);
      setWord(words, ESW.repQueue, rqn);
    },
  });
export const setL2 = (driver: FunctionDriver, index: number, to: Mac): Answer =>
  driver.exec(OPCODES.SET_L2_TABLE_ENTRY, {
    inBytes: 0x40,
    fill: (words) => {
      setWord(words, CTX.L2_ENTRY.index, index);
      putMac(words, CTX.L2_ENTRY.address, to);
    },
  });
export const deleteL2 = (driver: FunctionDriver, index: number): Answer =>
  driver.exec(OPCODES.DELETE_L2_TABLE_ENTRY, { inBytes: 0x40, fill: (words) => setWord(words, CTX.L2_ENTRY.index, index) });

/** A sub-function that is up. */
export function bringUpSf(host: Host, pf: FunctionDriver, index: number): FunctionDriver {
  const id = NIC.SF_BASE_ID + index;
  for (const opcode of [OPCODES.ALLOC_SF, OPCODES.ENABLE_HCA]) {
    if (pf.about(opcode, id).status !== STATUS.ok) throw new Error(`sub-function ${index} cannot be made`);
  }
  return host.driver(id).bringUp();
}

/** An adapter whose physical function and first sub-functions are up. */
export function network(count: number, options: NicOptions = {}) {
  const { host, pf } = working({ sfs: 16, ...options });
  const sfs = Array.from({ length: count }, (_, i) => bringUpSf(host, pf, i));
  return { host, pf, sfs };
}

/** The other end of an adapter's cable. */
export class FarEnd implements WirePort {
  readonly frames: Uint8Array[] = [];
  readonly #wire: Wire;

  constructor(host: Host) {
    const [near, far] = cable();
    host.device.wire = near;
    this.#wire = far;
    far.attach(this);
  }
  receive(bytes: Uint8Array, offset: number, length: number): void {
    this.frames.push(bytes.slice(offset, offset + length));
  }
  setLink(): void {}

  send(bytes: Uint8Array, offset = 0, length = bytes.length): void {
    this.#wire.send(bytes, offset, length);
  }
  /** Pulls the cable, or puts it back. */
  plug(isPlugged: boolean): void {
    this.#wire.attach(isPlugged ? this : undefined);
  }
  /** Frames that have come. */
  take(): Uint8Array[] {
    return this.frames.splice(0);
  }
}

/** A cable, the physical function and sub-functions, each with a port that receives. */
export function switched(sfs = 2, options: PortOptions = {}) {
  const { host, pf, sfs: drivers } = network(sfs);
  const far = new FarEnd(host);
  const [zero, ...rest] = [pf, ...drivers].map((driver) => new Port(driver, options));
  return { host, pf, far, zero: zero!, a: rest[0]!, b: rest[1]!, all: [zero!, ...rest] };
}
/** What each has received since it was last asked; the cable first. */
export const taken = ({ far, all }: { far: FarEnd; all: Port[] }): number[] => [
  far.take().length,
  ...all.map((port) => port.received().length),
];
