import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, Fixture, RCI, RCR, SHARED, SOURCE, encode, wordsOf } from './fixture.js';

const { COMMANDS, OPCODES } = DSA;
const MOVE = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa portals', () => {
  test('M30 eight writes of 8 bytes are one descriptor, seven are none', () => {
    const f = new Fixture();
    f.enable();
    const words = wordsOf(encode({}));
    for (let i = 0; i < 14; i += 2) f.portals.write64(0x1000 + 4 * i, words[i]!, words[i + 1]!);
    expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(0);
    f.portals.write64(0x1038, words[14]!, words[15]!);
    expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(1);
    f.clock.elapse(10);
    expect([f.record().status, f.r32(f.wqcfg(0, 6)) & 0xffff]).toEqual([1, 0]);
  });

  test('M31 pieces of any width, in any order, of two slots at once, are two descriptors', () => {
    const f = new Fixture();
    f.enable();
    const [one, other] = [wordsOf(encode({})), encode({ completion: CR + 32 })];
    for (let i = 15; i >= 0; i--) {
      f.portals.write32(0x1000 + 4 * i, one[i]!);
      f.portals.write16(0x1040 + 4 * i + 2, other[4 * i + 2]! | (other[4 * i + 3]! << 8));
      f.portals.write8(0x1040 + 4 * i + 1, other[4 * i + 1]!);
      f.portals.write8(0x1040 + 4 * i, other[4 * i]!);
    }
    expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(2);
    f.clock.elapse(10);
    expect([f.record(CR).status, f.record(CR + 32).status]).toEqual([1, 1]);
  });

  test('M32 what has arrived in part is forgotten when the queue is disabled', () => {
    const f = new Fixture();
    f.enable();
    const words = wordsOf(encode({}));
    for (let i = 0; i < 14; i += 2) f.portals.write64(0x1000 + 4 * i, words[i]!, words[i + 1]!);
    f.must(COMMANDS.disableWq, 1);
    f.must(COMMANDS.enableWq, 0);
    f.portals.write64(0x1038, words[14]!, words[15]!);
    expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(0);
    expect(f.run({}).status).toBe(1);
  });

  test('M33 an offset names the queue, and of its four portals the kind of handle', () => {
    const f = new Fixture();
    f.enable([{}, {}, {}]);
    f.regs.write32(0x8000 + 16 * 2 + 12, 0);
    for (const page of [0, 1, 2, 3]) f.run({ flags: RCR | RCI, handle: 2 }, 2, page);
    expect([f.irqs, f.posted.length]).toEqual([[2, 2], 2]);
  });

  test('they read all ones; what is not aligned, or of a queue that is not there, is told and lost', () => {
    const f = new Fixture({ workQueues: 3 });
    expect([f.portals.sizeBytes, f.portals.read32(0x1000), f.portals.read16(0), f.portals.read8(0)]).toEqual([
      0x1_0000, 0xffff_ffff, 0xffff, 0xff,
    ]);
    f.portals.write64(0x1004, 0, 0);
    f.portals.write32(0x1002, 0);
    f.portals.write32(3 * 0x4000, 0);
    f.device.portals.movdir64b(0x1020, new Uint32Array(16));
    expect([f.device.portals.enqcmd(0x1020, new Uint32Array(16)), f.guestErrors.length]).toEqual([true, 5]);
  });

  test.each<[string, (f: Fixture) => void]>([
    ['a queue that is disabled', (f) => f.must(COMMANDS.disableWq, 1)],
    ['a device that is disabled', (f) => f.must(COMMANDS.disableDevice)],
  ])('M34 a descriptor for %s leaves no record, changes no memory and interrupts nobody', (_what, prepare) => {
    const f = new Fixture();
    f.enable();
    f.seed(SOURCE, 64);
    prepare(f);
    expect(f.run({ ...MOVE, flags: RCR | RCI, handle: 1 }).status).toBe(0);
    expect([f.dma.writes, f.irqs, f.guestErrors.length]).toEqual([[], [], 1]);
  });

  test('M35 a store at once is a descriptor; at a shared queue it is lost', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{}, { mode: SHARED, threshold: 4 }]);
    const words = wordsOf(encode({ pasid: 5 }));
    f.device.portals.movdir64b(0x1040, words);
    f.device.portals.movdir64b(0x5040, words);
    expect([0, 1].map((wq) => f.r32(f.wqcfg(wq, 6)) & 0xffff)).toEqual([1, 0]);
  });
});

describe('dsa completion', () => {
  test.each([
    ['a record and no interrupt', RCR, 1, []],
    ['an interrupt and no record of a success', DSA.FLAGS.completionValid | RCI, 0, [1]],
    ['an interrupt without any record', RCI, 0, [1]],
    ['both', RCR | RCI, 1, [1]],
    ['nothing', 0, 0, []],
  ])('M36 it may be asked for %s', (_what, flags, status, irqs) => {
    const f = new Fixture();
    f.enable();
    expect(f.run({ ...MOVE, flags, handle: 1 }).status).toBe(status);
    expect([f.irqs, f.swerror.valid, f.bytes(DESTINATION, 64)]).toEqual([irqs, 0, f.bytes(SOURCE, 64)]);
  });

  test('M37 the status is written last, and the interrupt comes when it is there', () => {
    const f = new Fixture();
    f.enable();
    const seen: number[] = [];
    f.store({ ...MOVE, flags: RCR | RCI, handle: 1 });
    f.dma.during = () => seen.push(f.memory.view.getUint32(CR + 4, true) * 16 + f.record().status);
    f.clock.elapse(10);
    expect(f.dma.writes.slice(-2)).toEqual([
      [CR + 4, 28],
      [CR, 4],
    ]);
    expect([seen.at(-2), seen.at(-1)]).toEqual([64 * 16, 64 * 16 + 1]);
  });

  test('M38 unprivileged work interrupts only when GENCFG allows it', () => {
    const f = new Fixture();
    f.enable([{}], 0);
    expect(f.run({ flags: RCR | RCI, handle: 1 })).toMatchObject({ status: 0x11, extra: RCI });
    expect(f.irqs).toEqual([]);
    const allowed = new Fixture();
    allowed.enable();
    expect([allowed.run({ flags: RCR | RCI, handle: 1 }).status, allowed.irqs]).toEqual([1, [1]]);
  });

  test.each([0, 9, 0xffff])('M39 handle %i stands for no message: status 0x19, no interrupt, nothing done', (handle) => {
    const f = new Fixture();
    f.enable();
    expect(f.run({ ...MOVE, flags: RCR | RCI, handle }).status).toBe(0x19);
    expect([f.irqs, f.dma.writes.length]).toEqual([[], 2]);
  });
});
