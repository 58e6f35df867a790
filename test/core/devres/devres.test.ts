import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Devres, type DevresEntry, type DevresGroup, type DevresHooks, type DevresOwner } from '../../../core/devres/index.js';
import { Errno } from '../../../core/lib/errno.js';

/** An owner that keeps what its ledger tells it. */
class Owner implements DevresOwner {
  readonly name = 'd1';
  devresHooks: DevresHooks | undefined = undefined;
  readonly violations: string[] = [];
  readonly labels: string[] = [];

  acquired(label: string): void {
    this.labels.push(label);
  }

  violated(rule: string): void {
    this.violations.push(rule);
  }
}

function ledger(): { devres: Devres; owner: Owner; log: string[]; note: (what: string) => () => void } {
  const owner = new Owner();
  const log: string[] = [];
  return { devres: new Devres(owner), owner, log, note: (what) => () => void log.push(what) };
}

const failing = (text: string) => (): void => {
  throw new Error(text);
};

const codeOf = (op: () => unknown): string => {
  try {
    op();
  } catch (error) {
    return Errno.codeOf(error);
  }
  return 'ok';
};

describe('Devres.acquire', () => {
  test('gives the value and releases it with the value', () => {
    const { devres, owner, log } = ledger();
    expect(
      devres.acquire(
        'bar 0',
        () => 7,
        (value) => void log.push(`unmap ${value}`),
      ),
    ).toBe(7);
    expect(owner.labels).toEqual(['bar 0']);
    expect(devres.releaseAll()).toBe(1);
    expect(log).toEqual(['unmap 7']);
  });

  test('records nothing when the acquisition throws', () => {
    const { devres, log, note } = ledger();
    expect(() => devres.acquire('x', failing('no'), note('x'))).toThrow('no');
    expect([devres.size, devres.releaseAll(), log]).toEqual([0, 0, []]);
  });

  test('records a promised value when it is there, and nothing when it never comes', async () => {
    const { devres, log } = ledger();
    const value = devres.acquire(
      'x',
      async () => 7,
      (v) => void log.push(`free ${v}`),
    );
    expect(devres.size).toBe(0);
    expect(await value).toBe(7);
    expect(devres.size).toBe(1);
    await expect(
      devres.acquire(
        'y',
        () => Promise.reject(new Error('no')),
        () => {},
      ),
    ).rejects.toThrow('no');
    expect(devres.size).toBe(1);
  });

  test('releases a promised value at once when the binding ended meanwhile', async () => {
    const { devres, log } = ledger();
    const value = devres.acquire(
      'x',
      async () => 7,
      async (v) => void log.push(`free ${v}`),
    );
    devres.endBinding();
    await expect(value).rejects.toThrow('ENODEV: d1: x not acquired: its binding has ended');
    expect([devres.size, log]).toEqual([0, ['free 7']]);
  });

  test('keeps both errors when a promised value comes too late and its release fails', async () => {
    const { devres } = ledger();
    const value = devres.acquire('x', async () => 7, failing('stuck'));
    devres.endBinding();
    const error = await value.then(
      () => undefined,
      (e: unknown) => e,
    );
    expect((error as AggregateError).errors.map((e: Error) => e.message)).toEqual([
      'ENODEV: d1: x not acquired: its binding has ended',
      'stuck',
    ]);
  });

  test('is refused without being tried while the ledger is sealed or a fault is injected', () => {
    const { devres, owner, log, note } = ledger();
    devres.sealed = 'probe was given up';
    expect(() => devres.acquire('x', note('get'), note('free'))).toThrow('ENODEV: d1: x not acquired: probe was given up');
    devres.sealed = undefined;
    owner.devresHooks = {
      acquiring: (_ledger, label) => {
        throw new Errno('ENOMEM', `d1: ${label}: injected`);
      },
    };
    expect(() => devres.acquire('x', note('get'), note('free'))).toThrow('ENOMEM: d1: x: injected');
    expect([devres.size, log]).toEqual([0, []]);
  });

  test('KU-27: what is acquired inside another acquisition is released after it', () => {
    const { devres, log, note } = ledger();
    devres.acquire('outer', () => devres.acquire('inner', () => 0, note('inner')), note('outer'));
    void devres.releaseAll();
    expect(log).toEqual(['outer', 'inner']);
  });
});

