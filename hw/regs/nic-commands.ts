/**
 * Commands of the adapter: descriptors, mailboxes and what is in them.
 * @see Linux 7.2 include/linux/mlx5/device.h struct mlx5_cmd_layout, struct mlx5_cmd_prot_block; include/linux/mlx5/mlx5_ifc.h
 *
 * Offsets are bytes of words that have the most significant byte first; `at(0x08, 15, 0)` is bits 15:0 of the word at 8. What is beyond
 * the first 16 bytes of input or output is in mailboxes. Opcodes from 0xc00 on are not of the real device, and neither is the layout of
 * {@link CAPS}; objects and their contexts are in `nic-contexts.ts`.
 */
import { at, bitAt } from './nic-words.js';

/** Type of a descriptor: by PCI. */
export const CMD_TYPE_PCI = 7;
/** A descriptor of the command queue: 64 bytes. */
export const CMD = {
  sizeBytes: 64,
  type: at(0x00, 31, 24),
  inBytes: at(0x04),
  /** Address of the first mailbox; 0 for up to 16 bytes. */
  inMailbox: 0x08,
  in: 0x10,
  out: 0x20,
  outMailbox: 0x30,
  outBytes: at(0x38),
  /** 1 to 255. */
  token: at(0x3c, 31, 24),
  signature: at(0x3c, 23, 16),
  /** 7:1 delivery status, 0 the hardware owns it. */
  status: at(0x3c, 7, 0),
  inlineBytes: 16,
} as const;
/** Bit 0 of `CMD.status`. */
export const CMD_OWNED_BY_HARDWARE = 1;
/** Slots at most: the last one is for commands about pages. */
export const CMD_SLOTS_MAX = 32;

/** A mailbox: 512 bytes, and where the next one is; 576 bytes in all, aligned to 1024. */
export const MAILBOX = {
  sizeBytes: 576,
  alignBytes: 1024,
  dataBytes: 512,
  next: 0x230,
  block: at(0x238),
  token: at(0x23c, 23, 16),
  controlSignature: at(0x23c, 15, 8),
  signature: at(0x23c, 7, 0),
} as const;

/** 7:1 of `CMD.status`. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c deliv_status_to_err */
export const DELIVERY = {
  ok: 0,
  signature: 1,
  token: 2,
  block: 3,
  outAlign: 4,
  inAlign: 5,
  firmware: 6,
  inLength: 7,
  outLength: 8,
  reserved: 9,
  type: 0x10,
} as const;

/** First byte of the output. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c cmd_status_to_err */
export const STATUS = {
  ok: 0x00,
  internal: 0x01,
  badOpcode: 0x02,
  badParameter: 0x03,
  badSystemState: 0x04,
  badResource: 0x05,
  busy: 0x06,
  notReady: 0x07,
  limit: 0x08,
  badResourceState: 0x09,
  index: 0x0a,
  noResources: 0x0f,
  badQpState: 0x10,
  badPacket: 0x30,
  badSize: 0x40,
  inLength: 0x50,
  outLength: 0x51,
} as const;

/** Opcodes. @see Linux 7.2 include/linux/mlx5/mlx5_ifc.h */
export const OPCODES = {
  QUERY_HCA_CAP: 0x100,
  QUERY_ADAPTER: 0x101,
  INIT_HCA: 0x102,
  TEARDOWN_HCA: 0x103,
  ENABLE_HCA: 0x104,
  DISABLE_HCA: 0x105,
  QUERY_PAGES: 0x107,
  MANAGE_PAGES: 0x108,
  SET_HCA_CAP: 0x109,
  QUERY_ISSI: 0x10a,
  SET_ISSI: 0x10b,
  SET_DRIVER_VERSION: 0x10d,
  ALLOC_SF: 0x113,
  DEALLOC_SF: 0x114,
  CREATE_EQ: 0x301,
  DESTROY_EQ: 0x302,
  QUERY_EQ: 0x303,
  GEN_EQE: 0x304,
  CREATE_CQ: 0x400,
  DESTROY_CQ: 0x401,
  QUERY_CQ: 0x402,
  MODIFY_CQ: 0x403,
  QUERY_VPORT_STATE: 0x750,
  MODIFY_VPORT_STATE: 0x751,
  QUERY_NIC_VPORT_CONTEXT: 0x754,
  MODIFY_NIC_VPORT_CONTEXT: 0x755,
  QUERY_VPORT_COUNTER: 0x770,
  ALLOC_PD: 0x800,
  DEALLOC_PD: 0x801,
  ALLOC_UAR: 0x802,
  DEALLOC_UAR: 0x803,
  ACCESS_REG: 0x805,
  NOP: 0x80d,
  SET_L2_TABLE_ENTRY: 0x829,
  DELETE_L2_TABLE_ENTRY: 0x82b,
  CREATE_TIR: 0x900,
  DESTROY_TIR: 0x902,
  CREATE_SQ: 0x904,
  MODIFY_SQ: 0x905,
  DESTROY_SQ: 0x906,
  QUERY_SQ: 0x907,
  CREATE_RQ: 0x908,
  MODIFY_RQ: 0x909,
  DESTROY_RQ: 0x90a,
  QUERY_RQ: 0x90b,
  CREATE_RQT: 0x916,
  MODIFY_RQT: 0x917,
  DESTROY_RQT: 0x918,
  QUERY_VHCA_STATE: 0xb0d,
  MODIFY_VHCA_STATE: 0xb0e,
  /** Ours: how the switch forwards, {@link ESW}. */
  SET_ESWITCH_MODE: 0xc00,
  SET_FDB_ENTRY: 0xc01,
  DELETE_FDB_ENTRY: 0xc02,
  /** Ours: which queue takes what no rule of the switch is for. */
  SET_REP_QUEUE: 0xc03,
  /** Ours: where packets go that come to the function's port. */
  SET_RX_TIR: 0xc04,
} as const;
/** One of {@link OPCODES}. */
export type OpcodeName = keyof typeof OPCODES;

