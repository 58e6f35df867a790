import { Errno, type System } from '../../core/index.js';
import { wholeNumber } from '../args.js';
import type { Context } from '../command.js';
import { findModel } from '../host.js';

/** The simulated machine of a system. @throws {Errno} EOPNOTSUPP when it runs on something else */
async function machineOf({ kernel }: System) {
  const { HostSim } = await import('../../plugins/host-sim.js');
  if (kernel.host instanceof HostSim) return kernel.host;
  throw new Errno('EOPNOTSUPP', `${kernel.host.name}: devices cannot come and go on this host`);
}

/** Puts a device into the running machine. */
export async function hotplug({ system, args, out }: Context): Promise<void> {
  const [at = '', name = ''] = args.positionals;
  const machine = await machineOf(system);
  machine.plug({ at, model: await findModel(name) });
  await system.core.settle();
  out.show({ place: at, model: name }, () => [`${at}: ${name} is in`]);
}

/** Pulls a device out of the running machine. */
export async function yank({ system, args, out }: Context): Promise<void> {
  const [at = ''] = args.positionals;
  const { functions } = (await machineOf(system)).yank(at);
  await system.core.settle();
  out.show({ device: at, functions }, () => functions.map((name) => `${name}: is out`));
}

/** Lets time pass; what falls due happens. */
export async function elapse({ system, args, out }: Context): Promise<void> {
  const { clock } = system.kernel;
  await clock.sleep(wholeNumber(args.positionals[0]!, 'a time'));
  const nowUs = clock.now();
  out.show({ nowUs }, () => [`now ${nowUs} us`]);
}
