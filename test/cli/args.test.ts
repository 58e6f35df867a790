import { describe, expect, test } from 'vitest';
import { type Option, divide, findCommand, parse, wholeNumber } from '../../cli/args.js';

const OPTIONS: readonly Option[] = [
  { name: 'numeric', short: 'n', multiple: true, summary: '' },
  { name: 'level', short: 'l', value: 'LEVELS', summary: '' },
  { name: 'device', value: 'DEVICE', multiple: true, summary: '' },
];

describe('parse', () => {
  test('counts a switch that is given in one word or in several', () => {
    expect(parse(['-nn', '--numeric'], { usage: '', options: OPTIONS }).count('numeric')).toBe(3);
  });
  test('keeps all values of an option that may have several, in order', () => {
    const args = parse(['--device', 'a', '--device=b'], { usage: '', options: OPTIONS });
    expect(args.values('device')).toEqual(['a', 'b']);
    expect(args.value('device')).toBe('b');
  });
  test.each([
    [['--foo'], '', 'unknown option --foo'],
    [['-z'], '', 'unknown option -z'],
    [['--level'], '', '--level needs a LEVELS'],
    [['--numeric=1'], '', '--numeric takes no value'],
    [['-l', 'a', '-l', 'b'], '', '-l is given twice'],
    [[], '<device> [driver]', '<device> is missing'],
    [['a', 'b', 'c'], '<device> [driver]', "unexpected argument 'c'"],
    [['a'], '', "unexpected argument 'a'"],
  ])('refuses %j for usage %j: %s', (argv, usage, message) => {
    expect(() => parse(argv, { usage, options: OPTIONS })).toThrow(message);
  });
  test('takes any number of arguments where the usage says so, and what stands behind -- as it is', () => {
    expect(parse(['a', '--', '--b', '-c'], { usage: '<file>...' }).positionals).toEqual(['a', '--b', '-c']);
  });
});

describe('findCommand', () => {
  test('passes over options of the program and their values', () => {
    expect(findCommand(['--device', 'edu', '-n', 'tree', 'x'], OPTIONS)).toBe(3);
  });
  test('is -1 when there is none', () => {
    expect(findCommand(['-n'], OPTIONS)).toBe(-1);
  });
  test('refuses an option before it that the program does not have', () => {
    expect(() => findCommand(['--foo', 'tree'], OPTIONS)).toThrow('unknown option --foo');
  });
});

describe('divide', () => {
  test('takes the options of the program out and leaves the rest in place', () => {
    const [own, rest] = divide(['--device', 'edu', '-l', 'err', 'x', '--device=b', '-w'], [OPTIONS[2]!], [OPTIONS[1]!]);
    expect(own.values('device')).toEqual(['edu', 'b']);
    expect(rest).toEqual(['-l', 'err', 'x', '-w']);
  });
});

describe('wholeNumber', () => {
  test('reads decimal and hexadecimal', () => {
    expect([wholeNumber('12', 'n'), wholeNumber('0x10', 'n')]).toEqual([12, 16]);
  });
  test.each(['', '-1', '1.5', '1e3', 'x', '256'])('refuses %j', (text) => {
    expect(() => wholeNumber(text, 'n', 255)).toThrow(`n is a whole number of 0 to 255, got '${text}'`);
  });
});
