/**
 * Intel Data Streaming Accelerator: copies, fills, compares and checks memory, by descriptors of 64 bytes.
 * @see Intel Data Streaming Accelerator Architecture Specification 2.0 (341204), chapters 8 and 9
 * @see Linux 6.12 drivers/dma/idxd/registers.h, include/uapi/linux/idxd.h
 *
 * ```
 *  BAR 0  0x0000  capabilities, control, command, errors, event log
 *         tables, where TABLE_OFFSETS says: GRPCFG WQCFG MSIX_PERM IMS
 *         0x2000  MSI-X table       0x3000  pending bits
 *  BAR 2  16 KiB a work queue: portals
 *         +0x0000 MSI-X unlimited   +0x1000 MSI-X limited   +0x2000 IMS unlimited   +0x3000 IMS limited
 * ```
 * Accesses of BAR 0 are of 1, 2, 4 or 8 bytes, aligned; where no register is reads 0. Portals read all ones.
 */
import { type FieldSpec, field, reg32, reg64 } from '../../core/hal/index.js';

const ro = (msb: number, lsb = msb): FieldSpec => field(msb, lsb, 'ro');

/** PCI identity: base system peripheral, other. */
export const DSA_VENDOR = 0x8086;
export const DSA_DEVICE = 0x0b25;
export const DSA_CLASS = 0x08_8000;
/** The line for a driver's table of devices. */
export const ID = { vendor: DSA_VENDOR, device: DSA_DEVICE };

/** BARs, 64-bit prefetchable memory: registers, and portals. */
export const REGISTERS_BAR = 0;
export const PORTALS_BAR = 2;
/** Least length of BAR 0 in bytes; more where the message store needs it. */
export const BAR_BYTES = 0x1_0000;
/** Where the MSI-X table and its pending bits are in BAR 0. */
export const MSIX_TABLE_OFFSET = 0x2000;
export const MSIX_PBA_OFFSET = 0x3000;

/** Bytes of BAR 2 for each work queue, and of one portal. The length of the BAR is rounded up to a power of two. */
export const PORTAL_STRIDE = 0x4000;
export const PORTAL_BYTES = 0x1000;
/** Bits of an offset in a queue's portals: handles are of the message store; for shared queues `threshold` is the limit. */
export const PORTAL_IMS = 0x2000;
export const PORTAL_LIMITED = 0x1000;

/** PCI Express extended capabilities that address spaces need, where real parts have them. */
export const ATS_CAP = { id: 0x0f, at: 0x220 };
export const PASID_CAP = { id: 0x1b, at: 0x230 };
export const PRI_CAP = { id: 0x13, at: 0x240 };
/** Designated vendor-specific capability of scalable I/O virtualization. */
export const SIOV_CAP = { id: 0x23, at: 0x200, dvsecId: 5 };

/** 15:8 major, 7:0 minor: 0x100 or 0x200. */
export const VERSION = reg32('VERSION', 0x00, { major: ro(15, 8), minor: ro(7, 0) });

/**
 * ```
 *  63         32  31   30    25 24   21 20   16  15    14 13  12 10    9      8     7  5   4     3     2     1     0
 * +-------------+----+--------+-------+-------+-----+------+-----+------+-------+-----+-----+-----+-----+-----+-----+
 * |      0      |conf|ims mult| batch | xfer  |b.con|evlog |  0  |drain | dest  |  0  | cmd |cache| mem |over-|block|
 * |             | en |        | shift | shift |     |      |     |readb.|readb. |     | cap | ctl | ctl | lap |fault|
 * +-------------+----+--------+-------+-------+-----+------+-----+------+-------+-----+-----+-----+-----+-----+-----+
 * ```
 * `evlSupport`: 0 none, else entries of 32 << n bytes. `imsMult`: slots of the message store, in units of 256.
 */
export const GENCAP = reg64('GENCAP', 0x10, {
  blockOnFault: ro(0),
  overlap: ro(1),
  cacheControlMemory: ro(2),
  cacheControlCache: ro(3),
  commandCap: ro(4),
  destinationReadback: ro(8),
  drainReadback: ro(9),
  evlSupport: ro(14, 13),
  batchContinuation: ro(15),
  maxTransferShift: ro(20, 16),
  maxBatchShift: ro(24, 21),
  imsMult: ro(30, 25),
  configurable: ro(31),
});
/** Slots for each step of `GENCAP.imsMult`. */
export const IMS_MULT = 256;

