import {
  DeviceClass,
  Errno,
  Host,
  type PciDevice,
  PciDriver,
  Plugin,
  type System,
  type PluginContext,
  inject,
  injectable,
  pciId,
  token,
} from '../../../core/index.js';
import { FakeHost } from '../../../core/testing/fake-host.js';
import { FakePciFunction } from '../../../core/testing/fake-pci.js';

/** Functions 1234:0001, 1234:0002, ... at 00:01.0, 00:02.0, ... */
export function hostOf(count: number): { plugin: Plugin; host: FakeHost } {
  const pci = Array.from({ length: count }, (_, i) => new FakePciFunction({ vendor: 0x1234, device: i + 1 }));
  const host = new FakeHost({ pci });
  return { host, plugin: new Plugin('fake-host', ({ bind }) => bind(Host).toConstantValue(host)) };
}

export interface Part {
  name(): string;
}
export const Parts = new DeviceClass<Part>('part', { methods: ['name'] });

/** A driver of one device id that publishes a part. Each made writes to `lives`. */
export function partDriver(name: string, deviceId: number, lives: string[] = []): new () => PciDriver {
  @injectable()
  class PartDriver implements PciDriver<string> {
    readonly name = name;
    readonly ids = [pciId(0x1234, deviceId)];
    constructor() {
      lives.push(`made ${name}`);
    }
    probe(dev: PciDevice): string {
      lives.push(`probe ${name}`);
      dev.publish(Parts, { name: () => name });
      return name;
    }
    remove(): void {
      lives.push(`remove ${name}`);
    }
  }
  return PartDriver;
}

/** A plugin of one part driver. */
export function partPlugin(
  name: string,
  deviceId: number,
  lives: string[] = [],
  options: ConstructorParameters<typeof Plugin>[2] = {},
): Plugin {
  return new Plugin(name, ({ bind }) => bind(PciDriver).to(partDriver(name, deviceId, lives)), options);
}

/** A plugin that binds nothing. */
export const empty = (name: string, options: ConstructorParameters<typeof Plugin>[2] = {}): Plugin =>
  new Plugin(name, () => {}, options);

export const plugin = (name: string, bindings: (context: PluginContext) => void): Plugin => new Plugin(name, bindings);

export interface Motor {
  readonly power: number;
}
export const Motor = token<Motor>('Motor');
export const Gear = token<object>('Gear');

@injectable()
export class NeedsGear implements Motor {
  readonly power = 1;
  constructor(@inject(Gear) readonly gear: object) {}
}

/** A PCI driver that needs a motor. */
export function motorPlugin(): Plugin {
  @injectable()
  class MotorDriver implements PciDriver<void> {
    readonly name = 'motor-driver';
    readonly ids = [pciId(0x1234, 1)];
    constructor(@inject(Motor) readonly motor: Motor) {}
    probe(): void {}
  }
  return plugin('car', ({ bind }) => bind(PciDriver).to(MotorDriver));
}

/** Names of the plugins of a system, in the order of loading. */
export const names = (system: System): string[] => system.tree().plugins.map((p) => p.name);

/** What the parts of a system say, in the order they were published. */
export const parts = (system: System): string[] => system.list(Parts).map(([, part]) => part.name());

/** The message of what `run` throws. */
export async function messageOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    return Errno.is(error) ? error.message : `not an Errno: ${String(error)}`;
  }
  return 'nothing was thrown';
}
