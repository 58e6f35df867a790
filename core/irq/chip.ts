import type { MsiMsg } from '../hal/index.js';
import type { CpuMask } from './cpu-mask.js';
import type { IrqData } from './data.js';
import type { TriggerType, VcpuInfo } from './types.js';

/**
 * What a change of affinity came to: `ok`: done, the core notes the new mask; `nocopy`: done, the chip has noted it; `done`: as
 * `ok`, and levels nearer to the device have nothing left to do; `busy`: not now, the core tries again at the next interrupt.
 * @see Linux 7.2 include/linux/irq.h enum IRQ_SET_MASK_OK
 */
export type AffinityResult = 'ok' | 'nocopy' | 'done' | 'busy';

/**
 * One level of interrupt hardware: what can be done there to an interrupt. All callbacks are optional and synchronous.
 *
 * `mask`, `unmask`, `ack` and `eoi` also run in interrupt context. `busLock` and `busSyncUnlock` bracket management alone:
 * request, both phases of free, enable, disable, trigger type, wake and state; never affinity.
 * @see Linux 7.2 include/linux/irq.h struct irq_chip
 */
export interface IrqChip {
  /** As in `/proc/interrupts`. */
  readonly name: string;
  /** Default: `enable`, which is by default `unmask`. */
  startup?(data: IrqData): void;
  /** Default: `disable`, which is by default nothing until an interrupt comes, with masking. */
  shutdown?(data: IrqData): void;
  enable?(data: IrqData): void;
  disable?(data: IrqData): void;
  ack?(data: IrqData): void;
  mask?(data: IrqData): void;
  maskAck?(data: IrqData): void;
  unmask?(data: IrqData): void;
  eoi?(data: IrqData): void;
  /**
   * @param force also to CPUs that are not online yet
   * @throws {Errno} ENOSPC, EINVAL: the old target stays
   */
  setAffinity?(data: IrqData, mask: CpuMask, force: boolean): AffinityResult;
  /** Raises it again by hardware; false when this level cannot. */
  retrigger?(data: IrqData): boolean;
  /** @throws {Errno} EINVAL for a trigger that the hardware lacks */
  setType?(data: IrqData, type: TriggerType): void;
  setWake?(data: IrqData, on: boolean): void;
  /** Before management; storage behind a slow bus locks it here. */
  busLock?(data: IrqData): void;
  /** After management: brings the storage up to date and unlocks it. A failure makes a request unwind with EIO. */
  busSyncUnlock?(data: IrqData): void;
  requestResources?(data: IrqData): void;
  releaseResources?(data: IrqData): void;
  composeMsiMsg?(data: IrqData): MsiMsg;
  writeMsiMsg?(data: IrqData, msg: MsiMsg): void;
  /** Whether it is pending, active or masked in hardware; undefined when the hardware does not tell. */
  getState?(data: IrqData, which: IrqHardwareState): boolean | undefined;
  setState?(data: IrqData, which: IrqHardwareState, on: boolean): void;
  /** Posts it to a guest; undefined takes it back. */
  setVcpuAffinity?(data: IrqData, info: VcpuInfo | undefined): void;
  /** Ends a move that waits for its first interrupt: its CPU is going away. */
  forceCompleteMove?(data: IrqData): void;
  /** Instead of the name in tables. */
  printChip?(data: IrqData): string;

  /** A oneshot handler needs no mask: the hardware sends one message and waits. */
  readonly oneshotSafe?: boolean;
  /** The affinity is set before the interrupt is started, not after. */
  readonly affinityPreStartup?: boolean;
  /** Set the trigger type while masked only. */
  readonly setTypeMasked?: boolean;
  /** Send the end of interrupt of a oneshot interrupt when its thread is done. */
  readonly eoiThreaded?: boolean;
  /** Send the end of interrupt only when something was handled. */
  readonly eoiIfHandled?: boolean;
  /** Wake is always on. */
  readonly skipSetWake?: boolean;
  /** `ack` does nothing but hand on to the parent: it is found once, not at each interrupt. */
  readonly acksByParent?: boolean;
  /** A move waits for the next interrupt. */
  readonly moveDeferred?: boolean;
}

/** @see Linux 7.2 include/linux/interrupt.h enum irqchip_irq_state */
export type IrqHardwareState = 'pending' | 'active' | 'masked' | 'line-level';

/** The chip of a descriptor that nobody has set up. @see Linux 7.2 kernel/irq/dummychip.c no_irq_chip */
export const NO_IRQ_CHIP: IrqChip = { name: 'none' };

/** A chip for interrupts without hardware. @see Linux 7.2 kernel/irq/dummychip.c dummy_irq_chip */
export const DUMMY_IRQ_CHIP: IrqChip = { name: 'dummy', ack() {}, mask() {}, unmask() {} };
