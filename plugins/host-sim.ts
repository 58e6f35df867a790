import { Errno, Host, Plugin, hex } from '../core/index.js';
import { type DsaOptions, dsa } from '../hw/models/dsa/index.js';
import { edu } from '../hw/models/edu.js';
import { type NicOptions, nic } from '../hw/models/nic/index.js';
import { timer } from '../hw/models/timer.js';
import { TIMERS_MAX } from '../hw/regs/timer.js';
import { type DeviceSpec, Machine, type MachineOptions, type PciModel } from '../hw/sim/index.js';

/** What the simulated machine of {@link hostSim} has. */
export interface HostSimOptions extends MachineOptions {
  /** How many data streaming accelerators, or what each of them has; default 0. */
  readonly dsa?: number | readonly DsaOptions[];
  /** How many of QEMU's educational device; default 0. */
  readonly edu?: number;
  /** How many network adapters, or what each of them has; default 0. */
  readonly nic?: number | readonly NicOptions[];
  /** How many timers, on as few cards as will do; default 0. */
  readonly timers?: number;
}

/** The first slot of the root bus that devices asked for by number go to. */
const FIRST_SLOT = 4;
const LAST_SLOT = 31;

/** A simulated machine with the plugin that makes it the hardware of a system. */
export class HostSim extends Machine {
  /** Load it first: `System.start(sim.plugin, ...)`. */
  readonly plugin = new Plugin(
    'host-sim',
    ({ bind }) => {
      bind(Host).toConstantValue(this);
    },
    { provides: [Host] },
  );
}

/**
 * A simulated machine: the devices asked for by number go to the free slots from `00:04.0` on, the others where they say.
 *
 * It serves one system; make another for the next.
 * @throws {Errno} ENOSPC when there are more devices than slots; ERANGE for what is no number of devices; as `Machine`
 * @example
 * ```ts
 * const sim = hostSim({ edu: 1 });
 * await using system = await System.start(sim.plugin, edu);
 * ```
 */
export function hostSim(options: HostSimOptions = {}): HostSim {
  const { dsa: dsas = 0, edu: edus = 0, nic: nics = 0, timers = 0, devices = [], ...machine } = options;
  const accelerators = typeof dsas === 'number' ? times(dsas, () => dsa()) : dsas.map((part) => dsa(part));
  const adapters = typeof nics === 'number' ? times(nics, () => nic()) : nics.map((part) => nic(part));
  const models = [...times(edus, edu), ...timerCards(timers), ...accelerators, ...adapters];
  return new HostSim({ ...machine, devices: [...devices, ...inFreeSlots(devices, models)] });
}

function timerCards(timers: number): PciModel[] {
  if (!(Number.isInteger(timers) && timers >= 0 && timers <= LAST_SLOT * TIMERS_MAX)) {
    throw new Errno('ERANGE', `host-sim: ${timers} timers: must be an integer of 0 to ${LAST_SLOT * TIMERS_MAX}`);
  }
  const cards = Math.ceil(timers / TIMERS_MAX);
  return Array.from({ length: cards }, (_, i) => timer({ timers: Math.min(TIMERS_MAX, timers - i * TIMERS_MAX) }));
}

function times(count: number, make: () => PciModel): PciModel[] {
  if (!(Number.isInteger(count) && count >= 0 && count <= LAST_SLOT)) {
    throw new Errno('ERANGE', `host-sim: ${count} devices of a kind: must be an integer of 0 to ${LAST_SLOT}`);
  }
  return Array.from({ length: count }, make);
}

function inFreeSlots(devices: readonly DeviceSpec[], models: readonly PciModel[]): DeviceSpec[] {
  const taken = new Set(devices.map(({ at }) => (typeof at === 'string' ? at.replace(/^0000:/, '').slice(0, 5) : '')));
  let slot = FIRST_SLOT;
  return models.map((model) => {
    while (taken.has(address(slot))) slot++;
    if (slot > LAST_SLOT)
      throw new Errno('ENOSPC', `host-sim: ${models.length} devices: bus 00 has no more free slots: place them yourself`);
    return { at: `${address(slot++)}.0`, model };
  });
}

const address = (slot: number): string => `00:${hex(slot, 2)}`;
