import { describe, expect, test } from 'vitest';
import { CpuMask, type ImsStore, type MsiMsg, imsArray } from 'backplane';
import { Rig, type RigOptions, codeOf, codeOfAsync } from './interrupts-rig.js';

/** So many vectors of each CPU, and no more. */
const few = (vectors: number, more: RigOptions = {}): RigOptions => ({
  kernel: { irq: { vectors: { first: 0x40, end: 0x40 + vectors, system: [] } } },
  ...more,
});

/** A slot that is managed for some CPUs, requested. */
async function managed(cpus: number[], options: RigOptions = {}) {
  const rig = await Rig.start(options);
  const { ims, irqs } = rig.kernel;
  const dev = rig.dev();
  const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
  const { virq } = domain.alloc({ affinity: { mask: CpuMask.from(cpus), managed: true } });
  const heard: number[] = [];
  const handle = irqs.request(dev, virq, () => heard.push(irqs.core.currentCpu));
  return { rig, dev, irqs, domain, virq, handle, heard };
}

describe('an interrupt whose CPU goes', () => {
  test('is not requested to be heard by nobody, when the others have no vector left', async () => {
    await using rig = await Rig.start(few(1, { cpus: 2, gadgets: 2, interrupts: 'plain', maskable: false }));
    const { irqs } = rig.kernel;
    // Without mask bit the vector is taken at once, and nothing is moved that is not started.
    const [early, other] = [rig.dev(0).enableMsi().virq(0), rig.dev(1)];
    expect(String(irqs.desc(early).effective)).toBe('0');
    irqs.offline(0);
    const taken = other.enableMsi().virq(0);
    const before = rig.account();
    expect(codeOf(() => rig.dev(0).requestIrq(0, () => {}))).toBe('ENOSPC');
    expect([rig.account(), irqs.desc(early).started]).toEqual([before, false]);
    other.freeVectors();
    let came = 0;
    rig.dev(0).requestIrq(0, () => came++);
    rig.model(0).irq.msi(0);
    rig.machine.drain();
    expect([came, taken]).toEqual([1, early + 1]);
  });

  test('says that there is no vector, and not that its old CPU is offline', async () => {
    await using rig = await Rig.start(few(1, { cpus: 2 }));
    const { irqs } = rig.kernel;
    const dev = rig.dev();
    dev.enableMsix({ min: 2 });
    const handle = dev.requestIrq(0, () => {});
    handle.setAffinity([0]);
    await handle.free();
    irqs.offline(0);
    dev.requestIrq(1, () => {});
    expect(() => dev.requestIrq(0, () => {})).toThrow(
      'ENOSPC: 0000:00:01.0: irq 24: no vector is left: 1 of 1 are in use on CPUs 1',
    );
  });

  test('that is pending there comes on another', async () => {
    const { rig: made, irqs, heard, handle } = await managed([1, 2]);
    await using rig = made;
    const [cpu, next] = [handle.effectiveAffinity.first, 3 - handle.effectiveAffinity.first];
    rig.machine.drain();
    rig.model().slots.send(0);
    irqs.offline(cpu);
    rig.machine.drain();
    expect(heard).toEqual([next]);
  });

  test('that is managed, and pending when its last CPU goes, comes when it is back', async () => {
    const { rig: made, irqs, heard, handle, domain } = await managed([1]);
    await using rig = made;
    rig.machine.drain();
    rig.model().slots.send(0);
    irqs.offline(1);
    rig.machine.drain();
    expect([heard, handle.desc.managedShutdown, domain.message(0)]).toEqual([[], true, { addressLo: 0, addressHi: 0, data: 0 }]);
    irqs.online(1);
    rig.machine.drain();
    expect(heard).toEqual([1]);
    rig.fireSlot(0);
    expect(heard).toEqual([1, 1]);
  });

  test('that is managed stays among its CPUs, wherever its driver wants it', async () => {
    const { rig: made, irqs, heard, handle, virq } = await managed([0, 1]);
    await using rig = made;
    expect(() => handle.setAffinity([2, 3])).toThrow('EINVAL: 0000:00:01.0: irq 24: is managed for CPUs 0-1 alone, not 2-3');
    handle.setAffinity([1, 2]);
    expect(String(irqs.affinity(virq))).toBe('1');
    rig.fireSlot(0);
    irqs.offline(1);
    expect(handle.desc.managedShutdown).toBe(true);
    irqs.online(1);
    rig.fireSlot(0);
    expect(heard).toEqual([1, 1]);
  });

  test('nobody is moved to no CPU, requested or not', async () => {
    await using rig = await Rig.start();
    const { ims, irqs } = rig.kernel;
    const dev = rig.dev();
    const { virq } = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout())).alloc();
    for (let n = 0; n < 2; n++) {
      expect(codeOf(() => irqs.setAffinity(virq, []))).toBe('EINVAL');
      expect(String(irqs.affinity(virq))).toBe('0-3');
      if (n === 0) irqs.request(dev, virq, () => {});
    }
  });

  test('stays with the others when they have no room for it', async () => {
    await using rig = await Rig.start(few(2, { cpus: 2 }));
    const { ims, irqs } = rig.kernel;
    const dev = rig.dev();
    const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
    const came = [0, 0, 0];
    for (const { virq, index } of domain.allocRange(0, 2)) irqs.request(dev, virq, () => came[index]!++);
    const before = rig.account();
    expect(['nothing', 'ENOSPC']).toContain(codeOf(() => irqs.offline(0)));
    expect(codeOf(() => irqs.offline(1))).toBe(irqs.core.cpus.online.size === 1 ? 'EBUSY' : 'ENOSPC');
    for (let n = 0; n < 3; n++) rig.fireSlot(n);
    rig.calm();
    expect([came, rig.account()]).toEqual([[1, 1, 1], before]);
  });
});

