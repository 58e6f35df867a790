import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AccessBytes, readSized } from '../../../../core/hal/index.js';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, type Desc, Fixture, MEMORY_BYTES, RCI, RCR, SHARED, SOURCE, encode, wordsOf } from './fixture.js';

const { COMMANDS, FLAGS, OPCODES } = DSA;
const LIST = 0x6_0000;
const LOG = 0x7_0000;
const PAGE = 4096;
const MOVE: Desc = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64, flags: RCR | RCI, handle: 1 };

describe('dsa and what a bus brings with it', () => {
  /** Runs one descriptor of each kind, with `what` arriving at the n-th access or message, for every n. */
  function atEveryAccess(what: (f: Fixture) => void, check: (f: Fixture) => void): void {
    for (let n = 1; ; n++) {
      const f = new Fixture({ pasid: true });
      f.regs.write64(0xe0, LOG, 0);
      f.regs.write64(0xe8, 64, 0);
      f.enable([{}, {}], 0x3000);
      f.memory.bytes.set(encode({ ...MOVE, completion: CR + 64 }), LIST);
      f.memory.bytes.set(encode({ completion: CR + 96 }), LIST + 64);
      f.store({ ...MOVE, op: OPCODES.copyCrc, size: 100 });
      f.store({ op: OPCODES.batch, source: LIST, size: 2, completion: CR + 32, flags: RCR | RCI, handle: 2 });
      f.store({ ...MOVE, completion: CR + 128 }, 1);
      f.store({ op: 0x0b, flags: 0 });
      let accesses = 0;
      f.dma.during = () => {
        if (++accesses === n) what(f);
      };
      f.clock.elapse(1000);
      f.dma.during = () => {};
      if (accesses < n) return;
      check(f);
    }
  }

  test('a reset at any access leaves nothing behind: no access, no message, no event comes after it', () => {
    let since = 0;
    let written = 0;
    atEveryAccess(
      (f) => {
        f.endpoint.reset('function');
        since = f.irqs.length;
        written = f.dma.writes.length;
      },
      (f) => {
        // The access that brought it is under way.
        expect(f.dma.writes.length - written).toBeLessThanOrEqual(1);
        expect([f.r32(0xf0), f.r32(0xf4)]).toEqual([0, 0]);
        expect([f.clock.pending, f.r32(DSA.GENSTATUS.offset), f.r32(DSA.INTCAUSE.offset), f.swerror.valid]).toEqual([0, 0, 0, 0]);
        expect(f.irqs.length - since).toBeLessThanOrEqual(1);
        f.bringUp();
        f.unmask();
        f.enable();
        f.dma.during = () => {};
        expect(f.run({ completion: CR + 256 }).status).toBe(1);
      },
    );
  });

  test('an abort at any access drops that queue and no other', () => {
    atEveryAccess(
      (f) => f.must(COMMANDS.abortWq, 1),
      (f) => {
        expect([0, 1].map((wq) => f.r32(f.wqcfg(wq, 6)))).toEqual([0x4000_0000, 0x4000_0000]);
        expect([f.record(CR + 128).status, f.clock.pending]).toEqual([1, 0]);
        expect(f.run({ completion: CR + 256 }).status).toBe(1);
      },
    );
  });

  test('a reset command, halt, disable or drain at any access ends with a device that works', () => {
    for (const what of [
      (f: Fixture): void => void f.command(COMMANDS.resetDevice),
      (f: Fixture): void => f.device.halt(),
      (f: Fixture): void => void f.command(COMMANDS.disableDevice),
      (f: Fixture): void => void f.command(COMMANDS.drainAll),
      (f: Fixture): void => void f.command(COMMANDS.abortAll),
    ]) {
      atEveryAccess(what, (f) => {
        expect([f.r32(DSA.CMDSTATUS.offset) >>> 31, f.clock.pending]).toEqual([0, 0]);
        f.must(COMMANDS.resetDevice);
        f.enable();
        expect(f.run({ completion: CR + 256 }).status).toBe(1);
      });
    }
  });

  test('memory that goes away at any access is a page fault, or nothing', () => {
    atEveryAccess(
      (f) => f.memory.unmap(DESTINATION),
      (f) => {
        expect([0, 1].map((wq) => f.r32(f.wqcfg(wq, 6)) & 0xffff)).toEqual([0, 0]);
        for (const at of [CR, CR + 64, CR + 128]) expect([1, 0x83]).toContain(f.record(at).status);
      },
    );
  });

  test('a descriptor that arrives at any access is done, too', () => {
    atEveryAccess(
      (f) => f.store({ completion: CR + 192 }),
      (f) => expect([f.record(CR + 192).status, f.record().status, f.clock.pending]).toEqual([1, 1, 0]),
    );
  });
});

