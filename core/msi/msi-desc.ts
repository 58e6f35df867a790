import type { DevresEntry } from '../devres/index.js';
import type { MsiMsg } from '../hal/index.js';
import type { IrqAffinityDesc, IrqData, IrqDesc } from '../irq/index.js';
import type { Signal } from '../lib/signal.js';
import type { MsiDomain } from './msi-domain.js';
import type { MsiMap } from './msi-map.js';

/**
 * One index of a domain: the interrupt behind it, and what was last written to it. For chips and templates; drivers get a
 * {@link MsiMap}.
 * @see Linux 7.2 include/linux/msi.h struct msi_desc
 */
export class MsiDesc {
  /** The first interrupt; 0 while it is associated with none. */
  virq = 0;
  /** The first interrupt's descriptor. */
  irq: IrqDesc | undefined = undefined;
  /** Where the message is kept: the template's own. */
  slot: unknown = undefined;
  /** What was last written; undefined while nothing was. */
  msg: MsiMsg | undefined = undefined;
  /** Whether the device can mask it: without, no vector can be lent to it. Set before it is associated. */
  canMask = true;
  /** @internal */
  map: MsiMap | undefined = undefined;
  /** Of the ledger, when it is in there. @internal */
  entry: DevresEntry | undefined = undefined;
  /** @internal */
  changed: Signal<[MsiMsg]> | undefined = undefined;

  constructor(
    readonly domain: MsiDomain,
    readonly index: number,
    /** How many interrupts it is: more than one for MSI of several messages alone. */
    readonly count: number,
    /** What its driver says of it; nobody but the store or the template looks inside. */
    readonly cookie: unknown,
    /** One for each interrupt. */
    readonly affinity: readonly IrqAffinityDesc[] | undefined,
  ) {}
}

/** The MSI descriptor of an interrupt. Only for levels of MSI domains. @see Linux 7.2 include/linux/irq.h irq_data_get_msi_desc */
export const msiDescOf = (data: IrqData): MsiDesc => data.desc.msi as MsiDesc;
