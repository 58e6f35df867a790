import { Errno, type Plugin } from '../core/index.js';
import type { Config } from './config.js';

/** The slots of the root bus for devices that do not say where. */
const FIRST_SLOT = 4;
const LAST_SLOT = 31;

/** The plugin of the host that a configuration asks for; its code is loaded only now. @throws {Errno} EINVAL, ENOENT, ENOSPC */
export async function hostPlugin({ host = 'sim', devices = [], seed, cpus, interrupts }: Config): Promise<Plugin> {
  if (host !== 'sim' && (cpus !== undefined || interrupts !== undefined)) {
    throw new Errno('EINVAL', 'cpus and interrupts are for the host sim: another has what it has');
  }
  if (typeof host !== 'string') {
    if (devices.length === 0) return host;
    throw new Errno('EINVAL', `${host.name}: devices are for the hosts sim and qtest: give them to the host itself`);
  }
  if (host === 'qtest') return (await import('../plugins/host-qtest.js')).hostQtest({ devices }).plugin;
  const specs = await Promise.all(placed(devices).map(async ([at, name]) => ({ at, model: await findModel(name) })));
  const { hostSim } = await import('../plugins/host-sim.js');
  const options = { ...(seed !== undefined && { seed }), ...(cpus !== undefined && { cpus }), ...(interrupts && { interrupts }) };
  return hostSim({ devices: specs, ...options }).plugin;
}

/** A device model of ours. @throws {Errno} ENOENT when there is none of this name */
export async function findModel(name: string) {
  const { models } = await import('../plugins/models.js');
  if (!Object.hasOwn(models, name))
    throw new Errno('ENOENT', `${name}: no such device, there is ${Object.keys(models).join(', ')}`);
  return models[name]!();
}

/** Gives a place to devices without one, from `00:04.0` on; `edu@00:05.0` has one. */
function placed(devices: readonly string[]): [at: string, name: string][] {
  const asked = devices.map((device) => device.split('@', 2));
  const taken = new Set(asked.map(([, at]) => at?.replace(/^0000:/, '')));
  let slot = FIRST_SLOT;
  const nextFree = (): string => {
    for (; slot <= LAST_SLOT; slot++) {
      const at = `00:${slot.toString(16).padStart(2, '0')}.0`;
      if (!taken.has(at)) return taken.add(at) && at;
    }
    throw new Errno('ENOSPC', `${devices.length} devices: bus 00 has no more free slots`);
  };
  return asked.map(([name = '', at]) => [at ?? nextFree(), name]);
}
