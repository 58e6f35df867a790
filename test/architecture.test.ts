import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { check, roomOf } from './architecture/check.js';
import { ROOMS } from './architecture/table.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const tops = [...new Set(ROOMS.map(({ path }) => path.split('/')[0] ?? ''))];

/** The sources and READMEs under the top-level folders of the table. */
function readTree(): Map<string, string> {
  const files = new Map<string, string>();
  const read = (folder: string): void => {
    for (const entry of readdirSync(root + folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules' && entry.name !== 'dist') read(path);
      } else if (/\.ts$|^README\.md$/.test(entry.name)) files.set(path, readFileSync(root + path, 'utf8'));
    }
  };
  for (const top of tops) read(top);
  return files;
}

describe('the source', () => {
  const files = readTree();

  test('is found at all, in each top-level folder', () => {
    const found = new Set([...files.keys()].filter((path) => path.endsWith('.ts')).map((path) => path.split('/')[0] ?? ''));
    expect([...found].toSorted()).toEqual(tops.toSorted());
  });

  test('keeps to the table of rooms', () => {
    expect(check(files)).toEqual([]);
  });

  test('has a room behind every row of the table', () => {
    const lived = new Set([...files.keys()].map((path) => roomOf(path)?.room.path));
    expect(
      ROOMS.filter((r) => r.later !== true)
        .map(({ path }) => path)
        .filter((path) => !lived.has(path)),
    ).toEqual([]);
  });
});

/** What the check says of one file in a room with a fit README. */
function say(path: string, text: string, others: Record<string, string> = {}): string[] {
  const readme = '\n'.repeat(30);
  const files = new Map(Object.entries({ [path]: text, ...others }));
  for (const file of [path, ...Object.keys(others)]) files.set(`${roomOf(file)?.own ?? ''}/README.md`, readme);
  return check(files);
}

