import { type Field, type Mmio, type Reg, getField, regAt } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';

/** Words of the bitmap of operations: 256 bits. */
export const OPERATION_WORDS = 8;
const WORD_BYTES = 4;

/** What a device can do, and where its tables are: read once, at probe. */
export interface Caps {
  /** 15:8 major, 7:0 minor. */
  readonly version: number;
  /** GENCAP as it was read, low word first. */
  readonly genCap: Uint32Array;
  readonly blockOnFault: boolean;
  /** Bit n: command n is known; undefined for a device that does not tell. */
  readonly commands: number | undefined;
  /** Bytes of an entry of the event log; 0 for none. */
  readonly eventBytes: number;
  /** Bytes of one transfer, and descriptors of one batch: powers of two. */
  readonly maxTransferBytes: number;
  readonly maxBatch: number;
  /** Slots of the message store. */
  readonly imsSlots: number;
  /** Whether queues and groups can be configured. */
  readonly isConfigurable: boolean;
  /** Descriptors of all queues together. */
  readonly totalSize: number;
  readonly workQueues: number;
  /** Words of 32 bits of a queue's configuration. */
  readonly wqWords: number;
  readonly hasShared: boolean;
  readonly hasDedicated: boolean;
  readonly hasAtsDisable: boolean;
  readonly hasPrsDisable: boolean;
  readonly hasOccupancy: boolean;
  readonly hasOpConfig: boolean;
  readonly groups: number;
  readonly readBuffers: number;
  readonly hasReadBufferControl: boolean;
  readonly hasReadBufferLimit: boolean;
  readonly hasProgressLimit: boolean;
  readonly engines: number;
  /** Bit n of the 256: operation n. */
  readonly operations: Uint32Array;
  /** Where the tables are, in bytes from the start of BAR 0. */
  readonly grpcfgAt: number;
  readonly wqcfgAt: number;
  readonly msixPermAt: number;
  readonly imsAt: number;
}

/** Reads each register once. @see Linux 6.12 drivers/dma/idxd/init.c idxd_read_caps, idxd_read_table_offsets */
export function readCaps(regs: Mmio, version: number): Caps {
  const gen = new Word64(regs, DSA.GENCAP);
  const { GENCAP, WQCAP, GRPCAP, TABLE_OFFSETS } = DSA;
  const commands = gen.has(GENCAP.fields.commandCap) ? regs.read(DSA.CMDCAP) : undefined;
  const grp = new Word64(regs, GRPCAP);
  const engines = new Word64(regs, DSA.ENGCAP).get(DSA.ENGCAP.fields.engines);
  const wq = new Word64(regs, WQCAP);
  const operations = new Uint32Array(OPERATION_WORDS);
  for (let word = 0; word < OPERATION_WORDS; word += 2) {
    operations.set(new Word64(regs, regAt(DSA.OPCAP, word, WORD_BYTES)).words, word);
  }
  const tables = new Word64(regs, TABLE_OFFSETS);
  const evl = gen.get(GENCAP.fields.evlSupport);
  return {
    version,
    genCap: gen.words,
    blockOnFault: gen.has(GENCAP.fields.blockOnFault),
    commands,
    eventBytes: evl === 0 ? 0 : 32 << evl,
    maxTransferBytes: 2 ** gen.get(GENCAP.fields.maxTransferShift),
    maxBatch: 2 ** gen.get(GENCAP.fields.maxBatchShift),
    imsSlots: gen.get(GENCAP.fields.imsMult) * DSA.IMS_MULT,
    isConfigurable: gen.has(GENCAP.fields.configurable),
    totalSize: wq.get(WQCAP.fields.totalSize),
    workQueues: wq.get(WQCAP.fields.workQueues),
    wqWords: 8 << wq.get(WQCAP.fields.configSize),
    hasShared: wq.has(WQCAP.fields.shared),
    hasDedicated: wq.has(WQCAP.fields.dedicated),
    hasAtsDisable: wq.has(WQCAP.fields.atsDisable),
    hasPrsDisable: wq.has(WQCAP.fields.prsDisable),
    hasOccupancy: wq.has(WQCAP.fields.occupancy),
    hasOpConfig: wq.has(WQCAP.fields.opConfig),
    groups: grp.get(GRPCAP.fields.groups),
    readBuffers: grp.get(GRPCAP.fields.readBuffers),
    hasReadBufferControl: grp.has(GRPCAP.fields.readBufferControl),
    hasReadBufferLimit: grp.has(GRPCAP.fields.readBufferLimit),
    hasProgressLimit: grp.has(GRPCAP.fields.progressLimit),
    engines,
    operations,
    grpcfgAt: tables.get(TABLE_OFFSETS.fields.grpcfg) * DSA.TABLE_UNIT,
    wqcfgAt: tables.get(TABLE_OFFSETS.fields.wqcfg) * DSA.TABLE_UNIT,
    msixPermAt: tables.get(TABLE_OFFSETS.fields.msixPerm) * DSA.TABLE_UNIT,
    imsAt: tables.get(TABLE_OFFSETS.fields.ims) * DSA.TABLE_UNIT,
  };
}

/** The value of a register of 64 bits, read once; no field of these crosses its middle. */
class Word64 {
  readonly words = new Uint32Array(2);

  constructor(regs: Mmio, reg: Reg) {
    regs.read64(reg.offset, this.words);
  }

  get({ msb, lsb, ...field }: Field): number {
    const half = lsb >>> 5;
    return getField({ ...field, msb: msb - 32 * half, lsb: lsb - 32 * half }, this.words[half]!);
  }

  has(field: Field): boolean {
    return this.get(field) === 1;
  }
}
