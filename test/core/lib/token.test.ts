import { expect, test } from 'vitest';
import { token } from '../../../core/lib/token.js';

test('a token shows its name and equals only itself', () => {
  const a = token<string>('Ims');
  expect([String(a), a === token<string>('Ims')]).toEqual(['Symbol(Ims)', false]);
});
