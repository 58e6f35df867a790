import { Container, ContainerModule, inject, injectable, multiInject, optional } from 'inversify';
import { describe, expect, test } from 'vitest';
import { needsOf } from '../core/plugin/needs.js';
import { token } from '../core/lib/token.js';

/*
 * What `core/plugin` relies on, or keeps clear of, in inversify 8.2.3. A test that fails after an upgrade says which.
 */

const A = token<object>('A');
const B = token<object>('B');
const MISSING = token<object>('Missing');

@injectable()
class Plain {}

@injectable()
class NeedsB {
  constructor(@inject(B) readonly b: object) {}
}

@injectable()
class NeedsMissing {
  constructor(@inject(MISSING) readonly missing: object) {}
}

@injectable()
class NeedsAll {
  @inject(B) readonly field!: object;
  constructor(
    @inject(A) readonly a: object,
    @inject(B) @optional() readonly b: object | undefined,
    @multiInject(MISSING) readonly all: object[],
  ) {}
}

const container = (): Container => new Container({ defaultScope: 'Singleton' });

describe('inversify loads and unloads modules', () => {
  test('a module that throws half way stays bound until it is unloaded', () => {
    const c = container();
    const module = new ContainerModule(({ bind }) => {
      bind(A).to(Plain);
      throw new Error('half');
    });
    expect(() => c.load(module)).toThrow('half');
    expect(c.isBound(A)).toBe(true);
    c.unload(module);
    expect(c.isBound(A)).toBe(false);
  });

  test('loading a module twice binds twice', () => {
    const c = container();
    const module = new ContainerModule(({ bind }) => {
      bind(A).to(Plain);
    });
    c.load(module);
    c.load(module);
    expect(c.getAll(A)).toHaveLength(2);
  });

  test('unload runs deactivations in the order of binding, not last first', () => {
    const c = container();
    const order: string[] = [];
    const module = new ContainerModule(({ bind }) => {
      bind(A)
        .to(Plain)
        .onDeactivation(() => void order.push('a'));
      bind(B)
        .to(Plain)
        .onDeactivation(() => void order.push('b'));
    });
    c.load(module);
    c.get(A);
    c.get(B);
    c.unload(module);
    expect(order).toEqual(['a', 'b']);
  });

  test('a deactivation that throws skips the rest, and everything stays bound', () => {
    const c = container();
    const order: string[] = [];
    const module = new ContainerModule(({ bind }) => {
      bind(A)
        .to(Plain)
        .onDeactivation(() => {
          throw new Error('no');
        });
      bind(B)
        .to(Plain)
        .onDeactivation(() => void order.push('b'));
    });
    c.load(module);
    c.get(A);
    c.get(B);
    expect(() => c.unload(module)).toThrow('no');
    expect(order).toEqual([]);
    expect(c.isBound(A) && c.isBound(B)).toBe(true);
  });

  test('unloadAsync does not wait for an asynchronous deactivation of a service', async () => {
    const c = container();
    let over = false;
    const module = new ContainerModule(({ bind, onDeactivation }) => {
      bind(A).to(Plain);
      onDeactivation(A, async () => {
        await new Promise<void>((resolve) => setImmediate(resolve));
        over = true;
      });
    });
    c.load(module);
    c.get(A);
    await c.unloadAsync(module);
    expect(over).toBe(false);
    await new Promise<void>((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => setImmediate(resolve));
    expect(over).toBe(true);
  });

  test('a deactivation is not called for what was never made', () => {
    const c = container();
    let called = false;
    const module = new ContainerModule(({ bind }) => {
      bind(A)
        .to(Plain)
        .onDeactivation(() => void (called = true));
    });
    c.load(module);
    c.unload(module);
    expect(called).toBe(false);
  });
});

describe('inversify makes services', () => {
  test('getAll gives all in the order of binding, and none without an error', () => {
    const c = container();
    expect(c.getAll(A)).toEqual([]);
    c.bind(A).toConstantValue({ n: 1 });
    c.bind(A).toConstantValue({ n: 2 });
    expect(c.getAll(A)).toEqual([{ n: 1 }, { n: 2 }]);
  });

  test('an activation of a service is called once for each instance, when it is first made, also of constants', () => {
    const c = container();
    const made: object[] = [];
    c.onActivation(A, (_context, value) => {
      made.push(value as object);
      return value;
    });
    c.bind(A).to(Plain);
    c.bind(A).toConstantValue({ n: 1 });
    expect(made).toEqual([]);
    c.getAll(A);
    c.getAll(A);
    expect(made).toEqual([new Plain(), { n: 1 }]);
  });

  test('an activation given to the container outlives the modules', () => {
    const c = container();
    let count = 0;
    c.onActivation(A, (_context, value) => {
      count++;
      return value;
    });
    for (let i = 0; i < 2; i++) {
      const module = new ContainerModule(({ bind }) => {
        bind(A).to(Plain);
      });
      c.load(module);
      c.getAll(A);
      c.unload(module);
    }
    expect(count).toBe(2);
  });

  test('a rejected activation is cached: the next get fails in the same way without trying', async () => {
    const c = container();
    let tries = 0;
    c.bind(A)
      .to(Plain)
      .onActivation(async () => {
        tries++;
        throw new Error('once');
      });
    await expect(c.getAsync(A)).rejects.toThrow('once');
    await expect(c.getAsync(A)).rejects.toThrow('once');
    expect(tries).toBe(1);
  });

  test('an error of a constructor comes through as it is, and the next get tries again', () => {
    const c = container();
    const error = new Error('built wrong');
    let tries = 0;
    c.bind(A).toDynamicValue(() => {
      tries++;
      throw error;
    });
    expect(() => c.get(A)).toThrow(error);
    expect(() => c.get(A)).toThrow(error);
    expect(tries).toBe(2);
  });

  test('a missing service is named together with who needs it alone, not with the whole way there', () => {
    const c = container();
    c.bind(A).to(NeedsB);
    c.bind(B).to(NeedsMissing);
    expect(() => c.get(A)).toThrow(
      /^No bindings found for service: "Symbol\(Missing\)"\.\n\nTrying to resolve bindings for "Symbol\(B\)"/,
    );
  });

  test('a class without @inject on each parameter is refused at bind', () => {
    @injectable()
    class Undecorated {
      constructor(readonly a: object) {}
    }
    expect(() => container().bind(A).to(Undecorated)).toThrow('Found unexpected missing metadata on type "Undecorated"');
  });

  test('a singleton of a parent that is first made through a child keeps what the child bound', () => {
    const parent = container();
    parent.bind(A).to(NeedsB).inSingletonScope();
    parent.bind(B).toConstantValue({ of: 'parent' });
    const child = new Container({ parent });
    const own = { of: 'child' };
    child.bind(B).toConstantValue(own);
    child.get(A);
    expect(parent.get<NeedsB>(A).b).toBe(own);
  });
});

describe('needsOf', () => {
  test('reads what the decorators were told: constructor, fields, optional and multiple', () => {
    expect(needsOf(NeedsAll)).toEqual([
      { id: A, optional: false, several: false },
      { id: B, optional: true, several: false },
      { id: MISSING, optional: false, several: true },
      { id: B, optional: false, several: false },
    ]);
  });

  test('is empty for a class without needs, decorated or not', () => {
    expect(needsOf(Plain)).toEqual([]);
    expect(needsOf(class {})).toEqual([]);
  });
});
