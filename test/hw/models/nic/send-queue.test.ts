import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { WQC, WQ_CONTEXT, WQ_MODIFY, WQ_PAGES, WQ_STATES } from '../../../../hw/regs/nic-contexts.js';
import { getAddress, getWord, setWord } from '../../../../hw/regs/nic-words.js';
import { working } from './fixture.js';
import { PAGE } from './memory.js';
import { FarEnd, frame, mac } from './ports.js';
import { HostCq, HostSq, type WqOptions } from './queues.js';

const { CQE_OPCODES, CQE_SYNDROMES } = NIC;

function sender(options: WqOptions = {}) {
  const { host, pf } = working();
  const eq = pf.createEq({ logSize: 6 });
  const cq = new HostCq(pf, eq, { logSize: 8 });
  const sq = new HostSq(pf, cq, options);
  const sent = new FarEnd(host).frames;
  const run = (): void => {
    sq.ring64();
    host.elapse(100);
  };
  const end = (): (readonly [opcode: number, counter: number, syndrome: number])[] =>
    cq.drain().map(({ opcode, counter, syndrome }) => [opcode, counter, syndrome]);
  return { host, pf, eq, cq, sq, sent, run, end };
}
const pattern = (seed: number, length = 60): Uint8Array => frame(mac(1), mac(2), length, seed);
const flushed = (counter: number): readonly [number, number, number] => [CQE_OPCODES.sendError, counter, CQE_SYNDROMES.flushed];

