import { describe, expect, test } from 'vitest';
import { Command, System } from '../../../core/index.js';
import { hostOf, partPlugin, plugin } from './fixture.js';

describe('what a system tells', () => {
  test('tree prints plugins with times, requirements, drivers and devices', async () => {
    await using system = await System.start(hostOf(2).plugin, partPlugin('a', 1));
    await system.core.clock.sleep(250);
    await system.load(partPlugin('b', 9, [], { requires: ['a'], version: '1.2.3' }));
    expect(String(system.tree())).toBe(
      [
        'fake-host 0.0.0  at 0 us',
        'core 0.1.0  at 0 us  after fake-host',
        'a 0.0.0  at 0 us',
        '  pci driver a: 0000:00:01.0',
        'b 1.2.3  at 250 us  after a',
        '  pci driver b: no device',
        '',
      ].join('\n'),
    );
    expect(system.tree().plugins.at(-1)).toMatchObject({ name: 'b', requires: ['a'], binds: ['PciDriver'], loadedAtUs: 250 });
  });

  test('deviceTree walks devices before their children, and prints them with drivers and classes', async () => {
    await using system = await System.start(hostOf(2).plugin, partPlugin('a', 1));
    const tree = system.deviceTree();
    expect([...tree.walk()].map((node) => node.path).filter((path) => path.includes('pci'))).toEqual([
      '/devices/pci0000:00',
      '/devices/pci0000:00/0000:00:01.0',
      '/devices/pci0000:00/0000:00:01.0/part/part0',
      '/devices/pci0000:00/0000:00:02.0',
    ]);
    expect(tree.classes).toEqual([{ name: 'part', devices: ['part0'] }]);
    const dev = [...tree.walk()].find((node) => node.name === '0000:00:01.0');
    expect(dev).toMatchObject({ subsystem: 'pci', driver: 'a' });
    expect(dev?.attributes).toContain('driver_override');
    expect(tree.buses.find((bus) => bus.name === 'pci')?.drivers[0]).toMatchObject({ name: 'a', devices: ['0000:00:01.0'] });
    expect(String(tree)).toContain('    0000:00:01.0  (pci, driver a)\n      part0  (part)\n    0000:00:02.0  (pci)\n');
    expect(String(tree)).toContain('bus pci\n  a: 0000:00:01.0\n');
  });

  test('commands are those that plugins contribute, by name', async () => {
    const command = (name: string): Command => ({
      name,
      summary: '',
      usage: '',
      run: (_system, args, out) => out.write(`${args.join(' ')}\n`),
    });
    const one = plugin('one', ({ bind }) => {
      bind(Command).toConstantValue(command('z'));
      bind(Command).toConstantValue(command('a'));
    });
    await using system = await System.start(hostOf(0).plugin, one);
    expect(system.commands().map((c) => c.name)).toEqual(['a', 'z']);
    await system.unload('one');
    expect(system.commands()).toEqual([]);
  });

  test('device finds a device on any bus or in any class, else ENODEV', async () => {
    await using system = await System.start(hostOf(1).plugin, partPlugin('a', 1));
    expect(system.device('0000:00:01.0').name).toBe('0000:00:01.0');
    expect(system.device('part0').class?.name).toBe('part');
    expect(() => system.device('nothing')).toThrow('ENODEV: nothing: no such device');
  });
});
