import type { NetStatistics } from '../../core/index.js';

/** What a channel has counted; it goes on when the device is opened again. */
export class ChannelStatistics {
  // Transmit: packets by what was posted, `done` by what has left.
  txPackets = 0;
  txBytes = 0;
  txDonePackets = 0;
  txDoneBytes = 0;
  txStopped = 0;
  txWake = 0;
  txDropped = 0;
  txXmitMore = 0;
  txCqes = 0;
  txCqeErr = 0;
  txRecover = 0;
  txNop = 0;
  rxPackets = 0;
  rxBytes = 0;
  rxMulticast = 0;
  rxWqeErr = 0;
  rxRecover = 0;
  rxBuffAllocErr = 0;
  /** Of queues that are gone. */
  rxOutOfBuffer = 0;
  events = 0;
  poll = 0;
  arm = 0;
  affChange = 0;
  forceIrq = 0;
  eqRearm = 0;
}

type Counter = keyof ChannelStatistics;

/**
 * Names of `ethtool -S`: sums over all channels.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_stats.c sw_stats_desc
 */
const SUMS: readonly (readonly [name: string, counter: Counter])[] = [
  ['rx_packets', 'rxPackets'],
  ['rx_bytes', 'rxBytes'],
  ['tx_packets', 'txPackets'],
  ['tx_bytes', 'txBytes'],
  ['tx_queue_stopped', 'txStopped'],
  ['tx_queue_wake', 'txWake'],
  ['tx_queue_dropped', 'txDropped'],
  ['tx_xmit_more', 'txXmitMore'],
  ['tx_cqes', 'txCqes'],
  ['tx_cqe_err', 'txCqeErr'],
  ['tx_recover', 'txRecover'],
  ['tx_nop', 'txNop'],
  ['rx_wqe_err', 'rxWqeErr'],
  ['rx_recover', 'rxRecover'],
  ['rx_buff_alloc_err', 'rxBuffAllocErr'],
  ['rx_out_of_buffer', 'rxOutOfBuffer'],
  ['ch_events', 'events'],
  ['ch_poll', 'poll'],
  ['ch_arm', 'arm'],
  ['ch_aff_change', 'affChange'],
  ['ch_force_irq', 'forceIrq'],
  ['ch_eq_rearm', 'eqRearm'],
];
/** Names for each channel, its number put in. @see Linux 7.2 en_stats.c rq_stats_desc, sq_stats_desc, ch_stats_desc */
const EACH: readonly (readonly [before: string, after: string, counter: Counter])[] = [
  ['rx', 'packets', 'rxPackets'],
  ['rx', 'bytes', 'rxBytes'],
  ['tx', 'packets', 'txPackets'],
  ['tx', 'bytes', 'txBytes'],
  ['tx', 'stopped', 'txStopped'],
  ['tx', 'wake', 'txWake'],
  ['ch', 'events', 'events'],
  ['ch', 'poll', 'poll'],
  ['ch', 'arm', 'arm'],
];

/** The counters of channels by their names. @param outOfBuffer of queues that are there */
export function listStatistics(all: readonly ChannelStatistics[], outOfBuffer: number, into: Map<string, number>): void {
  for (const [name, counter] of SUMS) into.set(name, sum(all, counter));
  into.set('rx_out_of_buffer', into.get('rx_out_of_buffer')! + outOfBuffer);
  all.forEach((one, n) => {
    for (const [before, after, counter] of EACH) into.set(`${before}${n}_${after}`, one[counter]);
  });
}

/** The base counters. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_get_stats */
export function sumStatistics(all: readonly ChannelStatistics[], outOfBuffer: number, into: NetStatistics): void {
  into.rxPackets += sum(all, 'rxPackets');
  into.rxBytes += sum(all, 'rxBytes');
  into.multicast += sum(all, 'rxMulticast');
  into.txPackets += sum(all, 'txDonePackets');
  into.txBytes += sum(all, 'txDoneBytes');
  into.txDropped += sum(all, 'txDropped');
  into.txErrors += sum(all, 'txCqeErr');
  into.rxErrors += sum(all, 'rxWqeErr');
  into.rxMissed += sum(all, 'rxOutOfBuffer') + outOfBuffer;
}

function sum(all: readonly ChannelStatistics[], counter: Counter): number {
  let total = 0;
  for (const one of all) total += one[counter];
  return total;
}
