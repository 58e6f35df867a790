import {
  AuxName,
  type Clock,
  type CpuMask,
  type Device,
  type Dma,
  type EswitchMode,
  type MaybePromise,
  type PciDevice,
  type Subscription,
  type Token,
  token,
} from '../../core/index.js';
import type { CAPS } from '../../hw/regs/nic-commands.js';

/** What a function can do, by the names of the datasheet; of those of one bit: 1 or 0. */
export type Mlx5Caps = Readonly<Record<keyof typeof CAPS, number>>;

/** An entry of an event queue, as listeners see it: valid until they return. */
export interface Mlx5Event {
  /** One of `EVENTS`. */
  readonly type: number;
  readonly subType: number;
  /** One byte of the entry, by its offset there. */
  read8(offset: number): number;
  /** Two bytes; `offset` is a multiple of 2. */
  read16(offset: number): number;
  /** Four bytes; `offset` is a multiple of 4. */
  read32(offset: number): number;
}

/** Events of a function, for whoever wants to hear of them. */
export interface Mlx5Events {
  /**
   * Calls `listener` for each event of a type, in interrupt context: it must not sleep, wait, acquire or free.
   * @param type one of `EVENTS`; `any`: all of them, after those who listen to the type
   * @throws {Errno} ERANGE for what is no type
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eq.c mlx5_eq_notifier_register
   */
  on(type: number | 'any', listener: (event: Mlx5Event) => void): Subscription;
}

/** A completion queue, as event queues know it. */
export interface Mlx5CqTarget {
  /** It has a new entry; in interrupt context. */
  completed(): void;
  /** It is of no use any more; in interrupt context. @param syndrome `CQ_ERROR_OVERRUN` */
  failed(syndrome: number): void;
}

/** A page of registers by which queues are told of work: of those alone that name it. */
export interface Mlx5Uar {
  /** What contexts of queues name. */
  readonly index: number;
  /** Its first byte, in the BAR of {@link barIndex}: what a user maps. */
  readonly offset: number;
  readonly barIndex: number;
  /** @param offset in the page @throws {Errno} ENODEV after unbind */
  write32(offset: number, value: number): void;
  /** One write of 8 bytes. @param offset in the page @throws {Errno} ENODEV after unbind */
  write64(offset: number, lo: number, hi: number): void;
}

/** A vector that one user has for himself: he requests it by its number, or attaches a handler. */
export interface Mlx5Vector extends Disposable {
  readonly virq: number;
  /** What a queue is told: an entry of the MSI-X table, or the address of a message in memory. */
  readonly target: { readonly kind: 'msix'; readonly index: number } | { readonly kind: 'memory'; readonly address: number };
  /** Has `handler` called whenever it comes. @throws {Errno} EBUSY for a second one */
  attach(handler: () => void): Disposable;
  /** Calls `kick` whenever the device has to look at the message again; never for MSI-X. */
  onChanged(kick: () => void): Disposable;
}

/**
 * A function of the adapter, PF or sub-function, as the drivers of its parts have it. It is up as long as they are bound: commands, events
 * and completion vectors work. What takes a `dev` is in the ledger of that device, and ends with its binding at the latest.
 *
 * Memory is `dma.alloc(dev, ...)`, with the part's own device too: all parts of a function reach it by the same addresses.
 */
export interface Mlx5Child {
  /** The device of the function: PCI, or `mlx5_core.sf.N`. */
  readonly dev: Device;
  /** Who sends and interrupts: the function itself, or that of which it is a part. */
  readonly pci: PciDevice;
  /** Unique in the system; also the id of its parts. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/dev.c mlx5_adev_idx_alloc */
  readonly adevIdx: number;
  readonly isSf: boolean;
  /** What its user calls a sub-function; undefined otherwise. */
  readonly sfnum: number | undefined;
  /** {@link adevIdx} of the function that a sub-function is of, else its own: 0 is the first adapter. */
  readonly pfIdx: number;
  /** Number of its own port at the switch: 0, or that of the sub-function in hardware. */
  readonly vport: number;
  readonly caps: Mlx5Caps;
  /** Whether RDMA goes over Ethernet: the device can, and its user wants it. @see Linux 7.2 devlink `enable_roce` */
  readonly isRoceEnabled: boolean;
  /** Pages of doorbells that the channels of its network device share; 0: {@link uar}. @see Linux 7.2 devlink `num_doorbells` */
  readonly channelDoorbells: number;
  readonly dma: Dma;
  readonly clock: Clock;
  /** Of a function that manages the switch. */
  readonly eswitch: Mlx5Eswitch | undefined;

