import { describe, expect, test } from 'vitest';
import { Kernel } from '../../../core/kernel.js';
import { imsArray } from '../../../core/msi/index.js';
import { PlatformDevice, type PlatformOptions } from '../../../core/platform/index.js';
import { Machine, type MachineOptions } from '../../../hw/sim/index.js';
import { type Scratch, platformScratch } from '../../hw/sim/fixture.js';

const AT = 0xf000_0000;

/** A system with one device at {@link AT} whose interrupt is wired to line 9. */
async function started(machineOptions: MachineOptions = {}, options: Partial<PlatformOptions> = {}) {
  const kind = platformScratch();
  const machine = new Machine({ postedWrites: false, ...machineOptions, devices: [{ at: AT, model: kind, line: 9 }] });
  const kernel = new Kernel(machine);
  await kernel.start();
  const resources = [
    { kind: 'mem', start: AT, sizeBytes: 4096 },
    { kind: 'irq', start: 9, sizeBytes: 1, name: 'tick' },
  ] as const;
  const dev = new PlatformDevice({ name: 'ticker', resources, ...options });
  await kernel.platform.register({ name: 'ticker', probe: () => {} });
  await kernel.platform.add(dev);
  const model: Scratch = kind.made[0]!;
  return { kernel, machine, dev, model, [Symbol.asyncDispose]: () => kernel.stop() };
}

describe('the interrupt of a platform device', () => {
  test('is that of its line, by index or name, and is requested until unbind', async () => {
    await using system = await started();
    const { dev, kernel, model } = system;
    let came = 0;
    const irq = dev.requestIrq('tick', () => {
      came++;
      model.context.irq.intx(false);
    });
    expect([irq.virq, dev.irq(0), dev.devres.entries().map((entry) => entry.label)]).toEqual([9, 9, ['irq 9']]);
    model.context.irq.intx(true);
    kernel.irqs.drain();
    expect(came).toBe(1);
    await kernel.core.unbind(dev);
    expect(irq.held).toBe(false);
  });

  test('is ENXIO when there is none, or the host has no such line', async () => {
    await using system = await started({}, { resources: [{ kind: 'irq', start: 99, sizeBytes: 1 }] });
    const { dev } = system;
    expect(() => dev.irq(1)).toThrow('ENXIO: ticker: irq 1 not found');
    expect(() => dev.requestIrq(0, () => {})).toThrow('ENXIO: ticker: irq 0: irq: line is 99');
  });

  test('may be a message: its requester id is what the host tells of its address', async () => {
    await using system = await started();
    const { dev, kernel, machine, model } = system;
    expect(dev.requesterId).toBe(machine.requesterId(AT));
    const slots = kernel.ims.createDomain(dev, imsArray(dev.mapMem(0), { offset: 0, slots: 2 }));
    let came = 0;
    kernel.irqs.request(dev, slots.alloc().virq, () => came++);
    const { addressLo, addressHi, data } = slots.message(0)!;
    model.context.irq.post(addressLo, addressHi, data);
    kernel.irqs.drain();
    expect([came, machine.remapFaults]).toEqual([1, []]);
  });
});