const NOTHING = new Uint8Array(MEMORY_BYTES);
/** Where the work of the property may change memory. */
const REGIONS: readonly (readonly [start: number, end: number])[] = [
  [CR, CR + PAGE],
  [SOURCE, SOURCE + 4 * PAGE],
  [DESTINATION, DESTINATION + 4 * PAGE],
  [LOG, LOG + 64 * 64],
];

const offsets = [
  0x80, 0x88, 0x90, 0x98, 0xa0, 0xa8, 0xc0, 0xf0, 0xf4, 0x300, 0x308, 0x400, 0x420, 0x428, 0x800, 0x808, 0x80c, 0x818,
];
const register = fc.record({
  kind: fc.constant('register' as const),
  offset: fc.oneof(fc.constantFrom(...offsets, 0x8000, 0x8008, 0x800c), fc.integer({ min: 0x100, max: 0xffff })),
  bytes: fc.constantFrom<AccessBytes>(1, 2, 4, 4, 8),
  value: fc.oneof(fc.constantFrom(0, 1, 3, 0x11, 0x3000, 0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff })),
});
const command = fc.record({
  kind: fc.constant('command' as const),
  code: fc.constantFrom(1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 31),
  operand: fc.constantFrom(0, 1, 2, 3, 5, 0x1_0001),
  interrupt: fc.boolean(),
});
const page = fc.record({
  kind: fc.constant('page' as const),
  region: fc.constantFrom(...REGIONS.map(([start]) => start)),
  to: fc.constantFrom<'map' | 'unmap' | 'protect'>('map', 'map', 'unmap', 'protect'),
});
const submit = fc.record({
  kind: fc.constant('submit' as const),
  op: fc.constantFrom(0, 1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20, 0x33),
  flags: fc.oneof(
    fc.constantFrom(RCR, RCR | RCI, RCI, 0, RCR | FLAGS.fence, RCR | FLAGS.blockOnFault),
    fc.integer({ min: 0, max: 0xff_ffff }),
  ),
  size: fc.oneof(fc.constantFrom(0, 1, 2, 3, 64, 520, 4096), fc.integer({ min: 0, max: 2 * PAGE })),
  from: fc.integer({ min: 0, max: PAGE }),
  to: fc.integer({ min: 0, max: PAGE }),
  completion: fc.oneof(
    fc.integer({ min: 0, max: 120 }).map((n) => 32 * n),
    fc.integer({ min: 0, max: 4000 }),
  ),
  handle: fc.constantFrom(0, 1, 2, 9, 0x21),
  wq: fc.constantFrom(0, 0, 1),
  portal: fc.constantFrom(0, 1, 3),
  times: fc.constantFrom(1, 1, 1, 20),
});
const other = fc.record({
  kind: fc.constantFrom('elapse', 'elapse', 'set-up', 'flr', 'bus', 'halt', 'revoke', 'answer', 'refuse', 'no-master'),
});
const step = fc.oneof({ weight: 5, arbitrary: submit }, { weight: 3, arbitrary: command }, register, page, {
  weight: 3,
  arbitrary: other,
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(f: Fixture, s: Step): void {
  switch (s.kind) {
    case 'register': {
      const at = s.offset - (s.offset % s.bytes);
      // The log of a test is where the test has put it.
      if (at >= 0xd8 && at < 0xf0) return;
      readSized(f.regs, at, s.bytes);
      if (s.bytes === 1) f.regs.write8(at, s.value & 0xff);
      else if (s.bytes === 2) f.regs.write16(at, s.value & 0xffff);
      else if (s.bytes === 4) f.regs.write32(at, s.value);
      else f.regs.write64(at, s.value, s.value);
      return;
    }
    case 'command':
      f.regs.write32(DSA.CMD.offset, ((s.interrupt ? 0x8000_0000 : 0) | (s.code << 20) | s.operand) >>> 0);
      return;
    case 'page':
      f.memory[s.to](s.region, 1);
      return;
    case 'submit':
      submitTo(f, s);
      return;
    default:
      disturb(f, s.kind);
  }
}

function submitTo(f: Fixture, s: Extract<Step, { kind: 'submit' }>): void {
  const isBatch = s.op === OPCODES.batch;
  const own = [
    [40, 8, s.op === OPCODES.applyDelta ? 20 : DESTINATION + s.to],
    [48, 4, 80],
  ] as const;
  const desc: Desc = {
    op: s.op,
    flags: s.flags,
    pasid: s.wq === 1 ? 5 : 0,
    completion: CR + s.completion,
    source: isBatch ? LIST : SOURCE + s.from,
    destination: DESTINATION + s.to,
    size: isBatch ? s.size & 3 : s.size,
    handle: s.handle,
    own: s.op >= 7 && s.op <= 9 ? own : [],
  };
  for (let i = 0; i < s.times; i++) {
    if (s.wq === 1) f.device.portals.enqcmd(0x4000 + s.portal * 0x1000, wordsOf(encode(desc)));
    else f.store(desc, 0, s.portal);
  }
}

function disturb(f: Fixture, what: string): void {
  if (what === 'elapse') f.clock.elapse(3);
  else if (what === 'set-up') setUp(f);
  else if (what === 'flr') f.endpoint.reset('function');
  else if (what === 'bus') f.endpoint.reset('bus');
  else if (what === 'halt') f.device.halt();
  else if (what === 'revoke') f.device.revokeHandles();
  else if (what === 'no-master') f.endpoint.space.write16(4, 2);
  else f.dma.requests.pop()?.done(what === 'answer');
}

/** As far as the device lets it. */
function setUp(f: Fixture): void {
  f.bringUp();
  f.regs.write64(0xe0, LOG, 0);
  f.regs.write64(0xe8, 64, 0);
  f.configure([{ mode: 0x13 }, { mode: SHARED, threshold: 8 }]);
  f.regs.write32(DSA.GENCFG.offset, 0x3000);
  f.command(COMMANDS.enableDevice);
  f.command(COMMANDS.enableWq, 0);
  f.command(COMMANDS.enableWq, 1);
}

function expectSound(f: Fixture): void {
  const state = f.r32(DSA.GENSTATUS.offset) & 3;
  for (let wq = 0; wq < 8; wq++) {
    const status = f.r32(f.wqcfg(wq, 6));
    expect(status & 0xffff).toBeLessThanOrEqual(f.r32(f.wqcfg(wq, 0)));
    if (state === DSA.STATES.disabled || state === DSA.STATES.halted) expect(status).toBe(0);
  }
  expect(f.r64(0x20)).toBe(0x001b_0000_0008_0080n);
  const idle = f.r32(DSA.CMDSTATUS.offset) >>> 31 === 0;
  if (state === DSA.STATES.draining) expect(idle).toBe(false);
}

function expectUntouched(f: Fixture): void {
  for (const space of f.dma.spaces.values()) {
    const outside = space.bytes.slice();
    for (const [start, end] of REGIONS) outside.fill(0, start, end);
    // The list of batches is the test's own.
    outside.fill(0, LIST, LIST + 4 * 64);
    expect(Buffer.compare(outside, NOTHING)).toBe(0);
  }
}

describe('dsa under any sequence of accesses, commands, submissions, page changes and resets', () => {
  test('it keeps its bounds, writes only where it was told to, and is silent after a reset', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40, size: 'max' }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), step), { maxLength: 6 }),
        (steps, nested) => {
          const f = new Fixture({ pasid: true, blockOnFault: true, delta: true, commandCap: 0x7ffe });
          f.dma.space(5);
          for (const space of f.dma.spaces.values()) {
            for (let i = 0; i < 4; i++) {
              space.bytes.set(
                encode({ ...MOVE, op: i === 2 ? 0 : OPCODES.move, flags: RCR, completion: CR + 32 * i }),
                LIST + 64 * i,
              );
            }
          }
          setUp(f);
          let accesses = 0;
          let isNested = false;
          f.dma.during = () => {
            accesses++;
            const due = isNested ? undefined : nested.find(([at]) => at === accesses);
            // Time does not move inside an access.
            if (due === undefined || due[1].kind === 'elapse') return;
            isNested = true;
            take(f, due[1]);
            isNested = false;
          };
          for (const s of steps) {
            take(f, s);
            expectSound(f);
          }
          f.dma.during = () => {};
          for (const region of REGIONS) f.memory.map(region[0]);
          while (f.dma.requests.length > 0 || f.clock.pending > 0) {
            f.dma.requests.pop()?.done(false);
            f.clock.elapse(10_000);
          }
          expectSound(f);
          expect(f.r32(DSA.CMDSTATUS.offset) >>> 31).toBe(0);
          for (const wq of f.device.queues) expect(wq.occupancy).toBe(0);
          f.endpoint.reset('bus');
          if (f.device.state === DSA.STATES.halted) return;
          expectUntouched(f);
          f.unmask();
          setUp(f);
          f.store({ completion: CR });
          f.clock.elapse(10);
          expect(f.record().status).toBe(1);
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  }, 60_000);
});
