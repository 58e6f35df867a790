import { System } from '../../../core/index.js';
import { type DsaProfile, dsa } from '../../../hw/models/dsa/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { DsaBus, idxd } from '../../../plugins/idxd.js';

/** What can be written, but is no part of a configuration file. */
const NOT_CONFIGURED = new Set(['cmd_status', 'enqcmds_retries', 'uevent']);

/** A machine with accelerators, and their driver: nothing is configured. */
export class Accelerators implements AsyncDisposable {
  private constructor(readonly system: System) {}

  static async start(...profiles: readonly DsaProfile[]): Promise<Accelerators> {
    return new Accelerators(await System.start(hostSim({ devices: profiles.map(place) }).plugin, idxd()));
  }

  get bus(): DsaBus {
    const bus = this.system.core.buses.get('dsa');
    if (bus instanceof DsaBus) return bus;
    throw new Error('no bus dsa');
  }

  /** What an attribute says, without its newline. */
  read(name: string, attribute: string): string {
    return this.system.device(name).attributes.read(attribute).trimEnd();
  }

  /** All that can be configured, as attributes say it: `wq0.0 size 16`. */
  get state(): string[] {
    return this.bus.devices.flatMap(({ name, attributes }) =>
      attributes
        .paths()
        .filter((path) => (attributes.mode(path) & 0o644) === 0o644 && !NOT_CONFIGURED.has(path))
        .map((path) => `${name} ${path} ${attributes.read(path).trimEnd()}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system[Symbol.asyncDispose]();
  }
}

const place = (profile: DsaProfile, i: number) => ({ at: `00:0${4 + i}.0`, model: dsa(profile) });
