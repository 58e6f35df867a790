import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Endpoint,
  type EndpointConfig,
  aer,
  deviceSerialNumber,
  msi,
  pcie,
  powerManagement,
  vendorExtended,
  vendorSpecific,
} from '../../../hw/endpoint/index.js';
import { ECHO, PLAIN, RecordingPort, make } from './fixture.js';

describe('the type 0 header', () => {
  test('identity is read-only', () => {
    const { endpoint } = make({ revision: 3, subsystem: { vendor: 0x1, device: 0x2 }, interruptPin: 'B' });
    const { space } = endpoint;
    for (let offset = 0; offset < 0x40; offset += 4) if (offset !== 4) space.write32(offset, 0xffff_ffff);
    expect(space.read32(0x00)).toBe(0x10f0_1af4);
    expect(space.read32(0x08)).toBe(0xff00_0003);
    expect(space.read8(0x0e)).toBe(0);
    expect(space.read32(0x2c)).toBe(0x0002_0001);
    expect(space.read8(0x3d)).toBe(2);
    expect(space.read32(0x30)).toBe(0);
  });

  test('the command register keeps I/O, memory, master, parity, SERR and interrupt disable', () => {
    const { space } = make().endpoint;
    space.write16(0x04, 0xffff);
    expect(space.read16(0x04)).toBe(0x0547);
  });

  test('interrupt line and cache line size are software scratch', () => {
    const { space } = make().endpoint;
    space.write8(0x3c, 0xab);
    space.write8(0x0c, 0x10);
    expect([space.read8(0x3c), space.read8(0x0c)]).toEqual([0xab, 0x10]);
  });

  test('the capabilities bit of the status register tells whether there is a list', () => {
    expect(make().endpoint.space.read16(0x06) & 0x10).toBe(0);
    expect(make({ capabilities: [powerManagement()] }).endpoint.space.read16(0x06) & 0x10).toBe(0x10);
  });

  test('the multifunction bit is set and survives a reset', () => {
    const { endpoint } = make();
    endpoint.setMultifunction(true);
    endpoint.reset('bus');
    expect(endpoint.space.read8(0x0e)).toBe(0x80);
  });
});

describe('base address registers', () => {
  test.each([
    ['mem32', 4096, false, 0xffff_f000],
    ['mem32', 16, false, 0xffff_fff0],
    ['mem32', 2 ** 31, true, 0x8000_0008],
    ['io', 32, undefined, 0xffff_ffe1],
    ['mem64', 2 ** 20, true, 0xfff0_000c],
    ['mem64', 2 ** 32, true, 0x0000_000c],
  ] as const)('%s of %i bytes (prefetch %s) reads 0x%s after all ones', (kind, sizeBytes, prefetch, low) => {
    const { space } = make({ bars: { 2: { kind, sizeBytes, ...(prefetch !== undefined && { prefetch }) } } }).endpoint;
    space.write32(0x18, 0xffff_ffff);
    expect(space.read32(0x18)).toBe(low);
  });

  test('the upper half of a 64-bit register sizes what is beyond 4 GiB', () => {
    const { space } = make({ bars: { 0: { kind: 'mem64', sizeBytes: 2 ** 36 } } }).endpoint;
    space.write32(0x10, 0xffff_ffff);
    space.write32(0x14, 0xffff_ffff);
    expect([space.read32(0x10), space.read32(0x14)]).toEqual([0x4, 0xffff_fff0]);
  });

  test('a register that is not declared reads 0 whatever is written', () => {
    const { space } = make({ bars: { 0: { kind: 'mem32', sizeBytes: 16 } } }).endpoint;
    for (let offset = 0x14; offset <= 0x24; offset += 4) {
      space.write32(offset, 0xffff_ffff);
      expect(space.read32(offset)).toBe(0);
    }
  });

  test('a function answers where its registers say, while the command register says so', () => {
    const { endpoint, port } = make({ bars: { 0: { kind: 'mem64', sizeBytes: 4096 }, 2: { kind: 'io', sizeBytes: 32 } } });
    endpoint.space.write32(0x10, 0x1000);
    endpoint.space.write32(0x14, 0x1);
    endpoint.space.write32(0x18, 0x2000);
    expect(endpoint.decodedRanges()).toEqual([]);
    endpoint.space.write16(0x04, 0x2);
    expect(endpoint.decodedRanges()).toEqual([{ kind: 'mem', bar: 0, base: 2 ** 32 + 0x1000, sizeBytes: 4096, window: ECHO }]);
    endpoint.space.write16(0x04, 0x1);
    expect(endpoint.decodedRanges()).toEqual([{ kind: 'io', bar: 2, base: 0x2000, sizeBytes: 32, window: ECHO }]);
    expect(port.decodes).toBe(5);
  });

  test('an address with bits 63:53 set is not decoded', () => {
    const { endpoint } = make({ bars: { 0: { kind: 'mem64', sizeBytes: 4096 } } });
    endpoint.space.write16(0x04, 0x2);
    endpoint.space.write32(0x14, 2 ** 21);
    expect(endpoint.decodedRanges()).toEqual([]);
  });

  test('sizing gives the size of every power of two', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 52 }), (log2) => {
        const { space } = make({ bars: { 4: { kind: 'mem64', sizeBytes: 2 ** log2 } } }).endpoint;
        space.write32(0x20, 0xffff_ffff);
        space.write32(0x24, 0xffff_ffff);
        const mask = (BigInt(space.read32(0x24)) << 32n) | BigInt((space.read32(0x20) & ~0xf) >>> 0);
        expect((~mask & 0xffff_ffff_ffff_ffffn) + 1n).toBe(1n << BigInt(log2));
      }),
      { seed: 1 },
    );
  });

  test.each<[string, EndpointConfig['bars']]>([
    ['a size that is no power of two', { 0: { kind: 'mem32', sizeBytes: 4097 } }],
    ['memory below 16 bytes', { 0: { kind: 'mem32', sizeBytes: 8 } }],
    ['a seventh register', { 6: { kind: 'mem32', sizeBytes: 4096 } }],
    ['64 bits in the last register', { 5: { kind: 'mem64', sizeBytes: 4096 } }],
    ['the upper half of another', { 0: { kind: 'mem64', sizeBytes: 4096 }, 1: { kind: 'mem32', sizeBytes: 4096 } }],
  ])('%s throws EINVAL', (_what, bars) => {
    expect(() => new Endpoint({ ...PLAIN, bars: bars! }, new RecordingPort())).toThrow(/^EINVAL: 1af4:10f0: BAR \d: /);
  });

  test('a model must bring what it declared, and no more', () => {
    const endpoint = new Endpoint({ ...PLAIN, bars: { 0: { kind: 'mem32', sizeBytes: 4096 } } }, new RecordingPort());
    expect(() => endpoint.attach({})).toThrow('EINVAL: 1af4:10f0: BAR 0: the model has no region for it');
    expect(() => endpoint.attach({ 0: ECHO, 1: ECHO })).toThrow('EINVAL: 1af4:10f0: a region for BAR 1, which is not declared');
  });
});

