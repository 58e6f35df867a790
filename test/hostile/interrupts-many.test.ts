import { describe, expect, test } from 'vitest';
import { AuxName, type AuxiliaryDevice, type ImsStore, type IrqHandle, System, imsArray } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import timer, { Timers } from 'backplane/plugins/timer';
import { Rig, codeOf } from './interrupts-rig.js';

const MOST = 65_536;

const memory = (slots: number): ImsStore => ({ slots, mask() {}, unmask() {}, writeMsg() {} });

describe('as many as can be', () => {
  test('65,536 slots are filled and emptied twice, and no one more', async () => {
    await using rig = await Rig.start();
    const { ims } = rig.kernel;
    const dev = rig.dev();
    const before = rig.account();
    const domain = ims.createDomain(dev, memory(MOST));
    for (let round = 0; round < 2; round++) {
      const maps = domain.allocRange(0, MOST - 1);
      expect(() => domain.alloc()).toThrow(`EBUSY: 0000:00:01.0: secondary domain: indices 0 to ${MOST - 1} are all taken`);
      const full = rig.account();
      const more = ims.createDomain(dev, memory(4), { id: 'more' });
      expect(() => more.alloc()).toThrow('no 1 remapping entries in a row are left: 65536 of 65536 are in use');
      expect(() => dev.allocVectors({ types: ['msix', 'msi'] })).toThrow('ENOSPC');
      rig.kernel.msi.domain(dev, 'default')?.remove();
      more.remove();
      expect(rig.account()).toEqual(full);
      domain.free(maps[4711]!);
      expect(domain.alloc().index).toBe(4711);
      domain.freeAll();
      expect(domain.count).toBe(0);
    }
    domain.remove();
    expect(rig.account()).toEqual({ ...before, ledger: 0 });
  }, 30_000);

  test('65,537 slots, and less than one, are refused', async () => {
    await using rig = await Rig.start();
    const dev = rig.dev();
    const regs = dev.mapBar(0);
    for (const slots of [MOST + 1, -1]) {
      expect(codeOf(() => rig.kernel.ims.createDomain(dev, memory(slots)))).toBe('ERANGE');
      expect(codeOf(() => imsArray(regs, { offset: 0, slots }))).toBe('ERANGE');
    }
    expect(codeOf(() => imsArray(regs, { offset: 0, slots: 0 }))).toBe('ERANGE');
    // Limited by software alone.
    expect(rig.kernel.ims.createDomain(dev, memory(0)).size).toBe(MOST);
  });

  test('2,048 MSI-X entries each reach their handler, beside IMS', async () => {
    await using rig = await Rig.start({ cpus: 16, vectors: 2048 });
    const dev = rig.dev();
    const { count } = dev.allocVectors({ max: 4096, types: ['msix'] });
    const came: number[] = [];
    for (let n = 0; n < count; n++) dev.requestIrq(n, () => came.push(n));
    for (let n = count - 1; n >= 0; n--) rig.model().irq.msix(n);
    rig.machine.drain();
    expect([count, new Set(came).size, came.length]).toEqual([2048, 2048, 2048]);
    const slot = rig.kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout())).alloc();
    rig.kernel.irqs.request(dev, slot.virq, () => came.push(-1));
    rig.fireSlot(0);
    expect(came.at(-1)).toBe(-1);
    await rig.kernel.core.unbind(dev);
    expect(rig.account()).toMatchObject({ descs: 0, vectors: 0, reserved: 0, entries: 0, ledger: 0 });
  });

  test('1,024 CPUs: one interrupt goes round all of them, while each is taken out and in', async () => {
    await using rig = await Rig.start({ cpus: 1024, nodes: 4 });
    const { irqs, ims } = rig.kernel;
    const dev = rig.dev();
    const slot = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout())).alloc();
    const cpus: number[] = [];
    const handle = irqs.request(dev, slot.virq, () => cpus.push(irqs.core.currentCpu));
    const before = rig.account();
    for (let cpu = 1; cpu < 1024; cpu++) {
      handle.setAffinity([cpu]);
      rig.fireSlot(0);
      irqs.offline(cpu - 1);
      rig.machine.elapse(1000);
      irqs.online(cpu - 1);
      rig.fireSlot(0);
    }
    expect(cpus).toEqual(Array.from({ length: 2 * 1023 }, (_, n) => 1 + (n >> 1)));
    rig.calm();
    expect(rig.account()).toEqual(before);
  });

  test('all CPUs but one may go, with all their interrupts, and come back', async () => {
    await using rig = await Rig.start({ cpus: 64, vectors: 64 });
    const { irqs } = rig.kernel;
    const dev = rig.dev();
    const { count } = dev.allocVectors({ min: 64, affinity: { preVectors: 8 } });
    let came = 0;
    for (let n = 0; n < count; n++) dev.requestIrq(n, () => came++);
    const before = rig.account();
    for (let cpu = 0; cpu < 63; cpu++) irqs.offline(cpu);
    expect(codeOf(() => irqs.offline(63))).toBe('EBUSY');
    for (let n = 0; n < count; n++) rig.fireMsix(n);
    const alone = came;
    expect(alone).toBeGreaterThanOrEqual(8);
    for (let cpu = 62; cpu >= 0; cpu--) irqs.online(cpu);
    rig.calm();
    for (let n = 0; n < count; n++) rig.fireMsix(n);
    expect(came - alone).toBeGreaterThanOrEqual(64);
    expect(rig.account()).toEqual(before);
  });
});

