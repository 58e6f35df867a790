import type { CpuMask } from './cpu-mask.js';

/** The triggers that there are. */
export const TRIGGERS = ['none', 'rising', 'falling', 'both', 'high', 'low'] as const;

/** How a line says that there is an interrupt. */
export type TriggerType = (typeof TRIGGERS)[number];

export const isTrigger = (value: unknown): value is TriggerType => (TRIGGERS as readonly unknown[]).includes(value);

/** Whether a trigger is a level. */
export const isLevel = (type: TriggerType): boolean => type === 'high' || type === 'low';

/** "Not connected": what firmware gives for a line that leads nowhere. @see Linux 7.2 include/linux/interrupt.h IRQ_NOTCONNECTED */
export const IRQ_NOTCONNECTED = 0x8000_0000;

/** Where an interrupt of its own is to be delivered, and whether users may change that. @see Linux 7.2 struct irq_affinity_desc */
export interface IrqAffinityDesc {
  readonly mask: CpuMask;
  /** The core alone moves it, and shuts it down while no CPU of the mask is online. */
  readonly managed?: boolean;
}

/** A guest's view of an interrupt: where it is posted. @see Linux 7.2 arch/x86/include/asm/irq_remapping.h struct vcpu_data */
export interface VcpuInfo {
  /** Bus address of the posted-interrupt descriptor; a multiple of 64. */
  readonly descriptor: number;
  /** Vector in the guest, 0 to 255. */
  readonly vector: number;
  /** Default false. */
  readonly urgent?: boolean;
}
