/**
 * Your first driver: a thermometer, from datasheet to reading. `backplane run first-driver`
 */
import { DeviceClass, type Mmio, type PciDevice, PciDriver, Plugin, System, field, injectable, pciId, reg32 } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { type PciModel, RegisterFile } from 'backplane/sim';

// The datasheet: two registers in BAR 0.
const ID = { vendor: 0x1de5, device: 0x0001 };
const TEMPERATURE = reg32('TEMPERATURE', 0x00, { milliCelsius: field(23, 0, 'ro', 21_500) });
const CONTROL = reg32('CONTROL', 0x04, { enable: field(0) });

// What the driver is for: its users know this, and nothing of registers.
interface Thermometer {
  /** In degrees Celsius. */
  read(): number;
}
const Thermometers = new DeviceClass<Thermometer>('thermometer', { methods: ['read'] });

// The driver.
class MappedThermometer implements Thermometer {
  constructor(private readonly regs: Mmio) {}

  read(): number {
    return this.regs.read(TEMPERATURE) / 1000;
  }
}

@injectable()
class ThermometerDriver implements PciDriver<Thermometer> {
  readonly name = 'thermometer';
  readonly ids = [pciId(ID.vendor, ID.device)];

  probe(dev: PciDevice): Thermometer {
    const regs = dev.mapBar(0);
    regs.write(CONTROL, { enable: 1 });
    dev.devres.defer('switch off', () => regs.write(CONTROL, { enable: 0 }));
    return dev.publish(Thermometers, new MappedThermometer(regs));
  }
}

const thermometer = new Plugin('thermometer', ({ bind }) => {
  bind(PciDriver).to(ThermometerDriver);
});

// The silicon, for the simulated machine: the same datasheet, from the other side.
const model: PciModel = {
  name: 'thermometer',
  config: { ...ID, classCode: 0x118000, bars: { 0: { kind: 'mem32', sizeBytes: 4096 } } },
  create: () => {
    const regs = new RegisterFile([TEMPERATURE, CONTROL], 4096);
    return { regions: { 0: regs }, reset: () => regs.reset() };
  },
};

const sim = hostSim({ devices: [{ at: '00:04.0', model }] });
await using system = await System.start(sim.plugin, thermometer);
for (const [name, one] of system.list(Thermometers)) console.log(`${name}: ${one.read()} degrees`);

const [, kept] = system.list(Thermometers)[0]!;
await system.unload('thermometer');
try {
  kept.read();
} catch (error) {
  console.log(String(error));
}
