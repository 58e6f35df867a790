import { join } from 'node:path';
import { truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Random } from '../../../core/lib/random.js';
import { FileMemory } from '../../../hw/remote/qtest-memory.js';
import { TempDir } from '../../helpers/temp-dir.js';

const SIZE = 4 * 2 ** 20;
const ANY = { mask: 0xffff_ffff };

/** Memory over a file of its own. */
class Fixture implements Disposable {
  readonly #dir = new TempDir();
  readonly memory = new FileMemory(SIZE);

  constructor() {
    const path = join(this.#dir.path, 'ram');
    writeFileSync(path, '');
    truncateSync(path, SIZE);
    this.memory.open(path);
  }

  [Symbol.dispose](): void {
    this.memory.close();
    this.#dir[Symbol.dispose]();
  }
}

describe('FileMemory', () => {
  test('allocations are aligned, above 1 MiB, zeroed after another use, and counted', () => {
    using f = new Fixture();
    const first = f.memory.alloc(100, ANY);
    const second = f.memory.alloc(100, { ...ANY, alignBytes: 0x1_0000 });
    expect([first, second]).toEqual([0x10_0000, 0x11_0000]);
    expect(f.memory.allocatedBytes).toBe(200);
    f.memory.write(first, new Uint8Array(100).fill(0xff), 0, 100);
    f.memory.free(first);
    expect(f.memory.alloc(100, ANY)).toBe(first);
    const bytes = new Uint8Array(100).fill(1);
    f.memory.read(first, bytes, 0, 100);
    expect(bytes).toEqual(new Uint8Array(100));
  });

  test('the mask is the highest address an allocation may touch', () => {
    using f = new Fixture();
    const mask = 0x1f_ffff;
    expect(f.memory.alloc(0x10_0000, { mask })).toBe(0x10_0000);
    expect(() => f.memory.alloc(1, { mask })).toThrow(
      'ENOMEM: qtest: no 1 bytes of DMA memory free below 0x1fffff: 1048576 of 4194304 are in use',
    );
    expect(f.memory.alloc(1, ANY)).toBe(0x20_0000);
  });

  test.each([1, 2, 3])('whatever the order of alloc and free, nothing overlaps and all comes back (seed %i)', (seed) => {
    using f = new Fixture();
    const random = new Random(seed);
    const live = new Map<number, number>();
    let overlaps = 0;
    for (let i = 0; i < 400; i++) {
      const keys = [...live.keys()];
      if (keys.length > 20 || (keys.length > 0 && random.below(2) === 0)) {
        const address = keys[random.below(keys.length)]!;
        f.memory.free(address);
        live.delete(address);
      } else {
        const bytes = 1 + random.below(20_000);
        const address = f.memory.alloc(bytes, { ...ANY, alignBytes: 2 ** random.below(14) });
        overlaps += [...live].filter(([other, length]) => address < other + length && other < address + bytes).length;
        live.set(address, bytes);
      }
    }
    for (const address of live.keys()) f.memory.free(address);
    expect([overlaps, f.memory.allocatedBytes]).toEqual([0, 0]);
    expect(f.memory.alloc(SIZE - 0x10_0000, ANY)).toBe(0x10_0000);
  });

  test('a free of what starts no allocation is EINVAL', () => {
    using f = new Fixture();
    const address = f.memory.alloc(8192, ANY);
    expect(() => f.memory.free(address + 4096)).toThrow('EINVAL: qtest: 0x101000 starts no DMA allocation');
    f.memory.free(address);
    expect(() => f.memory.free(address)).toThrow('EINVAL');
  });

  test('copy is right for ranges that overlap', () => {
    using f = new Fixture();
    const at = f.memory.alloc(64, ANY);
    f.memory.write(at, Uint8Array.from([1, 2, 3, 4]), 0, 4);
    f.memory.copy(at, at + 2, 4);
    expect(f.memory.read32(at + 2)).toBe(0x0403_0201);
  });

  test('an access outside memory is EINVAL, and after close EIO', () => {
    using f = new Fixture();
    expect(() => f.memory.read32(SIZE - 2)).toThrow('EINVAL: qtest: 4 bytes at 0x3ffffe are outside memory of 4194304 bytes');
    expect(() => f.memory.write32(-4, 0)).toThrow('EINVAL');
    f.memory.close();
    expect(() => f.memory.read32(0x10_0000)).toThrow('EIO: qtest: memory of a host that is not running');
  });
});