describe('nic send queue', () => {
  test('sends packets in order, and tells of those that ask for it', () => {
    const { sq, cq, sent, run } = sender();
    const frames = Array.from({ length: 40 }, (_, i) => pattern(i, 60 + 30 * i));
    frames.forEach((bytes, i) => sq.frame(bytes, { signal: i % 10 === 9 }));
    run();
    expect(sent).toEqual(frames);
    const cqes = cq.drain();
    expect(cqes.map(({ opcode, counter, queue }) => [opcode, counter, queue])).toEqual(
      [9, 19, 29, 39].map((counter) => [CQE_OPCODES.sent, counter, sq.number]),
    );
  });

  test('gathers a packet from many places, also over several units and the pages of its ring', () => {
    const { host, sq, sent, run, end } = sender({ logSize: 7 });
    const whole = pattern(3, 1500);
    // 62 units bring the entry to where a page ends.
    for (let i = 0; i < 62; i++) sq.nop({ signal: false });
    const parts = Array.from({ length: 15 }, (_, i) => {
      const address = sq.alloc(100);
      host.memory.bytes.set(whole.subarray(100 * i, 100 * i + 100), address);
      return [address, 100] as const;
    });
    sq.post([...parts, [0, 0]]);
    run();
    expect(sent).toEqual([whole]);
    expect(end()).toEqual([[CQE_OPCODES.sent, 62, 0]]);
  });

  test('goes round, 64 units in a turn', () => {
    const { sq, sent, run, end } = sender({ logSize: 6 });
    const counters: number[] = [];
    for (let i = 0; i < 700; i++) {
      sq.frame(pattern(i), { signal: i % 7 === 6 });
      if (i % 7 !== 6) continue;
      run();
      counters.push(...end().map(([, counter]) => counter));
    }
    expect(sent).toHaveLength(700);
    expect(counters).toEqual(Array.from({ length: 100 }, (_, i) => 7 * i + 6));
  });

  test('its counter has 16 bits', () => {
    const { sq, run, end } = sender({ logSize: 10 });
    const last: number[] = [];
    for (let i = 0; i < 65; i++) {
      for (let n = 0; n < 1023; n++) sq.nop({ signal: false });
      last.push(sq.nop());
      run();
      expect(end()).toEqual([[CQE_OPCODES.sent, last.at(-1), 0]]);
    }
    expect(last.at(-1)).toBe((65 * 1024 - 1) & 0xffff);
  });

  test('queues have turns', () => {
    const { host, pf, eq, cq, sq } = sender({ logSize: 8 });
    const others = [new HostSq(pf, cq, { logSize: 8 }), new HostSq(pf, new HostCq(pf, eq), { logSize: 8 })];
    for (let i = 0; i < 192; i++) sq.nop({ signal: i % 64 === 63 });
    for (let i = 0; i < 128; i++) others[0]!.nop({ signal: i % 64 === 63 });
    sq.ring64();
    others[0]!.ring64();
    host.elapse(10);
    const [a, b] = [sq.number, others[0]!.number];
    expect(cq.drain().map(({ queue }) => queue)).toEqual([a, b, a, b, a]);
  });

  test('27 a doorbell of a page of another is dropped, and counted', () => {
    const { host, pf, sq, end } = sender();
    const other = pf.alloc(OPCODES.ALLOC_UAR);
    sq.nop();
    sq.ring64(other);
    host.elapse(10);
    expect(end()).toEqual([]);
    expect(host.device.pf.uarViolations).toBe(1);
    pf.ring64(sq.uar, NIC.UAR_SQ_DOORBELLS[3], 0, 0xffff << 8);
    expect(host.device.pf.uarViolations).toBe(2);
  });

  const bad: readonly (readonly [name: string, syndrome: number, make: (t: ReturnType<typeof sender>) => void])[] = [
    ['of an unknown opcode', CQE_SYNDROMES.localQueue, ({ sq }) => void sq.post([], { opcode: 0x33 })],
    ['of another queue', CQE_SYNDROMES.localQueue, ({ sq, host }) => host.memory.view.setUint8(sq.at(sq.nop()) + 6, 0x77)],
    ['with another index', CQE_SYNDROMES.localQueue, ({ sq, host }) => host.memory.view.setUint8(sq.at(sq.nop()) + 1, 0x77)],
    ['with too many segments', CQE_SYNDROMES.localQueue, ({ sq, host }) => host.memory.view.setUint8(sq.at(sq.nop()) + 4, 65)],
    [
      'of which the end is missing',
      CQE_SYNDROMES.localQueue,
      ({ sq, host }) => {
        const at = sq.at(sq.post([[PAGE, 60]]));
        host.memory.view.setUint8(at + 4, 60);
      },
    ],
    ['of no bytes', CQE_SYNDROMES.localLength, ({ sq }) => void sq.post([])],
    ['of 13 bytes', CQE_SYNDROMES.localLength, ({ sq }) => void sq.post([[PAGE, 13]])],
    [
      'of 9997 bytes',
      CQE_SYNDROMES.localLength,
      ({ sq }) =>
        void sq.post([
          [PAGE, 9000],
          [PAGE, 997],
        ]),
    ],
    ['of 2^32 - 1 bytes', CQE_SYNDROMES.localLength, ({ sq }) => void sq.post([[PAGE, 2 ** 32 - 1]])],
    ['with an address outside memory', CQE_SYNDROMES.protection, ({ sq }) => void sq.post([[2 ** 40, 60]])],
    ['with an address that is none', CQE_SYNDROMES.protection, ({ sq }) => void sq.post([[2 ** 60, 60]])],
  ];
  test.each(bad)('an entry %s ends in an error, and what is behind it is flushed', (_name, syndrome, make) => {
    const t = sender();
    const { sq, sent, run, end } = t;
    sq.frame(pattern(0));
    make(t);
    sq.frame(pattern(1), { signal: false });
    sq.frame(pattern(2));
    run();
    const [first, second, ...rest] = end();
    expect(first).toEqual([CQE_OPCODES.sent, 0, 0]);
    expect(second).toEqual([CQE_OPCODES.sendError, 1, syndrome]);
    expect(sent).toEqual([pattern(0)]);
    expect(rest.every(([opcode, , why]) => opcode === CQE_OPCODES.sendError && why === CQE_SYNDROMES.flushed)).toBe(true);
    expect(sq.query('state')).toBe(WQ_STATES.error);
    sq.nop();
    run();
    expect(end()).toEqual([flushed((sq.producer - 1) & 0xffff)]);
  });

  test('an entry does not go over the end of the ring: the rest of it is filled with others', () => {
    const long = (t: ReturnType<typeof sender>): void => {
      const address = t.sq.alloc(60);
      t.host.memory.bytes.set(pattern(5), address);
      t.sq.post([
        [address, 20],
        [address + 20, 20],
        [address + 40, 20],
      ]);
    };
    const over = sender({ logSize: 2 });
    for (let i = 0; i < 3; i++) over.sq.nop({ signal: false });
    over.run();
    long(over);
    over.run();
    expect([over.end(), over.sent]).toEqual([[[CQE_OPCODES.sendError, 3, CQE_SYNDROMES.localQueue], flushed(4)], []]);
    const filled = sender({ logSize: 2 });
    for (let i = 0; i < 4; i++) filled.sq.nop({ signal: false });
    filled.run();
    long(filled);
    filled.run();
    expect([filled.end(), filled.sent]).toEqual([[[CQE_OPCODES.sent, 4, 0]], [pattern(5)]]);
  });

  test('what was flushed are the entries behind the bad one', () => {
    const { sq, run, end } = sender();
    sq.post([
      [2 ** 40, 60],
      [PAGE, 1],
      [PAGE, 1],
    ]);
    sq.nop({ signal: false });
    sq.post([
      [PAGE, 60],
      [PAGE, 1],
      [PAGE, 1],
    ]);
    sq.nop();
    run();
    expect(end()).toEqual([[CQE_OPCODES.sendError, 0, CQE_SYNDROMES.protection], flushed(2), flushed(3), flushed(5)]);
  });

  test('it works again after a reset, from the first entry on', () => {
    const { host, sq, sent, run, end } = sender();
    sq.post([], { opcode: 0x33 });
    run();
    sq.state = WQ_STATES.error;
    sq.to(WQ_STATES.reset);
    sq.producer = 0;
    host.memory.view.setUint32(sq.record + 4, 0);
    sq.to(WQ_STATES.ready);
    sq.frame(pattern(7));
    run();
    expect(end()).toEqual([
      [CQE_OPCODES.sendError, 0, CQE_SYNDROMES.localQueue],
      [CQE_OPCODES.sent, 0, 0],
    ]);
    expect(sent).toEqual([pattern(7)]);
  });

  test('in reset it does nothing, and in error it flushes', () => {
    const { host, sq, sent, run, end } = sender({ isReady: false });
    sq.frame(pattern(0));
    run();
    expect(end()).toEqual([]);
    sq.to(WQ_STATES.ready);
    run();
    expect(end()).toEqual([[CQE_OPCODES.sent, 0, 0]]);
    sq.nop();
    host.memory.view.setUint32(sq.record + 4, sq.producer, true);
    sq.to(WQ_STATES.error);
    expect(end()).toEqual([flushed(1)]);
    expect(sent).toHaveLength(1);
  });

  test.each([
    [WQ_STATES.reset, WQ_STATES.error, STATUS.badParameter],
    [WQ_STATES.error, WQ_STATES.reset, STATUS.badResourceState],
    [WQ_STATES.reset, 2, STATUS.badParameter],
  ])('a change from state %i to %i is refused', (from, to, status) => {
    const { sq } = sender({ isReady: false });
    expect(sq.modify(from, to).status).toBe(status);
    expect(sq.query('state')).toBe(WQ_STATES.reset);
  });

  test('a change that does not say to what state is refused', () => {
    const { pf, sq } = sender();
    const fill = (words: Uint32Array): void => setWord(words, WQ_MODIFY.state, WQ_STATES.ready);
    expect(pf.about(OPCODES.MODIFY_SQ, sq.number, { fill }).status).toBe(STATUS.inLength);
    expect(sq.query('state')).toBe(WQ_STATES.ready);
  });

  test.each([
    ['cannot be', 0x1234, CQE_SYNDROMES.localQueue],
    ['cannot be read', undefined, CQE_SYNDROMES.protection],
  ])('a record that %s is one error, and no more', (_name, value, syndrome) => {
    const { host, pf, sq, end } = sender();
    if (value === undefined) host.memory.unmap(sq.record, 8);
    else host.memory.view.setUint32(sq.record + 4, value, true);
    pf.ring64(sq.uar, NIC.UAR_SQ_DOORBELLS[0], 0, sq.number << 8);
    host.elapse(100);
    expect(end()).toEqual([[CQE_OPCODES.sendError, 0, syndrome]]);
    pf.ring64(sq.uar, NIC.UAR_SQ_DOORBELLS[0], 0, sq.number << 8);
    host.elapse(100);
    expect(end()).toEqual([]);
  });

  test('a ring that cannot be read is one error', () => {
    const { host, sq, run, end } = sender();
    host.memory.unmap(sq.at(0), PAGE);
    for (let i = 0; i < 5; i++) sq.nop();
    run();
    expect(end()).toEqual([[CQE_OPCODES.sendError, 0, CQE_SYNDROMES.protection]]);
  });

  test.each([
    [
      'is put into reset',
      ({ sq }: ReturnType<typeof sender>) => sq.driver.host.device.pf.sqs[sq.number]!.setState(WQ_STATES.reset),
    ],
    [
      'is put into error',
      ({ sq }: ReturnType<typeof sender>) => sq.driver.host.device.pf.sqs[sq.number]!.setState(WQ_STATES.error),
    ],
    ['is reset with its function', ({ host }: ReturnType<typeof sender>) => host.device.reset()],
    ['loses its bus', ({ host }: ReturnType<typeof sender>) => host.endpoint.space.write16(4, 0)],
  ])('a queue that %s inside any of its own accesses does no more of it', (_name, happen) => {
    let at = 0;
    for (let isDone = false; !isDone; at++) {
      const t = sender();
      const { host, sq, sent } = t;
      for (let i = 0; i < 4; i++) sq.frame(pattern(i));
      let left = at;
      isDone = true;
      host.memory.during = () => {
        if (left-- !== 0) return;
        isDone = false;
        happen(t);
      };
      sq.ring64();
      host.elapse(100);
      host.memory.during = () => {};
      expect(sent).toEqual([0, 1, 2, 3].slice(0, sent.length).map((i) => pattern(i)));
    }
    expect(at).toBeGreaterThan(10);
  });

  test.each([
    ['destroyed', ({ pf }: ReturnType<typeof working>, sq: HostSq) => void pf.about(OPCODES.DESTROY_SQ, sq.number)],
    ['put into reset', (_: ReturnType<typeof working>, sq: HostSq) => sq.to(WQ_STATES.reset)],
  ])('one that is %s while it waits for its turn has none', (_name, happen) => {
    const fixture = working({ packetUs: 10_000 });
    const { host, pf } = fixture;
    const sent = new FarEnd(host).frames;
    const cq = new HostCq(pf, pf.createEq());
    const [busy, sq] = [new HostSq(pf, cq), new HostSq(pf, cq)];
    busy.frame(pattern(0));
    busy.ring64();
    host.elapse(0);
    sq.frame(pattern(1));
    sq.ring64();
    happen(fixture, sq);
    let accesses = 0;
    host.memory.during = () => accesses++;
    host.elapse(100_000);
    expect([accesses, sent]).toEqual([0, [pattern(0)]]);
  });

  test('what it is made of is checked', () => {
    const { pf, cq } = sender();
    const create = (change: (words: Uint32Array) => void): number =>
      pf.exec(OPCODES.CREATE_SQ, {
        inBytes: WQ_CONTEXT + WQ_PAGES + 8,
        fill: (words) => {
          setWord(words, WQC.cqn, cq.number, WQ_CONTEXT);
          setWord(words, WQC.uar, cq.uar, WQ_CONTEXT);
          setWord(words, WQC.logStride, 6, WQ_CONTEXT);
          setWord(words, WQC.logSize, 6, WQ_CONTEXT);
          words[(WQ_CONTEXT + WQ_PAGES) / 4 + 1] = PAGE;
          change(words);
        },
      }).status;
    expect(create(() => {})).toBe(STATUS.ok);
    expect(create((words) => setWord(words, WQC.cqn, 99, WQ_CONTEXT))).toBe(STATUS.badResource);
    expect(create((words) => setWord(words, WQC.uar, 99, WQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, WQC.logStride, 7, WQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, WQC.logSize, 16, WQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, WQC.logSize, 7, WQ_CONTEXT))).toBe(STATUS.inLength);
    expect(pf.exec(OPCODES.CREATE_SQ, { inBytes: WQ_CONTEXT + 0x40 }).status).toBe(STATUS.inLength);
    expect(create((words) => setWord(words, WQC.state, WQ_STATES.ready, WQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, WQC.leavesBy, 0x8000_1234, WQ_CONTEXT))).toBe(STATUS.badParameter);
  });

  test('its context says what it was made of', () => {
    const { pf, cq } = sender();
    const sq = new HostSq(pf, cq, { logSize: 7, pasid: 0x12345 });
    const { output } = pf.about(OPCODES.QUERY_SQ, sq.number, { outBytes: WQ_CONTEXT + WQC.sizeBytes });
    const get = (name: 'cqn' | 'uar' | 'logStride' | 'logSize'): number => getWord(output, WQC[name], WQ_CONTEXT);
    expect([get('cqn'), get('uar'), get('logStride'), get('logSize')]).toEqual([cq.number, sq.uar, 6, 7]);
    expect(output[(WQ_CONTEXT + WQC.pasid) / 4]).toBe(0x8001_2345);
    expect(getAddress(output, WQ_CONTEXT + WQC.record)).toBe(sq.record);
  });

  test('the time that packets take is that of the profile', () => {
    const { host, pf } = working({ packetUs: 0.5, bytesPerUs: 100 });
    const cq = new HostCq(pf, pf.createEq(), { logSize: 8 });
    const sq = new HostSq(pf, cq, { logSize: 8 });
    expect(new FarEnd(host).frames).toEqual([]);
    // 64 packets of 100 bytes in a turn: 96 us.
    for (let i = 0; i < 192; i++) sq.frame(pattern(i, 100), { signal: i % 64 === 63 });
    sq.ring64();
    const done: number[] = [];
    for (let us = 0; us < 300; us++) {
      done.push(...cq.drain().map(() => us));
      host.elapse(us === 0 ? 0 : 1);
    }
    expect(done).toEqual([1, 97, 193]);
  });
});
