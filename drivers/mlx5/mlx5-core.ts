import {
  type AuxiliaryDevice,
  type Clock,
  type CpuMask,
  type Device,
  type Dma,
  Errno,
  type MaybePromise,
  PCI,
  type PciDevice,
  Signal,
  type Subscription,
  checkRange,
} from '../../core/index.js';
import { CMD_Q_INIT_TO } from '../../hw/regs/nic.js';
import type { DedicatedOptions, VectorLease } from '../lib/vectors/index.js';
import type { Mlx5Caps, Mlx5Child, Mlx5CqTarget, Mlx5Eswitch } from './api.js';
import { macsOf, queryCaps, setCaps } from './caps.js';
import { Children } from './children.js';
import { Commands } from './commands.js';
import { EqTable, maxEqs, mostCompletions } from './eq-table.js';
import { Events } from './events.js';
import type { FunctionWindow } from './function-window.js';
import { disableHca, enableHca, initHca, setDriverVersion, setIssi, teardownHca, waitFirmware } from './hca.js';
import { Health } from './health.js';
import { hold, warnOnly } from './held.js';
import type { IrqTable } from './irq-table.js';
import { makeIrqTable } from './irq-vectors.js';
import { FirmwarePages } from './pages.js';
import type { Mlx5CoreOptions, Mlx5Params, Mlx5Services, SfIdentity, Stage } from './mlx5-core-options.js';
import { type Uar, allocUar } from './uar.js';
import { UndoStack } from './undo-stack.js';

export type { Mlx5CoreOptions, Mlx5Params, Mlx5Services, SfIdentity, Stage } from './mlx5-core-options.js';

/** Entries of event queues. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/devlink.c mlx5_devlink_eq_depth_validate */
const EQ_SIZES = { least: 64, most: 4096, event: 4096, io: 1024 } as const;
/**
 * How long the firmware may take to start. Linux gives it two minutes; here a callback of a driver has one, for all that it does.
 * @see Linux 7.2 lib/tout.c tout_def_sw_val
 */
const PRE_INIT_US = 30_000_000;
/** Likewise, once the command interface is known; unless the device says otherwise. */
const INIT_MS = 2_000;
const ONES = 0xffff_ffff;
/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/lib/mlx5.h MLX5_DEFAULT_NUM_DOORBELLS */
const DOORBELLS = 8;

/**
 * One function: a PF, or a sub-function, for which `sf` says whose. It is made down; {@link up} and {@link down} may follow each other as
 * often as they like. All that it takes is in the ledger of {@link dev}, so that `down` is not needed before that is unbound, and a driver
 * whose probe calls `up` need not care how that ends.
 *
 * ```
 *   enable   firmware, commands (polled), ENABLE_HCA, health, interface, boot pages      all that a light sub-function has
 *   open     its pages, INIT_HCA, capabilities
 *   load     doorbells, requests of pages, vectors, event queues (commands by events), stages
 *   parts    mlx5_core.eth.N and others: bound at once, if their drivers are there
 * ```
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c mlx5_function_enable, mlx5_function_open, mlx5_load
 */
export class Mlx5Core implements Mlx5Child {
  readonly dev: Device;
  readonly pci: PciDevice;
  readonly adevIdx: number;
  readonly window: FunctionWindow;
  readonly services: Mlx5Services;
  /** What it is as a sub-function; undefined for a PF. */
  readonly sf: SfIdentity | undefined;
  readonly events = new Events();
  readonly commands: Commands;
  readonly pages: FirmwarePages;
  readonly health: Health;
  readonly children: Children;
  readonly params: Mlx5Params;
  /** Put in before it comes up; in this order. */
  readonly stages: Stage[] = [];
  /** Its switch goes by rules: it has a part for the ports of others. {@link rescan} after a change. */
  isSwitchdev = false;
  /** Put in before it comes up. */
  eswitch: Mlx5Eswitch | undefined = undefined;
  readonly #undo = new UndoStack();
  readonly #failed = new Signal<[]>();
  #caps: Mlx5Caps | undefined = undefined;
  #most: Mlx5Caps | undefined = undefined;
  #uar: Uar | undefined = undefined;
  #irqTable: IrqTable | undefined = undefined;
  #eqs: EqTable | undefined = undefined;
  #isUp = false;
  #isFailed = false;
  #isDraining = false;

