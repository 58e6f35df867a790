import {
  type Bus,
  type DeviceCore,
  type Dma,
  type MaybePromise,
  type Mmio,
  type MsiDomain,
  type PasidCookie,
  type PciDevice,
  type PciVectors,
  Signal,
  type Subscription,
  describeError,
  hex,
} from '../../core/index.js';
import type { IdxdOptions } from './api.js';
import type { Caps } from './caps.js';
import type { Commands } from './commands.js';
import { deviceGroups } from './dsa-attributes.js';
import { DsaDevice } from './dsa-bus.js';
import { Engine } from './engine.js';
import { EventLog } from './event-log.js';
import { Group } from './group.js';
import type { SwError } from './sw-error.js';
import { Wq } from './wq.js';

/** Whether the device takes commands and work; `halted` until it is reset. */
export type IdxdState = 'disabled' | 'enabled' | 'halted';

/** What of a device its parts are made from. */
export interface IdxdParts {
  readonly dev: PciDevice;
  readonly core: DeviceCore;
  readonly bus: Bus;
  /** `dsa<id>`, `wq<id>.<n>`, ... */
  readonly id: number;
  readonly regs: Mmio;
  readonly portals: Mmio;
  readonly caps: Caps;
  readonly commands: Commands;
  /** For the memory of the event log. */
  readonly dma: Dma;
  readonly options: IdxdOptions;
}

/**
 * One accelerator: what the probe of its PCI function returns, and what drivers of its parts reach as `dev.idxd`.
 *
 * Its parts are devices on bus `dsa`; they go before it. The lists are by number: `wqs[3]` is `wq0.3`.
 * @see Linux 6.12 drivers/dma/idxd/idxd.h struct idxd_device
 */
export class Idxd {
  readonly dev: PciDevice;
  readonly core: DeviceCore;
  readonly bus: Bus;
  readonly id: number;
  /** BAR 0 and BAR 2. */
  readonly regs: Mmio;
  readonly portals: Mmio;
  readonly caps: Caps;
  readonly commands: Commands;
  readonly options: IdxdOptions;
  /** The device as a whole, `dsa0`; it is enabled while driver `idxd` is bound to it. */
  readonly conf: DsaDevice;
  readonly wqs: readonly Wq[];
  readonly groups: readonly Group[];
  readonly engines: readonly Engine[];
  /** Vector 0 is the device's own; vector `n + 1`, where there is one, is for queue `n`. Set by probe. */
  vectors!: PciVectors;
  /** Interrupts of the message store, all of it; undefined where the device or the platform has none. */
  ims: MsiDomain<PasidCookie> | undefined = undefined;
  /** What the device writes down that it cannot tell otherwise; undefined where it has no log. */
  readonly eventLog: EventLog | undefined;
  /** The address space of work for the kernel itself; undefined where there are no PASIDs. */
  systemPasid: number | undefined = undefined;
  state: IdxdState = 'disabled';
  /** Whether queues may be bound no more: the device is about to be disabled. */
  isLeaving = false;
  /** Why enabling failed last: one of {@link CMD_STATUS}, or what the device answered. 0 when it did not, or somebody wrote to it. */
  cmdStatus = 0;
  /** The last error that the device has told, as it was read: 256 bits. */
  readonly swErrorWords = new Uint32Array(8);
  /** Read buffers that groups with `useReadBufferLimit` share. */
  readBufferLimit = 0;
  /** Of the character devices of its queues. */
  cdevMajor = 0;
  readonly #swErrors = new Signal<[SwError]>();
  readonly #revocations = new Signal<[]>();
  readonly #halts = new Signal<[]>();
  /** Ends with the work that was scheduled last. */
  #work: Promise<void> = Promise.resolve();
  #scheduled = 0;
  #isClosed = false;

  /** @internal */
  constructor({ dev, core, bus, id, regs, portals, caps, commands, dma, options }: IdxdParts) {
    this.dev = dev;
    this.core = core;
    this.bus = bus;
    this.id = id;
    this.regs = regs;
    this.portals = portals;
    this.caps = caps;
    this.commands = commands;
    this.options = options;
    this.eventLog = caps.eventBytes === 0 ? undefined : new EventLog(this, dma);
    this.conf = new DsaDevice(this, 'dsa', this.name, dev, deviceGroups(this));
    this.wqs = Array.from({ length: caps.workQueues }, (_, index) => new Wq(this, index));
    this.engines = Array.from({ length: caps.engines }, (_, index) => new Engine(this, index));
    this.groups = Array.from({ length: caps.groups }, (_, index) => new Group(this, index));
  }

  get name(): string {
    return `dsa${this.id}`;
  }

  /** Whether queues can be shared: the way to the device has writes with an answer, and there are PASIDs. */
  get canShare(): boolean {
    return this.caps.hasShared && this.portals.hasEnqcmd && this.systemPasid !== undefined;
  }

  /** Whether configuration of the device as a whole is refused: it is enabled, or on its way there or back. */
  get isBusy(): boolean {
    return this.state === 'enabled' || this.conf.driver !== undefined;
  }

  /** Calls `listener` for each software error, when it has been read and acknowledged. */
  onSwError(listener: (error: SwError) => void): Subscription {
    return this.#swErrors.on(listener);
  }

  /** Calls `listener` when the device has taken its interrupt handles back: request them anew. */
  onHandlesRevoked(listener: () => void): Subscription {
    return this.#revocations.on(listener);
  }

  /** Calls `listener` when the device has halted: work that is under way does not end. */
  onHalt(listener: () => void): Subscription {
    return this.#halts.on(listener);
  }

  /** @internal */
  swError(error: SwError): void {
    this.swErrorWords.set(error.words);
    const whose = error.wq === undefined ? 'no queue in particular' : `queue ${error.wq}`;
    const where = `opcode 0x${hex(error.opcode)}, address 0x${hex(error.faultAddress)}`;
    this.dev.log('warn', `${this.name}: error 0x${hex(error.error)} of ${whose}, ${where}`, 'software_error');
    this.#swErrors.emit(error);
  }

  /** @internal */
  handlesRevoked(): void {
    if (this.#revocations.active) this.#revocations.emit();
    else this.dev.log('warn', `${this.name}: interrupt handles revoked, which nobody has requested`, 'handles_revoked');
  }

  /** @internal */
  halted(): void {
    this.state = 'halted';
    this.#halts.emit();
  }

  /**
   * Does work that an interrupt has led to, when that is over, and the work before it. What it throws is logged; the device is not unbound
   * before it has ended, and none begins then.
   * @param what of the log
   */
  schedule(what: string, work: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#scheduled++;
    this.#work = this.#work.then(work).then(undefined, (error: unknown) => {
      this.dev.log('err', `${this.name}: ${what}: ${describeError(error)}`, 'work_failed');
    });
    void this.#work.then(() => this.#scheduled--);
  }

  /** Waits for scheduled work, and refuses any other. @internal */
  close(): MaybePromise<void> {
    this.#isClosed = true;
    return this.#scheduled === 0 ? undefined : this.#work;
  }

  /** Forgets the configuration, as the device did when it was reset; one that cannot be configured has kept it. */
  clear(): void {
    if (!this.caps.isConfigurable) return;
    for (const wq of this.wqs) {
      wq.clear();
      wq.size = 0;
      wq.groupId = undefined;
    }
    for (const engine of this.engines) engine.groupId = undefined;
    for (const group of this.groups) group.clear();
  }
}
