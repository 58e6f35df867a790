import { describe, expect, test } from 'vitest';
import { checkConfig, defineConfig } from '../../cli/config.js';
import { Plugin } from '../../core/index.js';

const isPlugin = (value: unknown): boolean => value instanceof Plugin;
const check = (value: unknown) => checkConfig(value, 'c.json', isPlugin);

describe('checkConfig', () => {
  test('gives back what has the right form', () => {
    const plugin = new Plugin('p', () => {});
    const config = defineConfig({ host: plugin, devices: ['edu'], plugins: ['./a.ts', plugin], seed: 7 });
    expect(check(config)).toBe(config);
  });
  test.each([
    [undefined, 'c.json: wanted an object, got undefined'],
    [[], 'c.json: wanted an object, got a list of 0'],
    [{ devcies: [] }, 'c.json: devcies: wanted one of host, devices, plugins, seed, cpus, interrupts, got a list of 0'],
    [{ host: 'vfio' }, `c.json: host: wanted 'sim', 'qtest' or a plugin that binds Host, got "vfio"`],
    [{ devices: 'edu' }, 'c.json: devices: wanted a list of names of devices, got "edu"'],
    [{ devices: ['edu', 5] }, 'c.json: devices[1]: wanted the name of a device, got 5'],
    [{ plugins: [{ name: 'x' }] }, 'c.json: plugins[0]: wanted a plugin, or its path or name, got an object with name'],
    [{ seed: -1 }, 'c.json: seed: wanted a whole number of 0 to 4294967295, got -1'],
    [{ cpus: 0 }, 'c.json: cpus: wanted a whole number of 1 to 1024, got 0'],
    [{ interrupts: 'msi' }, 'c.json: interrupts: wanted one of remapped, plain, virtual, none, got "msi"'],
    [{ seed: '1' }, 'c.json: seed: wanted a whole number of 0 to 4294967295, got "1"'],
  ])('tells of %j path, wanted and got', (value, message) => {
    expect(() => check(value)).toThrow(`EINVAL: ${message}`);
  });
});
