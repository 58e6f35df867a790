import { PCI } from '../../../core/hal/index.js';
import { Errno, checkRange } from '../../../core/lib/index.js';
import { type EndpointConfig, aer, msix, pcie, powerManagement, rawExtended } from '../../endpoint/index.js';
import * as NIC from '../../regs/nic.js';
import type { StoredFirmware } from './firmware.js';
import { CMD, CMD_SLOTS_MAX } from '../../regs/nic-commands.js';

/** Messages in memory without a limit of the device's own. */
export const UNLIMITED = 0xffff_ffff;
/** Binary logarithms of what a function may have: `QUERY_HCA_CAP` tells them. */
export const LOG_MAX = { eq: 6, cq: 16, sq: 16, rq: 16, tir: 16, cqSize: 22, wqSize: 15, rqtSize: 11, macs: 7 } as const;
export const MAX_EQS = 2 ** LOG_MAX.eq;
/** Entries of an event queue at most, as a binary logarithm. */
export const LOG_MAX_EQ_SIZE = 22;
export const FDB_ENTRIES = 2 ** 16;

/** Pages of memory that the firmware of a function asks for: to start, and to be initialised. */
export interface FirmwarePages {
  readonly boot: number;
  readonly init: number;
}

/** What an adapter has. All times are microseconds of the clock. */
export interface NicProfile {
  /** Sub-functions, 0 to 1024; default 16. */
  readonly sfs?: number;
  /** Entries of the MSI-X table, 1 to 2048; default 64. More than 256 are in a BAR of their own. */
  readonly msix?: number;
  /** Messages in memory, 0 to {@link UNLIMITED}; default 0: it has none. */
  readonly imsCapacity?: number;
  /** Time that the firmware takes to start; default 0. */
  readonly initUs?: number;
  /** That of a sub-function, when it is enabled; default 0. */
  readonly sfInitUs?: number;
  /** Time that a command takes; a function does one at a time, and one about pages beside it. Default 5. */
  readonly commandUs?: number;
  /** Time between two steps of the health counter; default 1000. */
  readonly healthUs?: number;
  /** Time that a packet takes beside that of its bytes; default 0.02. */
  readonly packetUs?: number;
  /** Bytes of packets that are moved in a microsecond; default 12500: 100 Gbit/s. */
  readonly bytesPerUs?: number;
  /** Default 16 and 64. */
  readonly pages?: FirmwarePages;
  /** Of a sub-function; default 1 and 4. */
  readonly sfPages?: FirmwarePages;
  /** Whether it asks for pages by events; default true. */
  readonly pageRequests?: boolean;
  /** Firmware that waits to run; default none. */
  readonly storedFirmware?: StoredFirmware;
  /** Revision of the command interface; default the one that drivers know. */
  readonly commandRevision?: number;
  /** Binary logarithms of the slots of a command queue and of the bytes of a descriptor; default 5 and 6. */
  readonly logSlots?: number;
  readonly logStride?: number;
}

/** A {@link NicProfile} with its defaults, and checked. */
export class NicSettings implements Required<Omit<NicProfile, 'storedFirmware'>> {
  readonly sfs: number;
  readonly msix: number;
  readonly imsCapacity: number;
  readonly initUs: number;
  readonly sfInitUs: number;
  readonly commandUs: number;
  readonly healthUs: number;
  readonly packetUs: number;
  readonly bytesPerUs: number;
  readonly pages: FirmwarePages;
  readonly sfPages: FirmwarePages;
  readonly pageRequests: boolean;
  readonly storedFirmware: StoredFirmware | undefined;
  readonly commandRevision: number;
  readonly logSlots: number;
  readonly logStride: number;

