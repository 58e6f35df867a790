import type { Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import type { Channels, Coalesce, ReceiveHash, RingParameters } from './net-device.js';
import type { NetOperations } from './net-operations.js';
import { Serial } from './serial.js';

/** The settings of a network device that its driver alone understands. @see Linux 7.2 net/ethtool/ioctl.c */
export abstract class NetSettings {
  readonly #operations: NetOperations;
  /** What changes the device. @internal */
  protected readonly serial: Serial = new Serial();

  /** @internal */
  constructor(
    readonly dev: Device,
    operations: NetOperations,
  ) {
    this.#operations = operations;
  }

  /** Makes a change that a closed device alone can make. @internal */
  protected abstract reopened(change: () => MaybePromise<void>): MaybePromise<void>;

  coalesce(): Coalesce {
    return this.has('coalesce', 'has no interrupt moderation').call(this.#operations);
  }

  setCoalesce(change: Partial<Coalesce>): MaybePromise<void> {
    const set = this.has('setCoalesce', 'has no interrupt moderation');
    if ((change.adaptiveRx === true || change.adaptiveTx === true) && this.#operations.adaptsCoalesce !== true) {
      throw new Errno('EOPNOTSUPP', `${this.dev.name}: its driver does not adapt interrupt moderation`);
    }
    return this.serial.run(() => set.call(this.#operations, { ...this.coalesce(), ...change }));
  }

  channels(): Channels {
    return this.has('channels', 'has no channels').call(this.#operations);
  }

  setChannels(combined: number): MaybePromise<void> {
    const set = this.has('setChannels', 'its channels are fixed');
    const { maxCombined } = this.channels();
    if (!(Number.isInteger(combined) && combined >= 1 && combined <= maxCombined)) {
      throw new Errno('EINVAL', `${this.dev.name}: ${combined} channels: must be an integer from 1 to ${maxCombined}`);
    }
    return this.serial.run(() => {
      if (combined !== this.channels().combined) return this.reopened(() => set.call(this.#operations, combined));
    });
  }

  ring(): RingParameters {
    return this.has('ring', 'its rings have no size').call(this.#operations);
  }

  setRing(change: { readonly rx?: number; readonly tx?: number }): MaybePromise<void> {
    const set = this.has('setRing', 'the size of its rings is fixed');
    return this.serial.run(() => {
      const { maxRx, maxTx, rx: oldRx, tx: oldTx } = this.ring();
      const { rx = oldRx, tx = oldTx } = change;
      if (!(Number.isInteger(rx) && rx >= 1 && rx <= maxRx && Number.isInteger(tx) && tx >= 1 && tx <= maxTx)) {
        throw new Errno('EINVAL', `${this.dev.name}: rings of ${rx} and ${tx}: must be 1 to ${maxRx} and 1 to ${maxTx}`);
      }
      if (rx !== oldRx || tx !== oldTx) return this.reopened(() => set.call(this.#operations, { rx, tx }));
    });
  }

  receiveHash(): ReceiveHash {
    return this.has('receiveHash', 'spreads nothing over queues').call(this.#operations);
  }

  setReceiveHash(change: Partial<ReceiveHash>): MaybePromise<void> {
    const set = this.has('setReceiveHash', 'spreads nothing over queues');
    return this.serial.run(() => set.call(this.#operations, { ...this.receiveHash(), ...change }));
  }

  /** @throws {Errno} EOPNOTSUPP for what the driver does not do @internal */
  protected has<K extends keyof NetOperations>(name: K, otherwise: string): NonNullable<NetOperations[K]> {
    const operation = this.#operations[name];
    if (operation === undefined) throw new Errno('EOPNOTSUPP', `${this.dev.name}: ${otherwise}`);
    return operation;
  }
}
