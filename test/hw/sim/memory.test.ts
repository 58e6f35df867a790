import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PhysicalMemory } from '../../../hw/sim/index.js';

const MIB = 2 ** 20;
const ANY = Number.MAX_SAFE_INTEGER;

describe('allocation', () => {
  test('memory comes zeroed, also when it was used before', () => {
    const memory = new PhysicalMemory(16 * MIB);
    const address = memory.alloc(8192, { mask: ANY });
    memory.view(address, 8192).fill(0xaa);
    memory.free(address);
    expect(memory.alloc(8192, { mask: ANY })).toBe(address);
    expect(memory.view(address, 8192).every((byte) => byte === 0)).toBe(true);
  });

  test('it lies below the mask, on its alignment', () => {
    const memory = new PhysicalMemory(16 * MIB);
    const address = memory.alloc(100, { mask: 4 * MIB - 1, alignBytes: MIB });
    expect(address % MIB).toBe(0);
    expect(address + 100).toBeLessThanOrEqual(4 * MIB);
  });

  test('it takes the last bytes that a mask allows', () => {
    const memory = new PhysicalMemory(16 * MIB);
    expect(memory.alloc(16, { mask: MIB + 15 })).toBe(MIB);
    memory.free(MIB);
    expect(() => memory.alloc(17, { mask: MIB + 15 })).toThrow(
      'ENOMEM: sim: no 17 bytes of memory below mask 0x10000f, 0 of 16777216 in use',
    );
  });

  test('when all is taken it throws ENOMEM, and frees make room', () => {
    const memory = new PhysicalMemory(4 * MIB);
    const all = Array.from({ length: 48 }, () => memory.alloc(64 * 1024, { mask: ANY }));
    expect(() => memory.alloc(1, { mask: ANY })).toThrow(/^ENOMEM/);
    for (const address of all) memory.free(address);
    expect(memory.allocatedBytes).toBe(0);
    expect(memory.alloc(2 * MIB, { mask: ANY })).toBe(2 * MIB);
  });

  test.each([[0], [-1], [1.5], [Number.NaN]])('%d bytes throw EINVAL', (sizeBytes) => {
    expect(() => new PhysicalMemory(4 * MIB).alloc(sizeBytes, { mask: ANY })).toThrow(/^EINVAL/);
  });

  test('only the start of an allocation can be freed, and once', () => {
    const memory = new PhysicalMemory(4 * MIB);
    const address = memory.alloc(8192, { mask: ANY });
    expect(() => memory.free(address + 4096)).toThrow(/^EINVAL/);
    memory.free(address);
    expect(() => memory.free(address)).toThrow(/^EINVAL/);
  });

  test('beyond 3 GiB memory goes on at 4 GiB', () => {
    const memory = new PhysicalMemory(4 * 1024 * MIB);
    expect(memory.ranges).toEqual([
      { start: 0, end: 3 * 2 ** 30 },
      { start: 2 ** 32, end: 5 * 2 ** 30 },
    ]);
    expect(memory.contains(3 * 2 ** 30, 1)).toBe(false);
    memory.write32(2 ** 32, 7);
    expect(memory.read32(2 ** 32)).toBe(7);
  });

  test('what was written stays, whatever is allocated and freed beside it', () => {
    const step = fc.record({ sizeBytes: fc.integer({ min: 1, max: 9 * MIB }), free: fc.boolean(), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const memory = new PhysicalMemory(1024 * MIB);
        const dirty: number[] = [];
        const live: { address: number; sizeBytes: number; tag: number }[] = [];
        let tag = 1;
        for (const { sizeBytes, free, pick } of steps) {
          if (free && live.length > 0) {
            memory.free(live.splice(pick % live.length, 1)[0]!.address);
          } else {
            // 20 blocks of at most 16 MiB always fit.
            const address = memory.alloc(sizeBytes, { mask: ANY });
            const view = memory.view(address, sizeBytes);
            dirty.push(view[0]!, view[sizeBytes - 1]!);
            view[0] = view[sizeBytes - 1] = tag;
            live.push({ address, sizeBytes, tag: tag++ });
          }
          expect(dirty.some((byte) => byte !== 0)).toBe(false);
          const byte = new Uint8Array(1);
          for (const one of live) {
            memory.read(one.address + one.sizeBytes - 1, byte, 0, 1);
            expect(byte[0]).toBe(one.tag);
            expect(memory.isAllocated(one.address, one.sizeBytes)).toBe(true);
            expect(memory.isAllocated(one.address, one.sizeBytes + 1)).toBe(
              live.some((other) => other.address === one.address + one.sizeBytes),
            );
          }
          expect(memory.allocatedBytes).toBe(live.reduce((sum, one) => sum + one.sizeBytes, 0));
        }
      }),
      { seed: 1, numRuns: 40 },
    );
  });
});

describe('access', () => {
  test('bytes go in and out across the pieces that memory is made of', () => {
    const memory = new PhysicalMemory(32 * MIB);
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    memory.write(8 * MIB - 50, bytes, 0, 100);
    const back = new Uint8Array(102);
    memory.read(8 * MIB - 50, back, 1, 100);
    expect([...back]).toEqual([0, ...bytes, 0]);
  });

  test.each([
    ['within one piece, overlapping', 2 * MIB, 2 * MIB + 10],
    ['to another piece', 2 * MIB, 12 * MIB],
    ['from the border of two', 4 * MIB - 20, 16 * MIB],
    ['to the border of two', 16 * MIB, 4 * MIB - 20],
    ['onto itself across a border', 4 * MIB - 40, 4 * MIB - 30],
  ])('copy %s moves the bytes', (_what, source, destination) => {
    const memory = new PhysicalMemory(32 * MIB);
    const bytes = Uint8Array.from({ length: 40 }, (_, i) => i + 1);
    memory.write(source, bytes, 0, 40);
    memory.copy(source, destination, 40);
    const back = new Uint8Array(40);
    memory.read(destination, back, 0, 40);
    expect(back).toEqual(bytes);
  });

  test('an allocation of any size is one view, and it is live', () => {
    const memory = new PhysicalMemory(64 * MIB);
    memory.alloc(4096, { mask: ANY });
    const address = memory.alloc(20 * MIB, { mask: ANY });
    const view = memory.view(address, 20 * MIB);
    memory.write32(address + 12 * MIB, 0x0403_0201);
    expect([...view.subarray(12 * MIB, 12 * MIB + 4)]).toEqual([1, 2, 3, 4]);
  });

  test('what is no memory throws EFAULT, a wrong buffer ERANGE, a crooked word EINVAL', () => {
    const memory = new PhysicalMemory(4 * MIB);
    const buffer = new Uint8Array(8);
    expect(() => memory.read(4 * MIB - 4, buffer, 0, 8)).toThrow('EFAULT: sim: 8 bytes at 0x3ffffc are not memory');
    expect(() => memory.write32(-4, 0)).toThrow(/^EFAULT/);
    expect(() => memory.copy(0, 4 * MIB, 1)).toThrow(/^EFAULT/);
    expect(() => memory.view(0, 4)).toThrow(/^EFAULT/);
    expect(() => memory.read(0, buffer, 4, 8)).toThrow(/^ERANGE/);
    expect(() => memory.read32(2)).toThrow(/^EINVAL/);
  });

  test.each([[0], [MIB], [2 * MIB + 1], [2 ** 41]])('a machine of %i bytes throws EINVAL', (sizeBytes) => {
    expect(() => new PhysicalMemory(sizeBytes)).toThrow(/^EINVAL/);
  });
});
