import { program } from '../gauge.js';
import type { Row } from '../row.js';

const importing = (...modules: string[]): string[] => [
  '--input-type=module',
  '--eval',
  modules.map((module) => `import ${JSON.stringify(module)};`).join('\n'),
];

export const row: Row = {
  name: 'a program that imports the library',
  unit: 'ms',
  yardstick: program(
    'import of inversify',
    ...importing(import.meta.resolve('reflect-metadata'), import.meta.resolve('inversify')),
  ),
  target: 1.2,
  run: (effort) => program('backplane', ...importing(import.meta.resolve('backplane'))).prepare(effort),
};
