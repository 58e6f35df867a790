import { describe, expect, test } from 'vitest';
import { type MsiMsg, PCI, composeCompat, composeRemappable, imsArray } from 'backplane';
import { Rig, type RigOptions } from './interrupts-rig.js';

/** A rig with `count` IMS slots requested on each of two gadgets; `came` counts by device and slot. */
async function twoGadgets(options: RigOptions = {}) {
  const rig = await Rig.start({ gadgets: 2, ...options });
  const { ims, irqs } = rig.kernel;
  const came = [
    [0, 0],
    [0, 0],
  ];
  const parts = [0, 1].map((n) => {
    const dev = rig.dev(n);
    const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
    const maps = domain.allocRange(0, 1);
    const handles = maps.map(({ virq }, slot) => irqs.request(dev, virq, () => came[n]![slot]!++));
    return { dev, domain, maps, handles };
  });
  rig.machine.drain();
  return { rig, came, parts, irqs, ims };
}

const NONE = [
  [0, 0],
  [0, 0],
];

describe('a device that sends what it should not', () => {
  test('is refused, recorded and logged, and nothing is delivered', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const model = rig.model(0);
    const theirs = parts[1]!.domain.message(0)!;
    const own = parts[0]!.domain.message(0)!;
    const forged: Record<string, [MsiMsg, string]> = {
      "another's entry": [theirs, 'wrong requester'],
      'compatibility format': [composeCompat(1, 0x20, { extended: false }), 'compatibility format blocked'],
      'compatibility format, all CPUs': [composeCompat(0xff, 0x20, { extended: false }), 'compatibility format blocked'],
      'an entry that is not there': [composeRemappable(77, 0), 'entry not present'],
      'the last entry': [composeRemappable(65_535, 0), 'entry not present'],
      'reserved data': [{ ...own, data: 0x1_0000 }, 'bad message'],
      'the entry behind its own by sub-handle': [{ ...own, data: own.data + 2 }, 'wrong requester'],
      'an index too large': [{ ...composeRemappable(65_535, 0), data: 0xffff }, 'index too large'],
    };
    for (const [what, [msg, reason]] of Object.entries(forged)) {
      const before = rig.machine.remapFaults.length;
      const logged = rig.kernel.core.log.records().length;
      model.post(msg);
      rig.machine.drain();
      const faults = rig.machine.remapFaults.slice(before);
      expect([what, faults.map((fault) => [fault.reason, fault.requesterId]), came]).toEqual([
        what,
        [[reason, parts[0]!.dev.requesterId]],
        NONE,
      ]);
      expect(rig.kernel.interrupts.faults.at(-1)).toMatchObject({ reason });
      expect(
        rig.kernel.core.log
          .records()
          .slice(logged)
          .map(({ text }) => text),
      ).toContainEqual(expect.stringContaining(reason));
    }
    rig.fireSlot(0);
    expect(came).toEqual([
      [1, 0],
      [0, 0],
    ]);
  });

  test('of MSI beyond what it was given is refused', async () => {
    await using rig = await Rig.start({ maskable: false });
    const dev = rig.dev();
    const { count } = dev.enableMsi({ min: 3, max: 3 });
    const came: number[] = [];
    for (let n = 0; n < count; n++) dev.requestIrq(n, () => came.push(n));
    for (let n = 0; n < 4; n++) rig.model().irq.msi(n);
    rig.machine.drain();
    expect([came.toSorted((a, b) => a - b), rig.machine.remapFaults.map(({ reason }) => reason)]).toEqual([
      [0, 1, 2],
      ['entry not present'],
    ]);
  });

  test.each([0, 15, 16, 0x80, 0xeb, 0xef, 0xff])('vector %i of a plain machine reaches no handler', async (vector) => {
    await using rig = await Rig.start({ interrupts: 'plain' });
    const dev = rig.dev();
    dev.enableMsix();
    let came = 0;
    dev.requestIrq(0, () => came++);
    for (const id of [0, 3, 4, 0xff]) rig.model().post(composeCompat(id, vector, { extended: false }));
    rig.machine.drain();
    expect([came, rig.kernel.irqs.core.windows.inHandler]).toEqual([0, false]);
    rig.fireMsix(0);
    expect(came).toBe(1);
  });

  test('words of a slot that the device overwrites lead nowhere, and restore brings them back', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const { slots } = rig.model(0);
    const { addressLo } = parts[1]!.domain.message(1)!;
    slots.write32(0, addressLo);
    slots.write32(4, 0xffff_ffff);
    rig.fireSlot(0);
    slots.write32(4, 0);
    rig.fireSlot(0);
    for (let offset = 0; offset < 12; offset += 4) slots.write32(offset, 0);
    rig.fireSlot(0);
    expect(came).toEqual(NONE);
    parts[0]!.domain.restore();
    rig.fireSlot(0);
    expect(came[0]).toEqual([1, 0]);
  });
});

