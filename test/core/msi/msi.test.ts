import { describe, expect, test } from 'vitest';
import type { IrqData, MsiFlag } from '../../../core/irq/index.js';
import { Msi, type MsiDomain, type MsiDomainSpec, type MsiMap, type MsiTemplate } from '../../../core/msi/index.js';
import { Errno } from '../../../core/lib/index.js';
import { REQUESTER } from '../irq/platform.js';
import { D, RecordingStore, code, deviceIn, inner, msiScene, pair, parentWith, template } from './fixture.js';

const spec = (t: MsiTemplate, more: Partial<MsiDomainSpec> = {}): MsiDomainSpec => ({
  id: 'secondary',
  template: t,
  size: 4,
  label: 'domain',
  slotLabel: 'slot',
  ...more,
});

/** Creates a domain of the scene's device under a parent whose contract is partly replaced. */
function under(ops: Parameters<typeof parentWith>[1]) {
  const scene = msiScene();
  const domain = parentWith(scene, ops);
  const msi = new Msi(scene.core, () => ({ domain, requesterId: REQUESTER }));
  return { ...scene, msi };
}

describe('a template', () => {
  test("C-005 of PCI's tokens is no IMS template", () => {
    const { msi, dev } = msiScene();
    expect(() => msi.createDomain(dev, spec(template({ busToken: 'any' })))).toThrow(/EOPNOTSUPP: .*no messages for bus any/);
    expect([msi.domains(dev), dev.devres.size]).toEqual([[], 0]);
  });

  test.each([
    ['no mask', template({ chip: { mask: undefined as never } })],
    ['no unmask', template({ chip: { unmask: undefined as never } })],
    ['no writeMsiMsg', template({ chip: { writeMsiMsg: undefined as never } })],
    ['lacks the flag alloc-simple-msi-descs', template({ flags: ['free-msi-descs', 'ims'] })],
    ['lacks the flag free-msi-descs', template({ flags: ['alloc-simple-msi-descs', 'ims'] })],
    ['has setAffinity', template({ chip: { setAffinity: () => 'ok' } })],
  ])('that %s is EINVAL', (reason, bad) => {
    const { msi, dev } = msiScene();
    expect(() => msi.createDomain(dev, spec(bad))).toThrow(reason);
    expect(code(() => msi.createDomain(dev, spec(bad)))).toBe('EINVAL');
  });

  test('C-012 is copied for each device, and stays as it is', () => {
    const { msi, dev, core, ...scene } = msiScene();
    const own = template();
    const before = Object.keys(own.chip);
    const [a, b] = [msi.createDomain(dev, spec(own)), msi.createDomain(deviceIn({ ...scene, core }, 'e'), spec(own))];
    const chips = [a.alloc(), b.alloc()].map(({ virq }) => core.descs[virq]!.chip);
    expect(chips.map(({ name }) => name)).toEqual([`IR-PCI-IDXD-${D}`, 'IR-PCI-IDXD-e']);
    expect(chips[0]).not.toBe(chips[1]);
    for (const callback of ['ack', 'retrigger', 'setAffinity'] as const) expect(chips[0]![callback]).toBeTypeOf('function');
    expect([Object.keys(own.chip), own.chip.name]).toEqual([before, 'PCI-IDXD']);
  });

  test("C-013 need not name the flag of IMS: the parent's decides", () => {
    const { msi, dev } = msiScene();
    expect(pair(msi.createDomain(dev, spec(template({ flags: ['alloc-simple-msi-descs', 'free-msi-descs'] }))).alloc())).toEqual([
      0, 24,
    ]);
  });

  test('C-014 gets the flags that its parent supports, and the defaults', () => {
    const { msi, dev } = msiScene();
    const flags: MsiFlag[] = ['alloc-simple-msi-descs', 'free-msi-descs', 'ims', 'level-capable', 'dev-sysfs'];
    const domain = msi.createDomain(dev, spec(template({ flags })));
    expect(flags.filter((flag) => !domain.flags.has(flag))).toEqual(['level-capable']);
    expect([domain.flags.has('use-def-dom-ops'), domain.flags.has('use-def-chip-ops')]).toEqual([true, true]);
  });

  test("C-016 has its prepare replaced by the parent's, which runs once for the domain", () => {
    const calls: string[] = [];
    const ops = { prepare: () => void calls.push('own'), teardown: () => void calls.push('teardown') };
    const a = under({ prepare: (domain) => void calls.push(`parent ${domain.name}`) });
    const domain = a.msi.createDomain(a.dev, spec(template({ ops })));
    domain.allocRange(0, 2);
    domain.remove();
    expect(calls.splice(0)).toEqual([`parent IR-PCI-IDXD-${D}`, 'teardown']);
    // The parents of x86 have one that does nothing.
    const b = msiScene();
    b.msi.createDomain(b.dev, spec(template({ ops }))).allocRange(0, 2);
    expect(calls).toEqual([]);
  });

  test('C-039 whose parent cannot prepare is not created (the rule of 7.2)', () => {
    const scene = under({
      prepare: () => {
        throw new Errno('EINVAL', 'no such device');
      },
    });
    const domains = scene.core.domains.size;
    expect(code(() => scene.msi.createDomain(scene.dev, spec(template())))).toBe('EINVAL');
    expect([scene.msi.domains(scene.dev), scene.core.domains.size, scene.dev.devres.size]).toEqual([[], domains, 0]);
  });

  test('has its interrupts numbered by index, unless it numbers them itself; C-028 twice the same is ENOSPC for EEXIST', () => {
    const { msi, dev, core } = msiScene();
    const hwirqs = (domain: MsiDomain): number[] => domain.irqDomain.mappings().map(([hwirq]) => hwirq);
    const plain = msi.createDomain(dev, spec(template(), { id: 'a' }));
    plain.allocAt(3);
    const ops = { prepareDesc: ({ index }: { index: number }, info: { hwirq: number }) => void (info.hwirq = 0x100 + index) };
    const own = msi.createDomain(dev, spec(template({ ops }), { id: 'b' }));
    own.allocRange(1, 2);
    expect([hwirqs(plain), hwirqs(own)]).toEqual([[3], [0x101, 0x102]]);

    const none = { setDesc: (_desc: object, info: { hwirq: number }) => void (info.hwirq = 0) };
    const clash = msi.createDomain(dev, spec(template({ ops: none }), { id: 'c' }));
    clash.alloc();
    const alloc = (): MsiMap => clash.alloc();
    expect([hwirqs(clash), code(alloc), inner(alloc), clash.count]).toEqual([[0], 'ENOSPC', 'EEXIST', 1]);
    expect(core.count).toBe(4);
  });
});

