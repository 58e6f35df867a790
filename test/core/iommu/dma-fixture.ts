import { Bus, Device, DeviceCore, type Violation } from '../../../core/device/index.js';
import { Dma, IommuDomain, type DmaOptions, PageTable } from '../../../core/iommu/index.js';
import { Machine } from '../../../hw/sim/index.js';

/** A DMA API on a machine, with a device that is bound to a driver whose probe is `probe`. */
export async function dmaOn(
  options: DmaOptions & { translated?: boolean; addressBits?: number; probe?: (dma: Dma, dev: Device) => void } = {},
) {
  const { translated = true, addressBits = 48, probe, ...rest } = options;
  const machine = new Machine({ memoryBytes: 2 ** 33 });
  const core = new DeviceCore({ clock: machine.clock });
  const violations: Violation[] = [];
  core.violations.on((violation) => violations.push(violation));
  const hardware = machine.iommu!;
  const table = new PageTable(addressBits, hardware.pageBytes);
  const domain = new IommuDomain('dma', { core, hardware, owner: 'test', table });
  const dma = new Dma(core, machine, { ...rest, ...(translated && { domainOf: () => domain }) });
  const bus = new Bus('test');
  core.registerBus(bus);
  await bus.register({ name: 'driver', probe: (dev) => probe?.(dma, dev) });
  const dev = new Device({ name: 'dev0', release: () => {} });
  await bus.add(dev);
  /** Where the device's accesses to an address go; what is mapped there must allow them. */
  const reach = (address: number, isWrite: boolean): number => {
    if (!translated) return address;
    const physical = table.walk(address, isWrite);
    if (physical < 0) throw new Error(`0x${address.toString(16)} is not mapped for a ${isWrite ? 'write' : 'read'}`);
    return physical;
  };
  return {
    machine,
    core,
    dma,
    domain,
    bus,
    dev,
    violations,
    rules: () => violations.map(({ rule }) => rule),
    errors: () =>
      core.log
        .records()
        .filter(({ id }) => id === 'dma_debug')
        .map(({ text }) => text),
    /** What the device reads. */
    deviceReads: (address: number, length: number): number[] => {
      const out = new Uint8Array(length);
      for (let i = 0; i < length; i++) machine.dma.read(reach(address + i, false), out, i, 1);
      return [...out];
    },
    deviceWrites: (address: number, ...bytes: number[]): void => {
      for (const [i, byte] of bytes.entries()) machine.dma.write(reach(address + i, true), Uint8Array.of(byte), 0, 1);
    },
  };
}