describe('the check', () => {
  test.each([
    ['core/lib/a.ts', "import '../hal/reg.js';", 'core/hal/reg.ts'],
    ['core/hal/a.ts', "import type { Device } from '../device/device.js';", 'core/device/device.ts'],
    ['core/device/a.ts', "import { Host } from '../hal/host.js';", 'core/hal/host.ts'],
    ['core/irq/a.ts', "export * from '../msi/index.js';", 'core/msi/index.ts'],
    ['core/pci/a.ts', "export { probe } from '../auxiliary/bus.js';", 'core/auxiliary/bus.ts'],
    ['core/msi/a.ts', "import { injectable } from 'inversify';", 'inversify'],
    ['core/testing/a.ts', "const plugin = await import('../plugin/index.js');", 'core/plugin/index.ts'],
    ['core/kernel.ts', "import './testing/index.js';", 'core/testing/index.ts'],
    ['core/index.ts', "export type { Harness } from './testing/index.js';", 'core/testing/index.ts'],
    ['core/pci/a.ts', "import { readFileSync } from 'node:fs';", 'node:fs'],
    ['hw/models/a.ts', "type T = import('../../core/device/device.js').Device;", 'core/device/device.ts'],
    ['hw/models/a.ts', "import '../sim/index.js';", 'hw/sim/index.ts'],
    ['hw/sim/a.ts', "import '../models/timer.js';", 'hw/models/timer.ts'],
    ['drivers/timer/driver.ts', "import { TimerModel } from '../../hw/models/timer.js';", 'hw/models/timer.ts'],
    ['drivers/timer/driver.ts', "import { Device } from '../../core/device/device.js';", 'core/device/device.ts'],
    ['drivers/timer/driver.ts', "import { Nic } from '../nic/driver.js';", 'drivers/nic/driver.ts'],
    ['drivers/nic/api.ts', "import { Nic } from './driver.js';", 'drivers/nic/driver.ts'],
    ['drivers/lib/pool.ts', "import '../nic/api.js';", 'drivers/nic/api.ts'],
    ['samples/a.ts', "import '../core/index.js';", 'core/index.ts'],
    ['cli/a.ts', "import '../drivers/timer/driver.js';", 'drivers/timer/driver.ts'],
  ])('of %s with %s names the import of %s and the rule', (path, text, target) => {
    const room = roomOf(path)?.room;
    expect(say(path, text)).toEqual([expect.stringContaining(`${path}: imports ${target}: ${room?.path} may import itself`)]);
  });

  test('lets pass what the table allows', () => {
    expect(say('drivers/timer/driver.ts', "import { Errno } from '../../core/index.js'; import { X } from './x.js';")).toEqual(
      [],
    );
    expect(say('drivers/nic-rdma/driver.ts', "import { NicDevice } from '../nic/api.js';")).toEqual([]);
    expect(
      say('samples/a.ts', "import { Errno } from 'backplane'; import { Sim } from 'backplane/sim'; import 'node:fs';"),
    ).toEqual([]);
    expect(say('core/device/a.ts', "import type { Clock } from '../hal/clock.js';")).toEqual([]);
  });

  test('finds a file that belongs to no room', () => {
    expect(check(new Map([['core/misc/a.ts', '']]))).toEqual([expect.stringContaining('belongs to no room')]);
  });

  test('finds process, time and chance where they must not be, and no member of the same name', () => {
    expect(say('core/irq/a.ts', 'const pid = process.pid;')).toEqual([expect.stringContaining('uses process')]);
    expect(say('hw/sim/a.ts', 'export const f = (at = new Date()) => setTimeout(at);')).toEqual([
      expect.stringContaining('uses Date'),
      expect.stringContaining('uses setTimeout'),
    ]);
    expect(say('core/lib/a.ts', 'Math.random();')).toEqual([expect.stringContaining('uses Math.random')]);
    expect(say('core/irq/a.ts', "// Date\nexport const a = { process: 'Date' }.process; class B { Date(): void {} }")).toEqual(
      [],
    );
    expect(say('cli/a.ts', 'setTimeout(process.exit, Date.now());')).toEqual([]);
  });

  test('finds state at the top level of a model, and no table', () => {
    expect(say('hw/models/a.ts', 'let n = 0; export const seen = new Map(); const all = [];')).toEqual(
      ['n', 'seen', 'all'].map((name) => expect.stringContaining(`keeps state in ${name}`) as string),
    );
    expect(
      say('hw/models/a.ts', 'const SIZES = [1, 2]; export const NAMES = new Map([[1, "a"]]); const f = () => { let n = 0; };'),
    ).toEqual([]);
  });

  test('finds a second file of the kit that needs an optional peer', () => {
    const one = "import { test } from 'vitest';";
    expect(say('core/testing/a.ts', one)).toEqual([]);
    expect(say('core/testing/a.ts', one, { 'core/testing/b.ts': one })).toEqual([
      expect.stringContaining('import vitest: only one'),
    ]);
  });

  test('finds a cycle of values, and none of types', () => {
    const back = { 'core/irq/b.ts': "import { A } from './a.js';" };
    expect(say('core/irq/a.ts', "import { B } from './b.js';", back)).toEqual([
      'core/irq/a.ts -> core/irq/b.ts -> core/irq/a.ts: a cycle of imports',
    ]);
    expect(say('core/irq/a.ts', "import type { B } from './b.js';", back)).toEqual([]);
  });

  test('finds a long file, a name that is not kebab-case and a missing README', () => {
    expect(say('core/irq/a.ts', '\n'.repeat(401))).toEqual([expect.stringContaining('has 401 lines')]);
    expect(say('core/irq/irqDomain.ts', '')).toEqual([expect.stringContaining('is not kebab-case')]);
    expect(check(new Map([['drivers/nic/a.ts', '']]))).toEqual(['drivers/nic: has no README.md']);
    expect(
      check(
        new Map([
          ['drivers/nic/a.ts', ''],
          ['drivers/nic/README.md', 'x\n'],
        ]),
      ),
    ).toEqual([expect.stringContaining('has 1 lines: must be 30 to 80')]);
  });
});
