import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IrqHandle, IrqSpec } from 'backplane';
import { defaultSeed } from 'backplane/testing';
import { Rig, type RigOptions, codeOf } from './interrupts-rig.js';

/** Each line has two of them. */
const GADGETS = 8;
const LINES = 4;
const CPUS = 4;

/** Who ends the level of a device. */
type Half = 'hard' | 'thread' | 'async thread';

const step = fc.record({
  what: fc.constantFrom(
    'request',
    'request',
    'request',
    'release',
    'assert',
    'assert',
    'assert',
    'enable',
    'disable',
    'move',
    'offline',
    'online',
    'nosync',
    'elapse',
  ),
  gadget: fc.nat(GADGETS - 1),
  cpu: fc.nat(CPUS - 1),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Known {
  handle: IrqHandle | undefined = undefined;
  isAsserted = false;
  asserted = 0;
  came = 0;
}

const turn = (): Promise<void> => new Promise<void>((resolve) => setImmediate(resolve));

async function walk(half: Half, options: RigOptions, steps: readonly Step[]): Promise<string[]> {
  await using rig = await Rig.start({ cpus: CPUS, gadgets: GADGETS, ...options });
  const { irqs } = rig.kernel;
  const seen: string[] = [];
  const known = Array.from({ length: GADGETS }, () => new Known());
  const depth = Array.from({ length: LINES }, () => 0);
  const lineOf = (n: number): number => n % LINES;
  const drive = (n: number, on: boolean): void => {
    known[n]!.isAsserted = on;
    rig.model(n).irq.intx(on);
  };
  const serve = (n: number): 'handled' | 'none' => {
    const one = known[n]!;
    if (!one.isAsserted) return 'none';
    one.came++;
    seen.push(`${n} on ${irqs.core.currentCpu}`);
    drive(n, false);
    return 'handled';
  };
  const specs: Record<Half, (n: number) => IrqSpec> = {
    hard: (n) => ({ hard: () => serve(n) }),
    thread: (n) => ({ hard: () => (known[n]!.isAsserted ? 'wake' : 'none'), thread: () => serve(n), oneshot: true }),
    'async thread': (n) => ({
      hard: () => (known[n]!.isAsserted ? 'wake' : 'none'),
      thread: async () => {
        await Promise.resolve();
        return serve(n);
      },
      oneshot: true,
    }),
  };
  for (let n = 0; n < GADGETS; n++) rig.dev(n).allocVectors({ types: ['intx'] });
  const before = rig.account();
  for (const { what, gadget: n, cpu } of steps) {
    const one = known[n]!;
    const { handle } = one;
    const line = lineOf(n);
    const isAlone = known.every((other, m) => m === n || lineOf(m) !== line || other.handle === undefined);
    seen.push(`${what} ${n} ${cpu}`);
    if (what === 'request' && handle === undefined) one.handle = rig.dev(n).requestIrq(0, specs[half](n));
    else if (what === 'release' && handle !== undefined) {
      drive(n, false);
      await handle.free();
      one.handle = undefined;
      // A line without user is enabled when it gets one.
      if (isAlone) depth[line] = 0;
    } else if (what === 'assert' && handle !== undefined) {
      one.asserted++;
      drive(n, true);
    } else if (what === 'disable' && handle !== undefined) {
      depth[line]!++;
      await handle.disable();
    } else if (what === 'nosync' && handle !== undefined) {
      depth[line]!++;
      handle.disableNosync();
    } else if (what === 'enable' && handle !== undefined && depth[line]! > 0) {
      depth[line]!--;
      handle.enable();
    } else if (what === 'move' && handle !== undefined)
      expect(['nothing', 'EINVAL']).toContain(codeOf(() => handle.setAffinity([cpu])));
    else if (what === 'offline') expect(['nothing', 'EINVAL', 'EBUSY']).toContain(codeOf(() => irqs.offline(cpu)));
    else if (what === 'online') expect(['nothing', 'EINVAL']).toContain(codeOf(() => irqs.online(cpu)));
    else if (what === 'elapse') rig.machine.elapse(500 * (1 + cpu));
    // Half of the time, what came is still pending when the next step is made.
    if (cpu % 2 === 0) continue;
    rig.machine.drain();
    if (half === 'async thread') await turn();
    for (const [m, other] of known.entries()) {
      if (other.handle === undefined || depth[lineOf(m)]! > 0) continue;
      expect([m, other.isAsserted]).toEqual([m, false]);
      expect(other.came).toBeLessThanOrEqual(other.asserted);
    }
  }
  for (const [n, { handle }] of known.entries()) {
    drive(n, false);
    await handle?.free();
  }
  for (let cpu = 0; cpu < CPUS; cpu++) codeOf(() => irqs.online(cpu));
  rig.calm();
  expect(rig.account()).toEqual(before);
  return seen;
}

describe.each(['hard', 'thread', 'async thread'] as const)('levels of shared lines that a %s half ends', (half) => {
  test.each(['remapped', 'plain', 'none'] as const)('are all ended, on a %s machine', async (interrupts) => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      await walk(half, { interrupts }, steps);
    });
    await fc.assert(property, { seed: defaultSeed(), numRuns: 15 });
  });

  test('the same walk gives the same trace', async () => {
    for (const steps of fc.sample(fc.array(step, { minLength: 60, maxLength: 80 }), { seed: defaultSeed(), numRuns: 3 })) {
      expect(await walk(half, {}, steps)).toEqual(await walk(half, {}, steps));
    }
  });
});
