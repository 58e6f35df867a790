import { describe, expect, test } from 'vitest';
import { DOORBELLS, Doorbells } from '../../../hw/remote/qtest-doorbells.js';
import { BASE, FakeMemory } from './fake-doorbell-memory.js';

function setUp() {
  const memory = new FakeMemory();
  const rung = new Uint32Array(DOORBELLS / 32);
  const uses: boolean[] = [];
  const bells: Doorbells = new Doorbells(memory, rung, () => uses.push(bells.inUse));
  bells.start();
  /** A device sends the message of a doorbell. */
  const send = (n: number): void => {
    const { addressLo, data } = bells.message(n);
    memory.write32(addressLo, data);
  };
  /** What was found rung, taken out of the set. */
  const take = (): number[] => {
    const all = Array.from({ length: DOORBELLS }, (_, n) => n).filter((n) => (rung[n >>> 5]! & (1 << (n & 31))) !== 0);
    rung.fill(0);
    return all;
  };
  return { memory, bells, uses, send, take };
}

describe('Doorbells', () => {
  test('each has a word of its own and data that is never 0', () => {
    const { bells } = setUp();
    expect([bells.alloc(), bells.alloc()]).toEqual([0, 1]);
    expect(bells.message(0)).toEqual({ addressLo: BASE, addressHi: 0, data: 1 });
    expect(bells.message(1)).toEqual({ addressLo: BASE + 4, addressHi: 0, data: 2 });
  });

  test('the lowest free one is handed out, and -1 when all 4,096 are', () => {
    const { bells } = setUp();
    for (let n = 0; n < DOORBELLS; n++) bells.alloc();
    expect(bells.alloc()).toBe(-1);
    bells.free(9);
    bells.free(7);
    expect([bells.alloc(), bells.alloc(), bells.alloc()]).toEqual([7, 9, -1]);
  });

  test('those that rang are found once, whatever was written', () => {
    const { memory, bells, send, take } = setUp();
    for (let n = 0; n < 40; n++) bells.alloc();
    expect(bells.collect()).toBe(false);
    send(3);
    send(3);
    memory.write32(BASE + 4 * 39, 0xffff_0000);
    expect([bells.collect(), take()]).toEqual([true, [3, 39]]);
    expect([bells.collect(), take()]).toEqual([false, []]);
  });

  test('one that rings while a look silences it is not lost: it is one with that which was found', () => {
    const { memory, bells, send, take } = setUp();
    bells.alloc();
    send(0);
    memory.afterRead = () => send(0);
    bells.collect();
    memory.afterRead = () => {};
    expect([take(), bells.collect()]).toEqual([[0], false]);
    send(0);
    expect([bells.collect(), take()]).toEqual([true, [0]]);
  });

  test('one given back rings no more, and is silent for its next owner', () => {
    const { bells, send, take } = setUp();
    bells.alloc();
    bells.alloc();
    send(0);
    bells.collect();
    bells.free(0);
    send(0);
    expect([bells.collect(), take()]).toEqual([false, []]);
    send(0);
    expect(bells.alloc()).toBe(0);
    expect([bells.collect(), take()]).toEqual([false, []]);
  });

  test('a look reads no further than the last one in use', () => {
    const { memory, bells } = setUp();
    for (let n = 0; n < 3; n++) bells.alloc();
    bells.collect();
    bells.free(1);
    bells.collect();
    bells.free(2);
    bells.collect();
    expect(memory.reads).toEqual([12, 12, 4]);
  });

  test('it tells of the first that is taken and the last that is given back', () => {
    const { bells, uses } = setUp();
    bells.alloc();
    bells.alloc();
    bells.free(0);
    bells.free(1);
    expect(uses).toEqual([true, false]);
    expect(() => bells.free(1)).toThrow('ENOENT: qtest: doorbells: id 1 is not in use');
  });

  test('a message rings the one in use at its address, or none', () => {
    const { bells } = setUp();
    bells.alloc();
    expect(bells.rungBy(bells.message(0))).toBe(0);
    expect(bells.rungBy(bells.message(1))).toBe(-1);
    expect(bells.rungBy({ addressLo: 0, addressHi: 0, data: 0 })).toBe(-1);
    expect(bells.rungBy({ addressLo: BASE + 2, addressHi: 0, data: 1 })).toBe(-1);
    expect(bells.rungBy({ addressLo: BASE, addressHi: 1, data: 1 })).toBe(-1);
  });
});
