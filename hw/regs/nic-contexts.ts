/**
 * What commands of the adapter make and change: event queues, completion queues, work queues, ports, sub-functions.
 * @see Linux 7.2 include/linux/mlx5/mlx5_ifc.h
 *
 * Offsets are those of `nic-commands.ts`: of the input or output where nothing else is said, of the context for EQC, CQC, WQC and
 * others like them. The layouts of {@link TIRC} and {@link NIC_VPORT} are ours, and so is what says so.
 */
import { at, bitAt } from './nic-words.js';

// Event queues

/** CREATE_EQ: context, then a bit for each event, then the pages of the queue. QUERY_EQ gives the context at the same place. */
export const EQ_CONTEXT = 0x10;
/** Two words for each 64 types, the high one first: {@link eventBit}. */
export const EQ_EVENTS = 0x58;
/** CREATE_EQ, CREATE_CQ: addresses of pages, 8 bytes each, from here on. */
export const PAGE_LIST = 0x110;
/** Context of an event queue: 64 bytes. */
export const EQC = {
  status: at(0x00, 31, 28),
  state: at(0x00, 11, 8),
  logSize: at(0x0c, 28, 24),
  uar: at(0x0c, 23, 0),
  /** Ours: {@link EQC.message} says where its message is, and `intr` nothing. */
  inMemory: bitAt(0x14, 31),
  /** Entry of the MSI-X table. */
  intr: at(0x14, 11, 0),
  logPage: at(0x18, 28, 24),
  consumer: at(0x28, 23, 0),
  producer: at(0x2c, 23, 0),
  /** Ours: address of the message, a multiple of 16. */
  message: 0x30,
  sizeBytes: 64,
} as const;
/** `EQC.state`. */
export const EQ_STATES = { armed: 0x9, fired: 0xa, alwaysArmed: 0xb } as const;
/** `EQC.status`, `CQC.status`. */
export const EQ_STATUS = { ok: 0, overrun: 9, writeFailed: 10 } as const;
/** Entries that are left free, so that a queue cannot overflow: those that software takes before it says how far it is. */
export const EQ_SPARE = 128;
/** Where the bit of a type is, in a command: byte offset of the word, and the bit. */
export const eventBit = (type: number): { readonly offset: number; readonly bit: number } => ({
  offset: EQ_EVENTS + 8 * (type >>> 6) + ((type & 32) === 0 ? 4 : 0),
  bit: type & 31,
});

/**
 * A message in memory. Ours. Little-endian; the device reads it when it sends, and writes nothing.
 *
 * ```
 *  0x0  address 31:0     0x4  address 63:32     0x8  data     0xc  bit 0: masked
 * ```
 */
export const MESSAGE = { sizeBytes: 16, addressLo: 0x0, addressHi: 0x4, data: 0x8, control: 0xc, masked: 1 } as const;

// Completion queues

/** CREATE_CQ: context here, pages from {@link PAGE_LIST} on. MODIFY_CQ: what is to be changed, and the context. */
export const CQ_CONTEXT = 0x10;
/** MODIFY_CQ: bits that say what of {@link CQC} is to be changed. */
export const CQ_MODIFY = { select: at(0x0c), period: 1, count: 2 } as const;
/** Context of a completion queue: 64 bytes. */
export const CQC = {
  status: at(0x00, 31, 28),
  /** What comes when it is full is written over what is there, and no error. */
  overrunIgnore: bitAt(0x00, 17),
  state: at(0x00, 11, 8),
  logSize: at(0x0c, 28, 24),
  uar: at(0x0c, 23, 0),
  /** Microseconds, and completions, until the event: whatever comes first. */
  period: at(0x10, 27, 16),
  maxCount: at(0x10, 15, 0),
  eqn: at(0x14, 7, 0),
  logPage: at(0x18, 28, 24),
  /** Ours: its events are a message of its own, and no entries of the event queue; `inMemory`, `intr` and `message` say which, as in EQC. */
  hasOwnMessage: bitAt(0x1c, 31),
  inMemory: bitAt(0x1c, 30),
  intr: at(0x1c, 11, 0),
  message: 0x20,
  consumer: at(0x28, 23, 0),
  producer: at(0x2c, 23, 0),
  /** Ours: {@link PASID}. */
  pasid: 0x30,
  record: 0x38,
  sizeBytes: 64,
} as const;
/** `CQC.state`. */
export const CQ_STATES = { solicited: 0x6, armed: 0x9, fired: 0xa, error: 0xf } as const;
/** Limits of `CQC.period`, in microseconds, and of `CQC.maxCount`, in completions. */
export const MODERATION = { maxPeriodUs: 4095, maxCount: 65_535 } as const;

