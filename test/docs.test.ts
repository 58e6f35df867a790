import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Pages whose code must be somebody's who runs it. */
const PAGES = ['README.md', 'drivers/README.md', 'drivers/timer/README.md', 'drivers/idxd/README.md'];

interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** The file it says it is from: `<!-- from samples/edu.ts -->` on the line before it. */
  readonly source: string | undefined;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split('\n');
  const all: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const open = /^```(\w*)$/.exec(lines[i]!);
    if (open === null) continue;
    const end = lines.indexOf('```', i + 1);
    const source = /^<!-- from (\S+) -->$/.exec(lines[i - 1] ?? '')?.[1];
    all.push({ page, line: i + 1, language: open[1]!, text: lines.slice(i + 1, end).join('\n'), source });
    i = end;
  }
  return all;
}

/** Without the indentation that all lines share. */
const dedent = (text: string): string => {
  const lines = text.split('\n');
  const depths = lines.filter((l) => l.trim() !== '').map((l) => l.length - l.trimStart().length);
  const least = Math.min(...depths);
  return lines.map((l) => l.slice(least)).join('\n');
};

const blocks = (await Promise.all(PAGES.map(async (p) => blocksOf(p, await readFile(here(`../${p}`), 'utf8'))))).flat();

describe('code in pages', () => {
  test('is found', () => {
    expect(blocks.filter((b) => b.language === 'ts').length).toBeGreaterThan(3);
    expect(blocksOf('x', 'a\n<!-- from b.ts -->\n```ts\nc\n```\n')).toEqual([
      { page: 'x', line: 3, language: 'ts', text: 'c', source: 'b.ts' },
    ]);
  });

  test.each(blocks.filter((b) => b.language === 'ts').map((b) => [`${b.page}:${b.line}`, b] as const))(
    '%s says where it is from',
    (_where, block) => {
      expect(block.source).toBeDefined();
    },
  );

  test.each(blocks.filter((b) => b.source !== undefined).map((b) => [`${b.page}:${b.line} from ${b.source}`, b] as const))(
    '%s is there word for word',
    async (_where, block) => {
      const file = await readFile(here(`../${block.source}`), 'utf8');
      const flat = (text: string): string => text.replace(/^ +/gm, '');
      expect(flat(file)).toContain(flat(dedent(block.text).trimEnd()));
    },
  );
});
