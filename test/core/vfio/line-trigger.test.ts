import { describe, expect, test } from 'vitest';
import { EventFd, VFIO_PCI_IRQ, type VfioFile, type VfioIrqSet } from '../../../core/index.js';
import { Bench, type Port, codeOf, eventfds } from './bench.js';

const { INTX, MSIX, ERR, REQ } = VFIO_PCI_IRQ;
const HOLES: (EventFd | undefined)[] = [undefined];

/** SET_IRQS of one interrupt, to trigger, unless told otherwise. */
const set = (file: VfioFile, more: Partial<VfioIrqSet>): number =>
  file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, ...more });

describe('the line', () => {
  const line = (file: VfioFile, more: Partial<VfioIrqSet>): number => set(file, { index: INTX, ...more });
  const ready = async (bench: Bench): Promise<{ port: Port; file: VfioFile; fd: EventFd }> => {
    const { port, file } = await bench.open();
    const fd = new EventFd('line');
    expect(line(file, { eventfds: [fd] })).toBe(0);
    return { port, file, fd };
  };

  test('4.6.6 masks itself when it has come; what comes meanwhile is signalled when it is unmasked', async () => {
    await using bench = await Bench.start();
    const { port, file, fd } = await ready(bench);
    port.device.signal(INTX, 0);
    expect(fd.read()).toBe(1);
    port.device.signal(INTX, 0);
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(0);
    expect(line(file, { action: 'unmask' })).toBe(0);
    expect(fd.read()).toBe(1);
    // It is masked again.
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(0);
    line(file, { action: 'unmask' });
    line(file, { action: 'unmask' });
    expect(fd.read()).toBe(1);
  });

  test('4.6.7 the user masks it, too; a false BOOL does nothing', async () => {
    await using bench = await Bench.start();
    const { port, file, fd } = await ready(bench);
    line(file, { action: 'mask', bools: [false] });
    port.device.signal(INTX, 0);
    expect(fd.read()).toBe(1);
    line(file, { action: 'unmask', bools: [true] });
    line(file, { action: 'mask', bools: [true] });
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(0);
    line(file, { action: 'unmask', bools: [false] });
    expect(fd.count).toBe(0);
    line(file, { action: 'unmask' });
    expect(fd.count).toBe(1);
  });

  test('4.6.7 before it is enabled all but its eventfd is EINVAL, and so is a count of 0', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    for (const action of ['mask', 'unmask', 'trigger'] as const) {
      expect(codeOf(() => line(file, { action }))).toBe('EINVAL');
      expect(codeOf(() => line(file, { action, bools: [true] }))).toBe('EINVAL');
      expect(codeOf(() => line(file, { action, count: 0 }))).toBe('EINVAL');
    }
    expect(codeOf(() => line(file, { count: 0, eventfds: [] }))).toBe('EINVAL');
    expect(codeOf(() => line(file, { start: 1 }))).toBe('EINVAL');
    expect(codeOf(() => line(file, { count: 2, eventfds: eventfds(2) }))).toBe('EINVAL');
    expect(codeOf(() => line(file, { action: 'mask', eventfds: eventfds(1) }))).toBe('EINVAL');
  });

  test('4.6.7 to mask it by an eventfd is ENOTTY', async () => {
    await using bench = await Bench.start();
    const { file } = await ready(bench);
    expect(codeOf(() => line(file, { action: 'mask', eventfds: eventfds(1) }))).toBe('ENOTTY');
  });

  test('4.6.7 without eventfd it stays enabled, and another may come', async () => {
    await using bench = await Bench.start();
    const { port, file, fd } = await ready(bench);
    expect(line(file, { eventfds: HOLES })).toBe(0);
    port.device.signal(INTX, 0);
    expect([fd.count, codeOf(() => set(file, { eventfds: eventfds(1) }))]).toEqual([0, 'EINVAL']);
    line(file, { eventfds: [fd] });
    line(file, { action: 'unmask' });
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(1);
    expect(line(file, { count: 0 })).toBe(0);
    port.device.signal(INTX, 0);
    expect([fd.count, set(file, { eventfds: eventfds(1) })]).toEqual([1, 0]);
  });

  test('4.6.7 TRIGGER by NONE and BOOL signals it', async () => {
    await using bench = await Bench.start();
    const { file, fd } = await ready(bench);
    line(file, {});
    line(file, { bools: [true] });
    line(file, { bools: [false] });
    expect(fd.count).toBe(2);
  });

  test('4.6.7 an eventfd unmasks it: the second is EBUSY, one that is signalled does so at once, and -1 ends that', async () => {
    await using bench = await Bench.start();
    const { port, file, fd } = await ready(bench);
    const [first, second] = eventfds(2);
    port.device.signal(INTX, 0);
    port.device.signal(INTX, 0);
    first!.signal();
    expect(line(file, { action: 'unmask', eventfds: [first] })).toBe(0);
    expect(fd.read()).toBe(2);
    expect(codeOf(() => line(file, { action: 'unmask', eventfds: [second] }))).toBe('EBUSY');
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(0);
    first!.signal();
    expect(fd.read()).toBe(1);
    expect(line(file, { action: 'unmask', eventfds: HOLES })).toBe(0);
    port.device.signal(INTX, 0);
    first!.signal();
    expect(fd.count).toBe(0);
    expect(line(file, { action: 'unmask', eventfds: [second] })).toBe(0);
    second!.close();
    expect(codeOf(() => line(file, { action: 'unmask', eventfds: [second] }))).toBe('EBADF');
    expect(line(file, { action: 'unmask', eventfds: [first] })).toBe(0);
  });

  test('a bad eventfd is EBADF, and it is not enabled by that', async () => {
    await using bench = await Bench.start();
    const { file } = await bench.open();
    const [fd] = eventfds(1);
    fd!.close();
    expect(codeOf(() => line(file, { eventfds: [fd] }))).toBe('EBADF');
    expect(set(file, { eventfds: eventfds(1) })).toBe(0);
  });

  test('closing gives it up', async () => {
    await using bench = await Bench.start();
    const { port, file, fd } = await ready(bench);
    await file.close();
    port.device.signal(INTX, 0);
    expect(fd.count).toBe(0);
  });
});

