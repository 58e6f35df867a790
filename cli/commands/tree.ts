import { type DeviceNode, Errno } from '../../core/index.js';
import type { Context } from '../command.js';
import { type Paint, columns } from '../out.js';

/** Shows the devices as a tree, all or from one on. */
export function tree({ system, args, out }: Context): void {
  const all = system.deviceTree();
  const [name] = args.positionals;
  const roots = name === undefined ? all.devices : [...all.walk()].filter((node) => node.name === name);
  if (name !== undefined && roots.length === 0) throw new Errno('ENODEV', `${name}: no such device`);
  out.show(roots, (paint) => (name === undefined ? ['/devices', ...branches(roots, '', paint)] : rooted(roots, paint)));
}

/** Lists the devices, parents first. */
export function devices({ system, out }: Context): void {
  const all = [...system.deviceTree().walk()].map(({ name, subsystem, driver, path }) => ({ name, subsystem, driver, path }));
  out.show(all, () =>
    columns([
      ['DEVICE', 'SUBSYSTEM', 'DRIVER', 'PATH'],
      ...all.map(({ name, subsystem, driver, path }) => [name, subsystem ?? '-', driver ?? '-', path]),
    ]),
  );
}

const rooted = (roots: readonly DeviceNode[], paint: Paint): string[] =>
  roots.flatMap((node) => [label(node, paint), ...branches(node.children, '', paint)]);

function branches(nodes: readonly DeviceNode[], indent: string, paint: Paint): string[] {
  return nodes.flatMap((node, i) => {
    const isLast = i === nodes.length - 1;
    const below = branches(node.children, `${indent}${isLast ? '    ' : '│   '}`, paint);
    return [`${indent}${isLast ? '└── ' : '├── '}${label(node, paint)}`, ...below];
  });
}

function label({ name, subsystem, driver }: DeviceNode, paint: Paint): string {
  const of = subsystem === undefined ? '' : `  ${paint('dim', subsystem)}`;
  return `${name}${of}${driver === undefined ? '' : `  -> ${paint('green', driver)}`}`;
}
