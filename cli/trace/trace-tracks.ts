import { ChildOrdering, type Track } from './perfetto-writer.js';
import type { Group, TracePoint } from './trace-point.js';

const GROUPS: readonly { readonly name: Group; readonly childOrdering: ChildOrdering }[] = [
  { name: 'CPUs', childOrdering: ChildOrdering.explicit },
  { name: 'Interrupt threads', childOrdering: ChildOrdering.lexicographic },
  { name: 'Devices', childOrdering: ChildOrdering.lexicographic },
];

/** Where the tracks of one system stand among those of others. */
export interface TracksPlace {
  /** Uuids begin above this one. */
  readonly after: number;
  /** Of the names of groups. */
  readonly suffix: string;
}

/** The tracks of a system: one for each group that has any, and below it one for each CPU, thread or device. */
export class TraceTracks {
  /** In the order of the uuids, which count up. */
  readonly all: readonly Track[];
  readonly #uuids = new Map<string, number>();

  /** @param drivers the driver of a device, by its name */
  constructor(points: readonly TracePoint[], drivers: ReadonlyMap<string, string>, { after, suffix }: TracksPlace) {
    const all: Track[] = [];
    for (const { name, childOrdering } of GROUPS) {
      const names = new Set(points.filter(({ group }) => group === name).map(({ track }) => track));
      if (names.size === 0) continue;
      const parentUuid = after + all.length + 1;
      all.push({ uuid: parentUuid, name: `${name}${suffix}`, childOrdering });
      for (const track of names) {
        const uuid = after + all.length + 1;
        this.#uuids.set(`${name}/${track}`, uuid);
        const driver = name === 'Devices' ? drivers.get(track) : undefined;
        const rank = name === 'CPUs' ? { rank: Number(track.slice('CPU '.length)) } : {};
        all.push({ uuid, name: driver === undefined ? track : `${track} ${driver}`, parentUuid, ...rank });
      }
    }
    this.all = all;
  }

  uuidOf({ group, track }: TracePoint): number {
    return this.#uuids.get(`${group}/${track}`)!;
  }
}
