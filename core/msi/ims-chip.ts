import type { MsiMsg } from '../hal/index.js';
import type { IrqChip, IrqData, IrqHardwareState, MsiFlag } from '../irq/index.js';
import { guarded } from '../irq/free.js';
import { Errno, describeError, joinErrors } from '../lib/errno.js';
import type { ImsStore } from './ims-store.js';
import { type MsiDesc, msiDescOf } from './msi-desc.js';
import type { MsiDomainOps, MsiTemplate } from './template.js';

const storeOf = (desc: MsiDesc): ImsStore<unknown, unknown> => desc.domain.data as ImsStore<unknown, unknown>;

function mask(data: IrqData): void {
  const desc = msiDescOf(data);
  storeOf(desc).mask(desc.slot);
}

function unmask(data: IrqData): void {
  const desc = msiDescOf(data);
  storeOf(desc).unmask(desc.slot);
}

function writeMsiMsg(data: IrqData, msg: MsiMsg): void {
  const desc = msiDescOf(data);
  storeOf(desc).writeMsg(desc.slot, msg);
}

function enable(data: IrqData): void {
  const desc = msiDescOf(data);
  const store = storeOf(desc);
  if (store.enable === undefined) store.unmask(desc.slot);
  else store.enable(desc.slot);
}

function disable(data: IrqData): void {
  const desc = msiDescOf(data);
  const store = storeOf(desc);
  if (store.disable === undefined) store.mask(desc.slot);
  else store.disable(desc.slot);
}

function shutdown(data: IrqData): void {
  const desc = msiDescOf(data);
  storeOf(desc).shutdown?.(desc.slot);
}

function busLock(data: IrqData): void {
  if (data.desc.failed !== undefined) return;
  const desc = msiDescOf(data);
  storeOf(desc).busLock?.(desc.slot);
}

/** @throws {Errno} EIO when the storage is not up to date: the interrupt has failed */
function busSyncUnlock(data: IrqData): void {
  if (data.desc.failed !== undefined) return;
  const desc = msiDescOf(data);
  try {
    storeOf(desc).busSyncUnlock?.(desc.slot);
  } catch (cause) {
    data.desc.failed = describeError(cause);
    throw new Errno('EIO', `${desc.domain.who}: index ${desc.index}: its message store: ${data.desc.failed}`, { cause });
  }
}

function getState(data: IrqData, which: IrqHardwareState): boolean | undefined {
  if (which !== 'masked' && which !== 'pending') return undefined;
  const desc = msiDescOf(data);
  return storeOf(desc).state?.(desc.slot, which);
}

const freeSlot = (desc: MsiDesc): void => storeOf(desc).free?.(desc.slot);

const OPS: MsiDomainOps = {
  prepareDesc(desc: MsiDesc): void {
    const store = storeOf(desc);
    desc.slot = store.prepare === undefined ? desc.index : store.prepare(desc.index, desc.cookie);
    try {
      store.mask(desc.slot);
    } catch (error) {
      const errors: unknown[] = [error];
      guarded(errors, freeSlot, desc);
      throw joinErrors(errors, `giving back the slot of index ${desc.index}`);
    }
  },
  freeDesc: freeSlot,
  invalidate(desc: MsiDesc): void {
    storeOf(desc).invalidate?.(desc.slot);
  },
  deviceVisibleId(desc: MsiDesc): number {
    return storeOf(desc).deviceVisibleId?.(desc.slot) ?? desc.index;
  },
};

/** The template of the domains over a store; the store is their `data`. */
export function imsTemplate(store: ImsStore<unknown, unknown>): MsiTemplate {
  const isBracketed = store.busLock !== undefined;
  const chip: IrqChip = {
    name: store.name ?? 'IMS',
    oneshotSafe: true,
    mask,
    unmask,
    writeMsiMsg,
    // Behind a bus lock a lazy disable would come to an interrupt, which cannot synchronise.
    ...(isBracketed || store.enable !== undefined ? { enable, disable } : {}),
    ...(store.shutdown === undefined ? {} : { shutdown }),
    ...(store.state === undefined ? {} : { getState }),
    ...(isBracketed ? { busLock, busSyncUnlock } : {}),
  };
  const flags: MsiFlag[] = ['alloc-simple-msi-descs', 'free-msi-descs', 'ims'];
  if (store.activateEarly === true) flags.push('activate-early');
  return { chip, busToken: 'device-ims', flags, ops: OPS };
}
