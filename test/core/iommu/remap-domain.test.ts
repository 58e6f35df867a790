import { describe, expect, test } from 'vitest';
import { unpackIrte } from '../../../core/hal/index.js';
import { CpuMask } from '../../../core/irq/index.js';
import { activateDesc } from '../../../core/irq/control.js';
import * as S from '../../../core/irq/state.js';
import type { IrqTraceName } from '../../../core/irq/trace.js';
import { FakeDevice, REQUESTER, type Scene, place, release, request, scene } from '../irq/platform.js';

const entry = (s: Scene, index: number) => unpackIrte(s.hw.unit!.entry(index));

describe('RemapDomain', () => {
  test('an entry is written at the request, and is zero again after the release', () => {
    const s = scene();
    const desc = new FakeDevice(s).alloc({ cpus: [2] });
    expect(entry(s, 0)?.present).toBe(false);
    const action = request(s, desc);
    expect(entry(s, 0)).toMatchObject({ present: true, posted: false, vector: 0x20, destination: 2, level: false, delivery: 0 });
    release(action);
    expect([...s.hw.unit!.entry(0)]).toEqual([0, 0, 0, 0]);
  });

  test('the message names the entry, and an interrupt takes its way to the handler', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    dev.alloc();
    const desc = dev.alloc({ cpus: [3] });
    const heard: number[] = [];
    request(s, desc, heard);
    expect(dev.messages.get(1)).toEqual({ addressLo: 0xfee0_0038, addressHi: 0, data: 0 });
    dev.fire(desc);
    s.core.windows.drain();
    expect([heard, desc.countOn(3), s.hw.inService(3)]).toEqual([[desc.virq], 1, 0]);
  });

  test('C-127 an entry takes messages of its own requester alone, and what is refused is logged and kept', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc();
    const heard: number[] = [];
    request(s, desc, heard);
    expect(entry(s, 0)).toMatchObject({ check: 'all', sourceId: REQUESTER });
    s.hw.message(0x6a09, dev.messages.get(0)!);
    s.core.windows.drain();
    expect(heard).toEqual([]);
    expect(s.platform.faults).toMatchObject([{ requesterId: 0x6a09, index: 0, reason: 'wrong requester' }]);
    expect(s.log('remap_fault')).toEqual(['interrupt message 0x0 to 0xfee00018 for entry 0 refused: wrong requester']);
    expect(s.device.log.records().at(-1)?.who).toBe('0000:6a:01.1');
  });

  test('of very many refused messages the last 256 are kept', () => {
    const s = scene();
    for (let n = 0; n < 300; n++) s.hw.message(n, { addressLo: 0xfee0_0000, addressHi: 0, data: 0x20 });
    expect([s.platform.faults.length, s.platform.faults[0]?.requesterId]).toEqual([256, 44]);
  });

  test('without a requester nothing is verified', () => {
    const s = scene();
    const { root, msiParent } = s.platform;
    const info = { kind: 'msix' as const, hwirq: 0, requesterId: undefined, device: undefined, desc: undefined };
    const virq = msiParent!.allocIrqs(1, info);
    activateDesc(s.core.descs[virq]!, false);
    expect([entry(s, 0)?.check, root?.size]).toEqual(['none', 1]);
  });

  test('C-031 a full table gives ENOMEM, and nothing is left at the levels below', () => {
    const s = scene({ entries: 2 });
    const dev = new FakeDevice(s);
    const first = dev.alloc();
    dev.alloc();
    expect(() => dev.alloc()).toThrow(/^ENOMEM: .*no 1 remapping entries in a row are left: 2 of 2 are in use/);
    expect([s.core.count, s.platform.matrix?.reserved]).toEqual([2, 2]);
    dev.free(first);
    expect(dev.alloc().data.parent?.hwirq).toBe(0);
  });

  test('C-033 the table of one unit is full at 65,536', () => {
    const s = scene({ entries: 65_536, cpus: 1 });
    const dev = new FakeDevice(s);
    for (let n = 0; n < 65_536; n++) dev.alloc();
    expect(() => dev.alloc()).toThrow(/^ENOMEM: .*65536 of 65536 are in use/);
  });

  test('several messages of one capability have a block of entries to themselves', () => {
    const s = scene();
    const dev = new FakeDevice(s, 'pci-device-msi', { flags: ['multi-pci-msi'] });
    expect(dev.draft.flags.has('multi-pci-msi')).toBe(true);
    dev.alloc();
    const desc = dev.alloc({ count: 3 });
    const all = [0, 1, 2].map((n) => s.core.descs[desc.virq + n]!);
    expect(all.map(({ data }) => data.parent?.hwirq)).toEqual([4 * 65_536, 4 * 65_536 + 1, 4 * 65_536 + 2]);
    // The device could send a fourth: that entry is nobody else's.
    expect([dev.alloc(), dev.alloc(), dev.alloc(), dev.alloc()].map(({ data }) => data.parent!.hwirq / 65_536)).toEqual([
      1, 2, 3, 8,
    ]);
    dev.irqDomain.freeIrqs(desc.virq, 3);
    expect(dev.alloc({ count: 4 }).data.parent?.hwirq).toBe(4 * 65_536);
    expect(() => new FakeDevice(s, 'pci-device-msix').alloc({ count: 2 })).toThrow(/^EINVAL: .*MSI alone/);
  });

  test('C-104 a move rewrites the entry and not the device, and the old vector goes at the next tick', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc({ cpus: [0] });
    const heard: number[] = [];
    request(s, desc, heard);
    dev.done.length = 0;
    s.irqs.setAffinity(desc.virq, [2]);
    expect(entry(s, 0)).toMatchObject({ vector: 0x20, destination: 2 });
    expect([dev.done, place(s, desc), s.platform.matrix?.cpu(0).allocated]).toEqual([[], '2:32', 1]);
    s.hw.raise(0, 32);
    s.clock.elapse(1000);
    expect(s.platform.matrix?.cpu(0).allocated).toBe(1);
    s.core.windows.drain();
    s.clock.elapse(1000);
    expect([heard.length, s.platform.matrix?.cpu(0).allocated, s.core.vector(0, 32)]).toEqual([1, 0, undefined]);
  });

  test('C-103 a move before the last is over waits for the next interrupt', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    s.irqs.setAffinity(desc.virq, [1]);
    s.irqs.setAffinity(desc.virq, [2]);
    expect([place(s, desc), desc.affinityPending]).toEqual(['1:32', true]);
    s.clock.elapse(1000);
    dev.fire(desc);
    s.core.windows.drain();
    expect([place(s, desc), desc.affinityPending]).toEqual(['2:32', false]);
  });

  test('an affinity that changes nothing writes nothing', () => {
    const s = scene();
    const desc = new FakeDevice(s).alloc({ cpus: [0] });
    request(s, desc);
    const before = s.hw.unit!.writes.length;
    s.irqs.setAffinity(desc.virq, [0, 1]);
    expect([s.hw.unit!.writes.length, String(desc.affinity)]).toEqual([before, '0-1']);
  });

  test('C-051 activated early it names the placeholder on the first CPU, and the vector comes with the request', () => {
    const s = scene();
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [1] });
    activateDesc(desc, true);
    desc.state &= ~S.ACTIVATED;
    expect(entry(s, 0)).toMatchObject({ present: true, vector: 0xef, destination: 0 });
    expect([s.platform.matrix?.reserved, s.platform.matrix?.totalAllocated]).toEqual([1, 0]);
    request(s, desc);
    expect(entry(s, 0)).toMatchObject({ vector: 0x20, destination: 1 });
  });

  test('C-126 an interrupt is posted to a guest and taken back, and moves meanwhile unseen', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc({ cpus: [0] });
    const heard: number[] = [];
    request(s, desc, heard);
    s.irqs.setVcpuAffinity(desc.virq, { descriptor: 0x1_2345_6780, vector: 0x51 });
    expect(entry(s, 0)).toMatchObject({
      posted: true,
      descriptor: 0x1_2345_6780,
      vector: 0x51,
      urgent: false,
      check: 'all',
      sourceId: REQUESTER,
    });
    s.irqs.setAffinity(desc.virq, [3]);
    dev.fire(desc);
    s.core.windows.drain();
    expect([s.hw.unit!.posted, heard]).toEqual([[[0x1_2345_6780, 0x51]], []]);
    s.irqs.setVcpuAffinity(desc.virq, undefined);
    expect(entry(s, 0)).toMatchObject({ posted: false, vector: 0x20, destination: 3 });
    dev.fire(desc);
    s.core.windows.drain();
    expect([heard.length, desc.countOn(3)]).toEqual([1, 1]);
  });

  test('what is not active has an entry only while it is posted', () => {
    const s = scene();
    const { virq } = new FakeDevice(s).alloc();
    s.irqs.setVcpuAffinity(virq, undefined);
    expect(s.hw.unit!.writes).toEqual([]);
    s.irqs.setVcpuAffinity(virq, { descriptor: 0x40, vector: 1, urgent: true });
    expect(entry(s, 0)).toMatchObject({ present: true, posted: true, urgent: true });
    s.irqs.setVcpuAffinity(virq, undefined);
    expect([...s.hw.unit!.entry(0)]).toEqual([0, 0, 0, 0]);
  });

  test('an interrupt that is released while it is posted is a violation, and its entry is cleared', () => {
    const s = scene();
    const desc = new FakeDevice(s).alloc();
    const action = request(s, desc);
    s.irqs.setVcpuAffinity(desc.virq, { descriptor: 0x40, vector: 1 });
    release(action);
    expect([s.violations, entry(s, 0)?.present]).toEqual([['posted-at-deactivation'], false]);
  });

  test('C-139 where nothing posts, it is ENOSYS, and EINVAL for a number without an interrupt', () => {
    const guest = { descriptor: 0x40, vector: 1 };
    for (const platform of ['virtual', 'plain'] as const) {
      const s = scene({ platform });
      const desc = new FakeDevice(s, 'pci-device-msix').alloc();
      request(s, desc);
      expect(() => s.irqs.setVcpuAffinity(desc.virq, guest)).toThrow(/^ENOSYS/);
      expect(() => s.irqs.setVcpuAffinity(999, guest)).toThrow(/^EINVAL/);
    }
  });

  test('a unit without 32-bit ids has its destination in the second byte, and CPUs above 254 are out of reach', () => {
    const s = scene({ cpus: 300, x2apic: false });
    const desc = new FakeDevice(s).alloc({ cpus: [5] });
    request(s, desc);
    expect(entry(s, 0)).toMatchObject({ destination: 0x500 });
    expect(() => s.irqs.setAffinity(desc.virq, [260])).toThrow(/^ENOSPC: .*messages cannot name CPUs 260/);
    const wide = scene({ cpus: 300 });
    const far = new FakeDevice(wide).alloc({ cpus: [260] });
    request(wide, far);
    expect(entry(wide, 0)).toMatchObject({ destination: 260 });
  });

  test('C-001 devices may have IMS, and messages that never change', () => {
    const { msiParent } = scene().platform;
    expect(msiParent).toMatchObject({ busToken: 'dmar', isolatedMsi: true, msiParent: { prefix: 'IR-', constantMessage: true } });
    expect(msiParent?.msiParent?.supported.has('ims')).toBe(true);
    const dev = new FakeDevice(scene(), 'device-ims', { flags: ['ims', 'msix-contiguous'] });
    expect([...dev.draft.flags].sort()).toEqual(['ims', 'use-def-chip-ops', 'use-def-dom-ops']);
    expect(dev.draft.chip.setAffinity).toBeUndefined();
  });

  test('a unit that a hypervisor emulates has no IMS, and MSI-X all the same', () => {
    const s = scene({ platform: 'virtual' });
    expect(s.platform.msiParent?.msiParent?.prefix).toBe('vIR-');
    expect(() => new FakeDevice(s)).toThrow(/a hypervisor's.*: use MSI-X$/);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc();
    const heard: number[] = [];
    request(s, desc, heard);
    dev.fire(desc);
    s.core.windows.drain();
    expect(heard).toHaveLength(1);
  });

  test('the trace tells each entry that is written', () => {
    const s = scene();
    const seen: string[] = [];
    s.core.tracer = {
      event: (name: IrqTraceName, cpu, virq, vector, _who, detail) =>
        void (name === 'irte_write' && seen.push(`${cpu} ${virq} ${vector} ${detail}`)),
    };
    const desc = new FakeDevice(s).alloc({ cpus: [1] });
    request(s, desc);
    s.irqs.setAffinity(desc.virq, CpuMask.of(2));
    expect(seen).toEqual(['1 24 32 index=0 remapped', '2 24 32 index=0 remapped']);
  });
});
