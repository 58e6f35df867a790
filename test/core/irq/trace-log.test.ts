import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import type { MsiMsg } from '../../../core/hal/index.js';
import { type IrqDesc, IrqTraceLog, type IrqTraceLogOptions } from '../../../core/irq/index.js';
import { Signal } from '../../../core/lib/index.js';
import { FakeDevice, REQUESTER, type Scene, release, request, scene } from './platform.js';

/** A log of a system whose hardware tells of messages. */
function recorded(one: Scene, options?: IrqTraceLogOptions) {
  const posts = new Signal<[number, number, number]>();
  Object.assign(one.hw, { onMessage: (listener: (...post: [number, number, number]) => void) => posts.on(listener) });
  const post = ({ addressLo, data }: MsiMsg): void => posts.emit(REQUESTER, addressLo, data);
  return { log: new IrqTraceLog(one.core, options), post, isHeard: () => posts.active };
}

/** Gives an interrupt the slot that the message core would, with this message. */
function write({ core }: Scene, desc: IrqDesc, data: number, count = 1): MsiMsg {
  const msg = { addressLo: 0xfee0_0000, addressHi: 0, data };
  desc.msi = { index: 0, virq: desc.virq, count, msg };
  core.tracer?.event('msi_write_msg', 0, desc.virq, -1, '6a:01.0', '');
  return msg;
}

const posted = (log: IrqTraceLog) => log.events.filter(({ name }) => name === 'msi_post').map(({ virq, who }) => [virq, who]);

describe('IrqTraceLog', () => {
  test('keeps what happens in order, with the time', () => {
    const one = scene();
    const { log } = recorded(one);
    const device = new FakeDevice(one);
    const desc = device.alloc();
    one.clock.elapse(25);
    const action = request(one, desc);
    device.fire(desc);
    one.core.windows.drain();
    release(action);
    const names = log.events.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['irq_alloc_descs', 'vector_alloc', 'irq_startup', 'irq_shutdown']));
    const from = names.indexOf('irq_handler_entry');
    expect(log.events.slice(from, from + 2)).toEqual([
      { name: 'irq_handler_entry', timeUs: 25, seq: from, cpu: 0, virq: desc.virq, vector: -1, who: 'test', detail: '' },
      {
        name: 'irq_handler_exit',
        timeUs: 25,
        seq: from + 1,
        cpu: 0,
        virq: desc.virq,
        vector: -1,
        who: 'test',
        detail: 'ret=handled',
      },
    ]);
    expect(log.events.map(({ seq }) => seq)).toEqual(names.map((_, i) => i));
    expect(log.events[0]!.timeUs).toBe(0);
  });

  test('keeps the newest of a ring, and counts those that are lost', () => {
    const one = scene();
    const { log } = recorded(one, { capacity: 3 });
    const seen = (): number[] => log.events.map(({ virq }) => virq);
    for (let virq = 1; virq <= 3; virq++) one.core.tracer!.event('irq_request', 0, virq, -1, 'x', '');
    expect([seen(), log.dropped]).toEqual([[1, 2, 3], 0]);
    for (let virq = 4; virq <= 8; virq++) one.core.tracer!.event('irq_request', 0, virq, -1, 'x', '');
    expect([seen(), log.dropped]).toEqual([[6, 7, 8], 5]);
    expect(log.events.map(({ seq }) => seq)).toEqual([5, 6, 7]);
  });

  test('puts the steps of the driver core between, when it is asked to', () => {
    const one = scene();
    const steps: string[] = [];
    one.device.tracer = ({ kind }) => steps.push(kind);
    const { log } = recorded(one, { devices: true });
    one.core.tracer!.event('irq_request', 0, 1, -1, 'x', '');
    one.clock.elapse(3);
    one.device.tracer({ kind: 'match', who: '6a:01.0', driver: 'timer', result: 1 });
    one.core.tracer!.event('irq_free', 0, 1, -1, 'x', '');
    expect(log.all).toMatchObject([
      { name: 'irq_request', seq: 0 },
      { kind: 'match', who: '6a:01.0', driver: 'timer', timeUs: 3, seq: 1 },
      { name: 'irq_free', seq: 2 },
    ]);
    expect(log.events.map(({ name }) => name)).toEqual(['irq_request', 'irq_free']);
    expect(steps).toEqual(['match']);
  });

  test('tells which interrupt a device posts, and names the device', () => {
    const one = scene();
    const device = new FakeDevice(one);
    const desc = device.alloc();
    desc.device = new Device({ name: '0001:6a:01.0', release: () => {} });
    const early = write(one, desc, 5);
    const { log, post } = recorded(one);
    post(early);
    const late = write(one, desc, 6);
    post(early);
    post(late);
    expect(posted(log)).toEqual([
      [desc.virq, '0001:6a:01.0'],
      [0, '0000:6a:01.0'],
      [desc.virq, '0001:6a:01.0'],
    ]);
    expect(log.events[0]).toMatchObject({ name: 'msi_post', cpu: -1, vector: -1, detail: 'address=0xfee00000 data=0x5' });
  });

  test('tells the interrupts of one slot apart, and forgets those that are freed', () => {
    const one = scene();
    const { log, post } = recorded(one);
    const device = new FakeDevice(one, 'pci-device-msi', { flags: ['multi-pci-msi'] });
    const first = device.alloc({ count: 2 });
    const second = one.core.descs[first.virq + 1]!;
    const msg = write(one, first, 8, 2);
    second.msi = first.msi;
    post({ ...msg, data: 9 });
    post(msg);
    device.irqDomain.freeIrqs(first.virq, 2);
    post(msg);
    expect(posted(log).map(([virq]) => virq)).toEqual([second.virq, first.virq, 0]);
  });

  test('knows whose a message is after it has become another', () => {
    const one = scene();
    const { log, post } = recorded(one);
    const device = new FakeDevice(one);
    const [first, second] = [device.alloc(), device.alloc()];
    const msg = write(one, first, 5);
    post(msg);
    write(one, first, 6);
    write(one, second, 5);
    post(msg);
    expect(posted(log).map(([virq]) => virq)).toEqual([first.virq, second.virq]);
  });

  test('looks no longer once it is disposed, and those before it always do', () => {
    const one = scene();
    const outer = recorded(one);
    const inner = recorded(one, { devices: true });
    one.core.tracer!.event('irq_request', 0, 1, -1, 'x', '');
    inner.log.dispose();
    one.core.tracer!.event('irq_free', 0, 1, -1, 'x', '');
    expect([outer, inner].map(({ log }) => log.events.length)).toEqual([2, 1]);
    expect([one.core.tracer, one.device.tracer, inner.isHeard()]).toEqual([outer.log, undefined, false]);
    outer.log[Symbol.dispose]();
    expect([one.core.tracer, outer.isHeard()]).toEqual([undefined, false]);
  });
});