/**
 * ```
 *  63 56  55     54     53     52     51     50     49     48   47  28 27  24 23    16 15         0
 * +-----+-----+------+------+------+------+------+------+------+------+------+--------+------------+
 * |  0  | prs |op.cfg|occ.in| occ. | prio | ats  |dedic.|shared|   0  |cfg sz|  WQs   | total size |
 * +-----+-----+------+------+------+------+------+------+------+------+------+--------+------------+
 * ```
 * `configSize`: WQCFG of a queue has 32 << n bytes.
 */
export const WQCAP = reg64('WQCAP', 0x20, {
  totalSize: ro(15, 0),
  workQueues: ro(23, 16),
  configSize: ro(27, 24),
  shared: ro(48),
  dedicated: ro(49),
  atsDisable: ro(50),
  priority: ro(51),
  occupancy: ro(52),
  occupancyInterrupt: ro(53),
  opConfig: ro(54),
  prsDisable: ro(55),
});

/** 7:0 groups, 15:8 read buffers, 16 they can be controlled, 17 limited, 18 progress limits. */
export const GRPCAP = reg64('GRPCAP', 0x30, {
  groups: ro(7, 0),
  readBuffers: ro(15, 8),
  readBufferControl: ro(16),
  readBufferLimit: ro(17),
  progressLimit: ro(18),
});
/** How many engines there are. */
export const ENGCAP = reg64('ENGCAP', 0x38, { engines: ro(7, 0) });
/** The first of four: bit n of the 256, operation n. */
export const OPCAP = reg64('OPCAP', 0x40, {}, { mode: 'ro' });

/** Where the tables are in BAR 0, in units of {@link TABLE_UNIT}. There is no performance monitor. */
export const TABLE_OFFSETS = reg64('TABLE_OFFSETS', 0x60, {
  grpcfg: ro(15, 0),
  wqcfg: ro(31, 16),
  msixPerm: ro(47, 32),
  ims: ro(63, 48),
});
/** Bytes. */
export const TABLE_UNIT = 0x100;
/** 13 event log, 12 interrupts for unprivileged work, 7:0 limit of read buffers. Written only while the device is disabled. */
export const GENCFG = reg32('GENCFG', 0x80, { evlEnable: field(13), userInterrupts: field(12), readBufferLimit: field(7, 0) });
/** Which causes interrupt: 2 event log, 1 halt, 0 software error. */
export const GENCTRL = reg32('GENCTRL', 0x88, { evl: field(2), halt: field(1), softwareError: field(0) });
/** 3:2 the reset it needs when halted, 1:0 state. */
export const GENSTATUS = reg32('GENSTATUS', 0x90, { resetNeeded: ro(3, 2), state: ro(1, 0) });
/** `GENSTATUS.state`. */
export const STATES = { disabled: 0, enabled: 1, draining: 2, halted: 3 } as const;
/** `GENSTATUS.resetNeeded`. */
export const RESETS = { software: 0, flr: 1, warm: 2, cold: 3 } as const;
/** Why MSI-X message 0 was sent. */
export const INTCAUSE = reg32('INTCAUSE', 0x98, {
  handlesRevoked: field(31, 31, 'w1c'),
  evl: field(5, 5, 'w1c'),
  halt: field(4, 4, 'w1c'),
  perfmon: field(3, 3, 'w1c'),
  occupancy: field(2, 2, 'w1c'),
  command: field(1, 1, 'w1c'),
  error: field(0, 0, 'w1c'),
});

/**
 * ```
 *  31  30        25 24         20 19                          0
 * +---+------------+-------------+-----------------------------+
 * |irq|     0      |   command   |           operand           |
 * +---+------------+-------------+-----------------------------+
 * ```
 * `interrupt`: cause `command` when it is done. Not taken while another is active.
 */
export const CMD = reg32('CMD', 0xa0, {
  interrupt: field(31, 31, 'wo'),
  command: field(24, 20, 'wo'),
  operand: field(19, 0, 'wo'),
});
/** 31 active, 23:8 result, 7:0 error. */
export const CMDSTATUS = reg32('CMDSTATUS', 0xa8, { active: ro(31), result: ro(23, 8), error: ro(7, 0) });
/** Bit n: command n is known; counts with `GENCAP.commandCap`. */
export const CMDCAP = reg32('CMDCAP', 0xb0, {}, { mode: 'ro' });

