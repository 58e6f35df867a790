import { type Import, type Source, readSource } from './source.js';
import { GLOBALS, MAX_LINES, NO_README, ONE_FILE_EACH, README_LINES, ROOMS, type Room, STATELESS } from './table.js';

/** Text by path from the root: the sources, and the READMEs of the rooms. */
export type Files = ReadonlyMap<string, string>;

/** All that breaks the table, one line each: the file, what it does, the rule and its reason. */
export function check(files: Files): string[] {
  const sources = [...files].filter(([path]) => path.endsWith('.ts')).map(([path, text]) => readSource(path, text));
  return [...sources.flatMap(checkSource), ...checkOneFileEach(sources), ...checkReadmes(files, sources), ...findCycles(sources)];
}

/** The room of a file, and the folder or file that this room is for it. */
export function roomOf(path: string): { room: Room; own: string } | undefined {
  const room = ROOMS.find((one) => within(path, one.path));
  if (room === undefined) return undefined;
  return { room, own: path.split('/').slice(0, room.path.split('/').length).join('/') };
}

/** Whether `path` is the folder or file `pattern`, or in it. */
function within(path: string, pattern: string): boolean {
  const names = path.split('/');
  const parts = pattern.split('/');
  if (parts.at(-1) === '*' && names.length === parts.length) return false;
  return parts.length <= names.length && parts.every((part, i) => part === '*' || part === names[i]);
}

function checkSource(source: Source): string[] {
  const { path } = source;
  const place = roomOf(path);
  if (place === undefined) return [`${path}: belongs to no room of test/architecture/table.ts`];
  const { room, own } = place;
  const found = source.imports
    .filter((one) => !mayImport(room, own, one))
    .map((one) => `${path}: imports ${one.target}: ${room.path} may import ${allowed(room)}: ${room.why}`);
  for (const { names, only, why } of GLOBALS) {
    for (const name of names) {
      if (!source.names.has(name) || only.some((one) => within(path, one))) continue;
      found.push(`${path}: uses ${name}: only ${only.join(', ') || 'nobody'} may: ${why}`);
    }
  }
  if (within(path, STATELESS.room)) {
    for (const name of source.state) found.push(`${path}: keeps state in ${name} at the top level: ${STATELESS.why}`);
  }
  if (source.lines > MAX_LINES) found.push(`${path}: has ${source.lines} lines: at most ${MAX_LINES}`);
  if (!/^([a-z0-9]+-)*[a-z0-9]+(\.test|\.test-d)?\.ts$/.test(path.split('/').at(-1) ?? ''))
    found.push(`${path}: is not kebab-case`);
  return found;
}

function mayImport(room: Room, own: string, { target, relative }: Import): boolean {
  if (relative) return within(target, own) || room.may.some((one) => within(target, one));
  if (target.startsWith('node:')) {
    const name = target.slice('node:'.length).split('/')[0] ?? '';
    return room.builtins === 'any' || (room.builtins ?? []).includes(name);
  }
  return (room.packages ?? []).some((one) => target === one || target.startsWith(`${one}/`));
}

function allowed({ may, packages = [], builtins = [] }: Room): string {
  const node = builtins === 'any' ? ['node:*'] : builtins.map((one) => `node:${one}`);
  return ['itself', ...may, ...packages, ...node].join(', ');
}

function checkOneFileEach(sources: readonly Source[]): string[] {
  const { room, packages, why } = ONE_FILE_EACH;
  return packages.flatMap((name) => {
    const users = sources.filter(({ path, imports }) => within(path, room) && imports.some(({ target }) => target === name));
    return users.length < 2
      ? []
      : [`${users.map(({ path }) => path).join(', ')}: import ${name}: only one file of ${room} may: ${why}`];
  });
}

function checkReadmes(files: Files, sources: readonly Source[]): string[] {
  const folders = new Set(sources.map(({ path }) => roomOf(path)?.own ?? '').filter((own) => own !== '' && !own.endsWith('.ts')));
  return [...folders]
    .filter((folder) => !NO_README.includes(folder))
    .flatMap((folder) => {
      const text = files.get(`${folder}/README.md`);
      if (text === undefined) return [`${folder}: has no README.md`];
      const lines = text.split('\n').length - 1;
      const { min, max } = README_LINES;
      return lines >= min && lines <= max ? [] : [`${folder}/README.md: has ${lines} lines: must be ${min} to ${max}`];
    });
}

/** Cycles of files that load each other; `import type` loads nothing. */
function findCycles(sources: readonly Source[]): string[] {
  const edges = new Map(
    sources.map(({ path, imports }) => [path, imports.filter((one) => one.relative && one.value).map((one) => one.target)]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const walk = (path: string): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push(`${[...trail.slice(start), path].join(' -> ')}: a cycle of imports`);
    if (start >= 0 || done.has(path)) return;
    trail.push(path);
    for (const next of edges.get(path) ?? []) walk(next);
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) walk(path);
  return found;
}
