import { describe, expect, test } from 'vitest';
import { exportPerfetto } from '../../../cli/trace/perfetto-export.js';
import { Bus, Device, DeviceCore } from '../../../core/index.js';
import type { DeviceTraceEvent, IrqTraceEvent } from '../../../core/irq/index.js';
import { FakeHost } from '../../../core/testing/index.js';
import { readEvents, readTrace, writeTrace } from './fixture.js';

const TIMER = '0000:00:04.0';

/** Events in the order of the list. */
function irqs(...events: readonly (Partial<IrqTraceEvent> & Pick<IrqTraceEvent, 'name'>)[]): IrqTraceEvent[] {
  return events.map((one, seq) => ({ timeUs: 0, seq, cpu: 0, who: 'timer0', virq: 33, vector: -1, detail: '', ...one }));
}

/** A timer posts its message, CPU 1 handles it, and a thread does the rest. */
const INTERRUPT = irqs(
  { name: 'msi_alloc', timeUs: 5, who: TIMER },
  { name: 'vector_alloc', timeUs: 5, vector: 34, detail: 'cpu=1' },
  { name: 'msi_post', timeUs: 1000, cpu: -1, who: TIMER },
  { name: 'irq_handler_entry', timeUs: 1000, cpu: 1 },
  { name: 'irq_handler_exit', timeUs: 1000, cpu: 1, detail: 'ret=handled' },
  { name: 'irq_thread_begin', timeUs: 1002, cpu: 0 },
  { name: 'irq_thread_end', timeUs: 1010, cpu: 0 },
);

/** What arrows join, with their numbers; a dot is the end of one. */
const ways = (events: readonly IrqTraceEvent[]): string[] =>
  readEvents(exportPerfetto(events)).flatMap(({ name, flow, ends }) =>
    flow === undefined && ends === undefined ? [] : `${name} ${flow ?? `.${ends}`}`,
  );

const phases = (bytes: Uint8Array): string[] => readEvents(bytes).map(({ type, track }) => `${type} ${track}`);

describe('the Perfetto trace of an interrupt', () => {
  test('has a packet for each track and each event, and nothing that Perfetto does not name', () => {
    const bytes = exportPerfetto(INTERRUPT);
    const packets = readTrace(bytes);
    expect(packets.map(({ track_descriptor: track }) => track).filter((track) => track !== undefined)).toEqual([
      { uuid: 1, name: 'CPUs', child_ordering: 'EXPLICIT' },
      { uuid: 2, name: 'CPU 0', parent_uuid: 1, sibling_order_rank: 0 },
      { uuid: 3, name: 'CPU 1', parent_uuid: 1, sibling_order_rank: 1 },
      { uuid: 4, name: 'Interrupt threads', child_ordering: 'LEXICOGRAPHIC' },
      { uuid: 5, name: 'irq/33-timer0', parent_uuid: 4 },
      { uuid: 6, name: 'Devices', child_ordering: 'LEXICOGRAPHIC' },
      { uuid: 7, name: TIMER, parent_uuid: 6 },
    ]);
    expect(packets).toHaveLength(7 + INTERRUPT.length);
    expect(writeTrace(packets)).toHaveLength(bytes.length);
  });

  test('is of one sequence that begins with the first packet, on the clock of the trace', () => {
    const packets = readTrace(exportPerfetto(INTERRUPT));
    expect(new Set(packets.map((one) => one.trusted_packet_sequence_id))).toEqual(new Set([1]));
    expect(packets.map((one) => one.sequence_flags)).toEqual([1, ...packets.slice(1).map(() => undefined)]);
    const events = packets.filter((one) => one.track_event !== undefined);
    expect(new Set(events.map((one) => one.timestamp_clock_id))).toEqual(new Set([6]));
  });

  test('leads from the device to the handler and its thread by one flow', () => {
    const arrows = readEvents(exportPerfetto(INTERRUPT)).filter(({ flow, ends }) => flow !== undefined || ends !== undefined);
    expect(arrows.map(({ track, type, name, flow, ends }) => [track, type, name, flow, ends])).toEqual([
      [`Devices/${TIMER}`, 'instant', 'msi_post', 1, undefined],
      ['CPUs/CPU 1', 'begin', 'irq_handler_entry', 1, undefined],
      ['Interrupt threads/irq/33-timer0', 'begin', 'irq_thread_begin', undefined, 1],
    ]);
  });

  test('keeps the order of events that share a microsecond, and gives slices a length', () => {
    expect(readEvents(exportPerfetto(INTERRUPT)).map(({ ns }) => ns)).toEqual([
      5_000, 5_001, 1_000_000, 1_000_001, 1_000_002, 1_002_000, 1_010_000,
    ]);
  });

  test('begins and ends the same slices on each track', () => {
    const slices = readEvents(exportPerfetto(INTERRUPT)).filter(({ type }) => type !== 'instant');
    expect(slices.map(({ track, type, name }) => [track, type, name])).toEqual([
      ['CPUs/CPU 1', 'begin', 'irq_handler_entry'],
      ['CPUs/CPU 1', 'end', undefined],
      ['Interrupt threads/irq/33-timer0', 'begin', 'irq_thread_begin'],
      ['Interrupt threads/irq/33-timer0', 'end', undefined],
    ]);
  });

  test('tells what each trace point told', () => {
    expect(readEvents(exportPerfetto(INTERRUPT)).map(({ args }) => args)).toEqual([
      { name: TIMER, irq: 33 },
      { name: 'timer0', irq: 33, vector: 34, detail: 'cpu=1' },
      { name: TIMER, irq: 33 },
      { name: 'timer0', irq: 33 },
      { name: 'timer0', irq: 33, exit: 'ret=handled' },
      { name: 'timer0', irq: 33, cpu: 0 },
      { name: 'timer0', irq: 33, cpu: 0 },
    ]);
  });
});

