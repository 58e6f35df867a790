import { describe, expect, test } from 'vitest';
import { type Device, DmaChannels, type Kernel } from '../../../core/index.js';
import { explore, removeAnywhere } from '../../../core/testing/index.js';
import type { Idxd } from '../../../drivers/idxd/idxd.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Notes } from './dma-fixture.js';
import { SMALL, bind, configure, functionHarness, write } from './harness.js';

type Where = { readonly kernel: Kernel; readonly device: Device };

/** A byte a microsecond: what is submitted is under way. It gives out interrupt handles. */
const SLOW = { ...SMALL, bytesPerUs: 1, commandCap: 0x7ffe } as const;

/** From whatever state it is in: queue 0 is a channel. */
async function enable({ kernel, device }: Where): Promise<void> {
  if (!device.bound) await kernel.core.attach(device);
  await configure(kernel);
  await write(kernel, 'wq0.0', 'driver_name', 'dmaengine');
  await bind(kernel, 'dsa0', 'idxd');
  await bind(kernel, 'wq0.0', 'dmaengine');
}

/** Submits copies on each channel. @returns when all that wait for them have been told */
async function work({ kernel }: Where, told: Notes[] = []): Promise<void> {
  const ends = DmaChannels.list(kernel.core).flatMap(([, channel]) => {
    const dev = channel.device();
    const [from, to] = [kernel.dma.alloc(dev, 4096), kernel.dma.alloc(dev, 4096)];
    return [200, 20].map((sizeBytes) => {
      const notes = new Notes();
      const cookie = channel.submit(channel.prepareMemcpy(to.address, from.address, sizeBytes), notes);
      told.push(notes);
      return channel.wait(cookie);
    });
  });
  await Promise.allSettled(ends);
}

/** The device refuses the next of each command that would end work. */
function refuse({ commands }: Idxd): void {
  const run = commands.run.bind(commands);
  const left = new Set<string>(['drainWq', 'abortWq', 'resetWq', 'disableWq']);
  commands.run = (command, operand) =>
    left.delete(command) ? Promise.resolve({ status: DSA.ERRORS.command, result: 0 }) : run(command, operand);
}

describe('an accelerator at work', () => {
  test('D25 may vanish anywhere while handles are taken back, and while it halts and recovers', async () => {
    const harness = functionHarness(SLOW);
    const points = await removeAnywhere(harness, {
      use: async (where) => {
        await enable(where);
        const ended = work(where);
        harness.silicon().revokeHandles();
        harness.silicon().halt('flr');
        await ended;
        await where.kernel.clock.sleep(200_000);
      },
    });
    expect(points.length).toBeGreaterThan(300);
  }, 120_000);

  test('tells each client once, in every interleaving of binds, removals, drains, refusals, halts and handles that are taken back', async () => {
    const harness = functionHarness(SLOW);
    const told: Notes[] = [];
    const halts = { disabled: 0, enabled: 0, halted: 0 };
    const during = async (where: Where, event: () => void): Promise<void> => {
      await enable(where).catch(() => {});
      const ended = work(where, told);
      event();
      await ended;
    };
    const halt = ({ device }: Where, needed: 'software' | 'flr'): void => {
      if (!device.bound) return;
      halts[(device.state as Idxd).state]++;
      harness.silicon().halt(needed);
    };
    await explore(harness, {
      operations: {
        work: (where) => during(where, () => {}),
        halt: (where) => during(where, () => halt(where, 'software')),
        crash: (where) => during(where, () => halt(where, 'flr')),
        revoke: (where) => during(where, () => harness.silicon().revokeHandles()),
        refuse: ({ device }) => (device.bound ? refuse(device.state as Idxd) : undefined),
        drain: ({ device }) => (device.bound ? (device.state as Idxd).commands.run('drainAll') : undefined),
        disable: ({ kernel: { core } }) => {
          const whole = core.buses.get('dsa')!.find('dsa0');
          return whole && core.unbind(whole);
        },
        sleep: ({ kernel }) => kernel.clock.sleep(50_000),
      },
    });
    expect(halts.enabled).toBeGreaterThan(10);
    expect(told.length).toBeGreaterThan(50);
    expect(told.filter(({ results }) => results.length !== 1)).toEqual([]);
  }, 60_000);
});
