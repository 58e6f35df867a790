/** An option of a command: `--wq-size=16`, `--wq-size 16`, `-s 16`; a switch without `value`. */
export interface CliOption {
  readonly name: string;
  readonly short: string;
  /** The name of its value in the help. */
  readonly value?: string;
  readonly summary: string;
}

/** A command line, taken apart. */
export interface CliArgs {
  readonly words: readonly string[];
  /** By name; the value of a switch is empty. */
  readonly options: ReadonlyMap<string, string>;
}

/**
 * Takes a command line apart. A value may begin with a dash: `--group-id -1`.
 * @returns what is wrong with it, else its parts
 */
export function parseOptions(args: readonly string[], known: readonly CliOption[]): CliArgs | string {
  const words: string[] = [];
  const options = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (!arg.startsWith('-')) {
      words.push(arg);
      continue;
    }
    const [, long, inline, short] = /^(?:--([^=]+)(?:=(.*))?|-(.))$/s.exec(arg) ?? [];
    const option = known.find(({ name, short: letter }) => name === long || letter === short);
    if (option === undefined) return `unknown option ${arg}`;
    if (options.has(option.name)) return `--${option.name} is given twice`;
    if (option.value === undefined) {
      if (inline !== undefined) return `--${option.name} takes no value`;
      options.set(option.name, '');
      continue;
    }
    const value = inline ?? args[++i];
    if (value === undefined) return `--${option.name} needs a ${option.value}`;
    options.set(option.name, value);
  }
  return { words, options };
}
