import { describe, expect, test } from 'vitest';
import { EventFd, Random, VFIO_PCI_IRQ, type VfioFile, type VfioIrqSet } from '../../../core/index.js';
import { Bench, type Port, codeOf, eventfds } from './bench.js';

const { INTX, MSI, MSIX, ERR } = VFIO_PCI_IRQ;
const HOLES: (EventFd | undefined)[] = [undefined];

/** SET_IRQS of MSI-X, to trigger, unless told otherwise. */
const set = (file: VfioFile, more: Partial<VfioIrqSet>): number =>
  file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, ...more });
const counts = (fds: readonly EventFd[]): number[] => fds.map(({ count }) => count);

/** An open port with vectors that are enabled. */
async function enabled(bench: Bench, count: number): Promise<{ port: Port; file: VfioFile; fds: EventFd[] }> {
  const { port, file } = await bench.open();
  const fds = eventfds(count);
  expect(set(file, { count, eventfds: fds })).toBe(0);
  return { port, file, fds };
}

describe('the shape of SET_IRQS', () => {
  const MAX = 0xffff_ffff;
  test.each<[string, Partial<VfioIrqSet>]>([
    ['an index that there is not', { index: 5 }],
    ['an index that is no number', { index: Number.NaN }],
    ['a negative index', { index: -1 }],
    ['a count that wraps', { start: 1, count: MAX - 1 }],
    ['the greatest count', { count: MAX }],
    ['a count of more than 32 bits', { count: 2 ** 32 }],
    ['a negative count', { count: -1 }],
    ['half a count', { count: 0.5 }],
    ['a negative start', { start: -1 }],
    ['the greatest start', { start: MAX }],
    ['no action', { action: 'explode' as VfioIrqSet['action'] }],
    ['a start behind the last', { start: 8 }],
    ['a start behind the last, for none', { start: 8, count: 0 }],
    ['one too many', { start: 7, count: 2, eventfds: [undefined, undefined] }],
    ['two sorts of data', { eventfds: HOLES, bools: [true] }],
    ['fewer eventfds than vectors', { count: 2, eventfds: HOLES }],
    ['fewer bools than vectors', { count: 2, bools: [true] }],
    ['interrupts that the device has none of', { index: ERR }],
  ])('4.5 %s is EINVAL, and nothing is done', async (_what, more) => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    expect(codeOf(() => set(file, more))).toBe('EINVAL');
    expect(port.log).toEqual([]);
  });

  test('4.5 of an index with none, even 0 from 0 on is EINVAL', async () => {
    await using bench = await Bench.start({ vectors: 0 });
    const { file } = await bench.open();
    expect(codeOf(() => set(file, { count: 0 }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { count: 0, eventfds: [] }))).toBe('EINVAL');
  });

  test('4.5 the range is looked at before the sort of data', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    expect(() => set(file, { start: 7, count: 2, eventfds: HOLES, bools: [] })).toThrow('2 from 7 on, of 8');
  });

  test.each([MSI, MSIX])('4.6.1 index %d can be triggered, and neither masked nor unmasked: ENOTTY', async (index) => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    for (const action of ['mask', 'unmask'] as const) {
      for (const data of [{}, { bools: [true] }, { eventfds: eventfds(1) }]) {
        expect(codeOf(() => set(file, { index, action, ...data }))).toBe('ENOTTY');
      }
    }
  });
});

