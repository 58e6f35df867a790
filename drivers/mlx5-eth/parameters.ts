import { ETHERNET, Errno } from '../../core/index.js';
import { FRAME } from '../../hw/regs/nic.js';
import { HASH_KEY_BYTES, MODERATION } from '../../hw/regs/nic-contexts.js';
import type { Coalesce, ReceiveHash, RingParameters } from '../../core/index.js';
import { LOG_RQ, LOG_SQ } from '../lib/mlx5/index.js';
import type { Mlx5EthOptions } from './api.js';

/**
 * Entries of the table that spreads packets over queues.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en.h MLX5E_INDIR_RQT_SIZE
 */
const HASH_ENTRIES = 128;
/** @see Linux 7.2 en.h MLX5E_PARAMS_DEFAULT_RX_CQ_MODERATION_USEC, ...PKTS */
const MODERATE = { us: 16, frames: 32 } as const;
/** Of a buffer at least. */
const LEAST_SLOT_BYTES = 2048;
/**
 * What the device has by default, so that the same packets go to the same queues everywhere.
 * @see Microsoft, "Verifying the RSS hash calculation"
 */
const KEY = [
  0x6d5a56da, 0x255b0ec2, 0x4167253d, 0x43a38fb0, 0xd0ca2bcb, 0xae7b30b4, 0x77cb2da3, 0x8030f20c, 0x6a42b73b, 0xbeac01fa,
];

/** What the user of a device has chosen. */
export class Parameters {
  channels: number;
  logSqSize: number;
  logRqSize: number;
  #coalesce: Coalesce = { rxUs: MODERATE.us, rxFrames: MODERATE.frames, txUs: MODERATE.us, txFrames: MODERATE.frames };
  readonly #who: string;
  #table: readonly number[] | undefined = undefined;
  #key: Uint8Array = Uint8Array.from(KEY.flatMap((word) => [word >>> 24, word >>> 16, word >>> 8, word]));

