import type { Device, DeviceCore, UpperEdge } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import type { ClockEvent } from '../hal/index.js';
import { isThenable } from '../lib/flow.js';
import { Errno, type MaybePromise } from '../lib/index.js';
import type { Pins } from './pins.js';
import type { VfioOps } from './uapi.js';
import type { VfioContainer } from './container.js';
import type { VfioGroup } from './group.js';
import type { VfioFile } from './vfio-file.js';

/** How long until a device that is to go is asked for again. @see Linux 7.2 drivers/vfio/vfio_main.c vfio_unregister_group_dev */
const REQUEST_US = 10_000_000;

/** What a VFIO device is made of. @internal */
export interface VfioDeviceParts {
  readonly core: DeviceCore;
  readonly dev: Device;
  readonly ops: VfioOps;
  readonly group: VfioGroup;
  /** Whether its DMA is done by its driver, or with a PASID, and not under the requester id of `dev`. */
  readonly isEmulated: boolean;
  /** Whether what its users map is to be reached with a PASID. */
  readonly usesPasid: boolean;
  /** Signals a vector by software. */
  signal(index: number, vector: number): void;
  gone(device: VfioDevice): void;
}

/**
 * A device, or a part of one, that users can open, as its driver sees it. They see it from the moment it is bound until it is unbound.
 * @see Linux 7.2 include/linux/vfio.h struct vfio_device
 */
export class VfioDevice implements UpperEdge {
  /** In the ledger. @internal */
  entry: DevresEntry | undefined = undefined;
  /** Descriptors of it that are open. @internal */
  readonly files = new Set<VfioFile>();
  /** Who opened it by itself, and has bound it. @internal */
  boundBy: VfioFile | undefined = undefined;
  /** What its user's container gave it. @internal */
  container: VfioContainer | undefined = undefined;
  /** What it has pinned. @internal */
  pins: Pins | undefined = undefined;
  #pasid: number | undefined = undefined;
  #opens = 0;
  /** The first open or the last close is under way. */
  #turning: PromiseLike<unknown> | undefined = undefined;
  #isVisible = false;
  #isGone = false;
  #isEnded = false;
  /** Of the device, when it was registered. */
  readonly #binding: number;
  readonly #waiters: (() => void)[] = [];
  readonly #parts: VfioDeviceParts;

  /** @internal */
  constructor(parts: VfioDeviceParts) {
    this.#parts = parts;
    this.#binding = parts.dev.devres.binding;
  }

  /** The device that was registered. */
  get dev(): Device {
    return this.#parts.dev;
  }

  get name(): string {
    return this.#parts.dev.name;
  }

  /** What users open it by. */
  get group(): VfioGroup {
    return this.#parts.group;
  }

  get isEmulated(): boolean {
    return this.#parts.isEmulated;
  }

  /** @internal */
  get usesPasid(): boolean {
    return this.#parts.usesPasid;
  }

  /** @internal */
  get ops(): VfioOps {
    return this.#parts.ops;
  }

  /** @internal */
  get core(): DeviceCore {
    return this.#parts.core;
  }

  /** Whether users can open it. */
  get isVisible(): boolean {
    return this.#isVisible && !this.#isGone;
  }

  /** Whether it is unregistered: nothing of it can be used any more. */
  get isGone(): boolean {
    return this.#isEnded;
  }

  /** Whether its driver is bound still: it may not have waited for its users as long as they wanted. @internal */
  get isLive(): boolean {
    return this.#parts.dev.devres.binding === this.#binding;
  }

  /** Users that have it open. */
  get openCount(): number {
    return this.#opens;
  }

  /**
   * What hardware must send with its accesses, so that they go by what the user has mapped: of a device registered with `pasid`, while it is
   * open.
   */
  get pasid(): number | undefined {
    return this.#pasid;
  }

  /** Tells the user that a vector has come, without hardware: of vectors without an interrupt of their own. */
  signal(index: number, vector: number): void {
    this.#parts.signal(index, vector);
  }

  /**
   * Holds pages of the user, so that the driver can reach them.
   * @param iova as the user has mapped it; a multiple of 4096
   * @param count 1 to 512
   * @param isWrite whether they will be written
   * @returns the physical address of each
   * @throws {Errno} EINVAL when the device is not open or cannot be told of unmaps, for what is no page or not mapped; EPERM when the mapping
   *   forbids the access; E2BIG for more than 512
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_pin_pages
   */
  pinPages(iova: number, count: number, isWrite: boolean): number[] {
    return this.#needPins().pin(iova, count, isWrite);
  }

  /** Lets pages go that {@link pinPages} holds. @throws {Errno} EINVAL when they are not held */
  unpinPages(iova: number, count: number): void {
    this.#needPins().unpin(iova, count);
  }

