import { writeFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { System } from '../../core/index.js';
import { IrqTraceLog } from '../../core/irq/index.js';
import { Errno, collect, joinErrors } from '../../core/lib/errno.js';
import type { Args } from '../args.js';
import type { Program } from '../command.js';
import { Out } from '../out.js';
import { OK } from '../report.js';
import { runSample } from '../samples.js';
import { exportPerfetto } from '../trace/perfetto-export.js';

/** Events kept of each system: some 100 MB of memory. */
const CAPACITY = 2 ** 18;

/** Runs a sample, and writes what happened on its systems as a Perfetto trace, also when it fails. */
export async function trace(program: Program, args: Args): Promise<number> {
  const { io, cwd } = program;
  const [wanted = ''] = args.positionals;
  const name = args.value('output') ?? `${basename(wanted, extname(wanted))}.perfetto-trace`;
  const logs: IrqTraceLog[] = [];
  const starting = System.onStarting(({ kernel }) => {
    logs.push(new IrqTraceLog(kernel.irqs.core, { capacity: CAPACITY, devices: true }));
  });
  const errors: unknown[] = [];
  let code = OK;
  await collect(errors, async () => {
    code = await runSample(program, args);
  });
  starting.dispose();
  if (logs.length > 0) await collect(errors, () => write(resolve(cwd, name), logs));
  if (errors.length > 0) throw joinErrors(errors, 'writing the trace');
  if (logs.length === 0) throw new Errno('ENOENT', `${wanted}: started no system: there is nothing to trace`);
  const events = logs.reduce((sum, log) => sum + log.all.length, 0);
  const dropped = logs.reduce((sum, log) => sum + log.dropped, 0);
  const systems = logs.length;
  new Out(io).show({ file: name, systems, events, dropped }, () => [
    `${name}: ${events} events of ${systems} ${systems === 1 ? 'system' : 'systems'}: open it at https://ui.perfetto.dev`,
    ...(dropped === 0 ? [] : [`${dropped} older events are not in it`]),
  ]);
  return code;
}

/** @throws {Errno} EACCES when it cannot be written */
function write(path: string, logs: readonly IrqTraceLog[]): void {
  const bytes = exportPerfetto(...logs.map((log) => log.all));
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new Errno('EACCES', `${path}: ${(error as Error).message}`, { cause: error });
  }
}
