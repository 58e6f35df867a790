import * as NIC from '../../regs/nic.js';
import type { NicFunction } from './function.js';

/** Milliseconds. */
const CMD_EXEC_LIMIT = 60_000;
const CMD_Q_INIT_LIMIT = 2000;
const HEALTH_END = NIC.HEALTH.offset + NIC.HEALTH.sizeBytes;

/** Reads a word of the initialisation segment of a function; of none, it says that the firmware is not there yet. */
export function readSegment(fn: NicFunction | undefined, offset: number): number {
  return NIC.swap32(fn === undefined ? readNothing(offset) : readWord(fn, offset));
}

/** Writes a word of the initialisation segment. @returns false where no register takes it */
export function writeSegment(fn: NicFunction, offset: number, value: number): boolean {
  const word = NIC.swap32(value);
  switch (offset) {
    case NIC.CMDQ_ADDR_HI.offset:
      fn.commands.addressHi = word;
      break;
    case NIC.CMDQ_ADDR_LO.offset:
      fn.commands.writeAddressLo(word);
      break;
    case NIC.CMD_DOORBELL.offset:
      fn.commands.doorbell(word);
      break;
    default:
      return false;
  }
  return true;
}

function readNothing(offset: number): number {
  return offset === NIC.INITIALIZING.offset ? NIC.INITIALIZING_BIT : 0;
}

function readWord(fn: NicFunction, offset: number): number {
  const { settings, clock, firmware } = fn.device;
  switch (offset) {
    case NIC.FW_REV.offset:
      return firmware.running[1] * 2 ** 16 + firmware.running[0];
    case NIC.CMDIF_REV_FW_SUB.offset:
      return settings.commandRevision * 2 ** 16 + firmware.running[2];
    case NIC.CMDQ_ADDR_HI.offset:
      return fn.commands.addressHi;
    case NIC.CMDQ_ADDR_LO.offset:
      return fn.commands.addressLo | (fn.commands.mode << 8) | (settings.logSlots << 4) | settings.logStride;
    case NIC.INITIALIZING.offset:
      return fn.isActive && fn.isReady ? 0 : NIC.INITIALIZING_BIT;
    case NIC.CMD_EXEC_TO.offset:
      return CMD_EXEC_LIMIT;
    case NIC.CMD_Q_INIT_TO.offset:
      return CMD_Q_INIT_LIMIT;
    case NIC.INTERNAL_TIMER_HI.offset:
      return Math.floor((clock.now() * 1000) / 2 ** 32);
    case NIC.INTERNAL_TIMER_LO.offset:
      return (clock.now() * 1000) % 2 ** 32;
    case NIC.HEALTH_COUNTER.offset:
      return fn.health.counter;
    default:
      return offset >= NIC.HEALTH.offset && offset < HEALTH_END ? fn.health.word(offset) : 0;
  }
}
