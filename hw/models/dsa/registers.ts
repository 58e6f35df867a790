import type { Window } from '../../../core/hal/index.js';
import * as DSA from '../../regs/dsa.js';
import type { DsaDevice } from './device.js';

const ONES = 0xffff_ffff;
/** Every bit of a word is written. */
const WHOLE = -1;
/** Bytes before the tables. */
const FIXED_BYTES = 0x100;

/**
 * BAR 0. Every access is made of words: a narrower one reads and writes a part of its word, one of 8 bytes two words. Where no
 * register is reads 0; what can only be read takes no writes.
 */
export class Registers implements Window {
  readonly sizeBytes: number;
  readonly #device: DsaDevice;

  constructor(device: DsaDevice) {
    this.#device = device;
    this.sizeBytes = device.profile.barBytes;
  }

  read8(offset: number): number {
    return this.#decodes(offset, 1) ? (this.#read(offset & ~3) >>> (8 * (offset & 3))) & 0xff : 0xff;
  }
  read16(offset: number): number {
    return this.#decodes(offset, 2) ? (this.#read(offset & ~3) >>> (8 * (offset & 3))) & 0xffff : 0xffff;
  }
  read32(offset: number): number {
    return this.#decodes(offset, 4) ? this.#read(offset) >>> 0 : ONES;
  }
  read64(offset: number, out: Uint32Array): void {
    const isDecoded = this.#decodes(offset, 8);
    out[0] = isDecoded ? this.#read(offset) : ONES;
    out[1] = isDecoded ? this.#read(offset + 4) : ONES;
  }
  write8(offset: number, value: number): void {
    const shift = 8 * (offset & 3);
    if (this.#decodes(offset, 1)) this.#write(offset & ~3, value << shift, 0xff << shift);
  }
  write16(offset: number, value: number): void {
    const shift = 8 * (offset & 3);
    if (this.#decodes(offset, 2)) this.#write(offset & ~3, value << shift, 0xffff << shift);
  }
  write32(offset: number, value: number): void {
    if (this.#decodes(offset, 4)) this.#write(offset, value, WHOLE);
  }
  write64(offset: number, lo: number, hi: number): void {
    if (!this.#decodes(offset, 8)) return;
    this.#write(offset, lo, WHOLE);
    this.#write(offset + 4, hi, WHOLE);
  }

  #decodes(offset: number, bytes: number): boolean {
    return offset >= 0 && offset + bytes <= this.sizeBytes && offset % bytes === 0;
  }

  #read(offset: number): number {
    const device = this.#device;
    if (offset >= FIXED_BYTES) return this.#readTable(offset);
    switch (offset) {
      case DSA.GENCFG.offset:
        return device.config;
      case DSA.GENCTRL.offset:
        return device.interrupts.control;
      case DSA.GENSTATUS.offset:
        return device.state | (device.resetNeeded << DSA.GENSTATUS.fields.resetNeeded.lsb);
      case DSA.INTCAUSE.offset:
        return device.interrupts.causes;
      case DSA.CMDSTATUS.offset:
        return device.commands.status;
      case DSA.EVLSTATUS.offset:
        return device.errors.head;
      case DSA.EVLSTATUS.offset + 4:
        return device.errors.tailWord;
    }
    if (offset >= DSA.SWERROR.offset && offset < DSA.EVLCFG.offset) {
      return device.errors.register[(offset - DSA.SWERROR.offset) / 4]!;
    }
    if (offset >= DSA.EVLCFG.offset && offset < DSA.EVLSTATUS.offset) {
      return device.errors.readConfig((offset - DSA.EVLCFG.offset) / 4);
    }
    return device.profile.fixed[offset / 4]!;
  }

  #write(offset: number, value: number, mask: number): void {
    const device = this.#device;
    if (offset >= FIXED_BYTES) {
      this.#writeTable(offset, value, mask);
      return;
    }
    switch (offset) {
      case DSA.GENCFG.offset:
        device.writeConfig(value, mask);
        return;
      case DSA.GENCTRL.offset:
        device.interrupts.writeControl(value, mask);
        return;
      case DSA.INTCAUSE.offset:
        device.interrupts.acknowledge(value & mask);
        return;
      case DSA.CMD.offset:
        if (mask === WHOLE) device.commands.write(value >>> 0);
        else device.context.log.guestError('a part of CMD written: must be all 4 bytes');
        return;
      case DSA.SWERROR.offset:
        device.errors.acknowledge(value & mask);
        return;
      case DSA.EVLSTATUS.offset:
        device.errors.writeHead(value, mask);
        return;
      case DSA.EVLSTATUS.offset + 4:
        device.errors.acknowledgeLog(value & mask);
        return;
    }
    if (offset >= DSA.EVLCFG.offset && offset < DSA.EVLSTATUS.offset) {
      device.errors.writeConfig((offset - DSA.EVLCFG.offset) / 4, value, mask);
    }
  }

  #readTable(offset: number): number {
    const { profile, tables, interrupts, queues } = this.#device;
    const wqcfg = offset - profile.wqcfgAt;
    if (wqcfg >= 0 && wqcfg < tables.wqcfgBytes) {
      const wq = queues[tables.statusOf(wqcfg)];
      if (wq === undefined) return tables.readWqcfg(wqcfg);
      return (wq.state << DSA.WQ_STATUS.fields.state.lsb) | wq.occupancy;
    }
    const grpcfg = offset - profile.grpcfgAt;
    if (grpcfg >= 0 && grpcfg < tables.grpcfgBytes) return tables.readGrpcfg(grpcfg);
    const perm = offset - profile.msixPermAt;
    if (perm >= 0 && perm < tables.permBytes) return tables.readPerm(perm);
    const ims = offset - profile.imsAt;
    return interrupts.slots.has(ims) ? interrupts.slots.read32(ims) : 0;
  }

  #writeTable(offset: number, value: number, mask: number): void {
    const { profile, tables, interrupts } = this.#device;
    const wqcfg = offset - profile.wqcfgAt;
    const grpcfg = offset - profile.grpcfgAt;
    const perm = offset - profile.msixPermAt;
    const ims = offset - profile.imsAt;
    if (wqcfg >= 0 && wqcfg < tables.wqcfgBytes) tables.writeWqcfg(wqcfg, value, mask);
    else if (grpcfg >= 0 && grpcfg < tables.grpcfgBytes) tables.writeGrpcfg(grpcfg, value, mask);
    else if (perm >= 0 && perm < tables.permBytes) tables.writePerm(perm, value, mask);
    else if (interrupts.slots.has(ims)) {
      interrupts.slots.write32(ims, ((interrupts.slots.read32(ims) & ~mask) | (value & mask)) >>> 0);
    }
  }
}
