import { PbfWriter } from 'pbf';

/** How the tracks below one are sorted. @see Perfetto v58.2 track_descriptor.proto TrackDescriptor.ChildTracksOrdering */
export const ChildOrdering = { lexicographic: 1, explicit: 3 } as const;
export type ChildOrdering = (typeof ChildOrdering)[keyof typeof ChildOrdering];

/** What an event does on its track. @see Perfetto v58.2 track_event.proto TrackEvent.Type */
export const EventType = { begin: 1, end: 2, instant: 3 } as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** A line in the viewer on which slices nest. */
export interface Track {
  /** Not 0, and of this track alone. */
  readonly uuid: number;
  readonly name: string;
  readonly parentUuid?: number;
  readonly childOrdering?: ChildOrdering;
  /** Place among the tracks of a parent whose ordering is explicit. */
  readonly rank?: number;
}

/** The begin or the end of a slice, or an instant. */
export interface TrackEvent {
  readonly type: EventType;
  readonly trackUuid: number;
  /** A whole number below 2^53: 104 days. */
  readonly timeNs: number;
  readonly category?: string;
  /** Absent at the end of a slice: the innermost one ends. */
  readonly name?: string;
  /** Not 0. Arrows join the begins and instants that share it, in order of time. */
  readonly flow?: number;
  /** Whether no arrow leaves from here. */
  readonly isLastOfFlow?: boolean;
  /** Shown with the slice; numbers are whole. */
  readonly args?: Readonly<Record<string, string | number>>;
}

/**
 * Writes a trace for https://ui.perfetto.dev and trace_processor. Tracks come before the events on them, and events in order of time.
 *
 * The file is one `Trace` message. Names are written out and not interned, so that each packet stands for itself.
 *
 * @see Perfetto v58.2 docs/reference/synthetic-track-event.md
 */
export class PerfettoWriter {
  readonly #out = new PbfWriter();
  #packets = 0;

  track(track: Track): void {
    this.#out.writeMessage(TRACE.packet, writeTrackPacket, { track, isFirst: this.#packets++ === 0 });
  }

  event(event: TrackEvent): void {
    this.#out.writeMessage(TRACE.packet, writeEventPacket, { event, isFirst: this.#packets++ === 0 });
  }

  /** Ends the trace; nothing may be written after it. */
  finish(): Uint8Array {
    return this.#out.finish();
  }
}

// The numbers of the fields. @see Perfetto v58.2 protos/perfetto/trace/trace.proto, trace_packet.proto,
// track_event/track_descriptor.proto, track_event/track_event.proto, track_event/debug_annotation.proto
const TRACE = { packet: 1 };
const PACKET = { timestamp: 8, sequenceId: 10, trackEvent: 11, sequenceFlags: 13, timestampClockId: 58, trackDescriptor: 60 };
const TRACK = { uuid: 1, name: 2, parentUuid: 5, childOrdering: 11, siblingOrderRank: 12 };
const EVENT = { debugAnnotations: 4, type: 9, trackUuid: 11, categories: 22, name: 23, flowIds: 47, terminatingFlowIds: 48 };
const ANNOTATION = { intValue: 4, stringValue: 6, name: 10 };

/** Everything is of one writer; importers drop track events that name none. */
const SEQUENCE_ID = 1;
/** On the first packet: nothing that came before is missing. @see Perfetto v58.2 trace_packet.proto TracePacket.SequenceFlags */
const SEQ_INCREMENTAL_STATE_CLEARED = 1;
/** The clock that a trace without clock snapshots runs on. @see Perfetto v58.2 protos/perfetto/common/builtin_clock.proto */
const BUILTIN_CLOCK_BOOTTIME = 6;

function writeTrackPacket({ track, isFirst }: { track: Track; isFirst: boolean }, out: PbfWriter): void {
  writeSequence(isFirst, out);
  out.writeMessage(PACKET.trackDescriptor, writeTrack, track);
}

function writeEventPacket({ event, isFirst }: { event: TrackEvent; isFirst: boolean }, out: PbfWriter): void {
  out.writeVarintField(PACKET.timestamp, event.timeNs);
  writeSequence(isFirst, out);
  out.writeMessage(PACKET.trackEvent, writeEvent, event);
  out.writeVarintField(PACKET.timestampClockId, BUILTIN_CLOCK_BOOTTIME);
}

function writeSequence(isFirst: boolean, out: PbfWriter): void {
  out.writeVarintField(PACKET.sequenceId, SEQUENCE_ID);
  if (isFirst) out.writeVarintField(PACKET.sequenceFlags, SEQ_INCREMENTAL_STATE_CLEARED);
}

function writeTrack({ uuid, name, parentUuid, childOrdering, rank }: Track, out: PbfWriter): void {
  out.writeVarintField(TRACK.uuid, uuid);
  out.writeStringField(TRACK.name, name);
  if (parentUuid !== undefined) out.writeVarintField(TRACK.parentUuid, parentUuid);
  if (childOrdering !== undefined) out.writeVarintField(TRACK.childOrdering, childOrdering);
  if (rank !== undefined) out.writeVarintField(TRACK.siblingOrderRank, rank);
}

function writeEvent({ type, trackUuid, category, name, flow, isLastOfFlow, args = {} }: TrackEvent, out: PbfWriter): void {
  for (const arg of Object.entries(args)) out.writeMessage(EVENT.debugAnnotations, writeAnnotation, arg);
  out.writeVarintField(EVENT.type, type);
  out.writeVarintField(EVENT.trackUuid, trackUuid);
  if (category !== undefined) out.writeStringField(EVENT.categories, category);
  if (name !== undefined) out.writeStringField(EVENT.name, name);
  if (flow !== undefined) out.writeFixed64Field(isLastOfFlow === true ? EVENT.terminatingFlowIds : EVENT.flowIds, flow);
}

function writeAnnotation([name, value]: [string, string | number], out: PbfWriter): void {
  if (typeof value === 'number') out.writeVarintField(ANNOTATION.intValue, value);
  else out.writeStringField(ANNOTATION.stringValue, value);
  out.writeStringField(ANNOTATION.name, name);
}
