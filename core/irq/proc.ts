import type { IrqCore } from './core.js';
import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/** Which Linux `/proc/interrupts` looks like. */
export type InterruptsLayout = '6.12' | '7.2';

/** One line of `/proc/interrupts`. */
export interface InterruptLine {
  readonly virq: number;
  /** How many came on each CPU of {@link InterruptTable.cpus}, in that order. */
  readonly counts: readonly number[];
  /** Of the level nearest to the device, as it prints itself. */
  readonly chip: string;
  /** Undefined for an interrupt of no domain. */
  readonly hwirq: number | undefined;
  /** `edge`, `level`, ... */
  readonly flow: string;
  /** In the order of the requests. */
  readonly handlers: readonly string[];
}

/** What `/proc/interrupts` shows. */
export interface InterruptTable {
  /** The CPUs that are online, ascending. */
  readonly cpus: readonly number[];
  /** Ascending; those without handler, hidden or chained ones are left out. */
  readonly interrupts: readonly InterruptLine[];
}

/** @see Linux 7.2 kernel/irq/proc.c irq_proc_update_valid */
export function interruptTable(core: IrqCore): InterruptTable {
  const cpus = [...core.cpus.online];
  const interrupts: InterruptLine[] = [];
  for (const desc of core.all()) {
    if (desc.action === undefined || (desc.settings & (S.HIDDEN | S.CHAINED)) !== 0) continue;
    interrupts.push({
      virq: desc.virq,
      counts: cpus.map((cpu) => desc.countOn(cpu)),
      chip: chipName(desc),
      hwirq: desc.data.domain === undefined ? undefined : desc.data.hwirq,
      flow: desc.flowName,
      handlers: desc.actions.map(({ name }) => name),
    });
  }
  return { cpus, interrupts };
}

/**
 * The text of `/proc/interrupts`.
 * @param layout default `7.2`
 * @example `console.log(formatInterrupts(system.kernel.irqs.core))`
 * @see Linux 6.12 kernel/irq/proc.c show_interrupts
 * @see Linux 7.2 kernel/irq/proc.c irq_seq_show
 */
export function formatInterrupts(core: IrqCore, layout: InterruptsLayout = '7.2'): string {
  const { cpus, interrupts } = interruptTable(core);
  const isOld = layout === '6.12';
  let [numberWidth, chipWidth] = [isOld ? 3 : 4, 8];
  for (const desc of core.all()) {
    numberWidth = Math.max(numberWidth, `${desc.virq}`.length);
    chipWidth = Math.max(chipWidth, chipName(desc).length);
  }
  const heading = ' '.repeat(numberWidth + 8) + cpus.map((cpu) => `CPU${`${cpu}`.padEnd(8)}`).join('');
  const lines = interrupts.map(({ virq, counts, chip, hwirq, flow, handlers }) => {
    const number = `${virq}`.padStart(numberWidth);
    const columns = counts.map((count) => `${count}`.padStart(10));
    const start = isOld
      ? `${number}: ${columns.map((column) => `${column} `).join('')} ${chip.padStart(8)}`
      : `${number}:${columns.map((column) => ` ${column}`).join('')}  ${chip.padEnd(chipWidth)}`;
    const type = flow === '' ? '' : `-${flow.padEnd(8)}`;
    return `${start} ${`${hwirq ?? ''}`.padStart(numberWidth)}${type}  ${handlers.join(', ')}`;
  });
  return [heading, ...lines].map((line) => `${line}\n`).join('');
}

/** As the chip nearest to the device prints itself. @internal */
export function chipName({ data }: IrqDesc): string {
  return (data.chip.printChip?.(data) ?? data.chip.name) || '-';
}
