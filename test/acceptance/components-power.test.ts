import { Components, type Device, Errno, defer } from 'backplane';
import { describe, expect, test } from 'vitest';
import { Fixture, code, driver } from './fixture.js';

describe('components', () => {
  interface Parts {
    readonly components: Components;
    readonly log: string[];
    readonly master: Device;
    part(
      name: string,
      fail?: () => 'EIO' | 'EPROBE_DEFER' | undefined,
    ): { dev: Device; ops: { bind(d: Device, m: Device): void; unbind(d: Device): void } };
    addMaster(): unknown;
  }

  function parts(): Parts {
    const fx = new Fixture();
    fx.reg(driver('A', ''));
    const components = new Components(fx.core);
    const log: string[] = [];
    const master = fx.add('master');
    return {
      components,
      log,
      master,
      part: (name, fail = () => undefined) => ({
        dev: fx.add(name),
        ops: {
          bind: (d, m) => {
            d.devres.defer(`res ${name}`, () => void log.push(`dm(${name})`));
            m.devres.defer(`for ${name}`, () => void log.push(`dm(master for ${name})`));
            const failure = fail();
            log.push(`bind(${name})${failure ?? ''}`);
            if (failure === 'EPROBE_DEFER') throw defer('later');
            if (failure !== undefined) throw new Errno(failure, name);
          },
          unbind: () => void log.push(`unbind(${name})`),
        },
      }),
      addMaster: () =>
        components.addAggregate(
          master,
          {
            bind: (dev) => {
              dev.devres.defer('own', () => void log.push('dm(master)'));
              return components.bindAll(dev);
            },
            unbind: (dev) => components.unbindAll(dev),
          },
          [(dev) => dev.name === 'cmpA', (dev) => dev.name === 'cmpB'],
        ),
    };
  }

  test('SUB-08: the second component fails: the first is unbound, the master group released, add throws and can be repeated', async () => {
    const p = parts();
    let failing = true;
    const a = p.part('cmpA');
    const b = p.part('cmpB', () => (failing ? 'EIO' : undefined));
    p.addMaster();
    await p.components.add(a.dev, a.ops);
    expect(p.log).toEqual([]);
    expect(await code(() => p.components.add(b.dev, b.ops))).toBe('EIO');
    expect(p.log.splice(0)).toEqual([
      'bind(cmpA)',
      'bind(cmpB)EIO',
      'dm(cmpB)',
      'dm(master for cmpB)',
      'unbind(cmpA)',
      'dm(cmpA)',
      'dm(master for cmpA)',
      'dm(master)',
    ]);
    expect(p.components.isBound(p.master)).toBe(false);
    failing = false;
    expect(await code(() => p.components.add(b.dev, b.ops))).toBe('ok');
    expect(p.log).toEqual(['bind(cmpA)', 'bind(cmpB)']);
    expect(p.components.isBound(p.master)).toBe(true);
  });

  test('SUB-09: a component that defers makes the last add defer, without an error in the log', async () => {
    const p = parts();
    const a = p.part('cmpA', () => 'EPROBE_DEFER');
    const b = p.part('cmpB');
    await p.components.add(a.dev, a.ops);
    await p.components.add(b.dev, b.ops);
    expect(await code(p.addMaster)).toBe('EPROBE_DEFER');
    expect(p.log).toEqual(['bind(cmpA)EPROBE_DEFER', 'dm(cmpA)', 'dm(master for cmpA)', 'dm(master)']);
    expect(p.components.isBound(p.master)).toBe(false);
  });
});

describe('shutdown', () => {
  test('PM-01: reverse of registration; drivers stay bound; nothing is released or probed', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { shutdown: () => {}, body: (dev) => void dev.devres.defer('x', () => {}) }));
    const devs = ['d1', 'd2', 'd3'].map((n) => fx.add(n));
    void fx.core.unbind(devs[1]!);
    fx.take();
    await fx.core.shutdown();
    expect(fx.take()).toEqual(['SH(d3)', 'SH(d1)']);
    expect(devs.map((d) => [d.bound, d.devres.size])).toEqual([
      [true, 1],
      [false, 0],
      [true, 1],
    ]);
    const late = fx.add('d4');
    expect([late.bound, fx.deferred]).toEqual([false, ['d4']]);
  });

  test('PM: a suspend that a device refuses wakes the others up, and probing goes on', async () => {
    const fx = new Fixture();
    const pm = {
      suspend: (dev: Device) => {
        if (dev.name === 'd2') throw new Errno('EBUSY', 'd2: transfer');
      },
      resume: () => {},
      complete: () => {},
    };
    fx.reg(driver('A', 'd', { pm }));
    for (const n of ['d1', 'd2', 'd3']) fx.add(n);
    fx.take();
    expect(await code(() => fx.core.suspend())).toBe('EBUSY');
    expect(fx.take()).toEqual([
      'suspend(d3)',
      'suspend(d2)',
      'L:err:suspend_failed',
      'resume(d3)',
      'complete(d3)',
      'complete(d2)',
      'complete(d1)',
    ]);
    expect(fx.add('d4').bound).toBe(true);
    expect(await code(() => fx.core.resume())).toBe('EINVAL');
  });

  test('a suspended system defers what comes, and probes it after complete', async () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd', { pm: { complete: () => {} } }));
    fx.add('d1');
    await fx.core.suspend();
    const d2 = fx.add('d2');
    expect([d2.bound, fx.deferred]).toEqual([false, ['d2']]);
    fx.take();
    await fx.core.resume();
    await fx.core.settle();
    expect(fx.take().slice(0, 2)).toEqual(['complete(d1)', 'M(d2,A)=1']);
    expect(d2.bound).toBe(true);
    expect(await code(() => fx.core.suspend())).toBe('ok');
    expect(await code(() => fx.core.suspend())).toBe('EBUSY');
  });
});
