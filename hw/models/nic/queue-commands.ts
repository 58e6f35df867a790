import { NO_ADDRESS } from '../../endpoint/index.js';
import { CQE, PAGE_BYTES, WQE } from '../../regs/nic.js';
import { OBJECT, OPCODES, STATUS } from '../../regs/nic-commands.js';
import {
  CQC,
  CQ_CONTEXT,
  CQ_MODIFY,
  HASH_KEY_BYTES,
  MESSAGE,
  PAGE_LIST,
  PASID,
  RQTC,
  TIRC,
  WQC,
  WQ_CONTEXT,
  WQ_MODIFY,
  WQ_PAGES,
  WQ_STATES,
} from '../../regs/nic-contexts.js';
import { bitAt, at as wordAt, getWord, setAddress, setWord } from '../../regs/nic-words.js';
import type { CommandTable } from './commands/table.js';
import { CompletionQueue } from './completion-queue.js';
import { QueueMessage } from './queue-message.js';
import type { NicFunction } from './function.js';
import { LOG_MAX } from './options.js';
import { readPageList } from './page-list.js';
import { LOG_STRIDE, ReceiveQueue } from './receive-queue.js';
import { Ring } from './ring.js';
import { SendQueue } from './send-queue.js';
import { Rqt, Tir } from './tir.js';
import type { WorkQueue, WorkQueueSetup } from './work-queue.js';

const RECORD_ALIGN = 8;
const LOG_UNIT = Math.log2(WQE.unitBytes);
const LOG_PAGE = Math.log2(PAGE_BYTES);
const OWN_PORT = -1;
const WORD_BYTES = 4;
/** `WQC.leavesBy`. */
const LEAVES = { valid: bitAt(WQC.leavesBy.offset, 31), port: wordAt(WQC.leavesBy.offset, 15, 0) };
const MODIFY_WQ_BYTES = WQ_CONTEXT + WORD_BYTES;

/** The address of a doorbell record; {@link NO_ADDRESS} for what is none. */
function recordAt(fn: NicFunction, input: Uint32Array, at: number): number {
  const address = fn.dma.address(input[at / 4 + 1]!, input[at / 4]!);
  return address % RECORD_ALIGN === 0 ? address : NO_ADDRESS;
}

/** The PASID that a context names; 0 for none. */
function pasidAt(input: Uint32Array, at: number): number {
  return getWord(input, PASID.valid, at) === 1 ? getWord(input, PASID.pasid, at) : 0;
}

