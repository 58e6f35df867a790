import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { CQC, CQ_CONTEXT, CQ_MODIFY, CQ_STATES, EQ_STATUS, PAGE_LIST, WQ_STATES } from '../../../../hw/regs/nic-contexts.js';
import { getAddress, getWord, setWord } from '../../../../hw/regs/nic-words.js';
import { type HostEq, working } from './fixture.js';
import { PAGE } from './memory.js';
import { type CqOptions, HostCq, HostSq } from './queues.js';

const { CQE, CQE_OPCODES, EQE, EVENTS } = NIC;
/** How many entries that complete, and nothing else. */
function complete(sq: HostSq, count: number, us = 0): void {
  for (let i = 0; i < count; i++) sq.nop();
  sq.ring64();
  sq.driver.host.elapse(us);
}

function queues(options: CqOptions = {}) {
  const { host, pf } = working();
  const eq = pf.createEq({ logSize: 6, events: [EVENTS.cqError] });
  const cq = new HostCq(pf, eq, options);
  const sq = new HostSq(pf, cq, { logSize: 8 });
  eq.arm();
  return { host, pf, eq, cq, sq };
}
const cqns = (eq: HostEq): number[] =>
  eq
    .drain()
    .filter(({ type }) => type === EVENTS.completion)
    .map(({ view }) => view.getUint32(EQE.cqn, true));