/** Id and offset of each capability, in the order of the list. */
function walk(endpoint: Endpoint): [number, number][] {
  const list: [number, number][] = [];
  for (let at = endpoint.space.read8(0x34); at !== 0; at = endpoint.space.read8(at + 1))
    list.push([endpoint.space.read8(at), at]);
  return list;
}

describe('capability lists', () => {
  test('capabilities follow each other from 0x40 on', () => {
    const { endpoint } = make({ capabilities: [powerManagement(), msi(), vendorSpecific(Uint8Array.of(1, 2)), pcie()] });
    expect(walk(endpoint)).toEqual([
      [0x01, 0x40],
      [0x05, 0x48],
      [0x09, 0x58],
      [0x10, 0x60],
    ]);
    expect(endpoint.capability(0x10)).toBe(0x60);
    expect(endpoint.capability(0x11)).toBe(0);
    expect(endpoint.space.read32(0x58)).toBe(0x0105_6009);
  });

  test('a fixed place is kept', () => {
    const { endpoint } = make({ capabilities: [msi({ at: 0x50 }), powerManagement({ at: 0x40 })] });
    expect(walk(endpoint)).toEqual([
      [0x05, 0x50],
      [0x01, 0x40],
    ]);
  });

  test('extended capabilities are linked from 0x100 on', () => {
    const { endpoint } = make({
      capabilities: [pcie()],
      extended: [aer(), deviceSerialNumber('01-23-45-67-89-ab-cd-ef'), vendorExtended(0x42, 1, Uint8Array.of(9))],
    });
    const { space } = endpoint;
    expect(space.sizeBytes).toBe(4096);
    expect(space.read32(0x100)).toBe(0x12c2_0001);
    expect(space.read32(0x12c)).toBe(0x1381_0003);
    expect([space.read32(0x130), space.read32(0x134)]).toEqual([0x89ab_cdef, 0x0123_4567]);
    expect(space.read32(0x138)).toBe(0x0001_000b);
    expect(space.read32(0x13c)).toBe(0x0091_0042);
    expect(endpoint.extendedCapability(0x0003)).toBe(0x12c);
  });

  test('a function without PCI Express has 256 bytes, and all ones beyond', () => {
    const { space } = make({ capabilities: [msi()] }).endpoint;
    expect([space.sizeBytes, space.read32(0x100)]).toEqual([256, 0xffff_ffff]);
  });

  test('a PCI Express function without extended capabilities reads 0 at 0x100', () => {
    expect(make({ capabilities: [pcie()] }).endpoint.space.read32(0x100)).toBe(0);
  });

  test('what does not fit throws EINVAL', () => {
    const port = new RecordingPort();
    expect(() => new Endpoint({ ...PLAIN, extended: [aer()] }, port)).toThrow(
      'extended capabilities without a PCI Express capability',
    );
    expect(() => new Endpoint({ ...PLAIN, capabilities: [msi(), powerManagement({ at: 0x4c })] }, port)).toThrow(
      /^EINVAL: .*do not fit/,
    );
    expect(() => new Endpoint({ ...PLAIN, capabilities: [vendorSpecific(new Uint8Array(200))] }, port)).toThrow(
      /^EINVAL: .*do not fit/,
    );
  });

  test('error status bits are cleared by writing 1 and masks are writable', () => {
    const { space } = make({ capabilities: [pcie()], extended: [aer()] }).endpoint;
    space.set32(0x104, 0x10, 0x10);
    space.write32(0x104, 0);
    expect(space.read32(0x104)).toBe(0x10);
    space.write32(0x104, 0x10);
    expect(space.read32(0x104)).toBe(0);
    space.write32(0x108, 0xffff_ffff);
    expect(space.read32(0x108)).toBe(0x07ff_f030);
  });
});

