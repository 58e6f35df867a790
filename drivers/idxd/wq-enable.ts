import { type Dma, Errno, type Irqs, describeError, hex } from '../../core/index.js';
import * as DSA from '../../hw/regs/dsa.js';
import { CMD_STATUS } from './cmd-status.js';
import type { CommandName } from './commands.js';
import { openPermission, openVector, releaseHandle, requestHandle } from './completion-vector.js';
import { configure, refusal, writePasid } from './configure.js';
import { DescriptorPool, recordBytes } from './descriptor-pool.js';
import { cutOff } from './halt.js';
import { KernelPath } from './submit.js';
import { type Wq, wqOperand } from './wq.js';

/** Bits of the addresses that the device sends. */
const DMA_BITS = 64;

/**
 * Whether a driver of queues is meant: before anything else in its probe.
 * @throws {Errno} ENXIO while the device is not enabled; ENODEV when `driver_name` is another's
 * @see Linux 6.12 drivers/dma/idxd/idxd.h idxd_wq_driver_name_match
 */
export function matchDriver(wq: Wq, name: string): void {
  const { idxd } = wq;
  if (idxd.isLeaving) throw new Errno('ENXIO', `${wq.name}: ${idxd.name} is being disabled`);
  if (idxd.state !== 'enabled')
    throw new Errno('ENXIO', `${wq.name}: ${idxd.name} is ${idxd.state}: bind it to driver idxd first`);
  if (wq.driverName === name) return;
  idxd.cmdStatus = CMD_STATUS.driverName;
  throw new Errno('ENODEV', `${wq.name}: its driver_name is '${wq.driverName}', not ${name}`);
}

/**
 * Writes the configuration, and has the device enable the queue; in the ledger it is `queue 0`. At unbind the queue is reset, and its
 * configuration forgotten; when the rest of a probe fails it is disabled, and can be enabled again.
 * @throws {Errno} EBUSY when it is enabled; ENXIO for whatever else keeps it from that. `cmd_status` says what
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_drv_enable_wq, idxd_drv_disable_wq
 */
export function enableWq(wq: Wq): Promise<void> {
  checkWq(wq);
  return wq.devres.acquire(
    `queue ${wq.index}`,
    () => enable(wq),
    () => disable(wq),
  );
}

/**
 * Enables a queue for work of the kernel, with all that this takes: descriptors, an interrupt, a portal. What is under way at unbind ends,
 * or is aborted.
 * @throws {Errno} as {@link enableWq}; what could not be had
 */
export async function openPath(wq: Wq, dma: Dma, irqs: Irqs): Promise<KernelPath> {
  checkWq(wq);
  const { idxd } = wq;
  const pasid = idxd.caps.isConfigurable ? idxd.systemPasid : undefined;
  const size = wq.mode === 'shared' ? wq.threshold : wq.size;
  const pool = noting(wq, CMD_STATUS.resources, () => {
    dma.setMask(wq, DMA_BITS);
    return new DescriptorPool(wq.name, dma.alloc(wq, recordBytes(size)), size, pasid ?? 0, idxd.dev.clock);
  });
  const path = noting(wq, CMD_STATUS.irq, () => new KernelPath(wq, pool, openVector(wq, pasid)));
  const { isIms, virq } = path.vector;
  const request = (): unknown => irqs.request(wq, virq, { name: `idxd-portal ${wq.name}`, thread: () => path.interrupted() });
  // A slot outlives the queue. A message is its address space's alone for as long as it has a handler.
  if (isIms) noting(wq, CMD_STATUS.irq, request);
  await enableWq(wq);
  openPermission(wq, path.vector, pasid);
  if (!isIms) noting(wq, CMD_STATUS.irq, request);
  // Its handle may be taken back, and the device may halt, before the path is among those who are told.
  let isRevoked = false;
  using _revocations = path.requestsHandles ? idxd.onHandlesRevoked(() => (isRevoked = true)) : undefined;
  await openHandle(path);
  openTraffic(path);
  if (isRevoked) path.revoked();
  if (idxd.state !== 'enabled') path.halted();
  return path;
}

/**
 * What keeps a queue from being enabled, in the order of Linux.
 * @throws {Errno} EBUSY, ENXIO as {@link enableWq}
 */
