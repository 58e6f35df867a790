import {
  type Host,
  type HostCapabilities,
  type RemapFault,
  type VirtualClock,
  type VirtualClockOptions,
  type Window,
  formatBdf,
} from '../../core/hal/index.js';
import { Errno, type Log, Signal, type Subscription, describeError, hex } from '../../core/lib/index.js';
import type { Fabric } from './connection.js';
import { type InterruptOptions, SimInterrupts } from './interrupts.js';
import { type IommuOptions, SimIommu } from './iommu.js';
import { type DmaFault, type GuestError, Journal, type ModelError, type SimIommuFault } from './journal.js';
import { MappedWindow } from './mapped-window.js';
import { PhysicalMemory } from './memory.js';
import { PlatformBus } from './platform.js';
import { Root, checkRoots } from './root.js';
import { SimClock } from './sim-clock.js';
import { type Functions, Slot } from './slot.js';
import {
  type BridgeSpec,
  type DeviceSpec,
  type PciSpec,
  type Place,
  type RootSpec,
  bridgeConfig,
  defaultApertures,
  parseDevfn,
  parsePlace,
} from './topology.js';

/** What a machine is made of. */
export interface MachineOptions extends InterruptOptions {
  /** Source of all randomness in the machine; default 1. */
  readonly seed?: number;
  /** Default 256 MiB. Takes up room only where it is used. */
  readonly memoryBytes?: number;
  readonly devices?: readonly DeviceSpec[];
  /** Default one, with segment 0 and buses 0 to 255. */
  readonly roots?: readonly RootSpec[];
  /** Whether memory writes to devices are posted; default true. Without, each arrives before it returns. */
  readonly postedWrites?: boolean;
  /** What is between devices and memory; default true, as by `{}`. With false devices reach memory as it is. */
  readonly iommu?: boolean | IommuOptions;
  /** How the clock moves; default `auto`. */
  readonly clock?: VirtualClockOptions['mode'];
}

/** What {@link Machine.yank} did. */
export interface Removal {
  /** The functions that went. */
  readonly functions: readonly string[];
  /** Tells the operating system, once; already done unless the removal was silent. */
  report(): void;
}

/** An interrupt message that arrived from the device `who`, before anything has judged it. */
export type MessageListener = (who: string, address: number, data: number) => void;
/** The device `who` asserts its line, or does no longer; others may share the line. */
export type LineListener = (who: string, asserted: boolean) => void;

/**
 * The simulated machine: virtual clock, memory, PCI and platform devices, all of it deterministic and given as data.
 *
 * Writes to device memory are posted: they arrive before the next read through the same root, before time moves, or when the
 * running synchronous section has returned. Models run inside the access, the write's arrival or the clock event that
 * concerns them, and what they throw is recorded in `modelErrors`.
 *
 * @example
 * ```ts
 * const machine = new Machine({ devices: [{ at: '00:04.0', model: edu() }] });
 * machine.pci[0].config(0, 0x20).read32(0); // 0x11e81234
 * ```
 */
export class Machine implements Host {
  readonly name = 'sim';
  readonly capabilities: HostCapabilities = { time: 'virtual', hotplug: true };
  readonly clock: VirtualClock;
  readonly dma: PhysicalMemory;
  readonly pci: readonly Root[];
  readonly interrupts: SimInterrupts;
  readonly iommu: SimIommu | undefined;
  readonly seed: number;
  readonly #journal: Journal;
  readonly #platform: PlatformBus;
  readonly #fabric: Fabric;
  #isRunning = false;

