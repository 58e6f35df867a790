import { describe, expect, test } from 'vitest';
import { FakeDevice, release, request, scene } from './platform.js';

const DOORBELL = { platform: 'doorbell', doorbells: 2 } as const;

describe('createDoorbellDomain', () => {
  test.each(['pci-device-msi', 'pci-device-msix', 'pci-device-ims', 'device-ims'] as const)('%s rings and is heard', (token) => {
    const s = scene(DOORBELL);
    const dev = new FakeDevice(s, token);
    dev.alloc();
    const desc = dev.alloc();
    const heard: number[] = [];
    request(s, desc, heard);
    expect(dev.messages.get(1)).toEqual({ addressLo: 0x1000_0004, addressHi: 0, data: 2 });
    dev.fire(desc);
    s.core.windows.drain();
    expect([heard, desc.total]).toEqual([[desc.virq], 1]);
  });

  test('with all doorbells taken it is ENOSPC with nothing left, and a freed one is given again', () => {
    const s = scene(DOORBELL);
    const dev = new FakeDevice(s, 'pci-device-msi', { flags: ['multi-pci-msi'] });
    const first = dev.alloc();
    expect(() => dev.alloc({ count: 2 })).toThrow(/^ENOSPC: .*all 2 doorbells are in use/);
    dev.alloc();
    expect(() => dev.alloc()).toThrow(/^ENOSPC/);
    dev.free(first);
    expect([s.core.vector(0, 0), s.core.count]).toEqual([undefined, 1]);
    expect(dev.alloc().data.parent?.hwirq).toBe(0);
  });

  test('what rings after the release is nobody’s', () => {
    const s = scene(DOORBELL);
    const dev = new FakeDevice(s);
    const desc = dev.alloc();
    const heard: number[] = [];
    release(request(s, desc, heard));
    s.hw.raise(0, 0);
    s.core.windows.drain();
    dev.free(desc);
    s.hw.raise(0, 0);
    s.core.windows.drain();
    expect([heard, s.core.unexpectedCount]).toEqual([[], 1]);
  });

  test('it cannot go to another CPU, and its message does not change', () => {
    const s = scene(DOORBELL);
    const dev = new FakeDevice(s);
    const desc = dev.alloc();
    request(s, desc);
    dev.done.length = 0;
    s.irqs.setAffinity(desc.virq, [0]);
    expect([dev.done, String(desc.effective)]).toEqual([[], '0']);
    expect(() => s.irqs.setAffinity(desc.virq, [1])).toThrow(/^EINVAL/);
  });

  test('raised by software it rings', () => {
    const s = scene(DOORBELL);
    const desc = new FakeDevice(s).alloc();
    const heard: number[] = [];
    request(s, desc, heard);
    s.irqs.inject(desc.virq);
    s.core.windows.drain();
    expect(heard).toHaveLength(1);
  });

  test('it supports IMS and no blocks, and says so by its flags', () => {
    const { msiParent } = scene(DOORBELL).platform.msiParent!;
    expect([msiParent?.prefix, msiParent?.constantMessage, msiParent?.supported.has('ims')]).toEqual(['DB-', true, true]);
    const dev = new FakeDevice(scene(DOORBELL), 'pci-device-msi', { flags: ['multi-pci-msi', 'activate-early'] });
    expect([...dev.draft.flags].sort()).toEqual(['activate-early', 'use-def-chip-ops', 'use-def-dom-ops']);
  });
});
