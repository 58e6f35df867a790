import {
  type AddressSpace,
  Errno,
  type FileDevice,
  type FileOperations,
  IoctlTable,
  type MmapRequest,
  POLL,
  type Task,
  type Window,
  capable,
} from '../../core/index.js';
import { EVENTS, PAGE_BYTES, PORT_SUBTYPES } from '../../hw/regs/nic.js';
import { UserCq, UserPage, UserWq } from '../lib/mlx5/index.js';
import type { Mlx5Child, Mlx5CqTarget, Mlx5Event, Mlx5Uar } from '../mlx5/api.js';
import { type QueuePlace, RDMA, RDMA_EVENT, RDMA_EVENTS, type RdmaInfo } from './api.js';
import { EventCount, EventList } from './event-list.js';

/** Binary logarithms of entries: fewer than one make no queue. */
const LOG_MIN = 0;

/** What an open file is made of. */
export interface UserContextParts {
  readonly file: FileDevice;
  readonly core: Mlx5Child;
  /** His, who has opened it: no other rings by it. */
  readonly uar: Mlx5Uar;
  readonly space: AddressSpace;
  readonly pasid: number;
}

/** A completion queue of the file. */
class OwnedCq implements Mlx5CqTarget {
  cq: UserCq | undefined = undefined;
  /** Work queues that complete there. */
  users = 0;
  completion: EventCount | undefined = undefined;
  error: EventCount | undefined = undefined;
  readonly #completions: EventList;
  readonly #events: EventList;

  constructor(completions: EventList, events: EventList) {
    this.#completions = completions;
    this.#events = events;
  }

  made(cq: UserCq): void {
    this.cq = cq;
    this.completion = new EventCount(RDMA_EVENTS.completion, cq.number);
    this.error = new EventCount(RDMA_EVENTS.cqError, cq.number);
  }

  /** In interrupt context; not before its user knows its number, and can arm it. */
  completed(): void {
    if (this.completion !== undefined) this.#completions.add(this.completion);
  }

  failed(): void {
    if (this.error !== undefined) this.#events.add(this.error);
  }

  /** Of what it was, nobody is to read. */
  forget(): void {
    if (this.completion !== undefined) this.#completions.remove(this.completion);
    if (this.error !== undefined) this.#events.remove(this.error);
  }
}

/**
 * A device that a task has open: queues in its memory, a page of doorbells that serves them alone, and what has happened to them.
 * @see Linux 7.2 drivers/infiniband/core/uverbs_main.c, drivers/infiniband/hw/mlx5/main.c mlx5_ib_alloc_ucontext
 */
export class UserContext implements FileOperations {
  readonly ioctls: IoctlTable;
  readonly #parts: UserContextParts;
  readonly #page: UserPage;
  readonly #completions: EventList;
  /** All others. */
  readonly #events: EventList;
  readonly #cqs = new Map<number, OwnedCq>();
  readonly #sqs = new Map<number, { readonly sq: UserWq; readonly cq: OwnedCq }>();
  readonly #fatal = new EventCount(RDMA_EVENTS.deviceFatal, 0);
  readonly #portActive = new EventCount(RDMA_EVENTS.portActive, 0);
  readonly #portError = new EventCount(RDMA_EVENTS.portError, 0);