  /**
   * Runs a command and waits for its end; any number may be under way. Until the event queue of commands is there it is found out by
   * looking, then by its interrupt, and one that was lost is noticed.
   *
   * A function that has failed, or is gone, refuses; what destroys, frees or tears down something succeeds then, since it is gone.
   * @param input in words, without the opcode; `input.length * 4` bytes are sent. Not to be changed until it has ended
   * @param output takes the answer: as many bytes as it has; default 16
   * @returns `output`
   * @throws {Errno} what `cmd_status_to_err` says of the status; ENOLINK when the function has failed; ETIMEDOUT without an answer within
   *   20 seconds, or less where the device says so, and 5 more; EBUSY, ECANCELED when it got no slot, or no turn, in that time; EAGAIN when
   *   no slot answers any more
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c mlx5_cmd_exec
   */
  exec(opcode: number, input: Uint32Array, output?: Uint32Array): Promise<Uint32Array>;
  /**
   * As {@link exec}, and leaves it to the caller what a status means: it is in `output`, with the syndrome.
   * @throws {Errno} EREMOTEIO for any status but 0; ENXIO when the function has failed; else as {@link exec}
   * @see Linux 7.2 cmd.c mlx5_cmd_do
   */
  do(opcode: number, input: Uint32Array, output?: Uint32Array): Promise<Uint32Array>;

  /** Completion vectors, and so channels, at most: numbers from 0 on. */
  readonly compVectorCount: number;
  /**
   * The event queue of a completion vector; made when it is asked for first, and there until the function goes down.
   * @throws {Errno} EINVAL when there is no such vector; ENOMEM beyond the queues that the device has; EBUSY, ENOSPC without a vector
   * @see Linux 7.2 eq.c mlx5_comp_eqn_get
   */
  compEqn(vector: number): Promise<number>;
  /** The interrupt of a completion vector. @throws {Errno} ENOENT before its queue was asked for */
  irqOf(vector: number): number;
  /** Where it is delivered; undefined before its queue was asked for. */
  compCpus(vector: number): CpuMask | undefined;
  /**
   * Tells `cq` of its events, from a queue of {@link compEqn}. Look whether there is one before CREATE_CQ: {@link hasEq}.
   * @throws {Errno} ENOENT without such an event queue; EEXIST when the number is taken
   * @see Linux 7.2 cq.c mlx5_create_cq
   */
  addCq(eqn: number, cqn: number, cq: Mlx5CqTarget): void;
  /** It is told of nothing any more: waits until no CPU is in its handler. Harmless when it is not there. */
  removeCq(eqn: number, cqn: number): MaybePromise<void>;
  hasEq(eqn: number): boolean;
  /** Handles what is in a completion queue's event queue though no interrupt has come. @returns how many events @see Linux 7.2 eq.c mlx5_eq_poll_irq_disabled */
  pollEq(eqn: number): number;

  readonly events: Mlx5Events;
  /** Whether it has failed: commands are refused until it is bound again. */
  readonly isFailed: boolean;
  /** Told once, when that happens. */
  onFailed(listener: () => void): Subscription;

  /** The page by which event queues are armed; also for queues of the kernel. */
  readonly uar: Mlx5Uar;
  /** A page of its own, for `dev`. Managed: in the ledger it is `uar`. @throws {Errno} as {@link exec} */
  allocUar(dev: Device): Promise<Mlx5Uar>;
  /** A vector of its own, for `dev`. @throws {Errno} ENOSPC when there is none: use an event queue */
  requestDedicated(dev: Device, options?: { readonly name?: string; readonly cpus?: CpuMask }): Mlx5Vector;
}

