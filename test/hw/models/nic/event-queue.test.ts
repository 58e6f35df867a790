import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { EQC, EQ_CONTEXT, EQ_STATES, EQ_STATUS, MESSAGE, PAGE_LIST } from '../../../../hw/regs/nic-contexts.js';
import { getAddress, getWord, setWord } from '../../../../hw/regs/nic-words.js';
import { type FunctionDriver, type Host, type HostEq, working } from './fixture.js';
import { PAGE } from './memory.js';

const { EQE, EVENTS, SYNDROMES } = NIC;
const PORT_CHANGE = EVENTS.portChange;

/** Puts `count` events into a queue without a command each. */
function post(host: Host, eq: HostEq, count = 1): void {
  for (let n = 0; n < count; n++) host.device.functionOf(eq.driver.id)!.eqs[eq.number]!.post(PORT_CHANGE);
}

/** Status of a CREATE_EQ whose context is changed. */
function create(pf: FunctionDriver, change: (words: Uint32Array) => void, pages: readonly number[] = [PAGE]): number {
  const uar = pf.alloc(OPCODES.ALLOC_UAR);
  const fill = (words: Uint32Array): void => {
    setWord(words, EQC.uar, uar, EQ_CONTEXT);
    setWord(words, EQC.logSize, 6, EQ_CONTEXT);
    pages.forEach((page, i) => (words[PAGE_LIST / 4 + 2 * i + 1] = page));
    change(words);
  };
  return pf.exec(OPCODES.CREATE_EQ, { inBytes: PAGE_LIST + 8 * pages.length, fill }).status;
}

