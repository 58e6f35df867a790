// Imports every export of the installed `backplane` that needs no optional peer, patterns included.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const manifest = createRequire(import.meta.url).resolve('backplane/package.json');
const root = dirname(manifest);
const { exports } = JSON.parse(readFileSync(manifest, 'utf8'));
const names = Object.entries(exports).flatMap(([name, target]) => {
  if (typeof target !== 'object') return [];
  if (!name.includes('*')) return [name];
  const files = readdirSync(join(root, dirname(target.default))).filter((file) => file.endsWith('.js'));
  return files.map((file) => name.replace('*', file.slice(0, -'.js'.length)));
});
for (const name of names) {
  const path = join('backplane', name);
  console.log(`${path}: ${Object.keys(await import(path)).length} names`);
}
