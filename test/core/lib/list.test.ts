import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cursor, List, ListNode } from '../../../core/lib/list.js';

function listOf(...values: number[]): { list: List<number>; nodes: ListNode<number>[] } {
  const list = new List<number>();
  const nodes = values.map((v) => new ListNode(v));
  for (const node of nodes) list.push(node);
  return { list, nodes };
}

describe('List', () => {
  test('keeps the order of arrival, and knows its ends and its size', () => {
    const { list, nodes } = listOf(1, 2, 3);
    expect([list.toArray(), list.first, list.last, list.size]).toEqual([[1, 2, 3], 1, 3, 3]);
    expect([list.delete(nodes[1]!), list.delete(nodes[1]!), list.toArray()]).toEqual([true, false, [1, 3]]);
    list.moveToTail(nodes[0]!);
    expect([list.toArray(), list.first, list.last]).toEqual([[3, 1], 3, 1]);
  });

  test('does not take a node that is in a list', () => {
    const { nodes } = listOf(1);
    expect(() => new List<number>().push(nodes[0]!)).toThrow('backplane bug');
  });

  test('a node of another list is neither deleted nor moved', () => {
    const { list } = listOf(1);
    const { list: other, nodes } = listOf(2);
    expect(list.delete(nodes[0]!)).toBe(false);
    list.moveToTail(nodes[0]!);
    expect([list.toArray(), other.toArray()]).toEqual([[1], [2]]);
  });

  test('a walk sees what is appended, also at its last element, and not what is removed before it gets there', () => {
    const { list, nodes } = listOf(1, 2, 3);
    const seen: number[] = [];
    for (const value of list) {
      seen.push(value);
      if (value === 1) {
        list.delete(nodes[0]!);
        list.delete(nodes[1]!);
      }
      if (value === 3) list.push(new ListNode(4));
    }
    expect(seen).toEqual([1, 3, 4]);
  });

  test('a walk that is left early leaves no cursor behind', () => {
    const { list, nodes } = listOf(1, 2);
    for (const value of list) if (value === 1) break;
    const cursor = list.cursor();
    list.delete(nodes[0]!);
    expect(cursor.next()).toBe(2);
    cursor.close();
    cursor.close();
    expect([...list]).toEqual([2]);
  });

  test('random changes under several cursors agree with an array', () => {
    const step = fc.record({
      op: fc.constantFrom('push', 'push', 'delete', 'tail', 'cursor', 'next', 'next', 'close'),
      pick: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const list = new List<number>();
        const nodes: ListNode<number>[] = [];
        let model: number[] = [];
        const cursors: { cursor: Cursor<number>; ahead: number[] }[] = [];
        for (const { op, pick } of steps) {
          const node = nodes[pick % Math.max(nodes.length, 1)];
          const walk = cursors[pick % Math.max(cursors.length, 1)];
          const drop = (value: number): void => {
            model = model.filter((v) => v !== value);
            for (const c of cursors) c.ahead = c.ahead.filter((v) => v !== value);
          };
          const append = (value: number): void => {
            model.push(value);
            for (const c of cursors) c.ahead.push(value);
          };
          if (op === 'push') {
            const fresh = new ListNode(nodes.length);
            nodes.push(fresh);
            list.push(fresh);
            append(fresh.value);
          } else if (op === 'cursor') {
            cursors.push({ cursor: list.cursor(), ahead: [...model] });
          } else if (op === 'next' && walk !== undefined) {
            expect(walk.cursor.next()).toBe(walk.ahead.shift());
          } else if (op === 'close' && walk !== undefined) {
            walk.cursor.close();
            cursors.splice(cursors.indexOf(walk), 1);
          } else if (op === 'delete' && node !== undefined) {
            expect(list.delete(node)).toBe(model.includes(node.value));
            drop(node.value);
          } else if (op === 'tail' && node !== undefined && model.includes(node.value) && model.at(-1) !== node.value) {
            list.moveToTail(node);
            drop(node.value);
            append(node.value);
          }
          expect(list.toArray()).toEqual(model);
          expect([list.size, list.first, list.last]).toEqual([model.length, model[0], model.at(-1)]);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
