import { UsageError } from './usage-error.js';

const WORD_PART = /\s+|#.*|'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|[^\s'"\\#]+|#|./gsy;

/**
 * Divides a line into words as a shell does: quotes, backslashes, and `#` at the start of a word for a comment.
 * @throws {UsageError} for a quote that is not closed
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const [part, single, double, escaped] of line.matchAll(WORD_PART)) {
    if (/^\s/.test(part)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (part.startsWith('#') && word === undefined) {
      break;
    } else if (single !== undefined || escaped !== undefined) {
      word = (word ?? '') + (single ?? escaped);
    } else if (double !== undefined) {
      word = (word ?? '') + double.replace(/\\(.)/gs, '$1');
    } else if (part === "'" || part === '"') {
      throw new UsageError(`a ${part} is not closed`);
    } else {
      word = (word ?? '') + part;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
