import { type Device, Errno } from '../../../core/index.js';
import { OBJECT, OPCODES } from '../../../hw/regs/nic-commands.js';
import { HASH_KEY_BYTES, RQTC, TIRC, VPORT, ESW, WQ_CONTEXT } from '../../../hw/regs/nic-contexts.js';
import { fromBigEndian, getWord, setWord } from '../../../hw/regs/nic-words.js';
import { destroyCommand, takenBack } from './destroy-command.js';
import type { CommandOwner } from './queue-owner.js';

/** No object. */
const NONE = 0;

/** A table of receive queues, of which the low bits of a packet's hash choose one. */
export class ReceiveTable {
  readonly #owner: CommandOwner;
  #number = 0;

  /**
   * Managed: in the ledger of `dev` it is `rqt`.
   * @param queues numbers; as many as a power of two
   * @throws {Errno} as the command
   */
  static async create(owner: CommandOwner, dev: Device, queues: readonly number[]): Promise<ReceiveTable> {
    const table = new ReceiveTable(owner);
    return dev.devres.acquire(
      'rqt',
      async () => {
        table.#number = getWord(await owner.exec(OPCODES.CREATE_RQT, tableCommand(queues)), OBJECT);
        return table;
      },
      () => destroyCommand(owner, OPCODES.DESTROY_RQT, table.#number),
    );
  }

  private constructor(owner: CommandOwner) {
    this.#owner = owner;
  }

  get number(): number {
    return this.#number;
  }

  /** Chooses among others from now on; as many as before. @throws {Errno} as the command */
  async set(queues: readonly number[]): Promise<void> {
    const input = tableCommand(queues);
    setWord(input, OBJECT, this.#number);
    await this.#owner.exec(OPCODES.MODIFY_RQT, input);
  }
}

function tableCommand(queues: readonly number[]): Uint32Array {
  const input = new Uint32Array((WQ_CONTEXT + RQTC.queues) / 4 + queues.length);
  setWord(input, RQTC.maxSize, queues.length, WQ_CONTEXT);
  setWord(input, RQTC.size, queues.length, WQ_CONTEXT);
  input.set(queues, (WQ_CONTEXT + RQTC.queues) / 4);
  return input;
}

/** Where packets go. */
export type TirTarget = { readonly queue: number } | { readonly table: number; readonly key: Uint8Array };

/** What says where packets go. */
export class Tir {
  readonly #owner: CommandOwner;
  #number = 0;

  /**
   * Makes one. Managed: in the ledger of `dev` it is `tir`.
   * @param loopback what the port sends to itself comes back; default false
   * @throws {Errno} as the command
   */
  static create(owner: CommandOwner, dev: Device, target: TirTarget, loopback = false): Promise<Tir> {
    const tir = new Tir(owner);
    return dev.devres.acquire(
      'tir',
      async () => {
        tir.#number = await createTir(owner, target, loopback);
        return tir;
      },
      () => destroyCommand(owner, OPCODES.DESTROY_TIR, tir.#number),
    );
  }

  private constructor(owner: CommandOwner) {
    this.#owner = owner;
  }

  get number(): number {
    return this.#number;
  }

  /**
   * Is another one from now on, which the function's port uses in its place.
   * @throws {Errno} as the commands: it is the old one then
   */
  async replaceRx(target: TirTarget): Promise<void> {
    const owner = this.#owner;
    const old = this.#number;
    const number = await createTir(owner, target, false);
    try {
      await rxTir(owner, number);
    } catch (error) {
      await destroyCommand(owner, OPCODES.DESTROY_TIR, number);
      throw error;
    }
    this.#number = number;
    await destroyCommand(owner, OPCODES.DESTROY_TIR, old);
  }
}

async function createTir(owner: CommandOwner, target: TirTarget, loopback: boolean): Promise<number> {
  const input = new Uint32Array((WQ_CONTEXT + TIRC.sizeBytes) / 4);
  setWord(input, TIRC.loopback, loopback ? 1 : 0, WQ_CONTEXT);
  if ('queue' in target) {
    setWord(input, TIRC.queue, target.queue, WQ_CONTEXT);
  } else {
    setWord(input, TIRC.indirect, 1, WQ_CONTEXT);
    setWord(input, TIRC.table, target.table, WQ_CONTEXT);
    fromBigEndian(target.key, 0, input, (WQ_CONTEXT + TIRC.hashKey) / 4, HASH_KEY_BYTES / 4);
  }
  return getWord(await owner.exec(OPCODES.CREATE_TIR, input), OBJECT);
}

/** To whom the packets of a function's port go. */
const receivers = new WeakMap<CommandOwner, Device>();

/**
 * Sends what comes to the function's port to `tir`, until the binding of `dev` ends: a port has one receiver. Managed: in the ledger it is
 * `rx tir`.
 * @throws {Errno} EBUSY when another part of the function has them; as the command
 */
export async function setRxTir(owner: CommandOwner, dev: Device, tir: Tir): Promise<void> {
  await dev.devres.acquire(
    'rx tir',
    () => takeRx(owner, dev, tir.number),
    () => giveRx(owner),
  );
}

async function takeRx(owner: CommandOwner, dev: Device, tir: number): Promise<void> {
  const other = receivers.get(owner);
  if (other !== undefined) {
    throw new Errno(
      'EBUSY',
      `${dev.name}: what comes to the port is received by ${other.name}: stop that first, or enable one of both`,
    );
  }
  receivers.set(owner, dev);
  try {
    await rxTir(owner, tir);
  } catch (error) {
    receivers.delete(owner);
    throw error;
  }
}

async function giveRx(owner: CommandOwner): Promise<void> {
  try {
    await takenBack(rxTir(owner, NONE));
  } finally {
    receivers.delete(owner);
  }
}

async function rxTir(owner: CommandOwner, tir: number): Promise<void> {
  const input = new Uint32Array(4);
  setWord(input, OBJECT, tir);
  await owner.exec(OPCODES.SET_RX_TIR, input);
}

/**
 * Sends what no rule of the switch is for, from port `vport`, to a receive queue of the manager. Managed: in the ledger it is `rep queue`.
 * @throws {Errno} as the command
 */
export async function setRepQueue(owner: CommandOwner, dev: Device, vport: number, queue: number): Promise<void> {
  await dev.devres.acquire(
    'rep queue',
    () => repQueue(owner, vport, queue),
    () => takenBack(repQueue(owner, vport, NONE)),
  );
}

async function repQueue(owner: CommandOwner, vport: number, queue: number): Promise<void> {
  const input = new Uint32Array(4);
  setWord(input, VPORT.other, 1);
  setWord(input, VPORT.number, vport);
  setWord(input, ESW.repQueue, queue);
  await owner.exec(OPCODES.SET_REP_QUEUE, input);
}
