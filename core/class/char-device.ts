import { Device, type UpperEdge } from '../device/index.js';
import { Mmio, type Window } from '../hal/index.js';
import { Errno, joinErrors } from '../lib/errno.js';
import { type Flow, type MaybePromise, isThenable, run, settle } from '../lib/flow.js';
import { IdAllocator } from '../lib/id-allocator.js';
import { DeviceClass } from './device-class.js';
import { Target } from './guard.js';
import type { Ioctl, IoctlTable } from './ioctl.js';

/** Who opens and uses device files: of a process, what drivers ask for. @see Linux 6.12 include/linux/sched.h struct task_struct */
export interface Task {
  readonly name: string;
  readonly pid?: number;
  /** Its memory: those drivers that reach it know what it is, such as the `AddressSpace` of a device that translates. */
  readonly mm: object;
  /** `CAP_SYS_RAWIO`, ...; default none. */
  readonly capabilities?: readonly string[];
}

/** Whether a task may do what needs this capability. @see Linux 6.12 kernel/capability.c capable */
export const capable = (task: Task, capability: string): boolean => task.capabilities?.includes(capability) === true;

/** What `poll` says, as bits. @see Linux 6.12 include/uapi/asm-generic/poll.h */
export const POLL = { IN: 0x1, PRI: 0x2, OUT: 0x4, ERR: 0x8, HUP: 0x10, NVAL: 0x20, RDNORM: 0x40, WRNORM: 0x100 } as const;
/** What is told whether or not it was asked for. */
const ALWAYS = POLL.ERR | POLL.HUP | POLL.NVAL;

/** What a task wants of a mapping. */
export interface MmapRequest {
  /** In bytes; at least 1. */
  readonly sizeBytes: number;
  /** In bytes, from the start of the file; default 0. */
  readonly offset?: number;
  /** Default true: writes reach the device. False is a private copy, which devices do not have. */
  readonly shared?: boolean;
}

/** What a driver does for one open file; what is absent, the file cannot do. */
export interface FileOperations {
  read?(task: Task, buffer: Uint8Array): MaybePromise<number>;
  write?(task: Task, data: Uint8Array): MaybePromise<number>;
  /** Gives what is mapped. It is taken away from the task when the file is closed, or the device goes. */
  mmap?(task: Task, request: MmapRequest): Window;
  /** Bits of {@link POLL}, as it is now. Call {@link FileDevice.wake} when it may be otherwise. */
  poll?(task: Task): number;
  /** Its other calls. */
  readonly ioctls?: IoctlTable;
}

/** What a driver does for a character device. */
export interface CharOperations {
  /**
   * A task opens it. Everything that the open file holds is acquired for `file`, and is undone when it is closed, last first: there is
   * no other close.
   */
  open(file: FileDevice, task: Task): MaybePromise<FileOperations>;
}

/** A character device, for those who use it. */
export interface CharDevice {
  /** @throws {Errno} what its driver throws; ENODEV when it is gone */
  open(task: Task): MaybePromise<CharFile>;
}

/** The character devices of a system, by the name of their file: `dsa/wq0.0`. Drivers publish a {@link CharNode}. */
export const CharDevices = new DeviceClass<CharDevice>('char', { methods: ['open'] });

/** Numbers of open files, by the device they belong to. */
const fileIds = new WeakMap<Device, IdAllocator>();

/**
 * A character device, as its driver publishes it: `dev.publish(CharDevices, new CharNode(dev, operations), 'dsa/wq0.0')`.
 *
 * A file that is open when the device is unbound stays with its user, but all that it does is ENODEV. It is closed then, before the
 * driver's `remove`: once, whoever comes first.
 * @see Linux 6.12 fs/char_dev.c
 */
export class CharNode implements CharDevice {
  readonly #dev: Device;
  readonly #operations: CharOperations;

  constructor(dev: Device, operations: CharOperations) {
    this.#dev = dev;
    this.#operations = operations;
  }

  open(task: Task): MaybePromise<CharFile> {
    return run(this.#open(task));
  }

  *#open(task: Task): Flow<CharFile> {
    const dev = this.#dev;
    if (typeof task?.mm !== 'object' || task.mm === null) {
      throw new Errno('EINVAL', `${dev.name}: ${task?.name} is no task that can open it: it has no memory`);
    }
    const file = new FileDevice(dev);
    yield* settle(dev.core!.addChild(dev, file));
    try {
      return yield* file.begin(this.#operations, task);
    } catch (error) {
      // Whoever unbinds the device removes it.
      if (file.isEnded) throw error;
      const errors: unknown[] = [error];
      try {
        yield* settle(file.end());
      } catch (other) {
        errors.push(other);
      }
      throw joinErrors(errors, `giving back what ${file.name} had acquired`);
    }
  }
}

/** An open file, as its driver sees it: a device below the one that was opened. What is acquired for it goes when it is closed. */
export class FileDevice extends Device implements UpperEdge {
  readonly #owner: Device;
  readonly #calls: FileCalls;
  readonly #target: Target;
  readonly #mappings = new Set<Mmio>();
  /** Tasks that have it open. */
  #users = 0;
  #isEnded = false;

