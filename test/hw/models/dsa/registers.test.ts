import { describe, expect, test } from 'vitest';
import { type DsaOptions, dsa } from '../../../../hw/models/dsa/index.js';
import * as DSA from '../../../../hw/regs/dsa.js';
import { Fixture, type Queue } from './fixture.js';
import { expectReset } from './reset-state.js';

const { GENCFG, GENCTRL } = DSA;

describe('dsa identity', () => {
  test('it is 8086:0b25, a system peripheral without a pin, with two 64-bit prefetchable BARs', () => {
    const { endpoint } = new Fixture();
    const { space } = endpoint;
    expect([space.read32(0x00), space.read32(0x08), space.read8(0x0e), space.read8(0x3d)]).toEqual([
      0x0b25_8086, 0x0880_0000, 0, 0,
    ]);
    space.write32(0x10, 0xffff_ffff);
    space.write32(0x18, 0xffff_ffff);
    expect([space.read32(0x10), space.read32(0x18), space.read32(0x20), space.read32(0x24)]).toEqual([
      0xffff_000c, 0xfffe_000c, 0, 0,
    ]);
  });

  test('MSI-X is at 0x80 with a vector more than there are queues; PCI Express is an integrated endpoint with FLR', () => {
    const { endpoint } = new Fixture();
    const { space } = endpoint;
    expect([space.read8(0x80), space.read32(0x84), space.read32(0x88)]).toEqual([0x11, 0x2000, 0x3000]);
    expect(space.read16(0x82) & 0x7ff).toBe(8);
    const pcie = endpoint.capability(0x10);
    expect([space.read16(pcie + 2), (space.read32(pcie + 4) >>> 28) & 1]).toEqual([0x0092, 1]);
    expect(endpoint.extendedCapability(DSA.PASID_CAP.id)).toBe(0);
  });

  test('with address spaces it has ATS, PASID and PRI where real parts have them', () => {
    const { endpoint } = new Fixture({ pasid: true });
    const { space } = endpoint;
    expect([0x0f, 0x1b, 0x13, 0x23].map((id) => endpoint.extendedCapability(id))).toEqual([0x220, 0x230, 0x240, 0x200]);
    expect([space.read16(0x234), space.read32(0x248), space.read16(0x208)]).toEqual([0x1404, 0x200, 5]);
  });

  test.each<DsaOptions>([
    { workQueues: 0 },
    { workQueues: 129 },
    { engines: 65 },
    { groups: 0 },
    { wqSizeTotal: 0x1_0000 },
    { maxBatch: 3 },
    { maxTransfer: 2 ** 32 },
    { msixVectors: 0 },
    { imsMult: 64 },
    { version: 0x300 },
    { descriptorUs: 0 },
  ])('%j cannot be', (options) => {
    expect(() => dsa(options)).toThrow(/^(ERANGE|EINVAL): dsa: /);
  });

  test('the largest part has all its tables apart, inside a larger BAR', () => {
    const f = new Fixture({ workQueues: 128, engines: 64, groups: 64, wqSizeTotal: 1024, opConfig: true, imsMult: 63 });
    expect(f.r64(0x60)).toBe(0x0080_0010_0060_0040n);
    expect([f.regs.sizeBytes, f.portals.sizeBytes]).toEqual([0x8_0000, 128 * 0x4000]);
    f.enable(Array.from({ length: 128 }, (): Queue => ({ size: 8 })));
    expect(f.run({ op: 0 }, 127).status).toBe(1);
    expect(f.r32(0x8000 + 63 * 256 * 16 - 4)).toBe(1);
  });

  test('the variant of real parts: blocks on fault, more slots, handles, operations per queue', () => {
    const f = new Fixture({ blockOnFault: true, imsMult: 8, commandCap: 0x7ffe, opConfig: true, version: 0x200 });
    expect(f.r64(0x10)).toBe(0x915f_2117n);
    expect([f.r32(0), f.r32(0xb0), f.r64(0x20)]).toEqual([0x200, 0x7ffe, 0x005b_0000_0108_0080n]);
  });
});

