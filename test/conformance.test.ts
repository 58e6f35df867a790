import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';

const read = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), 'utf8');

interface Row {
  readonly id: string;
  readonly claim: string;
  readonly where: string;
}

/** The pages, with how many scenarios each has at least, and how many of them may be held by no test. */
const PAGES = [
  { page: 'conformance.md', least: 250, excused: 30 },
  { page: 'conformance-msi.md', least: 110, excused: 15 },
  { page: 'conformance-dsa.md', least: 66, excused: 1 },
  { page: 'conformance-iommu.md', least: 25, excused: 1 },
  { page: 'conformance-nic.md', least: 60, excused: 2 },
];

const rowsOf = async (page: string): Promise<Row[]> =>
  [...(await read(page)).matchAll(/^\| ([A-Z]+-\d+|[A-Z]?\d+) \| (.+) \| (.+) \|$/gm)].map(([, id, claim, where]) => ({
    id: id!,
    claim: claim!,
    where: where!,
  }));
const pages = await Promise.all(PAGES.map(async (one) => ({ ...one, rows: await rowsOf(one.page) })));
const isHeld = ({ where }: Row): boolean => where.startsWith('`');

/** Numbers that a title begins with: `M61 M62 ...`, `82 and 83 ...`, `K2 G-109 ...`. */
const TITLE_IDS = /\(\s*['"`]((?:(?:[A-Z]-?)?\d+(?:\.\d+)*,? (?:and )?)+)/g;

/** Whether a test file speaks of a scenario: by its number, in a list, or in a range; of one without family where a title begins with it. */
function speaksOf(text: string, id: string): boolean {
  if (!id.includes('-')) {
    return [...text.matchAll(TITLE_IDS)].some(([, ids]) => ids!.split(/[ ,]+/).some((one) => one.replace(/^[FG]-/, '') === id));
  }
  const [family, number] = id.split('-') as [string, string];
  for (const [, first, last, more] of text.matchAll(
    new RegExp(`\\b${family}-(\\d+)(?: to (?:${family}-)?(\\d+))?((?:, \\d\\d)*)`, 'g'),
  )) {
    const n = Number(number);
    if (Number(first) === n || (last !== undefined && Number(first) <= n && n <= Number(last))) return true;
    if ((more ?? '').split(', ').some((part) => part !== '' && Number(part) === n)) return true;
  }
  return false;
}

describe.each(pages)('$page', ({ rows, least, excused }) => {
  test('has one row for each scenario', () => {
    expect(rows.length).toBeGreaterThanOrEqual(least);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  });

  test.each(rows.filter(isHeld))('$id is held by $where', async ({ id, where }) => {
    for (const file of where.split(', ')) expect(speaksOf(await read(file.replaceAll('`', '')), id)).toBe(true);
  });

  test('says why of all others', () => {
    const others = rows.filter((row) => !isHeld(row));
    for (const { where } of others) expect(where).toMatch(/^does not apply: .{10,}/);
    expect(others.length).toBeLessThan(excused);
  });
});
