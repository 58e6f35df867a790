import { describe, expect, test } from 'vitest';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { working } from './fixture.js';
import { FarEnd, Port, mac } from './ports.js';
import { HostCq, HostRq, HostSq, createRqt, createTir, fillRqt, rqtBytes } from './queues.js';

/** Microsoft, Windows driver documentation, "Verifying the RSS Hash Calculation". */
const KEY = Uint8Array.from([
  0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae,
  0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
]);
/** Destination and port, source and port, hash of addresses, hash with ports. */
const IPV4 = [
  ['161.142.100.80', 1766, '66.9.149.187', 2794, 0x323e8fc2, 0x51ccc178],
  ['65.69.140.83', 4739, '199.92.111.2', 14230, 0xd718262a, 0xc626b0ea],
  ['12.22.207.184', 38024, '24.19.198.95', 12898, 0xd2d0a5de, 0x5c2b394a],
  ['209.142.163.6', 2217, '38.27.205.30', 48228, 0x82989176, 0xafc7327f],
  ['202.188.127.2', 1303, '153.39.163.191', 44251, 0x5d1809c5, 0x10e828a2],
] as const;
const IPV6 = [
  ['3ffe:2501:200:3::1', 1766, '3ffe:2501:200:1fff::7', 2794, 0x2cc18cd5, 0x40207d3d],
  ['ff02::1', 4739, '3ffe:501:8::260:97ff:fe40:efab', 14230, 0x0f0c461c, 0xdde51bbf],
  ['fe80::200:f8ff:fe21:67cf', 38024, '3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 0x4b61e985, 0x02d1feef],
] as const;

function ipv4(text: string): number[] {
  return text.split('.').map(Number);
}
function ipv6(text: string): number[] {
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((word) => parseInt(word, 16)));
  const [first, last] = [words(head), words(tail)];
  const all = text.includes('::') ? [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last] : first;
  return all.flatMap((word) => [word >> 8, word & 255]);
}

interface Packet {
  readonly protocol?: number;
  readonly options?: number;
  readonly fragment?: number;
  readonly isTagged?: boolean;
}
const ports = (from: number, to: number): number[] => [from >> 8, from & 255, to >> 8, to & 255];
function packet(from: string, fromPort: number, to: string, toPort: number, how: Packet = {}): Uint8Array {
  const { protocol = 6, options = 0, fragment = 0, isTagged = false } = how;
  const header = from.includes(':')
    ? [0x60, 0, 0, 0, 0, 20, protocol, 64, ...ipv6(from), ...ipv6(to)]
    : [0x45 + options, 0, 0, 40, 0, 0, fragment >> 8, fragment & 255, 64, protocol, 0, 0, ...ipv4(from), ...ipv4(to)];
  const type = from.includes(':') ? [0x86, 0xdd] : [0x08, 0x00];
  const rest = [...new Array<number>(4 * options).fill(0), ...ports(fromPort, toPort), ...new Array<number>(20).fill(0)];
  return Uint8Array.from([...mac(0), ...mac(9), ...(isTagged ? [0x81, 0, 0, 5] : []), ...type, ...header, ...rest]);
}

/** A port with a table of queues. */
function table(queues = 4) {
  const { host, pf } = working();
  const port = new Port(pf, { mac: mac(0), buffers: 0 });
  const cq = new HostCq(pf, port.eq, { logSize: 8 });
  const rqs = Array.from({ length: queues }, () => new HostRq(pf, cq));
  for (const rq of rqs) rq.fill(16, 256);
  const rqt = createRqt(pf, rqs);
  const tir = createTir(pf, { table: rqt, key: KEY });
  pf.about(OPCODES.SET_RX_TIR, tir);
  const far = new FarEnd(host);
  /** The hash of a packet, and which queue it has come to. */
  const hash = (bytes: Uint8Array): readonly [hash: number, queue: number] => {
    far.send(bytes);
    const [cqe] = cq.drain();
    return [cqe!.hash, rqs.findIndex(({ number }) => number === cqe!.queue)];
  };
  return { pf, port, rqs, rqt, tir, hash };
}

