import { Errno } from '../../core/index.js';
import { type IrqView, type LevelView, type MessageView, type SlotView, irqViews } from '../../core/irq/views.js';
import { wholeNumber } from '../args.js';
import type { Context } from '../command.js';
import { columns } from '../out.js';

/** Lists all interrupts, or shows one; with `--domains` from its device to its CPU. */
export function irqs({ system, args, out }: Context): void {
  const [wanted] = args.positionals;
  const virq = wanted === undefined ? undefined : wholeNumber(wanted, 'an interrupt');
  const all = irqViews(system.kernel.irqs.core).filter((one) => virq === undefined || one.virq === virq);
  if (virq !== undefined && all.length === 0) throw new Errno('ENOENT', `irq ${virq}: no such interrupt`);
  out.show(all, () => (args.count('domains') > 0 ? all.flatMap(hierarchy) : list(all)));
}

function list(all: readonly IrqView[]): string[] {
  const rows = all.map(({ virq, device, levels: [outermost], flow, effective, vectors, count, state, handlers }) => [
    `${virq}`,
    device ?? '-',
    outermost?.chip ?? '-',
    flow === '' ? '-' : `${outermost?.hwirq}-${flow}`,
    vectors.length === 0 ? '-' : effective,
    `${count}`,
    handlers.join(',') || '-',
    // What is started is active.
    state.filter((word) => word !== 'activated' || !state.includes('started')).join(', ') || '-',
  ]);
  return columns([['IRQ', 'DEVICE', 'CHIP', 'HWIRQ', 'CPU', 'COUNT', 'USERS', 'STATE'], ...rows]);
}

/** A block of lines, with the level nearest to the device first. */
function hierarchy({ virq, device, handlers, vectors, levels, slot, message, ...irq }: IrqView): string[] {
  const users = handlers.length === 0 ? 'no handler' : handlers.join(', ');
  const on = vectors.map(({ cpu, vector }) => `vector 0x${vector.toString(16)} of CPU ${cpu}`).join(', ');
  const words = [irq.flow, ...irq.state].filter((word) => word !== '').join(', ');
  const times = irq.depth > 1 ? `, ${irq.depth} times disabled` : '';
  const rows = columns(levels.map((level, i) => levelRow(level, i === levels.length - 1 ? on : '')));
  return [
    `irq ${virq}: ${users}${device === undefined ? '' : ` of ${device}`}`,
    `  state     ${words}${times}; came ${irq.count} times`,
    `  affinity  CPUs ${irq.affinity}, now ${vectors.length === 0 ? 'none' : irq.effective}`,
    ...(slot === undefined ? [] : [`  message   ${slotText(slot)}: ${message === undefined ? 'none' : messageText(message)}`]),
    ...rows.map((row, i) => `  ${i === 0 ? 'domains' : '       '}   ${row}`),
  ];
}

function levelRow({ domain, chip, hwirq, masked, pending }: LevelView, more: string): string[] {
  const name = domain ?? 'none';
  // Large numbers are made of parts.
  const number = hwirq > 0xffff ? `0x${hwirq.toString(16)}` : `${hwirq}`;
  const hardware = [...stateWords(masked, pending), more].filter((word) => word !== '');
  return [name === chip ? name : `${name}, chip ${chip}`, `hwirq ${number}`, hardware.join(', ')];
}

const slotText = ({ index, masked, pending }: SlotView): string => [`slot ${index}`, ...stateWords(masked, pending)].join(', ');

const stateWords = (masked: boolean | undefined, pending: boolean | undefined): string[] => [
  ...(masked === undefined ? [] : [masked ? 'masked' : 'not masked']),
  ...(pending === undefined ? [] : [pending ? 'pending' : 'not pending']),
];

/** `data 0x0 to 0xfee00018, remapping entry 0`. */
function messageText({ addressHi, addressLo, data, meaning }: MessageView): string {
  const raw = `data 0x${data.toString(16)} to 0x${(addressHi * 2 ** 32 + addressLo).toString(16)}`;
  if (meaning === undefined) return raw;
  if (meaning.format === 'remappable') return `${raw}, remapping entry ${meaning.index}`;
  const { logical, apicId, vector, delivery, trigger } = meaning;
  return `${raw}, ${logical ? 'logical ' : ''}APIC id ${apicId}, vector 0x${vector.toString(16)}, ${delivery}, ${trigger}`;
}
