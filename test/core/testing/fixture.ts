import { type Clock, field, reg32 } from '../../../core/hal/index.js';
import type { Kernel } from '../../../core/kernel.js';
import type { MaybePromise } from '../../../core/lib/index.js';
import type { PciDevice, PciDriver } from '../../../core/pci/index.js';
import { FakePciFunction, fakeRegisters } from '../../../core/testing/index.js';

export const CONTROL = reg32('CONTROL', 0x00, { enable: field(0), busy: field(1, 1, 'ro') });
export const COUNT = reg32('COUNT', 0x04);
export const REGS = [CONTROL, COUNT];

const ID = { vendor: 0x1de5, device: 0x00ff };

/** A fake device: two registers behind BAR 0, memory behind BAR 1. */
export const widget = (): FakePciFunction =>
  new FakePciFunction({
    vendor: ID.vendor,
    device: ID.device,
    bars: [{ sizeBytes: 4096, window: fakeRegisters(4096, REGS) }, { sizeBytes: 256 }],
  });

/** What the healthy driver gives its users. */
export interface Widget {
  count(): number;
  work(): Promise<number>;
}

/** A driver without fault, to be broken by the tests. */
export class WidgetDriver implements PciDriver<Widget> {
  readonly name: string = 'widget';
  readonly ids = [ID];
  constructor(
    readonly clock: Clock,
    readonly kernel: Kernel,
  ) {}

  probe(dev: PciDevice): Widget | Promise<Widget> {
    const regs = dev.mapBar(0);
    const ring = this.kernel.dma.alloc(dev, 4096);
    dev.devres.defer('disable', () => regs.write(CONTROL, 0));
    regs.write(CONTROL, { enable: 1 });
    ring.write32(0, regs.read(COUNT));
    return {
      count: () => regs.read(COUNT),
      work: async () => {
        await this.clock.sleep(10);
        return regs.read(COUNT);
      },
    };
  }

  remove(_dev: PciDevice, _state: Widget): MaybePromise<void> {}
}

/** Harness options for a class of drivers like {@link WidgetDriver}. */
export const bench = (Driver: new (clock: Clock, kernel: Kernel) => PciDriver = WidgetDriver) => ({
  driver: (kernel: Kernel) => new Driver(kernel.clock, kernel),
  pci: () => [widget()],
});