function checkWq(wq: Wq): void {
  const { idxd } = wq;
  if (idxd.state !== 'enabled') throw refused(wq, CMD_STATUS.deviceNotEnabled, `not enabled: ${idxd.name} is ${idxd.state}`);
  if (wq.isEnabled) {
    idxd.cmdStatus = CMD_STATUS.wqEnabled;
    throw new Errno('EBUSY', `${wq.name}: is enabled already`);
  }
  if (wq.groupId === undefined) throw refused(wq, CMD_STATUS.noGroup, 'is in no group: write its group_id');
  if (wq.wqName === '') throw refused(wq, CMD_STATUS.noName, 'has no name: write it');
  if (wq.size === 0) throw refused(wq, CMD_STATUS.noSize, 'has no entries: write its size');
  if (wq.mode === 'dedicated') return;
  if (!idxd.canShare)
    throw refused(wq, CMD_STATUS.noSvm, 'is shared, for which there are no PASIDs or no answers: make it dedicated');
  if (wq.threshold === 0) throw refused(wq, CMD_STATUS.noThreshold, 'is shared, and has no threshold: write it');
}

const refused = (wq: Wq, cmdStatus: number, why: string): Errno => refusal(wq.idxd, cmdStatus, `${wq.name} ${why}`);

/** Does a step that `cmd_status` has a word for. */
function noting<T>(wq: Wq, cmdStatus: number, step: () => T): T {
  try {
    return step();
  } catch (error) {
    wq.idxd.cmdStatus = cmdStatus;
    throw error;
  }
}

async function enable(wq: Wq): Promise<void> {
  const { idxd } = wq;
  const { pasid } = wq;
  try {
    setPasid(wq);
    configure(idxd);
    const { status } = await idxd.commands.run('enableWq', wq.index);
    if (status !== DSA.ERRORS.none && status !== DSA.ERRORS.wqNotDisabled) {
      throw refused(wq, status, `not enabled: status 0x${hex(status)}`);
    }
  } catch (error) {
    wq.pasid = pasid;
    throw error;
  }
  wq.isEnabled = true;
}

/** The kernel works in an address space of its own, where there are any; descriptors of a shared queue say theirs. */
function setPasid(wq: Wq): void {
  const { systemPasid, caps } = wq.idxd;
  const isShared = wq.mode === 'shared';
  if (systemPasid === undefined || !caps.isConfigurable || !(isShared || wq.wqType === 'kernel')) return;
  wq.pasid = isShared ? 0 : systemPasid;
  writePasid(wq);
}

async function disable(wq: Wq): Promise<void> {
  const { idxd } = wq;
  // In the middle of a probe that has failed the configuration stays.
  const isOver = wq.bound;
  try {
    if (idxd.state === 'enabled') await end(wq, isOver ? 'resetWq' : 'disableWq');
  } catch (error) {
    wq.log('warn', `not disabled: ${describeError(error)}`, 'command_failed');
    cutOff(idxd);
  }
  if (isOver) wq.clear();
  wq.isEnabled = false;
  wq.pasid = undefined;
}

async function end(wq: Wq, command: CommandName): Promise<void> {
  const { status } = await wq.idxd.commands.run(command, wqOperand(wq));
  if (status === DSA.ERRORS.none || status === DSA.ERRORS.wqNotEnabled) return;
  throw new Errno('ENXIO', `${wq.name}: ${command} refused with status 0x${hex(status)}`);
}

async function openHandle(path: KernelPath): Promise<void> {
  const { wq, vector } = path;
  if (!path.requestsHandles) {
    path.handle = vector.index;
    return;
  }
  await wq.devres.acquire(
    'interrupt handle',
    async () => {
      path.handle = await requestHandle(wq, vector);
    },
    () => releaseHandle(wq, vector, path.handle),
  );
}

function openTraffic(path: KernelPath): void {
  const { wq } = path;
  const { idxd } = wq;
  wq.devres.acquire(
    'queue traffic',
    () => {
      const listening = [idxd.onHalt(() => path.halted())];
      if (path.requestsHandles) listening.push(idxd.onHandlesRevoked(() => path.revoked()));
      wq.kernelPath = path;
      return listening;
    },
    async (listening) => {
      await path.close();
      for (const subscription of listening) subscription.dispose();
      wq.kernelPath = undefined;
    },
  );
}