  /** @throws {Errno} ERANGE for options that cannot be */
  constructor({ dev, pci, window, adevIdx, services, options = {}, sf }: Mlx5CoreOptions) {
    this.dev = dev;
    this.pci = pci;
    this.adevIdx = adevIdx;
    this.window = window;
    this.services = services;
    this.sf = sf;
    const isPf = sf === undefined;
    const like = sf?.parent.params;
    const { eventEqSize = like?.eventEqSize ?? EQ_SIZES.event, ioEqSize = like?.ioEqSize ?? EQ_SIZES.io } = options;
    checkRange(dev.name, 'eventEqSize', eventEqSize, EQ_SIZES.least, EQ_SIZES.most);
    checkRange(dev.name, 'ioEqSize', ioEqSize, EQ_SIZES.least, EQ_SIZES.most);
    const { enableEth = isPf, enableRdma = isPf, enableVnet = isPf } = isPf ? options : {};
    const parts = { enableEth, enableRdma, enableVnet, enableRoce: isPf };
    this.params = { eventEqSize, ioEqSize, ...parts, maxMacs: undefined, numDoorbells: DOORBELLS };
    this.commands = new Commands(dev, pci, window, services.dma);
    // What was to be destroyed may be alive.
    this.commands.onUndoLost = (what) => this.fail(`${what} was not answered`);
    this.pages = new FirmwarePages(dev, services.dma, this.commands);
    this.health = new Health(dev, pci, window, (why) => this.fail(why));
    this.children = new Children(services.aux, dev);
  }

  get isSf(): boolean {
    return this.sf !== undefined;
  }

  get sfnum(): number | undefined {
    return this.sf?.sfnum;
  }

  get pfIdx(): number {
    return (this.sf?.parent ?? this).adevIdx;
  }

  get isRoceEnabled(): boolean {
    return this.caps.roce === 1 && this.params.enableRoce;
  }

  get vport(): number {
    return this.sf?.functionId ?? 0;
  }

  get dma(): Dma {
    return this.services.dma;
  }

  get clock(): Clock {
    return this.pci.clock;
  }

  /** @throws {Errno} ENODEV before it has come up */
  get caps(): Mlx5Caps {
    return this.#need(this.#caps);
  }

  /** What it could have, whatever is wanted. @throws {Errno} ENODEV before it has come up */
  get most(): Mlx5Caps {
    return this.#need(this.#most);
  }

  /** Channels that its network device can have. @throws {Errno} ENODEV before it has come up */
  get mostChannels(): number {
    return mostCompletions(this.irqTable, this.isSf, this.caps);
  }

  get channelDoorbells(): number {
    return this.params.numDoorbells;
  }

  /** @throws {Errno} ENODEV unless it is up */
  get uar(): Uar {
    return this.#need(this.#uar);
  }

  /** The vectors of the PCI function: its own, or those of its parent. @throws {Errno} ENODEV before it has come up */
  get irqTable(): IrqTable {
    return this.sf === undefined ? this.#need(this.#irqTable) : this.sf.parent.irqTable;
  }

  /** @throws {Errno} ENODEV unless it is up */
  get eqs(): EqTable {
    return this.#need(this.#eqs);
  }

  /** Whether it is up, and not light. @see Linux 7.2 MLX5_INTERFACE_STATE_UP */
  get isUp(): boolean {
    return this.#isUp;
  }

  get isFailed(): boolean {
    return this.#isFailed;
  }

  // Up and down