  /** @throws {Errno} EINVAL, EBUSY or ERANGE for what cannot be built; names the slot */
  constructor(options: MachineOptions = {}) {
    const { seed = 1, memoryBytes = 256 * 2 ** 20, devices = [], roots = [{}], postedWrites = true, iommu = true } = options;
    this.seed = seed;
    const clock = new SimClock(
      { mode: options.clock ?? 'auto' },
      () => this.#flush(),
      () => this.drain(),
    );
    this.clock = clock;
    this.dma = new PhysicalMemory(memoryBytes);
    this.#journal = new Journal(() => clock.now());
    this.interrupts = new SimInterrupts(options, this.dma, this.#journal);
    this.iommu = iommu === false ? undefined : new SimIommu(iommu === true ? {} : iommu, this.#journal);
    this.#fabric = {
      clock,
      memory: this.dma,
      journal: this.#journal,
      iommu: this.iommu,
      seed,
      interrupts: this.interrupts,
      lines: new Signal(),
    };
    this.pci = roots.map((root, i) => new Root({ apertures: defaultApertures(i, roots.length), ...root }, postedWrites));
    checkRoots(this.pci, this.dma.ranges);
    this.#platform = new PlatformBus(postedWrites, this.#fabric);
    for (const spec of devices) {
      if (typeof spec.at === 'number') this.#platform.add(spec as Extract<DeviceSpec, { at: number }>);
      else this.#place(spec as PciSpec | BridgeSpec, parsePlace(spec.at));
    }
  }

  /** Bugs of models: what they threw. */
  get modelErrors(): readonly ModelError[] {
    return this.#journal.modelErrors;
  }
  /** What software did that a datasheet forbids. */
  get guestErrors(): readonly GuestError[] {
    return this.#journal.guestErrors;
  }
  /** Accesses of devices to memory that went wrong, but for what the IOMMU has refused. */
  get dmaFaults(): readonly DmaFault[] {
    return this.#journal.dmaFaults;
  }
  /** Interrupt messages that the remapping unit refused. */
  get remapFaults(): readonly RemapFault[] {
    return this.#journal.remapFaults;
  }
  /** Accesses of devices that the IOMMU has refused. */
  get iommuFaults(): readonly SimIommuFault[] {
    return this.#journal.iommuFaults;
  }

  /** From now on, what happens in the machine is logged there. */
  start(log: Log): void {
    if (this.#isRunning) throw new Errno('EBUSY', 'sim: serves another system: make a machine for each');
    this.#isRunning = true;
    this.#journal.log = log;
  }

  stop(): void {
    this.#isRunning = false;
    this.drain();
  }

  /** A window on platform devices; `io` has none. */
  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    const nobody = { posted: this.#platform.posted, isPosting: true, resolve: () => undefined };
    return new MappedWindow(kind === 'mem' ? this.#platform : nobody, address, sizeBytes);
  }

  requesterId(address: number): number | undefined {
    return this.#platform.requesterId(address);
  }

  /** Told of each interrupt message of a device that arrives. */
  onMessage(listener: MessageListener): Subscription {
    return this.interrupts.posts.on((who, _requesterId, address, data) => listener(who, address, data));
  }

  /** Told of each change of a device's interrupt line. */
  onLine(listener: LineListener): Subscription {
    return this.#fabric.lines.on(listener);
  }

  /**
   * Runs `fn` as code of another CPU; what it awaits runs elsewhere again.
   * @returns what `fn` gives
   * @throws {Errno} ERANGE when there is no such CPU, EINVAL when it is offline
   */
  onCpu<T>(cpu: number, fn: () => T): T {
    return this.interrupts.onCpu(cpu, fn);
  }

  /**
   * Another CPU takes a pending vector now, also while this one is in the middle of a handler: a true overlap, which
   * single-threaded code cannot have otherwise.
   *
   * @throws {Errno} ERANGE when there is no such CPU or vector; EINVAL when the vector is not pending or nobody takes interrupts;
   * EBUSY when that CPU runs a handler or task code, or would take another vector first
   */
  deliverNested(cpu: number, vector: number): void {
    this.interrupts.deliverNested(cpu, vector);
  }

  /** Moves time by `us` microseconds, synchronously; see `VirtualClock.elapse`. */
  elapse(us: number): number {
    return this.clock.elapse(us);
  }

  /** Moves time by `us` microseconds and lets promises run. */
  async settle(us = 0): Promise<void> {
    this.drain();
    await this.clock.settle(us);
  }

  /**
   * Delivers the posted writes, and then the interrupts that are pending, as at the end of a synchronous section; nothing of the
   * latter inside one. @returns whether there were any posted writes
   */
  drain(): boolean {
    const any = this.#flush();
    this.interrupts.drain();
    return any;
  }

  #flush(): boolean {
    let any = this.#platform.posted.flush();
    for (const root of this.pci) any = root.posted.flush() || any;
    return any;
  }

  /**
   * Pulls a device out while the machine runs: all its functions and everything below them. From now on reads give all ones,
   * writes on their way vanish, and nothing the device had begun reaches anything.
   *
   * @param at `00:1c.0/00.0` by place, or `01:00.0` by the bus numbers that software has given
   * @param options `silent`: the operating system is told by `report` of the result, or never
   * @throws {Errno} ENODEV when nothing is there
   */
  yank(at: string, options: { readonly silent?: boolean } = {}): Removal {
    const slot = this.#find(at);
    const root = this.#rootOf(slot);
    const siblings = slot.parent?.children ?? root.functions;
    const gone = [...siblings.values()].filter((other) => other.devfn >> 3 === slot.devfn >> 3);
    for (const one of gone) {
      siblings.delete(one.devfn);
      one.cut();
    }
    slot.parent?.bridge?.setPresent(siblings.size > 0);
    let isReported = false;
    const report = (): void => {
      if (isReported) return;
      isReported = true;
      for (const one of gone) root.announce('removed', slot.parent, one.devfn);
    };
    if (options.silent !== true) report();
    return { functions: gone.map((one) => one.name), report };
  }

  /**
   * Puts a device in while the machine runs: on a root bus, or below a bridge with a hot-plug slot.
   * @param spec `at` by place: `00:05.0`, `00:1c.0/00.0`
   * @throws {Errno} EBUSY when the place is taken; EOPNOTSUPP when the bridge has no hot-plug slot; ENODEV when there is no bridge
   */
  plug(spec: PciSpec | BridgeSpec): void {
    const slot = this.#place(spec, parsePlace(spec.at), true);
    slot.parent?.bridge?.setPresent(true);
    this.#rootOf(slot).announce('added', slot.parent, slot.devfn);
  }

  #place(spec: PciSpec | BridgeSpec, place: Place, isHot = false): Slot {
    const root = this.#root(place, spec.at);
    let parent: Slot | undefined = undefined;
    let functions: Functions = root.functions;
    for (const devfn of place.path.slice(0, -1)) {
      parent = functions.get(devfn);
      if (parent?.children === undefined)
        throw new Errno('ENODEV', `${spec.at}: no bridge at ${hex(devfn >> 3, 2)}.${devfn & 7}`);
      functions = parent.children;
    }
    if (isHot && parent?.bridge?.hotplug === false) {
      throw new Errno('EOPNOTSUPP', `${spec.at}: ${parent.name} has no hot-plug slot: declare it with hotplug`);
    }
    return this.#insert(spec, root, parent, place.path.at(-1)!);
  }

  #insert(spec: PciSpec | BridgeSpec, root: Root, parent: Slot | undefined, devfn: number): Slot {
    const functions = parent?.children ?? root.functions;
    const [first, below] = [formatBdf(root.segment, root.firstBus, devfn), `${hex(devfn >> 3, 2)}.${devfn & 7}`];
    const name = parent === undefined ? first : `${parent.name}/${below}`;
    if (functions.has(devfn)) throw new Errno('EBUSY', `${name}: a function is there already`);
    if (parent?.bridge?.isLink === true && devfn >> 3 !== 0) {
      throw new Errno('EINVAL', `${name}: a link of ${parent.name} has device 00 alone`);
    }
    if ((devfn & 7) !== 0 && !functions.has(devfn & ~7)) {
      throw new Errno('EINVAL', `${name}: function 0 of this device is missing: declare it first`);
    }
    let slot: Slot;
    try {
      slot = new Slot(name, devfn, parent, 'model' in spec ? spec.model : bridgeConfig(spec), this.#fabric, root.firstBus);
    } catch (error) {
      const text = Errno.is(error) ? error.text : describeError(error);
      throw new Errno(Errno.codeOf(error), `${name}: ${text}`, { cause: error });
    }
    functions.set(devfn, slot);
    if ((devfn & 7) !== 0) functions.get(devfn & ~7)!.endpoint.setMultifunction(true);
    if ('bridge' in spec) {
      for (const child of spec.children ?? []) {
        this.#insert(child, root, slot, parseDevfn(child.at, `${name}: child ${child.at}`));
      }
      slot.bridge!.setPresent(slot.children!.size > 0);
    }
    return slot;
  }

  #find(at: string): Slot {
    const place = parsePlace(at);
    const root = this.pci.find((one) => one.segment === place.segment && one.firstBus <= place.bus && place.bus <= one.lastBus);
    let slot = root?.route(place.bus, place.path[0]!);
    for (const devfn of place.path.slice(1)) slot = slot?.children?.get(devfn);
    if (slot === undefined) throw new Errno('ENODEV', `${at}: no such function`);
    return slot;
  }

  #root(place: Place, at: string): Root {
    const root = this.pci.find((one) => one.segment === place.segment && one.firstBus === place.bus);
    if (root === undefined) {
      const has = this.pci.map((one) => formatBdf(one.segment, one.firstBus, 0).slice(0, 7)).join(', ');
      throw new Errno('EINVAL', `${at}: not on a root bus (${has}): devices below a bridge are its children`);
    }
    return root;
  }

  #rootOf(slot: Slot): Root {
    let top = slot;
    while (top.parent !== undefined) top = top.parent;
    return this.pci.find((root) => root.functions.get(top.devfn) === top)!;
  }
}
