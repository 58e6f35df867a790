import { getField, setField } from 'backplane';
import { type Model, type PciModel, type PciModelContext, RegisterFile } from 'backplane/sim';
import { BAR_BYTES, CONTROL, DEVICE, REGS, SIDES, VALUE, VENDOR } from './regs.js';

const ROLL_US = 50;

/** A die as a PCI function. */
export const die: PciModel = {
  name: 'die',
  config: { vendor: VENDOR, device: DEVICE, classCode: 0xff0000, bars: { 0: { kind: 'mem32', sizeBytes: BAR_BYTES } } },
  create: (context) => new Die(context),
};

class Die implements Model {
  readonly #regs = new RegisterFile(REGS, BAR_BYTES);
  readonly regions = { 0: this.#regs };

  constructor(context: PciModelContext) {
    const { roll, rolling } = CONTROL.fields;
    this.#regs.onWrite(CONTROL, (value, written) => {
      if (getField(roll, written) === 0 || getField(rolling, value) === 1) return;
      this.#regs.set(CONTROL, setField(rolling, 0, 1));
      context.clock.after(ROLL_US, () => {
        const sides = Math.max(2, this.#regs.get(SIDES));
        this.#regs.set(VALUE, 1 + context.random.below(sides));
        this.#regs.set(CONTROL, 0);
      });
    });
  }

  reset(): void {
    this.#regs.reset();
  }
}
