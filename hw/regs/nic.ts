/**
 * An Ethernet adapter in the manner of the ConnectX family: a command queue in memory, event and completion queues, work queues with
 * doorbells on pages, sub-functions. What Linux's mlx5 driver shows of the real device is kept; what is this project's own says so.
 * @see Linux 7.2 include/linux/mlx5/device.h, include/linux/mlx5/mlx5_ifc.h
 *
 * ```
 *  BAR 0  0x0000      initialisation segment
 *         0x2000      MSI-X table        0x3000  pending bits
 *         n * 0x1000  UAR page n, n >= 4
 *  BAR 2  n << (LOG_MIN_SF_SIZE + 12)  window of sub-function n
 *         +0x0000     its initialisation segment
 *         +m * 0x1000 its UAR page m, m >= 1
 *  BAR 4  0x0000      MSI-X table of more than 256 entries, 0x8000 its pending bits
 * ```
 * Registers of the initialisation segment, command descriptors and mailboxes are big-endian: the values here are those of the words, and
 * `reg32` of the segment gives them byte-swapped (see {@link swap32}). Queues in memory, doorbell records and UAR registers are
 * little-endian: this project's own choice. Absent registers read 0.
 */
import { field, reg32 } from '../../core/hal/index.js';

/** PCI identity. The subsystem says that it is simulated. */
export const NIC_VENDOR = 0x15b3;
/** That of a ConnectX-6 Dx. */
export const NIC_DEVICE = 0x101d;
/** Network controller, Ethernet. */
export const NIC_CLASS = 0x02_0000;
/** Ours. */
export const NIC_SUBSYSTEM = { vendor: 0xbac0, device: 0x0003 };
/** The line for a driver's table of devices. */
export const ID = { vendor: NIC_VENDOR, device: NIC_DEVICE };

/** BARs, 64-bit prefetchable memory: registers, and the windows of sub-functions. */
export const REGISTERS_BAR = 0;
/** Only where the profile has sub-functions. */
export const WINDOWS_BAR = 2;
/** Length of BAR 0 in bytes: 16 MiB. */
export const BAR_BYTES = 0x100_0000;
/** Where the MSI-X table is in BAR 0, in bytes. */
export const MSIX_TABLE_OFFSET = 0x2000;
/** Where its pending bits are in BAR 0, in bytes. */
export const MSIX_PBA_OFFSET = 0x3000;
/** Entries that fit in front of the pending bits. With more, both are in {@link MSIX_BAR}. */
export const MSIX_NEAR = 256;
/** Entries at most. */
export const MSIX_MAX = 2048;
/** Only where there are more than {@link MSIX_NEAR} entries: table and pending bits, and nothing else. */
export const MSIX_BAR = 4;
/** Where they are in it, and its length, all in bytes. */
export const MSIX_FAR = { table: 0, pba: 0x8000, sizeBytes: 0x1_0000 } as const;
/** Bytes of a UAR page, and of the pages that commands are given. */
export const PAGE_BYTES = 0x1000;
/** The first page of BAR 0 that is a UAR, and of a window. */
export const FIRST_UAR = 4;
/** The first page of a window that is a UAR. */
export const FIRST_SF_UAR = 1;
/** A window has `1 << (LOG_MIN_SF_SIZE + 12)` bytes. */
export const LOG_MIN_SF_SIZE = 4;
/** The hardware number of the first sub-function; those of the others follow. */
export const SF_BASE_ID = 0x8000;
/** Sub-functions at most. */
export const SFS_MAX = 1024;

/** The bytes of a word in the other order: what a register of the initialisation segment says. */
export const swap32 = (word: number): number =>
  ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;

// Initialisation segment