describe('a device that is pulled out in the middle', () => {
  /** The n-th callback of this store pulls the device. */
  const store = (rig: Rig, at: number, steps: string[]): ImsStore => {
    const step = (what: string): void => {
      steps.push(what);
      if (steps.length === at) rig.machine.yank('00:01.0');
    };
    return {
      slots: 4,
      mask: () => step('mask'),
      unmask: () => step('unmask'),
      writeMsg: (_slot: number, _msg: MsiMsg) => step('writeMsg'),
      busLock: () => step('busLock'),
      busSyncUnlock: () => step('busSyncUnlock'),
    };
  };

  test('of any operation on an interrupt leaves nothing', async () => {
    for (let n = 1; ; n++) {
      await using rig = await Rig.start({ rulesMayBreak: true });
      const { irqs, ims, core } = rig.kernel;
      const dev = rig.dev();
      const steps: string[] = [];
      const codes: string[] = [];
      const run = async (body: () => unknown): Promise<void> => void codes.push(await codeOfAsync(body));
      const domain = ims.createDomain(dev, store(rig, n, steps));
      await run(() => domain.allocRange(0, 1));
      const virq = domain.lookup(0);
      await run(() => irqs.request(dev, virq, { hard: () => 'wake', thread: async () => Promise.resolve() }));
      await run(() => irqs.setAffinity(virq, [2]));
      await run(() => irqs.inject(virq));
      irqs.drain();
      await run(() => irqs.offline(2));
      await run(() => irqs.disable(virq));
      await run(() => irqs.enable(virq));
      await run(() => domain.restore());
      await run(() => core.unbind(dev));
      await core.settle();
      for (const code of codes) expect(code).not.toContain('not an Errno');
      expect([n, rig.account()]).toEqual([
        n,
        { descs: 0, vectors: 0, reserved: 0, managed: 0, entries: 0, mapped: 0, domains: rig.account()['domains'], ledger: 0 },
      ]);
      if (steps.length < n) break;
    }
  });

  test.each(['remapped', 'plain'] as const)('of a move of MSI-X, on a %s machine, is survived', async (interrupts) => {
    await using rig = await Rig.start({ interrupts, rulesMayBreak: true });
    const { irqs, core } = rig.kernel;
    const dev = rig.dev();
    dev.allocVectors({ max: 8, types: ['msix'] });
    let came = 0;
    const handles = Array.from({ length: 8 }, (_, n) => dev.requestIrq(n, () => came++));
    rig.machine.yank('00:01.0', { silent: true });
    for (const [n, handle] of handles.entries()) handle.setAffinity([n & 3]);
    for (const cpu of [0, 1, 2]) irqs.offline(cpu);
    rig.model().irq.msix(0);
    for (const handle of handles.slice(4)) await handle.disable();
    for (const handle of handles.slice(4)) handle.enable();
    irqs.online(1);
    rig.machine.drain();
    await core.unbind(dev);
    rig.calm();
    expect([came, rig.account()]).toEqual([0, { ...rig.account(), descs: 0, vectors: 0, reserved: 0, entries: 0, ledger: 0 }]);
  });

  test('of a thread half, whose rest still runs', async () => {
    const { rig: made, dev, irqs, domain } = await managed([1]);
    await using rig = made;
    const steps: string[] = [];
    const { virq } = domain.alloc();
    irqs.request(dev, virq, {
      thread: async () => {
        steps.push('begins');
        rig.machine.yank('00:01.0');
        await Promise.resolve();
        steps.push(`goes on, ${dev.bound ? 'bound' : 'unbound'}`);
      },
    });
    rig.fireSlot(1);
    await rig.kernel.core.settle();
    expect([steps.length, steps[0], rig.account()['descs']]).toEqual([2, 'begins', 0]);
  });
});
