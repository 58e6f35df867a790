import { PCI, type Reg, wordOf } from '../../../core/hal/index.js';
import { Errno, checkRange, isPowerOfTwo } from '../../../core/lib/index.js';
import {
  type Capability,
  type EndpointConfig,
  type ExtendedCapability,
  aer,
  msix,
  pcie,
  powerManagement,
  rawExtended,
} from '../../endpoint/index.js';
import * as DSA from '../../regs/dsa.js';

/** What a part has. The defaults are a part that Linux 6.12 and 7.2 drive. */
export interface DsaProfile {
  /** 1 to 128; default 8. */
  readonly workQueues?: number;
  /** 1 to 64; default 4. */
  readonly engines?: number;
  /** 1 to 64; default 4. */
  readonly groups?: number;
  /** Descriptors in all queues together, 1 to 65,535; default 128. */
  readonly wqSizeTotal?: number;
  /** 0 to 255; default 96. */
  readonly readBuffers?: number;
  /** Descriptors of one batch: a power of two up to 2^15; default 1024. */
  readonly maxBatch?: number;
  /** Bytes of one transfer: a power of two up to 2^31, which is the default. */
  readonly maxTransfer?: number;
  /** 1 to 256; default one more than there are queues. */
  readonly msixVectors?: number;
  /** Slots of the message store in units of 256, 0 to 63; default 1. */
  readonly imsMult?: number;
  /** Bytes of an entry of the event log, 0 for none; default 64. A Linux before 6.13 must find one. */
  readonly eventLog?: 0 | 64 | 128 | 256;
  /** Queues may wait for pages that are missing; default false. */
  readonly blockOnFault?: boolean;
  /** Moves may overlap; default true. */
  readonly overlap?: boolean;
  /** It creates and applies delta records; default false, as with real parts. */
  readonly delta?: boolean;
  /** Address spaces: ATS, PASID and PRI are declared; default false. Shared queues need it. */
  readonly pasid?: boolean;
  /** Each queue may be told which operations it allows; default false. */
  readonly opConfig?: boolean;
  /** The commands, bit n for command n; default no such register, and commands 1 to 12. 0x7ffe is with interrupt handles. */
  readonly commandCap?: number;
  /** All queues, dedicated and of equal size, and all engines are in group 0, and stay there; default false. */
  readonly readOnlyConfig?: boolean;
  /** 0x100 or 0x200; default 0x100. */
  readonly version?: number;
  /** Time that a descriptor takes, whatever it does, in microseconds, above 0; default 0.1. */
  readonly descriptorUs?: number;
  /** Bytes that one engine handles in a microsecond, above 0; default 30,000. */
  readonly bytesPerUs?: number;
}

/** Commands of a part that has no register to tell them: 1 to 12. */
const PLAIN_COMMANDS = 0x1ffe;
/** Operations of a real part, and those that others have. */
const OPERATIONS = [0x003f_027f, 0x0000_0001] as const;
const DELTA_OPERATIONS = (1 << DSA.OPCODES.createDelta) | (1 << DSA.OPCODES.applyDelta);
const TABLE_DEFAULTS = { msixPerm: 0x300, grpcfg: 0x400, wqcfg: 0x800, ims: 0x8000 } as const;
/** Where a table goes that is too long for its usual place. */
const TABLE_LARGE = { msixPerm: 0x1000, grpcfg: 0x4000, wqcfg: 0x6000 } as const;
/** Words of the register space before the tables. */
const FIXED_WORDS = 0x40;

/** A part, checked and worked out. */
export class Profile {
  readonly workQueues: number;
  readonly engines: number;
  readonly groups: number;
  readonly totalSize: number;
  readonly readBuffers: number;
  readonly maxBatchShift: number;
  readonly maxTransferShift: number;
  readonly vectors: number;
  readonly imsSlots: number;
  readonly eventBytes: number;
  readonly blockOnFault: boolean;
  readonly overlap: boolean;
  readonly pasid: boolean;
  readonly opConfig: boolean;
  readonly isReadOnly: boolean;
  /** Bit n: command n is known. */
  readonly commands: number;
  readonly descriptorUs: number;
  readonly bytesPerUs: number;
  /** Words of a queue's configuration. */
  readonly wqWords: number;
  readonly msixPermAt: number;
  readonly grpcfgAt: number;
  readonly wqcfgAt: number;
  readonly imsAt: number;
  readonly barBytes: number;
  readonly portalBarBytes: number;
  /** The registers that never change, by word; zero elsewhere. */
  readonly fixed = new Uint32Array(FIXED_WORDS);

