import { type Caller, type Command, type Output, type System, injectable } from '../../../core/index.js';
import { type Action, usageError } from './action.js';
import { CONFIGURE } from './configure.js';
import { ENABLE } from './enable.js';
import { parseOptions } from './options.js';

const ACTIONS: readonly Action[] = [...CONFIGURE, ...ENABLE];

/** `backplane idxd`: what accel-config does, with its words, options and files. */
@injectable()
export class IdxdCommand implements Command {
  readonly name = 'idxd';
  readonly summary = 'configure, enable and list accelerators, as accel-config does';
  readonly usage = '<list|load-config|save-config|config-...|enable-...|disable-...> [option...] [name...]';

  async run(system: System, args: readonly string[], out: Output, caller: Caller): Promise<number> {
    const [word, ...rest] = args.filter((arg) => arg !== '--json');
    if (word === '--help' || word === '-h') {
      out.write(help());
      return 0;
    }
    const action = ACTIONS.find(({ name }) => name === word);
    if (action === undefined) throw usageError(word === undefined ? 'a command is missing' : `no command ${word}`);
    if (rest.includes('--help') || rest.includes('-h')) {
      out.write(actionHelp(action));
      return 0;
    }
    const parsed = parseOptions(rest, action.options);
    if (typeof parsed === 'string') throw usageError(`${action.name}: ${parsed}`);
    const show = (value: unknown, lines: readonly string[]): void => {
      const text = caller.json ? [JSON.stringify(value)] : lines;
      for (const line of text) out.write(`${line}\n`);
    };
    await action.run({ system, caller, show, ...parsed });
    return 0;
  }
}

const lineOf = ({ name, usage, options }: Action): string =>
  [name, ...(options.length > 0 ? ['[option...]'] : []), ...(usage === '' ? [] : [usage])].join(' ');

function help(): string {
  const lines = columns(ACTIONS.map((action) => [lineOf(action), action.summary]));
  return (
    `usage: backplane idxd <command> [option...] [name...]\n\n${lines}\n` +
    "A name of 'all' is all of them. The options of a command: backplane idxd <command> --help\n"
  );
}

function actionHelp(action: Action): string {
  const rows = action.options.map(({ name, short, value, summary }): [string, string] => {
    return [`-${short}, --${name}${value === undefined ? '' : ` ${value}`}`, summary];
  });
  const { summary } = action;
  return `usage: backplane idxd ${lineOf(action)}\n\n${summary.charAt(0).toUpperCase()}${summary.slice(1)}.\n${rows.length > 0 ? `\n${columns(rows)}` : ''}`;
}

function columns(rows: readonly (readonly [left: string, right: string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}