describe.each([
  ['REQ', REQ, [] as { index: number; count: number }[]],
  ['ERR', ERR, [{ index: ERR, count: 1 }]],
])('%s', (_name, index, irqs) => {
  const open = async (bench: Bench): Promise<{ port: Port; file: VfioFile }> => bench.open();
  const start = (): Promise<Bench> => Bench.start({ shape: (it) => Object.assign(it, { irqs }) });

  test('4.6.7 is signalled by its driver and by TRIGGER, until it is removed', async () => {
    await using bench = await start();
    const { port, file } = await open(bench);
    const fd = new EventFd();
    expect(file.irqInfo(index)).toMatchObject({ count: 1, eventfd: true, noResize: true });
    expect(set(file, { index, eventfds: [fd] })).toBe(0);
    port.device.signal(index, 0);
    set(file, { index });
    set(file, { index, bools: [true] });
    set(file, { index, bools: [false] });
    expect(fd.read()).toBe(3);
    expect(set(file, { index, count: 0 })).toBe(0);
    port.device.signal(index, 0);
    expect(fd.count).toBe(0);
    set(file, { index, eventfds: [fd] });
    expect(set(file, { index, eventfds: HOLES })).toBe(0);
    port.device.signal(index, 0);
    expect(fd.count).toBe(0);
  });

  test('4.6.7 NONE without eventfd is EINVAL, and so are no data; anything but TRIGGER is ENOTTY; a bad eventfd EBADF', async () => {
    await using bench = await start();
    const { file } = await open(bench);
    const [bad] = eventfds(1);
    bad!.close();
    expect(codeOf(() => set(file, { index }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { index, count: 0 }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { index, count: 0, eventfds: [] }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { index, count: 0, bools: [] }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { index, start: 1 }))).toBe('EINVAL');
    expect(codeOf(() => set(file, { index, count: 2, eventfds: eventfds(2) }))).toBe('EINVAL');
    for (const action of ['mask', 'unmask'] as const) expect(codeOf(() => set(file, { index, action }))).toBe('ENOTTY');
    expect(codeOf(() => set(file, { index, eventfds: [bad] }))).toBe('EBADF');
    expect(set(file, { index, bools: [true] })).toBe(0);
  });
});
