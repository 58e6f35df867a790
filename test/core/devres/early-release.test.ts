import { describe, expect, test } from 'vitest';
import { Devres } from '../../../core/devres/index.js';

describe('a release', () => {
  test('may give back what was acquired before, when everything is released: that is not released again', () => {
    const devres = new Devres({ name: 'd1', devresHooks: undefined });
    const log: string[] = [];
    const [early, other] = ['early', 'other'].map((label) => devres.enter(label, undefined, () => void log.push(label)));
    devres.enter('late', undefined, () => {
      log.push('late');
      void devres.releaseEntry(early!);
      expect(() => devres.releaseEntry(early!)).toThrow('ENOENT: d1: early is not in its ledger');
    });
    expect(devres.releaseAll()).toBe(3);
    expect(log).toEqual(['late', 'early', 'other']);
    expect(() => devres.releaseEntry(other!)).toThrow('ENOENT');
    expect(devres.size).toBe(0);
  });

  test('may give back what comes next, in a group as well', () => {
    const devres = new Devres({ name: 'd1', devresHooks: undefined });
    const log: string[] = [];
    const group = devres.group('g');
    const next = devres.enter('next', undefined, () => void log.push('next'));
    devres.enter('late', undefined, () => {
      void devres.releaseEntry(next);
      log.push('late');
    });
    void group.release();
    expect([log, devres.size]).toEqual([['next', 'late'], 0]);
  });
});
