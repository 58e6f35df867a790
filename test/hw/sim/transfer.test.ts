import { describe, expect, test } from 'vitest';
import { Transfer } from '../../../hw/sim/transfer.js';

/** Lengths on both sides of every limit: what is copied in a loop, by way of the room, and in one piece. */
const LENGTHS = [0, 1, 3, 4, 5, 60, 64, 255, 256, 257, 1500, 0x4000, 0x4001];
const OFFSETS = [0, 1, 4, 7];
const SIZE_BYTES = 0x1_0000;

const numbered = (length: number): Uint8Array => Uint8Array.from({ length }, (_, n) => (n * 7 + (n >>> 8)) & 0xff);

describe.each(LENGTHS)('%i bytes', (length) => {
  test.each(OFFSETS.flatMap((at) => OFFSETS.map((offset) => [at, offset] as const)))(
    'at %i of memory and %i of a buffer are copied, and nothing beside them',
    (at, offset) => {
      const transfer = new Transfer();
      const memory = transfer.stretch(SIZE_BYTES);
      const source = numbered(offset + length + 3);
      transfer.write(memory, at, source, offset, length);
      const expected = new Uint8Array(SIZE_BYTES);
      expected.set(source.subarray(offset, offset + length), at);
      expect(Buffer.compare(memory.bytes, expected)).toBe(0);

      const back = new Uint8Array(offset + length + 3).fill(0xee);
      const wanted = back.slice();
      wanted.set(source.subarray(offset, offset + length), offset);
      transfer.read(memory, at, back, offset, length);
      expect(Buffer.compare(back, wanted)).toBe(0);
    },
  );
});

test('buffers that are not aligned, a whole one, and more of them than are kept', () => {
  const transfer = new Transfer();
  const memory = transfer.stretch(SIZE_BYTES);
  for (let n = 0; n < 40; n++) {
    const source = numbered(103 + n).subarray(n & 3);
    transfer.write(memory, 4 * n, source, 0, source.length);
    const back = new Uint8Array(200).subarray(n & 7);
    transfer.read(memory, 4 * n, back, 4, source.length);
    expect(Buffer.compare(back.subarray(4, 4 + source.length), source)).toBe(0);
  }
});

test('what ends where memory ends is whole', () => {
  const transfer = new Transfer();
  const memory = transfer.stretch(SIZE_BYTES);
  for (const length of [64, 1500]) {
    const source = numbered(length);
    const back = new Uint8Array(length + 1);
    transfer.write(memory, SIZE_BYTES - length, source, 0, length);
    transfer.read(memory, SIZE_BYTES - length, back, 1, length);
    expect(Buffer.compare(back.subarray(1), source)).toBe(0);
  }
});