  /** @throws {Errno} ERANGE, EINVAL for a part that cannot be */
  constructor(options: DsaProfile) {
    const { workQueues = 8, engines = 4, groups = 4, wqSizeTotal = 128, readBuffers = 96, imsMult = 1 } = options;
    const { msixVectors = workQueues + 1, version = 0x100, descriptorUs = 0.1, bytesPerUs = 30_000 } = options;
    checkRange('dsa', 'workQueues', workQueues, 1, 128);
    checkRange('dsa', 'engines', engines, 1, 64);
    checkRange('dsa', 'groups', groups, 1, 64);
    checkRange('dsa', 'wqSizeTotal', wqSizeTotal, 1, 0xffff);
    checkRange('dsa', 'readBuffers', readBuffers, 0, 0xff);
    checkRange('dsa', 'msixVectors', msixVectors, 1, 256);
    checkRange('dsa', 'imsMult', imsMult, 0, 63);
    checkRange('dsa', 'commandCap', options.commandCap ?? PLAIN_COMMANDS, 0, 0x7fff);
    if (version !== 0x100 && version !== 0x200) throw new Errno('EINVAL', `dsa: version ${version}, must be 0x100 or 0x200`);
    if (!(descriptorUs > 0 && bytesPerUs > 0 && Number.isFinite(descriptorUs))) {
      throw new Errno('ERANGE', `dsa: ${descriptorUs} us a descriptor, ${bytesPerUs} bytes a us: must be above 0`);
    }
    this.workQueues = workQueues;
    this.engines = engines;
    this.groups = groups;
    this.totalSize = wqSizeTotal;
    this.readBuffers = readBuffers;
    this.maxBatchShift = shiftOf('maxBatch', options.maxBatch ?? 1024, 15);
    this.maxTransferShift = shiftOf('maxTransfer', options.maxTransfer ?? 2 ** 31, 31);
    this.vectors = msixVectors;
    this.imsSlots = imsMult * DSA.IMS_MULT;
    this.eventBytes = options.eventLog ?? 64;
    this.blockOnFault = options.blockOnFault === true;
    this.overlap = options.overlap !== false;
    this.pasid = options.pasid === true;
    this.opConfig = options.opConfig === true;
    this.isReadOnly = options.readOnlyConfig === true;
    this.commands = options.commandCap ?? PLAIN_COMMANDS;
    this.descriptorUs = descriptorUs;
    this.bytesPerUs = bytesPerUs;
    this.wqWords = this.opConfig ? 16 : 8;
    this.msixPermAt = msixVectors * DSA.MSIX_PERM_BYTES <= 0x100 ? TABLE_DEFAULTS.msixPerm : TABLE_LARGE.msixPerm;
    this.grpcfgAt = groups * DSA.GRPCFG_BYTES <= 0x400 ? TABLE_DEFAULTS.grpcfg : TABLE_LARGE.grpcfg;
    this.wqcfgAt = workQueues * this.wqWords * 4 <= 0x800 ? TABLE_DEFAULTS.wqcfg : TABLE_LARGE.wqcfg;
    this.imsAt = TABLE_DEFAULTS.ims;
    this.barBytes = Math.max(DSA.BAR_BYTES, powerOfTwo(this.imsAt + this.imsSlots * 16));
    this.portalBarBytes = powerOfTwo(workQueues * DSA.PORTAL_STRIDE);
    this.#layOut(options, version);
  }

