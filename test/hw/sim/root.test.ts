import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Machine, pcie } from '../../../hw/sim/index.js';
import { ENABLE, SCRATCH_BYTES, assign, openBridge, scratch } from './fixture.js';

const ONES = 0xffff_ffff;
const BAR = 0xc000_0000;

describe('configuration routing', () => {
  test('a function answers at its place, all else reads all ones', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    const root = machine.pci[0]!;
    expect(root.config(0, 0x20).read32(0)).toBe(0x10f0_1af4);
    expect([root.config(0, 0x21).read32(0), root.config(0, 0x28).read16(0), root.config(1, 0).read8(0)]).toEqual([
      ONES,
      0xffff,
      0xff,
    ]);
    root.config(0, 0x28).write32(0x10, 1);
    expect(root.config(0, 0x20).sizeBytes).toBe(4096);
  });

  test('a function without PCI Express reads all ones beyond 256 bytes', () => {
    const devices = [
      { at: '00:04.0', model: scratch() },
      { at: '00:05.0', model: scratch({ capabilities: [pcie()] }) },
    ];
    const root = new Machine({ devices }).pci[0]!;
    expect([root.config(0, 0x20).read32(0x100), root.config(0, 0x28).read32(0x100)]).toEqual([ONES, 0]);
  });

  test('functions below bridges are reached once the bus numbers lead there', () => {
    const leaf = scratch({ device: 0x7777 });
    const machine = new Machine({
      devices: [
        {
          at: '00:1c.0',
          bridge: {},
          children: [
            {
              at: '00.0',
              bridge: { type: 'upstream' },
              children: [{ at: '03.0', bridge: { type: 'downstream' }, children: [{ at: '00.0', model: leaf }] }],
            },
          ],
        },
      ],
    });
    const root = machine.pci[0]!;
    expect(root.config(3, 0).read32(0)).toBe(ONES);
    root.config(0, 0xe0).write32(0x18, 0x0003_0100);
    expect(root.config(1, 0).read8(0x0e)).toBe(1);
    root.config(1, 0).write32(0x18, 0x0003_0201);
    root.config(2, 0x18).write32(0x18, 0x0003_0302);
    expect(root.config(3, 0).read32(0)).toBe(0x7777_1af4);
    root.config(1, 0).write32(0x18, 0x0002_0201);
    expect(root.config(3, 0).read32(0)).toBe(ONES);
  });

  test('function 0 tells of the others', () => {
    const devices = [
      { at: '00:04.0', model: scratch() },
      { at: '00:04.1', model: scratch() },
      { at: '00:05.0', model: scratch() },
    ];
    const root = new Machine({ devices }).pci[0]!;
    expect([0x20, 0x28].map((devfn) => root.config(0, devfn).read8(0x0e))).toEqual([0x80, 0]);
  });
});

