import { describe, expect, test } from 'vitest';
import { CpuMask } from '../../../core/irq/index.js';
import * as S from '../../../core/irq/state.js';
import type { IrqTraceName } from '../../../core/irq/trace.js';
import { FakeDevice, MINI, place, release, request, scene } from './platform.js';

const PLAIN = { platform: 'plain' } as const;

describe('VectorDomain', () => {
  test('an interrupt has a promise at its allocation, a vector from its request on, and a promise again when it is released', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const { matrix } = s.platform;
    const desc = dev.alloc();
    expect([matrix?.reserved, matrix?.totalAllocated, place(s, desc)]).toEqual([1, 0, 'none']);
    const action = request(s, desc);
    expect([matrix?.reserved, matrix?.totalAllocated, place(s, desc)]).toEqual([0, 1, '0:32']);
    release(action);
    expect([matrix?.reserved, matrix?.totalAllocated, place(s, desc)]).toEqual([1, 0, 'none']);
    dev.free(desc);
    expect([matrix?.reserved, matrix?.totalAllocated, s.core.count]).toEqual([0, 0, 0]);
  });

  test('where the device cannot be kept quiet, the vector stays from the first request to the end', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc();
    release(request(s, desc));
    expect([s.platform.matrix?.reserved, place(s, desc)]).toEqual([0, '0:32']);
    release(request(s, desc));
    expect(place(s, desc)).toBe('0:32');
    dev.free(desc);
    expect([s.platform.matrix?.totalAllocated, s.core.vector(0, 32)]).toEqual([0, undefined]);
  });

  test('a message comes to the handler, and is ended at its CPU', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [2] });
    const heard: number[] = [];
    request(s, desc, heard);
    expect(dev.messages.get(0)).toEqual({ addressLo: 0xfee0_2000, addressHi: 0, data: 0x20 });
    dev.fire(desc);
    s.core.windows.drain();
    expect([heard, desc.countOn(2), s.hw.inService(2), s.hw.inService(0)]).toEqual([[desc.virq], 1, 0, 0]);
  });

  test('C-026 an affinity given at the allocation is where the request puts it', () => {
    const s = scene();
    const desc = new FakeDevice(s).alloc({ cpus: [2] });
    request(s, desc);
    expect([String(desc.affinity), String(desc.effective), place(s, desc)]).toEqual(['2', '2', '2:32']);
  });

  test('C-034 an allocation succeeds with every vector in use, and says once that there is none left', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s);
    for (let n = 0; n < 8; n++) request(s, dev.alloc());
    const desc = dev.alloc();
    expect([s.platform.matrix?.reserved, s.platform.matrix?.totalAllocated, place(s, desc)]).toEqual([1, 8, 'none']);
    expect(s.log('vectors_overcommitted')).toHaveLength(1);
  });

  test('C-035 the request fails then with nothing changed, and succeeds when a vector is free', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s);
    const others = Array.from({ length: 8 }, () => dev.alloc());
    for (const other of others) release(request(s, other));
    const desc = dev.alloc();
    dev.done.length = 0;
    expect(() => request(s, desc)).toThrow(
      /^ENOSPC: irq 32: irq 32: no vector is left: 8 of 8 are in use on CPUs 0-1: free interrupts, or let several users share one$/,
    );
    expect([desc.action, dev.done, s.platform.matrix?.reserved, desc.activated]).toEqual([undefined, [], 1, false]);
    dev.free(others[3]!);
    request(s, desc);
    expect([s.platform.matrix?.reserved, desc.activated]).toEqual([0, true]);
  });

  test('an explicit mask takes a vector at the allocation, or gives ENOSPC and takes nothing', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s);
    expect(place(s, dev.alloc({ mask: [1] }))).toBe('1:32');
    dev.alloc({ mask: [1] });
    dev.alloc({ mask: [1] });
    dev.alloc({ mask: [1] });
    expect(() => dev.alloc({ mask: [1] })).toThrow(/no vector is left: 4 of 4 are in use on CPUs 1/);
    expect([s.core.count, s.platform.matrix?.cpu(1).allocated, s.platform.matrix?.reserved]).toEqual([4, 4, 0]);
  });

  test('several interrupts are set up all or none', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msi');
    expect(() => dev.alloc({ count: 8, cpus: [0], managed: true })).toThrow(/ENOSPC/);
    expect([s.core.count, s.platform.matrix?.cpu(0).managed]).toEqual([0, 0]);
  });

  test('C-117 a managed interrupt needs a vector on each CPU of its mask, and names the CPU that has none', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msix');
    for (let n = 0; n < 4; n++) request(s, dev.alloc({ cpus: [1] }));
    expect(() => dev.alloc({ cpus: [0, 1], managed: true })).toThrow(/no vector is left: 4 of 4 are in use on CPUs 1:/);
    expect([s.platform.matrix?.cpu(0).available, s.platform.matrix?.cpu(0).managed]).toEqual([4, 0]);
  });

  test('managed vectors are set aside on every CPU of the mask, taken at the start, and kept after the release', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const { matrix } = s.platform;
    const desc = dev.alloc({ cpus: [0, 1], managed: true });
    expect([matrix?.cpu(0).managed, matrix?.cpu(1).managed, matrix?.totalAllocated]).toEqual([1, 1, 0]);
    const action = request(s, desc);
    // Of equals the highest CPU has managed ones.
    expect([place(s, desc), desc.managedShutdown]).toEqual(['1:32', false]);
    release(action);
    expect([place(s, desc), matrix?.cpu(1).managed, matrix?.totalAllocated]).toEqual(['none', 1, 0]);
    dev.free(desc);
    expect([matrix?.cpu(0).managed, matrix?.cpu(1).managed, matrix?.cpu(1).available]).toEqual([0, 0, 4]);
  });

  test('a node has the first choice of the vector', () => {
    const s = scene({ nodes: 2 });
    const virq = s.platform.root!.allocIrqs(
      1,
      { kind: 'msix', hwirq: 0, requesterId: undefined, device: undefined, desc: undefined },
      { node: 1 },
    );
    const desc = s.core.descs[virq]!;
    s.platform.root!.ops.activate!(s.platform.root!, desc.data, false);
    expect(place(s, desc)).toBe('1:32');
  });

  test('an affinity whose CPUs are full is broken rather than the request', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s);
    for (let n = 0; n < 4; n++) request(s, dev.alloc({ cpus: [0] }));
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    expect([String(desc.affinity), String(desc.effective)]).toEqual(['0', '1']);
    expect(s.device.log.records().some(({ text }) => text.includes('affinity to CPUs 0 broken'))).toBe(true);
  });

  test('C-118 a CPU has 202 vectors for devices, the first is 0x20, and 0x80 is none of them', () => {
    const s = scene({ cpus: 1 });
    const dev = new FakeDevice(s);
    const vectors = Array.from({ length: 202 }, () => {
      const desc = dev.alloc();
      request(s, desc);
      return Number(place(s, desc).split(':')[1]);
    });
    expect([vectors[0], vectors.at(-1), vectors.includes(0x80)]).toEqual([0x20, 0xea, false]);
    expect(() => request(s, dev.alloc())).toThrow(/202 of 202 are in use/);
    // With the cascade of a PIC there is one less.
    expect(scene({ cpus: 1 }, { system: [0x80, 0x32] }).platform.matrix?.available).toBe(201);
  });

  test('C-102 a target that is full gives ENOSPC, and the old one is kept', () => {
    const s = scene({ cpus: 2 }, MINI);
    const dev = new FakeDevice(s);
    for (let n = 0; n < 4; n++) request(s, dev.alloc({ cpus: [1] }));
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    expect(() => s.irqs.setAffinity(desc.virq, [1])).toThrow(/^ENOSPC: .*4 of 4 are in use on CPUs 1/);
    expect([place(s, desc), String(desc.affinity)]).toEqual(['0:32', '0']);
  });

  test('C-103 a second move waits for the first to be over, and is made at the next interrupt', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    s.irqs.setAffinity(desc.virq, [1]);
    s.irqs.setAffinity(desc.virq, [2]);
    expect([place(s, desc), desc.affinityPending]).toEqual(['1:32', true]);
    // The first interrupt on the new CPU starts the clean-up; the one after the tick makes the move.
    dev.fire(desc);
    s.core.windows.drain();
    expect([place(s, desc), s.core.vector(0, 32)]).toEqual(['1:32', desc]);
    s.clock.elapse(1000);
    expect(s.core.vector(0, 32)).toBeUndefined();
    dev.fire(desc);
    s.core.windows.drain();
    expect([place(s, desc), desc.affinityPending, String(desc.affinity)]).toEqual(['2:32', false, '2']);
  });

  test('the old vector of a move stays while it is pending, and an interrupt there is still heard', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [0] });
    const heard: number[] = [];
    request(s, desc, heard);
    s.irqs.setAffinity(desc.virq, [1]);
    dev.fire(desc);
    s.core.windows.drain();
    s.hw.raise(0, 32);
    s.clock.elapse(1000);
    expect([s.core.vector(0, 32), s.platform.matrix?.cpu(0).allocated]).toEqual([desc, 1]);
    s.core.windows.drain();
    s.clock.elapse(1000);
    expect([heard.length, s.core.vector(0, 32), s.platform.matrix?.cpu(0).allocated, s.core.unexpectedCount]).toEqual([
      2,
      undefined,
      0,
      0,
    ]);
  });

  test('an interrupt that is freed in the middle of a move gives both vectors back, and its tick does nothing', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [0] });
    const action = request(s, desc);
    const { pending } = s.clock;
    s.irqs.setAffinity(desc.virq, [1]);
    dev.fire(desc);
    s.core.windows.drain();
    expect(s.clock.pending).toBe(pending + 1);
    release(action);
    dev.free(desc);
    expect(s.platform.matrix?.totalAllocated).toBe(0);
    s.clock.elapse(5000);
    expect([s.platform.matrix?.totalAllocated, s.clock.pending]).toEqual([0, pending]);
  });

  test('raised by software it comes on its own CPU', () => {
    const s = scene();
    const dev = new FakeDevice(s);
    const desc = dev.alloc({ cpus: [3] });
    const heard: number[] = [];
    request(s, desc, heard);
    s.irqs.inject(desc.virq);
    s.core.windows.drain();
    expect([heard.length, desc.countOn(3)]).toEqual([1, 1]);
  });

  test('a chip that is asked to move an interrupt before it is active refuses', () => {
    const s = scene();
    const { root } = new FakeDevice(s).alloc().data;
    expect(() => root.chip.setAffinity?.(root, CpuMask.of(1), false)).toThrow(/^EIO/);
    expect(s.violations).toEqual(['affinity-before-activation']);
  });

  test('messages without remapping name 8 bits of a CPU: those above have no vectors for devices', () => {
    const s = scene({ platform: 'plain', cpus: 300 });
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [299, 7] });
    request(s, desc);
    expect(place(s, desc)).toBe('7:32');
    expect(() => s.irqs.setAffinity(desc.virq, [299])).toThrow(
      /messages cannot name CPUs 299, but only CPUs 0-254: needs interrupt remapping/,
    );
    const wide = scene({ platform: 'plain', cpus: 300, extendedIds: true });
    const far = new FakeDevice(wide, 'pci-device-msix');
    const reached = far.alloc({ cpus: [299] });
    const heard: number[] = [];
    request(wide, reached, heard);
    far.fire(reached);
    wide.core.windows.drain();
    expect(heard).toHaveLength(1);
  });

  test('the trace tells the life of a vector', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const seen: string[] = [];
    s.core.tracer = {
      event: (name: IrqTraceName, cpu, _virq, vector) =>
        void (name.startsWith('vector_') && seen.push(`${name} ${cpu} ${vector}`)),
    };
    const desc = dev.alloc({ cpus: [0] });
    const action = request(s, desc);
    s.irqs.setAffinity(desc.virq, [1]);
    dev.fire(desc);
    s.core.windows.drain();
    s.clock.elapse(1000);
    release(action);
    expect(seen).toEqual([
      'vector_reserve 0 -1',
      'vector_activate 0 0',
      'vector_alloc 0 32',
      'vector_update 0 32',
      'vector_alloc 1 32',
      'vector_update 1 32',
      'vector_free_moved 0 32',
      'vector_deactivate 0 32',
      'vector_clear 1 32',
      'vector_reserve 0 -1',
    ]);
  });
});

