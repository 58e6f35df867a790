import { NO_ADDRESS } from '../../../endpoint/index.js';
import { EQE, EVENT_TYPES, PAGE_BYTES } from '../../../regs/nic.js';
import { EQN, OPCODES, STATUS } from '../../../regs/nic-commands.js';
import { EQC, EQ_CONTEXT, EQ_STATES, MESSAGE, PAGE_LIST, eventBit } from '../../../regs/nic-contexts.js';
import { getWord, setAddress, setWord, toBigEndian } from '../../../regs/nic-words.js';
import { EventQueue } from '../event-queue.js';
import type { NicFunction } from '../function.js';
import { LOG_MAX_EQ_SIZE, MAX_EQS } from '../options.js';
import { readPageList } from '../page-list.js';
import { Ring } from '../ring.js';
import type { CommandTable } from './table.js';

const LOG_PAGE = Math.log2(PAGE_BYTES);
/** GEN_EQE: the event is here. */
const EVENT_AT = 0x10;

function create(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  if (input.byteLength < PAGE_LIST) return STATUS.inLength;
  const { device } = fn;
  const logSize = getWord(input, EQC.logSize, EQ_CONTEXT);
  const sizeBytes = 2 ** logSize * EQE.sizeBytes;
  const logPage = getWord(input, EQC.logPage, EQ_CONTEXT);
  const uar = getWord(input, EQC.uar, EQ_CONTEXT);
  const vector = getWord(input, EQC.intr, EQ_CONTEXT);
  if (logSize > LOG_MAX_EQ_SIZE || !fn.uarNumbers.has(uar)) return STATUS.badParameter;
  const pages = readPageList(fn, input, PAGE_LIST, sizeBytes, LOG_PAGE + logPage);
  if (typeof pages === 'number') return pages;
  let message = NO_ADDRESS;
  if (getWord(input, EQC.inMemory, EQ_CONTEXT) === 1) {
    const at = (EQ_CONTEXT + EQC.message) / 4;
    message = device.dma.address(input[at + 1]!, input[at]!);
    if (message === NO_ADDRESS || message % MESSAGE.sizeBytes !== 0) return STATUS.badParameter;
    if (device.messages >= device.settings.imsCapacity) return STATUS.noResources;
  } else if (vector >= device.settings.msix) {
    return STATUS.badParameter;
  }
  if (fn.eqNumbers.size >= (fn.maxEqs || MAX_EQS)) return STATUS.noResources;
  const number = fn.eqNumbers.alloc();
  const isAlwaysArmed = getWord(input, EQC.state, EQ_CONTEXT) === EQ_STATES.alwaysArmed;
  const events = eventsOf(input);
  const ring = new Ring(sizeBytes, LOG_PAGE + logPage, pages);
  const eq = new EventQueue(fn, number, { uar, logSize, ring, logPage, vector, message, events, isAlwaysArmed });
  fn.eqs[number] = eq;
  fn.subscribe(eq);
  setWord(output, EQN, number);
  return STATUS.ok;
}

function eventsOf(input: Uint32Array): Uint32Array {
  const events = new Uint32Array(EVENT_TYPES / 32);
  for (let type = 0; type < EVENT_TYPES; type += 32) events[type / 32] = input[eventBit(type).offset / 4]!;
  return events;
}

function destroy(fn: NicFunction, input: Uint32Array): number {
  const eq = fn.eqs[getWord(input, EQN)];
  if (eq === undefined) return STATUS.badResource;
  if (eq.cqs > 0) return STATUS.badResourceState;
  fn.removeEq(eq);
  return STATUS.ok;
}

function query(fn: NicFunction, input: Uint32Array, output: Uint32Array): number {
  const eq = fn.eqs[getWord(input, EQN)];
  if (eq === undefined) return STATUS.badResource;
  if (output.byteLength < EQ_CONTEXT + EQC.sizeBytes) return STATUS.outLength;
  const { setup } = eq;
  setWord(output, EQC.status, eq.status, EQ_CONTEXT);
  setWord(output, EQC.state, eq.state, EQ_CONTEXT);
  setWord(output, EQC.logSize, setup.logSize, EQ_CONTEXT);
  setWord(output, EQC.uar, setup.uar, EQ_CONTEXT);
  setWord(output, EQC.logPage, setup.logPage, EQ_CONTEXT);
  setWord(output, EQC.consumer, eq.consumer, EQ_CONTEXT);
  setWord(output, EQC.producer, eq.producer, EQ_CONTEXT);
  if (setup.message === NO_ADDRESS) {
    setWord(output, EQC.intr, setup.vector, EQ_CONTEXT);
  } else {
    setWord(output, EQC.inMemory, 1, EQ_CONTEXT);
    setAddress(output, EQ_CONTEXT + EQC.message, setup.message);
  }
  return STATUS.ok;
}

/** Puts an event of software's into a queue. */
function generate(fn: NicFunction, input: Uint32Array): number {
  const eq = fn.eqs[getWord(input, EQN)];
  if (eq === undefined) return STATUS.badResource;
  if (input.byteLength < EVENT_AT + EQE.sizeBytes) return STATUS.inLength;
  toBigEndian(input, EVENT_AT / 4, fn.device.eqe, 0, EQE.sizeBytes / 4);
  eq.postRaw();
  return STATUS.ok;
}

/** Commands about event queues. */
export const EQ_COMMANDS: CommandTable = {
  [OPCODES.CREATE_EQ]: create,
  [OPCODES.DESTROY_EQ]: destroy,
  [OPCODES.QUERY_EQ]: query,
  [OPCODES.GEN_EQE]: generate,
};