  /**
   * @param who named in messages
   * @throws {Errno} ERANGE for options that cannot be
   */
  constructor(
    who: string,
    readonly maxChannels: number,
    options: Mlx5EthOptions,
  ) {
    const { channels = maxChannels, logSqSize = LOG_SQ.default, logRqSize = LOG_RQ.default } = options;
    const { adaptiveRx = false, adaptiveTx = false } = options;
    this.#who = who;
    if (!(Number.isInteger(channels) && channels >= 1))
      throw new Errno('ERANGE', `${who}: ${channels} channels: must be at least 1`);
    this.channels = Math.min(channels, maxChannels);
    this.logSqSize = logSize(who, logSqSize, LOG_SQ);
    this.logRqSize = logSize(who, logRqSize, LOG_RQ);
    this.setCoalesce({ ...this.#coalesce, adaptiveRx, adaptiveTx });
  }

  get ring(): RingParameters {
    return { rx: 1 << this.logRqSize, tx: 1 << this.logSqSize, maxRx: 1 << LOG_RQ.max, maxTx: 1 << LOG_SQ.max };
  }

  /** @throws {Errno} EINVAL for what is no power of two, or too small @see Linux 7.2 en_ethtool.c mlx5e_ethtool_set_ringparam */
  setRing({ rx, tx }: { readonly rx: number; readonly tx: number }): void {
    const logRq = this.#log('receive', rx, LOG_RQ);
    this.logSqSize = this.#log('transmit', tx, LOG_SQ);
    this.logRqSize = logRq;
  }

  get coalesce(): Coalesce {
    return this.#coalesce;
  }

  /** @param coalesce checked */
  setCoalesce({ rxUs, rxFrames, txUs, txFrames, adaptiveRx, adaptiveTx }: Coalesce): void {
    const adaptive = { ...(adaptiveRx === true && { adaptiveRx }), ...(adaptiveTx === true && { adaptiveTx }) };
    this.#coalesce = { rxUs, rxFrames, txUs, txFrames, ...adaptive };
  }

  /** @throws {Errno} ERANGE for what the device cannot count to @see Linux 7.2 en_ethtool.c mlx5e_ethtool_set_coalesce */
  checkCoalesce({ rxUs, rxFrames, txUs, txFrames }: Coalesce): void {
    const { maxPeriodUs, maxCount } = MODERATION;
    const isCount = (n: number, max: number): boolean => Number.isInteger(n) && n >= 0 && n <= max;
    if (isCount(rxUs, maxPeriodUs) && isCount(txUs, maxPeriodUs) && isCount(rxFrames, maxCount) && isCount(txFrames, maxCount))
      return;
    const what = `rx ${rxUs} us ${rxFrames} frames, tx ${txUs} us ${txFrames} frames`;
    throw new Errno('ERANGE', `${this.#who}: ${what}: must be integers up to ${maxPeriodUs} us and ${maxCount} frames`);
  }

  /** By the hash: the channel. */
  get receiveHash(): ReceiveHash {
    const { channels } = this;
    return { table: this.#table ?? Array.from({ length: HASH_ENTRIES }, (_, n) => n % channels), key: this.#key };
  }

  /** @throws {Errno} EINVAL for channels that there are not, or another size @see Linux 7.2 en_ethtool.c mlx5e_set_rxfh */
  checkReceiveHash({ table, key }: ReceiveHash): void {
    if (table.length !== HASH_ENTRIES) throw this.#invalid(`a table of ${table.length} entries: must be ${HASH_ENTRIES}`);
    const wrong = table.find((n) => !(Number.isInteger(n) && n >= 0 && n < this.channels));
    if (wrong !== undefined) throw this.#invalid(`queue ${wrong} in the table: there are ${this.channels}`);
    if (key.length !== HASH_KEY_BYTES) throw this.#invalid(`a key of ${key.length} bytes: must be ${HASH_KEY_BYTES}`);
  }

  /** A table like that which there is without one follows the channels, as that does. @param hash checked */
  setReceiveHash({ table, key }: ReceiveHash): void {
    this.#table = table.every((queue, n) => queue === n % this.channels) ? undefined : [...table];
    this.#key = Uint8Array.from(key);
  }

  /** @throws {Errno} EINVAL while a table is set that needs more @see Linux 7.2 en_ethtool.c mlx5e_ethtool_set_channels */
  setChannels(channels: number): void {
    const wrong = this.#table?.find((n) => n >= channels);
    if (wrong !== undefined) throw this.#invalid(`${channels} channels: the table of the receive hash has queue ${wrong}`);
    this.channels = channels;
  }

  /** Whether a table that is set needs no more. */
  canHave(channels: number): boolean {
    return this.#table?.every((n) => n < channels) !== false;
  }

  #log(what: string, entries: number, { min, max }: { readonly min: number; readonly max: number }): number {
    const log = Math.log2(entries);
    if (Number.isInteger(log) && log >= min && log <= max) return log;
    throw this.#invalid(`a ${what} ring of ${entries} entries: must be a power of two from ${1 << min} to ${1 << max}`);
  }

  #invalid(what: string): Errno {
    return new Errno('EINVAL', `${this.#who}: ${what}`);
  }
}

/** Of the buffer for a frame. */
export function slotBytes(mtu: number): number {
  const bytes = mtu + ETHERNET.headerBytes + ETHERNET.tagBytes;
  return Math.max(2 ** Math.ceil(Math.log2(bytes)), LEAST_SLOT_BYTES);
}

/** Limits of the MTU. */
export const MTU = { min: 68, max: FRAME.maxMtu, default: FRAME.defaultMtu } as const;

function logSize(who: string, log: number, { min, max }: { readonly min: number; readonly max: number }): number {
  if (Number.isInteger(log) && log >= min && log <= max) return log;
  throw new Errno('ERANGE', `${who}: rings of 2^${log} entries: must be 2^${min} to 2^${max}`);
}
