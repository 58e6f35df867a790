import { field, reg32 } from 'backplane';

export const VENDOR = 0x1de5;
export const DEVICE = 0x0006;
export const BAR_BYTES = 4096;

/** Number of sides: 2 to 255. */
export const SIDES = reg32('SIDES', 0x00, { count: field(7, 0, 'rw', 6) });
/** Write `roll`: the die is thrown. `rolling` is set until it lies still. */
export const CONTROL = reg32('CONTROL', 0x04, { roll: field(0, 0, 'wo'), rolling: field(1, 1, 'ro') });
/** What it shows: 1 to the number of sides; 0 before the first throw. */
export const VALUE = reg32('VALUE', 0x08, { value: field(7, 0, 'ro') });

/** Every register of the die. */
export const REGS = [SIDES, CONTROL, VALUE];
