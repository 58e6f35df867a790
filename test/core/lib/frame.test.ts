import { describe, expect, test } from 'vitest';
import {
  currentFrame,
  enterFrame,
  findFrame,
  isAsyncFunction,
  leaveFrame,
  outsideFrames,
  runAsyncFrame,
  setFrame,
} from '../../../core/lib/frame.js';

const holds = (owner: object): boolean => findFrame((f) => f.owner === owner) !== undefined;

describe('frames', () => {
  test('nest, are found from the inside out, and end with what enterFrame gave', () => {
    const a = {};
    const b = {};
    const outer = enterFrame(a, 'probe');
    const inner = enterFrame(b, 'remove');
    expect([holds(a), holds(b), findFrame(() => true)?.what]).toEqual([true, true, 'remove']);
    leaveFrame(inner);
    expect([holds(a), holds(b)]).toEqual([true, false]);
    leaveFrame(outer);
    expect(currentFrame()).toBeUndefined();
  });

  test('an asynchronous function called in a frame is inside it after its awaits, and nobody else is', async () => {
    const owner = {};
    const seen: boolean[] = [];
    const saved = enterFrame(owner, 'probe');
    const done = runAsyncFrame(async () => {
      seen.push(holds(owner));
      await Promise.resolve();
      seen.push(holds(owner));
      const nested = enterFrame({}, 'bind');
      seen.push(holds(owner));
      leaveFrame(nested);
    });
    setFrame(saved); // The frame lasts; only this section leaves it.
    expect(holds(owner)).toBe(false);
    await done;
    expect([seen, holds(owner)]).toEqual([[true, true, true], false]);
  });

  test('what outlives its frame is inside it no more', async () => {
    const owner = {};
    let seen: boolean | undefined;
    const saved = enterFrame(owner, 'probe');
    const late = runAsyncFrame(async () => {
      await Promise.resolve();
      await Promise.resolve();
      seen = holds(owner);
    });
    leaveFrame(saved);
    await late;
    expect(seen).toBe(false);
  });

  test("outsideFrames calls on nobody's behalf, and the frame is back after it, also when it throws", () => {
    const owner = {};
    const saved = enterFrame(owner, 'probe');
    expect(outsideFrames(() => holds(owner))).toBe(false);
    expect(() =>
      outsideFrames(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(holds(owner)).toBe(true);
    leaveFrame(saved);
  });

  test('a function is asynchronous when it is declared so', () => {
    expect([isAsyncFunction(async () => {}), isAsyncFunction(() => Promise.resolve()), isAsyncFunction(undefined)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
