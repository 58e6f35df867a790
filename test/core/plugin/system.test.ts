import { describe, expect, test } from 'vitest';
import { Errno, Host, PciDriver, Plugin, System, injectable, pciId } from '../../../core/index.js';
import { Motor, empty, hostOf, messageOf, motorPlugin, names, partDriver, partPlugin, parts, plugin } from './fixture.js';

describe('System.start', () => {
  test('binds devices to the drivers of its plugins before it resolves', async () => {
    await using system = await System.start(hostOf(2).plugin, partPlugin('a', 1), partPlugin('b', 2));
    expect(parts(system)).toEqual(['a', 'b']);
    expect(names(system)).toEqual(['fake-host', 'core', 'a', 'b']);
  });

  test('the host may come last', async () => {
    await using system = await System.start(partPlugin('a', 1), hostOf(1).plugin);
    expect(parts(system)).toEqual(['a']);
  });

  test('without a host is ENOENT with the remedy', async () => {
    expect(await messageOf(() => System.start(empty('a')))).toBe(
      'ENOENT: no host: load a plugin that binds Host, such as hostSim()',
    );
  });

  test('with two hosts is EEXIST with both', async () => {
    const other = plugin('other', ({ bind }) => bind(Host).toConstantValue(hostOf(0).host));
    expect(await messageOf(() => System.start(hostOf(0).plugin, other))).toBe(
      'EEXIST: 2 hosts: fake-host and other bind Host: load one of them',
    );
  });

  test('loads what is required first, whatever the order given', async () => {
    const lives: string[] = [];
    const b = partPlugin('b', 2, lives, { requires: ['a'] });
    await using system = await System.start(hostOf(2).plugin, b, partPlugin('a', 1, lives));
    expect(names(system)).toEqual(['fake-host', 'core', 'a', 'b']);
    expect(lives).toEqual(['made a', 'probe a', 'made b', 'probe b']);
  });

  test('is told before anything runs, as long as somebody listens', async () => {
    const told: [System, devices: number][] = [];
    const listening = System.onStarting((system) => told.push([system, system.core.order.size]));
    await using system = await System.start(hostOf(1).plugin);
    listening.dispose();
    await using _other = await System.start(hostOf(1).plugin);
    expect(told).toHaveLength(1);
    expect(told[0]![0]).toBe(system);
    expect(told[0]![1]).toBeLessThan(system.core.order.size);
  });

  test('that fails leaves nothing running: what was loaded is gone again, and the host is stopped', async () => {
    const lives: string[] = [];
    const { plugin: host, host: fake } = hostOf(1);
    let stopped = 0;
    fake.stop = () => void stopped++;
    const bad = plugin('bad', ({ bind }) => bind(PciDriver).to(partDriver('a', 2)));
    expect(await messageOf(() => System.start(host, partPlugin('a', 1, lives), bad))).toBe(
      'EBUSY: plugin bad: a: a driver of this name is registered on bus pci',
    );
    expect(lives).toEqual(['made a', 'probe a', 'remove a']);
    expect(stopped).toBe(1);
  });

  test('a host that does not start is told as it is', async () => {
    const { plugin: host, host: fake } = hostOf(1);
    fake.start = () => {
      throw new Errno('EIO', 'fake: no power');
    };
    expect(await messageOf(() => System.start(host))).toBe('EIO: fake: no power');
  });
});

