import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, type Desc, Fixture, MEMORY_BYTES, RCR, SOURCE, working } from './fixture.js';

const { FLAGS, OPCODES } = DSA;
const PAGE = 4096;
const OTHER = 0x3_0000;
const MOVE: Desc = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa page faults', () => {
  test.each<[string, number, (f: Fixture) => void, number, number]>([
    ['all of the source', 0x03, (f) => f.memory.unmap(SOURCE, 3), SOURCE, 0],
    ['the third page of the source', 0x03, (f) => f.memory.unmap(SOURCE + 2 * PAGE), SOURCE + 2 * PAGE, 2 * PAGE],
    ['all of the destination', 0x83, (f) => f.memory.unmap(DESTINATION, 3), DESTINATION, 0],
    ['a read-only page of the destination', 0x83, (f) => f.memory.protect(DESTINATION + PAGE), DESTINATION + PAGE, PAGE],
  ])('M42 a move stops at the page that is missing: %s', (_what, status, prepare, fault, bytes) => {
    const f = working();
    prepare(f);
    expect(f.run({ ...MOVE, size: 3 * PAGE })).toMatchObject({ status, fault, bytes, result: 0 });
    expect(f.bytes(DESTINATION, bytes)).toEqual(f.bytes(SOURCE, bytes));
    expect(f.bytes(DESTINATION + bytes, 3 * PAGE - bytes)).toEqual(new Uint8Array(3 * PAGE - bytes));
  });

  test('a move towards the end of its own source begins at the end, also when it is stopped', () => {
    const f = working();
    const before = f.bytes(SOURCE, 4 * PAGE);
    f.memory.unmap(SOURCE + PAGE);
    const record = f.run({ ...MOVE, destination: SOURCE + 2 * PAGE + 100, size: 3 * PAGE });
    expect(record).toMatchObject({ status: 0x03, result: 1, bytes: PAGE, fault: SOURCE + 2 * PAGE - 1 });
    expect(f.bytes(SOURCE + 4 * PAGE + 100, PAGE)).toEqual(before.slice(2 * PAGE, 3 * PAGE));
    expect(f.bytes(SOURCE + 2 * PAGE, PAGE)).toEqual(before.slice(2 * PAGE, 3 * PAGE));
  });

  test.each<[string, Desc, number]>([
    ['fill', { op: OPCODES.fill, source: 0x55, destination: DESTINATION, size: 3 * PAGE }, 0x83],
    ['compare', { op: OPCODES.compare, source: OTHER, destination: DESTINATION, size: 3 * PAGE }, 0x03],
    ['compare pattern', { op: OPCODES.comparePattern, source: DESTINATION, destination: 0, size: 3 * PAGE }, 0x03],
    ['crc', { op: OPCODES.crc, source: DESTINATION, size: 3 * PAGE }, 0x03],
    ['copy and crc', { op: OPCODES.copyCrc, source: SOURCE, destination: DESTINATION, size: 3 * PAGE }, 0x83],
    ['dualcast', { op: OPCODES.dualcast, source: SOURCE, destination: DESTINATION, size: 3 * PAGE, own: [[40, 8, OTHER]] }, 0x83],
  ])('%s stops at the page that is missing', (_what, desc, status) => {
    const f = working();
    f.memory.unmap(DESTINATION + 2 * PAGE);
    expect(f.run(desc)).toMatchObject({ status, bytes: 2 * PAGE, fault: DESTINATION + 2 * PAGE });
  });

  test('an address that no bus can carry is a page fault, and so is the end of the address space', () => {
    const f = working();
    f.device.portals.movdir64b(
      0x1000,
      Uint32Array.of(0, 0x0300_000c, CR, 0, SOURCE, 0, 0x1234, 0xffff_ffff, 8, 0, 0, 0, 0, 0, 0, 0),
    );
    f.clock.elapse(10);
    expect([f.record().status, f.memory.view.getUint32(CR + 8, true), f.memory.view.getUint32(CR + 12, true)]).toEqual([
      0x83, 0x1234, 0xffff_ffff,
    ]);
    expect(f.run({ ...MOVE, source: 2 ** 53 - 8, size: 64 })).toMatchObject({ status: 0x03, fault: 2 ** 53 - 8 });
  });

  test('M45 a queue that blocks on faults waits for the page, and goes on or fails with it', () => {
    const f = new Fixture({ blockOnFault: true });
    f.enable([{ mode: 0x13 }]);
    f.seed(SOURCE, 2 * PAGE);
    f.memory.unmap(DESTINATION + PAGE);
    const desc = { ...MOVE, size: 2 * PAGE, flags: RCR | FLAGS.blockOnFault };
    f.store(desc);
    f.clock.elapse(1000);
    expect(f.dma.requests.map(({ address, isWrite, pasid }) => [address, isWrite, pasid])).toEqual([
      [DESTINATION + PAGE, true, undefined],
    ]);
    expect([f.record().status, f.r32(f.wqcfg(0, 6)) & 0xffff]).toEqual([0, 1]);
    f.memory.map(DESTINATION + PAGE);
    f.dma.requests[0]!.done(true);
    f.dma.requests[0]!.done(false);
    f.clock.elapse(1);
    expect([f.record().status, f.bytes(DESTINATION, 2 * PAGE)]).toEqual([1, f.bytes(SOURCE, 2 * PAGE)]);
    f.memory.unmap(SOURCE);
    f.store(desc);
    f.clock.elapse(1);
    f.dma.requests[1]!.done(false);
    f.clock.elapse(1);
    expect(f.record()).toMatchObject({ status: 0x04, fault: SOURCE });
    expect(f.run({ ...desc, flags: RCR }).status).toBe(0x03);
  });

  test.each(['difInsert', 'difStrip'] as const)('%s of a part of a block waits for no page, and is refused', (name) => {
    const f = new Fixture({ blockOnFault: true });
    f.enable([{ mode: 0x13 }]);
    const desc = { op: DSA.OPCODES[name], flags: RCR | FLAGS.blockOnFault, source: SOURCE, destination: DESTINATION };
    expect([f.run({ ...desc, size: 700 }).status, f.dma.requests]).toEqual([DSA.STATUS.transferSize, []]);
  });

  test.each(['abort', 'reset'])('a page that comes after an %s moves nothing any more', (how) => {
    const f = new Fixture({ blockOnFault: true, engines: 1 });
    f.enable([{ mode: 0x13 }]);
    f.memory.unmap(SOURCE);
    f.store({ ...MOVE, flags: RCR | FLAGS.blockOnFault });
    f.clock.elapse(10);
    if (how === 'abort') f.must(DSA.COMMANDS.abortWq, 1);
    else f.endpoint.reset('function');
    f.clock.elapse(1);
    f.memory.map(SOURCE);
    f.dma.requests[0]!.done(true);
    f.clock.elapse(10);
    expect([f.dma.writes, f.clock.pending]).toEqual([[], 0]);
    if (how === 'reset') return;
    // The engine is at rest once: two that follow each other do not both find it idle.
    f.store({ ...MOVE, completion: CR + 32 });
    expect([f.run(MOVE).status, f.record(CR + 32).status]).toEqual([1, 1]);
  });
});

test('nothing is read or written behind the end of memory', () => {
  const f = working();
  expect(f.run({ ...MOVE, destination: MEMORY_BYTES - 32 })).toMatchObject({ status: 0x83, bytes: 32, fault: MEMORY_BYTES });
});
