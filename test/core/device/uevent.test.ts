import { describe, expect, test } from 'vitest';
import { Class, UEVENT_ACTIONS, type Uevent } from '../../../core/device/index.js';
import { parseSynthetic } from '../../../core/device/uevent.js';
import { Fixture, errno, sync } from './conformance/fixture.js';

const UUID = 'fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed';

describe('what is written to uevent', () => {
  test.each(UEVENT_ACTIONS)('%s is an action', (action) => {
    expect(parseSynthetic('d1', `${action}\n`)).toEqual({ action, extra: new Map([['SYNTH_UUID', '0']]) });
  });

  test('a UUID and arguments become variables', () => {
    expect(parseSynthetic('d1', `add ${UUID} A=1 b2=C`)).toEqual({
      action: 'add',
      extra: new Map([
        ['SYNTH_UUID', UUID],
        ['SYNTH_ARG_A', '1'],
        ['SYNTH_ARG_b2', 'C'],
      ]),
    });
  });

  test.each([
    '',
    'ADD',
    'add\n\n',
    ' add',
    `add ${UUID.slice(1)}`,
    `add ${UUID}0`,
    `add ${UUID.replace('f', 'g')}`,
    `add ${UUID} A`,
    `add ${UUID} A=`,
    `add ${UUID} =1`,
    `add ${UUID} A_B=1`,
    `add ${UUID} A=1 `,
    'add A=1',
  ])('%j is EINVAL', (text) => {
    expect(errno(() => parseSynthetic('d1', text))).toBe('-EINVAL');
  });
});

describe('events', () => {
  test('the sequence number counts every event of a system, those that nobody heard included', () => {
    const fx = new Fixture();
    const seen: number[] = [];
    fx.core.tracer = undefined;
    fx.core.uevents.on((event) => seen.push(event.seqnum));
    fx.add('d1');
    fx.onUevent = () => {
      throw new Error('dropped');
    };
    fx.add('d2');
    fx.onUevent = undefined;
    fx.add('d3');
    expect(seen).toEqual([1, 3]);
  });

  test('a device of a class has the class as subsystem, and the class has its say', () => {
    const fx = new Fixture();
    const cls = new Class('net', { uevent: (dev, env) => void env.set('INTERFACE', dev.name) });
    fx.core.registerClass(cls);
    const all: Uevent[] = [];
    fx.core.uevents.on((event) => all.push(event));
    sync(fx.core.add(fx.bare('eth0', { class: cls })));
    expect(all.map((e) => [e.action, e.subsystem, e.devpath, e.env.get('INTERFACE')])).toEqual([
      ['add', 'net', '/devices/virtual/net/eth0', 'eth0'],
    ]);
  });

  test('a listener hears nothing after it was disposed of', () => {
    const fx = new Fixture();
    const all: Uevent[] = [];
    const listening = fx.core.uevents.on((event) => all.push(event));
    const d1 = fx.add('d1');
    listening.dispose();
    sync(d1.attributes.write('uevent', 'change'));
    expect(all.map((e) => e.action)).toEqual(['add']);
  });
});
