import { Errno } from '../../core/index.js';
import type { Context } from '../command.js';
import { columns } from '../out.js';

/** Lists the drivers of each bus. */
export function drivers({ system, out }: Context): void {
  const all = system
    .deviceTree()
    .buses.flatMap(({ name: bus, drivers }) => drivers.map(({ name, devices }) => ({ bus, name, devices })));
  out.show(all, () =>
    columns([['BUS', 'DRIVER', 'DEVICES'], ...all.map(({ bus, name, devices }) => [bus, name, devices.join(' ') || '-'])]),
  );
}

/** Binds a device: to the driver named, if it matches, or to the first that does and whose probe succeeds. */
export async function bind({ system, args, out }: Context): Promise<void> {
  const [name = '', wanted] = args.positionals;
  const dev = system.device(name);
  if (dev.bound) throw new Errno('EBUSY', `${name}: is bound to driver ${dev.driver!.name}: unbind it first`);
  if (wanted === undefined) {
    await system.core.attach(dev);
  } else {
    const driver = dev.bus?.findDriver(wanted);
    if (driver === undefined) throw new Errno('ENODEV', `${name}: ${busOf(dev.bus)} has no driver ${wanted}`);
    await system.core.bindMatching(dev, driver);
  }
  if (!dev.bound) throw new Errno('ENODEV', `${name}: no driver has bound to it: see 'backplane explain ${name}'`);
  const driver = dev.driver!.name;
  out.show({ device: name, driver }, () => [`${name}: bound to ${driver}`]);
}

/** Unbinds a device from its driver. */
export async function unbind({ system, args, out }: Context): Promise<void> {
  const [name = ''] = args.positionals;
  const dev = system.device(name);
  const driver = dev.driver?.name;
  if (!dev.bound || driver === undefined) throw new Errno('ENODEV', `${name}: is not bound`);
  await system.core.unbind(dev);
  out.show({ device: name, driver }, () => [`${name}: unbound from ${driver}`]);
}

/** Sets or takes away the only driver that a device may match. */
export async function override({ system, args, out }: Context): Promise<void> {
  const [name = '', driver] = args.positionals;
  const dev = system.device(name);
  if (!dev.attributes.has('driver_override')) {
    throw new Errno('EOPNOTSUPP', `${name}: ${busOf(dev.bus)} has no driver_override`);
  }
  await dev.attributes.write('driver_override', `${driver ?? ''}\n`);
  out.show({ device: name, override: driver }, () => [
    `${name}: ${driver === undefined ? 'any driver' : `driver ${driver} only`}`,
  ]);
}

/** Tells why each driver did or did not bind to a device. */
export function explain({ system, args, out }: Context): void {
  const explanation = system.explain(args.positionals[0]!);
  out.show(explanation, () => explanation.toString().trimEnd().split('\n'));
}

/** Lists the devices that wait for something. */
export function deferred({ system, out }: Context): void {
  const all = system.core.deferred.report().map(({ device, reason }) => ({ device: device.name, reason }));
  out.show(all, () => columns(all.map(({ device, reason }) => [device, reason])));
}

const busOf = (bus: { readonly name: string } | undefined): string => (bus === undefined ? 'no bus' : `bus ${bus.name}`);