describe('two of everything', () => {
  test('domains of one device are each their own', async () => {
    await using rig = await Rig.start({ slots: 64 });
    const { ims, irqs } = rig.kernel;
    const dev = rig.dev();
    const regs = dev.mapBar(0);
    const came: string[] = [];
    const domains = Array.from({ length: 4 }, (_, n) => {
      const layout = { offset: rig.layout().offset + 16 * 16 * n, slots: 16 };
      const domain = ims.createDomain(dev, imsArray(regs, layout), { id: `part ${n}` });
      for (const { virq, index } of domain.allocRange(0, 15)) irqs.request(dev, virq, () => came.push(`${n} ${index}`));
      return domain;
    });
    expect(codeOf(() => domains[0]!.free([...domains[1]!.descs()][0]!.map!))).toBe('EINVAL');
    expect(rig.rules.splice(0)).toEqual(['msi-stale-map']);
    for (let slot = 0; slot < 64; slot++) rig.fireSlot(slot);
    expect(came).toEqual(Array.from({ length: 64 }, (_, n) => `${n >> 4} ${n & 15}`));
  });

  test('parts of a function have domains of their own, which end before it', async () => {
    await using rig = await Rig.start({ slots: 64 });
    const { ims, irqs, auxiliary, core } = rig.kernel;
    const dev = rig.dev();
    const regs = dev.mapBar(0);
    const came: string[] = [];
    const part = new AuxName('hostile.part');
    const probe = (aux: AuxiliaryDevice): void => {
      const layout = { offset: rig.layout().offset + 16 * 8 * aux.id!, slots: 8 };
      const domain = ims.createDomain(aux, imsArray(regs, layout));
      for (const { virq, index } of domain.allocRange(0, 7)) irqs.request(aux, virq, () => came.push(`${aux.id} ${index}`));
    };
    await auxiliary.register({ name: 'part', ids: [part], probe });
    for (let id = 0; id < 4; id++) await auxiliary.add(dev, part, { id });
    for (let slot = 0; slot < 32; slot++) rig.fireSlot(slot);
    expect(came).toEqual(Array.from({ length: 32 }, (_, n) => `${n >> 3} ${n & 7}`));
    await core.unbind(dev);
    expect(rig.account()).toMatchObject({ descs: 0, vectors: 0, reserved: 0, entries: 0, mapped: 0, ledger: 0 });
  });

  test('systems at once do not hear each other', async () => {
    await using one = await Rig.start();
    await using other = await Rig.start({ interrupts: 'plain' });
    const came: string[] = [];
    const handles: IrqHandle[] = [one, other].map((rig, n) => {
      rig.dev().enableMsix();
      return rig.dev().requestIrq(0, () => {
        came.push(`${n} in`);
        if (n === 0) other.model().irq.msix(0);
        came.push(`${n} out`);
      });
    });
    one.fireMsix(0);
    other.machine.drain();
    expect(came).toEqual(['0 in', '0 out', '1 in', '1 out']);
    await handles[0]!.free();
    one.fireMsix(0);
    other.fireMsix(0);
    expect(came.slice(4)).toEqual(['1 in', '1 out']);
  });
});

describe('a thousand times', () => {
  test('the timer plugin is loaded, ticks, and is unloaded: nothing grows', async () => {
    const sim = hostSim({ timers: 2, cpus: 4 });
    await using system = await System.start(sim.plugin);
    const { irqs, interrupts, core } = system.kernel;
    let ticks = 0;
    const state = (): unknown => ({
      descs: irqs.core.count,
      numbers: irqs.core.descs.length,
      domains: irqs.core.domains.size,
      vectors: interrupts.matrix!.totalAllocated,
      reserved: interrupts.matrix!.reserved,
      mapped: interrupts.msiParent!.size,
      events: sim.clock.pending,
      devices: core.order.size,
      classes: core.classes.size,
    });
    let before: unknown;
    for (let n = 0; n < 1000; n++) {
      await system.load(timer);
      for (const [, one] of system.list(Timers)) one.start(7, () => ticks++);
      irqs.setAffinity(24 + (n & 1), [n & 3]);
      sim.elapse(21);
      await system.unload('timer');
      // The tick of the last move is still to come.
      if (n === 0) sim.elapse(2000);
      before ??= state();
    }
    sim.elapse(2000);
    expect([ticks, state()]).toEqual([6000, before]);
  });
});
