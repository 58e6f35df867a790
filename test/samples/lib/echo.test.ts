import { describe, expect, test } from 'vitest';
import { Echo } from '../../../samples/lib/echo.js';
import { ECHO, arpRequest, echoRequest, sum } from './frames.js';

const { mac, ip, peerMac, peerIp } = ECHO;
const machine = (): Echo => new Echo(mac, ip);
const answer = (frame: Uint8Array, echo = machine()): Uint8Array | undefined => echo.answer(frame, 0, frame.length)?.slice();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string, base: number): number[] =>
  text.split(base === 16 ? ':' : '.').map((byte) => Number.parseInt(byte, base));

describe('Echo', () => {
  test('answers who asks for its address, by ARP', () => {
    const reply = answer(arpRequest())!;
    // RFC 826: from us to who asked, operation 2.
    const addresses = [...bytesOf(mac, 16), ...bytesOf(ip, 10), ...bytesOf(peerMac, 16), ...bytesOf(peerIp, 10)];
    expect(hex(reply)).toBe(
      hex(Uint8Array.from([...bytesOf(peerMac, 16), ...bytesOf(mac, 16), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2, ...addresses])),
    );
  });

  test.each([0, 1, 56, 1400])('answers an echo of %i bytes with the same bytes', (length) => {
    const request = echoRequest({ length });
    const reply = answer(request)!;
    expect([...reply.subarray(0, 14)]).toEqual([...bytesOf(peerMac, 16), ...bytesOf(mac, 16), 0x08, 0x00]);
    expect([...reply.subarray(26, 34)]).toEqual([...bytesOf(ip, 10), ...bytesOf(peerIp, 10)]);
    expect([reply[34], reply[35], sum(reply, 14, 34), sum(reply, 34, reply.length)]).toEqual([0, 0, 0xffff, 0xffff]);
    expect(hex(reply.subarray(38))).toBe(hex(request.subarray(38)));
  });

  test('what a short frame is filled up with does not come back', () => {
    const request = echoRequest({ length: 4 });
    const filled = new Uint8Array(60);
    filled.set(request);
    expect(answer(filled)).toHaveLength(request.length);
  });

  test('reads frames where they are, with options in their header', () => {
    const echo = machine();
    const request = echoRequest({ options: 8 });
    const buffer = new Uint8Array(request.length + 9);
    buffer.set(request, 7);
    const reply = echo.answer(buffer, 7, request.length)!;
    expect([reply.length, reply[42], sum(reply, 14, 42), echo.echoes]).toEqual([request.length, 0, 0xffff, 1]);
  });

  test.each<[what: string, frame: Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['no type that it knows', arpRequest().fill(0x99, 12, 14)],
    ['an ARP answer', arpRequest().fill(2, 21, 22)],
    ['ARP of another network', arpRequest().fill(9, 15, 16)],
    ['ARP for another', arpRequest().fill(9, 41, 42)],
    ['an ARP request that is cut', arpRequest().subarray(0, 41)],
    ['IP of version 6', echoRequest({}).fill(0x65, 14, 15)],
    ['another address', echoRequest({ to: '10.0.0.99' })],
    ['a wrong checksum of IP', echoRequest({}).fill(0xee, 24, 25)],
    ['a wrong checksum of ICMP', echoRequest({}).fill(0xee, 36, 37)],
    ['a fragment', echoRequest({ fragment: 0x2000 })],
    ['an echo reply', echoRequest({ type: 0 })],
    ['UDP', echoRequest({ protocol: 17 })],
    ['a packet that is cut', echoRequest({ length: 56 }).subarray(0, 80)],
  ])('says nothing to %s', (_what, frame) => {
    const echo = machine();
    expect([answer(frame, echo), echo.arps, echo.echoes]).toEqual([undefined, 0, 0]);
  });
});