function createCq(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  if (input.byteLength < PAGE_LIST) return STATUS.inLength;
  const logSize = getWord(input, CQC.logSize, CQ_CONTEXT);
  const logPage = getWord(input, CQC.logPage, CQ_CONTEXT);
  const uar = getWord(input, CQC.uar, CQ_CONTEXT);
  const record = recordAt(fn, input, CQ_CONTEXT + CQC.record);
  const eq = fn.eqs[getWord(input, CQC.eqn, CQ_CONTEXT)];
  if (eq === undefined) return STATUS.badResource;
  if (logSize > LOG_MAX.cqSize || !fn.uarNumbers.has(uar) || record === NO_ADDRESS) return STATUS.badParameter;
  const sizeBytes = 2 ** logSize * CQE.sizeBytes;
  const pages = readPageList(fn, input, PAGE_LIST, sizeBytes, LOG_PAGE + logPage);
  if (typeof pages === 'number') return pages;
  const message = messageOf(fn, input);
  if (typeof message === 'number') return message;
  const number = fn.cqNumbers.alloc();
  if (number < 0) {
    message?.destroy();
    return STATUS.noResources;
  }
  const cq = new CompletionQueue(fn, number, {
    uar,
    eq,
    logSize,
    ring: new Ring(sizeBytes, LOG_PAGE + logPage, pages),
    logPage,
    record,
    pasid: pasidAt(input, CQ_CONTEXT + CQC.pasid),
    ignoresOverrun: getWord(input, CQC.overrunIgnore, CQ_CONTEXT) === 1,
    message,
  });
  cq.moderate(getWord(input, CQC.period, CQ_CONTEXT), getWord(input, CQC.maxCount, CQ_CONTEXT));
  fn.cqs[number] = cq;
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

/** The message that a completion queue has of its own, if it has. @returns a status for one that cannot be */
function messageOf(fn: NicFunction, input: Uint32Array): QueueMessage | number | undefined {
  if (getWord(input, CQC.hasOwnMessage, CQ_CONTEXT) === 0) return undefined;
  const { device } = fn;
  const { msix, imsCapacity } = device.settings;
  if (getWord(input, CQC.inMemory, CQ_CONTEXT) === 0) {
    const vector = getWord(input, CQC.intr, CQ_CONTEXT);
    return vector < msix ? new QueueMessage(fn, vector, NO_ADDRESS) : STATUS.badParameter;
  }
  const at = (CQ_CONTEXT + CQC.message) / 4;
  const address = fn.dma.address(input[at + 1]!, input[at]!);
  if (address === NO_ADDRESS || address % MESSAGE.sizeBytes !== 0) return STATUS.badParameter;
  return device.messages < imsCapacity ? new QueueMessage(fn, 0, address) : STATUS.noResources;
}

function modifyCq(fn: NicFunction, input: Uint32Array): number {
  const cq = fn.cqs[getWord(input, OBJECT)];
  if (cq === undefined) return STATUS.badResource;
  if (input.byteLength < CQ_CONTEXT + CQC.sizeBytes) return STATUS.inLength;
  const select = getWord(input, CQ_MODIFY.select);
  const { periodUs, maxCount } = cq.moderation;
  cq.moderate(
    (select & CQ_MODIFY.period) === 0 ? periodUs : getWord(input, CQC.period, CQ_CONTEXT),
    (select & CQ_MODIFY.count) === 0 ? maxCount : getWord(input, CQC.maxCount, CQ_CONTEXT),
  );
  return STATUS.ok;
}

function queryCq(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const cq = fn.cqs[getWord(input, OBJECT)];
  if (cq === undefined) return STATUS.badResource;
  if (output.byteLength < CQ_CONTEXT + CQC.sizeBytes) return STATUS.outLength;
  const { setup, moderation } = cq;
  setWord(output, CQC.status, cq.status, CQ_CONTEXT);
  setWord(output, CQC.state, cq.state, CQ_CONTEXT);
  setWord(output, CQC.overrunIgnore, setup.ignoresOverrun ? 1 : 0, CQ_CONTEXT);
  setWord(output, CQC.logSize, setup.logSize, CQ_CONTEXT);
  setWord(output, CQC.uar, setup.uar, CQ_CONTEXT);
  setWord(output, CQC.period, moderation.periodUs, CQ_CONTEXT);
  setWord(output, CQC.maxCount, moderation.maxCount, CQ_CONTEXT);
  setWord(output, CQC.eqn, setup.eq.number, CQ_CONTEXT);
  setWord(output, CQC.logPage, setup.logPage, CQ_CONTEXT);
  setWord(output, CQC.consumer, cq.consumer, CQ_CONTEXT);
  setWord(output, CQC.producer, cq.producer, CQ_CONTEXT);
  setPasid(output, CQ_CONTEXT + CQC.pasid, setup.pasid);
  setAddress(output, CQ_CONTEXT + CQC.record, setup.record);
  return STATUS.ok;
}

function setPasid(output: Uint32Array, at: number, pasid: number): void {
  setWord(output, PASID.valid, pasid === 0 ? 0 : 1, at);
  setWord(output, PASID.pasid, pasid, at);
}

/** What the context of a send or receive queue says. @returns a status for one that cannot be */
function readWq(fn: NicFunction, input: Uint32Array, minStride: number, maxStride: number): WorkQueueSetup | number {
  if (input.byteLength < WQ_CONTEXT + WQ_PAGES) return STATUS.inLength;
  const cq = fn.cqs[getWord(input, WQC.cqn, WQ_CONTEXT)];
  if (cq === undefined) return STATUS.badResource;
  const logSize = getWord(input, WQC.logSize, WQ_CONTEXT);
  const logStride = getWord(input, WQC.logStride, WQ_CONTEXT);
  const logPage = getWord(input, WQC.logPage, WQ_CONTEXT);
  const record = recordAt(fn, input, WQ_CONTEXT + WQC.record);
  const isReset = getWord(input, WQC.state, WQ_CONTEXT) === WQ_STATES.reset;
  const isShaped = logSize <= LOG_MAX.wqSize && logStride >= minStride && logStride <= maxStride;
  if (!isReset || !isShaped || record === NO_ADDRESS) return STATUS.badParameter;
  let leavesBy = OWN_PORT;
  if (getWord(input, LEAVES.valid, WQ_CONTEXT) === 1) {
    leavesBy = fn.device.engine.switch.ports.slotOf(getWord(input, LEAVES.port, WQ_CONTEXT));
    if (!fn.isManager || leavesBy < 0) return STATUS.badParameter;
  }
  const sizeBytes = 2 ** (logSize + logStride);
  const pages = readPageList(fn, input, WQ_CONTEXT + WQ_PAGES, sizeBytes, LOG_PAGE + logPage);
  if (typeof pages === 'number') return pages;
  const uar = getWord(input, WQC.uar, WQ_CONTEXT);
  const pasid = pasidAt(input, WQ_CONTEXT + WQC.pasid);
  const ring = new Ring(sizeBytes, LOG_PAGE + logPage, pages);
  return { uar, cq, logSize, logStride, ring, logPage, record, pasid, leavesBy };
}

function createSq(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const setup = readWq(fn, input, LOG_UNIT, LOG_UNIT);
  if (typeof setup === 'number') return setup;
  if (!fn.uarNumbers.has(setup.uar)) return STATUS.badParameter;
  const number = fn.sqNumbers.alloc();
  if (number < 0) return STATUS.noResources;
  fn.sqs[number] = new SendQueue(fn, number, setup);
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

function createRq(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const setup = readWq(fn, input, LOG_STRIDE.min, LOG_STRIDE.max);
  if (typeof setup === 'number') return setup;
  const number = fn.rqNumbers.alloc();
  if (number < 0) return STATUS.noResources;
  fn.rqs[number] = new ReceiveQueue(fn, number, setup);
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

const { reset, ready, error } = WQ_STATES;
/** By state: what may come next. */
const NEXT: Readonly<Record<number, readonly number[]>> = {
  [reset]: [reset, ready],
  [ready]: [ready, error, reset],
  [error]: [error, reset],
};

function modifyWq(wq: WorkQueue | undefined, input: Uint32Array): number {
  if (wq === undefined) return STATUS.badResource;
  if (input.byteLength < MODIFY_WQ_BYTES) return STATUS.inLength;
  const state = getWord(input, WQC.state, WQ_CONTEXT);
  if (getWord(input, WQ_MODIFY.state) !== wq.state) return STATUS.badResourceState;
  if (NEXT[wq.state]?.includes(state) !== true) return STATUS.badParameter;
  if (state !== wq.state) wq.setState(state);
  return STATUS.ok;
}

function queryWq(wq: WorkQueue | undefined, output: Uint32Array): number {
  if (wq === undefined) return STATUS.badResource;
  if (output.byteLength < WQ_CONTEXT + WQC.sizeBytes) return STATUS.outLength;
  const { setup } = wq;
  setWord(output, WQC.state, wq.state, WQ_CONTEXT);
  setWord(output, WQC.cqn, setup.cq.number, WQ_CONTEXT);
  setWord(output, WQC.uar, setup.uar, WQ_CONTEXT);
  setPasid(output, WQ_CONTEXT + WQC.pasid, setup.pasid);
  setAddress(output, WQ_CONTEXT + WQC.record, setup.record);
  setWord(output, WQC.logStride, setup.logStride, WQ_CONTEXT);
  setWord(output, WQC.logPage, setup.logPage, WQ_CONTEXT);
  setWord(output, WQC.logSize, setup.logSize, WQ_CONTEXT);
  if (wq instanceof ReceiveQueue) setWord(output, WQC.outOfBuffer, wq.outOfBuffer, WQ_CONTEXT);
  return STATUS.ok;
}

/** The queues that a table names. @returns a status where there is one that does not exist, or too many */
function readQueues(fn: NicFunction, input: Uint32Array, maxSize: number): ReceiveQueue[] | number {
  const size = getWord(input, RQTC.size, WQ_CONTEXT);
  if (size > maxSize) return STATUS.badParameter;
  if (input.byteLength < WQ_CONTEXT + RQTC.queues + WORD_BYTES * size) return STATUS.inLength;
  const queues: ReceiveQueue[] = [];
  for (let i = 0; i < size; i++) {
    const rq = fn.rqs[getWord(input, OBJECT_AT_0, WQ_CONTEXT + RQTC.queues + WORD_BYTES * i)];
    if (rq === undefined) return STATUS.badResource;
    queues.push(rq);
  }
  return queues;
}
const OBJECT_AT_0 = { ...OBJECT, offset: 0 };

function createRqt(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const maxSize = getWord(input, RQTC.maxSize, WQ_CONTEXT);
  if (maxSize > 2 ** LOG_MAX.rqtSize) return STATUS.badParameter;
  const queues = readQueues(fn, input, maxSize);
  if (typeof queues === 'number') return queues;
  const number = fn.rqtNumbers.alloc();
  if (number < 0) return STATUS.noResources;
  fn.rqts[number] = new Rqt(fn, number, maxSize, queues);
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

function modifyRqt(fn: NicFunction, input: Uint32Array): number {
  const rqt = fn.rqts[getWord(input, OBJECT)];
  if (rqt === undefined) return STATUS.badResource;
  const queues = readQueues(fn, input, rqt.maxSize);
  if (typeof queues === 'number') return queues;
  rqt.set(queues);
  return STATUS.ok;
}

function createTir(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  if (input.byteLength < WQ_CONTEXT + TIRC.sizeBytes) return STATUS.inLength;
  const isIndirect = getWord(input, TIRC.indirect, WQ_CONTEXT) === 1;
  const target = isIndirect ? fn.rqts[getWord(input, TIRC.table, WQ_CONTEXT)] : fn.rqs[getWord(input, TIRC.queue, WQ_CONTEXT)];
  if (target === undefined) return STATUS.badResource;
  const number = fn.tirNumbers.alloc();
  if (number < 0) return STATUS.noResources;
  const keyAt = (WQ_CONTEXT + TIRC.hashKey) / WORD_BYTES;
  const key = input.slice(keyAt, keyAt + HASH_KEY_BYTES / WORD_BYTES);
  fn.tirs[number] = new Tir(fn, number, target, key, getWord(input, TIRC.loopback, WQ_CONTEXT) === 1);
  setWord(output, OBJECT, number);
  return STATUS.ok;
}

/** An object that others may use. */
interface Used {
  readonly users: number;
  destroy(): void;
}

/** Takes an object out of its table, unless something uses it. */
function destroy(table: (Used | undefined)[], numbers: { free(number: number): boolean }, input: Uint32Array): number {
  const number = getWord(input, OBJECT);
  const object = table[number];
  if (object === undefined) return STATUS.badResource;
  if (object.users > 0) return STATUS.badResourceState;
  object.destroy();
  table[number] = undefined;
  numbers.free(number);
  return STATUS.ok;
}

/** Commands about queues. */
export const QUEUE_COMMANDS: CommandTable = {
  [OPCODES.CREATE_CQ]: createCq,
  [OPCODES.DESTROY_CQ]: (fn, input) => destroy(fn.cqs, fn.cqNumbers, input),
  [OPCODES.QUERY_CQ]: queryCq,
  [OPCODES.MODIFY_CQ]: modifyCq,
  [OPCODES.CREATE_SQ]: createSq,
  [OPCODES.MODIFY_SQ]: (fn, input) => modifyWq(fn.sqs[getWord(input, OBJECT)], input),
  [OPCODES.DESTROY_SQ]: (fn, input) => destroy(fn.sqs, fn.sqNumbers, input),
  [OPCODES.QUERY_SQ]: (fn, input, output) => queryWq(fn.sqs[getWord(input, OBJECT)], output),
  [OPCODES.CREATE_RQ]: createRq,
  [OPCODES.MODIFY_RQ]: (fn, input) => modifyWq(fn.rqs[getWord(input, OBJECT)], input),
  [OPCODES.DESTROY_RQ]: (fn, input) => destroy(fn.rqs, fn.rqNumbers, input),
  [OPCODES.QUERY_RQ]: (fn, input, output) => queryWq(fn.rqs[getWord(input, OBJECT)], output),
  [OPCODES.CREATE_RQT]: createRqt,
  [OPCODES.MODIFY_RQT]: modifyRqt,
  [OPCODES.DESTROY_RQT]: (fn, input) => destroy(fn.rqts, fn.rqtNumbers, input),
  [OPCODES.CREATE_TIR]: createTir,
  [OPCODES.DESTROY_TIR]: (fn, input) => destroy(fn.tirs, fn.tirNumbers, input),
};
