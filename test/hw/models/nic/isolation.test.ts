import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Wire, WirePort } from '../../../../hw/endpoint/index.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES } from '../../../../hw/regs/nic-commands.js';
import { NIC_VPORT, NIC_VPORT_IN, NIC_VPORT_SELECT } from '../../../../hw/regs/nic-contexts.js';
import { setWord } from '../../../../hw/regs/nic-words.js';
import { PAGE } from './memory.js';
import { BROADCAST, FarEnd, Port, frame, mac, network, setL2, setUnicast, switched } from './ports.js';
import { HostCq, HostSq } from './queues.js';

const A = NIC.SF_BASE_ID;

/** Words that mean something, but are the address of no memory that anybody has been given. */
const WORD = fc.oneof(
  fc.nat(8),
  fc.nat(255),
  fc.constantFrom(A, A + 1, 0x8000_0001, 0xffff_ffff, 1 << 28),
  fc.nat(255).map((page) => page * PAGE),
  fc.integer({ min: 2 ** 24, max: 0xffff_ffff }),
);
const REGISTER = fc.oneof(
  fc.constantFrom(0x10, 0x14, 0x18),
  fc
    .tuple(fc.nat(15), fc.constantFrom(NIC.UAR_CQ_ARM, NIC.UAR_EQ_ARM, NIC.UAR_EQ_CI, NIC.UAR_INTR_KICK, NIC.UAR_CQ_KICK, 0x800))
    .map(([page, at]) => page * PAGE + at),
);
/** What a sub-function can do to whatever is not its own. */
const MISCHIEF = fc.oneof(
  fc.record({ kind: fc.constantFrom('write32', 'write64'), offset: REGISTER, value: WORD, high: WORD }),
  fc.record({
    kind: fc.constant('command'),
    opcode: fc.constantFrom(...Object.values(OPCODES)),
    words: fc.array(WORD, { minLength: 2, maxLength: 40 }),
  }),
  fc.record({ kind: fc.constant('steal') }),
);
type Mischief = typeof MISCHIEF extends fc.Arbitrary<infer T> ? T : never;

