import { CAPS, CAPS_BYTES } from '../../regs/nic-commands.js';
import { LOG_MIN_SF_SIZE, SF_BASE_ID } from '../../regs/nic.js';
import { setWord } from '../../regs/nic-words.js';
import type { NicFunction } from './function.js';
import { FDB_ENTRIES, LOG_MAX } from './options.js';

const PORTS = 1;
const LOG_BF_REG_SIZE = 9;

/** The words of `CAPS`: what a function can have at most, or has now. */
export function capabilitiesOf(fn: NicFunction, isCurrent: boolean): Uint32Array {
  const words = new Uint32Array(CAPS_BYTES / 4);
  const { settings } = fn.device;
  const { isManager } = fn;
  const set = (field: (typeof CAPS)[keyof typeof CAPS], value: number | boolean): void => setWord(words, field, Number(value));
  set(CAPS.vhcaId, fn.id);
  set(CAPS.logMaxEq, LOG_MAX.eq);
  set(CAPS.logMaxCq, LOG_MAX.cq);
  set(CAPS.logMaxSq, LOG_MAX.sq);
  set(CAPS.logMaxRq, LOG_MAX.rq);
  set(CAPS.logMaxCqSize, LOG_MAX.cqSize);
  set(CAPS.logMaxWqSize, LOG_MAX.wqSize);
  set(CAPS.logMaxTir, LOG_MAX.tir);
  set(CAPS.logMaxRqtSize, LOG_MAX.rqtSize);
  set(CAPS.numPorts, PORTS);
  set(CAPS.logMinSfSize, LOG_MIN_SF_SIZE);
  set(CAPS.logBfRegSize, LOG_BF_REG_SIZE);
  set(CAPS.maxNumSf, isManager ? settings.sfs : 0);
  set(CAPS.sfBaseId, SF_BASE_ID);
  set(CAPS.vhcaState, isManager);
  set(CAPS.eswitchManager, isManager);
  set(CAPS.uar4k, true);
  set(CAPS.pageRequestDisable, !settings.pageRequests);
  set(CAPS.ethernet, true);
  set(CAPS.roce, isCurrent ? fn.hasRoce : fn.mayRoce);
  set(CAPS.virtioNetQ, !isManager);
  set(CAPS.cqModeration, true);
  set(CAPS.ims, settings.imsCapacity > 0);
  set(CAPS.maxDynamicMsix, settings.msix);
  set(CAPS.logMaxMacs, (isCurrent ? fn.logMacs : LOG_MAX.macs) + 1);
  set(CAPS.imsCapacity, settings.imsCapacity);
  set(CAPS.fdbEntries, FDB_ENTRIES);
  set(CAPS.maxNumEqs, fn.maxEqs);
  return words;
}
