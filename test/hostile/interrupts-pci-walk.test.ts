import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IrqHandle, type MsiMap, PCI, type PciVectors, imsArray } from 'backplane';
import { defaultSeed } from 'backplane/testing';
import { Rig, type RigOptions, codeOf } from './interrupts-rig.js';

const VECTORS = 4;
const CPUS = 3;

const step = fc.record({
  what: fc.constantFrom(
    'msix',
    'msix',
    'msi',
    'intx',
    'free',
    'one more',
    'one less',
    'request',
    'request',
    'request',
    'release',
    'fire',
    'fire',
    'fire',
    'enable',
    'disable',
    'move',
    'offline',
    'online',
    'sleep',
    'wake',
    'reset',
    'master',
    'restore',
  ),
  n: fc.nat(VECTORS - 1),
  cpu: fc.nat(CPUS - 1),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Known {
  handle: IrqHandle | undefined = undefined;
  depth = 0;
  isOwed = false;
  came = 0;
}

async function walk(options: RigOptions, steps: readonly Step[]): Promise<string[]> {
  await using rig = await Rig.start({ cpus: CPUS, vectors: VECTORS + 1, ...options });
  const { irqs, ims, core } = rig.kernel;
  const dev = rig.dev();
  const before = rig.account();
  const seen: string[] = [];
  const known = Array.from({ length: VECTORS }, () => new Known());
  let vectors: PciVectors | undefined;
  let more: MsiMap | undefined;
  // IMS goes on whatever is done to the others.
  const domain = interrupts(options) ? ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout())) : undefined;
  let ticks = 0;
  if (domain !== undefined) irqs.request(dev, domain.alloc().virq, () => ticks++);
  const model = rig.model();
  const isAwake = (): boolean => dev.powerState === 0;
  const fire = (n: number): void => {
    rig.machine.drain();
    const one = known[n]!;
    const isHeard = one.handle !== undefined && isAwake() && dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.master) === 1;
    if (vectors?.kind === 'msix') model.irq.msix(n);
    else if (vectors?.kind === 'msi') model.irq.msi(n);
    if (vectors !== undefined && vectors.kind !== 'intx' && isHeard) one.isOwed = true;
  };
  for (const { what, n, cpu } of steps) {
    const one = known[n]!;
    seen.push(`${what} ${n} ${cpu}`);
    if ((what === 'msix' || what === 'msi' || what === 'intx') && vectors === undefined) {
      const count = what === 'intx' ? 1 : what === 'msi' && options.interrupts === 'plain' ? 1 : VECTORS;
      codeOf(() => (vectors = dev.allocVectors({ types: [what], min: count })));
      expect(vectors === undefined).toBe(!isAwake() && what !== 'intx');
    } else if (what === 'free' && vectors !== undefined) {
      const isBusy = known.some(({ handle }) => handle !== undefined);
      const code = codeOf(() => vectors!.free());
      expect(['nothing', 'EBUSY']).toContain(code);
      if (code === 'nothing') vectors = more = undefined;
      if (!isBusy) expect(code).toBe('nothing');
    } else if (what === 'one more' && vectors?.kind === 'msix' && more === undefined) more = dev.msixAllocAt();
    else if (what === 'one less' && more !== undefined) {
      dev.msixFree(more);
      more = undefined;
    } else if (what === 'request' && n < (vectors?.count ?? 0) && one.handle === undefined) {
      one.depth = 0;
      one.handle = dev.requestIrq(n, () => {
        one.came++;
        one.isOwed = false;
        seen.push(`${n} on ${irqs.core.currentCpu}`);
      });
    } else if (what === 'release' && one.handle !== undefined) {
      await one.handle.free();
      one.handle = undefined;
      one.isOwed = false;
    } else if (what === 'fire') fire(n);
    else if (what === 'enable' && one.handle !== undefined && one.depth > 0) {
      one.depth--;
      one.handle.enable();
    } else if (what === 'disable' && one.handle !== undefined) {
      one.depth++;
      await one.handle.disable();
    } else if (what === 'move' && one.handle !== undefined)
      expect(['nothing', 'EINVAL']).toContain(codeOf(() => one.handle!.setAffinity([cpu])));
    else if (what === 'offline') expect(['nothing', 'EINVAL', 'EBUSY']).toContain(codeOf(() => irqs.offline(cpu)));
    else if (what === 'online') expect(['nothing', 'EINVAL']).toContain(codeOf(() => irqs.online(cpu)));
    else if (what === 'sleep') await dev.setPowerState(3);
    else if (what === 'wake') await dev.setPowerState(0);
    else if (what === 'reset' && isAwake()) {
      // What was pending in the device is gone.
      for (const other of known) other.isOwed = false;
      await dev.reset();
    } else if (what === 'master') dev.config.modify(PCI.COMMAND, { master: 1 });
    else if (what === 'restore') domain?.restore();
    if (!isAwake()) for (const other of known) other.isOwed = false;
    rig.machine.drain();
    for (const [m, { handle, depth, isOwed }] of known.entries()) {
      if (handle !== undefined && depth === 0 && isOwed) throw new Error(`vector ${m} was not heard: ${seen.join('; ')}`);
    }
  }
  await dev.setPowerState(0);
  for (const [n, { handle, depth }] of known.entries()) {
    for (let left = depth; left > 0; left--) handle?.enable();
    if (handle !== undefined && vectors!.kind !== 'intx') {
      fire(n);
      rig.machine.drain();
      expect([n, known[n]!.isOwed]).toEqual([n, false]);
    }
  }
  if (domain !== undefined) {
    domain.restore();
    rig.machine.drain();
    const heard = ticks;
    rig.fireSlot(0);
    expect(ticks).toBe(heard + 1);
  }
  for (const cpu of [0, 1, 2]) codeOf(() => irqs.online(cpu));
  await core.unbind(dev);
  rig.calm();
  const { descs: _line, reserved: _promised, mapped: _levels, ...rest } = rig.account();
  expect(rest).toEqual({ vectors: 0, managed: 0, entries: 0, domains: before['domains'], ledger: 0 });
  return seen;
}

const interrupts = (options: RigOptions): boolean => options.interrupts !== 'plain' && options.interrupts !== 'virtual';

describe.each([
  ['remapped', { interrupts: 'remapped' }],
  ['remapped, MSI without mask', { interrupts: 'remapped', maskable: false }],
  ['plain', { interrupts: 'plain' }],
  ['virtual', { interrupts: 'virtual' }],
] as const satisfies readonly (readonly [string, RigOptions])[])(
  'vectors of a function, on a machine that is %s',
  (_name, options) => {
    test('are heard whatever is enabled, freed, reset and put to sleep', async () => {
      const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 70 }), async (steps) => {
        await walk(options, steps);
      });
      await fc.assert(property, { seed: defaultSeed(), numRuns: 15 });
    });

    test('the same walk gives the same trace', async () => {
      for (const steps of fc.sample(fc.array(step, { minLength: 60, maxLength: 70 }), { seed: defaultSeed(), numRuns: 3 })) {
        expect(await walk(options, steps)).toEqual(await walk(options, steps));
      }
    });
  },
);
