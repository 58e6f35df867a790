import type { Device } from '../device/index.js';
import type { DmaMapping } from './dma-map.js';

/** Older ones are forgotten. */
const KEPT = 1024;

/** A mapping that is over: where it was, and who made and ended it. */
export interface EndedMapping {
  readonly dev: Device;
  readonly address: number;
  readonly sizeBytes: number;
  /** The names of the drivers. */
  readonly mappedBy: string;
  readonly unmappedBy: string;
  /** The calls, where the test kit was attached. */
  readonly mappedAt: Error | undefined;
  readonly unmappedAt: Error | undefined;
}

/** A record that is written again and again, so that a mapping is garbage as soon as it is over. */
class Place implements EndedMapping {
  mappedBy = '';
  unmappedBy = '';
  mappedAt: Error | undefined = undefined;
  unmappedAt: Error | undefined = undefined;
  address = 0;
  sizeBytes = 0;
  start = 0;
  end = 0;

  constructor(public dev: Device) {}
}

/** The mappings that ended last, for accesses that come too late. */
export class EndedMappings {
  readonly #ring: Place[] = [];
  #count = 0;

  add(mapping: DmaMapping, unmappedAt: Error | undefined): void {
    const at = this.#count++ % KEPT;
    const { dev } = mapping;
    const place = (this.#ring[at] ??= new Place(dev));
    place.dev = dev;
    place.mappedBy = mapping.mappedBy;
    place.unmappedBy = mapping.device.driverName;
    place.mappedAt = mapping.mappedAt;
    place.unmappedAt = unmappedAt;
    place.address = mapping.address;
    place.sizeBytes = mapping.sizeBytes;
    place.start = mapping.iova;
    place.end = mapping.iova + mapping.iovaBytes;
  }

  /** The newest that an address was in, of a device that `isOf` accepts. */
  find(iova: number, isOf: (dev: Device) => boolean): EndedMapping | undefined {
    const oldest = Math.max(0, this.#count - KEPT);
    for (let n = this.#count - 1; n >= oldest; n--) {
      const place = this.#ring[n % KEPT]!;
      if (place.start <= iova && iova < place.end && isOf(place.dev)) return place;
    }
    return undefined;
  }
}
