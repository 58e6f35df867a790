/**
 * IMS is not tied to PCI: two door bells at a fixed address, each with a message of its own. `backplane run platform-ims`
 */
import {
  DeviceClass,
  Ims,
  Irqs,
  type Mmio,
  PlatformDevice,
  PlatformDriver,
  Plugin,
  System,
  imsArray,
  inject,
  injectable,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { ImsSlots, type PlatformModel } from 'backplane/sim';

// The datasheet: a message store of two slots, and nothing else that software sees.
const AT = 0xd000_0000;
const IMS = { offset: 0, slots: 2 };
const SIZE_BYTES = 32;

interface Bell {
  /** Rings as often as somebody has pressed it. */
  rings(): number;
}
const Bells = new DeviceClass<Bell>('bell', { methods: ['rings'] });

// The driver: the same calls as for a PCI device.
@injectable()
class BellDriver implements PlatformDriver {
  readonly name = 'bell';

  constructor(
    @inject(Ims) private readonly ims: Ims,
    @inject(Irqs) private readonly irqs: Irqs,
  ) {}

  probe(dev: PlatformDevice): void {
    const regs: Mmio = dev.mapMem(0);
    const slots = this.ims.createDomain(dev, imsArray(regs, IMS));
    for (let n = 0; n < IMS.slots; n++) {
      let rings = 0;
      const { virq } = slots.alloc();
      this.irqs.request(dev, virq, { name: `bell${n}`, hard: () => ++rings });
      dev.publish(Bells, { rings: () => rings });
    }
  }
}

const bell = new Plugin('bell', ({ bind }) => {
  bind(PlatformDriver).to(BellDriver);
});

// The silicon, and the finger on its buttons.
let buttons: ImsSlots | undefined;
const model: PlatformModel = {
  name: 'bell',
  sizeBytes: SIZE_BYTES,
  create: ({ irq }) => {
    const slots = new ImsSlots(IMS.slots, irq);
    buttons = slots;
    return { regions: { 0: slots }, reset: () => slots.reset() };
  },
};

const sim = hostSim({ devices: [{ at: AT, model }] });
await using system = await System.start(sim.plugin, bell);
await system.kernel.platform.add(
  new PlatformDevice({ name: 'bell', resources: [{ kind: 'mem', start: AT, sizeBytes: SIZE_BYTES }] }),
);

for (const button of [0, 1, 1]) {
  buttons?.send(button);
  // Without it the second press would find the first one's message still pending, and add nothing.
  sim.drain();
}
for (const [name, one] of system.list(Bells)) console.log(`${name}: rang ${one.rings()} times`);