describe('exportPerfetto', () => {
  test('takes events in any order', () => {
    expect(exportPerfetto(INTERRUPT.toReversed())).toEqual(exportPerfetto(INTERRUPT));
  });

  test('makes an empty trace of no events', () => {
    expect(readTrace(exportPerfetto([]))).toEqual([]);
  });

  test('lets time go on when two thousand events share a microsecond', () => {
    const names = Array.from({ length: 2_000 }, () => ({ name: 'msi_free', timeUs: 3 }) as const);
    const times = readEvents(exportPerfetto(irqs(...names, { name: 'msi_free', timeUs: 4 }))).map(({ ns }) => ns);
    expect(times).toEqual(Array.from({ length: 2_001 }, (_, i) => 3_000 + i));
  });

  test('writes names that are not ASCII, and times of more than 32 bits', () => {
    const timeUs = 2 ** 40 + 1;
    const who = 'Zähler ⏱'.repeat(20);
    const [event] = readEvents(exportPerfetto(irqs({ name: 'msi_post', timeUs, cpu: -1, who })));
    expect(event).toMatchObject({ track: `Devices/${who}`, ns: timeUs * 1000, flow: 1, args: { name: who } });
  });

  test('gives no end to the flow of a message that reached no handler', () => {
    const [posted] = readEvents(exportPerfetto(irqs({ name: 'msi_post', cpu: -1, who: TIMER })));
    expect(posted).toMatchObject({ flow: 1, ends: undefined });
  });

  test('ends the flow at the last handler of a shared line, not at the exit', () => {
    const events = irqs(
      { name: 'msi_post', cpu: -1, who: TIMER },
      { name: 'irq_handler_entry', who: 'a' },
      { name: 'irq_handler_exit', who: 'a' },
      { name: 'irq_handler_entry', who: 'b' },
      { name: 'irq_handler_exit', who: 'b' },
    );
    expect(ways(events)).toEqual(['msi_post 1', 'irq_handler_entry 1', 'irq_handler_entry .1']);
  });

  test('joins the messages that one handler run answers, and tells them from the next', () => {
    const events = irqs(
      { name: 'msi_post', cpu: -1, who: TIMER },
      { name: 'msi_post', cpu: -1, who: TIMER },
      { name: 'irq_handler_entry' },
      { name: 'msi_post', cpu: -1, who: TIMER },
      { name: 'irq_handler_exit' },
      { name: 'irq_handler_entry' },
      { name: 'irq_handler_exit' },
    );
    const first = ['msi_post 1', 'msi_post 1', 'irq_handler_entry .1'];
    expect(ways(events)).toEqual([...first, 'msi_post 2', 'irq_handler_entry .2']);
  });

  test('tells the messages of interrupts apart, and of those that had the same number', () => {
    const events = irqs(
      { name: 'msi_post', cpu: -1, virq: 33 },
      { name: 'msi_post', cpu: -1, virq: 34 },
      { name: 'irq_handler_entry', virq: 34 },
      { name: 'irq_handler_exit', virq: 34 },
      { name: 'irq_free', virq: 33 },
      { name: 'irq_handler_entry', virq: 33 },
      { name: 'irq_handler_exit', virq: 33 },
    );
    expect(ways(events)).toEqual(['msi_post 1', 'msi_post 2', 'irq_handler_entry .2']);
  });

  test('joins nothing that has no interrupt number', () => {
    expect(ways(irqs({ name: 'msi_post', virq: 0, cpu: -1 }, { name: 'irq_handler_entry', virq: 0 }))).toEqual([]);
  });

  test('keeps the tracks and the flows of two systems apart', () => {
    const bytes = exportPerfetto(INTERRUPT, INTERRUPT);
    const events = readEvents(bytes);
    const half = events.length / 2;
    const [one, two] = [events.slice(0, half), events.slice(half)];
    expect(two.map(({ track }) => track)).toEqual(one.map(({ track }) => track.replace('/', ' of system 2/')));
    expect(two.map(({ flow, ends }) => flow ?? ends)).toEqual(one.map(({ flow, ends }) => (flow ?? ends) && 2));
    const uuids = readTrace(bytes).flatMap(({ track_descriptor: track }) => track?.uuid ?? []);
    expect(uuids).toEqual(Array.from({ length: 14 }, (_, i) => i + 1));
  });

  test('nests an interrupt in the handler that it came in', () => {
    const events = irqs(
      { name: 'irq_handler_entry', who: 'a' },
      { name: 'irq_handler_entry', who: 'b', virq: 34 },
      { name: 'irq_handler_exit', who: 'b', virq: 34 },
      { name: 'irq_handler_exit', who: 'a' },
    );
    const seen = readEvents(exportPerfetto(events));
    expect(seen.map(({ type, args }) => `${type} ${args['name']}`)).toEqual(['begin a', 'begin b', 'end b', 'end a']);
    expect(new Set(seen.map(({ track }) => track))).toEqual(new Set(['CPUs/CPU 0']));
  });

  test('gives threads that wait at the same time a track each', () => {
    const events = irqs(
      { name: 'irq_thread_begin', virq: 33 },
      { name: 'irq_thread_begin', virq: 34 },
      { name: 'irq_thread_end', virq: 33 },
      { name: 'irq_thread_end', virq: 34 },
    );
    const [a, b] = ['Interrupt threads/irq/33-timer0', 'Interrupt threads/irq/34-timer0'];
    expect(phases(exportPerfetto(events))).toEqual([`begin ${a}`, `begin ${b}`, `end ${a}`, `end ${b}`]);
  });

  test('makes an instant of the end of a slice that began before the trace did', () => {
    const events = irqs(
      { name: 'irq_handler_entry', who: 'a' },
      { name: 'irq_handler_exit', who: 'b', detail: 'ret=handled' },
      { name: 'irq_handler_exit', who: 'a' },
    );
    const seen = readEvents(exportPerfetto(events));
    expect(seen.map(({ type }) => type)).toEqual(['begin', 'instant', 'end']);
    expect(seen[1]).toMatchObject({ category: 'irq', name: 'irq_handler_exit', args: { name: 'b', exit: 'ret=handled' } });
  });

  test('ends slices without an end of their own with the one around them', () => {
    const events = irqs(
      { name: 'irq_handler_entry', who: 'a' },
      { name: 'irq_handler_entry', who: 'b' },
      { name: 'irq_handler_exit', who: 'a', detail: 'ret=handled' },
      { name: 'irq_handler_exit', who: 'a' },
    );
    const seen = readEvents(exportPerfetto(events));
    expect(seen.map(({ type }) => type)).toEqual(['begin', 'begin', 'end', 'end', 'instant']);
    expect(seen.map(({ args }) => args['exit'])).toEqual([undefined, undefined, undefined, 'ret=handled', undefined]);
  });
});

