import { inspect, types } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ERRNO, Errno, assert, defer, deferReason, describeError, joinErrors } from '../../../core/lib/errno.js';

describe('Errno', () => {
  test('puts its code in front of its text, and keeps code, number and cause apart', () => {
    const cause = new Error('why');
    const error = new Errno('EBUSY', 'd1: taken', { cause });
    expect([error.message, error.text, error.code, error.errno, error.name, error.cause]).toEqual([
      'EBUSY: d1: taken',
      'd1: taken',
      'EBUSY',
      16,
      'Errno',
      cause,
    ]);
  });

  test('has the numbers of Linux', () => {
    // include/uapi/asm-generic/errno-base.h, errno.h; include/linux/errno.h
    const { EPERM, ENOENT, EBUSY, ENODEV, EINVAL, ENOSPC, EDEADLK, EOPNOTSUPP, ETIMEDOUT, ECANCELED, EPROBE_DEFER } = ERRNO;
    expect([EPERM, ENOENT, EBUSY, ENODEV, EINVAL, ENOSPC, EDEADLK, EOPNOTSUPP, ETIMEDOUT, ECANCELED, EPROBE_DEFER]).toEqual([
      1, 2, 16, 19, 22, 28, 35, 95, 110, 125, 517,
    ]);
    expect(new Set(Object.values(ERRNO)).size).toBe(Object.keys(ERRNO).length);
  });

  test('is tells its own errors, by code when one is asked for, also those of another copy of the package', () => {
    const error = new Errno('EIO', 'x');
    expect([Errno.is(error), Errno.is(error, 'EIO'), Errno.is(error, 'EBUSY')]).toEqual([true, true, false]);
    const foreign = Object.assign(new Error('EIO: x'), { name: 'Errno', code: 'EIO' });
    expect([Errno.is(foreign), Errno.is(foreign, 'EIO')]).toEqual([true, true]);
    const node = Object.assign(new Error('open'), { code: 'ENOENT' });
    const odd = Object.assign(new Error('x'), { name: 'Errno', code: 'toString' });
    for (const other of [node, odd, new Error('EIO: x'), undefined, 'EIO', 5]) expect(Errno.is(other)).toBe(false);
  });

  test('codeOf gives EIO for what is no Errno', () => {
    expect([Errno.codeOf(new Errno('ENOSPC', 'x')), Errno.codeOf(new Error('x')), Errno.codeOf('x')]).toEqual([
      'ENOSPC',
      'EIO',
      'EIO',
    ]);
  });

  test('a stackless one is like any other, but for its stack', () => {
    const limit = Error.stackTraceLimit;
    const bare = Errno.stackless('EBUSY', 'd1: taken');
    const full = new Errno('EBUSY', 'd1: taken');
    expect(Error.stackTraceLimit).toBe(limit);
    expect([bare instanceof Errno, bare instanceof Error, types.isNativeError(bare)]).toEqual([true, true, true]);
    expect([bare.name, bare.message, bare.text, bare.errno]).toEqual([full.name, full.message, full.text, full.errno]);
    expect(bare.stack).toBe('Errno: EBUSY: d1: taken');
    expect(full.stack).toContain('\n');
    expect([String(bare), JSON.stringify(bare), Object.keys(bare)]).toEqual([
      String(full),
      JSON.stringify(full),
      Object.keys(full),
    ]);
    expect(inspect(bare)).toBe("[Errno: EBUSY: d1: taken] { code: 'EBUSY' }");
    expect(bare).toEqual(full);
    expect(() => {
      throw bare;
    }).toThrow('EBUSY: d1: taken');
  });
});

describe('defer', () => {
  test('carries its reason when there is one', () => {
    const error = defer('waiting for clk0');
    expect([error.code, error.message, deferReason(error)]).toEqual([
      'EPROBE_DEFER',
      'EPROBE_DEFER: waiting for clk0',
      'waiting for clk0',
    ]);
    expect([defer().message, deferReason(defer()), deferReason(undefined)]).toEqual([
      'EPROBE_DEFER: deferred',
      undefined,
      undefined,
    ]);
  });
});

describe('joinErrors and describeError', () => {
  test('one error stays what it is', () => {
    const only = new Error('only');
    expect(joinErrors([only], 'x')).toBe(only);
  });

  test('several are kept in order, with the first as cause and head', () => {
    const all = [new Errno('EIO', 'd1: first'), new Error('second'), 'third'];
    const joined = joinErrors(all, 'releases of d1') as AggregateError;
    expect(joined).toBeInstanceOf(AggregateError);
    expect(joined.errors).toEqual(all);
    expect(joined.cause).toBe(all[0]);
    expect(joined.message).toBe('EIO: d1: first (and 2 more: releases of d1)');
    expect(describeError(joined)).toBe('EIO: d1: first; Error: second; third');
    expect(inspect(joined)).toContain('second');
  });

  test('any thrown value has a description', () => {
    expect([describeError(new TypeError('x')), describeError(undefined), describeError(5)]).toEqual([
      'TypeError: x',
      'undefined',
      '5',
    ]);
  });
});

test('assert throws the bug of the core that it is told of', () => {
  assert(true, 'never');
  expect(() => assert(false, 'two heads')).toThrow('backplane bug: two heads');
});
