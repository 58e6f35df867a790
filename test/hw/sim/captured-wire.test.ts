import { describe, expect, test } from 'vitest';
import { CapturedWire, Pcapng, VirtualClock, type WirePort, cable } from '../../../hw/sim/index.js';

/** What a capture has: time in microseconds, direction, and the first byte, of each packet. */
function packets(capture: Pcapng): (readonly [us: number, direction: 'in' | 'out', first: number])[] {
  const bytes = capture.bytes();
  const view = new DataView(bytes.buffer);
  const all: (readonly [number, 'in' | 'out', number])[] = [];
  for (let at = 0; at < bytes.length; at += view.getUint32(at + 4, true)) {
    if (view.getUint32(at, true) !== 6) continue;
    const ns = view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 16, true);
    const length = (view.getUint32(at + 20, true) + 3) & ~3;
    all.push([ns / 1000, bytes[at + 28 + length + 4] === 1 ? 'in' : 'out', bytes[at + 28]!]);
  }
  return all;
}
function port(): WirePort & { readonly seen: (number | boolean)[] } {
  const seen: (number | boolean)[] = [];
  return { seen, receive: (frame, offset) => seen.push(frame[offset]!), setLink: (isUp) => seen.push(isUp) };
}

describe('CapturedWire', () => {
  test('is the wire that it is on, and its capture has what passes in the order it passes', () => {
    const [near, far] = cable();
    const [capture, clock] = [new Pcapng(), new VirtualClock({ mode: 'manual' })];
    const wire = new CapturedWire(near, capture, clock, { name: 'uplink' });
    const [mine, other] = [port(), port()];
    wire.attach(mine);
    far.attach(other);
    wire.send(Uint8Array.of(9, 1, 2), 1, 2);
    clock.elapse(250);
    far.send(Uint8Array.of(3, 4), 0, 2);
    far.attach(undefined);
    expect([mine.seen, other.seen]).toEqual([
      [false, true, 3, false],
      [true, 1],
    ]);
    expect(packets(capture)).toEqual([
      [0, 'out', 1],
      [250, 'in', 3],
    ]);
  });

  test('a port that is pulled out hears nothing more', () => {
    const [near, far] = cable();
    const wire = new CapturedWire(near, new Pcapng(), new VirtualClock());
    const [mine, other] = [port(), port()];
    wire.attach(mine);
    wire.attach(undefined);
    far.attach(other);
    far.send(Uint8Array.of(1), 0, 1);
    expect([mine.seen, other.seen]).toEqual([[false], [false]]);
  });

  test('a capture gets no longer than it may, and the wire works on', () => {
    for (let maxBytes = 900; maxBytes < 1000; maxBytes++) {
      const [near, far] = cable();
      const capture = new Pcapng();
      const wire = new CapturedWire(near, capture, new VirtualClock(), { maxBytes });
      const other = port();
      far.attach(other);
      for (let n = 0; n < 5; n++) wire.send(new Uint8Array(399), 0, 399);
      expect([capture.packets + wire.missed, other.seen.length, capture.sizeBytes <= maxBytes]).toEqual([5, 6, true]);
    }
  });
});
