import { describe, expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { System } from '../../../core/index.js';
import { Edus } from '../../../drivers/edu/api.js';
import { edu as eduModel } from '../../../hw/models/edu.js';
import * as EDU from '../../../hw/regs/edu.js';
import edu from '../../../plugins/edu.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { complaints, eduScenarios, startWithout, strange } from './scenarios.js';

const chips = { msi: 'IR-PCI-MSI', intx: 'IR-IO-APIC' };
eduScenarios('the simulated machine', { make: (count) => hostSim({ edu: count }), chips });

describe('the edu driver when its device is pulled out', () => {
  test('its object is gone, and the next one that is plugged in works', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const old = system.get(Edus, 'edu0');
    const wait = old.copy(new Uint8Array(8));
    wait.catch(() => {});
    sim.yank('00:04.0');
    await system.core.settle();
    expect(system.list(Edus)).toEqual([]);
    await expect(wait).rejects.toThrow('ENODEV: edu0: is gone');
    sim.plug({ at: '00:06.0', model: eduModel() });
    await system.core.settle();
    expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
    expect(sim.guestErrors).toEqual([]);
    expect(sim.dmaFaults).toEqual([]);
  });

  test('silently, work ends with ETIMEDOUT and not never', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const dev = system.get(Edus, 'edu0');
    const removal = sim.yank('00:04.0', { silent: true });
    await expect(dev.factorial(5)).rejects.toThrow('ETIMEDOUT: 0000:00:04.0: command: no result within 1000000 us');
    expect(dev.isAlive()).toBe(false);
    removal.report();
    await system.core.settle();
    expect(() => dev.isAlive()).toThrow('ENODEV');
  });
});

describe('the edu driver when its device is pulled out as it interrupts', () => {
  test.each(['msi', 'intx'] as const)('by %s, nothing is asserted any more, and nobody is told of a result', async (kind) => {
    const sim = hostSim({ edu: 1 });
    await using system = await startWithout(sim, kind);
    await system.load(edu);
    const rules: string[] = [];
    system.core.violations.on(({ rule }) => rules.push(rule));
    const wait = system.get(Edus, 'edu0').factorial(5);
    wait.catch(() => {});
    let isOut = false;
    const pull = (): void => {
      if (isOut) return;
      isOut = true;
      sim.yank('00:04.0');
    };
    sim.onMessage(pull);
    sim.onLine((_who, asserted) => asserted && pull());
    await expect(wait).rejects.toThrow('ENODEV: edu0: is gone');
    await system.core.settle();
    expect([isOut, system.list(Edus), rules, sim.interrupts.lines.isAsserted(20)]).toEqual([true, [], [], false]);
  });
});

describe('the edu driver when it is unloaded in the middle of a transfer', () => {
  test('waits until the device is at rest: nothing is sent from or to memory that was given back', async () => {
    const sim = hostSim({ edu: 1 });
    await using system = await System.start(sim.plugin, edu);
    const dev = system.get(Edus, 'edu0');
    const lost = dev.copy(new Uint8Array(100)).catch((error: Error) => error.message);
    await sim.clock.sleep(50);
    const before = sim.clock.now();
    await system.unload('edu');
    expect(sim.clock.now() - before).toBeGreaterThan(50_000);
    await sim.clock.sleep(500_000);
    expect(sim.dmaFaults).toEqual([]);
    expect(await lost).toBe('ENODEV: edu0: is gone');
  });
});

describe('the edu driver when interrupts are not what they should be', () => {
  /** A system with one device, whose factorial takes so long, and the way to its registers past the driver. */
  async function started(factorialUs: number, kind: 'msi' | 'intx') {
    const sim = hostSim({ devices: [{ at: '00:04.0', model: eduModel({ factorialUs }) }] });
    const system = await startWithout(sim, kind);
    await system.load(edu);
    const pci = system.kernel.pci.find('0000:00:04.0')!;
    return { sim, system, pci, regs: strange(sim, pci), dev: system.get(Edus, 'edu0') };
  }

  test('finds out itself that a command is done whose message was lost, and goes by interrupts again', async () => {
    const { system, pci, dev } = await started(10, 'msi');
    await using _end = system;
    const control = PCI.inCap(pci.findCapability(PCI.CAP_MSI)!, PCI.MSI_CONTROL);
    const desc = system.kernel.irqs.desc(pci.irqVector(0));
    const computed = dev.factorial(5);
    // What the device raises now goes to its line, which it may not use.
    pci.config.modify(control, { enable: 0 });
    expect(await computed).toBe(120);
    expect([desc.total, complaints(system)]).toEqual([0, ['0000:00:04.0: lost_interrupt']]);
    pci.config.modify(control, { enable: 1 });
    expect(await dev.factorial(6)).toBe(720);
    expect([desc.total, complaints(system).length]).toEqual([1, 1]);
  });

  test('finds out itself what a line does not say that was disabled because of others', async () => {
    const { system, pci, dev } = await started(10, 'intx');
    await using _end = system;
    const virq = pci.irqVector(0);
    system.kernel.irqs.disableNosync(virq);
    expect(await dev.copy(Uint8Array.of(1, 2))).toEqual(Uint8Array.of(1, 2));
    expect(complaints(system)).toEqual(['0000:00:04.0: lost_interrupt', '0000:00:04.0: lost_interrupt']);
    system.kernel.irqs.enable(virq);
    expect(await dev.factorial(6)).toBe(720);
    expect(complaints(system)).toHaveLength(2);
  });

  test.each(['msi', 'intx'] as const)('an interrupt that comes late, by %s, does not end the next command', async (kind) => {
    const { sim, system, regs, dev } = await started(1000, kind);
    await using _end = system;
    const computed = dev.factorial(5);
    await sim.clock.sleep(100);
    regs.write32(EDU.IRQ_RAISE.offset, EDU.IRQ_FACTORIAL);
    expect(await computed).toBe(120);
    const copied = dev.copy(Uint8Array.of(1, 2, 3));
    await sim.clock.sleep(100);
    regs.write32(EDU.IRQ_RAISE.offset, EDU.IRQ_DMA | EDU.IRQ_FACTORIAL);
    expect(await copied).toEqual(Uint8Array.of(1, 2, 3));
    expect(complaints(system)).toEqual([]);
  });

  test('a command after one that took too long never gets its result', async () => {
    const { sim, system, dev } = await started(2_500_000, 'msi');
    await using _end = system;
    await expect(dev.factorial(5)).rejects.toThrow('ETIMEDOUT: 0000:00:04.0: command');
    await expect(dev.factorial(6)).rejects.toThrow('ETIMEDOUT: 0000:00:04.0: command');
    expect(await dev.copy(Uint8Array.of(4))).toEqual(Uint8Array.of(4));
    expect(sim.guestErrors).toEqual([]);
  });

  test('a device that is handed over while it computes does not interrupt the next driver', async () => {
    const { system, pci, dev } = await started(1000, 'intx');
    await using _end = system;
    const lost = dev.factorial(5).catch((error: Error) => error.message);
    await system.reload('edu');
    expect(await lost).toBe('ENODEV: edu0: is gone');
    expect([system.kernel.irqs.desc(pci.irqVector(0)).total, pci.config.readField(PCI.STATUS, PCI.STATUS.fields.intx)]).toEqual([
      0, 0,
    ]);
  });
});
