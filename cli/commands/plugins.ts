import type { Context } from '../command.js';
import { columns } from '../out.js';

const ms = (us: number): string => `${(us / 1000).toFixed(3)} ms`;

/** Lists the plugins: in a table, or with what each requires and its drivers. */
export function plugins({ system, args, out }: Context): void {
  const { plugins: all } = system.tree();
  if (args.count('tree') === 0) {
    const rows = all.map(({ name, version, loadedAtUs, binds }) => [name, version, ms(loadedAtUs), binds.join(' ') || '-']);
    out.show(all, () => columns([['PLUGIN', 'VERSION', 'LOADED AT', 'BINDS'], ...rows]));
    return;
  }
  out.show(all, (paint) =>
    all.flatMap(({ name, version, loadedAtUs, requires, drivers }) => {
      const after = requires.length === 0 ? '' : `, after ${requires.join(', ')}`;
      const head = `${paint('bold', name)} ${version}  ${paint('dim', `at ${ms(loadedAtUs)}${after}`)}`;
      return [
        head,
        ...drivers.map((driver, i) => {
          const line = i === drivers.length - 1 ? '└── ' : '├── ';
          return `${line}${driver.bus} driver ${driver.name}: ${driver.devices.join(', ') || 'no device'}`;
        }),
      ];
    }),
  );
}

/** Loads plugins, one after the other, until one fails. */
export async function load({ target, args, out, cwd }: Context): Promise<void> {
  for (const wanted of args.positionals) {
    const name = await target.load(wanted, cwd);
    out.show({ plugin: name, loaded: true }, () => [`plugin ${name}: loaded`]);
  }
}

/** Unbinds the devices of a plugin and unloads it. */
export async function unload({ system, args, out }: Context): Promise<void> {
  const [name = ''] = args.positionals;
  await system.unload(name);
  out.show({ plugin: name, loaded: false }, () => [`plugin ${name}: unloaded`]);
}

/** Unloads a plugin and loads it again, from memory or from its file. */
export async function reload({ target, system, args, out }: Context): Promise<void> {
  const [name = ''] = args.positionals;
  const isFresh = args.count('fresh') > 0;
  if (isFresh) await target.reloadFresh(name);
  else await system.reload(name);
  const how = isFresh ? 'reloaded from its file; the old module stays in memory' : 'reloaded';
  out.show({ plugin: name, loaded: true, fresh: isFresh }, () => [`plugin ${name}: ${how}`]);
}
