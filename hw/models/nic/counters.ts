import { COUNTERS, type CounterName } from '../../regs/nic-contexts.js';

const indexOf = (name: CounterName): number => COUNTERS.indexOf(name);

/** Where each counter is in the array of a port. */
export const RX_ERRORS = indexOf('rxErrors');
export const TX_ERRORS = indexOf('txErrors');
export const RX_OUT_OF_BUFFER = indexOf('rxOutOfBuffer');
export const RX_DROPPED = indexOf('rxDropped');
export const TX_DROPPED = indexOf('txDropped');
export const UAR_VIOLATIONS = indexOf('uarViolations');
/** Packets that came to the port and that left it; their bytes are next. By kind: add one of {@link UNICAST} and its like. */
export const RX_PACKETS = indexOf('rxUnicastPackets');
export const TX_PACKETS = indexOf('txUnicastPackets');

/** Kinds of packets, by their destination. */
export const UNICAST = 0;
export const MULTICAST = indexOf('rxMulticastPackets') - RX_PACKETS;
export const BROADCAST = indexOf('rxBroadcastPackets') - RX_PACKETS;

/** The counters of a port. */
export const newCounters = (): Float64Array => new Float64Array(COUNTERS.length);

/** Adds a packet. @param index {@link RX_PACKETS} or {@link TX_PACKETS}, and the kind */
export function countPacket(counters: Float64Array, index: number, bytes: number): void {
  counters[index] = counters[index]! + 1;
  counters[index + 1] = counters[index + 1]! + bytes;
}

/** Adds one. */
export function count(counters: Float64Array, index: number): void {
  counters[index] = counters[index]! + 1;
}