describe('dsa registers', () => {
  test('M1 after reset every register has the value of the profile, and both halves of a wide one agree', () => {
    expectReset(new Fixture());
  });

  test.each([1, 2, 4, 8])('M2 capabilities keep their value under writes of %i bytes', (bytes) => {
    const f = new Fixture();
    for (let offset = 0; offset < 0x80; offset += bytes) {
      if (bytes === 1) f.regs.write8(offset, 0xff);
      else if (bytes === 2) f.regs.write16(offset, 0xffff);
      else if (bytes === 4) f.regs.write32(offset, 0xffff_ffff);
      else f.regs.write64(offset, 0xffff_ffff, 0xffff_ffff);
    }
    expectReset(f);
  });

  test('M3 the engines of a group read back as written, at once or in halves; bytes and words too', () => {
    const f = new Fixture();
    const at = 0x400 + 2 * 64 + 0x20;
    f.regs.write64(at, 0x1234_5678, 0x9abc_def0);
    expect(f.r64(at)).toBe(0x9abc_def0_1234_5678n);
    f.regs.write64(at, 0, 0);
    f.regs.write32(at, 0x1234_5678);
    f.regs.write32(at + 4, 0x9abc_def0);
    expect(f.r64(at)).toBe(0x9abc_def0_1234_5678n);
    f.regs.write8(at + 1, 0xaa);
    f.regs.write16(at + 6, 0xbbbb);
    expect(f.r64(at)).toBe(0xbbbb_def0_1234_aa78n);
    expect([f.regs.read8(at + 1), f.regs.read16(at + 6)]).toEqual([0xaa, 0xbbbb]);
  });

  test('where no register is reads 0 and takes no writes; what is not aligned or outside reads all ones', () => {
    const f = new Fixture();
    for (const offset of [0x04, 0x100, 0x1f0, 0x1000, 0x4000, 0xfffc]) {
      f.regs.write32(offset, 0x5555_5555);
      expect(f.r32(offset)).toBe(0);
    }
    for (const offset of [0x02, 0x1_0000, -4]) expect(f.r32(offset)).toBe(0xffff_ffff);
    expect(f.r64(0x14)).toBe(0xffff_ffff_ffff_ffffn);
  });

  test('reserved bits of what software writes keep nothing', () => {
    const f = new Fixture();
    f.regs.write32(GENCFG.offset, 0xffff_ffff);
    expect(f.r32(GENCFG.offset)).toBe(0x30ff);
    f.regs.write32(GENCTRL.offset, 0xffff_ffff);
    expect(f.r32(GENCTRL.offset)).toBe(0x7);
    f.regs.write64(0x428, 0xffff_ffff, 0xffff_ffff);
    expect(f.r64(0x428)).toBe(0x0ff0_ffbfn);
    f.regs.write64(0x308, 0xffff_ffff, 0xffff_ffff);
    expect(f.r64(0x308)).toBe(0xffff_f00cn);
    for (let word = 0; word < 8; word++) f.regs.write32(f.wqcfg(1, word), 0xffff_ffff);
    const words = Array.from({ length: 8 }, (_, word) => f.r32(f.wqcfg(1, word)));
    expect(words).toEqual([0xffff, 0xffff, 0x3fff_ffff, 0x1ff, 0x1_ffff, 0x1_ffff, 0, 0]);
  });

  test('a slot of the message store can be accessed at any width', () => {
    const f = new Fixture();
    f.regs.write8(0x8000 + 16 * 3 + 9, 0x5a);
    expect([f.regs.read16(0x8000 + 16 * 3 + 8), f.regs.read8(0x8000 + 16 * 3 + 12)]).toEqual([0x5a00, 1]);
  });

  test('without an event log its registers and its enable bit keep nothing', () => {
    const f = new Fixture({ eventLog: 0 });
    f.regs.write32(GENCFG.offset, 0x3000);
    f.regs.write64(0xe0, 0x1000, 0);
    expect([f.r32(GENCFG.offset), f.r32(0xe0), f.r32(0x10) & 0x6000]).toEqual([0x1000, 0, 0]);
  });
});
