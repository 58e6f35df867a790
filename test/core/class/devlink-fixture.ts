import { DevlinkNode, type DevlinkOps, Devlinks } from '../../../core/class/index.js';
import { Bus, Device, DeviceCore } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';

/** A device whose driver publishes an instance with these operations, and what is registered by `setUp`. */
export function devlinkFixture(ops: DevlinkOps = {}, setUp: (node: DevlinkNode) => void = () => {}) {
  const clock = new VirtualClock({ mode: 'manual' });
  const core = new DeviceCore({ clock });
  const bus = new Bus('pci');
  core.registerBus(bus);
  const probe = (dev: Device): DevlinkNode => {
    const node = new DevlinkNode(dev, ops);
    setUp(node);
    return dev.publish(Devlinks, node, node.handle);
  };
  void core.registerDriver(bus, { name: 'mlx5_core', probe });
  const dev = new Device({ name: '0000:06:00.0', bus, release: () => {} });
  void core.add(dev);
  return { clock, core, dev, node: dev.state as DevlinkNode, devlink: Devlinks.get(core, 'pci/0000:06:00.0') };
}

/** Something to wait for. */
export function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** What it throws, now or later. */
export async function refusal(fn: () => unknown): Promise<string> {
  try {
    await fn();
  } catch (error) {
    return String(error).replace(/^Errno: /, '');
  }
  return 'nothing';
}
