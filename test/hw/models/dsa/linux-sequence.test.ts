import { expect, test } from 'vitest';
import { CR, DESTINATION, Fixture, SOURCE } from './fixture.js';

// Linux 6.12 drivers/dma/idxd: init.c, device.c, irq.c; the literal accesses, as they are seen on a bus.
test('Linux resets, configures, enables, copies, disables and begins again', () => {
  const f = new Fixture();
  const w32 = (offset: number, value: number): void => f.regs.write32(offset, value >>> 0);
  const w64 = (offset: number, value: number): void => f.regs.write64(offset, value, 0);
  let misc = 0;
  const withInterrupt = (value: number): number => {
    w32(0xa0, value);
    expect(f.irqs.filter((n) => n === 0).length).toBe(++misc);
    expect(f.r32(0x98)).toBe(2);
    w32(0x98, 2);
    return f.r32(0xa8);
  };
  const writeQueue = (): void => {
    const shadow = [16, 0, 0x2000_00a1, 0xb5, 0, 0, 0, 0];
    shadow.forEach((value, word) => w32(0x800 + 4 * word, (f.r32(0x800 + 4 * word) | value) >>> 0));
    for (let group = 0; group < 4; group++) {
      w64(0x400 + 64 * group, group === 0 ? 1 : 0);
      for (const at of [8, 0x10, 0x18]) w64(0x400 + 64 * group + at, 0);
      w64(0x420 + 64 * group, group === 0 ? 1 : 0);
      w64(0x428 + 64 * group, 0x0600_0009);
    }
  };
  for (let cycle = 0; cycle < 2; cycle++) {
    expect([f.r32(0x00), f.r32(0x90)]).toEqual([0x100, 0]);
    w32(0xa0, 0x0050_0000);
    expect(f.r32(0xa8)).toBe(0);
    w32(0x88, f.r32(0x88) | 3);
    writeQueue();
    w32(0x80, f.r32(0x80) | 0x1000);
    w64(0xe0, 0x4_0000);
    w64(0xe8, 0x40);
    w32(0x88, f.r32(0x88) | 4);
    w32(0x80, f.r32(0x80) | 0x2000);
    expect(withInterrupt(0x8010_0000)).toBe(0);
    for (let bind = 0; bind < 2; bind++) {
      writeQueue();
      expect(withInterrupt(0x8060_0000)).toBe(0);
      f.seed(SOURCE, 4096, cycle + bind + 3);
      const done = f.irqs.length;
      f.store({ op: 3, flags: 0x1c, source: SOURCE, destination: DESTINATION, size: 4096, handle: 1 }, 0, 1, 63);
      f.clock.elapse(10);
      expect([f.record(), f.irqs.slice(done)]).toEqual([{ status: 1, result: 0, bytes: 4096, fault: 0, extra: 0 }, [1]]);
      expect(f.bytes(DESTINATION, 4096)).toEqual(f.bytes(SOURCE, 4096));
      f.memory.bytes.fill(0, CR, CR + 32);
      expect(withInterrupt(0x8080_0001)).toBe(0);
      w32(0x308, 0);
      expect(withInterrupt(0x80a0_0001)).toBe(0);
    }
    expect(withInterrupt(0x8020_0000)).toBe(0);
    expect(withInterrupt(0x8050_0000)).toBe(0);
    w32(0x88, f.r32(0x88) | 3);
    // It is written from a variable that was never set, but for the bit of the event log.
    w32(0x80, 0xdead_8000);
    w32(0x88, f.r32(0x88) & ~4);
    w64(0xe0, 0);
    w64(0xe8, 0);
    for (const mask of [~1, ~2]) w32(0x88, f.r32(0x88) & mask);
    expect([f.r32(0x90), f.r32(0x88), f.r32(0x98), f.swerror.valid, f.guestErrors]).toEqual([0, 0, 0, 0, []]);
  }
});