/** Every input and output. */
export const HEADER = {
  opcode: at(0x00, 31, 16),
  uid: at(0x00, 15, 0),
  opMod: at(0x04, 15, 0),
  status: at(0x00, 31, 24),
  syndrome: at(0x04),
} as const;

/** Commands about a function: ENABLE_HCA, DISABLE_HCA, QUERY_PAGES, MANAGE_PAGES, ALLOC_SF, DEALLOC_SF; 0 is who asks. */
export const FUNCTION_ID = at(0x08, 15, 0);
/** Commands about one object, by its number; also the number in the output of who makes one. */
export const EQN = at(0x08, 7, 0);
/** Likewise, of objects that are no event queue. */
export const OBJECT = at(0x08, 23, 0);

/** QUERY_HCA_CAP: 0 general; bit 0 of the modifier: the current ones. */
export const CAPS_OFFSET = 0x10;
/** Bytes of {@link CAPS}. */
export const CAPS_BYTES = 0x100;
/** Capabilities, from {@link CAPS_OFFSET} on. Ours in their places; their names are those of the real device. */
export const CAPS = {
  vhcaId: at(0x00, 15, 0),
  logMaxEq: at(0x04, 7, 0),
  logMaxCq: at(0x04, 15, 8),
  logMaxSq: at(0x04, 23, 16),
  logMaxRq: at(0x04, 31, 24),
  logMaxCqSize: at(0x08, 7, 0),
  logMaxWqSize: at(0x08, 15, 8),
  logMaxTir: at(0x08, 23, 16),
  logMaxRqtSize: at(0x08, 31, 24),
  numPorts: at(0x0c, 7, 0),
  logMinSfSize: at(0x0c, 15, 8),
  logBfRegSize: at(0x0c, 23, 16),
  maxNumSf: at(0x10, 15, 0),
  sfBaseId: at(0x10, 31, 16),
  vhcaState: bitAt(0x14, 0),
  eswitchManager: bitAt(0x14, 1),
  uar4k: bitAt(0x14, 2),
  pageRequestDisable: bitAt(0x14, 3),
  ethernet: bitAt(0x14, 4),
  roce: bitAt(0x14, 5),
  virtioNetQ: bitAt(0x14, 6),
  cqModeration: bitAt(0x14, 7),
  /** Ours: messages in memory. */
  ims: bitAt(0x14, 8),
  maxDynamicMsix: at(0x18, 15, 0),
  /** 1 + binary logarithm of the unicast addresses that a port may have beside its own. */
  logMaxMacs: at(0x18, 23, 16),
  /** Ours: messages in memory at most; all ones: memory alone limits them. */
  imsCapacity: at(0x1c),
  /** Ours: entries of the switch's table. */
  fdbEntries: at(0x20),
  /** Event queues of the function that the manager allows; 0: as `logMaxEq` says. */
  maxNumEqs: at(0x24),
} as const;

/** QUERY_PAGES: which, in the modifier; then how many in the output. */
export const PAGES = { boot: 1, init: 2, regular: 3, count: at(0x0c) } as const;
/** MANAGE_PAGES: what, in the modifier; addresses of pages from 0x10 on. */
export const MANAGE_PAGES = { cannotGive: 0, give: 1, take: 2, count: at(0x0c), outCount: at(0x08), pages: 0x10 } as const;
/** QUERY_ISSI, SET_ISSI. */
export const ISSI = { current: at(0x08, 15, 0), supported: at(0x6c), outBytes: 0x70 } as const;
/** INIT_HCA: 16 bytes that name the software. SET_DRIVER_VERSION: 64 bytes of text from 0x10 on. */
export const SW_OWNER_ID = 0x10;
/** SET_DRIVER_VERSION: its text. */
export const DRIVER_VERSION = { offset: 0x10, sizeBytes: 64 } as const;
/** TEARDOWN_HCA: in the modifier word. */
export const TEARDOWN = { profile: at(0x08, 15, 0), graceful: 0, force: 1, state: bitAt(0x0c, 0) } as const;

/** ACCESS_REG: writes a register, or reads it, by the modifier; what is in it comes after 16 bytes, in input and output. */
export const ACCESS_REG = { write: 0, read: 1, register: at(0x08, 15, 0), data: 0x10 } as const;
/** A register: how the firmware can be started anew, and that it is to be; one bit of {@link RESET_LEVELS} each. */
export const MFRL = { id: 0x9028, sizeBytes: 8, level: at(0x04, 7, 0) } as const;
/** While everything goes on; with a reset of the adapter; only when the machine is switched on again. */
export const RESET_LEVELS = { live: 0x01, reset: 0x08, reboot: 0x40 } as const;
/** A register: the version of the firmware that runs, or of that which waits to; 0: none does. 31:24 major, 23:16 minor, 15:0 sub-minor. */
export const MCQI = {
  id: 0x9061,
  sizeBytes: 0x20,
  pending: bitAt(0x00, 31),
  infoType: at(0x08, 4, 0),
  version: 1,
  word: at(0x1c),
} as const;
