import { Ims, Irqs, type PciDevice, type PciDriver, imsArray, inject, injectable } from '../../core/index.js';
import { CAPS, ID, IMS } from '../../hw/regs/timer.js';
import { Timers } from './api.js';
import { ImsTimer } from './ims-timer.js';

/**
 * A device that has IMS and nothing else: no MSI, no MSI-X, no queues, no sub-device. The way to a requested interrupt:
 *
 * 1. `mapBar`: the registers, among them the message store
 * 2. `createDomain`: its slots become an interrupt domain of this device
 * 3. `alloc`: a slot and an interrupt number
 * 4. a register write: which slot the timer sends when it expires
 * 5. `request`: the handler
 *
 * All of it is undone at unbind, last first, also when probe fails half way.
 */
@injectable()
export class TimerDriver implements PciDriver<readonly ImsTimer[]> {
  readonly name = 'timer';
  readonly ids = [ID];

  constructor(
    @inject(Ims) private readonly ims: Ims,
    @inject(Irqs) private readonly irqs: Irqs,
  ) {}

  probe(dev: PciDevice): readonly ImsTimer[] {
    const regs = dev.mapBar(0);
    const slots = this.ims.createDomain(dev, imsArray(regs, IMS));
    const count = regs.readField(CAPS, CAPS.fields.timers);
    return Array.from({ length: count }, (_, index) => {
      const expiry = slots.alloc();
      const timer = new ImsTimer(regs, index, expiry.index);
      this.irqs.request(dev, expiry.virq, { name: timer.name, hard: () => timer.expired() });
      return dev.publish(Timers, timer);
    });
  }

  remove(_dev: PciDevice, timers: readonly ImsTimer[]): void {
    for (const timer of timers) timer.stop();
  }
}
