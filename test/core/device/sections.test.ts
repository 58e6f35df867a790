import { describe, expect, test } from 'vitest';
import { Sections } from '../../../core/device/sections.js';

describe('Sections', () => {
  test('tell when the outermost has returned, and not before', () => {
    const sections = new Sections();
    let left = 0;
    sections.onLeave = () => left++;
    sections.enterOperation();
    sections.enter();
    sections.leave();
    expect([left, sections.depth]).toEqual([0, 1]);
    sections.leave();
    expect([left, sections.depth]).toEqual([1, 0]);
    sections.enter();
    sections.leaveQuietly();
    expect([left, sections.depth]).toEqual([1, 0]);
  });

  test('refuse an operation before it has begun, and no call of an object', () => {
    const sections = new Sections();
    sections.check = () => {
      throw new Error('in a handler');
    };
    expect(() => sections.enterOperation()).toThrow('in a handler');
    sections.enter();
    expect(sections.depth).toBe(1);
  });
});
