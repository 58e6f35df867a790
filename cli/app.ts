import { type Args, divide, findCommand, parse } from './args.js';
import { type CommandInfo, type Program, commandHelp, optionHelp, table, visible } from './command.js';
import { INTERRUPTED, OK, USAGE, report } from './report.js';
import { PROGRAM_OPTIONS } from './options.js';
import { COMMANDS } from './table.js';
import { UsageError } from './usage-error.js';

/** The world that a run of the program sees. */
export interface World extends Omit<Program, 'flags' | 'io' | 'commands'> {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether what is written is read by a person. */
  readonly isTerminal: boolean;
  readonly version: string;
}

/** Runs one command line of the program. @returns the exit code */
export async function run(argv: readonly string[], world: World): Promise<number> {
  const { out, err, cwd, signal, version } = world;
  let io = { out, err, json: false, colour: world.isTerminal };
  let name = '';
  try {
    const at = findCommand(argv, PROGRAM_OPTIONS);
    name = argv[at] ?? '';
    const command = [...COMMANDS.system, ...COMMANDS.program].find((one) => one.name === name);
    const [flags, rest] = ownFlags(argv, at, command);
    io = { ...io, json: flags.count('json') > 0, colour: io.colour && flags.count('no-color') === 0 };
    if (flags.count('version') > 0) {
      out(`${version}\n`);
      return OK;
    }
    if (flags.count('help') > 0 || name === 'help') {
      out(helpFor(name === 'help' ? (rest[0] ?? '') : name));
      return OK;
    }
    if (at >= 0) return await runCommand(name, rest, { flags, io, cwd, signal, commands: COMMANDS });
    err(programHelp());
    return USAGE;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    const code = report(error, io, name);
    if (code === USAGE) err(`Try 'backplane ${name === '' ? '' : `${name} `}--help'.\n`);
    return code;
  }
}

/** Options of the program, and what is left after the command's name; a contributed command gets all that stands behind its name. */
function ownFlags(argv: readonly string[], at: number, command: CommandInfo | undefined): [Args, string[]] {
  if (at < 0) return divide(argv, PROGRAM_OPTIONS);
  if (command === undefined) return [divide(argv.slice(0, at), PROGRAM_OPTIONS)[0], argv.slice(at + 1)];
  const before = argv.slice(0, at);
  const behind = argv.slice(at + 1);
  const end = behind.indexOf('--');
  const options = command.options ?? [];
  const [flags, rest] = divide([...before, ...(end < 0 ? behind : behind.slice(0, end))], PROGRAM_OPTIONS, options);
  return [flags, end < 0 ? rest : [...rest, ...behind.slice(end)]];
}

async function runCommand(name: string, rest: readonly string[], program: Program): Promise<number> {
  const here = COMMANDS.program.find((one) => one.name === name);
  if (here !== undefined) return here.run(program, parse(rest, here));
  const known = COMMANDS.system.find((one) => one.name === name);
  // What is wrong in itself is told before a system is started for it.
  if (known !== undefined) parse(rest, known);
  const { openTarget } = await import('./open-target.js');
  const target = await openTarget(program);
  const code = await target.run([name, ...rest], program);
  const left = await target.close(program.io);
  return program.signal.aborted ? INTERRUPTED : left || code;
}

function helpFor(name: string): string {
  if (name === '') return programHelp();
  const command = visible(COMMANDS).find((one) => one.name === name);
  if (command === undefined)
    throw new UsageError(
      `no help for '${name}': a command of a plugin tells about itself, with its plugin loaded: ${name} --help`,
    );
  return commandHelp(command);
}

function programHelp(): string {
  return [
    'usage: backplane [option...] <command> [argument...]\n\n',
    "Runs a command on a fresh system, or on the one that 'backplane up' keeps.\n",
    'Without a configuration, that is a simulated machine with one edu device and its driver.\n\n',
    table(visible(COMMANDS).map(({ name, usage, summary }) => [`${name} ${usage}`.trim(), summary])),
    '\nPlugins may add commands.\n\n',
    optionHelp(PROGRAM_OPTIONS),
  ].join('');
}
