import { describe, expect, test } from 'vitest';
import { type Flow, chain, isThenable, run, settle } from '../../../core/lib/flow.js';
import { currentFrame, enterFrame, findFrame, leaveFrame } from '../../../core/lib/frame.js';

describe('run', () => {
  test('a flow that never waits is over when it returns', () => {
    function* flow(): Flow<number> {
      return (yield* settle(1)) + (yield* settle(2));
    }
    expect(run(flow())).toBe(3);
  });

  test('a flow that waits becomes a promise and goes on with the value', async () => {
    const log: string[] = [];
    function* flow(): Flow<number> {
      log.push('before');
      const value = yield* settle(Promise.resolve(20));
      log.push('after');
      return value + 1;
    }
    const result = run(flow());
    expect(log).toEqual(['before']);
    expect(isThenable(result)).toBe(true);
    expect(await result).toBe(21);
    expect(log).toEqual(['before', 'after']);
  });

  test('a rejection is thrown inside the flow, which may catch it', async () => {
    function* caught(): Flow<string> {
      try {
        yield Promise.reject(new Error('no'));
        return 'not reached';
      } catch (error) {
        return (error as Error).message;
      }
    }
    function* uncaught(): Flow<void> {
      yield Promise.reject(new Error('no'));
    }
    expect(await run(caught())).toBe('no');
    await expect(run(uncaught())).rejects.toThrow('no');
  });

  test('an error before the first wait is thrown, one after it rejects', async () => {
    function* flow(early: boolean): Flow<void> {
      if (early) throw new Error('early');
      yield Promise.resolve();
      throw new Error('late');
    }
    expect(() => run(flow(true))).toThrow('early');
    await expect(run(flow(false))).rejects.toThrow('late');
  });

  test('an owner is told before and after each part of a flow that has waited', async () => {
    const log: string[] = [];
    const owner = {
      flowResumed: (): void => void log.push('resumed'),
      flowPaused: (): void => void log.push('paused'),
      flowEnded: (): void => void log.push('ended'),
    };
    function* twice(): Flow<void> {
      log.push('first');
      yield Promise.resolve();
      log.push('second');
      yield Promise.resolve();
      log.push('third');
    }
    await run(twice(), owner);
    expect(log).toEqual(['first', 'resumed', 'second', 'paused', 'resumed', 'third', 'paused', 'ended']);
  });

  test('what an owner would add to a success never hides the error of a flow that failed', async () => {
    const ended: boolean[] = [];
    const owner = {
      flowResumed: (): void => {},
      flowPaused: (): void => {},
      flowEnded: (after: (() => void) | undefined): void => {
        ended.push(after !== undefined);
        after?.();
      },
    };
    const after = (): void => {
      throw new Error('left over');
    };
    function* failing(): Flow<void> {
      yield Promise.resolve();
      throw new Error('failed');
    }
    function* succeeding(): Flow<void> {
      yield Promise.resolve();
    }
    await expect(run(failing(), owner, after)).rejects.toThrow('failed');
    await expect(run(succeeding(), owner, after)).rejects.toThrow('left over');
    expect(ended).toEqual([false, true]);
  });

  test('finally blocks of a flow run before its promise is settled', async () => {
    const log: string[] = [];
    function* flow(): Flow<void> {
      try {
        yield Promise.resolve();
      } finally {
        log.push('finally');
      }
    }
    await run(flow());
    expect(log).toEqual(['finally']);
  });

  test('a frame lasts over the waits of its flow, and never leaks to others', async () => {
    const owner = {};
    const seen: boolean[] = [];
    const inside = (): boolean => findFrame((f) => f.owner === owner) !== undefined;
    function* flow(): Flow<void> {
      const saved = enterFrame(owner, 'probe');
      try {
        seen.push(inside());
        yield Promise.resolve();
        seen.push(inside());
        yield Promise.resolve();
        seen.push(inside());
      } finally {
        leaveFrame(saved);
      }
    }
    const done = run(flow());
    expect(inside()).toBe(false);
    await Promise.resolve();
    expect(inside()).toBe(false);
    await done;
    expect([seen, currentFrame()]).toEqual([[true, true, true], undefined]);
  });
});

describe('chain', () => {
  test('goes on at once with a value and later with a promise', async () => {
    expect(chain(1, (n) => n + 1)).toBe(2);
    expect(await chain(Promise.resolve(1), (n) => n + 1)).toBe(2);
    await expect(chain(Promise.reject(new Error('no')), () => 1)).rejects.toThrow('no');
  });

  test('a thenable is an object with then, and nothing else is', () => {
    // oxlint-disable-next-line unicorn/no-thenable -- what is tested
    const withThen = (then: unknown): unknown => Object.fromEntries([['then', then]]);
    expect([isThenable(withThen(() => {})), isThenable(Promise.resolve())]).toEqual([true, true]);
    expect([isThenable(withThen(1)), isThenable(undefined), isThenable(() => {}), isThenable('then')]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});