describe('a device that fires when it should not', () => {
  test('while masked sends one message when it is unmasked, whatever it had to say', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const [handle] = parts[0]!.handles;
    await handle!.disable();
    for (let n = 0; n < 5; n++) rig.fireSlot(0);
    expect(came).toEqual(NONE);
    handle!.enable();
    rig.machine.drain();
    expect(came[0]).toEqual([1, 0]);
  });

  test.each(['free', 'slot', 'unbind'] as const)('after %s reaches nobody', async (end) => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const { dev, domain, maps, handles } = parts[0]!;
    const kept = domain.message(0)!;
    if (end === 'unbind') await rig.kernel.core.unbind(dev);
    else await handles[0]!.free();
    if (end === 'slot') domain.free(maps[0]!);
    rig.model().post(kept);
    rig.model().slots.send(0);
    rig.machine.drain();
    expect(came).toEqual(NONE);
  });

  test("after its number is somebody else's does not reach that", async () => {
    const { rig: made, came, parts, irqs } = await twoGadgets();
    await using rig = made;
    const { dev, domain, maps, handles } = parts[0]!;
    const kept = domain.message(0)!;
    await handles[0]!.free();
    domain.free(maps[0]!);
    const other = parts[1]!.domain.allocAt(5);
    expect(other.virq).toBe(maps[0]!.virq);
    let theirs = 0;
    irqs.request(parts[1]!.dev, other.virq, () => theirs++);
    rig.model(0).post(kept);
    rig.machine.drain();
    expect([theirs, came, rig.machine.remapFaults.at(-1)!.requesterId]).toEqual([0, NONE, dev.requesterId]);
    rig.fireSlot(5, 1);
    expect(theirs).toBe(1);
  });

  test('in the same instant as its interrupt is freed leaves nothing on the CPU', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const { domain, maps, handles } = parts[0]!;
    // Posted, and not yet taken: the free is the end of it.
    rig.model().slots.send(0);
    await handles[0]!.free();
    domain.free(maps[0]!);
    rig.machine.drain();
    expect(came[0]![0]).toBeLessThanOrEqual(1);
    rig.fireSlot(1);
    expect(came[0]![1]).toBe(1);
  });

  test('while its registers are switched off is quiet, and heard again when its driver restores', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const { dev, domain, handles } = parts[0]!;
    dev.config.modify(PCI.COMMAND, { memory: 0 });
    await handles[0]!.disable();
    handles[0]!.setAffinity([3]);
    handles[0]!.enable();
    const map = domain.alloc();
    await rig.irqs.request(dev, map.virq, () => {}).free();
    domain.free(map);
    expect(domain.count).toBe(2);
    dev.config.modify(PCI.COMMAND, { memory: 1 });
    rig.model().slots.reset();
    rig.fireSlot(0);
    expect(came).toEqual(NONE);
    domain.restore();
    rig.fireSlot(0);
    expect(came[0]![0]).toBeGreaterThanOrEqual(1);
  });

  test('by a level, just before its last handler is freed, is heard by the next', async () => {
    await using rig = await Rig.start();
    const dev = rig.dev();
    dev.allocVectors({ types: ['intx'] });
    let came = 0;
    const handler = (): void => {
      came++;
      rig.model().irq.intx(false);
    };
    const handle = dev.requestIrq(0, handler);
    // Sent, and not yet taken.
    rig.model().irq.intx(true);
    rig.model().irq.intx(false);
    await handle.free();
    rig.machine.drain();
    dev.requestIrq(0, handler);
    came = 0;
    rig.model().irq.intx(true);
    rig.machine.drain();
    expect(came).toBe(1);
  });

  test('without bus master sends nothing', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    parts[0]!.dev.config.modify(PCI.COMMAND, { master: 0 });
    rig.fireSlot(0);
    expect(came).toEqual(NONE);
    parts[0]!.dev.config.modify(PCI.COMMAND, { master: 1 });
    rig.fireSlot(0);
    expect(came[0]).toEqual([1, 0]);
  });
});

