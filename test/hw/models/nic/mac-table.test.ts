import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ForwardingTable } from '../../../../hw/models/nic/forwarding-table.js';
import { MacTable } from '../../../../hw/models/nic/mac-table.js';

/** Few keys, so that they meet again; some differ in one half, or in the port alone. */
const key = fc.record({ high: fc.nat(3), low: fc.constantFrom(0, 1, 0xff_ffff, 0x80_0000), port: fc.nat(2), value: fc.nat(2) });
const step = fc.record({ kind: fc.constantFrom('add', 'remove'), key });

describe('nic table of addresses', () => {
  test('finds what was added and not removed, also where the same key was added more than once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new MacTable();
        const model: (typeof steps)[number]['key'][] = [];
        for (const { kind, key } of steps) {
          const { high, low, port, value } = key;
          const same = model.filter((other) => other.high === high && other.low === low && other.port === port);
          const at = model.indexOf(same.find((other) => other.value === value)!);
          if (kind === 'add') {
            table.add(high, low, port, value);
            model.push(key);
          } else {
            expect(table.remove(high, low, port, value)).toBe(at >= 0);
            if (at >= 0) model.splice(at, 1);
          }
          const left = model.filter((other) => other.high === high && other.low === low && other.port === port);
          const found = table.find(high, low, port);
          expect(found).toBe(left[0]?.value ?? -1);
          expect(table.size).toBe(model.length);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test('of the same key, the one that was added first counts, wherever it lies when the table grows', () => {
    const lost: number[] = [];
    for (let low = 0; low < 500; low++) {
      const table = new MacTable();
      table.add(1, low, 0, 7);
      table.add(1, low, 0, 8);
      for (let i = 0; i < 40; i++) table.add(2, i, 0, i);
      if (table.find(1, low, 0) !== 7) lost.push(low);
    }
    expect(lost).toEqual([]);
  });

  test('65536 addresses are all found, and none after they were removed', () => {
    const table = new MacTable();
    const count = 2 ** 16;
    for (let i = 0; i < count; i++) table.add(0x02_0000 | (i >>> 8), (i & 255) << 12, i % 7, i);
    let wrong = 0;
    for (let i = 0; i < count; i++) if (table.find(0x02_0000 | (i >>> 8), (i & 255) << 12, i % 7) !== i) wrong++;
    for (let i = 0; i < count; i++) if (!table.remove(0x02_0000 | (i >>> 8), (i & 255) << 12, i % 7, i)) wrong++;
    for (let i = 0; i < count; i++) if (table.find(0x02_0000 | (i >>> 8), (i & 255) << 12, i % 7) !== -1) wrong++;
    expect([wrong, table.size]).toEqual([0, 0]);
  });
});

describe('nic rules of the switch', () => {
  test('a rule that is made again is changed, and one that is gone makes room', () => {
    const table = new ForwardingTable();
    const to = { high: 1, low: 2 };
    const [one, two] = [Int32Array.of(1), Int32Array.of(2)];
    table.set(3, to, one);
    table.set(4, to, two);
    table.set(3, to, two);
    expect([table.size, table.find(3, 1, 2), table.find(4, 1, 2), table.find(5, 1, 2)]).toEqual([2, two, two, undefined]);
    expect([table.delete(3, to), table.delete(3, to), table.has(3, to), table.size]).toEqual([true, false, false, 1]);
    table.set(5, to, one);
    expect([table.find(4, 1, 2), table.find(5, 1, 2)]).toEqual([two, one]);
    table.clear();
    expect([table.size, table.find(4, 1, 2)]).toEqual([0, undefined]);
  });
});
