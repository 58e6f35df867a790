import { Errno } from '../lib/errno.js';
import type { Plugin } from './plugin.js';
import { VERSION, inRange } from './version.js';

/**
 * The order to load plugins in: what is required first, else as given.
 *
 * A requirement given as a plugin is loaded along when nothing of its name is there.
 * @param loaded what is there already, by name: a Map, or what looks into one
 * @throws {Errno} EEXIST for a name twice; ENOENT for a requirement that is missing; EINVAL for a version that does not fit;
 *   ELOOP for plugins that require each other
 */
export function orderOf(plugins: readonly Plugin[], loaded: { get(name: string): Plugin | undefined }): Plugin[] {
  const wanted = new Map<string, Plugin>();
  for (const plugin of plugins) {
    if (loaded.get(plugin.name) !== undefined || wanted.has(plugin.name)) {
      throw new Errno('EEXIST', `plugin ${plugin.name}: is loaded already`);
    }
    wanted.set(plugin.name, plugin);
  }
  const order: Plugin[] = [];
  const path: Plugin[] = [];
  const visit = (plugin: Plugin): void => {
    if (order.includes(plugin)) return;
    const from = path.indexOf(plugin);
    if (from >= 0) {
      const loop = [...path.slice(from), plugin].map((p) => p.name).join(' -> ');
      throw new Errno('ELOOP', `plugin ${plugin.name}: requires itself: ${loop}`);
    }
    path.push(plugin);
    checkBackplane(plugin);
    for (const { name, range, plugin: given } of plugin.requirements) {
      const found = loaded.get(name) ?? wanted.get(name) ?? given;
      const trail = path.map((p) => p.name).join(' -> ');
      if (found === undefined) throw new Errno('ENOENT', `plugin ${trail} -> ${name}: is missing: load plugin ${name} with it`);
      if (range !== undefined && !inRange(found.version, range, `plugin ${name}`)) {
        const text = `is version ${found.version}, and ${range} is required: load another version`;
        throw new Errno('EINVAL', `plugin ${trail} -> ${name}: ${text}`);
      }
      if (loaded.get(name) === undefined) {
        wanted.set(name, found);
        visit(found);
      }
    }
    path.pop();
    order.push(plugin);
  };
  for (const plugin of plugins) visit(plugin);
  return order;
}

function checkBackplane({ name, backplane }: Plugin): void {
  if (backplane === undefined || inRange(VERSION, backplane, `plugin ${name}`)) return;
  throw new Errno(
    'EINVAL',
    `plugin ${name}: works with Backplane ${backplane}, and this is ${VERSION}: load another version of it`,
  );
}
