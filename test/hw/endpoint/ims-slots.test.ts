import { describe, expect, test } from 'vitest';
import { IMS_CONTROL, IMS_DATA, IMS_SLOT_BYTES } from '../../../core/hal/index.js';
import { ImsSlots } from '../../../hw/endpoint/ims-slots.js';

const CONTROL = IMS_CONTROL.offset;
const MASK = 1;
const PENDING = 2;

/** Slots of which each has its number as data, and the data that was posted. */
function setUp(count: number, duringPost: (slots: ImsSlots) => void = () => {}) {
  const posted: number[] = [];
  const slots: ImsSlots = new ImsSlots(count, {
    post: (_lo, _hi, data) => {
      posted.push(data);
      duringPost(slots);
      return true;
    },
  });
  for (let n = 0; n < count; n++) slots.write32(n * IMS_SLOT_BYTES + IMS_DATA.offset, n);
  return { slots, posted };
}

describe('ImsSlots', () => {
  test('all slots are masked after a reset, and empty', () => {
    const { slots } = setUp(2);
    slots.write32(CONTROL, 0);
    slots.reset();
    const words = Array.from({ length: 8 }, (_, i) => slots.read32(4 * i));
    expect(words).toEqual([0, 0, 0, MASK, 0, 0, 0, MASK]);
  });

  test('an unmasked slot sends at once, its neighbour does not', () => {
    const { slots, posted } = setUp(3);
    slots.write32(IMS_SLOT_BYTES + CONTROL, 0);
    slots.send(1);
    slots.send(2);
    expect([posted, slots.read32(CONTROL), slots.read32(2 * IMS_SLOT_BYTES + CONTROL)]).toEqual([[1], MASK, MASK | PENDING]);
  });

  test('what a masked slot was to send is sent once when the mask is cleared, with the message it has then', () => {
    const { slots, posted } = setUp(1);
    slots.send(0);
    slots.send(0);
    slots.write32(IMS_DATA.offset, 0x77);
    slots.write32(CONTROL, MASK);
    expect([posted, slots.read32(CONTROL)]).toEqual([[], MASK | PENDING]);
    slots.write32(CONTROL, 0);
    slots.write32(CONTROL, 0);
    expect([posted, slots.read32(CONTROL)]).toEqual([[0x77], 0]);
  });

  test('a mask that comes with a message holds for the next one', () => {
    const { slots, posted } = setUp(1, (self) => self.write32(CONTROL, MASK));
    slots.write32(CONTROL, 0);
    slots.send(0);
    slots.send(0);
    expect([posted, slots.read32(CONTROL)]).toEqual([[0], MASK | PENDING]);
  });

  test('it has whole words of its own slots alone', () => {
    const { slots } = setUp(2);
    expect([-4, 0, 2, 28, 32].map((offset) => slots.has(offset))).toEqual([false, true, false, true, false]);
  });
});
