import { type Device, Errno } from '../../../core/index.js';
import { CQE } from '../../../hw/regs/nic.js';
import { OBJECT, OPCODES } from '../../../hw/regs/nic-commands.js';
import {
  CQC,
  CQ_CONTEXT,
  PAGE_LIST,
  PASID,
  WQC,
  WQ_CONTEXT,
  WQ_MODIFY,
  WQ_PAGES,
  WQ_STATES,
} from '../../../hw/regs/nic-contexts.js';
import { type WordField, getWord, setAddress, setWord } from '../../../hw/regs/nic-words.js';
import { destroyCommand } from './destroy-command.js';
import type { CqTarget, QueueOwner, UarPage } from './queue-owner.js';

/** What the device takes as one page of a queue. */
const PAGE_BYTES = 4096;
const RECORD_ALIGN = 8;
/** A ring whose entries are reused in order. */
const CYCLIC = 1;

/** Where a queue is in the memory of its user, who fills it and rings for it himself. */
export interface UserRing {
  /** A multiple of 4096, in his address space. */
  readonly address: number;
  /** Of its doorbell record: a multiple of 8. */
  readonly record: number;
  /** Binary logarithm of its entries; those of a send queue have 64 bytes, of a receive queue 16. */
  readonly logSize: number;
  /** His address space. */
  readonly pasid: number;
  /** His page: no other rings for it. */
  readonly uar: UarPage;
}

/** What is told a completion queue's own interrupt by; as `Mlx5Vector.target`. */
export type CqVector = { readonly kind: 'msix'; readonly index: number } | { readonly kind: 'memory'; readonly address: number };

/** What a completion queue of a user is to be. */
export interface UserCqOptions extends UserRing {
  /** Number of the event queue that it tells, unless it has a vector; its failure is told in any case. */
  readonly eqn: number;
  /** Alone its own. */
  readonly vector?: CqVector;
  /** In interrupt context. */
  readonly client: CqTarget;
}

/** What the device has for a user, until it is given back, or the device that it was made for is unbound. */
abstract class UserObject implements AsyncDisposable {
  protected readonly owner: QueueOwner;
  readonly #dev: Device;
  #number = 0;

  constructor(owner: QueueOwner, dev: Device) {
    this.owner = owner;
    this.#dev = dev;
  }

  /** The number by which the device has it. */
  get number(): number {
    return this.#number;
  }

  /** Gives it back; harmless when that was done. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { devres } = this.#dev;
    const entry = devres.find(this.#end);
    if (entry !== undefined) await devres.releaseEntry(entry);
  }

  protected async make(label: string, create: (started: (number: number) => void) => Promise<void>): Promise<this> {
    const started = (number: number): void => void (this.#number = number);
    await this.#dev.devres.acquire(label, () => create(started), this.#end);
    return this;
  }

  protected abstract destroy(): Promise<void>;

  readonly #end = (): Promise<void> => this.destroy();
}

/** A completion queue in the memory of a user, which he reads and arms himself. */
export class UserCq extends UserObject {
  readonly #eqn: number;

  /**
   * Makes one. Managed: in the ledger of `dev` it is `user cq`.
   * @throws {Errno} EINVAL for addresses that are not aligned; ENOENT without such an event queue; what the command gives
   */
  static create(owner: QueueOwner, dev: Device, options: UserCqOptions): Promise<UserCq> {
    const input = command(dev, options, PAGE_LIST, CQE.sizeBytes);
    if (!owner.hasEq(options.eqn)) throw new Errno('ENOENT', `${dev.name}: there is no event queue ${options.eqn}`);
    return new UserCq(owner, dev, options.eqn).#make(input, options);
  }

  private constructor(owner: QueueOwner, dev: Device, eqn: number) {
    super(owner, dev);
    this.#eqn = eqn;
  }

  #make(input: Uint32Array, { logSize, eqn, record, pasid, uar, vector, client }: UserCqOptions): Promise<this> {
    setWord(input, CQC.logSize, logSize, CQ_CONTEXT);
    setWord(input, CQC.uar, uar.index, CQ_CONTEXT);
    setWord(input, CQC.eqn, eqn, CQ_CONTEXT);
    setPasid(input, CQ_CONTEXT + CQC.pasid, pasid);
    setAddress(input, CQ_CONTEXT + CQC.record, record);
    if (vector !== undefined) {
      setWord(input, CQC.hasOwnMessage, 1, CQ_CONTEXT);
      if (vector.kind === 'msix') setWord(input, CQC.intr, vector.index, CQ_CONTEXT);
      else {
        setWord(input, CQC.inMemory, 1, CQ_CONTEXT);
        setAddress(input, CQ_CONTEXT + CQC.message, vector.address);
      }
    }
    return this.make('user cq', async (started) => {
      const { owner } = this;
      const cqn = getWord(await owner.exec(OPCODES.CREATE_CQ, input), OBJECT);
      started(cqn);
      try {
        owner.addCq(eqn, cqn, client);
      } catch (error) {
        await destroyCommand(owner, OPCODES.DESTROY_CQ, cqn);
        throw error;
      }
    });
  }