const DEVICE_COMMANDS = { enableDevice: 1, disableDevice: 2, drainAll: 3, abortAll: 4, resetDevice: 5 } as const;
const WQ_COMMANDS = { enableWq: 6, disableWq: 7, drainWq: 8, abortWq: 9, resetWq: 10, drainPasid: 11, abortPasid: 12 } as const;
/** Commands. Those of several queues have a mask of 16 of them in bits 15:0, and which 16 in 19:16. */
export const COMMANDS = { ...DEVICE_COMMANDS, ...WQ_COMMANDS, requestHandle: 13, releaseHandle: 14 } as const;
/** In the operand of the last two: of the message store. */
export const HANDLE_IMS = 0x1_0000;

/** `CMDSTATUS.error`. */
export const ERRORS = {
  none: 0,
  command: 0x01,
  wqIndex: 0x02,
  hardware: 0x03,
  reserved: 0x04,
  deviceNotDisabled: 0x10,
  configuration: 0x11,
  busMaster: 0x12,
  prsAllocation: 0x13,
  wqSizes: 0x14,
  groupIncomplete: 0x15,
  groupWqs: 0x16,
  groupEngines: 0x17,
  readBuffers: 0x18,
  deviceDisabled: 0x20,
  wqNotDisabled: 0x21,
  wqSize: 0x22,
  wqPriority: 0x23,
  wqMode: 0x24,
  wqBlockOnFault: 0x25,
  wqPasid: 0x26,
  wqMaxBatch: 0x27,
  wqMaxTransfer: 0x28,
  wqPrivileged: 0x2a,
  wqOccupancyInterrupt: 0x2b,
  wqAts: 0x2c,
  deviceNotEnabled: 0x31,
  wqNotEnabled: 0x32,
  tableIndex: 0x41,
  noHandle: 0x42,
  noHandleForIndex: 0x43,
} as const;

/**
 * The first error, 256 bits. A later one sets `overflow`.
 * ```
 *  63 60 59      40 39     32 31 24 23   16 15    8  7    6     5     4     3     2     1     0
 * +-----+----------+---------+-----+-------+-------+---+------+-----+-----+-----+-----+-----+-----+
 * |  0  |  pasid   | opcode  |  0  |  wq   | error | 0 |privil|write|batch|wq ok|desc.|overf|valid|
 * +-----+----------+---------+-----+-------+-------+---+------+-----+-----+-----+-----+-----+-----+
 *  second: 63:32 invalid flags, 15:0 index in the batch       third: fault address       fourth: 0
 * ```
 */
export const SWERROR = reg64('SWERROR', 0xc0, {
  pasid: ro(59, 40),
  opcode: ro(39, 32),
  wq: ro(23, 16),
  error: ro(15, 8),
  privileged: ro(6),
  isWrite: ro(5),
  batch: ro(4),
  wqValid: ro(3),
  descriptorValid: ro(2),
  overflow: field(1, 1, 'w1c'),
  valid: field(0, 0, 'w1c'),
});
/** Its other three words of 64 bits. */
export const SWERROR_BATCH = reg64('SWERROR_BATCH', 0xc8, { flags: ro(63, 32), index: ro(15, 0) });
export const SWERROR_ADDRESS = reg64('SWERROR_ADDRESS', 0xd0, {}, { mode: 'ro' });
/** Errors beside the statuses of {@link STATUS}. */
export const SWERRORS = { pciConfiguration: 0x51, commandActive: 0x52 } as const;
/** The event log: where it is (4 KiB aligned), and its address space. Written only while it is off. */
export const EVLCFG = reg64('EVLCFG', 0xe0, { base: field(63, 12), privileged: field(1), pasidEnable: field(0) });
/** Entries, 64 to 65,535, and the PASID. */
export const EVLCFG_SIZE = reg64('EVLCFG_SIZE', 0xe8, { pasid: field(35, 16), size: field(15, 0) });
/** 62 interrupt pending, 47:32 tail (the device's), 15:0 head (software's): entry numbers. Full when the tail is just behind the head. */
export const EVLSTATUS = reg64('EVLSTATUS', 0xf0, { pending: field(62, 62, 'w1c'), tail: ro(47, 32), head: field(15, 0) });
/** Bytes from one message's permission to the next. */
export const MSIX_PERM_BYTES = 8;
/** For whom a message is: 31:12 PASID, 3 it counts, 2 anybody. At `TABLE_OFFSETS.msixPerm`. */
export const MSIX_PERM = reg32('MSIX_PERM', 0, { pasid: field(31, 12), pasidEnable: field(3), ignore: field(2) });