/** Firmware: 15:0 major, 31:16 minor. */
export const FW_REV = reg32('FW_REV', 0x0, {}, { mode: 'ro' });
/** 31:16 revision of the command interface, {@link CMDIF_REV}; 15:0 sub-minor of the firmware. */
export const CMDIF_REV_FW_SUB = reg32('CMDIF_REV_FW_SUB', 0x4, {}, { mode: 'ro' });
/** The revision of the command interface that this page is about. */
export const CMDIF_REV = 5;
/** Address of the command queue: bits 63:32, then 31:12. */
export const CMDQ_ADDR_HI = reg32('CMDQ_ADDR_HI', 0x10);
/** 31:12 address; read: 7:4 binary logarithm of the slots, 3:0 that of a descriptor's bytes; 9:8 mode of the interface. */
export const CMDQ_ADDR_LO = reg32('CMDQ_ADDR_LO', 0x14);
/** Write 1 << slot: the descriptor of that slot is the hardware's. */
export const CMD_DOORBELL = reg32('CMD_DOORBELL', 0x18, {}, { mode: 'wo' });
/** Bit 31: the firmware starts; nothing else works meanwhile. */
export const INITIALIZING = reg32('INITIALIZING', 0x1fc, {}, { mode: 'ro' });
/** Of {@link INITIALIZING}. */
export const INITIALIZING_BIT = 0x8000_0000;
/** The health buffer: 64 bytes, of which these words are used. */
export const HEALTH = {
  offset: 0x200,
  sizeBytes: 64,
  /** Words of the assertion that failed. */
  assertVars: 0x200,
  firmware: 0x230,
  hardware: 0x234,
  /** 31:24 irisc index, 23:16 syndrome, 15:0 its extension. */
  syndrome: 0x23c,
} as const;
/** What `HEALTH.syndrome` says. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/health.c hsynd_str */
export const SYNDROMES = {
  none: 0x00,
  firmware: 0x01,
  irisc: 0x07,
  unrecoverable: 0x08,
  crc: 0x09,
  /** What a queue or a message is in cannot be reached. */
  fetch: 0x0a,
  fatalHardware: 0x0b,
  eqOverrun: 0x0c,
  eqError: 0x0d,
  eqInvalid: 0x0e,
  ffser: 0x0f,
  temperature: 0x10,
} as const;
/** Milliseconds that a command may take. */
export const CMD_EXEC_TO = reg32('CMD_EXEC_TO', 0xff8, {}, { mode: 'ro' });
/** Milliseconds that the start of the command queue may take. */
export const CMD_Q_INIT_TO = reg32('CMD_Q_INIT_TO', 0xffc, {}, { mode: 'ro' });
/** Nanoseconds, 64 bits. */
export const INTERNAL_TIMER_HI = reg32('INTERNAL_TIMER_HI', 0x1000, {}, { mode: 'ro' });
/** Bits 31:0 of it. */
export const INTERNAL_TIMER_LO = reg32('INTERNAL_TIMER_LO', 0x1004, {}, { mode: 'ro' });
/** Grows while the firmware is alive. */
export const HEALTH_COUNTER = reg32('HEALTH_COUNTER', 0x1010, {}, { mode: 'ro' });

// A UAR page. Only whole registers are written; what is read is 0.

/** 64 bits: {@link CQ_ARM_WORD}, then the number of the queue in bits 55:32. */
export const UAR_CQ_ARM = 0x20;
/** 32 bits: 31:24 number of the event queue, 23:0 its consumer index. Arms it. */
export const UAR_EQ_ARM = 0x40;
/** Likewise, without arming. */
export const UAR_EQ_CI = 0x48;
/** Ours. 32 bits: the number of an event queue whose message in memory was changed or unmasked. */
export const UAR_INTR_KICK = 0x50;
/** Ours. 32 bits: likewise the number of a completion queue that has a message of its own. */
export const UAR_CQ_KICK = 0x54;
/** 64 bits, four of them: the first two words of the last control segment of a send queue. */
export const UAR_SQ_DOORBELLS = [0x800, 0xa00, 0xc00, 0xe00] as const;

/** 29:28 sequence number, 24 solicited only, 23:0 consumer index. Also the second word of a completion queue's doorbell record. */
export const CQ_ARM_WORD = reg32('CQ_ARM_WORD', 0, { sn: field(29, 28), solicited: field(24), ci: field(23, 0) });
/** The second word of that record at creation. */
export const CQ_ARM_INITIAL = 2 << 28;
/** Words of doorbell records. */
export const CQ_RECORD = { consumer: 0, arm: 4, sizeBytes: 8 } as const;
/** Doorbell record of a work queue: two counts of entries, 16 bits each. */
export const WQ_RECORD = { receive: 0, send: 4, sizeBytes: 8 } as const;

// Queues in memory: little-endian, entries of 64 bytes

