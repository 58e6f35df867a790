import { describe, expect, test } from 'vitest';
import { splitWords } from '../../cli/words.js';

describe('splitWords', () => {
  test.each([
    ['', []],
    ['  bind  a\tb ', ['bind', 'a', 'b']],
    ['# a comment', []],
    ['tree # of devices', ['tree']],
    ['a#b', ['a#b']],
    [`'a b' "c \\" d" e\\ f`, ['a b', 'c " d', 'e f']],
    [`attr x ''`, ['attr', 'x', '']],
    [`a'b'"c"d`, ['abcd']],
  ])('divides %j', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });
  test.each(["'", '"'])('refuses a %s that is not closed', (quote) => {
    expect(() => splitWords(`a ${quote}b`)).toThrow(`a ${quote} is not closed`);
  });
});