/** A group: which queues and engines work together; bytes from one to the next, and of its parts. At `TABLE_OFFSETS.grpcfg`. */
export const GRPCFG_BYTES = 64;
export const GRP_WQS = reg64('GRP_WQS', 0x00);
export const GRP_ENGINES = reg64('GRP_ENGINES', 0x20);
/**
 * ```
 *  63  38 37   36 35 34 33   32 31  28 27      20 19 16 15       8   7    6  5    3 2    0
 * +------+-------+-----+-------+------+----------+-----+----------+-----+---+------+------+
 * |  0   |batch l|  0  |desc. l|  0   | allowed  |  0  | reserved |limit| 0 | tc-b | tc-a |
 * +------+-------+-----+-------+------+----------+-----+----------+-----+---+------+------+
 * ```
 */
export const GRP_FLAGS = reg64('GRP_FLAGS', 0x28, {
  batchProgressLimit: field(37, 36),
  descriptorProgressLimit: field(33, 32),
  readBuffersAllowed: field(27, 20),
  readBuffersReserved: field(15, 8),
  useReadBufferLimit: field(7),
  trafficClassB: field(5, 3),
  trafficClassA: field(2, 0),
});

/** A work queue's configuration, `32 << WQCAP.configSize` bytes of it. At `TABLE_OFFSETS.wqcfg`. */
export const WQ_SIZE = reg32('WQ_SIZE', 0x00, { size: field(15, 0) });
/** Descriptors that a limited portal of a shared queue takes. */
export const WQ_THRESHOLD = reg32('WQ_THRESHOLD', 0x04, { threshold: field(15, 0) });
/**
 * ```
 *  31 30   29    28   27                   8 7        4    3     2     1     0
 * +-----+------+-----+----------------------+----------+-----+-----+-----+-----+
 * |  0  |privil|p.en.|        pasid         | priority |noprs|noats|block|dedic|
 * +-----+------+-----+----------------------+----------+-----+-----+-----+-----+
 * ```
 */
export const WQ_MODE = reg32('WQ_MODE', 0x08, {
  privileged: field(29),
  pasidEnable: field(28),
  pasid: field(27, 8),
  priority: field(7, 4),
  prsDisable: field(3),
  atsDisable: field(2),
  blockOnFault: field(1),
  dedicated: field(0),
});
/** Binary logarithms of what a batch may have of descriptors, and a transfer of bytes. */
export const WQ_LIMITS = reg32('WQ_LIMITS', 0x0c, { maxBatchShift: field(8, 5), maxTransferShift: field(4, 0) });
/** The message that tells of occupancy, and of how many descriptors; with `WQCAP.occupancyInterrupt`. */
export const WQ_OCCUPANCY_HANDLE = reg32('WQ_OCCUPANCY_HANDLE', 0x10, { ims: field(16), handle: field(15, 0) });
export const WQ_OCCUPANCY_LIMIT = reg32('WQ_OCCUPANCY_LIMIT', 0x14, { enable: field(16), limit: field(15, 0) });
/** 31:30 state: one of {@link WQ_STATES}; 15:0 descriptors in the queue. */
export const WQ_STATUS = reg32('WQ_STATUS', 0x18, { state: ro(31, 30), occupancy: ro(15, 0) });
/** `WQ_STATUS.state`. */
export const WQ_STATES = { disabled: 0, enabled: 1, busy: 2 } as const;
/** The first of eight words: the operations that the queue allows; with `WQCAP.opConfig`. */
export const WQ_OPERATIONS = reg32('WQ_OPERATIONS', 0x20);
/** Length of a descriptor, and of a completion record with its alignment, in bytes. */
export const DESCRIPTOR_BYTES = 64;
export const COMPLETION_BYTES = 32;