describe('a move to another CPU', () => {
  /** The writes to a slot at request and at a move, under a parent. */
  function writes(scene: ReturnType<typeof under>, busLock = false): string[] {
    const store = new RecordingStore();
    const chip = {
      name: 'X',
      mask() {},
      unmask() {},
      writeMsiMsg: (data: IrqData, msg: Parameters<RecordingStore['writeMsg']>[1]) => store.writeMsg(data.hwirq, msg),
      ...(busLock ? { busLock() {}, busSyncUnlock() {} } : {}),
    };
    const domain = scene.msi.createDomain(scene.dev, spec(template({ chip })));
    const handle = scene.irqs.request(scene.dev, domain.alloc().virq, () => {});
    handle.setAffinity([2]);
    expect(String(handle.effectiveAffinity)).toBe('2');
    return store.done;
  }

  test('C-048 is not written to a device whose message does not change', () => {
    expect(writes(msiScene(), true)).toEqual(['write 0 fee00018/0']);
  });

  test('is a new message under a parent that says so', () => {
    expect(writes(under({ constantMessage: false, initDeviceDomain: () => undefined })).length).toBeGreaterThan(1);
  });

  test('C-048 is why such a parent offers no IMS behind a bus lock', () => {
    expect(() => writes(under({ constantMessage: false, initDeviceDomain: () => undefined }), true)).toThrow(
      /EOPNOTSUPP: .*outside the bus lock that this store needs: use MSI-X/,
    );
  });
});

