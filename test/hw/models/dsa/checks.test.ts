import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, type Desc, Fixture, RCI, RCR, SOURCE, working } from './fixture.js';

const { FLAGS, OPCODES } = DSA;
const MOVE: Desc = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa checks', () => {
  test('M40 a transfer of 0 bytes or of more than the queue allows is refused, the limit itself is not', () => {
    const f = new Fixture();
    f.enable([{ maxTransferShift: 12 }]);
    const run = (size: number): number => f.run({ ...MOVE, size }).status;
    expect([run(0), run(4097), run(4096)]).toEqual([0x13, 0x13, 1]);
  });

  test('M41 an operation that is not there, or not allowed to the queue, is refused', () => {
    const f = working();
    expect([0x07, 0x0b, 0x0a, 0x17, 0x21, 0xff].map((op) => f.run({ op }).status)).toEqual(new Array(6).fill(0x10));
    const g = new Fixture({ opConfig: true });
    g.configure();
    g.regs.write32(g.wqcfg(0, 8), 0x1);
    g.must(DSA.COMMANDS.enableDevice);
    g.must(DSA.COMMANDS.enableWq, 0);
    expect([g.run(MOVE).status, g.run({}).status]).toEqual([0x10, 1]);
  });

  test('M41 reserved bytes must be zero', () => {
    const f = working();
    const statuses = [38, 40, 44, 48, 56, 63].map((at) => f.run({ ...MOVE, own: [[at, 1, 1]] }).status);
    expect(statuses).toEqual([0x12, 0x12, 0x12, 0x12, 0x12, 0x12]);
    expect(f.run({ ...MOVE, pasid: 0x10_0000 }).status).toBe(0x12);
    expect(f.run({ op: OPCODES.fill, destination: DESTINATION, size: 8, own: [[40, 8, 1]] }).status).toBe(0x12);
  });

  test('M41 a record that is not aligned is not written: the error register has it', () => {
    const f = working();
    f.run({ ...MOVE, completion: CR + 16 });
    expect(f.swerror).toEqual({ valid: 1, overflow: 0, error: 0x1b, wq: 0 });
    expect([f.dma.writes, f.r32(0xc4) & 0xff]).toEqual([[], OPCODES.move]);
  });

  test.each<[string, Desc, number]>([
    ['check result of a move', { ...MOVE, flags: RCR | FLAGS.checkResult }, FLAGS.checkResult],
    ['block on fault where the queue has none', { ...MOVE, flags: RCR | FLAGS.blockOnFault }, FLAGS.blockOnFault],
    ['a flag of other operations', { ...MOVE, flags: RCR | 0x1_0000 }, 0x1_0000],
    ['a reserved flag', { flags: RCR | 0x40 }, 0x40],
    ['check result of a batch', { op: OPCODES.batch, size: 2, flags: RCR | FLAGS.checkResult }, FLAGS.checkResult],
  ])('flags that the operation does not have are refused, and named: %s', (_what, desc, invalid) => {
    expect(working().run(desc)).toMatchObject({ status: 0x11, extra: invalid });
  });

  test('without a record an error is in the error register, with its flags; its interrupt comes', () => {
    const f = working();
    f.run({ ...MOVE, flags: RCI | 0x40, handle: 1 });
    expect([f.swerror.error, f.r32(0xcc), f.irqs]).toEqual([0x11, 0x40, [1]]);
  });
});
