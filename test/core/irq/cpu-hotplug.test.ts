import { describe, expect, test } from 'vitest';
import { offlineCpu, onlineCpu } from '../../../core/irq/index.js';
import { disableIrq, enableIrq } from '../../../core/irq/operations.js';
import { FakeDevice, MINI, place, request, scene } from './platform.js';

const warnings = (s: ReturnType<typeof scene>): string[] => s.device.log.records().map(({ text }) => text);

describe.each(['remapped', 'plain'] as const)('offlineCpu on %s', (platform) => {
  const options = { platform };

  test('an interrupt moves to another CPU of its affinity, and its vector is free at once', () => {
    const s = scene(options);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [1, 2] });
    const heard: number[] = [];
    request(s, desc, heard);
    const free = s.platform.matrix!.cpu(1).available;
    expect(place(s, desc)).toBe('1:32');
    offlineCpu(s.core, 1);
    expect([place(s, desc), String(desc.affinity), s.core.vector(1, 32)]).toEqual(['2:32', '1-2', undefined]);
    expect([s.platform.matrix!.cpu(1).available, s.platform.matrix!.available]).toEqual([free + 1, 3 * 202 - 1]);
    dev.fire(desc);
    s.core.windows.drain();
    expect([heard.length, s.hw.lost]).toEqual([1, []]);
  });

  test('C-112 without another CPU of its affinity it goes to any, and its affinity is all that are online', () => {
    const s = scene(options);
    const desc = new FakeDevice(s, 'pci-device-msix').alloc({ cpus: [3] });
    request(s, desc);
    offlineCpu(s.core, 3);
    expect([String(desc.affinity), String(desc.effective)]).toEqual(['0-2', '0']);
    expect(warnings(s).at(-1)).toMatch(/affinity to CPUs 3 broken by taking out cpu 3: it goes to CPUs 0/);
  });

  test('C-112 with no vector left where its affinity says it goes to any CPU', () => {
    const s = scene({ ...options, cpus: 3 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msix');
    for (let n = 0; n < 4; n++) request(s, dev.alloc({ cpus: [1] }));
    const desc = dev.alloc({ cpus: [1, 2] });
    request(s, desc);
    offlineCpu(s.core, 2);
    expect([String(desc.affinity), place(s, desc)]).toEqual(['0-1', '0:32']);
  });

  test('what is pending on the CPU comes on the new one', () => {
    const s = scene(options);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const desc = dev.alloc({ cpus: [1, 2] });
    const heard: number[] = [];
    request(s, desc, heard);
    dev.fire(desc);
    offlineCpu(s.core, 1);
    s.core.windows.drain();
    expect([heard.length, desc.countOn(2), s.core.unexpectedCount]).toEqual([1, 1, 0]);
  });

  test('a move to or from the CPU that is not over is ended', () => {
    for (const [from, to] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const s = scene(options);
      const desc = new FakeDevice(s, 'pci-device-msix').alloc({ cpus: [from] });
      request(s, desc);
      s.irqs.setAffinity(desc.virq, [to]);
      offlineCpu(s.core, 1);
      const { effective } = desc;
      expect([String(effective), s.platform.matrix!.totalAllocated, s.core.vector(1, 32)]).toEqual([
        to === 2 ? '2' : '0',
        1,
        undefined,
      ]);
      s.clock.elapse(5000);
      expect(s.platform.matrix!.totalAllocated).toBe(1);
    }
  });

  test('a move that waits for an interrupt is made, or forgotten when it was to this CPU', () => {
    const s = scene(options);
    const dev = new FakeDevice(s, 'pci-device-msix');
    const [made, forgotten] = [dev.alloc({ cpus: [0] }), dev.alloc({ cpus: [2] })];
    for (const desc of [made, forgotten]) request(s, desc);
    s.irqs.setAffinity(made.virq, [1]);
    s.irqs.setAffinity(made.virq, [3]);
    s.irqs.setAffinity(forgotten.virq, [0]);
    s.irqs.setAffinity(forgotten.virq, [1]);
    offlineCpu(s.core, 1);
    expect([made, forgotten].map((desc) => [String(desc.effective), String(desc.affinity), desc.affinityPending])).toEqual([
      ['3', '3', false],
      ['0', '0', false],
    ]);
  });

  test('it is refused with nothing changed when the others have no room, when it is the last, and when it is not online', () => {
    const s = scene({ ...options, cpus: 2 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msix');
    for (let n = 0; n < 4; n++) request(s, dev.alloc({ cpus: [0] }));
    const desc = dev.alloc({ cpus: [1] });
    request(s, desc);
    expect(() => offlineCpu(s.core, 1)).toThrow(/^ENOSPC: cpu 1: has 1 vectors to move, and the other CPUs have 0 left/);
    expect([String(s.core.cpus.online), place(s, desc)]).toEqual(['0-1', '1:32']);
    const t = scene({ ...options, cpus: 2 });
    offlineCpu(t.core, 0);
    expect(() => offlineCpu(t.core, 1)).toThrow(/^EBUSY/);
    expect(() => offlineCpu(t.core, 0)).toThrow(/^EINVAL/);
    expect(t.core.currentCpu).toBe(1);
  });

  test('more promises than the others can keep are a warning', () => {
    const s = scene({ ...options, cpus: 2 }, MINI);
    const dev = new FakeDevice(s, 'pci-device-msix');
    for (let n = 0; n < 5; n++) dev.alloc();
    offlineCpu(s.core, 1);
    expect(s.log('vectors_overcommitted')).toEqual(['5 vectors are reserved, and the other CPUs have 4 left: requests may fail']);
  });

  test('a kept vector of an interrupt that nobody requests comes back with its CPU', () => {
    const s = scene(options);
    const desc = new FakeDevice(s, 'pci-device-msix').alloc({ mask: [1] });
    offlineCpu(s.core, 1);
    onlineCpu(s.core, 1);
    request(s, desc);
    expect([place(s, desc), s.platform.matrix!.totalAllocated]).toEqual(['1:32', 1]);
  });

  test('a handler cannot take a CPU out', () => {
    const s = scene(options);
    const desc = new FakeDevice(s, 'pci-device-msix').alloc();
    let error: unknown;
    request(s, desc, [], {
      hard: () => {
        try {
          offlineCpu(s.core, 1);
        } catch (thrown) {
          error = thrown;
        }
      },
    });
    s.irqs.inject(desc.virq);
    s.core.windows.drain();
    expect([String(error), s.violations]).toEqual([expect.stringContaining('in an interrupt handler'), ['sleep-in-interrupt']]);
  });
});

describe('a managed interrupt', () => {
  test('C-110 waits for its CPU, starts with it and is shut down with it, its affinity unchanged', () => {
    const s = scene();
    const dev = new FakeDevice(s, 'pci-device-msix');
    offlineCpu(s.core, 3);
    const desc = dev.alloc({ cpus: [3], managed: true });
    const heard: number[] = [];
    request(s, desc, heard);
    expect([desc.managedShutdown, desc.depth, desc.started, place(s, desc)]).toEqual([true, 1, false, 'none']);
    onlineCpu(s.core, 3);
    expect([desc.managedShutdown, desc.depth, desc.started, place(s, desc)]).toEqual([false, 0, true, '3:32']);
    dev.fire(desc);
    s.core.windows.drain();
    expect(heard).toHaveLength(1);
    offlineCpu(s.core, 3);
    expect([desc.managedShutdown, desc.depth, desc.activated, String(desc.affinity)]).toEqual([true, 1, false, '3']);
    expect(s.platform.matrix!.cpu(3).managed).toBe(1);
  });

  test('moves to another CPU of its mask while there is one', () => {
    const s = scene();
    const desc = new FakeDevice(s, 'pci-device-msix').alloc({ cpus: [2, 3], managed: true });
    request(s, desc);
    offlineCpu(s.core, 3);
    expect([String(desc.effective), desc.managedShutdown, s.platform.matrix!.cpu(3).managedAllocated]).toEqual(['2', false, 0]);
  });

  test('C-111 that its driver has disabled stays disabled when its CPU was gone and is back', () => {
    const s = scene();
    const desc = new FakeDevice(s, 'pci-device-msix').alloc({ cpus: [3], managed: true });
    request(s, desc);
    void disableIrq(desc, false);
    offlineCpu(s.core, 3);
    expect(desc.depth).toBe(2);
    onlineCpu(s.core, 3);
    expect([desc.depth, desc.started, desc.disabled]).toEqual([1, false, true]);
    enableIrq(desc);
    expect([desc.depth, desc.started, place(s, desc)]).toEqual([0, true, '3:32']);
  });

  test('that nobody has requested is left alone', () => {
    const s = scene();
    const desc = new FakeDevice(s, 'pci-device-msix').alloc({ cpus: [3], managed: true });
    offlineCpu(s.core, 3);
    onlineCpu(s.core, 3);
    expect([desc.depth, desc.started]).toEqual([1, false]);
  });
});

describe('onlineCpu', () => {
  test('refuses a CPU that is online, and one that there is not', () => {
    const s = scene();
    expect(() => onlineCpu(s.core, 0)).toThrow(/^EINVAL: cpu 0: is online/);
    expect(() => onlineCpu(s.core, 4)).toThrow(/^EINVAL: cpu 4: there is none: possible are 0-3/);
  });
});