describe('a domain of PCI', () => {
  const pci = (more: Partial<MsiTemplate> = {}): MsiTemplate =>
    template({
      busToken: 'pci-device-msix',
      flags: ['activate-early', 'must-reactivate', 'free-msi-descs', 'pci-msix'],
      ...more,
    });

  test('C-051 writes a message early, holds a placeholder, and takes the vector at the request', () => {
    const { msi, dev, irqs, hw, platform } = msiScene();
    const domain = msi.createDomain(dev, spec(pci(), { id: 'default' }));
    const { virq } = domain.alloc();
    const vector = (): number => (hw.unit!.entry(0)[0]! >>> 16) & 0xff;
    expect([domain.message(0)!.addressLo, vector(), irqs.desc(virq).activated]).toEqual([0xfee0_0018, 0xef, false]);
    const handle = irqs.request(dev, virq, () => {});
    expect([vector(), irqs.desc(virq).activated, platform.matrix!.reserved]).toEqual([0x20, true, 0]);
    // Released, it gives the vector back, unlike IMS.
    void handle.free();
    expect(platform.matrix!.reserved).toBe(1);
  });

  test('takes the vector at once when the device cannot mask', () => {
    const { msi, dev, irqs, platform } = msiScene();
    const ops = { prepareDesc: (desc: { canMask: boolean }) => void (desc.canMask = false) };
    const { virq } = msi.createDomain(dev, spec(pci({ ops }), { id: 'default' })).alloc();
    expect([irqs.desc(virq).activated, platform.matrix!.reserved]).toEqual([true, 0]);
  });

  test('has several interrupts at one index, and one message for them', () => {
    const { msi, dev, irqs, fire } = msiScene();
    const written: number[] = [];
    const chip = { writeMsiMsg: (data: IrqData) => void written.push(data.virq) };
    const t = pci({
      busToken: 'pci-device-msi',
      flags: ['activate-early', 'must-reactivate', 'multi-pci-msi', 'free-msi-descs'],
      chip: { ...template().chip, ...chip },
    });
    const domain = msi.createDomain(dev, spec(t, { id: 'default', slotLabel: 'msi' }));
    const map = domain.allocMulti(4);
    const heard: number[] = [];
    for (let n = 0; n < 4; n++) irqs.request(dev, map.virq + n, (virq) => heard.push(virq));
    const msg = domain.message(0)!;
    for (let n = 0; n < 4; n++) fire({ ...msg, data: msg.data + n });
    expect([pair(map), heard, new Set(written)]).toEqual([[0, 24], [24, 25, 26, 27], new Set([24])]);
    expect(code(() => domain.free(map))).toBe('EBUSY');
    void dev.devres.releaseAll();
    expect(irqs.list()).toEqual([]);
  });

  test('waits in managed shutdown for the CPUs that it is for', () => {
    const { msi, dev, irqs, core } = msiScene();
    core.cpus.online = core.cpus.online.minus(3);
    const domain = msi.createDomain(dev, spec(pci({ flags: ['activate-early', 'free-msi-descs'] }), { id: 'default' }));
    const { virq } = domain.alloc({ affinity: { mask: core.cpus.possible.without(core.cpus.online), managed: true } });
    expect([irqs.desc(virq).managedShutdown, irqs.desc(virq).activated]).toEqual([true, false]);
  });
});

describe('default and secondary domain', () => {
  test('C-054 have indices of their own', () => {
    const { msi, ims, dev } = msiScene();
    const table = msi.createDomain(dev, spec(template({ busToken: 'pci-device-msix' }), { id: 'default' }));
    const store = ims.createDomain(dev, new RecordingStore());
    const maps = [...table.allocRange(0, 2), ...store.allocRange(0, 1)];
    expect(maps.map(pair)).toEqual([
      [0, 24],
      [1, 25],
      [2, 26],
      [0, 27],
      [1, 28],
    ]);
    table.freeAll();
    expect([msi.lookup(dev, 'default', 0), msi.lookup(dev, 'secondary', 0)]).toEqual([0, 27]);
    table.remove();
    expect([msi.domains(dev), store.count]).toEqual([[store], 2]);
  });
});