describe('nic completion queue', () => {
  test('the owner is the parity of how often the queue has been round, and is written last', () => {
    const { host, cq, sq } = queues({ logSize: 2 });
    const owners: number[] = [];
    for (let pass = 0; pass < 3; pass++) {
      host.memory.writes.length = 0;
      complete(sq, 4);
      for (const cqe of cq.drain()) owners.push(cqe.view.getUint8(CQE.opOwn) & 1);
      const first = host.memory.writes
        .filter(([address]) => Math.floor(address / PAGE) === Math.floor(cq.at(0) / PAGE))
        .slice(0, 2);
      expect(first.map(([address, length]) => [address - cq.at(0), length])).toEqual([
        [0, 60],
        [60, 4],
      ]);
    }
    expect(owners).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
  });

  test('one arm gives one event', () => {
    const { eq, cq, sq, host } = queues();
    cq.arm();
    complete(sq, 3);
    complete(sq, 3);
    expect(cqns(eq)).toEqual([cq.number]);
    expect(host.takeIrqs()).toEqual([0]);
  });

  test('18 a stale arm is ignored, and one that comes late gives its event at once', () => {
    const { eq, cq, sq } = queues();
    cq.arm({ sn: 0 });
    complete(sq, 1);
    expect(cqns(eq)).toHaveLength(1);
    cq.drain();
    cq.arm({ sn: 0 });
    complete(sq, 5);
    expect(cqns(eq)).toEqual([]);
    cq.arm({ sn: 1 });
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('the arm is 64 bits: two stores of 32 do nothing', () => {
    const { pf, eq, cq, sq } = queues();
    pf.ring32(cq.uar, NIC.UAR_CQ_ARM, 1 << 28);
    pf.ring32(cq.uar, NIC.UAR_CQ_ARM + 4, cq.number);
    complete(sq, 1);
    expect(cqns(eq)).toEqual([]);
    cq.arm({ sn: 5 });
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('an arm for solicited completions hears of errors alone', () => {
    const { eq, cq, sq } = queues();
    cq.arm({ solicited: true });
    complete(sq, 2);
    expect(cqns(eq)).toEqual([]);
    expect(cq.query('state')).toBe(CQ_STATES.solicited);
    sq.post([], { opcode: 0x7f });
    complete(sq, 0);
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('an arm for solicited completions that comes late gives its event at once: it may have been one of those', () => {
    const { eq, cq, sq } = queues();
    sq.post([], { opcode: 0x7f });
    complete(sq, 0);
    cq.arm({ solicited: true, consumer: 0 });
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('24 an overrun is one event, and the end of the queue', () => {
    const { eq, cq, sq } = queues({ logSize: 3 });
    complete(sq, 9);
    complete(sq, 3);
    const events = eq.drain();
    expect(events.map(({ type }) => type)).toEqual([EVENTS.cqError]);
    expect(events[0]!.view.getUint32(EQE.errorCqn, true)).toBe(cq.number);
    expect(events[0]!.view.getUint8(EQE.errorSyndrome)).toBe(NIC.CQ_ERROR_OVERRUN);
    expect([cq.query('state'), cq.query('status')]).toEqual([CQ_STATES.error, EQ_STATUS.overrun]);
    expect(cq.drain()).toHaveLength(8);
    complete(sq, 1);
    expect(cq.drain()).toEqual([]);
    expect(sq.query('state')).toBe(WQ_STATES.error);
  });

  test('an overrun that is to be ignored writes over what is there, and says nothing', () => {
    const { host, eq, cq, sq } = queues({ logSize: 3, ignoresOverrun: true });
    complete(sq, 10);
    expect([eq.drain(), cq.query('producer'), cq.query('status'), sq.query('state')]).toEqual([[], 10, 0, WQ_STATES.ready]);
    const written = Array.from({ length: 8 }, (_, n) => host.memory.view.getUint16(cq.at(n) + CQE.wqeCounter, true));
    expect(written).toEqual([8, 9, 2, 3, 4, 5, 6, 7]);
    cq.consumer = 8;
    expect(cq.drain().map(({ counter }) => counter)).toEqual([8, 9]);
  });

  test('the record is looked at only when all entries seem taken', () => {
    const { host, cq, sq } = queues({ logSize: 3 });
    complete(sq, 8);
    cq.drain();
    let reads = 0;
    const { read32 } = host.memory;
    host.memory.read32 = (address, pasid) => {
      if (address === cq.record) reads++;
      return read32.call(host.memory, address, pasid);
    };
    complete(sq, 8);
    expect(reads).toBe(1);
    expect(cq.drain()).toHaveLength(8);
  });

  test.each([
    ['ring', (cq: HostCq) => cq.at(0), []],
    ['record', (cq: HostCq) => cq.record, [0, 1]],
  ])('a %s that cannot be reached is an error of the queue', (_name, where, counters) => {
    const { host, eq, cq, sq } = queues({ logSize: 1 });
    host.memory.unmap(where(cq), 8);
    complete(sq, 3);
    const [event] = eq.drain();
    expect(event!.type).toBe(EVENTS.cqError);
    expect(event!.view.getUint8(EQE.errorSyndrome)).toBe(NIC.CQ_ERROR_ACCESS);
    expect([cq.query('state'), cq.query('status')]).toEqual([CQ_STATES.error, EQ_STATUS.writeFailed]);
    expect(cq.drain().map(({ counter }) => counter)).toEqual(counters);
  });

  test('that memory of a queue is gone is told by health, unless the queue is in an address space of its own', () => {
    for (const [pasid, syndrome] of [
      [0, NIC.SYNDROMES.fetch],
      [7, NIC.SYNDROMES.none],
    ] as const) {
      const { host, pf, cq, sq } = queues({ pasid });
      host.memory.unmap(cq.at(0), PAGE, pasid);
      complete(sq, 1);
      expect([cq.query('state'), pf.read(NIC.HEALTH.syndrome) >>> 16]).toEqual([CQ_STATES.error, syndrome]);
    }
  });

  test('27 an arm by a page of another is dropped, and counted', () => {
    const { host, pf, eq, cq, sq } = queues();
    const other = pf.alloc(OPCODES.ALLOC_UAR);
    cq.arm({ uar: other });
    complete(sq, 1);
    expect(cqns(eq)).toEqual([]);
    expect(host.device.pf.uarViolations).toBe(1);
  });

  test('it cannot be made for an event queue that does not exist, and cannot be destroyed while used', () => {
    const { pf, eq, cq, sq } = queues();
    const create = (change: (words: Uint32Array) => void): number =>
      pf.exec(OPCODES.CREATE_CQ, {
        inBytes: PAGE_LIST + 8,
        fill: (words) => {
          setWord(words, CQC.eqn, eq.number, CQ_CONTEXT);
          setWord(words, CQC.uar, eq.uar, CQ_CONTEXT);
          words[PAGE_LIST / 4 + 1] = PAGE;
          change(words);
        },
      }).status;
    expect(create(() => {})).toBe(STATUS.ok);
    expect(create((words) => setWord(words, CQC.eqn, 99, CQ_CONTEXT))).toBe(STATUS.badResource);
    expect(create((words) => setWord(words, CQC.uar, 999, CQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, CQC.logSize, 23, CQ_CONTEXT))).toBe(STATUS.badParameter);
    expect(create((words) => setWord(words, CQC.logSize, 8, CQ_CONTEXT))).toBe(STATUS.inLength);
    expect(create((words) => (words[(CQ_CONTEXT + CQC.record) / 4 + 1] = 4))).toBe(STATUS.badParameter);
    expect(create((words) => (words[PAGE_LIST / 4 + 1] = 8))).toBe(STATUS.badParameter);
    expect(pf.about(OPCODES.DESTROY_CQ, cq.number).status).toBe(STATUS.badResourceState);
    expect(pf.about(OPCODES.DESTROY_EQ, eq.number).status).toBe(STATUS.badResourceState);
    expect(pf.about(OPCODES.DESTROY_SQ, sq.number).status).toBe(STATUS.ok);
    expect(pf.about(OPCODES.DESTROY_CQ, cq.number).status).toBe(STATUS.ok);
    expect(pf.about(OPCODES.DESTROY_CQ, cq.number).status).toBe(STATUS.badResource);
    expect(pf.about(OPCODES.DESTROY_EQ, eq.number).status).toBe(STATUS.badResourceState);
    expect(pf.about(OPCODES.DESTROY_CQ, 2).status).toBe(STATUS.ok);
    expect(pf.about(OPCODES.DESTROY_EQ, eq.number).status).toBe(STATUS.ok);
  });

  test('its context says what it was made of', () => {
    const { pf, eq, cq } = queues({ logSize: 5, period: 16, count: 32, pasid: 0xf_fffe });
    const { output } = pf.about(OPCODES.QUERY_CQ, cq.number, { outBytes: CQ_CONTEXT + CQC.sizeBytes });
    const names = ['logSize', 'uar', 'eqn', 'period', 'maxCount', 'consumer', 'producer', 'overrunIgnore'] as const;
    expect(names.map((name) => getWord(output, CQC[name], CQ_CONTEXT))).toEqual([5, cq.uar, eq.number, 16, 32, 0, 0, 0]);
    expect(output[(CQ_CONTEXT + CQC.pasid) / 4]).toBe(0x800f_fffe);
    expect(getAddress(output, CQ_CONTEXT + CQC.record)).toBe(cq.record);
  });

  test('a completion tells when it was', () => {
    const { host, cq, sq } = queues();
    const us = host.clock.now();
    complete(sq, 1);
    const { view } = cq.next()!;
    expect(view.getUint32(CQE.timestampHi, true) * 2 ** 32 + view.getUint32(CQE.timestampLo, true)).toBe(us * 1000);
    expect(view.getUint8(CQE.opOwn) >>> 4).toBe(CQE_OPCODES.sent);
  });
});

describe('nic moderation', () => {
  test('128 the event comes 16 us after the first completion, or with the 32nd', () => {
    const { host, eq, cq, sq } = queues({ period: 16, count: 32 });
    cq.arm();
    complete(sq, 10);
    host.elapse(15);
    expect(cqns(eq)).toEqual([]);
    host.elapse(1);
    expect(cqns(eq)).toEqual([cq.number]);
    cq.drain();
    cq.arm({ sn: 1 });
    complete(sq, 31);
    expect(cqns(eq)).toEqual([]);
    complete(sq, 9);
    expect(cqns(eq)).toEqual([cq.number]);
    host.elapse(100);
    expect(cqns(eq)).toEqual([]);
  });

  test.each([
    [0, 32],
    [16, 0],
    [16, 1],
  ])('with a period of %i us and %i completions it comes at once', (period, count) => {
    const { eq, cq, sq } = queues({ period, count });
    cq.arm();
    complete(sq, 1);
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('a change that says less than it must is refused', () => {
    const { pf, cq } = queues({ period: 16, count: 32 });
    const fill = (words: Uint32Array): void => setWord(words, CQ_MODIFY.select, CQ_MODIFY.period | CQ_MODIFY.count);
    expect(pf.about(OPCODES.MODIFY_CQ, cq.number, { inBytes: CQ_CONTEXT + 0x20, fill }).status).toBe(STATUS.inLength);
    expect([cq.query('period'), cq.query('maxCount')]).toEqual([16, 32]);
  });

  test('a change takes effect on what waits', () => {
    const { host, eq, cq, sq } = queues({ period: 4000, count: 1000 });
    cq.arm();
    complete(sq, 10);
    expect(cq.modify(CQ_MODIFY.period, 2500, 7).status).toBe(STATUS.ok);
    expect(cqns(eq)).toEqual([]);
    host.elapse(2500);
    expect(cqns(eq)).toEqual([cq.number]);
    expect([cq.query('period'), cq.query('maxCount')]).toEqual([2500, 1000]);
    cq.arm({ sn: 1, consumer: 10 });
    complete(sq, 6);
    cq.modify(CQ_MODIFY.count, 0, 6);
    expect(cqns(eq)).toEqual([cq.number]);
  });

  test('an arm that has seen all begins anew', () => {
    const { host, eq, cq, sq } = queues({ period: 16, count: 32 });
    cq.arm();
    complete(sq, 1);
    host.elapse(10);
    cq.drain();
    cq.arm();
    host.elapse(10);
    expect(cqns(eq)).toEqual([]);
    complete(sq, 1);
    host.elapse(16);
    expect(cqns(eq)).toEqual([cq.number]);
  });
});
