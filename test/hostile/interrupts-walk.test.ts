import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask, type IrqHandle, type MsiMap, imsArray } from 'backplane';
import { defaultSeed } from 'backplane/testing';
import { Rig, type RigOptions, codeOf } from './interrupts-rig.js';

const SOURCES = 6;
const CPUS = 4;

/** A place that an interrupt can come from. */
interface Source {
  /** @returns its number */
  alloc(): number;
  free(): void;
  /** The device wants to interrupt. */
  fire(): void;
}

type Kind = 'ims' | 'managed' | 'msix' | 'msi' | 'msi-maskable';

function sourcesOf(rig: Rig, kind: Kind): Source[] {
  if (kind === 'ims' || kind === 'managed') {
    const dev = rig.dev();
    const domain = rig.kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
    return withMaps(
      (n) => domain.allocAt(n, kind === 'ims' ? {} : { affinity: { mask: CpuMask.of(n % CPUS, (n + 1) % CPUS), managed: true } }),
      (map) => domain.free(map),
      (n) => rig.model().slots.send(n),
    );
  }
  if (kind === 'msix') {
    const dev = rig.dev();
    dev.enableMsix({ entries: [7] });
    return withMaps(
      (n) => dev.msixAllocAt(n),
      (map) => dev.msixFree(map),
      (n) => void rig.model().irq.msix(n),
    );
  }
  return Array.from({ length: SOURCES }, (_, n) => ({
    alloc: () => rig.dev(n).enableMsi().virq(0),
    free: () => rig.dev(n).freeVectors(),
    fire: () => void rig.model(n).irq.msi(0),
  }));
}

function withMaps(alloc: (n: number) => MsiMap, free: (map: MsiMap) => void, fire: (n: number) => void): Source[] {
  return Array.from({ length: SOURCES }, (_, n) => {
    let map: MsiMap;
    return {
      alloc: () => (map = alloc(n)).virq,
      free: () => free(map),
      fire: () => fire(n),
    };
  });
}

/** What the walk knows of one source. */
class Known {
  virq = 0;
  handle: IrqHandle | undefined = undefined;
  depth = 0;
  /** It fired, and its handler has not been called since. */
  isOwed = false;
  fired = 0;
  came = 0;
}

