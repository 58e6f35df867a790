import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, DEDICATED, Fixture, RCI, RCR, SOURCE, withPasid } from './fixture.js';

const { COMMANDS, OPCODES } = DSA;
const MOVE = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa message store', () => {
  const slot = (n: number): number => 0x8000 + 16 * n;
  function program(f: Fixture, n: number, control: number): void {
    f.regs.write32(slot(n), 0x1234_5000);
    f.regs.write32(slot(n) + 4, 0x9);
    f.regs.write32(slot(n) + 8, 0x77);
    f.regs.write32(slot(n) + 12, control);
  }

  test('M60 a slot at reset is masked, and reads back what is written', () => {
    const f = new Fixture();
    program(f, 255, 0xabcd_e009);
    expect([0, 4, 8, 12].map((word) => f.r32(slot(255) + word))).toEqual([0x1234_5000, 9, 0x77, 0xabcd_e009]);
    expect(f.r32(slot(256))).toBe(0);
  });

  test('M61 on a portal of the store a handle is a slot, on the others a message of MSI-X', () => {
    const f = new Fixture();
    f.enable();
    program(f, 5, 0);
    f.run({ flags: RCR | RCI, handle: 5 }, 0, 3);
    expect([f.posted, f.irqs]).toEqual([[[0x1234_5000, 9, 0x77]], []]);
    f.run({ flags: RCR | RCI, handle: 5 }, 0, 1);
    expect([f.posted.length, f.irqs]).toEqual([1, [5]]);
    program(f, 0, 0);
    expect([f.run({ flags: RCR | RCI, handle: 0 }, 0, 2).status, f.posted.length]).toEqual([1, 2]);
  });

  test('M62 a masked slot is pending, and sends one message when it is unmasked', () => {
    const f = new Fixture();
    f.enable();
    program(f, 5, 1);
    for (let i = 0; i < 3; i++) f.run({ flags: RCR | RCI, handle: 5 }, 0, 3);
    expect([f.posted, f.r32(slot(5) + 12)]).toEqual([[], 3]);
    f.regs.write32(slot(5) + 12, 0);
    expect([f.posted.length, f.r32(slot(5) + 12)]).toEqual([1, 0]);
  });

  test('M63 a slot serves the PASID that it names, until it is told another', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{ mode: withPasid(9) }, { mode: withPasid(8) }, { mode: DEDICATED }]);
    program(f, 5, 0x9008);
    const use = (wq: number): number => {
      f.store({ flags: RCR | RCI, handle: 5 }, wq, 3);
      const space = f.dma.space([9, 8, 0][wq]);
      f.clock.elapse(10);
      return f.record(CR, space).status;
    };
    expect([[0, 1, 2].map(use), f.posted.length]).toEqual([[1, 0x19, 0x19], 1]);
    f.regs.write32(slot(5) + 12, 0x8008);
    expect([[0, 1].map(use), f.posted.length]).toEqual([[0x19, 1], 2]);
  });
});