describe('Devres.defer, adopt and use', () => {
  test('an action that cannot be recorded runs at once, and the error is thrown', () => {
    const { devres, owner, log, note } = ledger();
    owner.devresHooks = { acquiring: failing('injected') };
    expect(() => devres.defer('x', note('x'))).toThrow('injected');
    expect([log, devres.size]).toEqual([['x'], 0]);
  });

  test('an action that cannot be recorded and fails loses neither error', async () => {
    const { devres, owner } = ledger();
    owner.devresHooks = { acquiring: failing('injected') };
    let thrown: unknown;
    try {
      devres.defer('x', failing('stuck'));
    } catch (error) {
      thrown = error;
    }
    expect((thrown as AggregateError).errors.map((e: Error) => e.message)).toEqual(['injected', 'stuck']);
    expect(() => devres.defer('x', () => Promise.reject(new Error('stuck')))).toThrow('injected');
    await Promise.resolve();
    await Promise.resolve();
    expect(owner.violations).toEqual(['release-failed']);
  });

  test('use disposes of what it was given, asynchronously where that is offered', async () => {
    const { devres, log, note } = ledger();
    const plain = devres.use('plain', { [Symbol.dispose]: note('plain') });
    expect(typeof plain[Symbol.dispose]).toBe('function');
    devres.use('both', {
      [Symbol.dispose]: note('wrong'),
      [Symbol.asyncDispose]: async () => void log.push('async'),
    });
    expect(await devres.releaseAll()).toBe(2);
    expect(log).toEqual(['async', 'plain']);
  });
});

describe('DevresHandle', () => {
  test('releases its resource early, and tells whether it is held', () => {
    const { devres, log, note } = ledger();
    const handle = devres.defer('x', note('x'));
    expect(handle.held).toBe(true);
    expect(handle.release()).toBeUndefined();
    expect([handle.held, devres.size, log]).toEqual([false, 0, ['x']]);
  });

  test('forgets its resource without releasing it, once', () => {
    const { devres, log, note } = ledger();
    const handle = devres.defer('x', note('x'));
    expect([handle.forget(), handle.forget(), devres.releaseAll(), log]).toEqual([true, false, 0, []]);
  });

  test('reports a second release', () => {
    const { devres, owner, note } = ledger();
    const handle = devres.defer('x', note('x'));
    void handle.release();
    expect(() => handle.release()).toThrow('EINVAL: d1: x released twice');
    expect(owner.violations).toEqual(['double-release']);
  });

  test('disposing of it releases it once; the synchronous way refuses an asynchronous release', async () => {
    const { devres, owner, log, note } = ledger();
    const handle = devres.defer('x', note('x'));
    handle[Symbol.dispose]();
    handle[Symbol.dispose]();
    await handle[Symbol.asyncDispose]();
    expect([log, owner.violations]).toEqual([['x'], []]);
    const slow = devres.defer('y', async () => void log.push('y'));
    expect(codeOf(() => slow[Symbol.dispose]())).toBe('EBUSY');
    const other = devres.defer('z', async () => void log.push('z'));
    await other[Symbol.asyncDispose]();
    expect(log).toEqual(['x', 'y', 'z']);
  });
});

describe('Devres.releaseAll', () => {
  test('runs every release and keeps every error, in the order they came', () => {
    const { devres, log, note } = ledger();
    devres.defer('a', note('a'));
    devres.defer('b', failing('b failed'));
    devres.defer('c', note('c'));
    devres.defer('d', failing('d failed'));
    let thrown: unknown;
    try {
      void devres.releaseAll();
    } catch (error) {
      thrown = error;
    }
    expect(log).toEqual(['c', 'a']);
    expect((thrown as AggregateError).errors.map((e: Error) => e.message)).toEqual(['d failed', 'b failed']);
    expect(devres.size).toBe(0);
  });

  test('throws a single error as it is', () => {
    const { devres } = ledger();
    devres.defer('a', failing('only'));
    expect(() => devres.releaseAll()).toThrow(new Error('only'));
  });

  test('waits for an asynchronous release before the next one, and not at all without one', async () => {
    const { devres, log, note } = ledger();
    devres.defer('a', note('a'));
    devres.defer('b', async () => {
      log.push('b begins');
      await Promise.resolve();
      log.push('b ends');
    });
    const done = devres.releaseAll();
    expect(log).toEqual(['b begins']);
    expect(await done).toBe(2);
    expect(log).toEqual(['b begins', 'b ends', 'a']);
  });

  test('tells the hooks of every entry that comes and goes', () => {
    const { devres, owner, log } = ledger();
    owner.devresHooks = {
      added: (_ledger, entry) => void log.push(`+${entry.label}`),
      released: (_ledger, entry) => void log.push(`-${entry.label}`),
    };
    devres.defer('a', () => {});
    const early = devres.defer('b', () => {});
    devres.group('g');
    void early.release();
    void devres.releaseAll();
    expect(log).toEqual(['+a', '+b', '-b', '-a']);
  });

  test('entries lists the resources, newest first, without the marks of groups', () => {
    const { devres } = ledger();
    devres.defer('a', () => {});
    devres.group('g');
    devres.defer('b', () => {});
    expect(devres.entries().map((e) => e.label)).toEqual(['b', 'a']);
  });
});