describe('resets', () => {
  const BARS = { 0: { kind: 'mem32', sizeBytes: 4096 } } as const;

  test('a function-level reset clears what software wrote and resets the model', () => {
    const { endpoint, port } = make({ bars: BARS, capabilities: [pcie({ flr: true })] });
    const at = endpoint.capability(0x10);
    expect(endpoint.space.read32(at + 4) & 0x1000_0000).not.toBe(0);
    endpoint.space.write32(0x10, 0xc000_0000);
    endpoint.space.write16(0x04, 0x6);
    endpoint.space.write16(at + 8, 0xa810);
    expect(port.events).toEqual(['reset function']);
    expect([endpoint.space.read16(0x04), endpoint.space.read32(0x10), endpoint.space.read16(at + 8)]).toEqual([0, 0, 0x2810]);
  });

  test('without the capability the bit does nothing', () => {
    const { endpoint, port } = make({ capabilities: [pcie()] });
    endpoint.space.write16(endpoint.capability(0x10) + 8, 0x8000);
    expect(port.events).toEqual([]);
    expect(endpoint.space.read16(endpoint.capability(0x10) + 8)).toBe(0);
  });

  test('D3hot answers to nothing but configuration, and D0 after it is a reset', () => {
    const { endpoint, port } = make({ bars: BARS, capabilities: [powerManagement()] });
    endpoint.space.write16(0x04, 0x6);
    endpoint.space.write16(0x44, 3);
    expect([endpoint.decodedRanges(), endpoint.busMaster, endpoint.powerState]).toEqual([[], false, 3]);
    endpoint.space.write16(0x44, 0);
    expect(port.events).toEqual(['reset power']);
    expect([endpoint.space.read16(0x04), endpoint.powerState]).toEqual([0, 0]);
  });

  test('a bus reset brings a function in D3hot back to D0', () => {
    const { endpoint } = make({ bars: BARS, capabilities: [powerManagement({ noSoftReset: true })] });
    endpoint.space.write16(0x44, 3);
    endpoint.reset('bus');
    endpoint.space.write16(0x04, 0x6);
    expect([endpoint.powerState, endpoint.busMaster, endpoint.decodedRanges().length]).toEqual([0, true, 1]);
  });

  test('with no soft reset everything is kept', () => {
    const { endpoint, port } = make({ bars: BARS, capabilities: [powerManagement({ noSoftReset: true })] });
    endpoint.space.write16(0x04, 0x6);
    endpoint.space.write16(0x44, 3);
    endpoint.space.write16(0x44, 0);
    expect(port.events).toEqual([]);
    expect([endpoint.decodedRanges().length, endpoint.busMaster]).toEqual([1, true]);
  });

  test('a power state that the function lacks is not taken', () => {
    const { endpoint } = make({ capabilities: [powerManagement({ d2: true })] });
    endpoint.space.write16(0x44, 1);
    expect(endpoint.space.read16(0x44) & 3).toBe(0);
    endpoint.space.write16(0x44, 2);
    expect(endpoint.space.read16(0x44) & 3).toBe(2);
  });
});
