import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NameTable } from '../../../core/lib/name-table.js';

describe('NameTable', () => {
  test('finds what it holds, and refuses a name that is taken', () => {
    const table = new NameTable<number>();
    expect(table.add('a', 1)).toBe(true);
    expect(table.add('a', 2)).toBe(false);
    expect(table.get('a')).toBe(1);
    expect(table.get('b')).toBeUndefined();
    expect(table.delete('a')).toBe(true);
    expect(table.delete('a')).toBe(false);
    expect(table.size).toBe(0);
  });

  test('keeps every name while it grows', () => {
    const table = new NameTable<number>();
    for (let i = 0; i < 10_000; i++) expect(table.add(`mlx5_core.sf.${i}`, i)).toBe(true);
    expect(Array.from({ length: 10_000 }, (_, i) => table.get(`mlx5_core.sf.${i}`))).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i),
    );
  });

  test('agrees with a Map whatever is done to it', () => {
    const operation = fc.tuple(fc.constantFrom('add', 'delete', 'get'), fc.string({ maxLength: 2 }));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const table = new NameTable<number>();
        const model = new Map<string, number>();
        for (const [i, [what, name]] of operations.entries()) {
          if (what === 'add') {
            expect(table.add(name, i)).toBe(!model.has(name));
            if (!model.has(name)) model.set(name, i);
          } else if (what === 'delete') expect(table.delete(name)).toBe(model.delete(name));
          else expect(table.get(name)).toBe(model.get(name));
          expect(table.size).toBe(model.size);
        }
      }),
      { seed: 1 },
    );
  });
});
