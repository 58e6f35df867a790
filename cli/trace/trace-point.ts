import type { DeviceTraceEvent, IrqTraceEvent } from '../../core/irq/index.js';
import type { FlowNumbers } from './flow-numbers.js';

/** What `IrqTraceLog` records; what ends in `_entry` or `_begin` is ended by its `_exit` or `_end`. */
export type TimedEvent = IrqTraceEvent | DeviceTraceEvent;

/** Where a point is drawn. */
export type Group = 'CPUs' | 'Interrupt threads' | 'Devices';

/** An event as it is drawn. */
export interface TracePoint {
  readonly timeUs: number;
  readonly group: Group;
  /** Of the group. */
  readonly track: string;
  readonly phase: 'begin' | 'end' | 'instant';
  /** The same at both ends of a slice. */
  readonly slice: string;
  readonly category: 'irq' | 'device';
  readonly name: string;
  readonly args: Readonly<Record<string, string | number>>;
  /** 0: none. */
  readonly flow: number;
}

/** @param flows has seen the events before this one */
export function toPoint(event: TimedEvent, flows: FlowNumbers): TracePoint {
  return 'kind' in event ? ofDevice(event) : ofIrq(event, flows.of(event));
}

const EDGES = /^(.+)_(?:(entry|begin)|exit|end)$/;

function ofIrq({ name, timeUs, cpu, who, virq, vector, detail }: IrqTraceEvent, flow: number): TracePoint {
  const [, stem, begin] = EDGES.exec(name) ?? [];
  const phase = stem === undefined ? 'instant' : begin === undefined ? 'end' : 'begin';
  // A thread half may wait, and others run meanwhile: their slices would cross on the track of a CPU.
  const isThread = stem === 'irq_thread';
  const args = {
    name: who,
    ...(virq === 0 ? {} : { irq: virq }),
    ...(vector < 0 ? {} : { vector }),
    ...(isThread && cpu >= 0 ? { cpu } : {}),
    ...(detail === '' ? {} : phase === 'end' ? { exit: detail } : { detail }),
  };
  const base = { timeUs, phase, slice: `${stem} ${virq} ${who}`, category: 'irq', name, args, flow } as const;
  // @see Linux 6.12 kernel/irq/manage.c setup_irq_thread
  if (isThread) return { ...base, group: 'Interrupt threads', track: `irq/${virq}-${who}` };
  return cpu < 0 ? { ...base, group: 'Devices', track: who } : { ...base, group: 'CPUs', track: `CPU ${cpu}` };
}

/** What begins and ends when the bus tells of it. */
const NOTICES: Readonly<Record<string, readonly [TracePoint['phase'], string]>> = {
  BIND: ['begin', 'bind'],
  BOUND: ['end', 'bind'],
  NOT_BOUND: ['end', 'bind'],
  UNBIND: ['begin', 'unbind'],
  UNBOUND: ['end', 'unbind'],
};

function ofDevice({ kind, timeUs, who, driver, detail, result }: DeviceTraceEvent): TracePoint {
  const [phase, slice] = (kind === 'notify' ? NOTICES[detail ?? ''] : undefined) ?? ['instant', ''];
  const args = {
    ...(driver === undefined ? {} : { driver }),
    ...(result === undefined ? {} : { result }),
    ...(phase === 'end' ? { exit: detail ?? '' } : {}),
  };
  const name = phase === 'begin' ? slice : detail === undefined ? kind : `${kind} ${detail}`;
  return { timeUs, group: 'Devices', track: who, phase, slice, category: 'device', name, args, flow: 0 };
}