  /**
   * Brings the function up, with its parts. What fails is undone by {@link down}, or the end of the binding.
   * @param light commands alone: no event queues, no parts, as sub-functions begin
   * @throws {Errno} ETIMEDOUT when the firmware does not start; ENODEV when it is removed meanwhile; EINVAL, EOPNOTSUPP for an interface
   *   that is not known; ENOMEM; else as {@link exec}
   * @see Linux 7.2 main.c mlx5_init_one_devl_locked, mlx5_init_one_light
   */
  async up({ light = false } = {}): Promise<void> {
    this.#isFailed = false;
    await this.#enable();
    this.#most = await queryCaps(this.commands, 'most');
    if (light) {
      this.#caps = await queryCaps(this.commands);
      return;
    }
    await this.#open();
    await this.#load();
    this.#isUp = true;
    await this.rescan();
  }

  /** Takes it down, while its driver stays bound: parts first. @throws what failed of it, when it is down @see Linux 7.2 main.c mlx5_unload_one_devl_locked */
  async down(): Promise<void> {
    this.#isUp = false;
    try {
      await this.children.deleteAll();
    } finally {
      await this.#undo.unwind();
    }
  }

  /** Makes and deletes parts as it is wanted now. @throws as `Children.rescan` */
  rescan(): Promise<void> {
    const { caps, most, isSf, isSwitchdev, params: wanted } = this;
    return this.children.rescan(this, { caps, canRoce: most.roce === 1, isSf, isSwitchdev, wanted });
  }

  /** Its parts that are there, in the order of their creation. */
  get parts(): readonly AuxiliaryDevice[] {
    return this.children.list;
  }

  /** Nothing goes on by itself any more, and nothing waits for firmware: before it is unbound. @see Linux 7.2 main.c remove_one */
  drain(): void {
    this.#isDraining = true;
    this.health.stop();
  }

  /**
   * The system is going down: the function is cut off, and interrupts nobody. Its memory and objects are left.
   * @see Linux 7.2 main.c shutdown, mlx5_try_fast_unload
   */
  async shutdown(): Promise<void> {
    this.drain();
    await warnOnly(this.dev, 'is not torn down', teardownHca(this.dev, this.commands, true));
    this.commands.close();
    this.#eqs?.detach();
  }

  /**
   * It is of no use any more: commands are refused, and who listens is told. What it has of memory is not taken from it by commands then:
   * a PF does not reach memory any more, until it goes down, and is reset.
   * @see Linux 7.2 health.c mlx5_enter_error_state
   */
  fail(why: string): void {
    if (this.#isFailed) return;
    this.#isFailed = true;
    this.dev.log('err', `has failed: ${why}`, 'internal_error');
    this.commands.close();
    if (!this.isSf) this.pci.config.modify(PCI.COMMAND, { master: 0 });
    this.#failed.emit();
  }

  /** A PF that has failed is as it was when it was switched on; it reaches memory again. */
  async #reset(): Promise<void> {
    if (this.#isFailed && !this.isSf && !this.pci.isGone) await warnOnly(this.dev, 'is not reset', this.pci.reset());
  }

  onFailed(listener: () => void): Subscription {
    return this.#failed.on(listener);
  }

  async #enable(): Promise<void> {
    const { dev, pci, window, commands, pages, health, dma } = this;
    const { devres } = dev;
    const isBroken = (): boolean => this.#isDraining || dev.isLeaving;
    const ofParent = this.sf?.parent.onFailed(() => this.fail('so has the function that it is of'));
    const reset = async (): Promise<void> => {
      ofParent?.dispose();
      await this.#reset();
    };
    this.#undo.push(devres.defer('reset', reset));
    await waitFirmware(dev, pci, window, PRE_INIT_US, isBroken);
    this.#undo.push(commands.enable(dma));
    this.#undo.push(devres.defer('command interface', () => this.#disableCommands()));
    commands.readTimeout();
    await waitFirmware(dev, pci, window, this.#initTimeoutUs, isBroken);
    commands.open();
    this.#undo.push(devres.defer('firmware pages', () => pages.end()));
    const disable = (): Promise<void> => warnOnly(dev, 'is not disabled', disableHca(commands));
    this.#undo.push(await hold(dev, 'hca', () => enableHca(commands), disable));
    health.start();
    this.#undo.push(devres.defer('health poll', () => health.stop()));
    await setIssi(dev, commands);
    this.#undo.push(devres.defer('boot pages', () => pages.reclaim()));
    await pages.satisfy('boot');
  }

  #disableCommands(): void {
    // Their answers would come to memory that is somebody else's.
    if (this.commands.hasLost) this.fail('there are commands that it has not answered');
    this.commands.disable();
  }