  /** Nobody is told any more before it goes. */
  protected override async destroy(): Promise<void> {
    await this.owner.removeCq(this.#eqn, this.number);
    await destroyCommand(this.owner, OPCODES.DESTROY_CQ, this.number);
  }
}

interface Kind {
  readonly label: string;
  readonly create: number;
  readonly modify: number;
  readonly destroy: number;
  /** Binary logarithm of the bytes of an entry. */
  readonly logStride: number;
}
const KINDS = {
  send: { label: 'user sq', create: OPCODES.CREATE_SQ, modify: OPCODES.MODIFY_SQ, destroy: OPCODES.DESTROY_SQ, logStride: 6 },
  receive: { label: 'user rq', create: OPCODES.CREATE_RQ, modify: OPCODES.MODIFY_RQ, destroy: OPCODES.DESTROY_RQ, logStride: 4 },
} as const satisfies Record<string, Kind>;

/** What a work queue of a user is to be. */
export interface UserWqOptions extends UserRing {
  readonly kind: keyof typeof KINDS;
  /** Where its completions go. */
  readonly cq: UserCq;
}

/** A send or receive queue in the memory of a user; packets move there, too. */
export class UserWq extends UserObject {
  readonly #kind: Kind;
  #state: keyof typeof WQ_STATES = 'reset';

  /** Makes one, in state reset. Managed: in the ledger of `dev` it is `user sq` or `user rq`. @throws {Errno} EINVAL for addresses that are not aligned; what the command gives */
  static create(owner: QueueOwner, dev: Device, options: UserWqOptions): Promise<UserWq> {
    const kind = KINDS[options.kind];
    const input = command(dev, options, WQ_CONTEXT + WQ_PAGES, 1 << kind.logStride);
    return new UserWq(owner, dev, kind).#make(input, options);
  }

  private constructor(owner: QueueOwner, dev: Device, kind: Kind) {
    super(owner, dev);
    this.#kind = kind;
  }

  /** Works; or gives up what it was given, and completes it as flushed; or begins anew, with the first entry. @throws {Errno} as the command */
  async modify(state: keyof typeof WQ_STATES): Promise<void> {
    if (state === this.#state) return;
    const input = new Uint32Array((WQ_CONTEXT + WQC.sizeBytes) / 4);
    setWord(input, OBJECT, this.number);
    setWord(input, WQ_MODIFY.state, WQ_STATES[this.#state]);
    setWord(input, WQC.state, WQ_STATES[state], WQ_CONTEXT);
    await this.owner.exec(this.#kind.modify, input);
    this.#state = state;
  }

  #make(input: Uint32Array, { logSize, record, pasid, uar, cq }: UserWqOptions): Promise<this> {
    const { create, label, logStride } = this.#kind;
    setWord(input, WQC.state, WQ_STATES.reset, WQ_CONTEXT);
    setWord(input, WQC.cqn, cq.number, WQ_CONTEXT);
    setWord(input, WQC.type, CYCLIC, WQ_CONTEXT);
    setWord(input, WQC.uar, uar.index, WQ_CONTEXT);
    setWord(input, WQC.logStride, logStride, WQ_CONTEXT);
    setWord(input, WQC.logSize, logSize, WQ_CONTEXT);
    setPasid(input, WQ_CONTEXT + WQC.pasid, pasid);
    setAddress(input, WQ_CONTEXT + WQC.record, record);
    return this.make(label, async (started) => started(getWord(await this.owner.exec(create, input), OBJECT)));
  }

  protected override destroy(): Promise<void> {
    return destroyCommand(this.owner, this.#kind.destroy, this.number);
  }
}

/** A command that carries the pages of a ring behind `headerBytes`. @throws {Errno} EINVAL for addresses that are not aligned */
function command(dev: Device, { address, record, logSize }: UserRing, headerBytes: number, entryBytes: number): Uint32Array {
  if (!isAddress(address, PAGE_BYTES) || !isAddress(record, RECORD_ALIGN)) {
    const what = `${dev.name}: ring at ${address}, record at ${record}`;
    throw new Errno('EINVAL', `${what}: must be multiples of ${PAGE_BYTES} and ${RECORD_ALIGN}`);
  }
  const pages = Math.ceil((entryBytes * 2 ** logSize) / PAGE_BYTES);
  const input = new Uint32Array(headerBytes / 4 + 2 * pages);
  for (let n = 0; n < pages; n++) setAddress(input, headerBytes + 8 * n, address + n * PAGE_BYTES);
  return input;
}

const isAddress = (address: number, align: number): boolean =>
  Number.isSafeInteger(address) && address >= 0 && address % align === 0;

function setPasid(input: Uint32Array, at: number, pasid: number): void {
  const set = (field: WordField, value: number): void => setWord(input, field, value, at);
  set(PASID.valid, 1);
  set(PASID.pasid, pasid);
}
