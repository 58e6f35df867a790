import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, Fixture, RCI, RCR, SHARED, SOURCE, encode, withPasid, wordsOf } from './fixture.js';

const { COMMANDS, OPCODES } = DSA;
const MOVE = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa work queues', () => {
  test('M47 a drain goes on until all that was accepted before it is completed, told and interrupted', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    const at: [number, number][] = [];
    for (let i = 0; i < 3; i++) f.store({ ...MOVE, flags: RCR | RCI, completion: CR + 32 * i, handle: 1 });
    f.dma.during = () => {
      if (f.irqs.length > at.length) at.push([f.irqs.length, f.r32(DSA.CMDSTATUS.offset)]);
    };
    expect(f.command(COMMANDS.drainWq, 1)).toBe(0x8000_0000);
    f.store({ ...MOVE, size: 4096, completion: CR + 96 });
    f.clock.elapse(100);
    f.dma.during = () => {};
    expect(at).toEqual([
      [1, 0x8000_0000],
      [2, 0x8000_0000],
    ]);
    expect([0, 1, 2, 3].map((i) => f.record(CR + 32 * i).status)).toEqual([1, 1, 1, 0]);
    expect([f.irqs, f.r32(DSA.CMDSTATUS.offset)]).toEqual([[1, 1, 1], 0]);
    f.clock.elapse(5000);
    expect(f.record(CR + 96).status).toBe(1);
  });

  test('M48 a queue of 2 loses the third descriptor, and holds no more than 2', () => {
    const f = new Fixture();
    f.enable([{ size: 2 }]);
    for (let i = 0; i < 3; i++) {
      f.store({ completion: CR + 32 * i });
      expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(Math.min(i + 1, 2));
    }
    f.clock.elapse(10);
    expect([0, 1, 2].map((i) => f.record(CR + 32 * i).status)).toEqual([1, 1, 0]);
  });

  test('M49 a shared queue asks for another try: at its threshold, at its size, and while it cannot take any', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{ size: 3, threshold: 2, mode: SHARED }, {}]);
    const words = wordsOf(encode({ pasid: 5 }));
    const enqcmd = (offset: number): boolean => f.device.portals.enqcmd(offset, words);
    expect([enqcmd(0x1000), enqcmd(0x1000), enqcmd(0x1000)]).toEqual([false, false, true]);
    expect([enqcmd(0x0000), enqcmd(0x0000), enqcmd(0x5000)]).toEqual([false, true, true]);
    f.clock.elapse(10);
    expect([f.r32(f.wqcfg(0, 6)) & 0xffff, enqcmd(0x1000)]).toEqual([0, false]);
    f.command(COMMANDS.disableWq, 1);
    f.clock.elapse(10);
    expect(enqcmd(0x1000)).toBe(true);
    expect(f.device.portals.enqcmd(0x1000, wordsOf(encode({})))).toBe(true);
  });

  test('a shared queue drops what has no PASID', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{ threshold: 2, mode: SHARED }]);
    expect([f.device.portals.enqcmd(0x1000, wordsOf(encode({}))), f.r32(f.wqcfg(0, 6)) & 0xffff]).toEqual([false, 0]);
  });

  test('M50 shared work is done in the PASID of the descriptor, dedicated work in that of the queue', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{ mode: SHARED, threshold: 4 }, { mode: withPasid(7) }]);
    for (const pasid of [5, 7]) f.seed(SOURCE, 64, pasid, f.dma.space(pasid));
    f.device.portals.enqcmd(0x1000, wordsOf(encode({ ...MOVE, pasid: 5 })));
    f.store({ ...MOVE, pasid: 5, completion: CR + 32 }, 1);
    f.clock.elapse(10);
    expect([f.record(CR, f.dma.space(5)).status, f.record(CR + 32, f.dma.space(7)).status]).toEqual([1, 1]);
    for (const pasid of [5, 7])
      expect(f.bytes(DESTINATION, 64, f.dma.space(pasid))).toEqual(f.bytes(SOURCE, 64, f.dma.space(pasid)));
    expect([f.bytes(DESTINATION, 64), f.record().status]).toEqual([new Uint8Array(64), 0]);
  });

  test('M51 handles are given out for messages, and are worth nothing after they were revoked', () => {
    const f = new Fixture({ commandCap: 0x7ffe });
    f.enable();
    const request = (): number => f.command(COMMANDS.requestHandle, 1) >>> 8;
    const handle = request();
    expect([handle, request()]).toEqual([0x21, 0x21]);
    const use = (h: number): number => f.run({ flags: RCR | RCI, handle: h }).status;
    expect([use(handle), f.irqs, use(1)]).toEqual([1, [1], 0x19]);
    f.device.revokeHandles();
    expect([f.r32(DSA.INTCAUSE.offset), f.irqs, use(handle)]).toEqual([0x8000_0000, [1, 0], 0x19]);
    const again = request();
    expect([again === handle, use(again), f.irqs]).toEqual([false, 1, [1, 0, 1]]);
    expect([0, 9].map((index) => f.command(COMMANDS.requestHandle, index))).toEqual([0x41, 0x41]);
    expect(f.command(COMMANDS.releaseHandle, again)).toBe(0);
    expect([f.command(COMMANDS.releaseHandle, again), use(again)]).toEqual([0x43, 0x19]);
    expect(f.command(COMMANDS.requestHandle, 0x1_0000)).not.toBe(0x41);
    expect(f.command(COMMANDS.requestHandle, 0x1_0100)).toBe(0x41);
  });

  test('M52 a message is for the PASID that its permission names, or for all', () => {
    const f = new Fixture({ pasid: true });
    f.enable([{ mode: withPasid(5) }, { mode: withPasid(7) }, {}]);
    const use = (wq: number): number => {
      const pasid = [5, 7, 0][wq]!;
      f.store({ flags: RCR | RCI, handle: 1 }, wq);
      f.dma.space(pasid).bytes[CR] = 0;
      f.clock.elapse(10);
      return f.record(CR, f.dma.space(pasid)).status;
    };
    f.regs.write32(0x308, 0x7008);
    expect([[0, 1, 2].map(use), f.irqs]).toEqual([[0x19, 1, 0x19], [1]]);
    f.regs.write32(0x308, 0);
    expect([0, 1, 2].map(use)).toEqual([0x19, 0x19, 1]);
    f.regs.write32(0x308, 0x7004);
    expect([0, 1, 2].map(use)).toEqual([1, 1, 1]);
  });

  test('M53 aborted work is neither done nor told; the other queues go on', () => {
    const f = new Fixture({ bytesPerUs: 1, engines: 1 });
    f.enable([{}, {}]);
    for (let i = 0; i < 4; i++) f.store({ ...MOVE, completion: CR + 32 * i }, i % 2);
    f.must(COMMANDS.abortWq, 1);
    expect(f.r32(f.wqcfg(0, 6))).toBe(0x4000_0000);
    f.clock.elapse(1000);
    expect([0, 1, 2, 3].map((i) => f.record(CR + 32 * i).status)).toEqual([0, 1, 0, 1]);
    expect(f.run({ ...MOVE }, 0).status).toBe(1);
  });

  test('M54 draining or aborting a PASID leaves the work of others alone', () => {
    const f = new Fixture({ pasid: true, bytesPerUs: 1, engines: 1 });
    f.enable([{ mode: SHARED, threshold: 8 }]);
    const submit = (pasid: number, completion: number): boolean => {
      f.dma.space(pasid);
      return f.device.portals.enqcmd(0x1000, wordsOf(encode({ ...MOVE, pasid, completion })));
    };
    submit(5, CR);
    submit(6, CR);
    submit(6, CR + 32);
    submit(5, CR + 32);
    f.must(COMMANDS.abortPasid, 6);
    expect(f.command(COMMANDS.drainPasid, 5)).toBe(0x8000_0000);
    f.clock.elapse(200);
    expect(f.r32(DSA.CMDSTATUS.offset)).toBe(0);
    const statuses = [5, 6].map((pasid) => [CR, CR + 32].map((at) => f.record(at, f.dma.space(pasid)).status));
    expect(statuses).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(f.r32(f.wqcfg(0, 6)) & 0xffff).toBe(0);
  });

  test('M54 a drain that is aborted with what it waited for is not told, and its entry is free once', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable([{ size: 2 }, {}]);
    f.store({ ...MOVE, size: 200 });
    f.store({ op: OPCODES.drain, completion: CR + 32 });
    f.clock.elapse(10);
    f.must(COMMANDS.abortPasid, 0);
    f.clock.elapse(1000);
    expect([f.record().status, f.record(CR + 32).status, f.r32(f.wqcfg(0, 6))]).toEqual([0, 0, 0x4000_0000]);
    expect(f.run(MOVE).status).toBe(1);
  });

  test('M55 a drain descriptor completes when what is before it in its queue is complete', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    f.store({ ...MOVE, size: 200 });
    f.store({ op: OPCODES.drain, flags: RCI, handle: 1 });
    f.store({ ...MOVE, size: 10, completion: CR + 32 });
    f.clock.elapse(100);
    expect([f.irqs, f.record(CR + 32).status]).toEqual([[], 1]);
    while (f.record().status === 0) {
      expect(f.irqs).toEqual([]);
      f.clock.elapse(1);
    }
    f.clock.elapse(1);
    expect(f.irqs).toEqual([1]);
  });

  test('queues of a group take turns by priority', () => {
    const f = new Fixture({ engines: 1 });
    f.enable([
      { mode: 0x11, size: 64 },
      { mode: 0x31, size: 64 },
    ]);
    f.store({ completion: 0 });
    f.store({ completion: 0 }, 1);
    for (let i = 1; i < 40; i++) for (const wq of [0, 1]) f.store({ completion: 32 * (i + 64 * wq) }, wq);
    f.clock.elapse(4);
    const done = (wq: number): number =>
      Array.from({ length: 40 }, (_, i) => f.record(32 * (i + 64 * wq)).status).filter(Boolean).length;
    expect(done(1)).toBeGreaterThan(2 * done(0));
    expect(done(0)).toBeGreaterThan(0);
  });

  test('an engine takes the time of a descriptor and of its bytes; engines work side by side', () => {
    const f = new Fixture({ descriptorUs: 10, bytesPerUs: 2, engines: 2 });
    f.enable();
    for (let i = 0; i < 3; i++) f.store({ ...MOVE, completion: CR + 32 * i });
    const statuses = (): number[] => [0, 1, 2].map((i) => f.record(CR + 32 * i).status);
    f.clock.elapse(41);
    expect(statuses()).toEqual([0, 0, 0]);
    f.clock.elapse(1);
    expect(statuses()).toEqual([1, 1, 0]);
    f.clock.elapse(42);
    expect([statuses(), f.clock.pending]).toEqual([[1, 1, 1], 0]);
  });

  test('an engine that is busy works without rest, though it is heard of in whole microseconds only', () => {
    const f = new Fixture({ descriptorUs: 1.25, engines: 1 });
    f.enable();
    for (let i = 0; i < 8; i++) f.store({ completion: CR + 32 * i });
    const at: number[] = [];
    f.clock.onEvent(() => at.push(f.clock.now()));
    f.clock.elapse(100);
    expect(at).toEqual([2, 3, 4, 5, 7, 8, 9, 10]);
    f.store({});
    f.clock.elapse(10);
    expect(at.at(-1)).toBe(102);
  });

  test('a queue that is drained to be disabled takes nothing more', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    f.store(MOVE);
    expect(f.command(COMMANDS.disableWq, 1)).toBe(0x8000_0000);
    expect(f.r32(f.wqcfg(0, 6)) >>> 30).toBe(DSA.WQ_STATES.busy);
    f.store({ ...MOVE, completion: CR + 32 });
    f.clock.elapse(1000);
    expect([f.record().status, f.record(CR + 32).status, f.r32(f.wqcfg(0, 6))]).toEqual([1, 0, 0]);
  });

  test('a device that is drained to be disabled says so until it is', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    f.store(MOVE);
    f.command(COMMANDS.disableDevice);
    expect(f.r32(DSA.GENSTATUS.offset)).toBe(DSA.STATES.draining);
    f.clock.elapse(1000);
    expect([f.r32(DSA.GENSTATUS.offset), f.record().status, f.r32(DSA.CMDSTATUS.offset)]).toEqual([0, 1, 0]);
  });
});
