import type { Device, DeviceCore } from '../device/index.js';

/** A device as sysfs shows it. */
export interface DeviceNode {
  readonly name: string;
  /** `/devices/...`. */
  readonly path: string;
  /** The bus or class it belongs to, if any. */
  readonly subsystem: string | undefined;
  /** The driver bound to it. */
  readonly driver: string | undefined;
  /** Paths of its attributes. */
  readonly attributes: readonly string[];
  readonly children: readonly DeviceNode[];
}

/** A driver on its bus. */
export interface DriverNode {
  readonly name: string;
  /** The devices bound to it, in the order they were bound. */
  readonly devices: readonly string[];
  readonly attributes: readonly string[];
}

/** A bus, with its devices and drivers by name. */
export interface BusNode {
  readonly name: string;
  readonly devices: readonly string[];
  readonly drivers: readonly DriverNode[];
  readonly attributes: readonly string[];
}

/** A class, with its devices by name. */
export interface ClassNode {
  readonly name: string;
  readonly devices: readonly string[];
}

/** What a system shows in sysfs, at the moment it was asked. */
export class DeviceTree {
  /** Devices without a parent; the others hang below them. */
  readonly devices: readonly DeviceNode[];
  readonly buses: readonly BusNode[];
  readonly classes: readonly ClassNode[];

  /** @internal */
  constructor(core: DeviceCore) {
    const roots = core.order.toArray().filter((dev) => dev.parent === undefined);
    this.devices = roots.map(nodeOf);
    this.buses = [...core.buses.values()].map((bus) => ({
      name: bus.name,
      devices: bus.devices.map((dev) => dev.name),
      drivers: bus.driverList.toArray().map((record) => ({
        name: record.driver.name,
        devices: record.devices.toArray().map((dev) => dev.name),
        attributes: record.attributes.paths(),
      })),
      attributes: bus.attributes.paths(),
    }));
    this.classes = [...core.classes.values()].map((cls) => ({
      name: cls.name,
      devices: cls.devices.toArray().map((dev) => dev.name),
    }));
  }

  /** Every device, each before its children. */
  *walk(): Generator<DeviceNode> {
    const stack = this.devices.toReversed();
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      yield node;
      stack.push(...node.children.toReversed());
    }
  }

  toString(): string {
    const lines = ['devices'];
    const add = (node: DeviceNode, depth: number): void => {
      const { name, subsystem, driver } = node;
      const more = [subsystem, driver === undefined ? undefined : `driver ${driver}`].filter((part) => part !== undefined);
      lines.push('  '.repeat(depth) + name + (more.length === 0 ? '' : `  (${more.join(', ')})`));
      for (const child of node.children) add(child, depth + 1);
    };
    for (const root of this.devices) add(root, 1);
    for (const { name, drivers } of this.buses) {
      lines.push(`bus ${name}`);
      for (const driver of drivers) lines.push(`  ${driver.name}: ${driver.devices.join(', ') || 'no device'}`);
    }
    for (const { name, devices } of this.classes) lines.push(`class ${name}`, `  ${devices.join(', ')}`);
    return lines.map((line) => `${line}\n`).join('');
  }
}

function nodeOf(dev: Device): DeviceNode {
  return {
    name: dev.name,
    path: dev.path,
    subsystem: dev.bus?.name ?? dev.class?.name,
    driver: dev.bound ? dev.driver?.name : undefined,
    attributes: dev.attributes.paths(),
    children: dev.children.map(nodeOf),
  };
}
