import { describe, expect, test } from 'vitest';
import { type Ims, type Irqs, imsArray } from '../../../core/index.js';
import { IMS_ADDRESS_LO, IMS_CONTROL, IMS_DATA, IMS_SLOT_BYTES } from '../../../core/hal/index.js';
import type { PciDevice, PciDriver } from '../../../core/pci/index.js';
import { DriverHarness, FakeHost, FakePciFunction, findRule } from '../../../core/testing/index.js';

const ID = { vendor: 0x1de5, device: 0x0003 };
const IMS = { offset: 0, slots: 4 };

/** One slot and its handler, and the line when there is a pin. */
class SlotDriver implements PciDriver<{ virq: number; count: number }> {
  readonly name = 'slot';
  readonly ids = [ID];

  constructor(
    private readonly ims: Ims,
    private readonly irqs: Irqs,
  ) {}

  probe(dev: PciDevice): { virq: number; count: number } {
    const { virq } = this.ims.createDomain(dev, imsArray(dev.mapBar(0), IMS)).alloc();
    const state = { virq, count: 0 };
    this.irqs.request(dev, virq, () => state.count++);
    if (dev.irq !== undefined) dev.requestIrq(0, () => state.count++, 'line');
    return state;
  }
}

function bench(interruptPin = 0) {
  const device = new FakePciFunction({ ...ID, interruptPin, bars: [{ sizeBytes: 4096 }] });
  const host = new FakeHost({ pci: [device] });
  const harness = new DriverHarness({ driver: ({ ims, irqs }) => new SlotDriver(ims, irqs), host: () => host });
  return { harness, host, device };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('interrupts of the fake host', () => {
  test('the test reads the message that the driver has put into the slot, and posts it as the device would', async () => {
    const { harness, host, device } = bench();
    await using _end = harness;
    const state = await harness.bind<{ count: number }>();
    const slot = device.bar(0);
    expect(slot.read32(IMS_CONTROL.offset)).toBe(0);
    expect(slot.read32(IMS_SLOT_BYTES + IMS_CONTROL.offset)).toBe(0);
    const msg = {
      addressLo: slot.read32(IMS_ADDRESS_LO.offset),
      addressHi: slot.read32(IMS_ADDRESS_LO.offset + 4),
      data: slot.read32(IMS_DATA.offset),
    };
    expect(host.interrupts.post(msg)).toBe(true);
    expect(state.count).toBe(0);
    await turn();
    expect(state.count).toBe(1);
    expect(host.interrupts.post({ ...msg, data: msg.data + 1 })).toBe(false);
  });

  test('after unbind nobody has the message, and the slot holds zeros and is masked', async () => {
    const { harness, host, device } = bench();
    await using _end = harness;
    await harness.bind();
    const { addressLo, data } = { addressLo: device.bar(0).read32(0), data: device.bar(0).read32(8) };
    await harness.unbind();
    expect(host.interrupts.messagesInUse).toBe(0);
    expect(host.interrupts.post({ addressLo, addressHi: 0, data })).toBe(false);
    expect([0, 4, 8, 12].map((offset) => device.bar(0).read32(offset))).toEqual([0, 0, 0, 1]);
  });

  test('deliver raises an interrupt by its number, and its handler has run when it returns', async () => {
    const { harness } = bench();
    await using _end = harness;
    const state = await harness.bind<{ virq: number; count: number }>();
    harness.deliver(state.virq);
    expect(state.count).toBe(1);
    expect(() => harness.deliver(99)).toThrow('EINVAL: irq 99: no such interrupt');
  });

  test('a line interrupts while it is asserted', async () => {
    const { harness, host } = bench(1);
    await using _end = harness;
    const state = await harness.bind<{ count: number }>();
    host.interrupts.setLine(17, true);
    host.interrupts.setLine(17, false);
    await turn();
    expect(state.count).toBe(1);
    expect(() => host.interrupts.setLine(32, true)).toThrow('ERANGE: fake: line is 32');
  });

  test('failEach makes domain, slot and request fail, and each leaves nothing', async () => {
    const { harness } = bench();
    await using _end = harness;
    const fresh = () => new FakeHost({ pci: [new FakePciFunction({ ...ID, bars: [{ sizeBytes: 4096 }] })] });
    const again = new DriverHarness({ driver: ({ ims, irqs }) => new SlotDriver(ims, irqs), host: fresh });
    expect(await again.failEach()).toEqual(['bar 0', 'ims domain', 'ims slot', 'irq 32']);
    expect((await again.removeAnywhere()).length).toBeGreaterThan(10);
  });

  test('an interrupt that is in no ledger is a leak, by its number', async () => {
    const { harness } = bench();
    await harness.bind();
    await harness.unbind();
    const { core } = harness.kernel.irqs;
    const virq = core.allocDescs(1, {});
    expect(harness.leaks()).toMatchObject([{ owner: '0000:00:01.0', what: `irq ${virq}` }]);
    core.freeDescs(virq, 1);
    await harness[Symbol.asyncDispose]();
  });

  test('a handler that sleeps breaks a rule that is described', async () => {
    const { harness } = bench();
    await using _end = harness;
    await harness.bind();
    const { irqs, clock } = harness.kernel;
    const { virq: other } = harness.kernel.msi.domain(harness.device, 'secondary')!.alloc();
    irqs.request(harness.device, other, () => void clock.sleep(1));
    await harness.expectViolation('sleep-in-interrupt', () => harness.deliver(other));
    expect(findRule('sleep-in-interrupt')?.bad).toContain('async');
  });
});
