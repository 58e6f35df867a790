import { Clock, DeviceClass, Errno, type Mmio, type PciDevice, type PciDriver, inject, injectable, pciId } from 'backplane';
import { CONTROL, DEVICE, SIDES, VALUE, VENDOR } from './regs.js';

/** What users of a die can do. */
export interface Dice {
  /** Throws it. @returns 1 to the number of sides */
  roll(): Promise<number>;
}

/** Every die of the system. */
export const Dice = new DeviceClass<Dice>('dice', { methods: ['roll'] });

class MappedDice implements Dice {
  constructor(
    private readonly regs: Mmio,
    private readonly clock: Clock,
  ) {}

  async roll(): Promise<number> {
    this.regs.write(CONTROL, { roll: 1 });
    await this.clock.poll(() => this.regs.readField(CONTROL, CONTROL.fields.rolling) === 0, { timeoutUs: 1000, what: 'roll' });
    return this.regs.read(VALUE);
  }
}

@injectable()
export class DiceDriver implements PciDriver<Dice> {
  readonly name = 'dice';
  readonly ids = [pciId(VENDOR, DEVICE)];
  constructor(@inject(Clock) private readonly clock: Clock) {}

  probe(dev: PciDevice): Dice {
    const regs = dev.mapBar(0);
    if (regs.read(SIDES) < 2) throw new Errno('ENXIO', `${dev.name}: a die of ${regs.read(SIDES)} sides`);
    return dev.publish(Dice, new MappedDice(regs, this.clock));
  }
}