  /** What the device says of the time that it takes. */
  get #initTimeoutUs(): number {
    const ms = this.window.read(CMD_Q_INIT_TO);
    return (ms === 0 || ms === ONES ? INIT_MS : ms) * 1000;
  }

  async #open(): Promise<void> {
    const { dev, commands, pages, most, params } = this;
    const { enableRoce, maxMacs = macsOf(most) } = params;
    await setCaps(commands, most, { enableRoce, maxMacs });
    await pages.satisfy('init');
    const teardown = (): Promise<void> => warnOnly(dev, 'is not torn down', teardownHca(dev, commands));
    this.#undo.push(await hold(dev, 'hca init', () => initHca(commands, this.adevIdx), teardown));
    await warnOnly(dev, 'the firmware does not know its driver', setDriverVersion(commands));
    this.#caps = await queryCaps(commands);
  }

  async #load(): Promise<void> {
    const { dev, caps, commands, events, services, params } = this;
    this.#undo.push({ [Symbol.dispose]: () => this.#forget() });
    this.#uar = this.#undo.push(await allocUar(dev, commands, this.window));
    const server = this.pages.serve(events);
    this.#undo.push(dev.devres.defer('page requests', () => server[Symbol.asyncDispose]()));
    // Its vectors stay when it goes down, until it is unbound.
    if (!this.isSf) this.#irqTable ??= makeIrqTable(this.pci, services, caps, maxEqs(caps));
    const owner = { dev, dma: this.dma, commands, uar: this.#uar };
    const isEthernetOff = caps.ethernet === 1 && !params.enableEth;
    const { eventEqSize, ioEqSize } = params;
    const options = { isSf: this.isSf, caps, eventEqSize, ioEqSize, isEthernetOff };
    this.#eqs = this.#undo.push(new EqTable(owner, this.irqTable, services.irqs, events, options));
    await this.#eqs.start();
    for (const stage of this.stages) {
      await stage.load(this);
      this.#undo.push(dev.devres.defer(stage.name, () => stage.unload(this)));
    }
  }

  #forget(): void {
    this.#eqs = undefined;
    this.#uar = undefined;
  }

  // For its parts

  exec(opcode: number, input: Uint32Array, output?: Uint32Array): Promise<Uint32Array> {
    return this.commands.exec(opcode, input, output);
  }

  do(opcode: number, input: Uint32Array, output?: Uint32Array): Promise<Uint32Array> {
    return this.commands.do(opcode, input, output);
  }

  get compVectorCount(): number {
    return this.eqs.compCount;
  }

  compEqn(vector: number): Promise<number> {
    return this.eqs.compEqn(vector);
  }

  irqOf(vector: number): number {
    return this.eqs.eqOf(vector).lease.virq;
  }

  compCpus(vector: number): CpuMask | undefined {
    return this.eqs.cpusOf(vector);
  }

  addCq(eqn: number, cqn: number, cq: Mlx5CqTarget): void {
    this.eqs.addCq(eqn, cqn, cq);
  }

  removeCq(eqn: number, cqn: number): MaybePromise<void> {
    return this.eqs.removeCq(eqn, cqn);
  }

  hasEq(eqn: number): boolean {
    return this.eqs.has(eqn);
  }

  pollEq(eqn: number): number {
    return this.eqs.poll(eqn);
  }

  allocUar(dev: Device): Promise<Uar> {
    return allocUar(dev, this.commands, this.window);
  }

  requestDedicated(dev: Device, options?: DedicatedOptions): VectorLease {
    return this.irqTable.vectors.requestDedicated(dev, options);
  }

  #need<T>(what: T | undefined): T {
    if (what === undefined) throw new Errno('ENODEV', `${this.dev.name}: the function is not up`);
    return what;
  }
}