describe('nic functions and their data paths', () => {
  test('101 each queue reaches memory in its own address space', () => {
    const { host, pf } = network(0);
    const far = new FarEnd(host);
    const one = new Port(pf, { pasid: 1, buffers: 2 });
    const sent = frame(mac(99), one.mac);
    one.sq.send(sent);
    far.send(frame(one.mac, mac(9)));
    expect(far.take()).toEqual([sent]);
    expect(one.received()).toHaveLength(1);
    expect(one.txCq.drain()).toHaveLength(1);
    const pasids = new Set(host.memory.writes.filter(([address]) => address >= one.txCq.record).map(([, , pasid]) => pasid));
    expect([...pasids]).toContain(1);
    // The same packet by a queue of another space, and of none.
    const eq = pf.createEq();
    const [two, none] = [2, 0].map((pasid) => {
      const cq = new HostCq(pf, eq, { pasid });
      return { cq, sq: new HostSq(pf, cq, { pasid }) };
    });
    const secret = host.memory.alloc(4096);
    host.memory.unmap(secret, 4096);
    host.memory.map(secret, 4096, 1);
    host.memory.bytes.set(sent, secret);
    for (const { sq } of [one, two!, none!]) {
      sq.post([[secret, sent.length]]);
      sq.ring64();
      host.elapse(10);
    }
    expect(far.take()).toEqual([sent]);
    const syndromes = [one.txCq, two!.cq, none!.cq].map((cq) => cq.drain().map(({ syndrome }) => syndrome));
    expect(syndromes).toEqual([[0], [NIC.CQE_SYNDROMES.protection], [NIC.CQE_SYNDROMES.protection]]);
    expect(host.memory.faults).toEqual([secret, secret]);
  });

  test('when a sub-function is disabled its queues end, and those of others go on', () => {
    const net = switched();
    const { a, b, pf, host } = net;
    a.sq.frame(frame(b.mac, a.mac));
    b.sq.frame(frame(a.mac, b.mac));
    a.sq.ring64();
    b.sq.ring64();
    pf.about(OPCODES.DISABLE_HCA, A);
    a.driver.exec(OPCODES.DISABLE_HCA);
    host.elapse(100);
    const { length } = host.memory.writes;
    b.sq.send(frame(a.mac, b.mac), frame(mac(0), b.mac));
    expect(host.memory.writes.length).toBeGreaterThan(length);
    expect(b.txCq.drain()).not.toEqual([]);
    expect(host.device.functionOf(A)?.sqs).toEqual([]);
  });

  test('after a reset of the function nothing of it is left', () => {
    const { host, a, far, zero } = switched();
    a.sq.frame(frame(zero.mac, a.mac));
    a.sq.ring64();
    host.device.reset();
    host.memory.writes.length = 0;
    host.elapse(1000);
    far.send(frame(zero.mac, mac(9)));
    expect(host.memory.writes).toEqual([]);
    expect(host.device.pf.vport!.counters.every((value) => value === 0)).toBe(true);
    expect(host.device.functionOf(A)).toBeUndefined();
  });

  test('what a function has set for its port ends with it; its address stays', () => {
    const { a, b, far, host } = switched();
    setUnicast(a.driver, A, [mac(50)]);
    setL2(a.driver, 1, mac(51));
    a.modify(NIC_VPORT_SELECT.promiscuous, (words) => setWord(words, NIC_VPORT.promiscuousAll, 1, NIC_VPORT_IN));
    a.modify(NIC_VPORT_SELECT.mtu, (words) => setWord(words, NIC_VPORT.mtu, 9000, NIC_VPORT_IN));
    a.driver.must(OPCODES.TEARDOWN_HCA);
    a.driver.must(OPCODES.INIT_HCA, { inBytes: 32 });
    const again = new Port(a.driver, { mac: a.mac });
    for (const to of [mac(50), mac(51), mac(999)]) far.send(frame(to, mac(9)));
    b.sq.send(frame(a.mac, b.mac, 1519), frame(a.mac, b.mac, 1518));
    expect(again.received().map(({ length }) => length)).toEqual([1518]);
    expect(host.device.functionOf(A)!.vport!.mtu).toBe(1500);
  });

  test('a sub-function that means no good changes nothing for the others', () => {
    let violations = 0;
    const check = (steps: readonly Mischief[]): void => {
      const { host, pf, far, a, b, zero } = switched();
      const others = [zero, b];
      for (const [n, step] of steps.entries()) {
        if ('opcode' in step) {
          a.driver.setQueue();
          const fill = (input: Uint32Array): void =>
            input.subarray(2).forEach((_, i, all) => (all[i] = step.words[i % step.words.length]!));
          a.driver.exec(step.opcode, { inBytes: 0x210, outBytes: 0x210, fill });
        } else if ('offset' in step) {
          if (step.kind === 'write32') host.bar2.write32(step.offset, step.value);
          else host.bar2.write64(step.offset, step.value, step.high);
        } else {
          a.driver.setQueue();
          setUnicast(a.driver, A, [b.mac, zero.mac]);
        }
        host.elapse(50);
        const [there, back, out] = [frame(b.mac, zero.mac, 200, n), frame(zero.mac, b.mac, 300, n), frame(mac(9), b.mac, 60, n)];
        zero.sq.send(there);
        b.sq.send(back, out);
        expect(far.take().filter((bytes) => bytes[11] === b.mac[5] && bytes[10] === b.mac[4])).toEqual([out]);
        expect(others.map((port) => port.received())).toEqual([[back], [there]]);
        for (const port of others) {
          port.txCq.drain();
          port.rq.fill(1);
          expect(port.eq.drain().every(({ type }) => type === NIC.EVENTS.completion)).toBe(true);
        }
      }
      violations += host.device.functionOf(A)!.uarViolations;
      expect(others.map(({ driver: { id } }) => host.device.functionOf(id)!.uarViolations)).toEqual([0, 0]);
      expect([pf, b.driver].map((driver) => driver.read(NIC.HEALTH.syndrome))).toEqual([0, 0]);
      expect(host.guestErrors.every((text) => /function 32768|at 0x/.test(text))).toBe(true);
    };
    fc.assert(fc.property(fc.array(MISCHIEF, { minLength: 10, maxLength: 40 }), check), { numRuns: 25, seed: 7 });
    expect(violations).toBeGreaterThan(10);
  });

  test('a wire may give back what it is sent, while it is sent', () => {
    const net = switched();
    let port: WirePort | undefined = undefined;
    const echo: Wire = {
      attach: (other) => {
        port = other;
        other?.setLink(true);
      },
      send: (bytes, offset, length) => port?.receive(bytes, offset, length),
    };
    net.host.device.wire = echo;
    const sent = frame(BROADCAST, net.a.mac);
    net.a.sq.send(sent, sent);
    // The echo is from the wire: its sender gets it too.
    expect(net.all.map((other) => other.received())).toEqual([
      [sent, sent, sent, sent],
      [sent, sent],
      [sent, sent, sent, sent],
    ]);
  });
});
