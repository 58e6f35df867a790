/**
 * A device that needs another one first: it defers, and is retried when something new is bound. `backplane run deferred-probe`
 */
import { DeviceClass, DeviceCore, PlatformDevice, PlatformDriver, Plugin, System, defer, inject, injectable } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';

interface Regulator {
  enable(): void;
}
const Regulators = new DeviceClass<Regulator>('regulator', { methods: ['enable'] });

@injectable()
class SensorDriver implements PlatformDriver<void> {
  readonly name = 'sensor';
  constructor(@inject(DeviceCore) private readonly core: DeviceCore) {}

  probe(dev: PlatformDevice): void {
    const [first] = Regulators.list(this.core);
    if (first === undefined) throw defer('no regulator yet');
    const [name, regulator] = first;
    regulator.enable();
    console.log(`sensor: ${dev.name} is powered by ${name}`);
  }
}

@injectable()
class RegulatorDriver implements PlatformDriver<Regulator> {
  readonly name = 'regulator';

  probe(dev: PlatformDevice): Regulator {
    return dev.publish(Regulators, { enable: () => console.log(`regulator: ${dev.name} on`) });
  }
}

const sensor = new Plugin('sensor', ({ bind }) => bind(PlatformDriver).to(SensorDriver));
const regulator = new Plugin('regulator', ({ bind }) => bind(PlatformDriver).to(RegulatorDriver));

await using system = await System.start(hostSim().plugin, sensor);
const { platform } = system.kernel;
await platform.add(new PlatformDevice({ name: 'sensor' }));
await platform.add(new PlatformDevice({ name: 'regulator' }));

console.log(`deferred: ${system.core.deferred.text().trim()}`);
await system.load(regulator);
console.log(`deferred: ${system.core.deferred.text().trim() || 'nothing'}`);
