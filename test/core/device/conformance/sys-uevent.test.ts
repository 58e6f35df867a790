import { describe, expect, test } from 'vitest';
import type { Uevent } from '../../../../core/device/index.js';
import { Errno } from '../../../../core/lib/errno.js';
import { ADD, BIND, Fixture, GONE, M, UNB, errno, sync } from './fixture.js';

/** A bound to d1. */
function bound() {
  const fx = new Fixture();
  const a = fx.register('A', 'd');
  return { fx, a, d1: fx.add('d1') };
}

describe('events', () => {
  const listen = (fx: Fixture): Uevent[] => {
    const all: Uevent[] = [];
    fx.core.uevents.on((event) => all.push(event));
    return all;
  };

  test('a written event carries SYNTH_UUID and its arguments; anything else is EINVAL', () => {
    const { fx, d1 } = bound();
    const all = listen(fx);
    const write = (text: string) => errno(() => d1.attributes.write('uevent', text));
    expect(write('change')).toBe(6);
    expect(write('change 0ead9c9f-6f9b-4b4c-8b5a-1f2e3d4c5b6a A=1 B2=c\n')).toBe(53);
    expect(all.map((e) => [e.action, ...[...e.env].filter(([key]) => key.startsWith('SYNTH'))])).toEqual([
      ['change', ['SYNTH_UUID', '0']],
      ['change', ['SYNTH_UUID', '0ead9c9f-6f9b-4b4c-8b5a-1f2e3d4c5b6a'], ['SYNTH_ARG_A', '1'], ['SYNTH_ARG_B2', 'c']],
    ]);
    const bad = ['', 'bogus', 'change x', 'change 0ead9c9f-6f9b-4b4c-8b5a-1f2e3d4c5b6a A', 'Change'];
    expect(bad.map(write)).toEqual(bad.map(() => '-EINVAL'));
  });

  test('SYS-33: the uevent files of driver and bus send change', () => {
    const { fx, a } = bound();
    const all = listen(fx);
    expect(errno(() => fx.files(a).write('uevent', 'change\n'))).toBe(7);
    expect(errno(() => fx.tb.attributes.write('uevent', 'change'))).toBe(6);
    expect(all.map((e) => `${e.action} ${e.devpath}`)).toEqual(['change /bus/tb/drivers/A', 'change /bus/tb']);
    expect(errno(() => fx.tb.attributes.write('uevent', 'nonsense'))).toBe('-EINVAL');
  });

  test('SYS-34: an error of the callback drops the event and nothing else', () => {
    const fx = new Fixture();
    fx.onUevent = () => {
      throw new Errno('ENOMEM', 'full');
    };
    const dev = fx.device('d1');
    expect(fx.trace(() => fx.core.add(dev))).toEqual(['N:ADD(d1)']);
    expect([dev.registered, dev.attributes.read('uevent')]).toEqual([true, '']);
  });

  test('SYS-35: with uevent_suppress set nothing is sent, and all else is unchanged', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const dev = fx.device('d1');
    dev.ueventSuppress = true;
    const quiet = (tokens: string[]) => tokens.filter((t) => !t.startsWith('U:'));
    expect(fx.trace(() => fx.core.add(dev))).toEqual(quiet([...ADD('d1'), M('d1', 'A'), ...BIND('d1', 'A')]));
    expect(errno(() => dev.attributes.write('uevent', 'change'))).toBe(6);
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(quiet(GONE('d1', ...UNB('d1', 'A'))));
  });

  test('SYS-37: variables come in a fixed order, the sequence number last', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    fx.onUevent = (_dev, env) => void env.set('MODALIAS', 'tb:d');
    const all = listen(fx);
    const type = { name: 'disk', uevent: (_: unknown, env: Map<string, string>) => void env.set('OF_TYPE', 't') };
    const d1 = fx.add('d1', { type });
    expect(all.map((e) => e.action)).toEqual(['add', 'bind']);
    expect([...all[1]!.env]).toEqual([
      ['ACTION', 'bind'],
      ['DEVPATH', '/devices/d1'],
      ['SUBSYSTEM', 'tb'],
      ['DEVTYPE', 'disk'],
      ['DRIVER', 'A'],
      ['MODALIAS', 'tb:d'],
      ['OF_TYPE', 't'],
      ['SEQNUM', String(all[0]!.seqnum + 1)],
    ]);
    expect(d1.bound).toBe(true);
  });

  test.each([
    ['64 variables', (env: Map<string, string>) => [...Array(61).keys()].forEach((i) => env.set(`V${i}`, ''))],
    ['2048 bytes', (env: Map<string, string>) => void env.set('LONG', 'x'.repeat(2048))],
  ])('SYS-37: an event of more than %s is dropped', (_what, fill) => {
    const fx = new Fixture();
    fx.onUevent = (_dev, env) => fill(env);
    const all = listen(fx);
    fx.add('d1');
    fx.onUevent = undefined;
    fx.add('d2');
    expect(all.map((e) => e.device?.name)).toEqual(['d2']);
  });

  test('SYS-38: MODALIAS is not in unbind events; DRIVER is in bind and not in unbind', () => {
    const { fx, d1 } = bound();
    fx.onUevent = (_dev, env) => void env.set('MODALIAS', 'tb:d');
    const all = listen(fx);
    sync(fx.core.unbind(d1));
    sync(fx.core.attach(d1));
    expect(all.map((e) => [e.action, e.env.get('DRIVER'), e.env.get('MODALIAS')])).toEqual([
      ['unbind', undefined, undefined],
      ['bind', 'A', 'tb:d'],
    ]);
  });

  test('a driver announces itself when it comes and goes', () => {
    const fx = new Fixture();
    const all = listen(fx);
    const a = fx.register('A', 'd');
    sync(fx.core.unregisterDriver(fx.tb, a));
    expect(all.map((e) => `${e.action} ${e.subsystem} ${e.devpath}`)).toEqual([
      'add drivers /bus/tb/drivers/A',
      'remove drivers /bus/tb/drivers/A',
    ]);
  });
});
