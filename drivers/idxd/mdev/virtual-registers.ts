import { PCI, getField, packFields } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { VirtualCommands } from './virtual-commands.js';
import { VIRTUAL_MSIX_PBA, VIRTUAL_MSIX_TABLE, VIRTUAL_VECTORS } from './virtual-config.js';
import { PRESET_BYTES, VIRTUAL_MSIX_PERM, VIRTUAL_WQCFG, type VirtualHost } from './virtual-profile.js';

const { INTCAUSE, SWERROR } = DSA;
const CAUSE_ERROR = packFields(INTCAUSE, { error: 1 });
const CAUSE_REVOKED = packFields(INTCAUSE, { handlesRevoked: 1 });
const CAUSE_HALT = packFields(INTCAUSE, { halt: 1 });
const SWERROR_BITS = packFields(SWERROR, { valid: 1, overflow: 1 });
const SWERROR_WORDS = 8;
const GENCFG_BITS = packFields(DSA.GENCFG, { evlEnable: 1, userInterrupts: 1, readBufferLimit: 0xff });
const GENCTRL_BITS = packFields(DSA.GENCTRL, { evl: 1, halt: 1, softwareError: 1 });
const EVL_HEAD_BITS = packFields(DSA.EVLSTATUS, { head: 0xffff });
const PERM_BITS = 0xffff_f00d;
const WQ_MODE = VIRTUAL_WQCFG + DSA.WQ_MODE.offset;
const WQ_STATUS = VIRTUAL_WQCFG + DSA.WQ_STATUS.offset;
/** What of a queue software may say: its mode, and whose memory it works in. */
const WQ_MODE_BITS = 0xffff_ff01;
const ENTRY_MASK = packFields(PCI.MSIX_ENTRY_CONTROL, { mask: 1 });
const ALL = 0xffff_ffff;

/**
 * BAR 0 of a virtual device: what is read was written there, by software or by the emulation; what is written has the rules of the
 * real device. Behind it are its commands.
 */
export class VirtualRegisters {
  readonly commands: VirtualCommands;
  readonly #host: VirtualHost;
  readonly #words = new Uint32Array(PRESET_BYTES / 4);
  /** Message 0 is masked in the table. Who keeps the table himself, as QEMU does, never writes there, and masks himself. */
  #isMasked = false;

  constructor(host: VirtualHost) {
    this.#host = host;
    this.commands = new VirtualCommands(this, host);
    this.#start();
  }

  /** As after power on. */
  reset(): void {
    this.#host.handle.forget();
    this.#start();
  }

