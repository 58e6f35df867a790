import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Errno, type MdevDevice } from '../../../core/index.js';
import { defaultSeed } from '../../../core/testing/seed.js';
import type { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import { Parts, stateOf } from './mdev-fixture.js';
import type { Process } from './user-fixture.js';

const slotOf = (dev: MdevDevice): number | undefined => stateOf(dev).handle.slot;

const STEPS = ['create', 'open', 'enable', 'disable', 'close', 'remove'] as const;

/** Virtual devices by number, with what their users did to them. */
class History {
  readonly devs = new Map<number, MdevDevice>();
  readonly open = new Map<number, SubDevice>();
  readonly enabled = new Set<number>();

  constructor(
    readonly parts: Parts,
    readonly user: Process,
  ) {}

  /** Does a step where it can be done. */
  async step(what: (typeof STEPS)[number], who: number): Promise<void> {
    const { parts, devs, open, enabled, user } = this;
    const dev = devs.get(who);
    const part = open.get(who);
    if (what === 'create' && dev === undefined) devs.set(who, await parts.create(who & 1));
    else if (what === 'open' && dev !== undefined && part === undefined) {
      const opened = await parts.open(dev, user).catch((error: unknown) => {
        if (!Errno.is(error, 'ENOSPC') || parts.ims.count < parts.ims.size) throw error;
        return undefined;
      });
      if (opened !== undefined) {
        open.set(who, opened);
        enabled.add(who);
      }
    } else if (what === 'enable' && part !== undefined && !enabled.has(who) && parts.ims.count < parts.ims.size) {
      part.enableInterrupts();
      enabled.add(who);
    } else if (what === 'disable' && enabled.delete(who)) part?.disableInterrupts();
    else if ((what === 'close' || what === 'remove') && dev !== undefined) {
      await part?.file.close();
      open.delete(who);
      enabled.delete(who);
      if (what === 'remove') {
        await parts.remove(dev);
        devs.delete(who);
      }
    }
  }

  async end(): Promise<void> {
    for (const part of this.open.values()) await part[Symbol.asyncDispose]();
    for (const dev of this.devs.values()) await this.parts.remove(dev);
  }
}

async function play(
  steps: readonly { readonly what: (typeof STEPS)[number]; readonly who: number }[],
  free: readonly number[],
): Promise<void> {
  await using parts = await Parts.start(['shared', 'shared'], { machine: { cpus: 2 } });
  const { ims } = parts;
  // Somebody else has all slots but a few, wherever those are.
  const others = Array.from({ length: ims.size }, (_, index) => index).filter((index) => !free.includes(index));
  const held = others.map((index) => ims.allocAt(index));
  const history = new History(parts, parts.process('anna'));
  for (const { what, who } of steps) {
    await history.step(what, who);
    const slots = [...history.devs.values()].map(slotOf).filter((slot) => slot !== undefined);
    expect([ims.count - held.length, slots.length]).toEqual([history.enabled.size, history.enabled.size]);
    expect(slots.every((slot) => free.includes(slot))).toBe(true);
    expect(new Set(slots).size).toBe(slots.length);
  }
  // What is left of the free slots serves as many more: wherever they lie.
  const left = free.length - history.enabled.size;
  const more: SubDevice[] = [];
  for (let n = 0; n < left; n++) more.push(await parts.open(await parts.create(n & 1), history.user));
  expect(ims.count).toBe(ims.size);
  for (const part of more) await part.file.close();
  await history.end();
  expect(ims.count).toBe(held.length);
  for (const map of held) map[Symbol.dispose]();
}

describe('the slots of virtual devices', () => {
  test('any history leaves as many slots as are enabled, and every free one can be had', async () => {
    const step = fc.record({ what: fc.constantFrom(...STEPS), who: fc.nat(7) });
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.uniqueArray(fc.nat(255), { minLength: 4, maxLength: 6 }),
      play,
    );
    await fc.assert(property, { seed: defaultSeed(), numRuns: 40 });
  }, 180_000);
});
