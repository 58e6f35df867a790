import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { ESW, UPLINK } from '../../../../hw/regs/nic-contexts.js';
import { BROADCAST, deleteRule, frame, mac, setMode, setRepQueue, setRule, switched, taken } from './ports.js';
import { HostCq, HostRq, HostSq } from './queues.js';

const { SF_BASE_ID } = NIC;
const A = SF_BASE_ID;
const B = SF_BASE_ID + 1;

describe('nic switch, switchdev', () => {
  function offloaded() {
    const net = switched();
    expect(setMode(net.pf, ESW.switchdev).status).toBe(STATUS.ok);
    const cq = new HostCq(net.pf, net.zero.eq);
    const slow = new HostRq(net.pf, cq);
    slow.fill(8);
    const rep = (port: number): HostSq => new HostSq(net.pf, net.zero.txCq, { leavesBy: port });
    return { ...net, cq, slow, rep };
  }

  test('124 packets for which there is a rule go from function to function, and nowhere else', () => {
    const net = offloaded();
    const { a, b, pf, cq, slow } = net;
    for (const port of [A, B]) setRepQueue(pf, port, slow.number);
    expect(setRule(pf, A, b.mac, [B]).status).toBe(STATUS.ok);
    expect(setRule(pf, B, a.mac, [A]).status).toBe(STATUS.ok);
    const wrong: number[] = [];
    for (let i = 0; i < 1000; i += 25) {
      const sent = Array.from({ length: 25 }, (_, n) => frame(b.mac, a.mac, 60 + i + n, i + n));
      a.sq.send(...sent);
      a.txCq.drain();
      const got = b.received();
      sent.forEach((bytes, n) => {
        if (Buffer.compare(bytes, got[n] ?? new Uint8Array(0)) !== 0) wrong.push(i + n);
      });
      b.rq.fill(25);
    }
    expect(wrong).toEqual([]);
    expect([a.counter('txUnicastPackets'), b.counter('rxUnicastPackets')]).toEqual([1000, 1000]);
    expect(cq.drain()).toEqual([]);
    for (const name of ['rxDropped', 'txDropped', 'rxErrors', 'txErrors', 'rxOutOfBuffer'] as const) {
      expect([name, a.counter(name), b.counter(name)]).toEqual([name, 0, 0]);
    }
  });

  test('125 packets without a rule come to the queue of the source, once, with where they are from', () => {
    const net = offloaded();
    const { a, b, far, pf, cq, slow } = net;
    for (const port of [A, B, UPLINK]) expect(setRepQueue(pf, port, slow.number).status).toBe(STATUS.ok);
    const sent = frame(mac(999), a.mac, 200);
    a.sq.send(sent);
    b.sq.send(frame(BROADCAST, b.mac));
    far.send(frame(mac(0), mac(9)));
    const cqes = cq.drain();
    expect(cqes.map(({ source }) => source)).toEqual([A, B, UPLINK]);
    expect(slow.frameOf(cqes[0]!)).toEqual(sent);
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect(pf.about(OPCODES.DESTROY_RQ, slow.number).status).toBe(STATUS.badResourceState);
    for (const port of [A, B, UPLINK]) setRepQueue(pf, port, 0);
    a.sq.send(sent);
    expect(a.counter('txDropped')).toBe(1);
    expect(pf.about(OPCODES.DESTROY_RQ, slow.number).status).toBe(STATUS.ok);
    expect(setRepQueue(pf, A, slow.number).status).toBe(STATUS.badResource);
  });

  test('a slow path without buffers is counted', () => {
    const { a, pf, zero, slow } = offloaded();
    setRepQueue(pf, A, slow.number);
    for (let i = 0; i < 9; i++) a.sq.send(frame(mac(999), a.mac));
    expect([slow.query('outOfBuffer'), zero.counter('rxOutOfBuffer')]).toEqual([1, 1]);
  });

  test('what the manager sends for a port comes to that port, or leaves by the cable', () => {
    const net = offloaded();
    const { a, b, far, rep, zero } = net;
    const sent = frame(a.mac, mac(9));
    rep(A).send(sent);
    rep(UPLINK).send(frame(b.mac, mac(9)));
    rep(SF_BASE_ID + 5).send(sent);
    expect(a.received()).toEqual([sent]);
    expect(far.frames).toEqual([frame(b.mac, mac(9))]);
    expect(taken(net)).toEqual([1, 0, 0, 0]);
    expect(zero.counter('txDropped')).toBe(1);
    expect(zero.counter('txUnicastPackets')).toBe(0);
  });

  test('a rule has up to 64 outputs, is by source, can be changed and taken away', () => {
    const net = offloaded();
    const { a, b, pf, far } = net;
    expect(setRule(pf, A, BROADCAST, [0, B, UPLINK]).status).toBe(STATUS.ok);
    a.sq.send(frame(BROADCAST, a.mac));
    b.sq.send(frame(BROADCAST, b.mac));
    expect(taken(net)).toEqual([1, 1, 0, 1]);
    expect(setRule(pf, A, BROADCAST, [B, SF_BASE_ID + 7]).status).toBe(STATUS.ok);
    a.sq.send(frame(BROADCAST, a.mac));
    expect(taken(net)).toEqual([0, 0, 0, 1]);
    expect(a.counter('txDropped')).toBe(1);
    expect(setRule(pf, UPLINK, mac(70), [UPLINK]).status).toBe(STATUS.ok);
    far.send(frame(mac(70), mac(9)));
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect(deleteRule(pf, A, BROADCAST).status).toBe(STATUS.ok);
    expect(deleteRule(pf, A, BROADCAST).status).toBe(STATUS.badResource);
    a.sq.send(frame(BROADCAST, a.mac));
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect(setRule(pf, A, mac(1), new Array<number>(64).fill(B)).status).toBe(STATUS.ok);
    expect(setRule(pf, A, mac(1), new Array<number>(65).fill(B)).status).toBe(STATUS.badParameter);
    expect(setRule(pf, A, mac(1), [0x1234]).status).toBe(STATUS.badParameter);
    expect(setRule(pf, 0x1234, mac(1), [B]).status).toBe(STATUS.badParameter);
  });

  test('a change of mode forgets rules and queues', () => {
    const { host, pf, a, b, slow } = offloaded();
    setRule(pf, A, b.mac, [B]);
    setRepQueue(pf, A, slow.number);
    setMode(pf, ESW.legacy);
    setMode(pf, ESW.switchdev);
    a.sq.send(frame(b.mac, a.mac));
    expect([a.counter('txDropped'), b.counter('rxUnicastPackets')]).toEqual([1, 0]);
    expect(setMode(pf, 2).status).toBe(STATUS.badParameter);
    host.device.reset();
    expect(host.device.engine.switch.mode).toBe(ESW.legacy);
  });
});
