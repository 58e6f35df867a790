import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, type Desc, Fixture, RCI, RCR, SOURCE, encode, working } from './fixture.js';

const { FLAGS, OPCODES } = DSA;
const PAGE = 4096;
const OTHER = 0x3_0000;
const MOVE: Desc = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa batches', () => {
  const LIST = 0x6_0000;
  function list(f: Fixture, members: readonly Desc[]): void {
    members.forEach((desc, i) => f.memory.bytes.set(encode({ completion: CR + 64 + 32 * i, ...desc }), LIST + 64 * i));
  }
  const BATCH: Desc = { op: OPCODES.batch, source: LIST, size: 3 };
  const statuses = (f: Fixture, count: number): number[] =>
    Array.from({ length: count }, (_, i) => f.record(CR + 64 + 32 * i).status);

  test('M46 the members are executed, and the batch tells how many', () => {
    const f = working();
    list(f, [MOVE, {}, { op: OPCODES.fill, source: 1, destination: OTHER, size: 8 }]);
    expect(f.run({ ...BATCH, flags: RCR | RCI, handle: 1 })).toMatchObject({ status: 1, bytes: 3 });
    expect([statuses(f, 3), f.bytes(DESTINATION, 64), f.memory.bytes[OTHER], f.irqs]).toEqual([
      [1, 1, 1],
      f.bytes(SOURCE, 64),
      1,
      [1],
    ]);
  });

  test.each<[string, Desc, number]>([
    ['one descriptor', { ...BATCH, size: 1 }, 0x14],
    ['more than the queue allows', { ...BATCH, size: 33 }, 0x14],
    ['a list that is not aligned', { ...BATCH, source: LIST + 32 }, 0x18],
  ])('M46 a batch of %s is refused', (_what, desc, status) => {
    expect(working().run(desc).status).toBe(status);
  });

  test('M46 a batch, or a drain, in a batch is not there; the others are executed', () => {
    const f = working();
    list(f, [BATCH, { op: OPCODES.drain }, MOVE]);
    expect(f.run(BATCH)).toMatchObject({ status: 0x05, bytes: 3 });
    expect(statuses(f, 3)).toEqual([0x10, 0x10, 1]);
  });

  test('after one that failed, a fence abandons the rest', () => {
    const f = working();
    list(f, [{ op: 0x0b }, MOVE, { flags: RCR | FLAGS.fence }]);
    expect(f.run(BATCH)).toMatchObject({ status: 0x05, bytes: 2 });
    expect(statuses(f, 3)).toEqual([0x10, 1, 0]);
    list(f, [MOVE, { flags: RCR | FLAGS.fence }, {}]);
    expect(f.run(BATCH).status).toBe(1);
  });

  test('a page of the list that is missing ends it behind the last member before', () => {
    const f = working();
    const start = LIST + PAGE - 128;
    f.memory.bytes.set(encode({ completion: CR + 64 }), start);
    f.memory.bytes.set(encode({ completion: CR + 96 }), start + 64);
    f.memory.unmap(LIST + PAGE);
    expect(f.run({ ...BATCH, source: start })).toMatchObject({ status: 0x06, bytes: 2, fault: LIST + PAGE });
    expect(statuses(f, 2)).toEqual([1, 1]);
  });

  test('a member that can be told nowhere is in the error register, with its number', () => {
    const f = working();
    list(f, [{}, { op: 0x0b, flags: 0 }, {}]);
    f.run(BATCH);
    expect([f.swerror.error, f.r32(0xc0) & 0x10, f.r32(0xc8)]).toEqual([0x10, 0x10, 1]);
  });

  test('members wait for pages, too', () => {
    const f = new Fixture({ blockOnFault: true });
    f.enable([{ mode: 0x13 }]);
    f.memory.unmap(DESTINATION);
    list(f, [{}, { ...MOVE, flags: RCR | FLAGS.blockOnFault }, {}]);
    f.store(BATCH);
    f.clock.elapse(10);
    expect(statuses(f, 3)).toEqual([1, 0, 0]);
    f.memory.map(DESTINATION);
    f.dma.requests[0]!.done(true);
    f.clock.elapse(10);
    expect([statuses(f, 3), f.record().bytes]).toEqual([[1, 1, 1], 3]);
  });

  test('an abort in the middle leaves the rest undone', () => {
    const f = working({ bytesPerUs: 1 });
    list(f, [MOVE, MOVE, MOVE]);
    f.store(BATCH);
    f.clock.elapse(50);
    f.must(DSA.COMMANDS.abortWq, 1);
    f.clock.elapse(1000);
    expect([statuses(f, 3), f.record().status, f.clock.pending]).toEqual([[0, 0, 0], 0, 0]);
    expect(f.run({}).status).toBe(1);
  });
});