  constructor(parts: UserContextParts) {
    this.#parts = parts;
    this.#page = new UserPage(parts.uar);
    this.#completions = new EventList(parts.file);
    this.#events = new EventList(parts.file);
    this.ioctls = new IoctlTable()
      .on(RDMA.QUERY_DEVICE, () => this.#query())
      .on(RDMA.CREATE_CQ, (task, place) => this.#createCq(task, place, place.compVector ?? 0))
      .on(RDMA.DESTROY_CQ, (task, cqn) => this.#destroyCq(task, cqn))
      .on(RDMA.CREATE_SQ, (task, place) => this.#createSq(task, place, place.cqn))
      .on(RDMA.DESTROY_SQ, (task, sqn) => this.#destroySq(task, sqn));
  }

  /** Hears of the function, until the file is closed. */
  listen(): void {
    const { core, file } = this.#parts;
    const port = (event: Mlx5Event): void => {
      this.#events.add(event.subType === PORT_SUBTYPES.active ? this.#portActive : this.#portError);
    };
    file.devres.use('port events', core.events.on(EVENTS.portChange, port));
    file.devres.use(
      'failure',
      core.onFailed(() => this.#events.add(this.#fatal)),
    );
  }

  /** The page of doorbells. @throws {Errno} EPERM for another task; EINVAL for more than that page, and for a private mapping */
  mmap(task: Task, { sizeBytes, offset = 0, shared = true }: MmapRequest): Window {
    this.#checkOwner(task);
    if (sizeBytes > PAGE_BYTES || offset !== 0 || !shared) {
      const what = shared ? `${sizeBytes} bytes at ${offset}` : 'a copy';
      throw new Errno('EINVAL', `${this.#who}: a mapping of ${what}: its doorbells are one shared page at 0`);
    }
    return this.#page;
  }

  poll(task: Task): number {
    if (task.mm !== this.#parts.space) return POLL.NVAL;
    const isReadable = this.#completions.isEmpty ? 0 : POLL.IN | POLL.RDNORM;
    return isReadable | (this.#events.isEmpty ? 0 : POLL.PRI) | (this.#parts.core.isFailed ? POLL.ERR : 0);
  }

  /** @returns bytes: as many events as fit @throws {Errno} EPERM for another task; EINVAL for less than an event; EAGAIN when nothing has happened */
  read(task: Task, buffer: Uint8Array): number {
    this.#checkOwner(task);
    if (buffer.length < RDMA_EVENT.sizeBytes) {
      throw new Errno('EINVAL', `${this.#who}: read of ${buffer.length} bytes: an event has ${RDMA_EVENT.sizeBytes}`);
    }
    if (this.#events.isEmpty && this.#completions.isEmpty) throw new Errno('EAGAIN', `${this.#who}: nothing has happened`);
    const bytes = this.#events.read(buffer);
    return bytes + this.#completions.read(buffer.subarray(bytes));
  }

  #query(): RdmaInfo {
    const { caps, compVectorCount: compVectors, isRoceEnabled } = this.#parts.core;
    return { compVectors, logMaxCqSize: caps.logMaxCqSize, logMaxWqSize: caps.logMaxWqSize, isRoceEnabled };
  }

  /** @see Linux 7.2 drivers/infiniband/hw/mlx5/cq.c mlx5_ib_create_cq */
  async #createCq(task: Task, place: QueuePlace, compVector: number): Promise<number> {
    this.#checkOwner(task);
    const { file, core, uar, pasid } = this.#parts;
    this.#checkSize('completion queue', place.logSize, core.caps.logMaxCqSize);
    const eqn = await core.compEqn(compVector);
    const owned = new OwnedCq(this.#completions, this.#events);
    const { address, record, logSize } = place;
    const cq = await UserCq.create(core, file, { address, record, logSize, pasid, uar, eqn, client: owned });
    owned.made(cq);
    this.#cqs.set(cq.number, owned);
    return cq.number;
  }

  /** @throws {Errno} EPERM for another task; EINVAL for what is not this file's; EBUSY while a queue completes there */
  async #destroyCq(task: Task, cqn: number): Promise<void> {
    this.#checkOwner(task);
    const owned = this.#find(this.#cqs, 'completion queue', cqn);
    if (owned.users > 0)
      throw new Errno('EBUSY', `${this.#who}: completion queue ${cqn} has ${owned.users} queues: destroy those`);
    this.#cqs.delete(cqn);
    await owned.cq![Symbol.asyncDispose]();
    owned.forget();
  }

  /** @throws {Errno} EPERM for another task, and without CAP_NET_RAW; EINVAL for what is not this file's; as the command */
  async #createSq(task: Task, place: QueuePlace, cqn: number): Promise<number> {
    this.#checkOwner(task);
    if (!capable(task, 'CAP_NET_RAW'))
      throw new Errno('EPERM', `${this.#who}: ${task.name} sends no packets without CAP_NET_RAW`);
    const { file, core, uar, pasid } = this.#parts;
    this.#checkSize('send queue', place.logSize, core.caps.logMaxWqSize);
    const cq = this.#find(this.#cqs, 'completion queue', cqn);
    const { address, record, logSize } = place;
    cq.users++;
    try {
      const sq = await UserWq.create(core, file, { kind: 'send', address, record, logSize, pasid, uar, cq: cq.cq! });
      await ready(sq);
      this.#sqs.set(sq.number, { sq, cq });
      return sq.number;
    } catch (error) {
      cq.users--;
      throw error;
    }
  }

  async #destroySq(task: Task, sqn: number): Promise<void> {
    this.#checkOwner(task);
    const { sq, cq } = this.#find(this.#sqs, 'send queue', sqn);
    this.#sqs.delete(sqn);
    await sq[Symbol.asyncDispose]();
    cq.users--;
  }

  #find<T>(all: ReadonlyMap<number, T>, what: string, number: number): T {
    const found = all.get(number);
    if (found === undefined) throw new Errno('EINVAL', `${this.#who}: this file has no ${what} ${number}`);
    return found;
  }

  #checkSize(what: string, logSize: number, most: number): void {
    if (Number.isInteger(logSize) && logSize >= LOG_MIN && logSize <= most) return;
    throw new Errno('EINVAL', `${this.#who}: ${what} of 2^${logSize} entries: must be 2^${LOG_MIN} to 2^${most}`);
  }

  #checkOwner(task: Task): void {
    if (task.mm === this.#parts.space) return;
    throw new Errno('EPERM', `${this.#who}: ${task.name} is not the task that has opened it: open it yourself`);
  }

  get #who(): string {
    return this.#parts.file.parent!.name;
  }
}

/** Starts it, or gives it back. */
async function ready(sq: UserWq): Promise<void> {
  try {
    await sq.modify('ready');
  } catch (error) {
    await sq[Symbol.asyncDispose]();
    throw error;
  }
}
