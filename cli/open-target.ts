import type { Program } from './command.js';
import { socketPath, findSocket } from './socket-path.js';
import { SYSTEM_OPTIONS } from './options.js';
import type { Target } from './target.js';
import { Errno } from '../core/lib/errno.js';
import { UsageError } from './usage-error.js';

/** Options that put a system together, as against those that choose among systems. */
const OWN = SYSTEM_OPTIONS.map(({ name }) => name).filter((name) => name !== 'socket');

/**
 * The system that a command line is for: the one that `backplane up` keeps, unless the flags ask for another; else a fresh one.
 * @throws {Errno} ECONNREFUSED when `--socket` names one that nobody listens on; what keeps a fresh system from starting
 */
export async function openTarget({ flags, cwd, commands }: Program): Promise<Target> {
  const given = flags.value('socket');
  const own = OWN.find((name) => flags.count(name) > 0);
  if (given !== undefined && own !== undefined)
    throw new UsageError(`--socket names a system that runs, --${own} asks for another`);
  if (own === undefined) {
    const path = socketPath(given, cwd);
    if (await findSocket(path)) return new (await import('./remote.js')).RemoteTarget(path);
    if (given !== undefined) throw new Errno('ECONNREFUSED', `${path}: nobody listens: start 'backplane up --socket ${given}'`);
  }
  const { readSetup } = await import('./setup.js');
  const { LocalTarget } = await import('./local.js');
  return LocalTarget.start(await readSetup(flags, cwd), commands.system);
}
