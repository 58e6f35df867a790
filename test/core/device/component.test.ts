import { describe, expect, test } from 'vitest';
import {
  type AggregateOps,
  type ComponentMatch,
  type ComponentOps,
  Components,
  type Device,
} from '../../../core/device/index.js';
import { Errno, defer } from '../../../core/lib/errno.js';
import { Fixture, errno, errnoLater, gate, sync } from './conformance/fixture.js';

const named =
  (name: string): ComponentMatch =>
  (dev) =>
    dev.name === name;

/** An aggregate `master` of `cmpA` and `cmpB`, each with a managed resource; calls are noted as tokens. */
class Scene {
  readonly f = new Fixture({ skip: ['M', 'N', 'U', 'DC', 'DX'] });
  readonly components = new Components(this.f.core);
  readonly master = this.f.add('master');
  readonly a = this.f.add('cmpA');
  readonly b = this.f.add('cmpB');
  /** What binding the device of this name does. */
  readonly onBind = new Map<string, () => void | Promise<void>>();

  readonly ops: ComponentOps = {
    bind: (dev) => {
      this.f.tokens.push(`bind(${dev.name})`);
      this.f.act(dev, `res of ${dev.name}`);
      return this.onBind.get(dev.name)?.();
    },
    unbind: (dev) => void this.f.tokens.push(`unbind(${dev.name})`),
  };

  readonly whole: AggregateOps = {
    bind: (dev) => {
      this.f.tokens.push('master bind');
      this.f.act(dev, 'res of master');
      return this.components.bindAll(dev);
    },
    unbind: (dev) => {
      this.f.tokens.push('master unbind');
      return this.components.unbindAll(dev);
    },
  };

  /** @param driver a driver that does nothing else is bound to each device */
  constructor(driver = true) {
    if (driver) this.f.register('D', '');
    this.f.take();
  }

  addMaster(matches: readonly ComponentMatch[] = [named('cmpA'), named('cmpB')]): void {
    sync(this.components.addAggregate(this.master, this.whole, matches));
  }

  add(dev: Device): void {
    sync(this.components.add(dev, this.ops));
  }

  /** Adds everything. */
  complete(): this {
    this.addMaster();
    this.add(this.b);
    this.add(this.a);
    this.f.take();
    return this;
  }

  /** Number of resources that each device holds. */
  held(): number[] {
    return [this.master, this.a, this.b].map((d) => d.devres.size);
  }
}

const APART = ['master unbind', 'unbind(cmpB)', 'dm(res of cmpB)', 'unbind(cmpA)', 'dm(res of cmpA)', 'dm(res of master)'];

