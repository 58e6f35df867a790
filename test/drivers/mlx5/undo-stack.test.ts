import { expect, test } from 'vitest';
import { UndoStack } from '../../../drivers/mlx5/undo-stack.js';

test('everything is ended, last first, also when some of it fails; the first failure is told', async () => {
  const order: string[] = [];
  const stack = new UndoStack();
  const end = (name: string, fails: boolean): void => {
    order.push(name);
    if (fails) throw new Error(name);
  };
  stack.push({ [Symbol.dispose]: () => end('a', true) });
  stack.push({ [Symbol.asyncDispose]: async () => end('b', true) });
  stack.push({ [Symbol.dispose]: () => end('c', false) });
  await expect(stack.unwind()).rejects.toThrow('b');
  expect(order).toEqual(['c', 'b', 'a']);
  await stack.unwind();
  expect(order.length).toBe(3);
});