  #layOut(options: DsaProfile, version: number): void {
    this.fixed[DSA.VERSION.offset / 4] = version;
    this.#put(DSA.GENCAP, {
      blockOnFault: this.blockOnFault ? 1 : 0,
      overlap: this.overlap ? 1 : 0,
      cacheControlMemory: 1,
      commandCap: options.commandCap === undefined ? 0 : 1,
      destinationReadback: 1,
      evlSupport: this.eventBytes === 0 ? 0 : Math.log2(this.eventBytes / 32),
      maxTransferShift: this.maxTransferShift,
      maxBatchShift: this.maxBatchShift,
      imsMult: this.imsSlots / DSA.IMS_MULT,
      configurable: this.isReadOnly ? 0 : 1,
    });
    this.#put(DSA.WQCAP, {
      totalSize: this.totalSize,
      workQueues: this.workQueues,
      configSize: this.opConfig ? 1 : 0,
      shared: 1,
      dedicated: 1,
      priority: 1,
      occupancy: 1,
      opConfig: this.opConfig ? 1 : 0,
    });
    const { groups, readBuffers } = this;
    this.#put(DSA.GRPCAP, { groups, readBuffers, readBufferControl: 1, readBufferLimit: 1 });
    this.#put(DSA.ENGCAP, { engines: this.engines });
    this.fixed[DSA.OPCAP.offset / 4] = options.delta === true ? OPERATIONS[0] | DELTA_OPERATIONS : OPERATIONS[0];
    this.fixed[DSA.OPCAP.offset / 4 + 1] = OPERATIONS[1];
    this.#put(DSA.TABLE_OFFSETS, {
      grpcfg: this.grpcfgAt / DSA.TABLE_UNIT,
      wqcfg: this.wqcfgAt / DSA.TABLE_UNIT,
      msixPerm: this.msixPermAt / DSA.TABLE_UNIT,
      ims: this.imsSlots === 0 ? 0 : this.imsAt / DSA.TABLE_UNIT,
    });
    this.fixed[DSA.CMDCAP.offset / 4] = options.commandCap ?? 0;
  }

  /** Lays down a register of 64 bits; no field of these crosses the middle. */
  #put<F extends string>(reg: Reg<F>, values: { readonly [K in F]?: number }): void {
    for (const name in values) {
      const { lsb } = reg.fields[name];
      const word = reg.offset / 4 + (lsb >>> 5);
      this.fixed[word] = this.fixed[word]! + (values[name] ?? 0) * 2 ** (lsb & 31);
    }
  }

  /** Whether the part knows an operation. */
  knows(opcode: number): boolean {
    return ((this.fixed[DSA.OPCAP.offset / 4 + (opcode >>> 5)]! >>> (opcode & 31)) & 1) !== 0;
  }

  /** What its configuration space declares. */
  get config(): EndpointConfig {
    const bar = DSA.REGISTERS_BAR;
    const capabilities: Capability[] = [
      pcie({ at: 0x40, type: 'integrated', flr: true }),
      msix({
        at: 0x80,
        vectors: this.vectors,
        table: { bar, offset: DSA.MSIX_TABLE_OFFSET },
        pba: { bar, offset: DSA.MSIX_PBA_OFFSET },
      }),
      powerManagement({ at: 0x90 }),
    ];
    return {
      vendor: DSA.DSA_VENDOR,
      device: DSA.DSA_DEVICE,
      classCode: DSA.DSA_CLASS,
      bars: {
        [DSA.REGISTERS_BAR]: { kind: 'mem64', sizeBytes: this.barBytes, prefetch: true },
        [DSA.PORTALS_BAR]: { kind: 'mem64', sizeBytes: this.portalBarBytes, prefetch: true },
      },
      capabilities,
      extended: this.pasid ? addressSpaces() : [],
    };
  }
}

function shiftOf(what: string, value: number, max: number): number {
  if (!isPowerOfTwo(value) || value > 2 ** max) {
    throw new Errno('ERANGE', `dsa: ${what} is ${value}, must be a power of two up to ${2 ** max}`);
  }
  return Math.log2(value);
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}

/** The PASID capability's control register, from its start; its bits are {@link PASID_ENABLE} and {@link PASID_PRIVILEGED}. */
export const PASID_CONTROL = 6;
export const PASID_ENABLE = 1;
export const PASID_PRIVILEGED = 4;

/** Extended capabilities as real parts have them. */
function addressSpaces(): ExtendedCapability[] {
  const siov = words(0x0180_8086, DSA.SIOV_CAP.dvsecId, 0, 0, 1);
  return [
    aer({ at: PCI.CONFIG_BYTES }),
    // Vendor and length, id, page sizes, and that it has a message store.
    rawExtended(DSA.SIOV_CAP.id, 1, siov, undefined, DSA.SIOV_CAP.at),
    // Requests are aligned to pages; its control has the enable bit and the smallest unit.
    rawExtended(DSA.ATS_CAP.id, 1, words(0x0000_0020), words(0x801f_0000), DSA.ATS_CAP.at),
    // 20 bits, privileged mode, no execute permission.
    rawExtended(DSA.PASID_CAP.id, 1, words(0x0000_1404), words(0x0005_0000), DSA.PASID_CAP.at),
    // Stopped; 512 outstanding requests, of which software allots.
    rawExtended(DSA.PRI_CAP.id, 1, words(0x0100_0000, 0x200, 0), words(0x0000_0001, 0, 0xffff_ffff), DSA.PRI_CAP.at),
  ];
}

function words(...values: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => bytes.setUint32(4 * i, value, true));
  return new Uint8Array(bytes.buffer);
}

/** Bits of a register's word that software can write. */
export function writableOf(reg: Reg, base: 0 | 32 = 0): number {
  return wordOf(reg, base).masks.rw;
}