describe('aggregate device', () => {
  test('SUB-06: binds when all its components are there, in the order of its places', () => {
    const s = new Scene();
    s.addMaster();
    s.add(s.b);
    expect(s.f.take()).toEqual([]);
    expect(s.components.isBound(s.master)).toBe(false);
    s.add(s.a);
    expect(s.f.take()).toEqual(['master bind', 'bind(cmpA)', 'bind(cmpB)']);
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('SUB-06: that comes last binds at once', () => {
    const s = new Scene();
    s.add(s.a);
    s.add(s.b);
    s.addMaster();
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('SUB-07: falls apart in reverse when a component goes, and binds again when it is back', () => {
    const s = new Scene().complete();
    expect(s.f.trace(() => s.components.remove(s.a, s.ops))).toEqual(APART);
    expect(s.components.isBound(s.master)).toBe(false);
    expect(s.f.trace(() => s.add(s.a))).toEqual(['master bind', 'bind(cmpA)', 'bind(cmpB)']);
  });

  test('falls apart when it is removed itself, and its components can join another', () => {
    const s = new Scene().complete();
    expect(s.f.trace(() => s.components.removeAggregate(s.master, s.whole))).toEqual(APART);
    const other = s.f.add('other');
    s.f.take();
    const bind = (dev: Device): void | Promise<void> => s.components.bindAll(dev) as void;
    sync(s.components.addAggregate(other, { bind }, [named('cmpB')]));
    expect(s.f.take()).toEqual(['bind(cmpB)']);
  });

  test('a component whose bind fails takes back what was bound before it, and is not added', () => {
    const s = new Scene();
    s.addMaster();
    s.add(s.a);
    const before = s.held();
    s.onBind.set('cmpB', () => {
      throw new Errno('EIO', 'cmpB: no answer');
    });
    expect(errno(() => s.components.add(s.b, s.ops))).toBe('-EIO');
    expect(s.f.take()).toEqual([
      'master bind',
      'bind(cmpA)',
      'bind(cmpB)',
      'dm(res of cmpB)',
      'L:err:component_bind',
      'unbind(cmpA)',
      'dm(res of cmpA)',
      'dm(res of master)',
    ]);
    expect(s.held()).toEqual(before);
    s.onBind.clear();
    s.add(s.b);
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('an aggregate whose own bind fails is not added, and its components are free for another', () => {
    const s = new Scene();
    s.add(s.a);
    const failing: AggregateOps = {
      bind: (dev) => {
        s.f.act(dev, 'res of master');
        throw new Errno('EIO', 'master: no answer');
      },
    };
    s.f.take();
    expect(errno(() => s.components.addAggregate(s.master, failing, [named('cmpA')]))).toBe('-EIO');
    expect(s.f.take()).toEqual(['dm(res of master)']);
    s.addMaster([named('cmpA')]);
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('a deferral is passed on and not logged', () => {
    const s = new Scene();
    s.add(s.a);
    s.onBind.set('cmpA', () => {
      throw defer('no panel');
    });
    expect(errno(() => s.components.addAggregate(s.master, s.whole, [named('cmpA')]))).toBe('-EPROBE_DEFER');
    expect(s.f.take().filter((t) => t.startsWith('L:'))).toEqual([]);
    expect(s.held()).toEqual([0, 1, 0]);
  });

  test('a component that fills two places is bound once', () => {
    const s = new Scene();
    s.add(s.a);
    s.addMaster([named('cmpA'), named('cmpA')]);
    expect(s.f.take()).toEqual(['master bind', 'bind(cmpA)']);
    expect(s.f.trace(() => s.components.remove(s.a, s.ops)).filter((t) => t.startsWith('unbind'))).toEqual(['unbind(cmpA)']);
  });

  test('the newest aggregate takes a component that two wait for', () => {
    const s = new Scene();
    const other = s.f.add('other');
    s.f.take();
    s.addMaster([named('cmpA')]);
    sync(s.components.addAggregate(other, { bind: (dev) => s.components.bindAll(dev) }, [named('cmpA')]));
    s.add(s.a);
    expect([s.components.isBound(s.master), s.components.isBound(other)]).toEqual([false, true]);
  });

  test('subcomponents of one device are told apart', () => {
    const s = new Scene();
    const second: ComponentMatch = (dev, sub) => dev === s.a && sub === 2;
    s.addMaster([second]);
    sync(s.components.add(s.a, s.ops, 1));
    expect(s.components.isBound(s.master)).toBe(false);
    sync(s.components.add(s.a, { ...s.ops }, 2));
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('SUB-10: removing what was not added, and subcomponent 0, are violations', () => {
    const s = new Scene();
    expect(errno(() => s.components.remove(s.a, s.ops))).toBe('-EINVAL');
    expect(errno(() => s.components.add(s.a, s.ops, 0))).toBe('-EINVAL');
    expect(s.f.violations).toEqual(['component-unknown', 'subcomponent-0']);
    expect(s.held()).toEqual([0, 0, 0]);
  });

  test('an unbind that leaves components bound is reported, and they are unbound', () => {
    const s = new Scene();
    s.add(s.a);
    const forgetful: AggregateOps = { bind: (dev) => s.components.bindAll(dev) };
    sync(s.components.addAggregate(s.master, forgetful, [named('cmpA')]));
    expect(s.f.trace(() => s.components.removeAggregate(s.master, forgetful))).toContain('unbind(cmpA)');
    expect(s.f.violations).toEqual(['components-left-bound']);
  });
});

describe('an aggregate of bound drivers', () => {
  /** The same, each part added by the driver that is bound to its device. */
  function bound(): Scene {
    const s = new Scene(false);
    s.f.register('M', 'master', () => s.addMaster());
    s.f.register('C', 'cmp', (dev) => s.add(dev));
    s.f.take();
    expect(s.components.isBound(s.master)).toBe(true);
    return s;
  }

  test('falls apart before the resources of a component whose driver goes, and leaves nothing with it', () => {
    const s = bound();
    expect(s.f.trace(() => s.f.core.unbind(s.b))).toEqual([
      'R(cmpB,C)',
      'master unbind',
      'unbind(cmpB)',
      'unbind(cmpA)',
      'dm(res of cmpA)',
      'dm(res of master)',
      'dm(res of cmpB)',
    ]);
    expect(s.b.devres.size).toBe(0);
    sync(s.f.core.attach(s.b));
    expect(s.components.isBound(s.master)).toBe(true);
  });

  test('falls apart before the resources of the aggregate when its driver goes', () => {
    const s = bound();
    expect(s.f.trace(() => s.f.core.unbind(s.master))).toEqual(['R(master,M)', ...APART]);
    expect(s.master.devres.size).toBe(0);
    sync(s.f.core.attach(s.master));
    expect(s.components.isBound(s.master)).toBe(true);
  });
});

describe('components that wait', () => {
  test('operations run one after the other', async () => {
    const s = new Scene();
    const slow = gate();
    s.onBind.set('cmpA', () => slow.wait);
    s.addMaster();
    s.add(s.b);
    const adding = s.components.add(s.a, s.ops);
    const removing = s.components.removeAggregate(s.master, s.whole);
    expect(s.f.take()).toEqual(['master bind', 'bind(cmpA)']);
    slow.open();
    await adding;
    await removing;
    expect(s.f.take()).toEqual(['bind(cmpB)', ...APART]);
  });

  test('an operation from inside one is refused', async () => {
    const s = new Scene();
    s.onBind.set('cmpA', () => void sync(s.components.add(s.b, s.ops)));
    s.add(s.a);
    expect(await errnoLater(() => s.components.addAggregate(s.master, s.whole, [named('cmpA')]))).toBe('-EDEADLK');
  });
});
