import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * Tests that start other programs: ours from `dist`, or a QEMU. They run in processes of their own, since a child may be
 * bound to the life of the thread that started it. All others run from source, in threads, and need no build.
 */
const PROGRAMS = ['test/{cli,samples,bench,hw/remote}/**/*.test.ts', 'test/**/*{qemu,qtest}*.test.ts'];

export default defineConfig({
  resolve: {
    // The samples import the package by its name, as a user would; the tests run them from source.
    alias: [
      { find: /^backplane$/, replacement: here('core/index.ts') },
      { find: /^backplane\/testing$/, replacement: here('core/testing/index.ts') },
      { find: /^backplane\/testing\/vitest$/, replacement: here('core/testing/vitest.ts') },
      { find: /^backplane\/sim$/, replacement: here('hw/sim/index.ts') },
      { find: /^backplane\/regs\/(.*)$/, replacement: here('hw/regs') + '/$1.ts' },
      { find: /^backplane\/vectors$/, replacement: here('drivers/lib/vectors/index.ts') },
      { find: /^backplane\/plugins\/(.*)$/, replacement: here('plugins') + '/$1.ts' },
    ],
  },
  test: {
    maxWorkers: '100%',
    // No test waits for the clock on the wall: this only ends one that hangs, however busy the machine is.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    setupFiles: [here('test/seed.ts')],
    projects: [
      { extends: true, test: { name: 'source', include: ['test/**/*.test.ts'], exclude: PROGRAMS, pool: 'threads' } },
      { extends: true, test: { name: 'programs', include: PROGRAMS, globalSetup: ['test/build.ts'], pool: 'forks' } },
    ],
    coverage: {
      include: ['core/**/*.ts', 'hw/**/*.ts', 'drivers/**/*.ts', 'plugins/**/*.ts', 'cli/**/*.ts'],
      reporter: ['text-summary', 'html'],
    },
  },
});
