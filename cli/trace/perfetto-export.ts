import { EventType, PerfettoWriter } from './perfetto-writer.js';
import { type TimedEvent, type TracePoint, toPoint } from './trace-point.js';
import { FlowNumbers } from './flow-numbers.js';
import { TraceTracks } from './trace-tracks.js';

/**
 * Makes a Perfetto trace: a track for each CPU, interrupt thread and device, slices and instants on them, and arrows from a
 * device's message to the handlers that it reached.
 *
 * Microseconds become nanoseconds. Events of one microsecond lie a nanosecond apart, so that they keep their order and slices
 * have a length; only where more than a thousand share one do they reach into the next.
 *
 * @param systems the events of each system, in any order; the tracks of the second are those `of system 2`
 * @returns the content of a `.perfetto-trace` file
 */
export function exportPerfetto(...systems: readonly (readonly TimedEvent[])[]): Uint8Array {
  const writer = new PerfettoWriter();
  let after = { tracks: 0, flows: 0 };
  for (const [i, events] of systems.entries()) after = writeSystem(writer, events, after, i === 0 ? '' : ` of system ${i + 1}`);
  return writer.finish();
}

/** @param after the numbers of tracks and flows that are taken @returns the same, with those of this system */
function writeSystem(writer: PerfettoWriter, events: readonly TimedEvent[], after: Numbers, suffix: string): Numbers {
  const ordered = events.toSorted((a, b) => a.seq - b.seq);
  const numbers = new FlowNumbers(after.flows);
  const points = ordered.map((event) => toPoint(event, numbers));
  const tracks = new TraceTracks(points, driversOf(ordered), { after: after.tracks, suffix });
  const arrows = new Arrows(points);
  const open = new OpenSlices();
  for (const track of tracks.all) writer.track(track);
  let timeNs = -1;
  for (const point of points) {
    const { category, name, args } = point;
    timeNs = Math.max(Math.round(point.timeUs * 1000), timeNs + 1);
    const at = { trackUuid: tracks.uuidOf(point), timeNs };
    const ended = point.phase === 'end' ? open.end(at.trackUuid, point.slice) : 0;
    if (point.phase === 'begin') open.begin(at.trackUuid, point.slice);
    if (ended === 0) {
      // The end of what began before the trace did is an instant.
      const type = point.phase === 'begin' ? EventType.begin : EventType.instant;
      writer.event({ ...at, type, category, name, args, ...arrows.of(point) });
    }
    for (let left = ended; left > 0; left--) writer.event({ ...at, type: EventType.end, ...(left === 1 ? { args } : {}) });
  }
  return { tracks: after.tracks + tracks.all.length, flows: numbers.last };
}

interface Numbers {
  readonly tracks: number;
  readonly flows: number;
}

/** The last driver that each device was bound to. */
function driversOf(events: readonly TimedEvent[]): Map<string, string> {
  const drivers = new Map<string, string>();
  for (const event of events) {
    if ('kind' in event && event.kind === 'probe' && event.result === 'ok') drivers.set(event.who, event.driver ?? '');
  }
  return drivers;
}

/** Where the arrows begin and end. */
class Arrows {
  readonly #first = new Map<number, TracePoint>();
  readonly #last = new Map<number, TracePoint>();

  constructor(points: readonly TracePoint[]) {
    for (const point of points) {
      if (point.flow === 0 || point.phase === 'end') continue;
      if (!this.#first.has(point.flow)) this.#first.set(point.flow, point);
      this.#last.set(point.flow, point);
    }
  }

  of(point: TracePoint): { flow?: number; isLastOfFlow?: boolean } {
    const { flow, phase } = point;
    if (flow === 0 || phase === 'end') return {};
    // What nobody received has no arrow, and so no end of one.
    return { flow, isLastOfFlow: this.#last.get(flow) === point && this.#first.get(flow) !== point };
  }
}

/** The slices that are open on each track, outermost first. */
class OpenSlices {
  readonly #tracks = new Map<number, string[]>();

  begin(trackUuid: number, slice: string): void {
    const open = this.#tracks.get(trackUuid);
    if (open === undefined) this.#tracks.set(trackUuid, [slice]);
    else open.push(slice);
  }

  /**
   * Ends a slice, the outermost of that name, and with it those inside whose own ends are missing: a binding that is tried twice
   * begins twice and ends once.
   * @returns how many end, 0 when it is not open
   */
  end(trackUuid: number, slice: string): number {
    const open = this.#tracks.get(trackUuid) ?? [];
    const at = open.indexOf(slice);
    return at < 0 ? 0 : open.splice(at).length;
  }
}
