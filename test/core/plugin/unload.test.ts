import { describe, expect, test } from 'vitest';
import { Errno, PciDriver, System, injectable, pciId } from '../../../core/index.js';
import { Motor, Parts, empty, hostOf, messageOf, motorPlugin, names, partDriver, partPlugin, parts, plugin } from './fixture.js';

describe('unload', () => {
  test('[MOD-02] unbinds the devices newest first, before it resolves; handles die', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(2).plugin);
    const both = plugin('both', ({ bind }) => {
      bind(PciDriver).to(partDriver('a', 1, lives));
      bind(PciDriver).to(partDriver('b', 2, lives));
    });
    await system.load(both);
    const part = system.get(Parts, 'part0');
    await system.unload('both');
    expect(lives.slice(4)).toEqual(['remove b', 'remove a']);
    expect(() => part.name()).toThrow('ENODEV: part0: is gone');
    expect(names(system)).toEqual(['fake-host', 'core']);
  });

  test('[MOD-01] of an unknown name is ENOENT', async () => {
    await using system = await System.start(hostOf(0).plugin);
    expect(await messageOf(() => system.unload('nobody'))).toBe('ENOENT: plugin nobody: is not loaded (there: fake-host, core)');
  });

  test('[MOD-01] of what another requires is EAGAIN (EWOULDBLOCK), and changes nothing', async () => {
    await using system = await System.start(hostOf(2).plugin, partPlugin('a', 1), partPlugin('b', 2, [], { requires: ['a'] }));
    expect(await messageOf(() => system.unload('a'))).toBe('EAGAIN: plugin a: is required by b: unload that first');
    expect(parts(system)).toEqual(['a', 'b']);
    await system.unload('b');
    await system.unload('a');
    expect(parts(system)).toEqual([]);
  });

  test('of what supplies a service to another is EAGAIN, though nothing declares it', async () => {
    const motors = plugin('motors', ({ bind }) => bind(Motor).toConstantValue({ power: 1 }));
    await using system = await System.start(hostOf(1).plugin, motorPlugin(), motors);
    expect(names(system)).toEqual(['fake-host', 'core', 'motors', 'car']);
    expect(await messageOf(() => system.unload('motors'))).toBe('EAGAIN: plugin motors: is required by car: unload that first');
  });

  test.each(['fake-host', 'core'])('of %s is EAGAIN', async (name) => {
    await using system = await System.start(hostOf(0).plugin);
    expect(await messageOf(() => system.unload(name))).toContain(`EAGAIN: plugin ${name}: is required by`);
  });

  test('[MOD-01] of what is being unloaded or loaded is EBUSY', async () => {
    await using system = await System.start(hostOf(1).plugin, partPlugin('a', 1));
    const first = system.unload('a');
    expect(await messageOf(() => system.unload('a'))).toBe('EBUSY: plugin a: is being loaded or unloaded');
    await first;
    const load = system.load(partPlugin('a', 1));
    expect(await messageOf(() => system.unload('a'))).toBe('EBUSY: plugin a: is being loaded or unloaded');
    await load;
  });

  test('a remove that throws is reported after all is undone', async () => {
    @injectable()
    class Sticky implements PciDriver<void> {
      readonly name = 'sticky';
      readonly ids = [pciId(0x1234, 1)];
      probe(): void {}
      remove(): void {
        throw new Errno('EIO', 'sticky: stuck');
      }
    }
    await using system = await System.start(hostOf(1).plugin);
    await system.load(plugin('sticky', ({ bind }) => bind(PciDriver).to(Sticky)));
    expect(await messageOf(() => system.unload('sticky'))).toBe('EIO: sticky: stuck');
    expect(names(system)).toEqual(['fake-host', 'core']);
    await system.load(partPlugin('a', 1));
    expect(parts(system)).toEqual(['a']);
  });
});

describe('reload', () => {
  test('makes new instances and binds the devices again', async () => {
    const lives: string[] = [];
    await using system = await System.start(hostOf(1).plugin, partPlugin('a', 1, lives));
    const old = system.get(Parts, 'part0');
    await system.reload('a');
    expect(lives).toEqual(['made a', 'probe a', 'remove a', 'made a', 'probe a']);
    expect(() => old.name()).toThrow('ENODEV');
    expect(system.get(Parts, 'part0').name()).toBe('a');
  });

  test('of what another requires is EAGAIN', async () => {
    await using system = await System.start(hostOf(1).plugin, partPlugin('a', 1), empty('b', { requires: ['a'] }));
    expect(await messageOf(() => system.reload('a'))).toContain('EAGAIN');
  });
});
