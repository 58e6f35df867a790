import type { Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { imsTemplate } from './ims-chip.js';
import { type ImsStore, checkStore } from './ims-store.js';
import type { MsiDomain } from './msi-domain.js';
import type { Msi } from './msi.js';

/** Options of {@link Ims.createDomain}. */
export interface ImsOptions {
  /** Tells the domains of one device apart; default `secondary`. */
  readonly id?: string;
}

/**
 * Interrupts from a message store of the device's own (IMS), beside MSI and MSI-X or without them. A service:
 * `@inject(Ims) private readonly ims: Ims`.
 *
 * No capability is to be tested first: that it cannot be is told by creation.
 * @see Linux 6.2 drivers/pci/msi/api.c pci_ims_alloc_irq, drivers/pci/msi/irqdomain.c pci_create_ims_domain
 */
export class Ims {
  constructor(private readonly msi: Msi) {}

  /**
   * Makes interrupts of the slots of a store, until unbind. In the ledger it is `ims domain`.
   * @throws {Errno} EOPNOTSUPP when the platform offers no IMS; EINVAL for a store that cannot be; ERANGE for more than 65,536
   *   slots; EBUSY when the device has a domain with this id (rule `msi-domain-taken`)
   * @example `const { index, virq } = this.ims.createDomain(dev, imsArray(regs, IMS)).alloc();`
   */
  createDomain<Cookie = undefined, Slot = number>(
    dev: Device,
    store: ImsStore<Cookie, Slot>,
    options: ImsOptions = {},
  ): MsiDomain<Cookie> {
    const own = store as ImsStore<unknown, unknown>;
    checkStore(dev.name, own);
    return this.msi.createDomain<Cookie>(dev, {
      id: options.id ?? 'secondary',
      template: imsTemplate(own),
      size: store.slots,
      data: store,
      label: 'ims domain',
      slotLabel: 'ims slot',
    });
  }

  /**
   * As `createDomain`; undefined where the platform offers no IMS.
   * @example `const virq = this.ims.tryCreateDomain(dev, store)?.alloc().virq ?? dev.allocVectors().virq(0);`
   */
  tryCreateDomain<Cookie = undefined, Slot = number>(
    dev: Device,
    store: ImsStore<Cookie, Slot>,
    options: ImsOptions = {},
  ): MsiDomain<Cookie> | undefined {
    try {
      return this.createDomain(dev, store, options);
    } catch (error) {
      if (Errno.is(error, 'EOPNOTSUPP')) return undefined;
      throw error;
    }
  }
}
