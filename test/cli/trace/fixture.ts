import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

const { root } = protobuf.parse(readFileSync(new URL('perfetto.proto', import.meta.url), 'utf8'), { keepCase: true });
const Trace = root.lookupType('perfetto.protos.Trace');

/** A packet as the independent reader sees it; 64-bit numbers are small enough here to be numbers. */
export interface Packet {
  readonly timestamp?: number;
  readonly timestamp_clock_id?: number;
  readonly trusted_packet_sequence_id?: number;
  readonly sequence_flags?: number;
  readonly track_descriptor?: {
    readonly uuid: number;
    readonly name: string;
    readonly parent_uuid?: number;
    readonly child_ordering?: string;
    readonly sibling_order_rank?: number;
  };
  readonly track_event?: {
    readonly type: 'TYPE_SLICE_BEGIN' | 'TYPE_SLICE_END' | 'TYPE_INSTANT';
    readonly track_uuid: number;
    readonly categories?: readonly string[];
    readonly name?: string;
    readonly flow_ids?: readonly number[];
    readonly terminating_flow_ids?: readonly number[];
    readonly debug_annotations?: readonly {
      readonly name: string;
      readonly string_value?: string;
      readonly int_value?: number;
    }[];
  };
}

/** Reads a trace with protobuf.js and Perfetto's numbers. */
export function readTrace(bytes: Uint8Array): readonly Packet[] {
  return (Trace.toObject(Trace.decode(bytes), { longs: Number, enums: String }) as { packet?: Packet[] }).packet ?? [];
}

/** Writes what was read: only what Perfetto's numbers name is in it. */
export function writeTrace(packet: readonly Packet[]): Uint8Array {
  return Trace.encode(Trace.fromObject({ packet })).finish();
}

/** An event beside the name of its track. */
export interface Seen {
  readonly track: string;
  readonly type: string;
  readonly category: string | undefined;
  readonly name: string | undefined;
  readonly ns: number;
  readonly flow: number | undefined;
  readonly ends: number | undefined;
  readonly args: Readonly<Record<string, string | number | undefined>>;
}

/** The events of a trace in its order, each with the path of its track: `Devices/0000:00:04.0 timer`. */
export function readEvents(bytes: Uint8Array): Seen[] {
  const packets = readTrace(bytes);
  const paths = new Map<number, string>();
  return packets.flatMap(({ track_descriptor: track, track_event: event, timestamp = -1 }) => {
    if (track !== undefined) {
      paths.set(track.uuid, track.parent_uuid === undefined ? track.name : `${paths.get(track.parent_uuid)}/${track.name}`);
    }
    if (event === undefined) return [];
    const args = (event.debug_annotations ?? []).map(({ name, string_value, int_value }) => [name, string_value ?? int_value]);
    return {
      track: paths.get(event.track_uuid) ?? `no track ${event.track_uuid}`,
      type: event.type.replace(/^TYPE_(SLICE_)?/, '').toLowerCase(),
      category: event.categories?.join(),
      name: event.name,
      ns: timestamp,
      flow: event.flow_ids?.[0],
      ends: event.terminating_flow_ids?.[0],
      args: Object.fromEntries(args) as Seen['args'],
    };
  });
}
