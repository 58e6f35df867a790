import { Errno, type LspciOptions, type PciDevice, lspci as format, snapshot } from '../../core/index.js';
import type { Args } from '../args.js';
import type { Context } from '../command.js';

/** Shows PCI devices in the layout of pciutils. */
export function lspci({ system, args, out }: Context): void {
  const [name] = args.positionals;
  const all = system.kernel.pci.bus.devices;
  const devices = name === undefined ? all : all.filter((dev) => dev.name === name || dev.name === `0000:${name}`);
  if (name !== undefined && devices.length === 0) throw new Errno('ENODEV', `${name}: no such PCI device`);
  const options = optionsOf(args);
  out.show(
    devices.map((dev) => toJson(dev, options)),
    () => {
      const text = format(devices.map(snapshot), options);
      return text === '' ? [] : text.replace(/\n$/, '').split('\n');
    },
  );
}

function optionsOf(args: Args): LspciOptions {
  const [numeric, verbose, hex] = [args.count('numeric'), args.count('verbose'), args.count('hex')];
  return {
    naming: numeric === 0 ? 'names' : numeric === 1 ? 'n' : 'nn',
    verbose: verbose === 0 ? 0 : verbose === 1 ? 1 : 2,
    kernel: args.count('kernel') > 0,
    tree: args.count('bus-tree') > 0,
    ...(hex > 0 && { hex: hex < 3 ? 'x' : hex === 3 ? 'xxx' : 'xxxx' }),
  };
}

function toJson(dev: PciDevice, { hex }: LspciOptions) {
  const { name, vendorId, deviceId, subsystemVendorId, subsystemDeviceId, classCode, revision } = dev;
  const bars = dev.bars.flatMap((bar) => {
    if (bar === undefined) return [];
    const { index, kind, is64, prefetch, sizeBytes, address } = bar;
    return [{ index, kind, is64, prefetch, sizeBytes, address }];
  });
  const config = hex === undefined ? {} : { config: Buffer.from(snapshot(dev).config).toString('hex') };
  const driver = dev.driver?.name;
  return { name, vendorId, deviceId, subsystemVendorId, subsystemDeviceId, classCode, revision, driver, bars, ...config };
}