describe('dsa event log', () => {
  const LOG = 0x4_0000;
  /** Descriptors that nobody can be told of but by the log. */
  const BAD = { op: 0x0b, flags: 0 };
  function withLog(control = 4): Fixture {
    const f = new Fixture();
    f.regs.write64(0xe0, LOG, 0);
    f.regs.write64(0xe8, 64, 0);
    f.regs.write32(DSA.GENCTRL.offset, control);
    f.enable([{ size: 64 }], 0x3000);
    return f;
  }
  const tail = (f: Fixture): number => f.r32(0xf4) & 0xffff;

  test('M64 a full log takes no more and says so by the error register; it goes on when there is room, and wraps', () => {
    const f = withLog();
    for (let i = 0; i < 63; i++) f.run(BAD);
    expect([tail(f), f.swerror.valid]).toEqual([63, 0]);
    f.run({ ...BAD, op: 0x0c });
    expect(tail(f)).toBe(63);
    expect(f.swerror).toMatchObject({ valid: 1, overflow: 1, error: 0x10 });
    f.regs.write32(0xf0, 10);
    f.run({ ...BAD, op: 0x0d });
    expect([tail(f), f.memory.view.getUint8(LOG + 63 * 64 + 4), f.r32(0xf0)]).toEqual([0, 0x0d, 10]);
  });

  test('M65 an entry is whole in memory before the tail moves; then it is pending, and interrupts if it may', () => {
    const f = withLog();
    const tails: number[] = [];
    f.store({ ...BAD, handle: 0x1234 });
    f.dma.during = () => tails.push(f.r32(0xf4), f.memory.view.getUint32(LOG, true));
    f.clock.elapse(10);
    expect(tails).toEqual([0, 0, 0x4000_0001, 0x0000_100c]);
    expect([f.r32(DSA.INTCAUSE.offset), f.irqs, f.memory.view.getUint32(LOG + 4, true)]).toEqual([0x20, [0], 0x0b]);
    f.regs.write32(0xf4, 0x4000_0000);
    expect(f.r32(0xf4)).toBe(1);
    const quiet = withLog(0);
    quiet.run(BAD);
    expect([quiet.r32(0xf4), quiet.r32(DSA.INTCAUSE.offset), quiet.irqs]).toEqual([0x4000_0001, 0, []]);
  });

  test('M66 turning the log on begins it anew; while it is on its place cannot be changed', () => {
    const f = withLog();
    f.run(BAD);
    f.regs.write64(0xe0, 0x1000, 0);
    expect([tail(f), f.r32(0xe0)]).toEqual([1, LOG]);
    f.must(COMMANDS.disableDevice);
    f.regs.write32(DSA.GENCFG.offset, 0);
    expect(tail(f)).toBe(1);
    f.regs.write32(DSA.GENCFG.offset, 0x2000);
    expect([tail(f), f.r32(0xf0)]).toEqual([0, 0]);
  });

  test('M67 a record that cannot be written is logged with the record, for work with a PASID alone', () => {
    const f = new Fixture({ pasid: true });
    f.regs.write64(0xe0, LOG, 0);
    f.regs.write64(0xe8, 64, 0);
    f.enable([{ mode: withPasid(7) }, {}], 0x3000);
    f.dma.space(7).unmap(CR);
    f.store({ ...MOVE, flags: RCR });
    f.clock.elapse(10);
    const { view } = f.memory;
    expect([view.getUint32(LOG, true), view.getUint32(LOG + 4, true), view.getUint32(LOG + 12, true)]).toEqual([
      0x0000_1aac, 0x0000_0703, 0x0004_0000,
    ]);
    expect([view.getUint32(LOG + 16, true), view.getUint8(LOG + 32), view.getUint32(LOG + 36, true)]).toEqual([CR, 1, 64]);
    f.memory.unmap(CR);
    f.run({ ...MOVE }, 1);
    expect([tail(f), f.swerror]).toEqual([1, { valid: 1, overflow: 0, error: 0x1a, wq: 1 }]);
  });

  test('a log that cannot be written, or is too short, leaves the error register', () => {
    const f = withLog();
    f.memory.unmap(LOG);
    f.run(BAD);
    expect([tail(f), f.swerror.error]).toEqual([0, 0x10]);
    const short = new Fixture();
    short.enable([{}], 0x3000);
    short.run(BAD);
    expect([short.swerror.error, short.guestErrors.length]).toEqual([0x10, 1]);
  });

  test('it may be in an address space of its own', () => {
    const f = new Fixture({ pasid: true });
    f.regs.write64(0xe0, LOG | 1, 0);
    f.regs.write64(0xe8, 64 | (3 << 16), 0x1);
    f.enable([{}], 0x3000);
    const space = f.dma.space(0x1_0003);
    f.run(BAD);
    expect([space.view.getUint8(LOG + 4), f.memory.view.getUint8(LOG + 4)]).toEqual([0x0b, 0]);
  });
});
