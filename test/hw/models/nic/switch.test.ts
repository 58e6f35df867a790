import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import {
  ESW,
  L2_ENTRY,
  NIC_VPORT,
  NIC_VPORT_IN,
  NIC_VPORT_OUT,
  NIC_VPORT_SELECT,
  UPLINK,
  VPORT,
  VPORT_STATE,
} from '../../../../hw/regs/nic-contexts.js';
import { getWord, setWord } from '../../../../hw/regs/nic-words.js';
import type { FunctionDriver, Input } from './fixture.js';
import {
  BROADCAST,
  type Mac,
  Port,
  counterOf,
  deleteL2,
  deleteRule,
  frame,
  getMac,
  mac,
  modifyPort,
  network,
  setL2,
  setMode,
  setRepQueue,
  setRule,
  setState,
  setUnicast,
  stateOf,
  switched,
  taken,
} from './ports.js';
import { HostSq } from './queues.js';

const { SF_BASE_ID, PORT_SUBTYPES, EVENTS } = NIC;
const A = SF_BASE_ID;
const B = SF_BASE_ID + 1;
const MULTICAST: Mac = [0x01, 0, 0x5e, 0, 0, 1];

const promiscuous = (port: Port): void =>
  void port.modify(NIC_VPORT_SELECT.promiscuous, (words) => setWord(words, NIC_VPORT.promiscuousUc, 1, NIC_VPORT_IN));
const disableLoopback = (port: Port): void =>
  void port.modify(NIC_VPORT_SELECT.loopback, (words) => setWord(words, NIC_VPORT.disableUcLoopback, 1, NIC_VPORT_IN));