/** Ours: the address space of a queue, with its rings and its doorbell record; invalid: that of the function. */
export const PASID = { valid: bitAt(0, 31), pasid: at(0, 19, 0) } as const;

// Work queues

/** CREATE_SQ, CREATE_RQ, MODIFY_SQ, MODIFY_RQ: the context is here; the pages are from 0xf0 of it on. */
export const WQ_CONTEXT = 0x20;
/** Addresses of pages, 8 bytes each, from here on in {@link WQC}. */
export const WQ_PAGES = 0xf0;
/** MODIFY_SQ, MODIFY_RQ: the state that it is in, and its number; the state that it is to be in is in the context. */
export const WQ_MODIFY = { state: at(0x08, 31, 28) } as const;
/** `WQC.state` and `WQ_MODIFY.state`. */
export const WQ_STATES = { reset: 0, ready: 1, error: 3 } as const;
/** Context of a send or receive queue. */
export const WQC = {
  state: at(0x00, 23, 20),
  cqn: at(0x08, 23, 0),
  /** Ours: bit 31 valid, 15:0 the port that packets leave by instead of the function's own; of a manager alone. */
  leavesBy: at(0x24),
  /** Ours: {@link PASID}. */
  pasid: 0x28,
  /** QUERY_RQ: packets for which there was no entry. */
  outOfBuffer: at(0x2c),
  type: at(0x30, 31, 28),
  pd: at(0x38, 23, 0),
  uar: at(0x3c, 23, 0),
  record: 0x40,
  logStride: at(0x50, 19, 16),
  logPage: at(0x50, 12, 8),
  logSize: at(0x50, 4, 0),
  sizeBytes: 0xf0,
} as const;

/** CREATE_RQT, MODIFY_RQT: receive queues to choose from. The context is at {@link WQ_CONTEXT}. */
export const RQTC = { maxSize: at(0x14, 15, 0), size: at(0x18, 15, 0), queues: 0xf0 } as const;
/** CREATE_TIR: where a packet goes: to one queue, or by its hash to one of a table. The context is at {@link WQ_CONTEXT}. */
export const TIRC = {
  indirect: bitAt(0x04, 31),
  queue: at(0x08, 23, 0),
  table: at(0x0c, 23, 0),
  /** Ten words of the Toeplitz hash. */
  hashKey: 0x10,
  /** Its own packets come back to the port; default: not. */
  loopback: bitAt(0x04, 30),
  sizeBytes: 0x40,
} as const;
/** Bytes of `TIRC.hashKey`. */
export const HASH_KEY_BYTES = 40;

// Ports and the switch

