import { type Device, Errno, type MsiMap, describeError, hex, regAt } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { CMD_STATUS } from './cmd-status.js';
import type { CommandName } from './commands.js';
import type { Idxd } from './idxd.js';
import type { Wq } from './wq.js';

/** The interrupt of a queue's completions. */
export class CompletionVector {
  constructor(
    /** Whether it is in the message store. */
    readonly isIms: boolean,
    /** In its table: what the device calls it. */
    readonly index: number,
    readonly virq: number,
  ) {}
}

/**
 * Finds the interrupt of a queue: message `n + 1`, or a slot of the store that serves the queue's address space alone, `ims slot` in the
 * ledger of the queue; of MSI-X where there is one for the queue, unless the options of the driver say which kind.
 * @param owner in whose ledger it is; default the queue
 * @throws {Errno} ENOSPC when there is none left of the kind; EOPNOTSUPP without a message store
 */
export function openVector(wq: Wq, pasid: number | undefined, owner: Device = wq): CompletionVector {
  const { idxd, index } = wq;
  const message = index + 1;
  const hasMessage = message < idxd.vectors.count;
  const kind = idxd.options.interrupts ?? (hasMessage ? 'msix' : 'ims');
  if (kind === 'msix') {
    if (hasMessage) return new CompletionVector(false, message, idxd.vectors.virq(message));
    throw new Errno('ENOSPC', `${wq.name}: needs MSI-X message ${message}, there are ${idxd.vectors.count}: let it use IMS`);
  }
  return openSlot(wq, pasid, owner);
}

/** As {@link openVector}, of the message store. */
export function openSlot(wq: Wq, pasid: number | undefined, owner: Device): CompletionVector {
  const map = owner.devres.acquire(
    'ims slot',
    () => takeSlot(wq, pasid),
    (slot) => slot[Symbol.dispose](),
  );
  return new CompletionVector(true, map.index, map.virq);
}

/** A slot of the message store, for who gives it back himself. @throws {Errno} as {@link openVector} */
export function takeSlot({ name, idxd }: Wq, pasid: number | undefined): MsiMap {
  const { ims } = idxd;
  if (ims === undefined) throw new Errno('EOPNOTSUPP', `${name}: ${idxd.name} has no message store, or the platform no IMS`);
  try {
    return ims.alloc(pasid === undefined ? {} : { cookie: { pasid } });
  } catch (cause) {
    if (!Errno.is(cause, 'EBUSY')) throw cause;
    throw new Errno('ENOSPC', `${name}: all ${ims.size} slots of the message store are in use`, { cause });
  }
}

/**
 * Lets work of the queue's address space alone use its message; it is everybody's again, and nobody's with a PASID, at unbind.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_set_perm_entry, idxd_device_clear_perm_entry
 */
export function openPermission(wq: Wq, { isIms, index }: CompletionVector, pasid: number | undefined, owner: Device = wq): void {
  // The slot of a store has its own.
  if (isIms) return;
  const { regs, caps } = wq.idxd;
  const at = caps.msixPermAt + index * DSA.MSIX_PERM_BYTES;
  owner.devres.acquire(
    'msix permission',
    () => {
      if (pasid !== undefined) regs.write(regAt(DSA.MSIX_PERM, 1, at), { pasid, pasidEnable: 1 });
    },
    () => regs.write32(at, 0),
  );
}

/** Whether the device says that it has one of the commands that not all have. */
export function hasCommand({ caps: { commands = 0 } }: Idxd, command: CommandName): boolean {
  return (commands & (1 << DSA.COMMANDS[command])) !== 0;
}

/**
 * Asks the device for what descriptors are to name an interrupt by.
 * @throws {Errno} ENXIO when it does not give one
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_request_int_handle
 */
export async function requestHandle(wq: Wq, { isIms, index }: CompletionVector): Promise<number> {
  const { status, result } = await wq.idxd.commands.run('requestHandle', index | (isIms ? DSA.HANDLE_IMS : 0));
  if (status === DSA.ERRORS.none) return result;
  wq.idxd.cmdStatus = CMD_STATUS.irq;
  throw new Errno('ENXIO', `${wq.name}: no interrupt handle: the device says 0x${hex(status)}`);
}

/** Gives a handle back, where the device takes it. @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_release_int_handle */
export function releaseHandle(wq: Wq, { isIms }: CompletionVector, handle: number): void {
  const { commands, state } = wq.idxd;
  if (!hasCommand(wq.idxd, 'releaseHandle') || state === 'halted') return;
  try {
    commands.runPolled('releaseHandle', handle | (isIms ? DSA.HANDLE_IMS : 0));
  } catch (error) {
    wq.log('warn', `interrupt handle ${handle} not released: ${describeError(error)}`, 'command_failed');
  }
}
