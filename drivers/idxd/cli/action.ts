import { type Caller, Errno, type MaybePromise, type System } from '../../../core/index.js';
import { busOf } from '../accel-list.js';
import type { DsaDevice, DsaKind } from '../dsa-bus.js';
import type { CliArgs, CliOption } from './options.js';

/** What an action has to work with. */
export interface ActionContext extends CliArgs {
  readonly system: System;
  readonly caller: Caller;
  /** Shows a result: as one line of JSON, or as these lines. */
  readonly show: (value: unknown, lines: readonly string[]) => void;
}

/** One of the words behind `backplane idxd`. */
export interface Action {
  readonly name: string;
  /** What follows its options. */
  readonly usage: string;
  readonly summary: string;
  readonly options: readonly CliOption[];
  run(context: ActionContext): MaybePromise<void>;
}

/** What a kind is called in sentences. */
export const NOUNS: Readonly<Record<DsaKind, string>> = {
  dsa: 'an accelerator',
  wq: 'a work queue',
  engine: 'an engine',
  group: 'a group',
};

/** Wrong arguments: the usage is shown with it. */
export const usageError = (what: string): Errno => new Errno('EINVAL', `idxd: ${what}`);

/**
 * The devices that a command line names: `dsa0/wq0.1`, `wq0.1`, or `all`.
 * @throws {Errno} EINVAL for none; ENODEV for a name that no device of this kind has
 */
export function named({ system, words }: ActionContext, kind: DsaKind): DsaDevice[] {
  const all = busOf(system).devices.filter((dev) => dev.kind === kind);
  if (words.length === 0) throw usageError(`the name of ${NOUNS[kind]} is missing`);
  if (words.includes('all')) return all;
  return words.map((word) => {
    const [, accelerator, name = word] = /^([^/]*)\/(.*)$/.exec(word) ?? [];
    const found = all.find((dev) => dev.name === name && (accelerator === undefined || dev.idxd.name === accelerator));
    if (found === undefined) throw new Errno('ENODEV', `${word}: is not ${NOUNS[kind]}: see 'backplane idxd list --idle'`);
    return found;
  });
}
