import { describe, expect, test } from 'vitest';
import { type IrqChip, IrqDomain, type IrqDomainOps, Msi, type MsiFlag, type MsiParentOps, PCI } from '../../core/index.js';
import { AT, Bench, Table, array, codeOf, names, plainStore, thrown } from './interrupts-bench.js';

describe('A: the domains of a device, and who decides that there can be one', () => {
  test('C-001 an IMS domain is made on an idle device, and its MSI and MSI-X are not touched', async () => {
    await using bench = await Bench.start({ card: { msi: {}, msix: 8, pin: true } });
    const { space } = bench.card.context.endpoint;
    const written: string[] = [];
    for (const [what, id] of [
      ['msi', PCI.CAP_MSI],
      ['msix', PCI.CAP_MSIX],
    ] as const) {
      space.onWrite(bench.dev.findCapability(id)!, 12, () => written.push(what));
    }
    const before = bench.dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.intxDisable);
    const domain = bench.domain(array());
    expect([domain.size, domain.id, domain.name]).toEqual([4, 'secondary', `IR-PCI-IDXD-${AT}`]);
    expect(bench.kernel.msi.domain(bench.dev, 'secondary')).toBe(domain);
    expect(bench.kernel.msi.domain(bench.dev, 'default')).toBeUndefined();
    expect(names(domain.irqDomain)).toEqual([`IR-PCI-IDXD-${AT}`, 'INTEL-IR', 'VECTOR']);
    expect(written).toEqual([]);
    expect(bench.dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.intxDisable)).toBe(before);
  });

  test.each([
    ['C-002', 'plain'],
    ['C-003', 'virtual'],
    ['C-004', 'none'],
  ] as const)(
    '%s a platform whose interrupts are %s refuses IMS, with the reason, and keeps nothing',
    async (_id, interrupts) => {
      await using bench = await Bench.start({ interrupts, card: { msix: 4 } });
      const error = thrown(() => bench.domain(array()));
      expect(error?.code).toBe('EOPNOTSUPP');
      expect(error?.message).toContain(AT);
      expect(codeOf(() => bench.ims())).toBe('EOPNOTSUPP');
      expect(bench.kernel.ims.tryCreateDomain(bench.dev, plainStore(4))).toBeUndefined();
      expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
      expect(bench.kernel.msi.lookup(bench.dev, 'secondary', 0)).toBe(0);
      expect(bench.take()).toEqual([]);
    },
  );

  test('C-003 a virtual unit still gives MSI-X, under its own prefix', async () => {
    await using bench = await Bench.start({ interrupts: 'virtual', card: { msix: 4 } });
    bench.dev.allocVectors({ max: 2, types: ['msix'] });
    expect(bench.kernel.msi.domain(bench.dev, 'default')?.name).toBe(`vIR-PCI-MSIX-${AT}`);
  });

  test('C-004 a domain that takes messages but is no parent of domains refuses as well', async () => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const global = new IrqDomain(core, { name: 'PCI-MSI', ops: {}, busToken: 'pci-msi' });
    const msi = new Msi(core, () => ({ domain: global, requesterId: undefined }));
    const spec = { id: 'secondary', template: array(), size: 4, label: 'ims domain' };
    expect(codeOf(() => msi.createDomain(bench.dev, spec))).toBe('EOPNOTSUPP');
    global.remove();
  });

  test('C-005 a store is always IMS: no other token can be named, and other buses than these have no messages', async () => {
    await using bench = await Bench.start();
    expect(bench.ims().busToken).toMatch(/-ims$/);
    for (const busToken of ['any', 'wired', 'wired-to-msi', 'device-msi'] as const) {
      expect(codeOf(() => bench.domain(array(undefined, { busToken }), 4, { id: busToken }))).toBe('EOPNOTSUPP');
    }
    expect(bench.kernel.msi.domains(bench.dev)).toHaveLength(1);
  });

  test.each<[string, MsiFlag]>([
    ['C-006', 'alloc-simple-msi-descs'],
    ['C-006', 'free-msi-descs'],
  ])('%s a template without %s is refused', async (_id, flag) => {
    await using bench = await Bench.start();
    const flags = array().flags.filter((one) => one !== flag);
    expect(codeOf(() => bench.domain(array(undefined, { flags })))).toBe('EINVAL');
    expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
  });

  test.each(['mask', 'unmask', 'writeMsiMsg'] as const)('C-007 a chip without %s is refused', async (callback) => {
    await using bench = await Bench.start();
    const { [callback]: _, ...chip } = array().chip;
    const template = { ...array(), chip: chip as IrqChip };
    expect(codeOf(() => bench.domain(template))).toBe('EINVAL');
    expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
  });

  test.each(['mask', 'unmask', 'writeMsg'] as const)('C-007 a store without %s is refused', async (callback) => {
    await using bench = await Bench.start();
    const store = { ...plainStore(4) };
    Reflect.deleteProperty(store, callback);
    expect(codeOf(() => bench.kernel.ims.createDomain(bench.dev, store))).toBe('EINVAL');
  });

  test('C-008 a chip that sets affinity itself is refused', async () => {
    await using bench = await Bench.start();
    expect(codeOf(() => bench.domain(array(undefined, { chip: { setAffinity: () => 'ok' } })))).toBe('EINVAL');
    const store = { ...plainStore(4), setAffinity: () => {} };
    expect(codeOf(() => bench.kernel.ims.createDomain(bench.dev, store))).toBe('EINVAL');
    expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
  });

  test('C-009 a second domain under the same id breaks a rule, and the first goes on', async () => {
    await using bench = await Bench.start();
    const first = bench.domain(array());
    expect(codeOf(() => bench.domain(array()))).toBe('EBUSY');
    expect(bench.take()).toHaveLength(1);
    expect(first.alloc().index).toBe(0);
    expect(bench.domain(array(), 4, { id: 'queues' }).alloc().index).toBe(0);
  });

  test('C-010 65,536 slots can be, one more cannot', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array(), 65_536);
    expect(domain.allocAt(65_535).index).toBe(65_535);
    domain.remove();
    expect(codeOf(() => bench.domain(array(), 65_537))).toBe('ERANGE');
    expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
  });

  test('C-011 a size of 0 is limited by software alone', async () => {
    await using bench = await Bench.start();
    expect(bench.domain(array(), 0).size).toBe(65_536);
  });

  test('C-012 two devices of one template have a chip each, and the template stays as it was', async () => {
    await using bench = await Bench.start({ others: [2] });
    const template = Object.freeze({ ...array(), chip: Object.freeze({ ...array().chip }) });
    const callbacks = Object.keys(template.chip);
    const d = bench.domain(template);
    const e = bench.domain(template, 4, {}, bench.at('0000:6a:02.0'));
    const [chipD, chipE] = [d, e].map((domain) => bench.kernel.irqs.desc(domain.alloc().virq).chip);
    expect([chipD?.name, chipE?.name]).toEqual([`IR-PCI-IDXD-${AT}`, 'IR-PCI-IDXD-0000:6a:02.0']);
    expect(chipD).not.toBe(chipE);
    for (const added of ['ack', 'retrigger', 'setAffinity'] as const) {
      expect(chipD?.[added]).toBeTypeOf('function');
      expect(template.chip[added]).toBeUndefined();
    }
    expect(Object.keys(template.chip)).toEqual(callbacks);
    expect(template.chip.name).toBe('PCI-IDXD');
  });

  test('C-013 the flag for IMS in the template is not what decides', async () => {
    await using bench = await Bench.start();
    const flags: MsiFlag[] = ['alloc-simple-msi-descs', 'free-msi-descs'];
    expect(bench.domain(array(undefined, { flags })).alloc().index).toBe(0);
  });

  test('C-014 what the parent lacks is dropped, what is generic is kept', async () => {
    await using bench = await Bench.start();
    const flags: MsiFlag[] = [...array().flags, 'level-capable', 'dev-sysfs'];
    const domain = bench.domain(array(undefined, { flags }));
    expect(domain.flags.has('dev-sysfs')).toBe(true);
    expect(domain.flags.has('level-capable')).toBe(false);
    expect(domain.flags.has('use-def-dom-ops') && domain.flags.has('use-def-chip-ops')).toBe(true);
  });

  test('C-015 the parent makes them edges that it acknowledges, and that are placed before they start', async () => {
    await using bench = await Bench.start();
    const { chip, flowName } = bench.kernel.irqs.desc(bench.domain(array(undefined, { flowName: 'level' })).alloc().virq);
    expect(flowName).toBe('edge');
    expect([chip.skipSetWake, chip.affinityPreStartup, chip.oneshotSafe]).toEqual([true, true, true]);
    expect([typeof chip.ack, typeof chip.retrigger]).toEqual(['function', 'function']);
  });

  test('C-016 the parent prepares, and not the template', async () => {
    await using bench = await Bench.start();
    const prepared: string[] = [];
    bench.domain(array(undefined, { ops: { prepare: () => prepared.push('template') } })).alloc();
    expect(prepared).toEqual([]);
    const { msi, irq } = parent(bench, { prepare: () => prepared.push('parent') });
    const spec = { id: 'other', size: 4, label: 'ims domain', slotLabel: 'ims slot' };
    const template = array(undefined, { ops: { prepare: () => prepared.push('template') } });
    msi.createDomain(bench.dev, { ...spec, template }).remove();
    expect(prepared).toEqual(['parent']);
    irq.remove();
  });

  test('C-017 a driver of both kinds falls back to MSI-X without asking what platform it is on', async () => {
    for (const interrupts of ['remapped', 'plain', 'virtual'] as const) {
      await using bench = await Bench.start({ interrupts, card: { msix: 4 } });
      const { dev, kernel } = bench;
      const store = plainStore(4);
      const virq = kernel.ims.tryCreateDomain(dev, store)?.alloc().virq ?? dev.allocVectors({ types: ['msix'] }).virq(0);
      let count = 0;
      kernel.irqs.request(dev, virq, () => count++);
      if (dev.vectorKind === 'msix') bench.card.context.irq.msix(0);
      else bench.fire(kernel.msi.domain(dev, 'secondary')!, 0);
      bench.machine.drain();
      expect([dev.vectorKind, count]).toEqual([interrupts === 'remapped' ? undefined : 'msix', 1]);
    }
  });

  test('C-039 what a parent throws while it prepares is what creation throws, and nothing is left', async () => {
    await using bench = await Bench.start();
    const { msi, irq } = parent(bench, {
      prepare: () => {
        throw bench.kernel.core.violate('msi-range', undefined, 'told to fail');
      },
    });
    const spec = { id: 'secondary', template: array(new Table()), size: 4, label: 'ims domain', slotLabel: 'ims slot' };
    expect(codeOf(() => msi.createDomain(bench.dev, spec))).toBe('EINVAL');
    expect(msi.domains(bench.dev)).toEqual([]);
    irq.remove();
  });
});

/** A parent of the test's own upon the machine's. */
function parent(bench: Bench, more: Partial<MsiParentOps>): { msi: Msi; irq: IrqDomain } {
  const below = bench.kernel.interrupts.msiParent!;
  const ops: IrqDomainOps = {
    alloc: (domain, virq, count, info) => domain.allocParent(virq, count, info),
    free: (domain, virq, count) => domain.freeParent(virq, count),
  };
  const { core } = bench.kernel.irqs;
  const irq = new IrqDomain(core, { name: 'OWN', parent: below, ops, msiParent: { ...below.msiParent!, ...more } });
  return { msi: new Msi(core, () => ({ domain: irq, requesterId: undefined })), irq };
}
