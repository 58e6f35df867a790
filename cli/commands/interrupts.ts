import { type InterruptsLayout, formatInterrupts, interruptTable } from '../../core/irq/proc.js';
import type { Context } from '../command.js';
import { UsageError } from '../usage-error.js';

const LAYOUTS: readonly InterruptsLayout[] = ['6.12', '7.2'];

/** Shows who uses which interrupt, and how often it came, as `/proc/interrupts` does. */
export function interrupts({ system, args, out }: Context): void {
  const { core } = system.kernel.irqs;
  const wanted = args.value('layout') ?? '7.2';
  const layout = LAYOUTS.find((one) => one === wanted);
  if (layout === undefined) throw new UsageError(`--layout is ${LAYOUTS.join(' or ')}, got '${wanted}'`);
  out.show(interruptTable(core), () => formatInterrupts(core, layout).replace(/\n$/, '').split('\n'));
}