describe('vectors', () => {
  test('4.6.2 an eventfd hears of the interrupt of its vector, and of no other', async () => {
    await using bench = await Bench.start();
    const { port, fds } = await enabled(bench, 3);
    bench.fire(1);
    bench.fire(1);
    bench.fire(2);
    expect([counts(fds), port.log]).toEqual([
      [0, 2, 1],
      ['take 0', 'take 1', 'take 2'],
    ]);
    const { virq } = port.maps.get(1)!;
    expect(
      bench.kernel.irqs
        .list()
        .find((desc) => desc.virq === virq)
        ?.actions.map(({ name }) => name),
    ).toEqual([`vfio-msix[1](${port.dev.name})`]);
  });

  test('4.6.2 NONE with count 0 gives all up, last first, and nothing is left', async () => {
    await using bench = await Bench.start();
    const { port, file } = await enabled(bench, 3);
    const before = bench.kernel.irqs.list().length;
    expect(set(file, { count: 0 })).toBe(0);
    expect(port.log.slice(3)).toEqual(['give 2', 'give 1', 'give 0']);
    expect(bench.kernel.irqs.list().length).toBe(before - 3);
    expect(codeOf(() => set(file, { count: 0 }))).toBe('EINVAL');
  });

  test('4.6.2 NONE and BOOL are EINVAL while nothing is enabled', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    expect(codeOf(() => set(file, {}))).toBe('EINVAL');
    expect(codeOf(() => set(file, { bools: [true] }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { count: 0 }))).toBe('EINVAL');
  });

  test('4.6.2 while one kind is enabled, another is EINVAL', async () => {
    await using bench = await Bench.start();
    const { file, fds } = await enabled(bench, 1);
    for (const index of [MSI, INTX]) {
      expect(codeOf(() => set(file, { index, eventfds: eventfds(1) }))).toBe('EINVAL');
      expect(codeOf(() => set(file, { index, count: 0 }))).toBe('EINVAL');
    }
    bench.fire(0);
    expect(counts(fds)).toEqual([1]);
    set(file, { count: 0 });
    expect(set(file, { index: INTX, eventfds: eventfds(1) })).toBe(0);
    expect(codeOf(() => set(file, { eventfds: eventfds(1) }))).toBe('EINVAL');
    set(file, { index: INTX, count: 0 });
    expect(set(file, { index: MSI, eventfds: eventfds(1) })).toBe(0);
  });

  test('4.6.2 to enable from the middle takes those before it, too, without eventfd', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const [fd] = eventfds(1);
    expect(set(file, { start: 2, eventfds: [fd] })).toBe(0);
    expect(port.log).toEqual(['take 0', 'take 1', 'take 2']);
    bench.fire(2);
    expect(fd!.count).toBe(1);
  });

  test('no vectors at all are ERANGE', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    expect(codeOf(() => set(file, { count: 0, eventfds: [] }))).toBe('ERANGE');
    expect(set(file, { eventfds: HOLES })).toBe(0);
  });

  test('91 when fewer can be had, it says how many, and nothing stays allocated', async () => {
    await using bench = await Bench.start({ slots: 3 });
    const { port, file } = await bench.open();
    const before = bench.kernel.irqs.list().length;
    expect(set(file, { count: 5, eventfds: eventfds(5) })).toBe(3);
    expect(port.log).toEqual(['take 0', 'take 1', 'take 2', 'take 3', 'give 2', 'give 1', 'give 0']);
    expect([port.maps.size, bench.kernel.irqs.list().length]).toEqual([0, before]);
    expect(set(file, { count: 3, eventfds: eventfds(3) })).toBe(0);
  });

  test('91 when there is none at all, it is ENOSPC', async () => {
    await using bench = await Bench.start({ slots: 1 });
    const taken = bench.domain.alloc();
    const { file } = await bench.open();
    expect(codeOf(() => set(file, { eventfds: eventfds(1) }))).toBe('ENOSPC');
    bench.domain.free(taken);
    expect(set(file, { eventfds: eventfds(1) })).toBe(0);
  });

  test('4.6.8 when there is none left for one more, later, it is ENOSPC, and the others go on', async () => {
    await using bench = await Bench.start({ slots: 2 });
    const { file, fds } = await enabled(bench, 2);
    expect(codeOf(() => set(file, { start: 2, eventfds: eventfds(1) }))).toBe('ENOSPC');
    bench.fire(0);
    bench.fire(1);
    expect(counts(fds)).toEqual([1, 1]);
  });

  test('92 a bad descriptor in the first block is EBADF, and all is off', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const fds = eventfds(4);
    fds[2]!.close();
    const before = bench.kernel.irqs.list().length;
    expect(codeOf(() => set(file, { count: 4, eventfds: fds }))).toBe('EBADF');
    expect([port.maps.size, bench.kernel.irqs.list().length]).toEqual([0, before]);
    // MSI-X is off: another kind can be enabled.
    expect(set(file, { index: MSI, eventfds: eventfds(1) })).toBe(0);
  });

  test('92 in a later block, those from its start to the bad one are without eventfd, and the rest goes on', async () => {
    await using bench = await Bench.start();
    const { port, file, fds } = await enabled(bench, 4);
    const bad = eventfds(3);
    bad[1]!.close();
    expect(codeOf(() => set(file, { start: 1, count: 3, eventfds: bad }))).toBe('EBADF');
    for (let n = 0; n < 4; n++) if (n === 0 || n === 3) bench.fire(n);
    expect([counts(fds), counts(bad)]).toEqual([
      [1, 0, 0, 1],
      [0, 0, 0],
    ]);
    expect([1, 2].map((n) => bench.kernel.irqs.desc(port.maps.get(n)!.virq).actions.length)).toEqual([0, 0]);
  });

  test('93 one without eventfd has no handler, and keeps its vector; the others go on; it comes back without a new one', async () => {
    await using bench = await Bench.start();
    const { port, file, fds } = await enabled(bench, 4);
    const { virq } = port.maps.get(2)!;
    expect(set(file, { start: 2, eventfds: HOLES })).toBe(0);
    expect(bench.kernel.irqs.desc(virq).actions).toEqual([]);
    for (const n of [0, 1, 3]) bench.fire(n);
    expect([counts(fds), port.log.length]).toEqual([[1, 1, 0, 1], 4]);
    const [again] = eventfds(1);
    expect(set(file, { start: 2, eventfds: [again] })).toBe(0);
    bench.fire(2);
    expect([again!.count, port.maps.get(2)!.virq, port.log.length]).toEqual([1, virq, 4]);
  });

  test('94 NONE signals those that have an eventfd', async () => {
    await using bench = await Bench.start();
    const { file, fds } = await enabled(bench, 4);
    set(file, { start: 2, eventfds: HOLES });
    expect(set(file, { count: 4 })).toBe(0);
    expect(counts(fds)).toEqual([1, 1, 0, 1]);
  });

  test('94 BOOL signals those that are true', async () => {
    await using bench = await Bench.start();
    const { file, fds } = await enabled(bench, 3);
    expect(set(file, { count: 3, bools: [true, false, true] })).toBe(0);
    expect(counts(fds)).toEqual([1, 0, 1]);
    // What is not enabled is skipped, as what has no eventfd.
    expect(set(file, { start: 3, count: 5 })).toBe(0);
  });

  test('an eventfd in place of another gets what comes from then on', async () => {
    await using bench = await Bench.start();
    const { file, fds } = await enabled(bench, 1);
    const [next] = eventfds(1);
    bench.fire(0);
    expect(set(file, { eventfds: [next] })).toBe(0);
    bench.fire(0);
    expect([counts(fds), next!.count]).toEqual([[1], 1]);
  });

  test('one eventfd may be for several vectors: the second is not offered to a guest, and says so', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    const fd = new EventFd('shared');
    expect(set(file, { count: 2, eventfds: [fd, fd] })).toBe(0);
    bench.fire(0);
    bench.fire(1);
    expect([fd.count, bench.log('bypass_failed')]).toEqual([
      2,
      ['irq bypass producer (eventfd shared) registration fails: EBUSY'],
    ]);
    set(file, { count: 0 });
    expect(bench.violations).toEqual([]);
  });

  test('a driver signals its own vectors, also those that have no interrupt of hardware', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    const fds = eventfds(2);
    port.device.signal(MSI, 0);
    set(file, { index: MSI, count: 2, eventfds: fds });
    port.device.signal(MSI, 1);
    port.device.signal(MSI, 7);
    port.device.signal(MSIX, 0);
    expect(counts(fds)).toEqual([0, 1]);
  });

  test('closing gives all up', async () => {
    await using bench = await Bench.start();
    const { port, file, fds } = await enabled(bench, 2);
    const [{ virq }] = [port.maps.get(0)!];
    await file.close();
    expect([port.maps.size, counts(fds)]).toEqual([0, [0, 0]]);
    expect(bench.kernel.irqs.list().some((desc) => desc.virq === virq)).toBe(false);
  });

  test('a driver that throws when it is given a vector back breaks a rule, and gets the others', async () => {
    await using bench = await Bench.start();
    const { port, file } = await enabled(bench, 3);
    const { give } = port.irqs[2]!;
    Object.assign(port.irqs[2]!, {
      give: (k: number, virq: number) => {
        give!(k, virq);
        if (k === 1) throw new RangeError('dropped it');
      },
    });
    expect(set(file, { count: 0 })).toBe(0);
    expect([port.maps.size, bench.violations.splice(0)]).toEqual([0, ['callback-threw']]);
  });

  test('a vector is taken with the cookie of its number; a block that fails is undone; without eventfd the handler is gone', async () => {
    await using bench = await Bench.start({ slots: 3 });
    const { port, file } = await bench.open();
    port.cookies.set(1, 77);
    const fds = eventfds(2);
    expect(set(file, { count: 2, eventfds: fds })).toBe(0);
    expect(bench.slotCookies).toEqual([0, 77]);
    const more = eventfds(2);
    // There is one slot for two.
    expect(codeOf(() => set(file, { start: 2, count: 2, eventfds: more }))).toBe('ENOSPC');
    expect(bench.kernel.irqs.desc(port.maps.get(2)!.virq).actions).toEqual([]);
    set(file, { eventfds: HOLES });
    expect(bench.kernel.irqs.desc(port.maps.get(0)!.virq).actions).toEqual([]);
  });

  test('C-142 another cookie does not touch a vector in use, and is for its next allocation', async () => {
    await using bench = await Bench.start();
    const { port, file } = await bench.open();
    port.cookies.set(0, 5);
    const fds = eventfds(1);
    set(file, { eventfds: fds });
    port.cookies.set(0, 6);
    bench.fire(0);
    expect([counts(fds), bench.slotCookies]).toEqual([[1], [5]]);
    set(file, { count: 0 });
    set(file, { eventfds: fds });
    expect(bench.slotCookies).toEqual([6]);
  });

  test('C-155 a vector that was not asked for at first is taken when it is, alone, and kept until all are given up', async () => {
    await using bench = await Bench.start();
    const { port, file } = await enabled(bench, 1);
    const fds = eventfds(1);
    expect(set(file, { start: 5, eventfds: fds })).toBe(0);
    expect(port.log).toEqual(['take 0', 'take 5']);
    bench.fire(port.maps.get(5)!.index);
    expect(counts(fds)).toEqual([1]);
    set(file, { start: 5, eventfds: HOLES });
    expect(port.maps.has(5)).toBe(true);
    set(file, { count: 0 });
    expect(port.log).toEqual(['take 0', 'take 5', 'give 5', 'give 0']);
  });

  test('in any order, blocks keep to a plain model of them', async () => {
    await using bench = await Bench.start({ slots: 6 });
    const { port, file } = await bench.open();
    const random = new Random(0x1f);
    /** Vectors that are taken, with the eventfd of each. */
    let model: Map<number, EventFd | undefined> | undefined;
    for (let step = 0; step < 600; step++) {
      const start = random.below(8);
      const count = random.below(9 - start);
      const fds = eventfds(count).map((fd) => (random.below(4) === 0 ? undefined : fd));
      const isBad = random.below(8) === 0;
      if (isBad) for (const fd of fds) fd?.close();
      if (random.below(6) === 0) {
        expect(codeOf(() => set(file, { count: 0 }))).toBe(model === undefined ? 'EINVAL' : 'ok');
        model = undefined;
      } else if (model === undefined) {
        const all = start + count;
        const bad = isBad && fds.some((fd) => fd !== undefined);
        const code = all === 0 ? 'ERANGE' : all > 6 || !bad ? 'ok' : 'EBADF';
        expect(codeOf(() => set(file, { start, count, eventfds: fds }))).toBe(code);
        if (code === 'ok' && all <= 6) {
          model = new Map(Array.from({ length: all }, (_, n) => [n, n < start ? undefined : fds[n - start]]));
        }
      } else {
        let code = 'ok';
        let done = 0;
        for (; code === 'ok' && done < count; done++) {
          const fd = fds[done];
          const isTaken: boolean = model.has(start + done);
          if (fd === undefined) {
            if (isTaken) model.set(start + done, undefined);
          } else if (!isTaken && model.size === 6) code = 'ENOSPC';
          else {
            model.set(start + done, isBad ? undefined : fd);
            if (isBad) code = 'EBADF';
          }
        }
        if (code !== 'ok') for (let n = 0; n < done; n++) if (model.has(start + n)) model.set(start + n, undefined);
        expect(codeOf(() => set(file, { start, count, eventfds: fds }))).toBe(code);
      }
      expect(new Set(port.maps.keys())).toEqual(new Set(model?.keys()));
      for (const [vector, fd] of model ?? []) {
        const before = fd?.count;
        const { index, virq } = port.maps.get(vector)!;
        expect(bench.kernel.irqs.desc(virq).actions.length).toBe(fd === undefined ? 0 : 1);
        if (fd === undefined) continue;
        bench.fire(index);
        expect(fd.count).toBe(before! + 1);
      }
    }
    expect(bench.violations).toEqual([]);
  });
});
