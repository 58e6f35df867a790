import { type DomainView, domainViews } from '../../core/irq/domain-view.js';
import type { Context } from '../command.js';
import type { Paint } from '../out.js';
import { UsageError } from '../usage-error.js';

/** Pieces of a list of numbers that a label has room for. */
const MAX_PIECES = 4;

/** Draws the interrupt domains from the CPUs to the devices: as a tree of text, for Graphviz or for Mermaid. */
export function graph({ system, args, out }: Context): void {
  const [dot, mermaid] = [args.count('dot') > 0, args.count('mermaid') > 0];
  if (dot && mermaid) throw new UsageError('--dot and --mermaid: choose one');
  const roots = domainViews(system.kernel.irqs.core);
  out.show(roots, (paint) => (dot ? asDot(roots) : mermaid ? asMermaid(roots) : branches(roots, '', true, paint)));
}

/** What is said of a domain, a line each; the first is its name. */
function labelOf({ name, device, chips, interrupts, hwirqs, virqs }: DomainView): string[] {
  // The domain of a device is named for its chip.
  const others = chips.filter((chip) => chip !== name);
  const whose = device === undefined || name.includes(device) ? [] : [`of ${device}`];
  return [
    name,
    ...whose,
    ...(others.length === 0 ? [] : [`chip ${others.join(', ')}`]),
    ...(interrupts === 0
      ? ['no interrupts']
      : [
          `${interrupts} ${interrupts === 1 ? 'interrupt' : 'interrupts'}`,
          numbers(hwirqs, virqs, device === undefined ? 1 : MAX_PIECES),
        ]),
  ];
}

/**
 * `hwirq 0-3 = irq 24-27`; numbers that are in many pieces are left out, or shortened.
 * @param pieces of the domain's own numbers that are shown: those between device and CPU are made of parts, and tell little
 */
function numbers(hwirqs: string, virqs: string, pieces: number): string {
  const [own, all] = [hwirqs.split(','), virqs.split(',')];
  const irq = `irq ${all.slice(0, MAX_PIECES).join(',')}${all.length > MAX_PIECES ? ',...' : ''}`;
  return own.length > pieces ? irq : `hwirq ${hwirqs} = ${irq}`;
}

function branches(nodes: readonly DomainView[], indent: string, isRoot: boolean, paint: Paint): string[] {
  return nodes.flatMap((node, i) => {
    const isLast = i === nodes.length - 1;
    const [name = '', ...more] = labelOf(node);
    const below = branches(node.children, isRoot ? '' : `${indent}${isLast ? '    ' : '│   '}`, false, paint);
    return [`${isRoot ? '' : `${indent}${isLast ? '└── ' : '├── '}`}${paint('bold', name)}  ${more.join(', ')}`, ...below];
  });
}

/** The nodes in order, numbered, and the number of each one's parent. */
function numbered(nodes: readonly DomainView[]): { readonly node: DomainView; readonly parent: number | undefined }[] {
  const all: { node: DomainView; parent: number | undefined }[] = [];
  const visit = (node: DomainView, parent: number | undefined): void => {
    const number = all.push({ node, parent }) - 1;
    for (const child of node.children) visit(child, number);
  };
  for (const node of nodes) visit(node, undefined);
  return all;
}

/** @see https://graphviz.org/doc/info/lang.html */
function asDot(roots: readonly DomainView[]): string[] {
  const text = (line: string): string => line.replace(/["\\]/g, '\\$&');
  return [
    'digraph interrupts {',
    '  node [shape=box];',
    ...numbered(roots).flatMap(({ node, parent }, i) => [
      `  d${i} [label="${labelOf(node).map(text).join('\\n')}"];`,
      ...(parent === undefined ? [] : [`  d${parent} -> d${i};`]),
    ]),
    '}',
  ];
}

/** @see https://mermaid.js.org/syntax/flowchart.html */
function asMermaid(roots: readonly DomainView[]): string[] {
  const text = (line: string): string => line.replace(/[#"<>&]/g, (character) => `#${character.charCodeAt(0)};`);
  return [
    'flowchart TD',
    ...numbered(roots).flatMap(({ node, parent }, i) => [
      `  d${i}["${labelOf(node).map(text).join('<br/>')}"]`,
      ...(parent === undefined ? [] : [`  d${parent} --> d${i}`]),
    ]),
  ];
}
