import { type Command as PluginCommand, Errno, System } from '../core/index.js';
import { parse } from './args.js';
import { callerAt } from './caller.js';
import { type Ongoing, SHARED_OPTIONS, type SystemCommand, commandHelp } from './command.js';
import { interruptible, interruption } from './interrupt.js';
import { Out } from './out.js';
import { FAILED, OK, report } from './report.js';
import { type Loaded, type Setup, loadPlugin } from './setup.js';
import type { Call, Target } from './target.js';
import { UsageError } from './usage-error.js';

/** A system of our own: its plugins, and the commands that act on it, one after the other. */
export class LocalTarget implements Target {
  readonly system: System;
  readonly commands: readonly SystemCommand[];
  /** Where plugins came from, by name. */
  readonly #paths = new Map<string, string>();
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(system: System, loaded: readonly Loaded[], commands: readonly SystemCommand[]) {
    this.system = system;
    this.commands = commands;
    for (const one of loaded) this.#note(one);
  }

  /** @throws {Errno} what kept the system from starting; nothing is left of it then */
  static async start({ plugins }: Setup, commands: readonly SystemCommand[]): Promise<LocalTarget> {
    return new LocalTarget(await System.start(...plugins.map(({ plugin }) => plugin)), plugins, commands);
  }

  /** Loads a plugin by path, package or name of ours. @returns its name */
  async load(wanted: string, cwd: string): Promise<string> {
    const loaded = await loadPlugin(wanted, cwd);
    await this.system.load(loaded.plugin);
    this.#note(loaded);
    return loaded.plugin.name;
  }

  /**
   * Unloads a plugin and loads it from its file, imported anew.
   * @throws {Errno} EOPNOTSUPP for a plugin that came from no file; EINVAL when the file now has another name for it
   */
  async reloadFresh(name: string): Promise<void> {
    const path = this.#paths.get(name);
    if (path === undefined) throw new Errno('EOPNOTSUPP', `plugin ${name}: came from no file: reload it without --fresh`);
    const loaded = await loadPlugin(path, '/', true);
    if (loaded.plugin.name !== name) {
      throw new Errno('EINVAL', `plugin ${name}: ${path} now has plugin ${loaded.plugin.name}: unload ${name} and load that`);
    }
    await this.system.unload(name);
    await this.system.load(loaded.plugin);
  }

  async run(argv: readonly string[], call: Call): Promise<number> {
    const { io, signal } = call;
    try {
      const turn = this.#queue.then(() => {
        if (signal.aborted) throw new Errno('EINTR', 'interrupted');
        return this.#run(argv, call);
      });
      this.#queue = turn.catch(() => undefined);
      // What goes on does so until it is interrupted, and holds up no other command meanwhile.
      void turn.then(
        async (result) => {
          if (typeof result === 'number') return;
          await endOf(result, signal);
          result.stop();
        },
        () => undefined,
      );
      const result = await interruptible(turn, signal);
      if (typeof result === 'number') return result;
      await endOf(result, signal);
      return OK;
    } catch (error) {
      return report(error, io, argv[0]);
    }
  }

  async close(io: Call['io']): Promise<number> {
    await this.#queue;
    try {
      await this.system[Symbol.asyncDispose]();
      return OK;
    } catch (error) {
      report(error, io);
      return FAILED;
    }
  }

  async #run(argv: readonly string[], call: Call): Promise<number | Ongoing> {
    const [name = '', ...rest] = argv;
    const command = this.commands.find((one) => one.name === name);
    if (command === undefined) return this.#runContributed(name, rest, call);
    if (rest.includes('--help') || rest.includes('-h')) {
      call.io.out(commandHelp(command));
      return OK;
    }
    const args = parse(rest, { usage: command.usage, options: [...SHARED_OPTIONS, ...(command.options ?? [])] });
    const out = new Out(call.io, call.io.json || args.count('json') > 0);
    return (await command.run({ target: this, system: this.system, args, out, cwd: call.cwd })) ?? OK;
  }

  async #runContributed(name: string, args: readonly string[], { io, cwd }: Call): Promise<number> {
    const commands: readonly PluginCommand[] = this.system.commands();
    const command = commands.find((one) => one.name === name);
    if (command === undefined) {
      const own = this.commands.filter((one) => one.isHidden !== true);
      const all = [...own, ...commands].map((one) => one.name);
      throw new UsageError(`no such command; there are ${all.join(', ')}`);
    }
    try {
      const caller = callerAt(cwd, io.json || args.includes('--json'));
      return (await command.run(this.system, args, { write: (text) => io.out(text) }, caller)) ?? OK;
    } catch (error) {
      const isUsage = Errno.is(error, 'EINVAL') && error.text.startsWith(`${name}: `);
      if (isUsage) io.err(`usage: backplane ${command.name} ${command.usage}\n`);
      throw error;
    }
  }

  #note({ plugin, path }: Loaded): void {
    if (path !== undefined) this.#paths.set(plugin.name, path);
  }
}

/** Resolves at the end of what goes on, or when the signal comes. */
async function endOf({ ended }: Ongoing, signal: AbortSignal): Promise<void> {
  await Promise.race([interruption(signal), ...(ended === undefined ? [] : [ended])]);
}
