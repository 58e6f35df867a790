import { describe, expect, test } from 'vitest';
import { type DmaMapping, type DmaOptions, Kernel, type Mmio, type PciDevice, pciId } from '../../../core/index.js';
import type { Violation } from '../../../core/device/index.js';
import { edu } from '../../../hw/models/edu.js';
import * as EDU from '../../../hw/regs/edu.js';
import { Machine } from '../../../hw/sim/index.js';

const START = 1;
const FROM_DEVICE = 2;

/** A machine whose device copies what it is told: `copy` from memory to its buffer, or back; `begin` does not wait. */
async function copier(dma?: Omit<DmaOptions, 'domainOf'>) {
  const machine = new Machine({ clock: 'manual', devices: [{ at: '00:04.0', model: edu() }] });
  const kernel = new Kernel(machine, { ...(dma && { dma }) });
  const violations: Violation[] = [];
  kernel.core.violations.on((violation) => violations.push(violation));
  let dev: PciDevice | undefined;
  let regs: Mmio | undefined;
  await kernel.pci.register({
    name: 'copier',
    ids: [pciId(EDU.EDU_VENDOR, EDU.EDU_DEVICE)],
    probe: (device: PciDevice) => {
      dev = device;
      regs = device.mapBar(0);
      kernel.dma.setMask(device, EDU.DMA_MASK);
      device.setMaster();
    },
  });
  await kernel.start();
  const begin = (source: number, dest: number, count: number, command = START): void => {
    regs!.write(EDU.DMA_SOURCE, source);
    regs!.write(EDU.DMA_DEST, dest);
    regs!.write(EDU.DMA_COUNT, count);
    regs!.write(EDU.DMA_COMMAND, command);
  };
  const copy = (source: number, dest: number, count: number, command?: number): void => {
    begin(source, dest, count, command);
    machine.elapse(EDU.DMA_TIME_US);
  };
  const map = (data: Uint8Array, direction: 'to-device' | 'from-device'): DmaMapping => kernel.dma.map(dev!, data, direction);
  return { machine, kernel, violations, dev: dev!, begin, copy, map, [Symbol.asyncDispose]: () => kernel.stop() };
}

describe('a device behind the IOMMU', () => {
  test('copies by the addresses of its mappings', async () => {
    await using system = await copier();
    const { map, copy } = system;
    const source = map(Uint8Array.of(1, 2, 3, 4), 'to-device');
    const back = new Uint8Array(4);
    const dest = map(back, 'from-device');
    expect([source.address, dest.address]).toEqual([0x0fff_f000, 0x0fff_e000]);
    copy(source.address, EDU.BUFFER_BASE, 4);
    copy(EDU.BUFFER_BASE, dest.address, 4, START | FROM_DEVICE);
    expect([...back]).toEqual([0, 0, 0, 0]);
    dest.syncForCpu();
    expect([...back]).toEqual([1, 2, 3, 4]);
    expect([system.violations, system.machine.iommuFaults]).toEqual([[], []]);
  });

  test('that reads what was unmapped is reported, with who mapped and unmapped it', async () => {
    await using system = await copier();
    const { map, copy, violations } = system;
    const mapping = map(Uint8Array.of(1, 2, 3, 4), 'to-device');
    copy(mapping.address, EDU.BUFFER_BASE, 4);
    mapping.unmap();
    copy(mapping.address, EDU.BUFFER_BASE, 4);
    expect(violations).toEqual([
      {
        rule: 'use-after-unmap',
        dev: '0000:00:04.0',
        text:
          'DMA-SIM: use after unmap: copier 0000:00:04.0: read of 0xffff000 [device address=0x000000000ffff000] [size=4 bytes] ' +
          '[mapped by copier] [unmapped by copier]',
      },
    ]);
    // An address that never was one is a fault and no more.
    copy(0x1000, EDU.BUFFER_BASE, 4);
    expect([violations.length, system.machine.iommuFaults.length]).toEqual([1, 2]);
  });

  test('reaches what was unmapped until the flush where that is put off', async () => {
    await using system = await copier({ lazy: true });
    const { map, begin, copy, violations, machine } = system;
    const mapping = map(Uint8Array.of(1), 'to-device');
    copy(mapping.address, EDU.BUFFER_BASE, 1);
    begin(mapping.address, EDU.BUFFER_BASE, 1);
    machine.elapse(EDU.DMA_TIME_US - 1000);
    mapping.unmap();
    machine.elapse(1000);
    expect(violations).toEqual([]);
    // The flush comes by itself, 10 ms after the unmap.
    copy(mapping.address, EDU.BUFFER_BASE, 1);
    expect(violations.map(({ rule }) => rule)).toEqual(['use-after-unmap']);
  });

  test('does not write what it may only read, nor reach coherent memory after unbind', async () => {
    await using system = await copier();
    const { map, copy, violations, machine, kernel, dev } = system;
    const data = Uint8Array.of(1);
    copy(EDU.BUFFER_BASE, map(data, 'to-device').address, 1, START | FROM_DEVICE);
    expect([...data]).toEqual([1]);
    expect(machine.iommuFaults.map(({ reason }) => reason)).toEqual(['permission']);
    const buffer = kernel.dma.alloc(dev, 4096);
    expect(buffer.address).toBe(0x0fff_e000);
    buffer.write32(0, 0x1234);
    copy(buffer.address, EDU.BUFFER_BASE, 4);
    buffer.write32(0, 0);
    copy(EDU.BUFFER_BASE, buffer.address, 4, START | FROM_DEVICE);
    expect(buffer.read32(0)).toBe(0x1234);
    expect(violations).toEqual([]);
    await kernel.core.unbind(dev);
    expect(kernel.iommu.group(dev)!.defaultDomain!.mappedBytes).toBe(0);
  });
});
