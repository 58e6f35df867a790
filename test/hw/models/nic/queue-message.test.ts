import { describe, expect, test } from 'vitest';
import { EVENTS, SYNDROMES, UAR_CQ_KICK } from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { CQC, CQ_CONTEXT, EQ_CONTEXT, EQC, MESSAGE, PAGE_LIST } from '../../../../hw/regs/nic-contexts.js';
import { setAddress, setWord } from '../../../../hw/regs/nic-words.js';
import { working } from './fixture.js';
import { PAGE } from './memory.js';
import { HostCq, HostSq } from './queues.js';

const MESSAGE_TO = 0x1_fee0_2000;

/** A queue that interrupts by itself: by an entry of the table, or by a message at the address. */
function own(target: { readonly vector: number } | { readonly message: number }) {
  return (words: Uint32Array): void => {
    setWord(words, CQC.hasOwnMessage, 1, CQ_CONTEXT);
    if ('vector' in target) setWord(words, CQC.intr, target.vector, CQ_CONTEXT);
    else {
      setWord(words, CQC.inMemory, 1, CQ_CONTEXT);
      setAddress(words, CQ_CONTEXT + CQC.message, target.message);
    }
  };
}

function bench(kind: 'table' | 'memory') {
  const { host, pf } = working({ imsCapacity: 2, msix: 8 });
  const { memory } = host;
  const message = memory.alloc(PAGE);
  const set = (data: number, control = 0): void => {
    memory.view.setUint32(message + MESSAGE.addressLo, MESSAGE_TO % 2 ** 32, true);
    memory.view.setUint32(message + MESSAGE.addressHi, Math.floor(MESSAGE_TO / 2 ** 32), true);
    memory.view.setUint32(message + MESSAGE.data, data, true);
    memory.view.setUint32(message + MESSAGE.control, control, true);
  };
  set(0x41);
  const eq = pf.createEq({ logSize: 6, events: [EVENTS.cqError] });
  const cq = new HostCq(pf, eq, { logSize: 3, more: own(kind === 'table' ? { vector: 5 } : { message }) });
  const sq = new HostSq(pf, cq, { logSize: 6 });
  eq.arm();
  const complete = (): void => {
    sq.nop();
    sq.ring64();
    host.elapse(1);
  };
  return { host, pf, eq, cq, sq, set, message, complete };
}

describe('a completion queue with a message of its own', () => {
  test('sends its entry of the table once for each arm, and tells no event queue', () => {
    const { host, cq, eq, complete } = bench('table');
    complete();
    expect(host.takeIrqs()).toEqual([]);
    for (let sn = 0; sn < 5; sn++) {
      cq.drain();
      cq.sn = sn;
      cq.arm();
      complete();
      complete();
      expect(host.takeIrqs()).toEqual([5]);
    }
    expect(eq.drain()).toEqual([]);
  });

  test('an arm that comes late sends it at once, and a stale one not', () => {
    const { host, cq, complete } = bench('table');
    complete();
    cq.arm();
    expect(host.takeIrqs()).toEqual([5]);
    cq.arm();
    expect(host.takeIrqs()).toEqual([]);
  });

  test('reads a message in memory when it sends it, and writes nothing there', () => {
    const { host, cq, set, message, complete } = bench('memory');
    set(0x42);
    cq.arm();
    complete();
    expect([host.takeMessages(), host.takeIrqs()]).toEqual([[[MESSAGE_TO, 0x42]], []]);
    expect(host.memory.writes.filter(([at]) => at >= message && at < message + MESSAGE.sizeBytes)).toEqual([]);
  });

  test('one that is masked is held until it is unmasked and kicked, by its own page alone', () => {
    const { host, pf, cq, set, complete } = bench('memory');
    const other = pf.alloc(OPCODES.ALLOC_UAR);
    set(0x43, MESSAGE.masked);
    cq.arm();
    complete();
    pf.ring32(cq.uar, UAR_CQ_KICK, cq.number);
    expect(host.takeMessages()).toEqual([]);
    set(0x44);
    const before = host.device.pf.uarViolations;
    pf.ring32(other, UAR_CQ_KICK, cq.number);
    pf.ring32(cq.uar, UAR_CQ_KICK, 99);
    expect([host.takeMessages(), host.device.pf.uarViolations - before]).toEqual([[], 2]);
    pf.ring32(cq.uar, UAR_CQ_KICK, cq.number);
    pf.ring32(cq.uar, UAR_CQ_KICK, cq.number);
    expect(host.takeMessages()).toEqual([[MESSAGE_TO, 0x44]]);
  });

  test('a message that cannot be read is not sent, and health says so', () => {
    const { host, cq, message, complete } = bench('memory');
    host.memory.unmap(message, PAGE);
    cq.arm();
    complete();
    expect([host.takeMessages(), host.memory.faults]).toEqual([[], [message]]);
    expect(host.device.pf.health.syndrome).toBe(SYNDROMES.fetch);
  });

  test('one whose queue ends while it is read is not sent', () => {
    const { host, cq, message, complete } = bench('memory');
    cq.arm();
    const { read } = host.memory;
    host.memory.read = (address, ...rest) => {
      const isRead = read.call(host.memory, address, ...rest);
      if (address === message) host.device.pf.teardown();
      return isRead;
    };
    complete();
    expect([host.takeMessages(), host.device.messages]).toEqual([[], 0]);
  });

  test('that it has failed is told by the event queue still', () => {
    const { host, cq, eq, complete } = bench('table');
    for (let n = 0; n < 9; n++) complete();
    host.takeIrqs();
    expect(eq.drain().map(({ type }) => type)).toEqual([EVENTS.cqError]);
    cq.arm();
    expect(host.takeIrqs()).toEqual([]);
  });

  test('is refused without such an entry, at an address that is no message’s, and beyond what the device can have', () => {
    const { host, pf, eq, cq, sq } = bench('memory');
    const create = (more: (words: Uint32Array) => void): number =>
      pf.exec(OPCODES.CREATE_CQ, {
        inBytes: PAGE_LIST + 8,
        fill: (words) => {
          setWord(words, CQC.uar, eq.uar, CQ_CONTEXT);
          setWord(words, CQC.eqn, eq.number, CQ_CONTEXT);
          setAddress(words, CQ_CONTEXT + CQC.record, PAGE);
          setAddress(words, PAGE_LIST, PAGE);
          more(words);
        },
      }).status;
    expect(create(own({ vector: 8 }))).toBe(STATUS.badParameter);
    expect(create(own({ message: PAGE + 8 }))).toBe(STATUS.badParameter);
    expect([create(own({ message: PAGE })), create(own({ message: PAGE }))]).toEqual([STATUS.ok, STATUS.noResources]);
    // Event queues have theirs of the same.
    const eqStatus = pf.exec(OPCODES.CREATE_EQ, {
      inBytes: PAGE_LIST + 8,
      fill: (words) => {
        setWord(words, EQC.uar, eq.uar, EQ_CONTEXT);
        setWord(words, EQC.inMemory, 1, EQ_CONTEXT);
        setAddress(words, EQ_CONTEXT + EQC.message, PAGE);
        setAddress(words, PAGE_LIST, PAGE);
      },
    }).status;
    expect(eqStatus).toBe(STATUS.noResources);
    pf.about(OPCODES.DESTROY_SQ, sq.number);
    pf.about(OPCODES.DESTROY_CQ, cq.number);
    expect(host.device.messages).toBe(1);
    expect(create(own({ message: PAGE }))).toBe(STATUS.ok);
    pf.must(OPCODES.TEARDOWN_HCA);
    expect(host.device.messages).toBe(0);
  });
});