describe('nic event queue', () => {
  test('14 the owner is the parity of how often the queue has been round', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ logSize: 2 });
    const owners: number[][] = [];
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 4; n++) {
        post(host, eq);
        expect(eq.next()?.type).toBe(PORT_CHANGE);
        eq.update();
      }
      owners.push([0, 1, 2, 3].map((n) => host.memory.bytes[eq.at(n) + EQE.owner]!));
    }
    expect(owners).toEqual([Array(4).fill(0), Array(4).fill(1), Array(4).fill(0)]);
    expect(eq.next()).toBeUndefined();
  });

  test('one interrupt is sent between two arms', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ vector: 7, logSize: 6 });
    post(host, eq);
    expect([eq.query('state'), host.takeIrqs()]).toEqual([EQ_STATES.fired, []]);
    eq.drain();
    eq.arm();
    expect([eq.query('state'), host.takeIrqs()]).toEqual([EQ_STATES.armed, []]);
    post(host, eq, 10);
    expect([eq.query('state'), host.takeIrqs()]).toEqual([EQ_STATES.fired, [7]]);
    eq.drain();
    eq.arm();
    post(host, eq);
    expect(host.takeIrqs()).toEqual([7]);
  });

  test('an event between the last look and the arm sends an interrupt at once', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ vector: 1 });
    eq.arm();
    post(host, eq);
    host.takeIrqs();
    eq.drain();
    post(host, eq);
    eq.arm();
    expect(host.takeIrqs()).toEqual([1]);
  });

  test('an index is told without arming', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    post(host, eq, 3);
    eq.next();
    eq.update();
    expect([eq.query('consumer'), eq.query('producer'), host.takeIrqs()]).toEqual([1, 3, []]);
  });

  test('a queue may be in many pages, of any size', () => {
    const { host, pf } = working();
    for (const logPage of [0, 1]) {
      const eq = pf.createEq({ logSize: 9, logPage });
      expect(eq.pages).toHaveLength(8 >> logPage);
      post(host, eq, 512);
      expect(eq.drain()).toHaveLength(512);
    }
  });

  test('one that is full is overrun: it takes nothing any more, and health says so', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ logSize: 2 });
    post(host, eq, 5);
    expect(eq.query('status')).toBe(EQ_STATUS.overrun);
    expect(pf.read(NIC.HEALTH.syndrome)).toBe((SYNDROMES.eqOverrun << 16) | eq.number);
    expect(eq.drain()).toHaveLength(4);
    eq.arm();
    post(host, eq);
    expect([eq.next(), host.takeIrqs()]).toEqual([undefined, []]);
    // The first that has gone wrong stays.
    host.device.pf.health.report(SYNDROMES.temperature);
    expect(pf.read(NIC.HEALTH.syndrome) >>> 16).toBe(SYNDROMES.eqOverrun);
  });

  test('indices of 24 bits go round', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ logSize: 2, vector: 2 });
    const model = host.device.pf.eqs[eq.number]!;
    model.producer = model.consumer = 0xff_fffe;
    eq.consumer = 0xff_fffe;
    eq.arm();
    post(host, eq, 4);
    expect(eq.drain()).toHaveLength(4);
    eq.arm();
    expect([eq.query('consumer'), eq.query('producer'), eq.query('status')]).toEqual([2, 2, EQ_STATUS.ok]);
    expect(host.takeIrqs()).toEqual([2]);
  });

  test('one whose memory is gone stops, and health says so', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    eq.arm();
    host.memory.unmap(eq.at(0), PAGE);
    post(host, eq);
    expect([eq.query('status'), host.takeIrqs()]).toEqual([EQ_STATUS.writeFailed, []]);
    expect(pf.read(NIC.HEALTH.syndrome) >>> 16).toBe(SYNDROMES.eqError);
  });

  test('events go to the queue that has asked for their type, the first of several', () => {
    const { host, pf } = working();
    const [first, second] = [
      pf.createEq({ events: [EVENTS.portChange, EVENTS.general] }),
      pf.createEq({ events: [9, 0x2f, 0xff] }),
    ];
    for (const type of [EVENTS.portChange, EVENTS.general, 0x2f, 0xff, EVENTS.temperature]) host.device.pf.event(type, 4);
    expect(first.drain().map(({ type, subType }) => [type, subType])).toEqual([
      [EVENTS.portChange, 4],
      [EVENTS.general, 4],
    ]);
    expect(second.drain().map(({ type }) => type)).toEqual([0x2f, 0xff]);
    pf.about(OPCODES.DESTROY_EQ, first.number);
    host.device.pf.event(EVENTS.portChange);
    expect(second.drain()).toEqual([]);
  });

  test('a completion is told by the number of its queue, and cannot be asked for', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [EVENTS.completion] });
    host.device.pf.event(EVENTS.completion);
    expect(eq.next()).toBeUndefined();
    host.device.pf.eqs[eq.number]!.postCompletion(0x12_3456);
    const { type, view } = eq.next()!;
    expect([type, view.getUint32(EQE.cqn, true)]).toEqual([EVENTS.completion, 0x12_3456]);
  });

  test('an event of software’s is put in as it is, but for the owner', () => {
    const { pf } = working();
    const eq = pf.createEq();
    eq.generate(EVENTS.general, 7);
    const event = eq.next()!;
    expect([event.type, event.subType]).toEqual([EVENTS.general, 7]);
    expect(pf.about(OPCODES.GEN_EQE, 60, { inBytes: 0x50 }).status).toBe(STATUS.badResource);
    expect(pf.about(OPCODES.GEN_EQE, eq.number).status).toBe(STATUS.inLength);
    expect(pf.about(OPCODES.QUERY_EQ, eq.number).status).toBe(STATUS.outLength);
  });

  test('numbers are the lowest that are free, and there are 64', () => {
    const { pf } = working();
    const uar = pf.alloc(OPCODES.ALLOC_UAR);
    const eqs = Array.from({ length: 64 }, () => pf.createEq({ uar, logSize: 0 }));
    expect(eqs.map(({ number }) => number)).toEqual(Array.from({ length: 64 }, (_, n) => n));
    expect(create(pf, () => {})).toBe(STATUS.noResources);
    for (const n of [40, 3]) pf.about(OPCODES.DESTROY_EQ, n);
    expect([pf.createEq({ uar }).number, pf.createEq({ uar }).number]).toEqual([3, 40]);
    expect(pf.about(OPCODES.DESTROY_EQ, 64).status).toBe(STATUS.badResource);
  });

  test('a context that cannot be is refused', () => {
    const { pf } = working();
    const set = (field: Parameters<typeof setWord>[1], value: number) => (words: Uint32Array) =>
      setWord(words, field, value, EQ_CONTEXT);
    expect(create(pf, () => {})).toBe(STATUS.ok);
    expect(create(pf, set(EQC.uar, 99))).toBe(STATUS.badParameter);
    expect(create(pf, set(EQC.intr, 64))).toBe(STATUS.badParameter);
    expect(create(pf, set(EQC.logSize, 31))).toBe(STATUS.badParameter);
    expect(create(pf, set(EQC.logSize, 7))).toBe(STATUS.inLength);
    expect(create(pf, () => {}, [PAGE + 64])).toBe(STATUS.badParameter);
    expect(create(pf, (words) => (words[PAGE_LIST / 4] = 0xffff_ffff))).toBe(STATUS.badParameter);
    expect(create(pf, set(EQC.inMemory, 1))).toBe(STATUS.noResources);
    expect(pf.exec(OPCODES.CREATE_EQ).status).toBe(STATUS.inLength);
  });

  test('one that is always armed sends an interrupt for each event', () => {
    const { host, pf } = working();
    const uar = pf.alloc(OPCODES.ALLOC_UAR);
    const page = host.memory.alloc(PAGE);
    pf.must(OPCODES.CREATE_EQ, {
      inBytes: PAGE_LIST + 8,
      fill: (words) => {
        setWord(words, EQC.uar, uar, EQ_CONTEXT);
        setWord(words, EQC.logSize, 3, EQ_CONTEXT);
        setWord(words, EQC.intr, 5, EQ_CONTEXT);
        setWord(words, EQC.state, EQ_STATES.alwaysArmed, EQ_CONTEXT);
        words[PAGE_LIST / 4 + 1] = page;
      },
    });
    for (let n = 0; n < 3; n++) host.device.pf.eqs[0]!.post(PORT_CHANGE);
    expect(host.takeIrqs()).toEqual([5, 5, 5]);
  });
});

