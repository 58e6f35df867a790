import { parseArgs } from 'node:util';
import { UsageError } from './usage-error.js';

/** CPUs that the simulated machine can have. */
export const MAX_CPUS = 1024;

/** One option of a command, or of the program. */
export interface Option {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Name of its value in the help; absent for a switch. */
  readonly value?: string;
  /** Whether it may be given more than once: `-vv`, `--device a --device b`. */
  readonly multiple?: boolean;
  readonly summary: string;
}

/** What may be written after the name of a command. */
export interface Syntax {
  /** Its arguments: `<device> [driver]`; `...` after the last one when there may be more. */
  readonly usage: string;
  readonly options?: readonly Option[];
}

/** A command line, taken apart. */
export interface Args {
  readonly positionals: readonly string[];
  /** How often a switch was given. */
  count(option: string): number;
  /** The value of an option, the last one when there are several. */
  value(option: string): string | undefined;
  values(option: string): readonly string[];
}

type Values = Readonly<Record<string, (string | boolean)[] | undefined>>;

class ParsedArgs implements Args {
  readonly #values: Values;

  constructor(
    readonly positionals: readonly string[],
    values: Values,
  ) {
    this.#values = values;
  }

  count(option: string): number {
    return this.#values[option]?.length ?? 0;
  }

  value(option: string): string | undefined {
    return this.values(option).at(-1);
  }

  values(option: string): readonly string[] {
    return (this.#values[option] ?? []).map(String);
  }
}

/** The parts of a command line, as Node's parser sees them; what they mean is checked by us, for messages of one kind. */
function tokensOf(argv: readonly string[], options: readonly Option[]) {
  const config = Object.fromEntries(
    options.map(({ name, short, value }) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short !== undefined && { short }) },
    ]),
  );
  return parseArgs({ args: [...argv], options: config, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/**
 * Finds the word that names the command, past options of the program.
 * @returns its index in `argv`; -1 when there is none
 * @throws {UsageError} for an option before it that the program does not have
 */
export function findCommand(argv: readonly string[], options: readonly Option[]): number {
  for (const token of tokensOf(argv, options)) {
    if (token.kind === 'positional') return token.index;
    if (token.kind === 'option' && !options.some((o) => o.name === token.name)) {
      throw new UsageError(`unknown option ${token.rawName}`);
    }
  }
  return -1;
}

/**
 * Divides a command line into the options that are the program's, and all the rest as it is.
 * @param others options that are not the program's, of which those with values need to be known
 */
export function divide(argv: readonly string[], own: readonly Option[], others: readonly Option[] = []): [Args, string[]] {
  const taken = new Set<number>();
  for (const token of tokensOf(argv, [...own, ...others])) {
    if (token.kind === 'option-terminator') break;
    if (token.kind !== 'option' || !own.some((o) => o.name === token.name)) continue;
    taken.add(token.index);
    if (token.value !== undefined && !token.inlineValue) taken.add(token.index + 1);
  }
  const mine = argv.filter((_, i) => taken.has(i));
  return [parse(mine, { usage: '', options: own }), argv.filter((_, i) => !taken.has(i))];
}

/**
 * Takes a command line apart.
 * @throws {UsageError} for an option that is unknown, lacks its value or has one too many; for too few or too many arguments
 */
export function parse(argv: readonly string[], { usage, options = [] }: Syntax): Args {
  const values: Record<string, (string | boolean)[]> = {};
  const positionals: string[] = [];
  for (const token of tokensOf(argv, options)) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = options.find((o) => o.name === token.name);
    if (option === undefined) throw new UsageError(`unknown option ${token.rawName}`);
    if (option.value !== undefined && token.value === undefined) throw new UsageError(`${token.rawName} needs a ${option.value}`);
    if (option.value === undefined && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    const all = (values[option.name] ??= []);
    if (all.length > 0 && option.multiple !== true && option.value !== undefined) {
      throw new UsageError(`${token.rawName} is given twice`);
    }
    all.push(token.value ?? true);
  }
  checkCount(positionals, usage);
  return new ParsedArgs(positionals, values);
}

function checkCount(positionals: readonly string[], usage: string): void {
  const words = usage === '' ? [] : usage.split(' ');
  const least = words.filter((word) => !word.startsWith('[')).length;
  if (positionals.length < least) throw new UsageError(`${words[positionals.length]} is missing`);
  if (positionals.length > words.length && words.at(-1)?.includes('...') !== true) {
    throw new UsageError(`unexpected argument '${positionals[words.length]}'`);
  }
}

/** @throws {UsageError} unless `text` is a whole number of 0 to `most`, decimal or with `0x` */
export function wholeNumber(text: string, what: string, most = Number.MAX_SAFE_INTEGER): number {
  const value = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!(value <= most)) throw new UsageError(`${what} is a whole number of 0 to ${most}, got '${text}'`);
  return value;
}

/** The value of `--cpus`. @throws {UsageError} unless it is 1 to 1024 */
export function cpusOf(flags: Args): number | undefined {
  const cpus = flags.value('cpus');
  if (cpus === undefined) return undefined;
  const count = wholeNumber(cpus, '--cpus', MAX_CPUS);
  if (count === 0) throw new UsageError(`--cpus is a whole number of 1 to ${MAX_CPUS}, got '0'`);
  return count;
}

/** The value of `--seed`. @throws {UsageError} unless it is of 32 bits */
export function seedOf(flags: Args): number | undefined {
  const seed = flags.value('seed');
  return seed === undefined ? undefined : wholeNumber(seed, '--seed', 2 ** 32 - 1);
}