const COMMON_FIELDS = { pasid: 0, flags: 4, completion: 8, source: 16, destination: 24, size: 32, handle: 36 } as const;
const DELTA_FIELDS = { delta: 40, maxDeltaSize: 48, expectedMask: 56, deltaSize: 40 } as const;
const CRC_FIELDS = { crcSeed: 40, crcSeedAddress: 48 } as const;
const DIF_FIELDS = {
  difSourceFlags: 40,
  difDestinationFlags: 41,
  difFlags: 42,
  difSourceTags: 48,
  difDestinationTags: 56,
} as const;
const OTHER_FIELDS = { expected: 40, patternHigh: 40, destination2: 40, ...DELTA_FIELDS, ...CRC_FIELDS, ...DIF_FIELDS } as const;
/** Bytes of a descriptor where its fields begin; those from 40 on are the operation's own. */
export const DESCRIPTOR = { ...COMMON_FIELDS, ...OTHER_FIELDS } as const;
/** Bytes of a completion record. */
export const COMPLETION = { status: 0, result: 1, bytes: 4, faultAddress: 8, invalidFlags: 16, deltaSize: 16, crc: 16 } as const;

const CRC_FLAGS = { crcReadSeed: 0x1_0000, crcBypassInversion: 0x2_0000, crcBypassReflection: 0x4_0000 } as const;
const OWN_FLAGS = { ...CRC_FLAGS, fillPattern16: 0x1_0000, drainReadback1: 0x1_0000, drainReadback2: 0x2_0000 } as const;
/** Flags of a descriptor, bits 23:0 of its second word; the last ones mean something else for each operation. */
export const FLAGS = {
  fence: 0x1,
  blockOnFault: 0x2,
  completionValid: 0x4,
  requestCompletion: 0x8,
  requestInterrupt: 0x10,
  completionSteering: 0x20,
  checkResult: 0x80,
  cacheControl: 0x100,
  trafficClass1: 0x200,
  trafficClass2: 0x400,
  trafficClass3: 0x800,
  trafficClassCompletion: 0x1000,
  strictOrdering: 0x2000,
  destinationReadback: 0x4000,
  destinationSteering: 0x8000,
  ...OWN_FLAGS,
} as const;

/** Operations, bits 31:24 of the second word. */
export const OPCODES = {
  noop: 0x00,
  batch: 0x01,
  drain: 0x02,
  move: 0x03,
  fill: 0x04,
  compare: 0x05,
  comparePattern: 0x06,
  createDelta: 0x07,
  applyDelta: 0x08,
  dualcast: 0x09,
  crc: 0x10,
  copyCrc: 0x11,
  difCheck: 0x12,
  difInsert: 0x13,
  difStrip: 0x14,
  difUpdate: 0x15,
  cacheFlush: 0x20,
} as const;

/** How a descriptor ended; bit 7, {@link STATUS_WRITE}, is added to a page fault of a write. */
export const STATUS = {
  none: 0x00,
  success: 0x01,
  predicate: 0x02,
  pageFault: 0x03,
  pageRequest: 0x04,
  batchFailed: 0x05,
  batchPageFault: 0x06,
  deltaOrder: 0x07,
  deltaOffset: 0x08,
  dif: 0x09,
  opcode: 0x10,
  flags: 0x11,
  reserved: 0x12,
  transferSize: 0x13,
  descriptorCount: 0x14,
  deltaSize: 0x15,
  overlap: 0x16,
  dualcast: 0x17,
  listAlignment: 0x18,
  handle: 0x19,
  completionFault: 0x1a,
  completionAlignment: 0x1b,
  addressAlignment: 0x1c,
  privilege: 0x1d,
  trafficClass: 0x1e,
  readbackFault: 0x1f,
  hardware: 0x20,
} as const;
/** The fault was of a write. */
export const STATUS_WRITE = 0x80;

/** DIF blocks by `difFlags` bits 1:0, without the {@link DIF_BYTES} that follow each; its other bits, and those of source and destination. */
export const DIF_BLOCKS = [512, 520, 4096, 4104] as const;
export const DIF_BYTES = 8;
export const DIF_FLAGS = { crcSeed: 0x4, crcInvert: 0x8, fixedReference: 0x80 } as const;