describe('storms', () => {
  const limit = 250_000;
  test('of messages that a device sends from its handler end in the same instant', async () => {
    const { rig: made, parts, irqs } = await twoGadgets({ rulesMayBreak: true });
    await using rig = made;
    let came = 0;
    const map = parts[0]!.domain.allocAt(9);
    irqs.request(parts[0]!.dev, map.virq, () => {
      came++;
      rig.model().slots.send(9);
    });
    const start = rig.machine.clock.now();
    rig.fireSlot(9);
    expect([came, rig.machine.clock.now() - start, irqs.desc(map.virq).disabled]).toEqual([limit, 0, true]);
    expect(rig.rules).toEqual(['irq-storm']);
    rig.fireSlot(0);
    expect(parts[0]!.handles[0]!.desc.total).toBe(1);
  });

  test('that nobody handles are ended by spurious detection', async () => {
    await using rig = await Rig.start({ rulesMayBreak: true });
    const dev = rig.dev();
    dev.allocVectors({ types: ['intx'] });
    let came = 0;
    dev.requestIrq(0, () => {
      came++;
      return 'none';
    });
    rig.model().irq.intx(true);
    rig.machine.drain();
    expect([came, rig.rules]).toEqual([100_000, ['irq-nobody-cared']]);
  });

  test('of a level whose handler does not end it, end too', async () => {
    await using rig = await Rig.start({ rulesMayBreak: true });
    const dev = rig.dev();
    dev.allocVectors({ types: ['intx'] });
    let came = 0;
    dev.requestIrq(0, () => void came++);
    rig.model().irq.intx(true);
    rig.machine.drain();
    expect([came, rig.rules]).toEqual([limit, ['irq-storm']]);
    rig.model().irq.intx(false);
  });

  test('of vectors that belong to nobody do not stop the machine', async () => {
    await using rig = await Rig.start({ interrupts: 'plain' });
    const dev = rig.dev();
    dev.enableMsix();
    let came = 0;
    dev.requestIrq(0, () => came++);
    for (let n = 0; n < 1000; n++) {
      rig.model().post(composeCompat(n & 3, 0x30 + (n % 0x60), { extended: false }));
      if (n % 10 === 0) rig.machine.drain();
    }
    rig.machine.drain();
    came = 0;
    rig.fireMsix(0);
    expect(came).toBe(1);
    expect(rig.kernel.irqs.core.unexpectedCount).toBeGreaterThan(100);
  });

  test.each(['thread half', 'notifier', 'replay'] as const)('of a %s that begins itself again do not hang', async (what) => {
    const { rig: made, parts, irqs } = await twoGadgets({ rulesMayBreak: true });
    await using rig = made;
    let came = 0;
    const { virq } = parts[0]!.domain.allocAt(9);
    const handle = irqs.request(parts[0]!.dev, virq, {
      hard: () => (what === 'replay' ? (came++, irqs.inject(virq)) : 'wake'),
      thread: () => {
        came++;
        if (what === 'thread half') handle.wakeThread();
      },
    });
    if (what === 'notifier') {
      handle.setAffinityNotifier(() => {
        came++;
        handle.setAffinity([came & 3]);
      });
      handle.setAffinity([1]);
    } else {
      rig.fireSlot(9);
    }
    rig.machine.drain();
    expect(came).toBeGreaterThan(1000);
    expect(rig.rules).toContain('irq-storm');
    handle.setAffinityNotifier(undefined);
    rig.fireSlot(0);
    expect(parts[0]!.handles[0]!.desc.total).toBe(1);
  });
});

describe('resets', () => {
  test('a device that fires during a reset is heard after it, by MSI-X at once and by IMS when its driver restores', async () => {
    const { rig: made, came, parts } = await twoGadgets();
    await using rig = made;
    const { dev, domain } = parts[0]!;
    dev.enableMsix({ min: 2 });
    let msix = 0;
    dev.requestIrq(1, () => msix++);
    const resetting = dev.reset();
    rig.fireMsix(1);
    rig.fireSlot(0);
    await resetting;
    expect([msix, came]).toEqual([0, NONE]);
    rig.fireMsix(1);
    rig.fireSlot(0);
    expect([msix, came[0]]).toEqual([1, [0, 0]]);
    domain.restore();
    rig.machine.drain();
    rig.fireSlot(0);
    expect(came[0]![0]).toBeGreaterThanOrEqual(1);
  });

  test.each(['remapped', 'plain'] as const)('what is moved in D3 is right in D0, on a %s machine', async (interrupts) => {
    await using rig = await Rig.start({ interrupts });
    const dev = rig.dev();
    dev.enableMsix({ min: 2 });
    const cpus: number[] = [];
    const handle = dev.requestIrq(1, () => cpus.push(rig.kernel.irqs.core.currentCpu));
    await dev.setPowerState(3);
    handle.setAffinity([2]);
    rig.fireMsix(1);
    await dev.setPowerState(0);
    rig.fireMsix(1);
    rig.calm();
    handle.setAffinity([3]);
    rig.fireMsix(1);
    expect(cpus).toEqual([2, 3]);
  });
});
