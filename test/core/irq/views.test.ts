import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/index.js';
import { domainViews } from '../../../core/irq/domain-view.js';
import type { IrqDesc } from '../../../core/irq/index.js';
import { vectorsView } from '../../../core/irq/vector-view.js';
import { irqViews } from '../../../core/irq/views.js';
import { FakeDevice, MINI, type Scene, request, scene } from './platform.js';

/** What its device was told to write for an interrupt, as the message core keeps it. */
function slot(device: FakeDevice, desc: IrqDesc, index = desc.data.hwirq, virq = desc.virq, count = 1): void {
  desc.msi = { index, virq, count, msg: device.messages.get(index) };
}

/** The view of one interrupt. */
const view = ({ core }: Scene, { virq }: IrqDesc) => irqViews(core).find((one) => one.virq === virq)!;

describe('the view of an interrupt', () => {
  test('goes from the device to the CPU, through remapping', () => {
    const one = scene({ cpus: 2 });
    const device = new FakeDevice(one);
    const desc = device.alloc({ cpus: [1] });
    request(one, desc, [], { name: 'timer0' });
    desc.device = new Device({ name: '6a:01.0', release: () => {} });
    slot(device, desc);
    const shown = view(one, desc);
    expect(shown).toMatchObject({
      virq: desc.virq,
      device: '6a:01.0',
      handlers: ['timer0'],
      flow: 'edge',
      depth: 0,
      affinity: '1',
      effective: '1',
      slot: { index: 0, masked: false, pending: undefined },
      message: { addressHi: 0, meaning: { format: 'remappable', index: 0 } },
    });
    expect(shown.state).toEqual(expect.arrayContaining(['activated', 'started']));
    expect(shown.levels.map(({ domain, chip }) => [domain, chip])).toEqual([
      ['FAKE-MSI', 'FAKE-MSI'],
      ['INTEL-IR', 'INTEL-IR'],
      ['VECTOR', 'APIC'],
    ]);
    expect(shown.vectors).toEqual([{ cpu: 1, vector: 32 }]);
    expect(JSON.parse(JSON.stringify(shown))).toMatchObject({ virq: desc.virq });
  });

  test('takes a message to an APIC apart, where nothing is remapped', () => {
    const one = scene({ cpus: 2, platform: 'plain' });
    const device = new FakeDevice(one, 'pci-device-msix');
    const desc = device.alloc({ cpus: [1] });
    request(one, desc);
    slot(device, desc);
    expect(view(one, desc).message).toMatchObject({
      addressLo: 0xfee0_1000,
      data: 32,
      meaning: { format: 'compat', apicId: 1, vector: 32, delivery: 'fixed', trigger: 'edge' },
    });
  });

  test('counts the data up within a slot of several interrupts', () => {
    const one = scene();
    const device = new FakeDevice(one, 'pci-device-msi', { flags: ['multi-pci-msi'] });
    const first = device.alloc({ count: 2 });
    const second = one.core.descs[first.virq + 1]!;
    request(one, first);
    const [base] = [device.messages.get(0)!.data];
    for (const desc of [first, second]) slot(device, desc, 0, first.virq, 2);
    expect([first, second].map((desc) => view(one, desc).message!.data)).toEqual([base, base + 1]);
  });

  test('has no message before one is written, after it is taken back, and for what is none', () => {
    const one = scene();
    const device = new FakeDevice(one);
    const desc = device.alloc();
    expect(view(one, desc)).toMatchObject({ slot: undefined, message: undefined });
    desc.msi = { index: 7, virq: desc.virq, count: 1, msg: undefined };
    expect(view(one, desc)).toMatchObject({ slot: { index: 7, masked: true }, message: undefined });
    desc.msi = { index: 7, virq: desc.virq, count: 1, msg: { addressLo: 0, addressHi: 0, data: 0 } };
    expect(view(one, desc)).toMatchObject({ slot: { index: 7 }, message: undefined });
  });

  test('tells what the hardware says of each level, and nothing once that is gone', () => {
    const one = scene();
    const desc = new FakeDevice(one).alloc();
    let isGone = false;
    desc.data.chip = {
      name: 'SLOTS',
      getState: (_data, which) => {
        if (isGone) throw new Errno('ENODEV', '6a:01.0: is gone');
        return which === 'masked' ? true : which === 'pending' ? false : undefined;
      },
    };
    expect(view(one, desc).levels[0]).toMatchObject({ chip: 'SLOTS', masked: true, pending: false });
    expect(view(one, desc).levels[1]).toMatchObject({ masked: undefined, pending: undefined });
    isGone = true;
    expect(view(one, desc).levels[0]).toMatchObject({ chip: 'SLOTS', masked: undefined, pending: undefined });
  });

  test('names a disabled one that is pending', () => {
    const one = scene();
    const device = new FakeDevice(one);
    const desc = device.alloc();
    request(one, desc);
    one.irqs.disableNosync(desc.virq);
    one.irqs.disableNosync(desc.virq);
    device.fire(desc);
    one.core.windows.drain();
    const { state, depth } = view(one, desc);
    expect(depth).toBe(2);
    expect(state).toEqual(expect.arrayContaining(['disabled', 'masked', 'pending']));
  });
});

