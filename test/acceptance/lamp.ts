import { DeviceClass, type PciDevice, PciDriver, type PciId, Plugin, type PluginOptions, type System, pciId } from 'backplane';
import { hostSim, type HostSim } from 'backplane/plugins/host-sim';
import { type PciModel, RegisterFile } from 'backplane/sim';

const ID = { vendor: 0x1de5, device: 0x0042 };
export const model = (config: Partial<PciModel['config']> = {}): PciModel => ({
  name: 'lamp',
  config: { ...ID, classCode: 0x118000, bars: { 0: { kind: 'mem32', sizeBytes: 4096 } }, ...config },
  create: () => {
    const regs = new RegisterFile([], 4096);
    return { regions: { 0: regs }, reset: () => regs.reset() };
  },
});

export interface Lamp {
  shine(): string;
}
export const Lamps = new DeviceClass<Lamp>('lamp', { methods: ['shine'] });

export class LampDriver implements PciDriver<Lamp> {
  readonly name: string = 'lamp';
  readonly ids: readonly PciId[] = [pciId(ID.vendor, ID.device)];
  probe(dev: PciDevice): Lamp {
    dev.mapBar(0);
    return dev.publish(Lamps, { shine: () => `${dev.name} shines` });
  }
}

export const plugin = (name: string, cls: new () => PciDriver, options?: PluginOptions): Plugin =>
  new Plugin(name, ({ bind }) => bind(PciDriver).to(cls), options);
export const lamp = plugin('lamp', LampDriver);
/** A machine with two lamps. */
export const two = (): HostSim =>
  hostSim({
    devices: [
      { at: '00:04.0', model: model() },
      { at: '00:05.0', model: model() },
    ],
  });
export const names = (system: System): string[] => system.list(Lamps).map(([name]) => name);