describe('address decoding', () => {
  test('a window finds the function that claims the address', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:04.0', model: kind }] });
    assign(machine, 0, 0x20, BAR);
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    kind.made[0]!.data.setUint32(8, 0x0403_0201, true);
    const pair = new Uint32Array(2);
    window.read64(8, pair);
    expect([window.read8(8), window.read16(8), window.read32(8), pair[0]]).toEqual([0x01, 0x0201, 0x0403_0201, 0x0403_0201]);
  });

  test('a window follows a BAR that moves, and reads all ones while memory is off', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    const root = machine.pci[0]!;
    assign(machine, 0, 0x20, BAR);
    const [here, there] = [root.map('mem', BAR, SCRATCH_BYTES), root.map('mem', BAR + 0x1_0000, SCRATCH_BYTES)];
    expect([here.read32(0), there.read32(0)]).toEqual([0, ONES]);
    root.config(0, 0x20).write32(0x10, BAR + 0x1_0000);
    expect([here.read32(0), there.read32(0)]).toEqual([ONES, 0]);
    root.config(0, 0x20).write16(0x04, 0);
    expect(there.read32(0)).toBe(ONES);
    root.config(0, 0x20).write16(0x04, ENABLE);
    expect(there.read32(0)).toBe(0);
  });

  test('accesses outside the window, or across the end of a BAR, read all ones', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:04.0', model: kind }] });
    assign(machine, 0, 0x20, BAR);
    const window = machine.pci[0]!.map('mem', BAR - 0x1000, 4 * SCRATCH_BYTES);
    const at = 0x1000 + SCRATCH_BYTES;
    expect([window.read32(at - 4), window.read32(at - 2), window.read32(at), window.read32(0xffc)]).toEqual([
      0,
      ONES,
      ONES,
      ONES,
    ]);
    const narrow = machine.pci[0]!.map('mem', BAR, 8);
    for (const offset of [8, 6, -4, 0.5, Number.NaN]) {
      expect(narrow.read32(offset)).toBe(ONES);
      narrow.write32(offset, 1);
    }
    machine.drain();
    expect(kind.made[0]!.events).toEqual([]);
  });

  test('one window may span several functions', () => {
    const kind = scratch();
    const machine = new Machine({
      devices: [
        { at: '00:04.0', model: kind },
        { at: '00:05.0', model: kind },
      ],
    });
    assign(machine, 0, 0x20, BAR);
    assign(machine, 0, 0x28, BAR + SCRATCH_BYTES);
    const window = machine.pci[0]!.map('mem', BAR, 2 * SCRATCH_BYTES);
    window.write32(0, 1);
    window.write32(SCRATCH_BYTES, 2);
    expect([window.read32(0), window.read32(SCRATCH_BYTES)]).toEqual([1, 2]);
    expect(kind.made.map((model) => model.events)).toEqual([['write32 0 1'], ['write32 0 2']]);
  });

  test('below a bridge memory is reached through its window', () => {
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: {}, children: [{ at: '00.0', model: scratch() }] }] });
    const bridge = machine.pci[0]!.config(0, 0xe0);
    openBridge(machine, 0xe0, 1, BAR, BAR);
    assign(machine, 1, 0, BAR);
    const window = machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES);
    expect(window.read32(0)).toBe(0);
    bridge.write16(0x20, (BAR + 0x10_0000) / 2 ** 16);
    expect(window.read32(0)).toBe(ONES);
    bridge.write16(0x20, BAR / 2 ** 16);
    bridge.write16(0x04, 0);
    expect(window.read32(0)).toBe(ONES);
    bridge.write16(0x04, ENABLE);
    bridge.write16(0x3e, 0x40);
    expect([window.read32(0), machine.pci[0]!.config(1, 0).read32(0)]).toEqual([ONES, ONES]);
  });

  test('a secondary bus reset resets everything below', () => {
    const kind = scratch();
    const machine = new Machine({ devices: [{ at: '00:1c.0', bridge: {}, children: [{ at: '00.0', model: kind }] }] });
    openBridge(machine, 0xe0, 1, BAR, BAR);
    assign(machine, 1, 0, BAR);
    const bridge = machine.pci[0]!.config(0, 0xe0);
    bridge.write16(0x3e, 0x40);
    bridge.write16(0x3e, 0);
    expect(kind.made[0]!.events).toEqual(['reset bus']);
    expect([0x04, 0x10].map((at) => machine.pci[0]!.config(1, 0).read32(at) & 0xffff_fff7)).toEqual([0, 0]);
  });

  test('I/O space is its own', () => {
    const kind = scratch({}, { kind: 'io', sizeBytes: 32 });
    const machine = new Machine({ devices: [{ at: '00:04.0', model: kind }] });
    assign(machine, 0, 0x20, 0x2000);
    machine.pci[0]!.map('io', 0x2000, 32).write8(3, 0x42);
    // I/O writes are not posted.
    expect(kind.made[0]!.events).toEqual(['write8 3 66']);
    expect(machine.pci[0]!.map('mem', 0x2000, 32).read8(3)).toBe(0xff);
  });

  test('memory at an address that the root has for I/O alone is not reached', () => {
    const machine = new Machine({ devices: [{ at: '00:04.0', model: scratch() }] });
    assign(machine, 0, 0x20, 0x2000);
    expect(machine.pci[0]!.map('mem', 0x2000, 32).read32(0)).toBe(ONES);
  });

  test('random BARs and accesses reach the claiming function or nobody', () => {
    const place = fc.integer({ min: 0, max: 7 });
    const step = fc.record({
      devfn: fc.constantFrom(0x20, 0x28),
      place,
      isOn: fc.boolean(),
      read: fc.integer({ min: 0, max: 8 * 4096 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const kind = scratch();
        const machine = new Machine({
          devices: [
            { at: '00:04.0', model: kind },
            { at: '00:05.0', model: kind },
          ],
        });
        kind.made.forEach((model, i) => new Uint8Array(model.data.buffer).fill(i + 1));
        const root = machine.pci[0]!;
        const window = root.map('mem', BAR, 8 * 4096);
        const bases = new Map<number, number>();
        for (const { devfn, place: at, isOn, read } of steps) {
          // Two functions at one address are an error of software; what answers then is not specified.
          if (isOn && [...bases].some(([other, base]) => other !== devfn && base === at)) continue;
          root.config(0, devfn).write32(0x10, BAR + at * 4096);
          root.config(0, devfn).write16(0x04, isOn ? 0x2 : 0);
          if (isOn) bases.set(devfn, at);
          else bases.delete(devfn);
          const hit = [...bases].find(([, base]) => base === Math.floor(read / 4096) && read < 8 * 4096);
          expect(window.read8(read)).toBe(hit === undefined ? 0xff : hit[0] === 0x20 ? 1 : 2);
        }
      }),
      { seed: 1 },
    );
  });
});

describe('several roots', () => {
  test('each has its segment, buses and addresses', () => {
    const kinds = [scratch({ device: 1 }), scratch({ device: 2 })];
    const machine = new Machine({
      roots: [{ lastBus: 0x7f }, { firstBus: 0x80 }, { segment: 1 }],
      devices: [
        { at: '80:04.0', model: kinds[0]! },
        { at: '0001:00:04.0', model: kinds[1]! },
      ],
    });
    const [first, second, third] = machine.pci;
    expect([first, second, third].map((root) => root!.config(root!.firstBus, 0x20).read32(0) >>> 16)).toEqual([0xffff, 1, 2]);
    const bars = [second!, third!].map((root) => root.apertures.find((range) => range.kind === 'mem')!.base);
    second!.config(0x80, 0x20).write32(0x10, bars[0]!);
    second!.config(0x80, 0x20).write16(0x04, 2);
    expect([second!.map('mem', bars[0]!, 16).read32(0), third!.map('mem', bars[0]!, 16).read32(0)]).toEqual([0, ONES]);
  });

  test('roots that share addresses or bus numbers throw EINVAL', () => {
    const apertures = [{ kind: 'mem', base: 0xd000_0000, limit: 0xdfff_ffff }] as const;
    expect(() => new Machine({ roots: [{ apertures }, { segment: 1, apertures }] })).toThrow(
      /^EINVAL: sim: root 1: .* overlaps an aperture of root 0/,
    );
    expect(() => new Machine({ roots: [{}, {}] })).toThrow('EINVAL: sim: root 1 and root 0 share bus numbers of segment 0');
    expect(() => new Machine({ roots: [{ apertures: [{ kind: 'mem', base: 0, limit: 0xffff }] }] })).toThrow(/overlaps memory$/);
  });
});
