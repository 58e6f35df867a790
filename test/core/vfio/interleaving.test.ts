import { describe, expect, test } from 'vitest';
import { Random, VFIO_PCI_IRQ, type VfioFile, type VfioGroupFile } from '../../../core/index.js';
import { Bench, UUID, codeOfAsync, eventfds } from './bench.js';

const { MSIX } = VFIO_PCI_IRQ;
const TURNS = 6;

/** What users meet when others do the same. */
const EXPECTED = new Set(['ok', 'EBADF', 'EBUSY', 'EINVAL', 'EIO', 'ENODEV', 'EAGAIN', 'ENOSPC', 'EEXIST', 'EUSERS']);

/** Several users, and who makes and removes the device, in an order of their own; the driver takes its time, and fails at times. */
async function run(seed: number): Promise<{ bench: Bench; steps: string[] }> {
  const random = new Random(seed);
  const later = async (): Promise<void> => {
    for (let n = random.below(TURNS); n > 0; n--) await Promise.resolve();
  };
  let isOpen = false;
  const bench = await Bench.start({
    port: { pasid: true },
    slots: 3,
    shape: (port) =>
      Object.assign(port, {
        open: async () => {
          expect([isOpen, port.maps.size]).toEqual([false, 0]);
          await later();
          if (random.below(5) === 0) throw new Error('EIO');
          isOpen = true;
        },
        close: async () => {
          expect(isOpen).toBe(true);
          await later();
          isOpen = false;
          if (random.below(5) === 0) throw new Error('EIO');
        },
      }),
  });
  const { kernel, vfio } = bench;
  const files: VfioFile[] = [];
  const groups: VfioGroupFile[] = [];
  const steps: string[] = [];
  const containers = [0, 1].map(() => vfio.container(bench.memory));
  const pick = <T>(list: readonly T[]): T | undefined => list[random.below(Math.max(list.length, 1))];
  const actions: Record<string, () => unknown> = {
    create: () => bench.create(),
    remove: () => {
      const dev = kernel.mdev.find(UUID);
      return dev && kernel.mdev.remove(dev);
    },
    open: () => void files.push(vfio.openDevice(UUID)),
    bind: () => pick(files)?.bind(pick(containers)!),
    close: () => pick(files)?.close(),
    openGroup: () => void groups.push(vfio.openGroup(vfio.get(UUID).group.name)),
    setContainer: () => {
      const container = pick(containers)!;
      groups.at(-1)?.setContainer(container);
      if (container.type === undefined) container.setIommu('type1v2');
    },
    getDevice: async () => {
      const file = await groups.at(-1)?.getDevice(UUID);
      if (file !== undefined) files.push(file);
    },
    unsetContainer: () => pick(groups)?.unsetContainer(),
    closeGroup: () => pick(groups)?.close(),
    setIrqs: () =>
      pick(files)?.setIrqs({ index: MSIX, action: 'trigger', start: random.below(3), count: 1, eventfds: eventfds(1) }),
    disable: () => pick(files)?.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 0 }),
    reset: () => pick(files)?.reset(),
  };
  const names = Object.keys(actions);
  const user = async (): Promise<void> => {
    for (let n = 0; n < 40; n++) {
      const name = pick(names)!;
      // Who removes waits for all others, and these for nobody.
      const done = codeOfAsync(async () => actions[name]!()).catch((error: unknown) => (error as Error).message);
      if (name === 'remove') void done.then((code) => steps.push(`${name} ${code}`));
      else {
        const code = await done;
        steps.push(`${name} ${code}`);
        expect(EXPECTED).toContain(code);
      }
      await later();
    }
  };
  await Promise.all([user(), user(), user()]);
  for (const file of files) await codeOfAsync(() => file.close()).catch(() => {});
  for (const group of groups) group.close();
  for (const container of containers) container.close();
  return { bench, steps };
}

describe('users that come and go in any order', () => {
  test.each(Array.from({ length: 40 }, (_, n) => n + 1))('seed %d: nothing is left, and no rule was broken', async (seed) => {
    const { bench, steps } = await run(seed);
    const { kernel, vfio } = bench;
    await bench.machine.settle(0);
    const dev = kernel.mdev.find(UUID);
    if (dev !== undefined) {
      await kernel.mdev.remove(dev);
      steps.push('the last remove');
    }
    expect([kernel.mdev.devices, vfio.list(), bench.parent.available]).toEqual([[], [], 2]);
    expect(kernel.irqs.list().filter(({ actions }) => actions.some(({ name }) => name.startsWith('vfio')))).toEqual([]);
    expect(kernel.iommu.group(bench.dev)!.pasidCount).toBe(0);
    expect(bench.violations).toEqual([]);
    await bench[Symbol.asyncDispose]();
  });
});