const step = fc.record({
  what: fc.constantFrom(
    'alloc',
    'free',
    'request',
    'request',
    'release',
    'enable',
    'disable',
    'move',
    'move',
    'offline',
    'online',
    'fire',
    'fire',
    'fire',
    'post',
    'post',
    'elapse',
  ),
  source: fc.nat(SOURCES - 1),
  cpu: fc.nat(CPUS - 1),
  cpus: fc.uniqueArray(fc.nat(CPUS - 1), { minLength: 1, maxLength: CPUS }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Whether it could be done: there may be no vector left. */
function mayBeFull(body: () => unknown): boolean {
  const code = codeOf(body);
  expect(['nothing', 'ENOSPC']).toContain(code);
  return code === 'nothing';
}

/** Walks, and looks after each step. @returns what happened */
async function walk(kind: Kind, options: RigOptions, steps: readonly Step[]): Promise<string[]> {
  await using rig = await Rig.start({ cpus: CPUS, gadgets: kind.startsWith('msi') && kind !== 'msix' ? SOURCES : 1, ...options });
  const { irqs } = rig.kernel;
  const seen: string[] = [];
  const before = rig.account();
  const events = rig.machine.clock.pending;
  const sources = sourcesOf(rig, kind);
  const known = sources.map(() => new Known());
  const request = (n: number): void => {
    const one = known[n]!;
    let isFreed = false;
    const handle = irqs.request(rig.dev(kind.startsWith('msi') && kind !== 'msix' ? n : 0), one.virq, () => {
      expect(isFreed).toBe(false);
      one.came++;
      one.isOwed = false;
      seen.push(`${n} on ${irqs.core.currentCpu}`);
    });
    one.handle = handle;
    one.depth = one.fired = one.came = 0;
    releases[n] = async () => {
      await handle.free();
      isFreed = true;
    };
  };
  const releases: (() => Promise<void>)[] = [];
  const alloc = (n: number): void => {
    mayBeFull(() => (known[n]!.virq = sources[n]!.alloc()));
  };
  const fire = (n: number): void => {
    const one = known[n]!;
    rig.machine.drain();
    sources[n]!.fire();
    if (one.handle === undefined) return;
    one.isOwed = true;
    one.fired++;
  };
  for (const { what, source: n, cpu, cpus } of steps) {
    const one = known[n]!;
    seen.push(`${what} ${n} ${cpu} ${cpus.join(',')}`);
    if (what === 'alloc' && one.virq === 0) alloc(n);
    else if (what === 'free' && one.virq !== 0 && one.handle === undefined) {
      sources[n]!.free();
      one.virq = 0;
    } else if (what === 'request' && one.handle === undefined) {
      if (one.virq === 0) alloc(n);
      if (one.virq !== 0 && !mayBeFull(() => request(n))) one.handle = undefined;
    } else if (what === 'release' && one.handle !== undefined) {
      await releases[n]!();
      one.handle = undefined;
      one.isOwed = false;
      one.depth = 0;
    } else if (what === 'enable' && one.depth > 0) {
      one.depth--;
      one.handle!.enable();
    } else if (what === 'disable' && one.handle !== undefined) {
      one.depth++;
      await one.handle.disable();
    } else if (what === 'move' && one.handle !== undefined) {
      expect(['nothing', 'EINVAL', 'ENOSPC']).toContain(codeOf(() => one.handle!.setAffinity(cpus)));
    } else if (what === 'offline') expect(['nothing', 'EINVAL', 'EBUSY', 'ENOSPC']).toContain(codeOf(() => irqs.offline(cpu)));
    else if (what === 'online') expect(['nothing', 'EINVAL']).toContain(codeOf(() => irqs.online(cpu)));
    else if (what === 'elapse') rig.machine.elapse(300 + 300 * cpu);
    else if (what === 'fire' || what === 'post') fire(n);
    // What is only posted is still pending when the next step is made.
    if (what !== 'post') rig.machine.drain();
    if (what !== 'post') check(rig, known, seen);
  }
  for (const [n, one] of known.entries()) {
    if (one.handle !== undefined) await releases[n]!();
    if (one.virq !== 0) sources[n]!.free();
  }
  for (let cpu = 0; cpu < CPUS; cpu++) codeOf(() => irqs.online(cpu));
  rig.calm();
  for (const dev of rig.kernel.pci.devices) if (dev.bound) await rig.kernel.core.unbind(dev);
  expect(rig.account()).toEqual({ ...before, ledger: 0 });
  const { matrix } = rig.kernel.interrupts;
  for (let cpu = 0; cpu < CPUS; cpu++)
    expect(matrix!.cpu(cpu)).toMatchObject({ online: true, allocated: 0, managedAllocated: 0 });
  expect(rig.machine.clock.pending).toBe(events);
  return seen;
}

function check(rig: Rig, known: readonly Known[], seen: readonly string[]): void {
  const { core } = rig.irqs;
  for (const [n, one] of known.entries()) {
    if (one.handle === undefined || one.depth > 0 || one.handle.desc.managedShutdown) continue;
    if (one.isOwed) throw new Error(`source ${n} was not heard: ${seen.join('; ')}`);
    // A move or a replay may double one, and nothing is invented.
    expect(one.came).toBeLessThanOrEqual(2 * one.fired + 2);
    expect(core.cpus.online.has(one.handle.effectiveAffinity.first)).toBe(true);
  }
  const { matrix } = rig.kernel.interrupts;
  let owned = 0;
  for (let cpu = 0; cpu < CPUS; cpu++) {
    let here = 0;
    for (let vector = 0; vector < 256; vector++) if (core.vector(cpu, vector) !== undefined) here++;
    expect(matrix!.cpu(cpu).allocated).toBe(here);
    owned += here;
  }
  const live = known.filter(({ virq }) => virq !== 0).length;
  expect(owned + matrix!.reserved + rig.account()['managed']!).toBeGreaterThanOrEqual(live);
}

/** Room for 8 interrupts, or fewer while CPUs are offline and vectors wait for their clean-up. */
const FEW: RigOptions = { kernel: { irq: { vectors: { first: 0x3f, end: 0x41, system: [] } } } };

const WALKS: readonly (readonly [string, Kind, RigOptions])[] = [
  ['IMS, remapped', 'ims', {}],
  ['managed IMS', 'managed', {}],
  ['MSI-X, remapped', 'msix', {}],
  ['MSI-X, plain', 'msix', { interrupts: 'plain' }],
  ['MSI without mask, plain', 'msi', { interrupts: 'plain', maskable: false }],
  ['MSI with mask, plain', 'msi-maskable', { interrupts: 'plain' }],
  ['MSI without mask, remapped', 'msi', { maskable: false }],
  ['IMS, 2 vectors a CPU', 'ims', FEW],
  ['MSI-X, plain, 2 vectors a CPU', 'msix', { ...FEW, interrupts: 'plain' }],
  ['MSI without mask, plain, 2 vectors a CPU', 'msi', { ...FEW, interrupts: 'plain', maskable: false }],
];

describe('whatever is done in whatever order', () => {
  test.each(WALKS)('%s: what fires is heard, what was freed is not, and nothing is left', async (_name, kind, options) => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      await walk(kind, options, steps);
    });
    await fc.assert(property, { seed: defaultSeed(), numRuns: 20 });
  });

  test.each(WALKS)('%s: the same walk gives the same trace', async (_name, kind, options) => {
    for (const steps of fc.sample(fc.array(step, { minLength: 60, maxLength: 80 }), { seed: defaultSeed(), numRuns: 3 })) {
      expect(await walk(kind, options, steps)).toEqual(await walk(kind, options, steps));
    }
  });
});
