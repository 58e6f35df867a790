import type { System } from '../core/index.js';
import { type CommandInfo, type Context, type Program, visible } from './command.js';
import { OK } from './report.js';
import { PROGRAM_OPTIONS } from './options.js';

/** What the arguments of commands can be, by their names in the usage. */
const NAMES: Readonly<Record<string, (system: System) => string[]>> = {
  device: (system) => [...system.deviceTree().walk()].map(({ name }) => name),
  driver: (system) => system.deviceTree().buses.flatMap(({ drivers }) => drivers.map(({ name }) => name)),
  virq: (system) => system.kernel.irqs.list().map(({ virq }) => `${virq}`),
  plugin: (system) => system.tree().plugins.map(({ name }) => name),
};

/**
 * What the last word of a command line may become.
 * @param words what is written so far; the last one may be empty
 */
function candidates(words: readonly string[], commands: readonly CommandInfo[], system: System): string[] {
  const [name = '', ...rest] = words;
  const begun = words.at(-1) ?? '';
  const command = commands.find((one) => one.name === name);
  let all: string[];
  if (words.length <= 1) {
    all = commands.map((one) => one.name);
  } else if (begun.startsWith('-')) {
    all = (command?.options ?? []).map((option) => `--${option.name}`);
  } else {
    const place = rest.filter((word) => !word.startsWith('-')).length - 1;
    const what = command?.usage.split(' ')[place]?.replace(/\W/g, '') ?? '';
    all = NAMES[what]?.(system) ?? [];
  }
  return [...new Set(all)].filter((one) => one.startsWith(begun)).sort();
}

/** Completion within a shell: of commands, of their options, and of the names they take. */
export function complete({ args, target, system, out }: Context): void {
  const contributed = system.commands().map(({ name, summary }) => ({ name, summary, usage: '' }));
  const commands = [...target.commands.filter((one) => one.isHidden !== true), ...contributed];
  const words = candidates(args.positionals, commands, system);
  out.show(words, () => words);
}

/** Prints a completion script for bash: commands and options. */
export async function completion({ io, commands }: Program): Promise<number> {
  const options = PROGRAM_OPTIONS.map(({ name }) => `--${name}`).join(' ');
  const all = visible(commands);
  const cases = all
    .filter((command) => (command.options ?? []).length > 0)
    .map(({ name, options: own = [] }) => `    ${name}) words="${own.map((option) => `--${option.name}`).join(' ')} $words" ;;`);
  const lines = [
    '_backplane() {',
    '  local word=${COMP_WORDS[COMP_CWORD]} words="' + options + '"',
    '  case ${COMP_WORDS[1]} in',
    ...cases,
    '  esac',
    '  [[ $COMP_CWORD -gt 1 ]] || words="' + all.map(({ name }) => name).join(' ') + ' $words"',
    '  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")',
    '}',
    'complete -o default -F _backplane backplane',
  ];
  io.out(`${lines.join('\n')}\n`);
  return OK;
}