describe('DevresGroup', () => {
  test('releases what it covers when it is left, unless it was kept', () => {
    const { devres, log, note } = ledger();
    {
      using group = devres.group('dropped');
      devres.defer('a', note('a'));
      expect(group.live).toBe(true);
    }
    {
      using group = devres.group('kept');
      devres.defer('b', note('b'));
      group.keep();
    }
    expect([log, devres.size]).toEqual([['a'], 1]);
  });

  test('with an asynchronous release it needs await using', async () => {
    const { devres, log } = ledger();
    const group = devres.group('g');
    devres.defer('a', async () => void log.push('a'));
    expect(codeOf(() => group[Symbol.dispose]())).toBe('EBUSY');
    {
      await using other = devres.group('h');
      devres.defer('b', async () => void log.push('b'));
      expect(other.live).toBe(true);
    }
    expect(log).toEqual(['a', 'b']);
  });

  test('runs every release and throws what failed', () => {
    const { devres, log, note } = ledger();
    const group = devres.group('g');
    devres.defer('a', note('a'));
    devres.defer('b', failing('no'));
    expect(() => group.release()).toThrow('no');
    expect([log, devres.size, group.live]).toEqual([['a'], 0, false]);
  });
});

/** One line of the model's ledger. */
type Line = { kind: 'entry'; n: number } | { kind: 'open' | 'close'; g: number };

/** Linux's list as an array, with `remove_nodes` and `release_nodes` word for word. @see Linux 6.12 drivers/base/devres.c */
class Model {
  lines: Line[] = [];
  has(kind: 'open' | 'close', g: number): boolean {
    return this.lines.some((l) => l.kind === kind && l.g === g);
  }
  drop(g: number): void {
    this.lines = this.lines.filter((l) => l.kind === 'entry' || l.g !== g);
  }
  /** Numbers released, in order. */
  release(g: number): number[] {
    const at = (kind: 'open' | 'close'): number => this.lines.findIndex((l) => l.kind === kind && l.g === g);
    const end = this.has('close', g) ? at('close') + 1 : this.lines.length;
    const range = this.lines.slice(at('open'), end);
    const color = new Map<number, number>();
    for (const l of range) {
      if (l.kind === 'entry') continue;
      const open = this.has('close', l.g) ? 0 : 1;
      color.set(l.g, (color.get(l.g) ?? 0) + 1 + open);
    }
    this.lines = this.lines.filter((l) => !(range.includes(l) && l.kind === 'entry'));
    for (const [group, times] of color) if (times === 2) this.drop(group);
    return range.flatMap((l) => (l.kind === 'entry' ? [l.n] : [])).reverse();
  }
}

test("random nested and overlapping groups behave as Linux's list does", () => {
  const step = fc.record({ op: fc.constantFrom('add', 'add', 'open', 'close', 'keep', 'release', 'drop'), pick: fc.nat(7) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { devres } = ledger();
      const model = new Model();
      const groups: DevresGroup[] = [];
      const entries: { n: number; entry: DevresEntry }[] = [];
      let released: number[] = [];
      let next = 0;
      for (const { op, pick } of steps) {
        const g = pick % Math.max(groups.length, 1);
        const group = groups[g];
        released = [];
        let expected: number[] = [];
        if (op === 'add') {
          const n = next++;
          devres.adopt(`${n}`, n, (value) => void released.push(value));
          entries.push({ n, entry: devres.entries()[0]! });
          model.lines.push({ kind: 'entry', n });
        } else if (op === 'open') {
          model.lines.push({ kind: 'open', g: groups.length });
          groups.push(devres.group(`g${groups.length}`));
        } else if (op === 'drop') {
          const chosen = entries[pick];
          if (chosen === undefined) continue;
          const there = model.lines.some((l) => l.kind === 'entry' && l.n === chosen.n);
          expect(devres.remove(chosen.entry)).toBe(there);
          model.lines = model.lines.filter((l) => !(l.kind === 'entry' && l.n === chosen.n));
        } else if (group?.live === true) {
          expect(model.has('open', g)).toBe(true);
          if (op === 'release') {
            expected = model.release(g);
            expect(group.release()).toBe(expected.length);
          } else if (op === 'keep') {
            group.keep();
            model.drop(g);
          } else if (!model.has('close', g)) {
            group.close();
            model.lines.push({ kind: 'close', g });
          }
        } else if (group !== undefined) {
          expect(model.has('open', g)).toBe(false);
        }
        expect(released).toEqual(expected);
        const left = model.lines.flatMap((l) => (l.kind === 'entry' ? [l.n] : []));
        expect(devres.entries().map((e) => e.data)).toEqual(left.reverse());
        expect(devres.size).toBe(left.length);
      }
      released = [];
      const rest = devres.entries().map((e) => e.data);
      void devres.releaseAll();
      expect(released).toEqual(rest);
    }),
    { seed: 1, numRuns: 300 },
  );
});
