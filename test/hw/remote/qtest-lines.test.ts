import { describe, expect, test } from 'vitest';
import type { MsiMsg } from '../../../core/hal/msi.js';
import { Signal } from '../../../core/lib/signal.js';
import { QtestLines } from '../../../hw/remote/qtest-lines.js';

const LINE = 21;
const MSG: MsiMsg = { addressLo: 0x10_0000, addressHi: 0, data: 6 };
const OTHER: MsiMsg = { ...MSG, data: 8 };

/** Lines whose messages ring the doorbell one below their data. */
function setUp() {
  const changes = new Signal<[line: number, raised: boolean]>();
  const rung: number[] = [];
  const doorbells = { rungBy: (msg: MsiMsg) => (msg.addressLo === MSG.addressLo ? msg.data - 1 : -1) };
  const lines = new QtestLines(changes, doorbells, (doorbell) => rung.push(doorbell));
  return { lines, rung, raise: () => changes.emit(LINE, true), lower: () => changes.emit(LINE, false) };
}

/** As {@link setUp}, with the line routed and unmasked. */
function open(level: boolean) {
  const all = setUp();
  all.lines.route(LINE, MSG, level);
  all.lines.setMask(LINE, false);
  return all;
}

describe('QtestLines', () => {
  test('a level line rings once, and again at each end while it is asserted', () => {
    const { lines, rung, raise, lower } = open(true);
    raise();
    raise();
    expect([rung, lines.isAsserted(LINE)]).toEqual([[5], true]);
    lines.eoi(LINE);
    expect(rung).toEqual([5, 5]);
    lower();
    lines.eoi(LINE);
    expect([rung, lines.isAsserted(LINE)]).toEqual([[5, 5], false]);
    raise();
    expect(rung).toEqual([5, 5, 5]);
  });

  test('a level line that falls and rises before its end rings at the end, once', () => {
    const { lines, rung, raise, lower } = open(true);
    raise();
    lower();
    raise();
    expect(rung).toEqual([5]);
    lines.eoi(LINE);
    expect(rung).toEqual([5, 5]);
  });

  test('a masked level line rings when it is unmasked, if it is still asserted, also after an end', () => {
    const { lines, rung, raise, lower } = open(true);
    lines.setMask(LINE, true);
    raise();
    lines.eoi(LINE);
    expect(rung).toEqual([]);
    lines.setMask(LINE, false);
    lines.setMask(LINE, false);
    expect(rung).toEqual([5]);
    lines.setMask(LINE, true);
    lower();
    lines.setMask(LINE, false);
    expect(rung).toEqual([5]);
  });

  test('an edge line rings at each rise, and what came while it was masked is lost', () => {
    const { lines, rung, raise, lower } = open(false);
    raise();
    raise();
    lower();
    raise();
    expect(rung).toEqual([5, 5]);
    lower();
    lines.setMask(LINE, true);
    raise();
    lines.setMask(LINE, false);
    lines.eoi(LINE);
    expect(rung).toEqual([5, 5]);
  });

  test('a line starts masked, and rings nothing before it is routed to a doorbell', () => {
    const { lines, rung, raise } = setUp();
    raise();
    lines.setMask(LINE, false);
    expect([rung, lines.inUse]).toEqual([[], false]);
    lines.route(LINE, { ...MSG, addressLo: 0 }, true);
    expect([rung, lines.inUse]).toEqual([[], false]);
    lines.route(LINE, MSG, true);
    expect([rung, lines.inUse]).toEqual([[5], true]);
    lines.route(LINE, OTHER, true);
    lines.eoi(LINE);
    expect(rung).toEqual([5, 7]);
    lines.setMask(LINE, true);
    expect(lines.inUse).toBe(false);
  });

  test('a line that is not there is ERANGE to route and to mask, and never asserted', () => {
    const { lines } = setUp();
    expect(() => lines.route(24, MSG, true)).toThrow('ERANGE: qtest: interrupt line is 24, must be an integer of 0 to 23');
    expect(() => lines.setMask(-1, true)).toThrow('ERANGE');
    expect(lines.isAsserted(24)).toBe(false);
  });
});
