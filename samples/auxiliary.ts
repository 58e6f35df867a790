/**
 * A driver that splits its device into parts, and a driver for the parts. `backplane run auxiliary`
 */
import {
  AuxName,
  AuxiliaryBus,
  type AuxiliaryDevice,
  AuxiliaryDriver,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  inject,
  injectable,
  pciId,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import type { PciModel } from 'backplane/sim';

const ID = { vendor: 0x1de5, device: 0x0002 };

// What the parent tells each of its ports: the name carries the type.
interface PortContext {
  readonly number: number;
  readonly speedMbps: number;
}
const PORT = new AuxName<PortContext>('quad.port');

@injectable()
class QuadDriver implements PciDriver<void> {
  readonly name = 'quad';
  readonly ids = [pciId(ID.vendor, ID.device)];
  constructor(@inject(AuxiliaryBus) private readonly aux: AuxiliaryBus) {}

  async probe(dev: PciDevice): Promise<void> {
    for (let number = 0; number < 4; number++) {
      await this.aux.add(dev, PORT, { id: number, data: { number, speedMbps: 1000 * (number + 1) } });
    }
  }
  remove(dev: PciDevice): void {
    // The ports are unbound and gone: children go first.
    console.log(`quad: remove ${dev.name}, ${dev.children.length} children left`);
  }
}

@injectable()
class PortDriver implements AuxiliaryDriver<PortContext> {
  readonly name = 'port';
  readonly ids = [PORT];

  probe(dev: AuxiliaryDevice<PortContext>): void {
    console.log(`port: bound ${dev.name}, ${dev.data.speedMbps} Mbit/s`);
  }
  remove(dev: AuxiliaryDevice<PortContext>): void {
    console.log(`port: remove ${dev.name}`);
  }
}

const model: PciModel = {
  name: 'quad',
  config: { ...ID, classCode: 0x020000, bars: {} },
  create: () => ({ regions: {}, reset: () => {} }),
};
const quad = new Plugin('quad', ({ bind }) => bind(PciDriver).to(QuadDriver));
const port = new Plugin('port', ({ bind }) => bind(AuxiliaryDriver).to(PortDriver));

const sim = hostSim({ devices: [{ at: '00:04.0', model }] });
await using system = await System.start(sim.plugin, quad, port);
await system.unload('quad');
