import { describe, expect, test } from 'vitest';
import { Bridge, type BridgeOptions, bridge, pcie } from '../../../hw/endpoint/index.js';
import { RecordingPort } from './fixture.js';

function make(options?: BridgeOptions): { bridge: Bridge; resets: () => number } {
  let resets = 0;
  const made = new Bridge(bridge(options), new RecordingPort(), () => resets++);
  return { bridge: made, resets: () => resets };
}

describe('the type 1 header', () => {
  test('a root port says what it is', () => {
    const { space } = make().bridge;
    expect([space.read8(0x0e), space.read32(0x08) >>> 8]).toEqual([1, 0x06_0400]);
    const pcie = make().bridge.capability(0x10);
    expect(space.read16(pcie + 2)).toBe(0x0042);
  });

  test('windows and bus numbers have the masks of the specification', () => {
    const { space } = make().bridge;
    for (let offset = 0x18; offset < 0x40; offset += 4) space.write32(offset, 0xffff_ffff);
    expect(space.read32(0x18)).toBe(0x00ff_ffff);
    expect(space.read16(0x1c)).toBe(0xf1f1);
    expect(space.read32(0x20)).toBe(0xfff0_fff0);
    expect(space.read32(0x24)).toBe(0xfff1_fff1);
    expect([space.read32(0x28), space.read32(0x2c), space.read32(0x30)]).toEqual([0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
    expect(space.read32(0x38)).toBe(0);
    expect(space.read16(0x3e)).toBe(0x0047);
  });

  test('a bridge without an I/O window reads 0 there and forwards none', () => {
    const { bridge: none } = make({ ioWindow: false });
    none.space.write16(0x1c, 0xf0f0);
    none.space.write16(0x04, 0x1);
    expect([none.space.read16(0x1c), none.forwards('io', 0)]).toEqual([0, false]);
  });
});

describe('forwarding', () => {
  test('memory goes through the two windows, while memory is enabled', () => {
    const { bridge: port } = make();
    port.space.write32(0x20, 0xc010_c000);
    port.space.write32(0x24, 0x0001_0001);
    port.space.write32(0x28, 0x80);
    port.space.write32(0x2c, 0x80);
    const through = (): boolean[] =>
      [0xbfff_ffff, 0xc000_0000, 0xc01f_ffff, 0xc020_0000, 0x80 * 2 ** 32, 0x80 * 2 ** 32 + 2 ** 20].map((a) =>
        port.forwards('mem', a),
      );
    expect(through()).toEqual([false, false, false, false, false, false]);
    port.space.write16(0x04, 0x2);
    expect(through()).toEqual([false, true, true, false, true, false]);
  });

  test('a window whose limit is below its base is closed', () => {
    const { bridge: port } = make();
    port.space.write16(0x04, 0x2);
    port.space.write32(0x20, 0xc000_c010);
    expect(port.forwards('mem', 0xc000_0000)).toBe(false);
  });

  test('I/O goes through its window, without the ISA aliases when asked', () => {
    const { bridge: port } = make();
    port.space.write16(0x04, 0x1);
    port.space.write16(0x1c, 0x2020);
    expect([0x1fff, 0x2000, 0x2300, 0x2fff, 0x3000].map((a) => port.forwards('io', a))).toEqual([false, true, true, true, false]);
    port.space.write16(0x3e, 0x4);
    expect([0x2000, 0x2300].map((a) => port.forwards('io', a))).toEqual([true, false]);
  });

  test('configuration goes to the buses from secondary to subordinate, once they are given', () => {
    const { bridge: port } = make();
    expect(port.routes(0)).toBe(false);
    port.space.write32(0x18, 0x0004_0200);
    expect([1, 2, 4, 5].map((bus) => port.routes(bus))).toEqual([false, true, true, false]);
  });

  test('a secondary bus reset is started once and holds until it is taken back', () => {
    const { bridge: port, resets } = make();
    port.space.write32(0x18, 0x0001_0100);
    port.space.write16(0x3e, 0x40);
    port.space.write16(0x3e, 0x41);
    expect([port.inReset, port.routes(1), resets()]).toEqual([true, false, 1]);
    port.space.write16(0x3e, 0);
    expect([port.inReset, port.routes(1), resets()]).toEqual([false, true, 1]);
    port.space.write16(0x3e, 0x40);
    expect(resets()).toBe(2);
  });

  test('a hot-plug slot shows that a device is there, and that it changed', () => {
    const { bridge: port } = make({ hotplug: true, slot: 5 });
    const at = port.capability(0x10);
    expect(port.space.read32(at + 0x14)).toBe(0x0028_0060);
    port.setPresent(true);
    expect([port.space.read16(at + 0x1a), port.space.read16(at + 0x12) & 0x2000]).toEqual([0x148, 0x2000]);
    port.space.write16(at + 0x1a, 0x108);
    expect(port.space.read16(at + 0x1a)).toBe(0x40);
    port.setPresent(false);
    expect([port.space.read16(at + 0x1a), port.space.read16(at + 0x12) & 0x2000]).toEqual([0x108, 0]);
  });

  test('a link of 16 lanes keeps its width when a device comes to its slot', () => {
    const capabilities = [pcie({ type: 'root-port', linkWidth: 16, slot: { number: 1 } })];
    const port = new Bridge({ ...bridge({ hotplug: true }), capabilities }, new RecordingPort(), () => {});
    port.setPresent(true);
    expect(port.space.read16(port.capability(0x10) + 0x12)).toBe(0x2103);
  });
});