describe('the steps of the driver core', () => {
  /** Binds and unbinds a device by the real core. */
  async function lifecycle(probe: () => void, options: { readonly testRemove?: boolean } = {}): Promise<Uint8Array> {
    const { clock } = new FakeHost();
    const core = new DeviceCore({ clock, ...options });
    const events: DeviceTraceEvent[] = [];
    core.tracer = (event) => events.push({ ...event, timeUs: clock.now(), seq: events.length });
    const bus = new Bus('tb', { match: () => true });
    core.registerBus(bus);
    await core.registerDriver(bus, { name: 'timer', probe, remove: () => {} });
    const dev = new Device({ bus, name: TIMER, release: () => {} });
    await core.add(dev);
    await core.unbind(dev);
    return exportPerfetto(events);
  }

  test('are on the track of the device, with binding and unbinding as slices', async () => {
    const seen = readEvents(await lifecycle(() => {}));
    const own = seen.filter(({ track }) => track === `Devices/${TIMER} timer`);
    const from = own.findIndex(({ name }) => name === 'bind');
    expect(own.slice(from).map(({ type, name }) => (type === 'instant' ? name : `${type} ${name ?? ''}`))).toEqual([
      'begin bind',
      'probe',
      'end ',
      'uevent bind',
      'begin unbind',
      'remove',
      'end ',
      'uevent unbind',
    ]);
    expect(own.find(({ name }) => name === 'probe')).toMatchObject({
      category: 'device',
      args: { driver: 'timer', result: 'ok' },
    });
  });

  test('end the binding that is tried twice to test remove', async () => {
    const seen = readEvents(await lifecycle(() => {}, { testRemove: true }));
    const slices = seen.filter(({ type }) => type !== 'instant').map(({ type, name }) => `${type} ${name ?? ''}`);
    expect(slices).toEqual(['begin bind', 'begin bind', 'end ', 'end ', 'begin unbind', 'end ']);
  });

  test('end the binding that failed too, and name no driver', async () => {
    const seen = readEvents(
      await lifecycle(() => {
        throw new Error('broken');
      }),
    );
    const own = seen.filter(({ track }) => track === `Devices/${TIMER}`);
    expect(own.filter(({ type }) => type !== 'instant').map(({ type, args }) => [type, args['exit']])).toEqual([
      ['begin', undefined],
      ['end', 'NOT_BOUND'],
    ]);
  });
});
