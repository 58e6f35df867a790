import { describe, expect, test } from 'vitest';
import { Signal } from '../../../core/lib/signal.js';

describe('Signal', () => {
  test('calls its listeners in the order they came, until each is disposed', () => {
    const signal = new Signal<[number]>();
    const log: string[] = [];
    const a = signal.on((n) => log.push(`a${n}`));
    const b = signal.on((n) => log.push(`b${n}`));
    signal.emit(1);
    a.dispose();
    a.dispose();
    signal.emit(2);
    b[Symbol.dispose]();
    signal.emit(3);
    expect([log, signal.active]).toEqual([['a1', 'b1', 'b2'], false]);
  });

  test('the same function may listen twice, and each subscription is its own', () => {
    const signal = new Signal<[]>();
    let calls = 0;
    const listener = (): void => void calls++;
    const first = signal.on(listener);
    signal.on(listener);
    first.dispose();
    signal.emit();
    expect([calls, signal.active]).toEqual([1, true]);
  });

  test('changes made by a listener take effect at the next emission', () => {
    const signal = new Signal<[]>();
    const log: string[] = [];
    signal.on(() => {
      log.push('a');
      second.dispose();
      signal.on(() => log.push('late'));
    });
    const second = signal.on(() => log.push('b'));
    signal.emit();
    expect(log).toEqual(['a', 'b']);
    signal.emit();
    expect(log).toEqual(['a', 'b', 'a', 'late']);
  });
});