describe('the view of the vectors', () => {
  test('tells what each CPU has, and whose it is', () => {
    const one = scene({ cpus: 2 }, MINI);
    const device = new FakeDevice(one, 'pci-device-msix');
    const [first, second] = [device.alloc(), device.alloc({ cpus: [1], managed: true })];
    for (const desc of [first, second]) request(one, desc);
    device.alloc();
    expect(vectorsView(one.core)).toEqual({
      cpus: [
        {
          cpu: 0,
          online: true,
          vectors: [{ vector: 32, virq: first.virq }],
          counts: { available: 3, allocated: 1, managed: 0, managedAllocated: 0 },
        },
        {
          cpu: 1,
          online: true,
          vectors: [{ vector: 32, virq: second.virq }],
          counts: { available: 3, allocated: 1, managed: 1, managedAllocated: 1 },
        },
      ],
      totals: { available: 6, allocated: 2, reserved: 1, system: [] },
      unexpected: 0,
    });
    one.hw.raise(0, 35);
    one.core.windows.drain();
    expect(vectorsView(one.core).unexpected).toBe(1);
  });

  test('has no accounts where vectors are doorbells', () => {
    const one = scene({ platform: 'doorbell' });
    const desc = new FakeDevice(one, 'pci-device-msix').alloc();
    request(one, desc);
    const { cpus, totals } = vectorsView(one.core);
    expect(totals).toBeUndefined();
    expect(cpus).toMatchObject([{ cpu: 0, online: true, counts: undefined, vectors: [{ virq: desc.virq }] }]);
  });
});

describe('the view of the domains', () => {
  test('is a tree from the CPUs to the devices', () => {
    const one = scene();
    const device = new FakeDevice(one);
    const virqs = [device.alloc(), device.alloc()].map(({ virq }) => virq);
    const [root, ...others] = domainViews(one.core);
    expect(others).toEqual([]);
    expect(root).toMatchObject({ name: 'VECTOR', chips: ['APIC'], interrupts: 2, virqs: `${virqs[0]}-${virqs[1]}` });
    expect(root!.supports).not.toContain('ims');
    const [remap] = root!.children;
    expect(remap).toMatchObject({ name: 'INTEL-IR', supports: expect.arrayContaining(['ims', 'pci-msix']) });
    expect(remap!.children).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'FAKE-MSI', interrupts: 2, hwirqs: '0-1', supports: undefined, children: [] }),
        expect.objectContaining({ name: 'IR-IO-APIC', interrupts: 0, hwirqs: '', chips: [] }),
      ]),
    );
  });
});