describe('nic event queue and its page of registers', () => {
  test('27 another page does not reach it, and that is counted', () => {
    const { host, pf } = working();
    const [eq, other] = [pf.createEq(), pf.createEq()];
    post(host, eq);
    for (const register of [NIC.UAR_EQ_ARM, NIC.UAR_EQ_CI]) pf.ring32(other.uar, register, (eq.number << 24) | 1);
    pf.ring32(other.uar, NIC.UAR_INTR_KICK, eq.number);
    expect([eq.query('consumer'), host.takeIrqs(), host.device.pf.uarViolations]).toEqual([0, [], 3]);
    pf.ring32(eq.uar, NIC.UAR_EQ_CI, (eq.number << 24) | 1);
    expect([eq.query('consumer'), host.device.pf.uarViolations, host.guestErrors]).toEqual([1, 3, []]);
  });

  test('a page that nobody has, and a queue that is not there, are violations too', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    pf.ring32(100, NIC.UAR_EQ_ARM, eq.number << 24);
    pf.ring32(eq.uar, NIC.UAR_EQ_ARM, 50 << 24);
    pf.ring64(100, NIC.UAR_CQ_ARM, 0, 1);
    expect(host.device.pf.uarViolations).toBe(3);
  });

  test('only whole registers are written', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    post(host, eq);
    const at = eq.uar * PAGE + NIC.UAR_EQ_CI;
    host.bar0.write8(at, 1);
    host.bar0.write16(at, 1);
    host.bar0.write64(at, eq.number << 24 || 1, 0);
    host.bar0.write32(at + 4, 1);
    host.bar0.write32(at + 1, 1);
    host.bar0.write32(NIC.FW_REV.offset, 1);
    expect([eq.query('consumer'), host.device.pf.uarViolations]).toEqual([0, 0]);
    expect(host.guestErrors.map((text) => text.split(' at')[0])).toEqual(
      [1, 2, 8, 4, 4, 4].map((bytes) => `write of ${bytes} byte${bytes === 1 ? '' : 's'}`),
    );
  });
});