describe('load', () => {
  test('adds drivers to a running system; devices without one bind', async () => {
    await using system = await System.start(hostOf(2).plugin, partPlugin('a', 1));
    await system.load(partPlugin('b', 2));
    expect(parts(system)).toEqual(['a', 'b']);
  });

  test('of a name that is loaded is EEXIST', async () => {
    await using system = await System.start(hostOf(1).plugin, partPlugin('a', 1));
    expect(await messageOf(() => system.load(empty('a')))).toBe('EEXIST: plugin a: is loaded already');
    expect(parts(system)).toEqual(['a']);
  });

  test('[MOD-11] two at once for one plugin load it once, and both succeed', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin);
    const a = partPlugin('a', 1, lives);
    await Promise.all([system.load(a), system.load(a)]);
    expect(lives).toEqual(['made a', 'probe a']);
  });

  test('several at once run one after the other, in the order asked for', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(3).plugin);
    await Promise.all([3, 1, 2].map((n) => system.load(partPlugin(`p${n}`, n, lives))));
    expect(lives.filter((line) => line.startsWith('probe'))).toEqual(['probe p3', 'probe p1', 'probe p2']);
  });

  test('one that fails does not hold up the next', async () => {
    await using system = await System.start(hostOf(1).plugin);
    const bad = system.load(empty('bad', { requires: ['nothing'] }));
    const good = system.load(partPlugin('a', 1));
    await expect(bad).rejects.toThrow('ENOENT');
    await good;
    expect(parts(system)).toEqual(['a']);
  });

  test.each([
    ['an Errno', new Errno('EIO', 'out of luck'), 'EIO: plugin bad: its bindings: out of luck'],
    ['EEXIST, which is EBUSY to the loader', new Errno('EEXIST', 'twice'), 'EBUSY: plugin bad: its bindings: twice'],
    ['any error', new TypeError('x is undefined'), 'EINVAL: plugin bad: its bindings: TypeError: x is undefined'],
  ])('[MOD-04] bindings that throw %s fail the load, and nothing of them stays', async (_what, error, message) => {
    await using system = await System.start(hostOf(1).plugin);
    const bad = plugin('bad', ({ bind }) => {
      bind(Motor).toConstantValue({ power: 1 });
      throw error;
    });
    expect(await messageOf(() => system.load(bad))).toBe(message);
    expect(names(system)).toEqual(['fake-host', 'core']);
    expect(await messageOf(() => system.load(motorPlugin()))).toContain('Motor: is missing');
  });

  test('bindings that are asynchronous are EINVAL', async () => {
    await using system = await System.start(hostOf(0).plugin);
    // oxlint-disable-next-line typescript/no-misused-promises -- the mistake that is tested
    const late = plugin('late', async () => {});
    expect(await messageOf(() => system.load(late))).toBe(
      'EINVAL: plugin late: its bindings: its bindings are asynchronous: wait in a probe instead',
    );
  });

  test('a driver whose constructor throws fails the load, and its neighbours in the plugin go too', async () => {
    @injectable()
    class Bad {
      readonly name = 'bad';
      readonly ids = [];
      constructor() {
        throw new Error('built wrong');
      }
      probe(): void {}
    }
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin);
    const two = plugin('two', ({ bind }) => {
      bind(PciDriver).to(partDriver('a', 1, lives));
      bind(PciDriver).to(Bad);
    });
    expect(await messageOf(() => system.load(two))).toBe('EINVAL: plugin two: Bad: Error: built wrong');
    expect(parts(system)).toEqual([]);
    expect(system.deviceTree().buses.find((bus) => bus.name === 'pci')?.drivers).toEqual([]);
    await system.load(partPlugin('a', 1));
    expect(parts(system)).toEqual(['a']);
  });

  test('when a second plugin of one load fails, the first is taken back', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin, partPlugin('x', 5));
    const first = partPlugin('first', 1, lives);
    const second = new Plugin('second', ({ bind }) => bind(PciDriver).to(partDriver('x', 2)), { requires: [first] });
    expect(await messageOf(() => system.load(second))).toContain('EBUSY: plugin second: x: a driver of this name');
    expect(names(system)).toEqual(['fake-host', 'core', 'x']);
    expect(lives).toEqual(['made first', 'probe first', 'remove first']);
  });

  test('a probe that fails is not a failure of the load', async () => {
    await using system = await System.start(hostOf(1).plugin);
    @injectable()
    class Grumpy implements PciDriver<void> {
      readonly name = 'grumpy';
      readonly ids = [pciId(0x1234, 1)];
      probe(): void {
        throw new Errno('EIO', 'no');
      }
    }
    await system.load(plugin('grumpy', ({ bind }) => bind(PciDriver).to(Grumpy)));
    expect(names(system)).toContain('grumpy');
  });

  test('of a second host is EBUSY', async () => {
    await using system = await System.start(hostOf(0).plugin);
    const other = plugin('other', ({ bind }) => bind(Host).toConstantValue(hostOf(0).host));
    expect(await messageOf(() => system.load(other))).toBe(
      'EBUSY: plugin other: binds Host, and the system runs on fake: start another system',
    );
  });

  test('from inside a probe is EDEADLK', async () => {
    let thrown: Promise<unknown> | undefined;
    await using system = await System.start(hostOf(1).plugin);
    @injectable()
    class Loader implements PciDriver<void> {
      readonly name = 'loader';
      readonly ids = [pciId(0x1234, 1)];
      probe(): void {
        thrown = messageOf(() => system.load(empty('more')));
      }
    }
    await system.load(plugin('loader', ({ bind }) => bind(PciDriver).to(Loader)));
    expect(await thrown).toBe("EDEADLK: plugin more: loading or unloading from inside a driver's probe would wait for itself");
  });
});

describe('the end of a system', () => {
  test('unloads last first and stops the host, once', async () => {
    const lives: string[] = [];
    const { plugin: host, host: fake } = hostOf(2);
    fake.stop = () => void lives.push('host stopped');
    const system = await System.start(host, partPlugin('a', 1, lives), partPlugin('b', 2, lives));
    await Promise.all([system[Symbol.asyncDispose](), system[Symbol.asyncDispose]()]);
    expect(lives.slice(4)).toEqual(['remove b', 'remove a', 'host stopped']);
    expect(await messageOf(() => system.load(empty('late')))).toBe('ESHUTDOWN: plugin late: the system has ended');
  });

  test('reports what is left over', async () => {
    const { plugin: host, host: fake } = hostOf(0);
    const system = await System.start(host);
    fake.dma.alloc(64, { mask: 0xffff_ffff });
    expect(await messageOf(() => system[Symbol.asyncDispose]())).toBe(
      'EBUSY: fake: left over at the end: 4096 bytes of DMA memory',
    );
  });

  test('waits for the operation that runs', async () => {
    const lives: string[] = [];
    const system = await System.start(hostOf(1).plugin);
    const load = system.load(partPlugin('a', 1, lives));
    await system[Symbol.asyncDispose]();
    await load;
    expect(lives).toEqual(['made a', 'probe a', 'remove a']);
  });
});
