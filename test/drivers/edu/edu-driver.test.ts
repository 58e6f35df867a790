import { describe, expect, test } from 'vitest';
import type { Kernel } from '../../../core/index.js';
import { DriverHarness, FakePciFunction, explore, failEach, fakeRegisters, removeAnywhere } from '../../../core/testing/index.js';
import { type Edu, Edus } from '../../../drivers/edu/api.js';
import { EduDriver } from '../../../drivers/edu/edu-driver.js';
import { BAR_BYTES, EDU_DEVICE, EDU_REGS, EDU_VENDOR, IDENT } from '../../../hw/regs/edu.js';
import { hostSim } from '../../../plugins/host-sim.js';

const driver = (kernel: Kernel): EduDriver => new EduDriver(kernel.dma);
const options = { driver, host: () => hostSim({ edu: 1 }) };
/** Messages go nowhere on this machine: the device has its line alone. */
const lineOptions = { driver, host: () => hostSim({ edu: 1, interrupts: 'none' }) };
const eduOf = (kernel: Kernel): Edu => Edus.get(kernel.core, 'edu0');

/** A harness around a device whose registers are plain memory: it does nothing by itself. */
function withRegisters(): { harness: DriverHarness; regs: ReturnType<typeof fakeRegisters> } {
  const regs = fakeRegisters(BAR_BYTES, EDU_REGS);
  const edu = new FakePciFunction({ vendor: EDU_VENDOR, device: EDU_DEVICE, bars: [{ sizeBytes: BAR_BYTES, window: regs }] });
  return { harness: new DriverHarness({ driver, pci: () => [edu] }), regs };
}

describe('EduDriver', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    expect(await failEach(options)).toEqual([
      'bar 0',
      'dma mask 0xfffffff',
      'dma 4096 bytes',
      'bus master',
      'msi vectors',
      'msi domain',
      'irq 24',
      'class edu',
    ]);
  });

  test('so it does with a line, which it comes to when there are no messages', async () => {
    expect(await failEach(lineOptions)).toEqual([
      'bar 0',
      'dma mask 0xfffffff',
      'dma 4096 bytes',
      'bus master',
      'msi vectors',
      'intx',
      'irq 20',
      'class edu',
    ]);
  });

  test.each([
    ['computes by message', options, (edu: Edu) => edu.factorial(5)],
    ['copies by message', options, (edu: Edu) => edu.copy(new Uint8Array(64))],
    ['computes by line', lineOptions, (edu: Edu) => edu.factorial(5)],
    ['copies by line', lineOptions, (edu: Edu) => edu.copy(new Uint8Array(64))],
  ])('a device that vanishes anywhere while it %s leaves nothing behind', async (_what, on, work) => {
    const points = await removeAnywhere(on, { use: ({ kernel }) => work(eduOf(kernel)) });
    expect(points).toContain('acquire class edu');
    expect(points.filter((point) => point.startsWith('interrupt')).length).toBeGreaterThan(0);
    expect(points.length).toBeGreaterThan(20);
  });

  test.each([
    ['messages', options],
    ['a line', lineOptions],
  ])('holds in every interleaving of binds, removals, interrupts by %s and commands', async (_by, where) => {
    const result = await explore(where, {
      runs: 30,
      operations: {
        factorial: ({ kernel }) => eduOf(kernel).factorial(5),
        copy: ({ kernel }) => eduOf(kernel).copy(new Uint8Array(8)),
      },
    });
    expect(result.steps['interrupt']).toBeGreaterThan(0);
  });

  test('what identifies itself as something else is ENODEV', async () => {
    const { harness, regs } = withRegisters();
    await using _end = harness;
    regs.set(IDENT, 0x0100_0bad);
    await expect(harness.bind()).rejects.toThrow('ENODEV: 0000:00:01.0: identifies itself as 0xbad, not as edu');
  });

  test('a device that does not invert LIVENESS is EIO', async () => {
    const { harness } = withRegisters();
    await using _end = harness;
    await expect(harness.bind()).rejects.toThrow('EIO: 0000:00:01.0: does not invert what is written to LIVENESS');
  });

  test('the ledger is undone last first', async () => {
    await using harness = new DriverHarness(options);
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('0000:00:04.0')).toBe(true);
    expect(harness.leaks()).toEqual([]);
  });
});