describe('nic interrupts', () => {
  test('a masked entry of the table is pending, and is sent when it is unmasked', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ vector: 9 });
    host.mask(9, true);
    eq.arm();
    post(host, eq);
    expect([host.takeIrqs(), host.bar0.read32(NIC.MSIX_PBA_OFFSET)]).toEqual([[], 1 << 9]);
    host.mask(9, false);
    expect(host.takeIrqs()).toEqual([9]);
  });

  /** A message in memory, unmasked unless told otherwise. */
  function inMemory(control = 0, imsCapacity = 2) {
    const { host, pf } = working({ imsCapacity });
    const { view } = host.memory;
    const message = host.memory.alloc(PAGE);
    const set = (address: number, data: number, value: number): void => {
      view.setUint32(message + MESSAGE.addressLo, address, true);
      view.setUint32(message + MESSAGE.data, data, true);
      view.setUint32(message + MESSAGE.control, value, true);
    };
    set(0xfeed_0000, 0x1234, control);
    const eq = pf.createEq({ message, logSize: 8 });
    eq.arm();
    return { host, pf, eq, message, set };
  }

  test('52 a message in memory is read when it is sent', () => {
    const { host, eq, set } = inMemory();
    set(0xbeef_0000, 0x77, 0);
    post(host, eq);
    expect(host.takeMessages()).toEqual([[0xbeef_0000, 0x77]]);
    set(0xfeed_0004, 0x78, 0);
    eq.drain();
    eq.arm();
    post(host, eq);
    expect([host.takeMessages(), host.takeIrqs()]).toEqual([[[0xfeed_0004, 0x78]], []]);
  });

  test('a context says whether its message is in memory, and where', () => {
    const { pf, eq, message } = inMemory();
    const other = pf.createEq({ vector: 9 });
    const told = [eq, other].map(({ number }) => {
      const { output } = pf.about(OPCODES.QUERY_EQ, number, { outBytes: EQ_CONTEXT + EQC.sizeBytes });
      const get = (name: 'inMemory' | 'intr'): number => getWord(output, EQC[name], EQ_CONTEXT);
      return [get('inMemory'), get('intr'), getAddress(output, EQ_CONTEXT + EQC.message)];
    });
    expect(told).toEqual([
      [1, 0, message],
      [0, 9, 0],
    ]);
  });

  test('54 one that is masked is held until it is unmasked and kicked', () => {
    const { host, eq, set } = inMemory(MESSAGE.masked);
    post(host, eq);
    expect(host.takeMessages()).toEqual([]);
    set(0xfeed_0000, 1, 0);
    host.elapse(1000);
    expect(host.takeMessages()).toEqual([]);
    eq.kick();
    eq.kick();
    expect(host.takeMessages()).toEqual([[0xfeed_0000, 1]]);
  });

  test('55 100 events while it is masked are one interrupt, and nothing is written to the message', () => {
    const { host, eq, set, message } = inMemory(MESSAGE.masked);
    host.memory.writes.length = 0;
    post(host, eq, 100);
    expect(host.memory.writes.filter(([at]) => at >= message && at < message + MESSAGE.sizeBytes)).toEqual([]);
    set(0xfeed_0000, 1, 0);
    eq.kick();
    expect(host.takeMessages()).toEqual([[0xfeed_0000, 1]]);
  });

  test('a kick of one that was not held sends nothing, whatever is in the queue', () => {
    const { host, eq } = inMemory();
    eq.kick();
    post(host, eq, 2);
    expect(host.takeMessages()).toHaveLength(1);
    eq.kick();
    expect(host.takeMessages()).toEqual([]);
  });

  test('a kick of one that is still masked holds it on; of one without events it sends nothing', () => {
    const { host, eq, set } = inMemory(MESSAGE.masked);
    post(host, eq);
    eq.kick();
    set(0xfeed_0000, 1, 0);
    eq.drain();
    eq.update();
    eq.kick();
    expect(host.takeMessages()).toEqual([]);
    eq.arm();
    post(host, eq);
    expect(host.takeMessages()).toHaveLength(1);
  });

  test('a message that cannot be read is not sent', () => {
    const { host, eq, message } = inMemory();
    host.memory.unmap(message, PAGE);
    post(host, eq);
    expect([host.takeMessages(), host.memory.faults]).toEqual([[], [message]]);
  });

  test('there are as many as the device can have, in all functions', () => {
    const { host, pf } = inMemory();
    const uar = pf.alloc(OPCODES.ALLOC_UAR);
    const withMessage = (words: Uint32Array): void => {
      setWord(words, EQC.inMemory, 1, EQ_CONTEXT);
      words[(EQ_CONTEXT + EQC.message) / 4 + 1] = PAGE;
    };
    expect(create(pf, (words) => (withMessage(words), (words[(EQ_CONTEXT + EQC.message) / 4 + 1] = PAGE + 8)))).toBe(
      STATUS.badParameter,
    );
    expect([create(pf, withMessage), create(pf, withMessage)]).toEqual([STATUS.ok, STATUS.noResources]);
    expect(host.device.messages).toBe(2);
    pf.about(OPCODES.DESTROY_EQ, 0);
    pf.about(OPCODES.DEALLOC_UAR, uar);
    expect(create(pf, withMessage)).toBe(STATUS.ok);
  });
});