/** Commands about a port: bit 31 another's, of a manager alone; its number. */
export const VPORT = { other: bitAt(0x08, 31), number: at(0x08, 15, 0) } as const;
/** `VPORT.number` of the port to the wire. */
export const UPLINK = 0xffff;
/** QUERY_VPORT_STATE, MODIFY_VPORT_STATE. */
export const VPORT_STATE = { admin: at(0x0c, 7, 4), state: at(0x0c, 3, 0), down: 0, up: 1, follow: 2 } as const;
/** QUERY_NIC_VPORT_CONTEXT gives it at 0x10; MODIFY_NIC_VPORT_CONTEXT takes it at 0x100, with what is to be changed. */
export const NIC_VPORT_OUT = 0x10;
/** Where MODIFY_NIC_VPORT_CONTEXT has it. */
export const NIC_VPORT_IN = 0x100;
/** MODIFY_NIC_VPORT_CONTEXT: bits that say what of {@link NIC_VPORT} is to be changed. */
export const NIC_VPORT_SELECT = { select: at(0x0c), mtu: 1, promiscuous: 2, address: 4, list: 8, loopback: 16 } as const;
/** Context of a port: MTU, what it takes, its addresses. */
export const NIC_VPORT = {
  /** Unicast packets to itself are not delivered. */
  disableUcLoopback: bitAt(0x00, 1),
  disableMcLoopback: bitAt(0x00, 2),
  mtu: at(0x24, 15, 0),
  promiscuousUc: bitAt(0xf0, 31),
  promiscuousMc: bitAt(0xf0, 30),
  promiscuousAll: bitAt(0xf0, 29),
  listType: at(0xf0, 26, 24),
  listSize: at(0xf0, 11, 0),
  /** 15:0 of the first word and all of the second: the address. */
  address: 0xf4,
  list: 0x100,
} as const;
/** `NIC_VPORT.listType`. */
export const LIST_TYPES = { unicast: 0, multicast: 1 } as const;
/** QUERY_VPORT_COUNTER: pairs of words, the high one first, from 0x10 on. Ours in this order. */
export const COUNTERS = [
  'rxErrors',
  'txErrors',
  'rxUnicastPackets',
  'rxUnicastBytes',
  'txUnicastPackets',
  'txUnicastBytes',
  'rxMulticastPackets',
  'rxMulticastBytes',
  'txMulticastPackets',
  'txMulticastBytes',
  'rxBroadcastPackets',
  'rxBroadcastBytes',
  'txBroadcastPackets',
  'txBroadcastBytes',
  'rxOutOfBuffer',
  'rxDropped',
  'txDropped',
  'uarViolations',
] as const;
/** One of {@link COUNTERS}. */
export type CounterName = (typeof COUNTERS)[number];
/** Where they begin in the output. */
export const COUNTERS_OFFSET = 0x10;

/** SET_L2_TABLE_ENTRY, DELETE_L2_TABLE_ENTRY: an address of the function's own port in the switch. */
export const L2_ENTRY = { index: at(0x14, 23, 0), address: 0x20 } as const;

/** Ours: the switch. */
export const ESW = {
  /** SET_ESWITCH_MODE. */
  mode: at(0x08, 7, 0),
  legacy: 0,
  switchdev: 1,
  /** SET_FDB_ENTRY, DELETE_FDB_ENTRY: packets from a port to an address; and to how many ports they go. */
  source: at(0x08, 15, 0),
  address: 0x0c,
  outputs: at(0x14, 15, 0),
  /** Words of which 15:0 are ports. */
  output: 0x18,
  maxOutputs: 64,
  /** SET_REP_QUEUE: of a port, {@link VPORT}; 23:0 the queue, 0 none. */
  repQueue: at(0x0c, 23, 0),
} as const;

// Sub-functions

/** QUERY_VHCA_STATE gives it at 0x10, of a function at {@link FUNCTION_ID}; MODIFY_VHCA_STATE takes it there. */
export const VHCA = {
  select: at(0x0c),
  selectArm: 1,
  selectSwId: 2,
  arm: bitAt(0x10, 31),
  state: at(0x10, 19, 16),
  swFunctionId: at(0x14),
} as const;
/** `VHCA.state`. */
export const VHCA_STATES = { invalid: 0, allocated: 1, active: 2, inUse: 3, teardownRequest: 4 } as const;