/** An event. The device writes `owner` last: the parity of how often it has been round, 0 at first; all are 1 before. */
export const EQE = {
  sizeBytes: 64,
  type: 0x01,
  subType: 0x03,
  data: 0x20,
  /** `completion`: 23:0 of this word. */
  cqn: 0x38,
  /** `command`: a bit for each slot that is done. */
  slots: 0x20,
  /** `pageRequest`: 16 bits, then a signed number of pages. */
  pageFunction: 0x22,
  pageCount: 0x24,
  /** `portChange`: the number of the port in bits 7:4. */
  port: 0x28,
  /** `cqError`: 23:0 of this word, then a byte. */
  errorCqn: 0x20,
  errorSyndrome: 0x2b,
  /** `vhcaState`: 16 bits. */
  vhcaFunction: 0x22,
  signature: 0x3e,
  owner: 0x3f,
} as const;

/** Types of events. @see Linux 7.2 include/linux/mlx5/device.h enum mlx5_event */
export const EVENTS = {
  completion: 0x00,
  cqError: 0x04,
  wqCatastrophic: 0x05,
  internalError: 0x08,
  portChange: 0x09,
  command: 0x0a,
  pageRequest: 0x0b,
  vportChange: 0x0d,
  eswitchFunctions: 0x0e,
  vhcaState: 0x0f,
  wqInvalidRequest: 0x10,
  wqAccess: 0x11,
  temperature: 0x17,
  general: 0x22,
} as const;
/** Numbers that a type can have. */
export const EVENT_TYPES = 0x100;
/** `portChange`: what has become of it. */
export const PORT_SUBTYPES = { down: 1, active: 4 } as const;
/** `cqError`: what it is. */
export const CQ_ERROR_OVERRUN = 1;
/** Its memory cannot be accessed. */
export const CQ_ERROR_ACCESS = 2;

/** A completion. The device writes `opOwn` last: bit 0 as `EQE.owner`, 7:4 what it is. All are {@link CQE_INITIAL} before. */
export const CQE = {
  sizeBytes: 64,
  rssHash: 0x0c,
  checksum: 0x14,
  flags: 0x18,
  /** Ours: of a packet that has come to a representor's queue: 15:0 the port it is from. */
  sourceVport: 0x24,
  byteCount: 0x2c,
  timestampLo: 0x30,
  timestampHi: 0x34,
  /** Of an error. */
  vendorSyndrome: 0x36,
  syndrome: 0x37,
  /** 31:24 opcode of what was sent, 23:0 the queue. */
  opcodeQueue: 0x38,
  /** 16 bits: which entry of the work queue. */
  wqeCounter: 0x3c,
  signature: 0x3e,
  opOwn: 0x3f,
} as const;
/** `CQE.opOwn` of an entry that the device has not written yet. */
export const CQE_INITIAL = 0xf1;
/** 7:4 of `CQE.opOwn`. */
export const CQE_OPCODES = {
  sent: 0,
  received: 2,
  resize: 5,
  signatureError: 12,
  sendError: 13,
  receiveError: 14,
  invalid: 15,
} as const;
/** `CQE.syndrome`. @see Linux 7.2 include/linux/mlx5/cq.h */
export const CQE_SYNDROMES = {
  localLength: 0x01,
  localQueue: 0x02,
  protection: 0x04,
  flushed: 0x05,
  badResponse: 0x10,
  localAccess: 0x11,
  aborted: 0x22,
} as const;

/**
 * A send work queue has units of 64 bytes. An entry: a control segment, an Ethernet segment, data segments; 16 bytes each.
 *
 * ```
 *  control   0x0  31:24 modifier, 23:8 index of the entry, 7:0 opcode
 *            0x4  31:8 the queue, 7:0 segments in all
 *            0x8  31:24 flags: 8 completion wanted
 *  Ethernet  0x10 to 0x1f  0
 *  data      0x0  bytes      0x4  key: 0      0x8  address 31:0      0xc  address 63:32
 * ```
 */
export const WQE = {
  unitBytes: 64,
  segmentBytes: 16,
  indexOpcode: 0x0,
  queueSegments: 0x4,
  flags: 0x8,
  ethernet: 0x10,
  data: 0x20,
} as const;
/** 7:0 of `WQE.indexOpcode`. */
export const WQE_OPCODES = { nop: 0x00, send: 0x0a } as const;
/** Bits of `WQE.flags`. */
export const WQE_CQ_UPDATE = 8 << 24;
/** A data segment; an entry of a receive queue is nothing but these. */
export const DATA = { sizeBytes: 16, byteCount: 0x0, key: 0x4, addressLo: 0x8, addressHi: 0xc } as const;

/** Bytes of a frame without its checksum: 14 of header, MTU, a tag. */
export const FRAME = { minBytes: 14, headerBytes: 14, tagBytes: 4, defaultMtu: 1500, maxMtu: 9978 } as const;