describe('nic switch, legacy', () => {
  test('unicast packets go to whose address it is, and nowhere else', () => {
    const net = switched();
    const { a, b } = net;
    const sent = [1, 2, 3].map((seed) => frame(b.mac, a.mac, 100 * seed, seed));
    a.sq.send(...sent);
    expect(b.received()).toEqual(sent);
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect([a.counter('txUnicastPackets'), a.counter('txUnicastBytes')]).toEqual([3, 600]);
    expect([b.counter('rxUnicastPackets'), b.counter('rxUnicastBytes')]).toEqual([3, 600]);
  });

  test('packets for nobody go to the cable, and to ports that want such', () => {
    const net = switched();
    const { a, b, far } = net;
    const sent = frame(mac(999), a.mac);
    a.sq.send(sent);
    expect(far.frames).toEqual([sent]);
    expect(taken(net)).toEqual([1, 0, 0, 0]);
    promiscuous(b);
    a.sq.send(sent);
    expect(taken(net)).toEqual([1, 0, 0, 1]);
    b.sq.send(sent);
    expect(taken(net)).toEqual([1, 0, 0, 0]);
  });

  test('packets for nobody that come by the cable are dropped, unless a port wants them', () => {
    const net = switched();
    const { far, pf, zero } = net;
    far.send(frame(mac(999), mac(998)));
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect(counterOf(pf, UPLINK, 'rxDropped')).toBe(1);
    promiscuous(zero);
    far.send(frame(mac(999), mac(998)));
    expect(taken(net)).toEqual([0, 1, 0, 0]);
    expect(counterOf(pf, UPLINK, 'rxUnicastPackets')).toBe(2);
  });

  test('126 a broadcast goes to all but its source', () => {
    const net = switched();
    const { a, b, far, pf } = net;
    a.sq.send(frame(BROADCAST, a.mac));
    expect(taken(net)).toEqual([1, 1, 0, 1]);
    a.sq.send(frame(MULTICAST, a.mac));
    expect(taken(net)).toEqual([1, 1, 0, 1]);
    far.send(frame(BROADCAST, mac(9)));
    expect(taken(net)).toEqual([0, 1, 1, 1]);
    expect(['txBroadcastPackets', 'txMulticastPackets'].map((name) => a.counter(name as 'txErrors'))).toEqual([1, 1]);
    expect(['rxBroadcastPackets', 'rxMulticastPackets'].map((name) => b.counter(name as 'rxErrors'))).toEqual([2, 1]);
    expect(counterOf(pf, UPLINK, 'txBroadcastBytes')).toBe(60);
    for (const nearly of [
      [255, 255, 255, 255, 255, 254],
      [1, 2, 3, 255, 255, 255],
    ] as const)
      a.sq.send(frame(nearly, a.mac));
    expect([a.counter('txBroadcastPackets'), a.counter('txMulticastPackets')]).toEqual([1, 3]);
  });

  test('126 a packet to the port itself comes back, unless that was disabled', () => {
    const net = switched();
    const { a } = net;
    a.sq.send(frame(a.mac, a.mac));
    expect(taken(net)).toEqual([0, 0, 1, 0]);
    disableLoopback(a);
    a.sq.send(frame(a.mac, a.mac));
    expect(taken(net)).toEqual([0, 0, 0, 0]);
    expect(a.counter('txDropped')).toBe(1);
  });

  test('a TIR that does not take its own drops them', () => {
    const net = switched(1, { loopback: false });
    net.a.sq.send(frame(net.a.mac, net.a.mac));
    expect(taken(net)).toEqual([0, 0, 0]);
  });

  test('a port that gets another address has the old one no more', () => {
    const net = switched();
    const { a, b } = net;
    const { status } = a.modify(NIC_VPORT_SELECT.address, (words) => {
      words[(NIC_VPORT_IN + NIC_VPORT.address) / 4] = 0x02aa;
      words[(NIC_VPORT_IN + NIC_VPORT.address) / 4 + 1] = 70;
    });
    expect(status).toBe(STATUS.ok);
    b.sq.send(frame(a.mac, b.mac));
    expect(taken(net)).toEqual([1, 0, 0, 0]);
    b.sq.send(frame(mac(70), b.mac));
    expect(taken(net)).toEqual([0, 0, 1, 0]);
  });

  test('a port has more addresses, by list and one by one', () => {
    const net = switched();
    const { a, b, pf, far } = net;
    const hits = (...macs: Mac[]): number[] => {
      for (const to of macs) far.send(frame(to, mac(9)));
      return taken(net).slice(1);
    };
    expect(setUnicast(b.driver, b.driver.id, [mac(50), mac(51)]).status).toBe(STATUS.ok);
    expect(setL2(a.driver, 7, mac(60)).status).toBe(STATUS.ok);
    expect(hits(mac(50), mac(51), mac(60))).toEqual([0, 1, 2]);
    expect(setUnicast(pf, b.driver.id, [mac(52)]).status).toBe(STATUS.ok);
    expect(setL2(a.driver, 7, mac(61)).status).toBe(STATUS.ok);
    expect(hits(mac(50), mac(51), mac(52), mac(60), mac(61))).toEqual([0, 1, 1]);
    expect(deleteL2(a.driver, 7).status).toBe(STATUS.ok);
    expect(deleteL2(a.driver, 7).status).toBe(STATUS.badResource);
    expect(hits(mac(61))).toEqual([0, 0, 0]);
    expect(
      setUnicast(
        b.driver,
        b.driver.id,
        Array.from({ length: 129 }, (_, i) => mac(i)),
      ).status,
    ).toBe(STATUS.badParameter);
  });

  test('an address of two ports is that of the first, and of the other when that is gone', () => {
    const net = switched();
    const { a, b, far, pf } = net;
    setUnicast(a.driver, A, [mac(50)]);
    setUnicast(b.driver, B, [mac(50)]);
    far.send(frame(mac(50), mac(9)));
    expect(taken(net)).toEqual([0, 0, 1, 0]);
    pf.about(OPCODES.DISABLE_HCA, A);
    a.driver.exec(OPCODES.DISABLE_HCA);
    expect(pf.about(OPCODES.DEALLOC_SF, A).status).toBe(STATUS.ok);
    far.send(frame(mac(50), mac(9)));
    expect(b.received()).toHaveLength(1);
  });

  test('packets longer than the port takes are errors of it', () => {
    const net = switched();
    const { a, b } = net;
    a.sq.send(frame(b.mac, a.mac, 1518), frame(b.mac, a.mac, 1519));
    expect(b.received()).toHaveLength(1);
    expect(b.counter('rxErrors')).toBe(1);
    b.modify(NIC_VPORT_SELECT.mtu, (words) => setWord(words, NIC_VPORT.mtu, 1501, NIC_VPORT_IN));
    a.sq.send(frame(b.mac, a.mac, 1519));
    expect(b.received()).toHaveLength(1);
    const { status } = b.modify(NIC_VPORT_SELECT.mtu, (words) => setWord(words, NIC_VPORT.mtu, 9979, NIC_VPORT_IN));
    expect(status).toBe(STATUS.badParameter);
  });

  test('frames that cannot be are errors of the cable', () => {
    const { far, pf } = switched(0);
    for (const length of [0, 13, 9997]) far.send(new Uint8Array(9997), 0, length);
    expect(counterOf(pf, UPLINK, 'rxErrors')).toBe(3);
    for (const length of [14, 9996]) far.send(new Uint8Array(9996).fill(2), 0, length);
    expect(counterOf(pf, UPLINK, 'rxUnicastBytes')).toBe(14 + 9996);
    expect(counterOf(pf, UPLINK, 'rxErrors')).toBe(3);
    expect(counterOf(pf, UPLINK, 'rxUnicastPackets')).toBe(2);
  });

  test('a cable that is pulled takes the ports with it that follow it, with an event for each', () => {
    const { far, pf, zero, a, b } = switched();
    expect(setState(pf, B, VPORT_STATE.up).status).toBe(STATUS.ok);
    far.plug(false);
    const events = (port: Port): number[] =>
      port.eq
        .drain()
        .filter(({ type, view }) => type === EVENTS.portChange && view.getUint8(NIC.EQE.port) >>> 4 === 1)
        .map(({ subType }) => subType);
    expect([zero, a, b].map((port) => stateOf(port.driver, port.driver.id)[1])).toEqual([0, 0, 1]);
    expect([zero, a, b].map(events)).toEqual([[PORT_SUBTYPES.down], [PORT_SUBTYPES.down], []]);
    a.sq.send(frame(b.mac, a.mac));
    b.sq.send(frame(a.mac, b.mac), frame(mac(99), b.mac));
    expect([a.counter('txDropped'), a.counter('rxDropped'), counterOf(pf, UPLINK, 'txDropped')]).toEqual([1, 1, 1]);
    far.plug(true);
    expect([zero, a, b].map(events)).toEqual([[PORT_SUBTYPES.active], [PORT_SUBTYPES.active], []]);
    setState(pf, A, VPORT_STATE.down);
    expect(events(a)).toEqual([PORT_SUBTYPES.down]);
    expect(stateOf(pf, A)).toEqual([VPORT_STATE.down, VPORT_STATE.down]);
    expect(setState(pf, A, 3).status).toBe(STATUS.badParameter);
  });

  test('what was set can be asked for, by the function and by the manager', () => {
    const { a, pf } = switched();
    setUnicast(a.driver, A, [mac(50), mac(51)]);
    promiscuous(a);
    disableLoopback(a);
    a.modify(NIC_VPORT_SELECT.mtu, (words) => setWord(words, NIC_VPORT.mtu, 9000, NIC_VPORT_IN));
    const query = (driver: FunctionDriver): Uint32Array =>
      driver.must(OPCODES.QUERY_NIC_VPORT_CONTEXT, {
        outBytes: NIC_VPORT_OUT + NIC_VPORT.list + 16,
        fill: (words) => {
          setWord(words, VPORT.other, driver === pf ? 1 : 0);
          setWord(words, VPORT.number, A);
        },
      });
    for (const output of [query(a.driver), query(pf)]) {
      const get = (field: Parameters<typeof getWord>[1]): number => getWord(output, field, NIC_VPORT_OUT);
      expect([get(NIC_VPORT.mtu), get(NIC_VPORT.promiscuousUc), get(NIC_VPORT.promiscuousAll)]).toEqual([9000, 1, 0]);
      expect([get(NIC_VPORT.disableUcLoopback), get(NIC_VPORT.listSize)]).toEqual([1, 2]);
      const macs = [NIC_VPORT.address, NIC_VPORT.list, NIC_VPORT.list + 8].map((at) => getMac(output, NIC_VPORT_OUT + at));
      expect(macs).toEqual([a.mac, mac(50), mac(51)]);
    }
    const { status } = a.driver.exec(OPCODES.QUERY_NIC_VPORT_CONTEXT, { outBytes: NIC_VPORT_OUT + NIC_VPORT.list });
    expect(status).toBe(STATUS.outLength);
  });

  test('functions have addresses of their own from the start', () => {
    const { host } = network(3);
    const ports = [host.device.pf, ...host.device.sfs].flatMap((fn) => fn?.vport ?? []);
    expect(ports).toHaveLength(4);
    expect(new Set(ports.map(({ mac: { high, low } }) => `${high} ${low}`)).size).toBe(4);
    for (const port of ports) expect(port.mac.high >>> 16).toBe(2);
    const wishes = ports.flatMap((port) => [port.promiscuousUc, port.promiscuousMc, port.promiscuousAll, port.disableUcLoopback]);
    expect(wishes.includes(true)).toBe(false);
  });

  test('a table that is full takes no more, and what it has can be changed', () => {
    const { a, b, pf, host } = switched();
    for (let i = 0; i < 128; i++) expect(setL2(a.driver, i, mac(i)).status).toBe(STATUS.ok);
    expect(setL2(a.driver, 128, mac(200)).status).toBe(STATUS.noResources);
    expect(setL2(a.driver, 5, mac(200)).status).toBe(STATUS.ok);
    const { rules } = host.device.engine.switch;
    for (let low = 1; low < 2 ** 16; low++) rules.set(2, { high: 0x02_0001, low }, Int32Array.of(3));
    expect(setRule(pf, A, b.mac, [B]).status).toBe(STATUS.ok);
    expect(setRule(pf, B, a.mac, [A]).status).toBe(STATUS.noResources);
    expect(setRule(pf, A, b.mac, [0]).status).toBe(STATUS.ok);
    expect(deleteRule(pf, A, b.mac).status).toBe(STATUS.ok);
    expect(setRule(pf, B, a.mac, [A]).status).toBe(STATUS.ok);
  });

  test('commands that say less than they must, or have no room for the answer, are refused, and change nothing', () => {
    const net = switched();
    const { a, far } = net;
    setL2(a.driver, 0, mac(60));
    const status = (opcode: number, input: Input): number => a.driver.exec(opcode, input).status;
    expect(status(OPCODES.DELETE_L2_TABLE_ENTRY, { inBytes: 0x14 })).toBe(STATUS.inLength);
    expect(status(OPCODES.SET_L2_TABLE_ENTRY, { inBytes: L2_ENTRY.address + 4 })).toBe(STATUS.inLength);
    for (const select of [0xffff_ffff, ~NIC_VPORT_SELECT.list]) {
      const fill = (words: Uint32Array): void => setWord(words, NIC_VPORT_SELECT.select, select);
      expect(status(OPCODES.MODIFY_NIC_VPORT_CONTEXT, { inBytes: NIC_VPORT_IN + 4, fill })).toBe(STATUS.inLength);
    }
    expect(status(OPCODES.QUERY_NIC_VPORT_CONTEXT, { outBytes: 0x100 })).toBe(STATUS.outLength);
    expect(status(OPCODES.QUERY_VPORT_COUNTER, { outBytes: 0x40 })).toBe(STATUS.outLength);
    for (const to of [mac(60), a.mac]) far.send(frame(to, mac(9)));
    expect(taken(net)).toEqual([0, 0, 2, 0]);
  });

  test('a sub-function asks about itself alone', () => {
    const { a, pf } = switched();
    expect(setState(a.driver, B, VPORT_STATE.up).status).toBe(STATUS.badParameter);
    expect(modifyPort(a.driver, B, NIC_VPORT_SELECT.mtu, () => {}).status).toBe(STATUS.badParameter);
    expect(setMode(a.driver, ESW.switchdev).status).toBe(STATUS.badParameter);
    expect(setRule(a.driver, A, mac(1), [B]).status).toBe(STATUS.badParameter);
    expect(deleteRule(a.driver, A, mac(1)).status).toBe(STATUS.badParameter);
    expect(setRepQueue(a.driver, B, a.rq.number).status).toBe(STATUS.badParameter);
    expect(modifyPort(pf, SF_BASE_ID + 9, NIC_VPORT_SELECT.mtu, () => {}).status).toBe(STATUS.badParameter);
    for (const none of [SF_BASE_ID - 1, SF_BASE_ID + 2, SF_BASE_ID + 16]) {
      expect(setState(pf, none, VPORT_STATE.up).status).toBe(STATUS.badParameter);
    }
    for (const never of [SF_BASE_ID - 1, SF_BASE_ID + 16]) {
      const rules = [setRule(pf, never, mac(1), [B]), setRule(pf, A, mac(1), [never])];
      expect(rules.map(({ status }) => status)).toEqual([STATUS.badParameter, STATUS.badParameter]);
    }
    expect(() => new HostSq(a.driver, a.txCq, { leavesBy: B })).toThrow(`status ${STATUS.badParameter}`);
  });
});