describe('messages without remapping', () => {
  test('C-002 IMS is refused with the reason and a remedy, and nothing is left', () => {
    const s = scene(PLAIN);
    const domains = s.core.domains.size;
    expect(() => new FakeDevice(s, 'pci-device-ims')).toThrow(/no interrupt remapping.*: use MSI-X$/);
    expect(() => new FakeDevice(s, 'dmar')).toThrow(/no messages for bus dmar/);
    expect(s.core.domains.size).toBe(domains);
  });

  test('a device domain gets what is supported, edges, and its acknowledge from the parent', () => {
    const { draft } = new FakeDevice(scene(PLAIN), 'pci-device-msi', { flags: ['multi-pci-msi', 'pci-msix', 'activate-early'] });
    expect([...draft.flags].sort()).toEqual(['activate-early', 'pci-msix', 'use-def-chip-ops', 'use-def-dom-ops']);
    expect(draft).toMatchObject({ flowName: 'edge', chip: { acksByParent: true, skipSetWake: true, affinityPreStartup: true } });
  });

  test('a move masks the slot while its message is written', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    request(s, dev.alloc({ cpus: [1] }));
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    dev.done.length = 0;
    s.irqs.setAffinity(desc.virq, [1]);
    expect(dev.done).toEqual(['mask 1', 'write 1 fee01000/21', 'unmask 1']);
  });

  test('a move without mask bits changes the vector first and the CPU then, and what came between is raised again', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix', { hasMask: false });
    request(s, dev.alloc({ cpus: [1] }));
    const desc = dev.alloc({ cpus: [0] });
    const heard: number[] = [];
    request(s, desc, heard);
    dev.done.length = 0;
    s.hw.raise(0, 0x21);
    s.irqs.setAffinity(desc.virq, [1]);
    expect(dev.done).toEqual(['write 1 fee00000/21', 'write 1 fee01000/21']);
    s.core.windows.drain();
    expect([heard.length, desc.countOn(1)]).toEqual([1, 1]);
  });

  test('a move that keeps the vector number is one write', () => {
    const s = scene(PLAIN);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [0] });
    request(s, desc);
    dev.done.length = 0;
    s.irqs.setAffinity(desc.virq, [1]);
    expect(dev.done).toEqual(['write 0 fee01000/20']);
    dev.done.length = 0;
    s.irqs.setAffinity(desc.virq, [1, 2]);
    expect([dev.done, desc.state & S.AFFINITY_PENDING]).toEqual([[], 0]);
  });
});
