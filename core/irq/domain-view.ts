import { formatRanges } from './bitmap.js';
import type { IrqCore } from './core.js';
import type { BusToken, IrqDomain } from './domain.js';
import type { MsiFlag } from './msi-parent.js';

/** One domain with those behind it. */
export interface DomainView {
  readonly name: string;
  readonly busToken: BusToken;
  /** Whose domain it is. */
  readonly device: string | undefined;
  /** Names of the chips that its interrupts have there, in order. */
  readonly chips: readonly string[];
  /** How many interrupts are mapped. */
  readonly interrupts: number;
  /** Their numbers in the domain and in the system: `0-3,8`. */
  readonly hwirqs: string;
  readonly virqs: string;
  /** What the MSI domains of devices below it may ask for; undefined when it is not their parent. */
  readonly supports: readonly MsiFlag[] | undefined;
  /** Those nearer to devices, in the order of their making. */
  readonly children: readonly DomainView[];
}

/** The domains of a system as trees: roots are at the CPUs, leaves at devices. */
export function domainViews({ domains }: IrqCore): DomainView[] {
  const below = new Map<IrqDomain | undefined, IrqDomain[]>();
  for (const domain of domains) {
    const siblings = below.get(domain.parent);
    if (siblings === undefined) below.set(domain.parent, [domain]);
    else siblings.push(domain);
  }
  const viewsBelow = (parent: IrqDomain | undefined): DomainView[] =>
    (below.get(parent) ?? []).map((domain) => ({ ...domainView(domain), children: viewsBelow(domain) }));
  return viewsBelow(undefined);
}

function domainView(domain: IrqDomain): Omit<DomainView, 'children'> {
  const { name, busToken, device, size: interrupts, msiParent } = domain;
  const mappings = domain.mappings();
  const chips = new Set(mappings.map(([, desc]) => desc.data.at(domain)?.chip.name ?? ''));
  return {
    name,
    busToken,
    device: device?.name,
    chips: [...chips].sort(),
    interrupts,
    hwirqs: formatRanges(mappings.map(([hwirq]) => hwirq)),
    virqs: formatRanges(mappings.map(([, desc]) => desc.virq).sort((a, b) => a - b)),
    supports: msiParent === undefined ? undefined : [...msiParent.supported].sort(),
  };
}
