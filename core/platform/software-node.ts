import { Errno } from '../lib/errno.js';

/** @see Linux 6.12 include/linux/fwnode.h NR_FWNODE_REFERENCE_ARGS */
const MAX_ARGS = 16;

/** Width of an integer property in bytes. */
export type PropertyBytes = 1 | 2 | 4 | 8;

/** Integers of one width, as bytes in little-endian order. */
export class Integers {
  readonly data: DataView;

  /** @throws {Errno} ERANGE for a value that is no unsigned integer of this width, or above 2^53 - 1 */
  constructor(
    readonly bytes: PropertyBytes,
    values: readonly number[],
  ) {
    this.data = new DataView(new ArrayBuffer(values.length * bytes));
    for (const [i, value] of values.entries()) {
      if (!(Number.isSafeInteger(value) && value >= 0 && value < 2 ** (8 * bytes))) {
        throw new Errno('ERANGE', `property: ${value} is no unsigned integer of ${8 * bytes} bits`);
      }
      for (let at = 0, rest = value; at < bytes; at++, rest = Math.floor(rest / 256))
        this.data.setUint8(i * bytes + at, rest % 256);
    }
  }
}

/** A property of 8-bit integers. @throws {Errno} ERANGE as {@link Integers} */
export const u8 = (...values: number[]): Integers => new Integers(1, values);
/** A property of 16-bit integers. @throws {Errno} ERANGE as {@link Integers} */
export const u16 = (...values: number[]): Integers => new Integers(2, values);
/** A property of 32-bit integers. @throws {Errno} ERANGE as {@link Integers} */
export const u32 = (...values: number[]): Integers => new Integers(4, values);
/** A property of 64-bit integers, each at most 2^53 - 1. @throws {Errno} ERANGE as {@link Integers} */
export const u64 = (...values: number[]): Integers => new Integers(8, values);

/** Another node, with what the one who refers to it says to it. */
export interface NodeReference {
  readonly node: SoftwareNode;
  readonly args: readonly number[];
}

/** A flag (present or absent), strings, integers, or references. */
export type PropertyValue = true | string | readonly string[] | Integers | NodeReference | readonly NodeReference[];

/**
 * A description of a device by named values, as firmware would give it.
 * @see Linux 6.12 drivers/base/swnode.c, include/linux/property.h
 */
export class SoftwareNode {
  readonly #properties: ReadonlyMap<string, PropertyValue>;

  constructor(
    readonly name: string,
    properties: Readonly<Record<string, PropertyValue>> = {},
  ) {
    this.#properties = new Map(Object.entries(properties));
  }

  /** Whether there is such a property; the value of a flag. */
  has(property: string): boolean {
    return this.#properties.has(property);
  }

  /**
   * How many integers of a width a property holds, whatever width it was given in: bytes are counted.
   * @throws {Errno} EINVAL when it is missing or holds none
   */
  count(property: string, bytes: PropertyBytes): number {
    return Math.floor(this.#integers(property).data.byteLength / bytes);
  }

  /**
   * The first `count` integers of a property.
   * @throws {Errno} EINVAL when it is missing or holds no integers; EOVERFLOW when it has fewer; ERANGE for one above 2^53 - 1
   */
  integers(property: string, bytes: PropertyBytes, count: number): number[] {
    const { data } = this.#integers(property);
    if (count * bytes > data.byteLength) {
      const text = `${count} integers of ${8 * bytes} bits wanted of ${data.byteLength} bytes`;
      throw new Errno('EOVERFLOW', `${this.name}: property ${property}: ${text}`);
    }
    return Array.from({ length: count }, (_, i) => {
      let value = 0;
      for (let at = bytes - 1; at >= 0; at--) value = value * 256 + data.getUint8(i * bytes + at);
      if (Number.isSafeInteger(value)) return value;
      throw new Errno('ERANGE', `${this.name}: property ${property}: element ${i} is above 2^53 - 1`);
    });
  }

  /** The first integer of a property. @throws {Errno} as `integers` */
  integer(property: string, bytes: PropertyBytes): number {
    return this.integers(property, bytes, 1)[0]!;
  }

  /** The strings of a property. @throws {Errno} EINVAL when it is missing or holds none */
  strings(property: string): readonly string[] {
    const value = this.#properties.get(property);
    const all = typeof value === 'string' ? [value] : value;
    if (!Array.isArray(all) || !all.every((s) => typeof s === 'string')) throw this.#wrong(property, 'strings');
    return all;
  }

  /**
   * A reference.
   * @param args how many arguments are wanted, 0 to 16; missing ones are 0
   * @throws {Errno} ENOENT when there is none at `index`; EINVAL for more than 16 arguments
   * @see Linux 6.12 drivers/base/swnode.c software_node_get_reference_args
   */
  reference(property: string, args = 0, index = 0): NodeReference {
    if (!(args >= 0 && args <= MAX_ARGS))
      throw new Errno('EINVAL', `${this.name}: ${args} arguments wanted, at most ${MAX_ARGS}`);
    const value = this.#properties.get(property);
    const found = (Array.isArray(value) ? value : [value])[index] as PropertyValue | undefined;
    if (typeof found !== 'object' || !('node' in found)) {
      throw new Errno('ENOENT', `${this.name}: property ${property}: no reference ${index}`);
    }
    return { node: found.node, args: Array.from({ length: args }, (_, i) => found.args[i] ?? 0) };
  }

  #integers(property: string): Integers {
    const value = this.#properties.get(property);
    if (!(value instanceof Integers)) throw this.#wrong(property, 'integers');
    return value;
  }

  #wrong(property: string, what: string): Errno {
    const text = this.has(property) ? `holds no ${what}` : 'is missing';
    return new Errno('EINVAL', `${this.name}: property ${property} ${text}`);
  }
}
