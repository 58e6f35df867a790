import { type CompatMsg, type RemappableMsg, parseMsg } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import type { IrqHardwareState } from './chip.js';
import type { IrqCore } from './core.js';
import type { IrqData } from './data.js';
import type { IrqDesc } from './desc.js';
import { messageOf, slotOf } from './message.js';
import type { TriggerType } from './types.js';
import { type VectorPlace, vectorsInUse } from './vector-view.js';

/** What a device writes to interrupt. */
export interface MessageView {
  readonly addressHi: number;
  readonly addressLo: number;
  readonly data: number;
  /** Undefined where it is no message to an APIC. */
  readonly meaning: CompatMsg | RemappableMsg | undefined;
}

/** The place of a message in its device. */
export interface SlotView {
  readonly index: number;
  /** As the hardware says, or as it was last told where that is silent. */
  readonly masked: boolean;
  /** Whether the device wants to send it and must not; undefined where the hardware does not tell. */
  readonly pending: boolean | undefined;
}

/** One level of an interrupt. */
export interface LevelView {
  /** Undefined for an interrupt of no domain. */
  readonly domain: string | undefined;
  readonly chip: string;
  readonly hwirq: number;
  /** What the hardware says; undefined where it does not tell. */
  readonly masked: boolean | undefined;
  readonly pending: boolean | undefined;
}

/** One interrupt, from its device to its CPU. */
export interface IrqView {
  readonly virq: number;
  readonly device: string | undefined;
  /** The names of its users, in the order of their requests. */
  readonly handlers: readonly string[];
  /** `edge`, `level`, ... */
  readonly flow: string;
  readonly trigger: TriggerType;
  /** What is so now, as the core knows it: `started`, `masked`, ... */
  readonly state: readonly string[];
  /** How often it was disabled more than enabled. */
  readonly depth: number;
  /** Interrupts that came, on all CPUs. */
  readonly count: number;
  /** Lists of CPUs: `0-3,8`. */
  readonly affinity: string;
  readonly effective: string;
  /** More than one while it moves. */
  readonly vectors: readonly VectorPlace[];
  /** The one nearest to the device first. */
  readonly levels: readonly LevelView[];
  /** Undefined for an interrupt that is no message. */
  readonly slot: SlotView | undefined;
  /** What was last written to that slot; undefined when nothing was. */
  readonly message: MessageView | undefined;
}

/** All interrupts, in the order of their numbers. @see Linux 7.2 kernel/irq/debugfs.c irq_debug_show */
export function irqViews(core: IrqCore): IrqView[] {
  const places = new Map<number, VectorPlace[]>();
  for (const { cpu, vector, virq } of vectorsInUse(core)) {
    const known = places.get(virq);
    if (known === undefined) places.set(virq, [{ cpu, vector }]);
    else known.push({ cpu, vector });
  }
  return Array.from(core.all(), (desc) => irqView(desc, places.get(desc.virq) ?? []));
}

function irqView(desc: IrqDesc, vectors: readonly VectorPlace[]): IrqView {
  const { virq, flowName: flow, trigger, depth, total: count } = desc;
  const levels: LevelView[] = [];
  for (let data: IrqData | undefined = desc.data; data !== undefined; data = data.parent) {
    const { hwirq, chip, domain } = data;
    const [masked, pending] = [hardwareState(data, 'masked'), hardwareState(data, 'pending')];
    levels.push({ domain: domain?.name, chip: chip.name, hwirq, masked, pending });
  }
  const index = slotOf(desc);
  return {
    virq,
    device: desc.device?.name,
    handlers: desc.actions.map(({ name }) => name),
    flow,
    trigger,
    state: STATES.flatMap(([name, word]) => (desc[name] ? [word] : [])),
    depth,
    count,
    affinity: String(desc.affinity),
    effective: String(desc.effective),
    vectors,
    levels,
    slot: index === undefined ? undefined : { index, masked: levels[0]!.masked ?? desc.masked, pending: levels[0]!.pending },
    message: messageView(desc),
  };
}

/** A device that is gone tells nothing. */
function hardwareState(data: IrqData, which: IrqHardwareState): boolean | undefined {
  try {
    return data.chip.getState?.(data, which);
  } catch (error) {
    if (!Errno.is(error)) throw error;
    return undefined;
  }
}

function messageView(desc: IrqDesc): MessageView | undefined {
  const message = messageOf(desc);
  if (message === undefined) return undefined;
  const { addressHi, addressLo, data } = message;
  const apic = desc.core.controller?.messages;
  const isApic = apic?.kind === 'apic';
  return { addressHi, addressLo, data, meaning: isApic ? parseMsg(addressLo, addressHi, data, apic.extendedIds) : undefined };
}

/** What is worth a word of a descriptor's state. @see Linux 7.2 kernel/irq/debugfs.c irqdata_states */
const STATES = [
  ['activated', 'activated'],
  ['started', 'started'],
  ['disabled', 'disabled'],
  ['spuriousDisabled', 'disabled as spurious'],
  ['masked', 'masked'],
  ['pending', 'pending'],
  ['replay', 'replayed'],
  ['inProgress', 'in progress'],
  ['managed', 'managed'],
  ['managedShutdown', 'shut down without CPU'],
  ['affinityPending', 'about to move'],
  ['forwardedToVcpu', 'posted to a guest'],
] as const satisfies readonly (readonly [keyof IrqDesc, string])[];
