import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { VERSION, inRange, parseVersion } from '../../../core/plugin/version.js';

describe('VERSION', () => {
  test('is the version of the package', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
    expect(VERSION).toBe(manifest.version);
  });
});

describe('inRange', () => {
  test.each([
    ['^1.2.3', ['1.2.3', '1.9.0'], ['1.2.2', '2.0.0', '0.9.9']],
    ['^1', ['1.0.0', '1.9.9'], ['0.9.9', '2.0.0']],
    ['^0.2.3', ['0.2.3', '0.2.9'], ['0.2.2', '0.3.0']],
    ['^0.2', ['0.2.0', '0.2.9'], ['0.3.0']],
    ['^0.0.3', ['0.0.3'], ['0.0.2', '0.0.4']],
    ['^0', ['0.0.0', '0.9.9'], ['1.0.0']],
    ['~1.2.3', ['1.2.3', '1.2.9'], ['1.2.2', '1.3.0']],
    ['~1', ['1.0.0', '1.9.9'], ['2.0.0']],
    ['1.2.3', ['1.2.3'], ['1.2.4']],
    ['=1.2.3', ['1.2.3'], ['1.2.4']],
    ['1.2', ['1.2.0', '1.2.9'], ['1.3.0']],
    ['1.x', ['1.0.0', '1.9.9'], ['2.0.0']],
    ['*', ['0.0.0', '9.9.9'], []],
    ['>=1.2 <2', ['1.2.0', '1.9.9'], ['1.1.9', '2.0.0']],
    ['>1.2', ['1.3.0'], ['1.2.9']],
    ['<=1.2', ['1.2.9', '0.1.0'], ['1.3.0']],
    ['^1 || ^3', ['1.5.0', '3.0.0'], ['2.0.0', '4.0.0']],
  ])('%s', (range, inside, outside) => {
    expect(inside.filter((v) => !inRange(v, range, 'test'))).toEqual([]);
    expect(outside.filter((v) => inRange(v, range, 'test'))).toEqual([]);
  });

  test.each(['', 'new', '1.2.3.4', '>>1', '^', '1 ||'])('%j is no range: EINVAL names who asks', (range) => {
    expect(() => inRange('1.0.0', range, 'plugin x')).toThrow(`EINVAL: plugin x: '${range}' is not a range of versions`);
  });
});

describe('parseVersion', () => {
  test('splits three numbers', () => {
    expect(parseVersion('10.20.30', 'test')).toEqual([10, 20, 30]);
  });

  test.each(['1', '1.2', 'v1.2.3', '1.2.3-beta', ''])('%j is no version: EINVAL', (text) => {
    expect(() => parseVersion(text, 'plugin x')).toThrow('EINVAL: plugin x: version');
  });
});
