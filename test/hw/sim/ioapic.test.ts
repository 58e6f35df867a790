import { describe, expect, test } from 'vitest';
import { composeRemappable } from '../../../core/hal/index.js';
import { IoApic, pinLine, swizzle } from '../../../hw/sim/ioapic.js';

const MSG = composeRemappable(9, 0);
const LINE = 21;

function setUp(level: boolean): { ioapic: IoApic; sent: number[][] } {
  const sent: number[][] = [];
  const ioapic = new IoApic(24, (requesterId, addressLo, data) => sent.push([requesterId, addressLo >>> 0, data]));
  ioapic.route(LINE, MSG, level);
  ioapic.setMask(LINE, false);
  return { ioapic, sent };
}

describe('a level line', () => {
  test('sends once when asserted, with the requester id of the I/O APIC', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.drive(LINE, true);
    expect([sent, ioapic.isAsserted(LINE), ioapic.requesterId]).toEqual([[[0xf0f8, MSG.addressLo, 0]], true, 0xf0f8]);
  });

  test('sends again at eoi while it is asserted', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.drive(LINE, true);
    ioapic.eoi(LINE);
    expect(sent).toHaveLength(2);
    ioapic.drive(LINE, false);
    ioapic.eoi(LINE);
    expect([sent.length, ioapic.isAsserted(LINE)]).toEqual([2, false]);
  });

  test('does not send again before eoi, whatever the devices do', () => {
    const { ioapic, sent } = setUp(true);
    for (const asserted of [true, false, true]) ioapic.drive(LINE, asserted);
    ioapic.setMask(LINE, true);
    ioapic.setMask(LINE, false);
    expect(sent).toHaveLength(1);
  });

  test('sends when it is unmasked or routed while it is asserted', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.setMask(LINE, true);
    ioapic.drive(LINE, true);
    expect(sent).toHaveLength(0);
    ioapic.setMask(LINE, false);
    expect(sent).toHaveLength(1);
    ioapic.setMask(LINE, true);
    ioapic.eoi(LINE);
    expect(sent).toHaveLength(1);
    ioapic.setMask(LINE, false);
    expect(sent).toHaveLength(2);
  });

  test('is asserted while any device asserts it', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.drive(LINE, true);
    ioapic.drive(LINE, true);
    ioapic.drive(LINE, false);
    expect(ioapic.isAsserted(LINE)).toBe(true);
    ioapic.eoi(LINE);
    expect(sent).toHaveLength(2);
    ioapic.drive(LINE, false);
    expect(ioapic.isAsserted(LINE)).toBe(false);
  });

  test('that is made an edge line forgets that it has sent', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.drive(LINE, true);
    ioapic.route(LINE, MSG, false);
    ioapic.route(LINE, MSG, true);
    expect(sent).toHaveLength(2);
  });
});

describe('an edge line', () => {
  test('sends at each rising edge, and needs no eoi', () => {
    const { ioapic, sent } = setUp(false);
    for (const asserted of [true, false, true, false]) ioapic.drive(LINE, asserted);
    expect(sent).toHaveLength(2);
    ioapic.drive(LINE, true);
    ioapic.eoi(LINE);
    expect(sent).toHaveLength(3);
  });

  test('loses what rises while it is masked', () => {
    const { ioapic, sent } = setUp(false);
    ioapic.setMask(LINE, true);
    ioapic.drive(LINE, true);
    ioapic.setMask(LINE, false);
    expect(sent).toHaveLength(0);
  });
});

describe('lines', () => {
  test('start masked, and one that was never routed sends nothing', () => {
    const { ioapic, sent } = setUp(true);
    ioapic.drive(5, true);
    ioapic.setMask(5, false);
    ioapic.drive(5, false);
    ioapic.drive(5, true);
    ioapic.route(6, MSG, true);
    ioapic.drive(6, true);
    expect(sent).toEqual([]);
  });

  test('one that is not there throws ERANGE', () => {
    const { ioapic } = setUp(true);
    for (const line of [-1, 24, 0.5]) {
      expect(() => ioapic.route(line, MSG, true)).toThrow(/^ERANGE: ioapic: line is/);
      expect(() => ioapic.setMask(line, true)).toThrow(/^ERANGE/);
      expect(() => ioapic.eoi(line)).toThrow(/^ERANGE/);
      expect(() => ioapic.isAsserted(line)).toThrow(/^ERANGE/);
    }
  });
});

describe('the wiring of pins', () => {
  test.each([
    [0, 1, 20],
    [4, 1, 20],
    [5, 1, 21],
    [5, 4, 20],
    [7, 2, 20],
    [24, 1, 20],
    [25, 1, 16],
    [28, 4, 19],
    [30, 1, 20],
    [31, 1, 16],
  ])('slot %d pin %d is line %d, as on a q35', (slot, pin, line) => {
    expect(pinLine(slot << 3, pin)).toBe(line);
  });

  test.each([
    [0, 1, 1],
    [1, 1, 2],
    [2, 4, 2],
    [3, 2, 1],
  ])('below a bridge, device %d pin %d comes out at pin %d', (device, pin, above) => {
    expect(swizzle(device << 3, pin)).toBe(above);
  });
});