  /** @internal */
  constructor(owner: Device) {
    const ids = fileIds.get(owner) ?? new IdAllocator(`${owner.name}: open files`);
    fileIds.set(owner, ids);
    const id = ids.alloc();
    super({ name: `file${id}`, parent: owner, release: () => ids.free(id) });
    this.#owner = owner;
    this.#calls = new FileCalls(this);
    this.#target = new Target(this.#calls, `${owner.name}: ${this.name}`, owner.core!.sections);
  }

  /** Has those who wait look again at what `poll` says. */
  wake(): void {
    this.#calls.wake();
  }

  /** Closed, or its device is going. @internal */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** @internal */
  *begin(operations: CharOperations, task: Task): Flow<CharFile> {
    (this.#owner.edges ??= []).push(this);
    const opening = operations.open(this, task);
    if (isThenable(opening)) {
      // Should the device go meanwhile, nothing that it uses is taken away before it has ended.
      const until = this.devres.adopt('opening', opening, (it) => it.then(ignore, ignore));
      try {
        this.#calls.operations = (yield opening) as FileOperations;
      } finally {
        until.forget();
      }
    } else {
      this.#calls.operations = opening;
    }
    if (this.#isEnded) throw new Errno('ENODEV', `${this.#owner.name}: is gone`);
    return this.share(task);
  }

  /** @internal */
  share(task: Task): CharFile {
    this.#users++;
    return new CharFile(this, this.#target, task);
  }

  /** One task fewer has it open. @internal */
  drop(): MaybePromise<void> {
    if (--this.#users === 0 && !this.#isEnded) return this.end();
  }

  /** @internal */
  map(task: Task, request: MmapRequest): Mmio {
    const window = this.#target.call('mmap', task, request) as Window;
    const mapping = new Mmio(window, `${this.#owner.name}: mapping of ${this.name}`);
    this.#mappings.add(mapping);
    return mapping;
  }

  /** @internal */
  unmap(mapping: Mmio): void {
    if (!this.#mappings.delete(mapping)) {
      throw new Errno('EINVAL', `${this.#owner.name}: ${this.name}: cannot unmap what it has not mapped`);
    }
    mapping.revoke();
  }

  /** It is closed. @internal */
  end(): MaybePromise<void> {
    const { edges } = this.#owner;
    const index = edges?.indexOf(this) ?? -1;
    if (index >= 0) edges!.splice(index, 1);
    this.vanish();
    return this.core!.remove(this);
  }

  /** It is visible to who has opened it alone. @internal */
  appear(): void {}

  /** The device is going: from now on nothing can be done with it; its removal, as that of all children of a driver, follows. @internal */
  vanish(): void {
    this.#isEnded = true;
    this.devres.sealed = 'its device is going';
    this.#target.end();
    for (const mapping of this.#mappings) mapping.revoke();
  }
}

const ignore = (): void => {};

/** What can be done with an open file. */
class FileCalls {
  operations: FileOperations = {};
  readonly #file: FileDevice;
  #waiters: (() => void)[] = [];

  constructor(file: FileDevice) {
    this.#file = file;
  }

  read(task: Task, buffer: Uint8Array): MaybePromise<number> {
    const { operations } = this;
    if (operations.read === undefined) throw this.#cannot('EINVAL', 'be read');
    return operations.read(task, buffer);
  }

  write(task: Task, data: Uint8Array): MaybePromise<number> {
    const { operations } = this;
    if (operations.write === undefined) throw this.#cannot('EINVAL', 'be written');
    return operations.write(task, data);
  }

  mmap(task: Task, request: MmapRequest): Window {
    const { operations } = this;
    if (operations.mmap === undefined) throw this.#cannot('ENODEV', 'be mapped');
    const { sizeBytes, offset = 0 } = request;
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && Number.isSafeInteger(offset) && offset >= 0)) {
      throw new Errno('EINVAL', `${this.#who}: mapping of ${sizeBytes} bytes at ${offset}: is no range`);
    }
    return operations.mmap(task, request);
  }

  poll(task: Task): number {
    // What does not say is always ready. Linux 6.12 include/linux/poll.h DEFAULT_POLLMASK
    return this.operations.poll?.(task) ?? POLL.IN | POLL.OUT | POLL.RDNORM | POLL.WRNORM;
  }

  ioctl(task: Task, command: Ioctl<never, unknown>, argument: unknown): unknown {
    const call = this.operations.ioctls?.find(command);
    if (call === undefined) throw new Errno('ENOTTY', `${this.#who}: its driver has no ${command.name}`);
    return call(task, argument as never);
  }

  async wait(task: Task, events: number): Promise<number> {
    for (;;) {
      const now = this.poll(task) & (events | ALWAYS);
      if (now !== 0) return now;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** In interrupt context, too: nothing is allocated when nobody waits. */
  wake(): void {
    const all = this.#waiters;
    if (all.length === 0) return;
    this.#waiters = [];
    for (const resolve of all) resolve();
  }

  get #who(): string {
    return `${this.#file.parent!.name}: ${this.#file.name}`;
  }

  #cannot(code: 'EINVAL' | 'ENODEV', what: string): Errno {
    return new Errno(code, `${this.#who}: cannot ${what}: its driver does not do that`);
  }
}

/**
 * An open file in the hands of a task. It may be kept for ever: once the device is gone all that it does is ENODEV, who waits is woken
 * with that, and what it has mapped is ENODEV, too. After `close` it is EBADF.
 * @see Linux 6.12 include/linux/fs.h struct file
 */
export class CharFile implements AsyncDisposable {
  readonly #file: FileDevice;
  readonly #target: Target;
  #isClosed = false;

  /** @internal */
  constructor(
    file: FileDevice,
    target: Target,
    readonly task: Task,
  ) {
    this.#file = file;
    this.#target = target;
  }

  /** The device that stands for the open file, below the one that was opened: for its attributes. */
  get device(): Device {
    return this.#file;
  }

  /** @returns bytes read. @throws {Errno} EINVAL when it cannot be read; ENODEV when the device is gone; what the driver throws */
  read(buffer: Uint8Array): MaybePromise<number> {
    this.#check();
    return this.#target.call('read', this.task, buffer) as MaybePromise<number>;
  }

  /** @returns bytes taken. @throws {Errno} as {@link read} */
  write(data: Uint8Array): MaybePromise<number> {
    this.#check();
    return this.#target.call('write', this.task, data) as MaybePromise<number>;
  }

  /**
   * Maps the device into the task: the accesses of what this gives are the task's, to the device. It ends with
   * {@link munmap}, or with the file.
   * @throws {Errno} ENODEV when it cannot be mapped, or the device is gone; EINVAL for what is no range; what the driver throws
   */
  mmap(request: MmapRequest): Mmio {
    this.#check();
    return this.#file.map(this.task, request);
  }

  /** Takes a mapping away before the file is closed. @throws {Errno} EINVAL for what this file has not mapped */
  munmap(mapping: Mmio): void {
    this.#check();
    this.#file.unmap(mapping);
  }

  /** Makes a call of the driver's own. @throws {Errno} ENOTTY when it has no such; ENODEV when the device is gone; what the driver throws */
  ioctl<A, R>(command: Ioctl<A, R>, argument: A): MaybePromise<R> {
    this.#check();
    return this.#target.call('ioctl', this.task, command, argument) as MaybePromise<R>;
  }

  /** Bits of {@link POLL}, as it is now. @throws {Errno} ENODEV when the device is gone */
  poll(): number {
    this.#check();
    return this.#target.call('poll', this.task) as number;
  }

  /**
   * Waits until `poll` says one of these, or an error.
   * @param events bits of {@link POLL}; default IN
   * @returns those that are there
   * @throws {Errno} ENODEV when the device goes away, and when the file is closed
   */
  async wait(events: number = POLL.IN): Promise<number> {
    this.#check();
    return (await this.#target.call('wait', this.task, events)) as number;
  }

  /** Gives the file to another task, as over a socket: both have it open, and it is closed when both have closed it. */
  share(task: Task): CharFile {
    this.#check();
    return this.#file.share(task);
  }

  /** Closes it: what it has mapped is gone, and what the driver holds for it is given back. The second time, nothing happens. */
  close(): MaybePromise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    return this.#file.drop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(): void {
    if (this.#isClosed) throw new Errno('EBADF', `${this.#file.name}: was closed by ${this.task.name}`);
  }
}