  /**
   * Reads memory of the user.
   * @throws {Errno} EINVAL when the device is not open, or it is not mapped; EPERM when that forbids it; EFAULT when nothing is there
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_dma_rw
   */
  readDma(iova: number, out: Uint8Array): void {
    this.#needContainer().copy(iova, out, false);
  }

  /** Writes memory of the user. @throws {Errno} as {@link readDma} */
  writeDma(iova: number, data: Uint8Array): void {
    this.#needContainer().copy(iova, data, true);
  }

  /**
   * Ends it: nobody can open it any more, and its users are asked, again and again, to give it up.
   * @returns a promise while it has users; harmless when that was done
   * @see Linux 7.2 drivers/vfio/vfio_main.c vfio_unregister_group_dev
   */
  unregister(): MaybePromise<void> {
    const { entry } = this;
    return entry?.ledger?.releaseEntry(entry);
  }

  /** The release of it. @internal */
  end(): MaybePromise<void> {
    this.#isGone = true;
    if (this.#isIdle) return this.#finish();
    const idle = new Promise<void>((resolve) => this.#waiters.push(resolve));
    let timer: ClockEvent | undefined;
    let count = 0;
    const ask = (): void => {
      const { core, dev, ops } = this.#parts;
      core.guard(dev, 'a request for a VFIO device', () => ops.request?.(count));
      count++;
      timer = core.clock.deadline(REQUEST_US, ask);
    };
    ask();
    return idle.then(() => {
      timer?.cancel();
      return this.#finish();
    });
  }

  #finish(): void {
    this.#isEnded = true;
    this.#parts.gone(this);
  }

  /** Nobody has it, or is about to. */
  get #isIdle(): boolean {
    return this.files.size === 0 && this.#opens === 0 && this.#turning === undefined;
  }

  #wakeWhenIdle(): void {
    if (this.#isIdle) for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** A descriptor of it is closed. @internal */
  fileClosed(file: VfioFile): void {
    this.files.delete(file);
    this.#wakeWhenIdle();
  }

  /** One more user. @throws {Errno} ENODEV when it has ended; what the container threw, or the driver's `open` @internal */
  open(container: VfioContainer): MaybePromise<void> {
    if (this.#turning !== undefined) {
      const again = (): MaybePromise<void> => this.open(container);
      return this.#turning.then(again, again);
    }
    if (this.#isEnded) throw new Errno('ENODEV', `${this.name}: is no VFIO device any more`);
    if (this.#opens > 0) {
      this.#opens++;
      return undefined;
    }
    this.#pasid = container.deviceOpened(this);
    this.container = container;
    const failed = (error: unknown): never => {
      this.#leave();
      throw error;
    };
    const opened = (): void => {
      this.#opens = 1;
    };
    try {
      const done = this.#parts.ops.open?.();
      return isThenable(done) ? this.#turn(done.then(opened, failed)) : opened();
    } catch (error) {
      return failed(error);
    }
  }

  /** One user less. @throws what the driver's `close` threw @internal */
  close(): MaybePromise<void> {
    if (this.#turning !== undefined) {
      const again = (): MaybePromise<void> => this.close();
      return this.#turning.then(again, again);
    }
    if (--this.#opens > 0) return undefined;
    const leave = (): void => this.#leave();
    let done: MaybePromise<void>;
    try {
      done = this.#parts.ops.close?.();
    } catch (error) {
      leave();
      throw error;
    }
    if (!isThenable(done)) return leave();
    return this.#turn(Promise.resolve(done).finally(leave));
  }

  #leave(): void {
    this.container?.deviceClosed(this);
    this.container = undefined;
    this.#pasid = undefined;
  }

  #turn(done: PromiseLike<void>): PromiseLike<void> {
    const over = (): void => {
      if (this.#turning === done) this.#turning = undefined;
      this.#wakeWhenIdle();
    };
    this.#turning = done;
    done.then(over, over);
    return done;
  }

  /** @internal */
  appear(): void {
    this.#isVisible = true;
  }

  /** @internal */
  vanish(): void {
    this.#isVisible = false;
  }

  #needContainer(): VfioContainer {
    const { container } = this;
    if (container === undefined) throw new Errno('EINVAL', `${this.name}: is not open: nobody has mapped anything for it`);
    return container;
  }

  #needPins(): Pins {
    const container = this.#needContainer();
    if (this.#parts.ops.dmaUnmap === undefined) {
      throw new Errno('EINVAL', `${this.name}: pins pages without a dmaUnmap, by which it would be told to let them go`);
    }
    return (this.pins ??= container.pinsOf(this));
  }
}