/** A port of another function at the switch, that its manager stands for. */
export interface Mlx5Representor {
  /** Its number at the switch: what `WQC.leavesBy`, `VPORT.number` and `CQE.sourceVport` name. */
  readonly vport: number;
  readonly controller: number;
  readonly pfnum: number;
  readonly sfnum: number;
}

/** Makes network devices of ports; told of one port after the other. */
export interface Mlx5RepresentorOps {
  /** The port is there: of its packets, those come that no rule is for. @returns the name of its network device */
  load(port: Mlx5Representor): MaybePromise<string>;
  /** It is going. */
  unload(port: Mlx5Representor): MaybePromise<void>;
}

/** The switch, as the drivers of its manager's parts have it. */
export interface Mlx5Eswitch {
  readonly mode: EswitchMode;
  /** Ports that there are, ascending; none in mode legacy. */
  readonly representors: readonly Mlx5Representor[];
  /**
   * Loads all ports, and those that come later, until `dev` is unbound. Managed: in the ledger it is `representors`.
   * @throws {Errno} EBUSY when another one does that; what `load` throws
   * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/eswitch_offloads.c mlx5_eswitch_register_vport_reps
   */
  represent(dev: Device, ops: Mlx5RepresentorOps): Promise<void>;
  /**
   * Packets of a port to an address go to these ports, whatever they were sent to before. The rule goes with the port, and with the mode.
   * @param source number of a port, or `UPLINK`
   * @param address six bytes
   * @param outputs 1 to 64 ports
   * @throws {Errno} EOPNOTSUPP in mode legacy; else as {@link Mlx5Child.exec}
   */
  forward(source: number, address: Uint8Array, outputs: readonly number[]): Promise<void>;
  /** Takes a rule away. @throws {Errno} ENOENT without one; as {@link Mlx5Child.exec} */
  unforward(source: number, address: Uint8Array): Promise<void>;
}

/** A sub-function that was activated, as its driver gets it. */
export interface Mlx5SfContext {
  /** The function that it is of. */
  readonly parent: Mlx5Child;
  /** Among the sub-functions, from 0 on: that of its window. */
  readonly index: number;
  /** Its number in hardware. */
  readonly functionId: number;
  readonly sfnum: number;
}

/** Packets; `mlx5_core.eth.N`. */
export const ETH = new AuxName<Mlx5Child>('mlx5_core.eth');
/** Ports of others, while the function is the switch; `mlx5_core.eth-rep.N`. */
export const ETH_REP = new AuxName<Mlx5Child>('mlx5_core.eth-rep');
/** RDMA; `mlx5_core.rdma.N`. */
export const RDMA = new AuxName<Mlx5Child>('mlx5_core.rdma');
/** Queues of a virtio network device; `mlx5_core.vnet.N`. */
export const VNET = new AuxName<Mlx5Child>('mlx5_core.vnet');
/** A sub-function; `mlx5_core.sf.N`. */
export const SF = new AuxName<Mlx5SfContext>('mlx5_core.sf');

/** How functions are driven; all of it has a default. Sub-functions begin with the sizes of the function that they are of. */
export interface Mlx5Options {
  /** Entries of the event queue for what happens, 64 to 4096; default 4096. @see Linux 7.2 devlink `event_eq_size` */
  readonly eventEqSize?: number;
  /** Entries of each completion event queue, 64 to 4096; default 1024. @see Linux 7.2 devlink `io_eq_size` */
  readonly ioEqSize?: number;
  /** Which parts functions have where the hardware can; default all. Sub-functions begin without any. */
  readonly enableEth?: boolean;
  readonly enableRdma?: boolean;
  readonly enableVnet?: boolean;
}

/** Bound where other than the defaults are wanted. */
export const Mlx5Options: Token<Mlx5Options> = token<Mlx5Options>('Mlx5Options');