describe('nic receive side scaling', () => {
  test.each([...IPV4, ...IPV6])('%s:%i from %s:%i is hashed as published', (to, toPort, from, fromPort, addresses, all) => {
    const { hash } = table();
    expect(hash(packet(from, fromPort, to, toPort, { protocol: 6 }))).toEqual([all, all % 4]);
    expect(hash(packet(from, fromPort, to, toPort, { protocol: 17 }))).toEqual([all, all % 4]);
    expect(hash(packet(from, fromPort, to, toPort, { protocol: 50 }))).toEqual([addresses, addresses % 4]);
    expect(hash(packet(from, fromPort, to, toPort, { isTagged: true }))).toEqual([all, all % 4]);
  });

  test('ports are behind the options of IPv4, and not in fragments', () => {
    const [to, toPort, from, fromPort, addresses, all] = IPV4[0];
    const { hash } = table();
    expect(hash(packet(from, fromPort, to, toPort, { options: 3 }))[0]).toBe(all);
    expect(hash(packet(from, fromPort, to, toPort, { fragment: 0x2000 }))[0]).toBe(addresses);
    expect(hash(packet(from, fromPort, to, toPort, { fragment: 0x0010 }))[0]).toBe(addresses);
    expect(hash(packet(from, fromPort, to, toPort, { fragment: 0x4000 }))[0]).toBe(all);
  });

  test('what is cut short, or is not IP, goes to the first queue', () => {
    const [to, toPort, from, fromPort, addresses] = IPV4[0];
    const whole = packet(from, fromPort, to, toPort);
    const { hash } = table();
    expect(hash(whole.slice(0, 33))).toEqual([0, 0]);
    expect(hash(whole.slice(0, 14))).toEqual([0, 0]);
    expect(hash(whole.slice(0, 35))[0]).toBe(addresses);
    expect(hash(packet(from, fromPort, to, toPort, { options: 10 }).slice(0, 50))[0]).toBe(addresses);
    expect(hash(Uint8Array.from(whole, (byte, i) => (i === 13 ? 6 : byte)))).toEqual([0, 0]);
  });

  test('the table can be changed, within its size', () => {
    const [to, toPort, from, fromPort, , all] = IPV4[0];
    const { pf, rqs, rqt, hash } = table();
    const change = (queues: readonly HostRq[]): number =>
      pf.about(OPCODES.MODIFY_RQT, rqt, { inBytes: rqtBytes(queues), fill: (words) => fillRqt(words, queues) }).status;
    expect(change([rqs[3]!, rqs[2]!, rqs[1]!])).toBe(STATUS.ok);
    expect(hash(packet(from, fromPort, to, toPort))).toEqual([all, [3, 2, 1][all % 3]]);
    expect(pf.about(OPCODES.DESTROY_RQ, rqs[0]!.number).status).toBe(STATUS.ok);
    expect(change([rqs[0]!])).toBe(STATUS.badResource);
    expect(pf.about(OPCODES.DESTROY_RQ, rqs[1]!.number).status).toBe(STATUS.badResourceState);
    expect(change(new Array<HostRq>(129).fill(rqs[1]!))).toBe(STATUS.badParameter);
    expect(change(new Array<HostRq>(128).fill(rqs[1]!))).toBe(STATUS.ok);
  });

  test('when all numbers of a kind are taken, one more is refused', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    const cq = new HostCq(pf, eq);
    const rq = new HostRq(pf, cq);
    const { cqNumbers, sqNumbers, rqNumbers, tirNumbers, rqtNumbers, pdNumbers } = host.device.pf;
    for (const numbers of [cqNumbers, sqNumbers, rqNumbers, tirNumbers, rqtNumbers, pdNumbers]) {
      while (numbers.alloc() >= 0) continue;
      expect(numbers.size).toBe(0xffff);
    }
    const makers: (() => unknown)[] = [
      () => new HostCq(pf, eq),
      () => new HostSq(pf, cq),
      () => new HostRq(pf, cq),
      () => createTir(pf, rq),
      () => createRqt(pf, [rq]),
      () => pf.alloc(OPCODES.ALLOC_PD),
    ];
    for (const make of makers) expect(make).toThrow(`status ${STATUS.noResources}`);
    expect(pf.about(OPCODES.DESTROY_RQ, rq.number).status).toBe(STATUS.ok);
    expect(new HostRq(pf, cq).number).toBe(rq.number);
  });

  test('an empty table drops, and is counted', () => {
    const { pf, port, rqt } = table();
    pf.about(OPCODES.MODIFY_RQT, rqt, { inBytes: rqtBytes([]), fill: (words) => fillRqt(words, []) });
    port.sq.send(packet('1.2.3.4', 1, '5.6.7.8', 2));
    expect(port.counter('rxDropped')).toBe(1);
  });

  test('a table in use cannot be destroyed; without a target a TIR cannot be made', () => {
    const { pf, rqt, tir, rqs } = table();
    expect(pf.about(OPCODES.DESTROY_RQT, rqt).status).toBe(STATUS.badResourceState);
    pf.about(OPCODES.SET_RX_TIR, 0);
    expect(pf.about(OPCODES.DESTROY_TIR, tir).status).toBe(STATUS.ok);
    expect(pf.about(OPCODES.DESTROY_RQT, rqt).status).toBe(STATUS.ok);
    expect(pf.about(OPCODES.DESTROY_RQ, rqs[0]!.number).status).toBe(STATUS.ok);
    expect(() => createTir(pf, rqs[0]!)).toThrow(`status ${STATUS.badResource}`);
    expect(() => createTir(pf, { table: rqt, key: KEY })).toThrow(`status ${STATUS.badResource}`);
    expect(pf.about(OPCODES.SET_RX_TIR, tir).status).toBe(STATUS.badResource);
  });
});