  #start(): void {
    this.#words.fill(0);
    this.#words.set(this.#host.preset);
    this.#isMasked = false;
    for (let vector = 0; vector < VIRTUAL_VECTORS; vector++) this.#set(controlOf(vector), ENTRY_MASK);
  }

  /** As the device's own command: its messages stay as they are. */
  resetDevice(): void {
    const messages = this.#words.slice(VIRTUAL_MSIX_TABLE / 4);
    const isMasked = this.#isMasked;
    this.reset();
    this.#isMasked = isMasked;
    this.#words.set(messages, VIRTUAL_MSIX_TABLE / 4);
  }

  // For the commands

  get deviceState(): number {
    return this.#get(DSA.GENSTATUS.offset);
  }
  set deviceState(state: number) {
    this.#set(DSA.GENSTATUS.offset, state);
  }
  get isQueueEnabled(): boolean {
    return getField(DSA.WQ_STATUS.fields.state, this.#get(WQ_STATUS)) === DSA.WQ_STATES.enabled;
  }
  set isQueueEnabled(on: boolean) {
    const { state } = DSA.WQ_STATUS.fields;
    const value = on ? DSA.WQ_STATES.enabled : DSA.WQ_STATES.disabled;
    this.#set(WQ_STATUS, (this.#get(WQ_STATUS) & ~(3 << state.lsb)) | (value << state.lsb));
  }
  get queueMode(): number {
    return this.#get(WQ_MODE);
  }
  /** As it is of the real one. */
  get presetMode(): number {
    return this.#host.preset[WQ_MODE / 4]!;
  }
  /** Whether there is such a command. */
  knows(command: number): boolean {
    return ((this.#get(DSA.CMDCAP.offset) >>> command) & 1) === 1;
  }
  set commandStatus(value: number) {
    this.#set(DSA.CMDSTATUS.offset, value);
  }

  /** The queue's configuration is as at first. */
  resetQueue(): void {
    for (let at = VIRTUAL_WQCFG; at < WQ_STATUS; at += 4) this.#set(at, this.#host.preset[at / 4]!);
  }

  /** Adds a cause of message 0, and sends that. */
  raise(cause: number): void {
    this.#set(INTCAUSE.offset, this.#get(INTCAUSE.offset) | cause);
    this.#set(VIRTUAL_MSIX_PBA, 1);
    this.sendPending();
  }

  /** Its interrupt handles are worth nothing any more: they are to be asked for anew. */
  handlesRevoked(): void {
    this.raise(CAUSE_REVOKED);
  }

  /** It has halted: nothing goes on before a reset. */
  halt(): void {
    this.isQueueEnabled = false;
    this.deviceState = DSA.STATES.halted;
    if (getField(DSA.GENCTRL.fields.halt, this.#get(DSA.GENCTRL.offset)) === 1) this.raise(CAUSE_HALT);
  }

  /** An error of no descriptor: one of `SWERRORS`. */
  deviceError(code: number): void {
    const words = new Uint32Array(SWERROR_WORDS);
    words[0] = code << SWERROR.fields.error.lsb;
    this.softwareError(words);
  }

  /** An error; the first that nobody has acknowledged stays. @param words of SWERROR, without its state */
  softwareError(words: Uint32Array): void {
    const at = SWERROR.offset / 4;
    const first = this.#words[at]!;
    if (getField(SWERROR.fields.valid, first) === 1) {
      this.#words[at] = first | packFields(SWERROR, { overflow: 1 });
    } else {
      this.#words.set(words.subarray(0, SWERROR_WORDS), at);
      this.#words[at] = (words[0]! & ~SWERROR_BITS) | packFields(SWERROR, { valid: 1 });
    }
    if (getField(DSA.GENCTRL.fields.softwareError, this.#get(DSA.GENCTRL.offset)) === 1) this.raise(CAUSE_ERROR);
  }

  /** Sends message 0 if it is pending, and not masked. Message 1 does not pass here: who has the device masks it where it arrives. */
  sendPending(): void {
    if (this.#get(VIRTUAL_MSIX_PBA) === 0 || this.#isMasked || this.#host.isMasked) return;
    this.#set(VIRTUAL_MSIX_PBA, 0);
    this.#host.signal();
  }

  // For software

  /** @param bytes 1, 2 or 4, which `offset` is a multiple of */
  read(offset: number, bytes: number): number {
    if (offset >= PRESET_BYTES) return 0;
    const value = this.#get(offset & ~3) >>> (8 * (offset & 3));
    return bytes === 4 ? value : value & (2 ** (8 * bytes) - 1);
  }

  write(offset: number, bytes: number, value: number): void {
    if (offset >= PRESET_BYTES) return;
    const shift = 8 * (offset & 3);
    const mask = bytes === 4 ? ALL : (2 ** (8 * bytes) - 1) << shift;
    this.#write(offset & ~3, (value << shift) >>> 0, mask);
  }

  #write(offset: number, value: number, mask: number): void {
    switch (offset) {
      case DSA.GENCFG.offset:
        if (this.deviceState === DSA.STATES.disabled) this.#merge(offset, value, mask & GENCFG_BITS);
        return;
      case DSA.GENCTRL.offset:
        this.#merge(offset, value, mask & GENCTRL_BITS);
        return;
      case INTCAUSE.offset:
        this.#set(offset, this.#get(offset) & ~(value & mask));
        return;
      case DSA.CMD.offset:
        if (mask === ALL) this.commands.write(value);
        return;
      case SWERROR.offset:
        this.#set(offset, this.#get(offset) & ~(value & mask & SWERROR_BITS));
        return;
      case WQ_MODE:
        if (!this.isQueueEnabled) this.#merge(offset, value, mask & WQ_MODE_BITS);
        return;
    }
    // Nothing is ever logged: work without a PASID, as all of it is, has the error register.
    if (offset === DSA.EVLSTATUS.offset) this.#merge(offset, value, mask & EVL_HEAD_BITS);
    else if (isLogConfig(offset)) this.#mergeLogConfig(offset, value, mask);
    else if (isEntry(offset)) this.#writeEntry(offset, value, mask);
    else if (isPermission(offset)) this.#merge(offset, value, mask & PERM_BITS);
  }

  #mergeLogConfig(offset: number, value: number, mask: number): void {
    if (getField(DSA.GENCFG.fields.evlEnable, this.#get(DSA.GENCFG.offset)) === 0) this.#merge(offset, value, mask);
  }

  #writeEntry(offset: number, value: number, mask: number): void {
    this.#merge(offset, value, mask);
    if (offset !== controlOf(0)) return;
    this.#isMasked = (this.#get(offset) & ENTRY_MASK) !== 0;
    this.sendPending();
  }

  #get(offset: number): number {
    return this.#words[offset / 4]!;
  }
  #set(offset: number, value: number): void {
    this.#words[offset / 4] = value;
  }
  #merge(offset: number, value: number, mask: number): void {
    this.#set(offset, (this.#get(offset) & ~mask) | (value & mask));
  }
}

const controlOf = (vector: number): number => VIRTUAL_MSIX_TABLE + vector * PCI.MSIX_ENTRY_BYTES + PCI.MSIX_ENTRY_CONTROL.offset;

const isLogConfig = (offset: number): boolean => offset >= DSA.EVLCFG.offset && offset < DSA.EVLSTATUS.offset;

const isEntry = (offset: number): boolean =>
  offset >= VIRTUAL_MSIX_TABLE && offset < VIRTUAL_MSIX_TABLE + VIRTUAL_VECTORS * PCI.MSIX_ENTRY_BYTES;

const isPermission = (offset: number): boolean =>
  offset % DSA.MSIX_PERM_BYTES === 0 &&
  offset >= VIRTUAL_MSIX_PERM &&
  offset < VIRTUAL_MSIX_PERM + VIRTUAL_VECTORS * DSA.MSIX_PERM_BYTES;
