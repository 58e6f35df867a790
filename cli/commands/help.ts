import { Errno } from '../../core/index.js';
import { type CommandInfo, type Context, commandHelp, table } from '../command.js';

/** Lists the commands of a running system, those of its plugins too, or tells about one. */
export function help({ target, system, args, out }: Context): void {
  const contributed: CommandInfo[] = system.commands().map(({ name, summary, usage }) => ({ name, summary, usage }));
  const all = [...target.commands.filter((one) => one.isHidden !== true), ...contributed];
  const [wanted] = args.positionals;
  const found = wanted === undefined ? all : all.filter(({ name }) => name === wanted);
  if (found.length === 0) throw new Errno('ENOENT', `${wanted}: no such command`);
  out.show(
    found.map(({ name, usage, summary }) => ({ name, usage, summary })),
    () => {
      const rows = all.map(({ name, usage, summary }): [string, string] => [`${name} ${usage}`.trim(), summary]);
      return (wanted === undefined ? table(rows) : commandHelp(found[0]!)).trimEnd().split('\n');
    },
  );
}
