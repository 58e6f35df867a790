/** A machine that answers, as far as `ping` needs one: ARP for its address, and the echo of ICMP. */
import { type NetDevice, type Subscription, XMIT, parseMac } from 'backplane';
import type { Wire } from 'backplane/sim';

// Frames. RFC 894 (Ethernet), 826 (ARP), 791 (IP), 792 (ICMP).
const ETHERNET = { destination: 0, source: 6, type: 12, payload: 14 } as const;
const ARP_TYPE = 0x0806;
const IP_TYPE = 0x0800;
const ARP = { start: 14, operation: 20, senderMac: 22, senderIp: 28, targetMac: 32, targetIp: 38, end: 42 } as const;
/** Ethernet and IP, with addresses of 6 and 4 bytes; the operation follows. */
const ARP_HEADER = [0, 1, 8, 0, 6, 4, 0] as const;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const IP = {
  start: 14,
  length: 16,
  fragment: 20,
  ttl: 22,
  protocol: 23,
  checksum: 24,
  source: 26,
  destination: 30,
  end: 34,
} as const;
const IP_FRAGMENT = 0x3fff;
const IP_ICMP = 1;
const TTL = 64;
const ICMP = { type: 0, checksum: 2, bytes: 8 } as const;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const MAX_FRAME = 9996;

/**
 * Answers requests for one address.
 *
 * @example
 * ```ts
 * const echo = new Echo('02:00:00:00:00:02', '198.51.100.2');
 * echo.serve(await TapWire.open());
 * ```
 */
export class Echo {
  /** What was answered; and answers that no queue had room for. */
  arps = 0;
  echoes = 0;
  lost = 0;
  readonly #mac: Uint8Array;
  readonly #ip: Uint8Array;
  readonly #answer = new Uint8Array(MAX_FRAME);

  constructor(mac: string, ip: string) {
    this.#mac = parseMac(mac);
    this.#ip = Uint8Array.from(ip.split('.'), Number);
  }

  /** Is what the wire is plugged into. */
  serve(wire: Wire): void {
    wire.attach({
      receive: (frame, offset, length) => {
        const answer = this.answer(frame, offset, length);
        if (answer !== undefined) wire.send(answer, 0, answer.length);
      },
      setLink: () => {},
    });
  }

  /** Answers by a network device, which is open. */
  serveDevice(device: NetDevice): Subscription {
    return device.onReceive((frame, offset, length) => {
      const answer = this.answer(frame, offset, length);
      if (answer !== undefined && device.send(0, answer, 0, answer.length) !== XMIT.OK) this.lost++;
    });
  }

  /** @returns the answer to a frame, good until the next call; undefined when there is none */
  answer(frame: Uint8Array, offset: number, length: number): Uint8Array | undefined {
    if (length < ETHERNET.payload || length > MAX_FRAME) return undefined;
    const bytes = this.#answer;
    bytes.set(frame.subarray(offset, offset + length));
    const type = get16(bytes, ETHERNET.type);
    const end = type === ARP_TYPE ? this.#arp(bytes, length) : type === IP_TYPE ? this.#icmp(bytes, length) : 0;
    if (end === 0) return undefined;
    bytes.copyWithin(ETHERNET.destination, ETHERNET.source, ETHERNET.type);
    bytes.set(this.#mac, ETHERNET.source);
    return bytes.subarray(0, end);
  }

  /** Turns a request into its answer. @returns where that ends; 0: none is due */
  #arp(bytes: Uint8Array, length: number): number {
    if (length < ARP.end || !ARP_HEADER.every((byte, i) => bytes[ARP.start + i] === byte)) return 0;
    if (get16(bytes, ARP.operation) !== ARP_REQUEST || !this.#isMine(bytes, ARP.targetIp)) return 0;
    set16(bytes, ARP.operation, ARP_REPLY);
    bytes.copyWithin(ARP.targetMac, ARP.senderMac, ARP.targetMac);
    bytes.set(this.#mac, ARP.senderMac);
    bytes.set(this.#ip, ARP.senderIp);
    this.arps++;
    return ARP.end;
  }

  #icmp(bytes: Uint8Array, length: number): number {
    const at = IP.start + 4 * (bytes[IP.start]! & 0xf);
    const end = IP.start + get16(bytes, IP.length);
    // Version 4, a whole packet for us, and what it says it is.
    if (bytes[IP.start]! >>> 4 !== 4 || at < IP.end || end > length || at + ICMP.bytes > end) return 0;
    if ((get16(bytes, IP.fragment) & IP_FRAGMENT) !== 0 || bytes[IP.protocol] !== IP_ICMP || !this.#isMine(bytes, IP.destination))
      return 0;
    if (bytes[at + ICMP.type] !== ECHO_REQUEST || checksum(bytes, IP.start, at) !== 0 || checksum(bytes, at, end) !== 0) return 0;
    bytes.copyWithin(IP.destination, IP.source, IP.destination);
    bytes.set(this.#ip, IP.source);
    bytes[IP.ttl] = TTL;
    bytes[at + ICMP.type] = ECHO_REPLY;
    seal(bytes, IP.checksum, IP.start, at);
    seal(bytes, at + ICMP.checksum, at, end);
    this.echoes++;
    return end;
  }

  #isMine(bytes: Uint8Array, at: number): boolean {
    return this.#ip.every((byte, i) => bytes[at + i] === byte);
  }
}

const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

function set16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** The checksum of RFC 1071; 0 for what has a right one in it. */
function checksum(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += (bytes[at]! << 8) | (at + 1 < to ? bytes[at + 1]! : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum ^ 0xffff;
}

function seal(bytes: Uint8Array, at: number, from: number, to: number): void {
  set16(bytes, at, 0);
  set16(bytes, at, checksum(bytes, from, to));
}
