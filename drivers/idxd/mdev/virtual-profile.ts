import { bit, packFields } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import type { CommandResult } from '../commands.js';
import type { Wq } from '../wq.js';

/** Where the tables of a virtual device are in its BAR 0. */
export const VIRTUAL_MSIX_PERM = 0x300;
const VIRTUAL_GRPCFG = 0x400;
export const VIRTUAL_WQCFG = 0x500;
const VIRTUAL_IMS = 0x1000;
/** Bytes of BAR 0 that are not always 0. */
export const PRESET_BYTES = 0x800;

const { commandCap, configurable, imsMult, blockOnFault } = DSA.GENCAP.fields;
const IMS_MULT_MASK = (2 ** (imsMult.msb - imsMult.lsb + 1) - 1) << imsMult.lsb;
/** Not so of what is virtual: pages are not waited for, there is no store for messages, and what is there is fixed. */
const GENCAP_CLEARED = bit(blockOnFault.lsb) | IMS_MULT_MASK | bit(configurable.lsb);
const HANDLE_COMMANDS = bit(DSA.COMMANDS.requestHandle) | bit(DSA.COMMANDS.releaseHandle);
/** What a device that does not tell its commands has, and all that are emulated. */
const PLAIN_COMMANDS = 0x1ffe;
const EMULATED_COMMANDS = PLAIN_COMMANDS | HANDLE_COMMANDS;
/** In the status of a queue: its mode can be chosen. */
const MODE_CONFIGURABLE = bit(29);

/** The handle of message 1, by which descriptors ask for it. */
export interface VirtualHandle {
  /** Asks for it: `status` says when there is none, because nobody wants the message. */
  request(): Promise<CommandResult>;
  /** Gives it back. @returns false for one that was not given out */
  release(handle: number): boolean;
  /** Gives back what was given out, if anything was. */
  forget(): void;
}

/** What a virtual device asks of the part of the real one that it stands for. Its answers are `CMDSTATUS.error`s of the real commands. */
export interface VirtualHost {
  /** BAR 0 at first: {@link PRESET_BYTES} of it. */
  readonly preset: Uint32Array;
  /** Whether it may reach memory. */
  readonly isMaster: boolean;
  /** Whether its messages are masked, all of them. */
  readonly isMasked: boolean;
  readonly handle: VirtualHandle;
  /** Sends message 0. */
  signal(): void;
  enableQueue(): Promise<number>;
  /** Ends its work, and then the queue. */
  disableQueue(): Promise<number>;
  drainQueue(): Promise<number>;
  abortQueue(): Promise<number>;
}

/** BAR 0 of the virtual device of a queue, which has that queue alone, in one group with the engines of the real one. */
export function virtualPreset(wq: Wq): Uint32Array {
  const { caps } = wq.idxd;
  const words = new Uint32Array(PRESET_BYTES / 4);
  const set = (offset: number, value: number): void => void (words[offset / 4] = value);
  const isDedicated = wq.mode === 'dedicated' ? 1 : 0;
  const engines = wq.idxd.engines.filter((engine) => engine.groupId === wq.groupId).length;
  set(DSA.VERSION.offset, caps.version);
  set(DSA.GENCAP.offset, (caps.genCap[0]! & ~GENCAP_CLEARED) | bit(commandCap.lsb));
  set(DSA.GENCAP.offset + 4, caps.genCap[1]!);
  const { shared, dedicated } = DSA.WQCAP.fields;
  set(DSA.WQCAP.offset, wq.size | bit(DSA.WQCAP.fields.workQueues.lsb));
  set(DSA.WQCAP.offset + 4, bit((isDedicated === 1 ? dedicated : shared).lsb - 32));
  set(DSA.GRPCAP.offset, packFields(DSA.GRPCAP, { groups: 1 }));
  set(DSA.ENGCAP.offset, engines);
  words.set(wq.opConfig, DSA.OPCAP.offset / 4);
  set(DSA.TABLE_OFFSETS.offset, (VIRTUAL_GRPCFG / DSA.TABLE_UNIT) | ((VIRTUAL_WQCFG / DSA.TABLE_UNIT) << 16));
  set(DSA.TABLE_OFFSETS.offset + 4, (VIRTUAL_MSIX_PERM / DSA.TABLE_UNIT) | ((VIRTUAL_IMS / DSA.TABLE_UNIT) << 16));
  set(DSA.CMDCAP.offset, ((caps.commands ?? PLAIN_COMMANDS) & EMULATED_COMMANDS) | HANDLE_COMMANDS);
  set(VIRTUAL_GRPCFG + DSA.GRP_WQS.offset, 1);
  for (let i = 0; i < engines; i++) words[(VIRTUAL_GRPCFG + DSA.GRP_ENGINES.offset) / 4 + (i >>> 5)]! |= 1 << (i & 31);
  set(VIRTUAL_WQCFG + DSA.WQ_SIZE.offset, wq.size);
  set(VIRTUAL_WQCFG + DSA.WQ_THRESHOLD.offset, wq.threshold);
  set(VIRTUAL_WQCFG + DSA.WQ_MODE.offset, packFields(DSA.WQ_MODE, { dedicated: isDedicated, priority: wq.priority }));
  const limits = { maxTransferShift: Math.log2(wq.maxTransferBytes), maxBatchShift: Math.log2(wq.maxBatch) };
  set(VIRTUAL_WQCFG + DSA.WQ_LIMITS.offset, packFields(DSA.WQ_LIMITS, limits));
  set(VIRTUAL_WQCFG + DSA.WQ_STATUS.offset, MODE_CONFIGURABLE);
  return words;
}
