import { Plugin, PciDriver, type PciDriver as Driver, pciId, reg32 } from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { type EndpointConfig, type PciModel, RegisterFile } from 'backplane/sim';

export const ID = pciId(0x1234, 1);

const CONTROL = reg32('CONTROL', 0);

/** A device with one register, and what else its configuration space has. */
export const modelOf = (more: Partial<EndpointConfig> = {}): PciModel => ({
  name: 'plain',
  config: { vendor: 0x1234, device: 1, classCode: 0xff0000, bars: { 0: { kind: 'mem32', sizeBytes: 4096 } }, ...more },
  create: () => {
    const regs = new RegisterFile([CONTROL], 4096);
    return { regions: { 0: regs }, reset: () => regs.reset() };
  },
});

export const plain = modelOf();

/** A machine with these devices at 00:01.0, 00:02.0, ... */
export const machineWith = (...models: PciModel[]): HostSim =>
  hostSim({ devices: models.map((model, i) => ({ at: `00:0${i + 1}.0`, model })) });

/** A driver of the plain device that does nothing but what is given. */
export const driverOf = (callbacks: Partial<Driver> = {}): Driver => ({
  name: 'plain',
  ids: [ID],
  probe: () => {},
  ...callbacks,
});

export const pluginOf = (driver: Driver, name = 'plain'): Plugin =>
  new Plugin(name, ({ bind }) => bind(PciDriver).toConstantValue(driver));
