/** The addresses of a machine that answers, and of who asks. */
export const ECHO = { mac: '02:00:00:00:00:02', ip: '10.0.0.2', peerMac: '02:00:00:00:00:01', peerIp: '10.0.0.1' } as const;

const mac = (text: string): number[] => text.split(':').map((byte) => Number.parseInt(byte, 16));
const ip = (text: string): number[] => text.split('.').map(Number);

/** The ones' complement sum of RFC 1071: 0xffff when there is a right checksum in it. */
export function sum(bytes: Uint8Array, from: number, to: number): number {
  let total = 0;
  for (let at = from; at < to; at++) total += bytes[at]! << ((at - from) % 2 === 0 ? 8 : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

function seal(bytes: Uint8Array, at: number, from: number, to: number): void {
  new DataView(bytes.buffer).setUint16(at, sum(bytes, from, to) ^ 0xffff);
}

/** Who has `ECHO.ip`? */
export function arpRequest(): Uint8Array {
  const { peerMac, peerIp } = ECHO;
  const ethernet = [...mac('ff:ff:ff:ff:ff:ff'), ...mac(peerMac), 0x08, 0x06];
  return Uint8Array.from([...ethernet, 0, 1, 8, 0, 6, 4, 0, 1, ...mac(peerMac), ...ip(peerIp), 0, 0, 0, 0, 0, 0, ...ip(ECHO.ip)]);
}

export interface EchoOptions {
  /** Bytes that are to come back; default 56. */
  readonly length?: number;
  readonly toMac?: string;
  readonly to?: string;
  readonly type?: number;
  readonly protocol?: number;
  readonly fragment?: number;
  /** Bytes of options in the header, a multiple of 4. */
  readonly options?: number;
}

/** An echo request of ICMP, with right checksums. */
export function echoRequest({
  length = 56,
  toMac = ECHO.mac,
  to = ECHO.ip,
  type = 8,
  protocol = 1,
  ...rest
}: EchoOptions): Uint8Array {
  const { fragment = 0, options = 0 } = rest;
  const icmp = 34 + options;
  const bytes = new Uint8Array(icmp + 8 + length);
  const view = new DataView(bytes.buffer);
  bytes.set([...mac(toMac), ...mac(ECHO.peerMac), 0x08, 0x00, 0x45 + options / 4]);
  bytes.fill(1, 34, icmp);
  view.setUint16(16, bytes.length - 14);
  view.setUint16(20, fragment);
  bytes.set([7, protocol], 22);
  bytes.set([...ip(ECHO.peerIp), ...ip(to)], 26);
  seal(bytes, 24, 14, icmp);
  bytes[icmp] = type;
  view.setUint32(icmp + 4, 0x1234_0001);
  for (let i = 0; i < length; i++) bytes[icmp + 8 + i] = i * 3;
  seal(bytes, icmp + 2, icmp, bytes.length);
  return bytes;
}