  /** @throws {Errno} ERANGE for what cannot be */
  constructor(profile: NicProfile) {
    this.sfs = profile.sfs ?? 16;
    this.msix = profile.msix ?? 64;
    this.imsCapacity = profile.imsCapacity ?? 0;
    this.initUs = profile.initUs ?? 0;
    this.sfInitUs = profile.sfInitUs ?? 0;
    this.commandUs = profile.commandUs ?? 5;
    this.healthUs = profile.healthUs ?? 1000;
    this.packetUs = profile.packetUs ?? 0.02;
    this.bytesPerUs = profile.bytesPerUs ?? 12_500;
    this.pages = profile.pages ?? { boot: 16, init: 64 };
    this.sfPages = profile.sfPages ?? { boot: 1, init: 4 };
    this.pageRequests = profile.pageRequests ?? true;
    this.storedFirmware = profile.storedFirmware;
    this.commandRevision = profile.commandRevision ?? NIC.CMDIF_REV;
    this.logSlots = profile.logSlots ?? Math.log2(CMD_SLOTS_MAX);
    this.logStride = profile.logStride ?? Math.log2(CMD.sizeBytes);
    checkRange('nic', 'sfs', this.sfs, 0, NIC.SFS_MAX);
    checkRange('nic', 'msix', this.msix, 1, NIC.MSIX_MAX);
    checkRange('nic', 'imsCapacity', this.imsCapacity, 0, UNLIMITED);
    checkRange('nic', 'commandRevision', this.commandRevision, 0, 0xffff);
    const [major, minor, subMinor] = this.storedFirmware?.version ?? [0, 0, 0];
    checkRange('nic', 'the major version of firmware', major, 0, 0xff);
    checkRange('nic', 'the minor version of firmware', minor, 0, 0xff);
    checkRange('nic', 'the sub-minor version of firmware', subMinor, 0, 0xffff);
    checkRange('nic', 'logSlots', this.logSlots, 1, 15);
    checkRange('nic', 'logStride', this.logStride, 6, 15);
    for (const { boot, init } of [this.pages, this.sfPages]) {
      checkRange('nic', 'pages to start', boot, 0, 0xffff);
      checkRange('nic', 'pages to be initialised', init, 0, 0xffff);
    }
    const isTime = (us: number): boolean => us >= 0 && Number.isFinite(us);
    const { initUs, sfInitUs, commandUs, healthUs } = this;
    if (![initUs, sfInitUs, commandUs, healthUs].every(isTime) || healthUs === 0) {
      const times = `${initUs} and ${sfInitUs} us to start, ${commandUs} us a command, ${healthUs} us a step of health`;
      throw new Errno('ERANGE', `nic: ${times}: must be 0 or more, the last above 0`);
    }
    if (!isTime(this.packetUs) || !(this.bytesPerUs > 0)) {
      throw new Errno(
        'ERANGE',
        `nic: a packet in ${this.packetUs} us, ${this.bytesPerUs} bytes in a us: must be a time, and a rate`,
      );
    }
  }

  /** What its configuration space declares. */
  get config(): EndpointConfig {
    const isFar = this.msix > NIC.MSIX_NEAR;
    const bar = isFar ? NIC.MSIX_BAR : NIC.REGISTERS_BAR;
    const windows = 2 ** Math.ceil(Math.log2(this.sfs)) * SF_WINDOW_BYTES;
    return {
      vendor: NIC.NIC_VENDOR,
      device: NIC.NIC_DEVICE,
      classCode: NIC.NIC_CLASS,
      subsystem: NIC.NIC_SUBSYSTEM,
      bars: {
        [NIC.REGISTERS_BAR]: { kind: 'mem64', sizeBytes: NIC.BAR_BYTES, prefetch: true },
        ...(this.sfs > 0 && { [NIC.WINDOWS_BAR]: { kind: 'mem64', sizeBytes: windows, prefetch: true } }),
        ...(isFar && { [NIC.MSIX_BAR]: { kind: 'mem64', sizeBytes: NIC.MSIX_FAR.sizeBytes, prefetch: true } }),
      },
      capabilities: [
        pcie({ flr: true }),
        msix({
          vectors: this.msix,
          table: { bar, offset: isFar ? NIC.MSIX_FAR.table : NIC.MSIX_TABLE_OFFSET },
          pba: { bar, offset: isFar ? NIC.MSIX_FAR.pba : NIC.MSIX_PBA_OFFSET },
        }),
        powerManagement(),
      ],
      extended: [
        aer(),
        // Requests are aligned to pages; its control has the enable bit and the smallest unit.
        rawExtended(PCI.EXT_ATS, 1, words(0x0000_0020), words(0x801f_0000)),
        // 20 bits.
        rawExtended(PCI.EXT_PASID, 1, words(0x0000_1400), words(0x0001_0000)),
        // Stopped; 512 outstanding requests, of which software allots.
        rawExtended(PCI.EXT_PRI, 1, words(0x0100_0000, 0x200, 0), words(0x0000_0001, 0, 0xffff_ffff)),
      ],
    };
  }
}

/** Bytes of the window of a sub-function. */
export const SF_WINDOW_BYTES = 1 << (NIC.LOG_MIN_SF_SIZE + 12);

function words(...values: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => bytes.setUint32(4 * i, value, true));
  return new Uint8Array(bytes.buffer);
}
