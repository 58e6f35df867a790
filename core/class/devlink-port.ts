import { Errno } from '../lib/errno.js';
import { type Flow, type MaybePromise, settle } from '../lib/flow.js';
import type { FunctionSettings, FunctionState, PortAttributes, PortFunction, PortView } from './devlink.js';

/** What a driver does for a port; what is absent, the port cannot do. @see Linux 7.2 include/net/devlink.h struct devlink_port_ops */
export interface DevlinkPortOps {
  /** The name of the network device that stands for it. */
  netdev?(): string | undefined;
  /** The function behind it, as it is. */
  function?(): PortFunction;
  /** Takes it away: it is unregistered by then. */
  delete?(): MaybePromise<void>;
  /** @param address six bytes, of one device */
  setHwAddr?(address: Uint8Array): MaybePromise<void>;
  setRoce?(isEnabled: boolean): MaybePromise<void>;
  setMigratable?(isEnabled: boolean): MaybePromise<void>;
  setIpsecCrypto?(isEnabled: boolean): MaybePromise<void>;
  setIpsecPacket?(isEnabled: boolean): MaybePromise<void>;
  setMaxIoEqs?(count: number): MaybePromise<void>;
  setState?(state: FunctionState): MaybePromise<void>;
}

/** Flavours whose functions say whether they are another host's. */
const OF_FUNCTIONS: ReadonlySet<string> = new Set(['pcipf', 'pcivf', 'pcisf']);
const ADDRESS_BYTES = 6;
const MAX_EQS = 0xffff_ffff;

const notSupported = (text: string): Errno => new Errno('EOPNOTSUPP', text);

/** A port of a device, until it is disposed of. @see Linux 7.2 net/devlink/port.c */
export class DevlinkPort implements Disposable {
  readonly #leave: (port: DevlinkPort) => void;

  /** @internal */
  constructor(
    readonly index: number,
    readonly attributes: PortAttributes,
    readonly ops: DevlinkPortOps,
    leave: (port: DevlinkPort) => void,
  ) {
    this.#leave = leave;
  }

  /** It is not shown any more; harmless when it is gone. */
  [Symbol.dispose](): void {
    this.#leave(this);
  }

  /** @internal */
  view(): PortView {
    const { index, attributes, ops } = this;
    const netdev = ops.netdev?.();
    const its = ops.function?.();
    return {
      index,
      type: ops.netdev === undefined ? 'notset' : 'eth',
      ...(netdev !== undefined && { netdev }),
      ...attributes,
      ...(OF_FUNCTIONS.has(attributes.flavour) && { isExternal: attributes.isExternal ?? false }),
      ...(its !== undefined && { function: its }),
    };
  }

  /** @throws {Errno} EOPNOTSUPP for what this port cannot do @see Linux 7.2 net/devlink/port.c devlink_port_function_validate @internal */
  check(wanted: FunctionSettings): void {
    const { ops } = this;
    if (wanted.hwAddr !== undefined && ops.setHwAddr === undefined) {
      throw notSupported("Port doesn't support function attributes");
    }
    if (wanted.state !== undefined && ops.setState === undefined) {
      throw notSupported('Function does not support state setting');
    }
    if (wanted.roce !== undefined && ops.setRoce === undefined) {
      throw notSupported("Port doesn't support RoCE function attribute");
    }
    this.#checkOfVf('migratable', wanted.migratable, ops.setMigratable !== undefined);
    this.#checkOfVf('ipsec_crypto', wanted.ipsecCrypto, ops.setIpsecCrypto !== undefined);
    this.#checkOfVf('ipsec_packet', wanted.ipsecPacket, ops.setIpsecPacket !== undefined);
    if (wanted.maxIoEqs !== undefined && ops.setMaxIoEqs === undefined) {
      throw notSupported('Function does not support max_io_eqs setting');
    }
  }

  #checkOfVf(name: string, value: boolean | undefined, canSet: boolean): void {
    if (value === undefined) return;
    if (!canSet) throw notSupported(`Port doesn't support ${name} function attribute`);
    if (this.attributes.flavour !== 'pcivf') throw notSupported(`${name} function attribute supported for VFs only`);
  }

  /** Applies what was checked, in Linux's order. @see Linux 7.2 net/devlink/port.c devlink_port_function_set @internal */
  *apply(wanted: FunctionSettings): Flow<void> {
    const { ops } = this;
    const { hwAddr, roce, migratable, ipsecCrypto, ipsecPacket, maxIoEqs, state } = wanted;
    if (hwAddr !== undefined) yield* settle(ops.setHwAddr!(addressOf(hwAddr)));
    if (roce !== undefined) yield* settle(ops.setRoce!(roce));
    if (migratable !== undefined) yield* settle(ops.setMigratable!(migratable));
    if (ipsecCrypto !== undefined) yield* settle(ops.setIpsecCrypto!(ipsecCrypto));
    if (ipsecPacket !== undefined) yield* settle(ops.setIpsecPacket!(ipsecPacket));
    if (maxIoEqs !== undefined) yield* settle(ops.setMaxIoEqs!(countOf(maxIoEqs)));
    if (state !== undefined) yield* settle(ops.setState!(stateOf(state)));
  }
}

/** @see Linux 7.2 net/devlink/port.c devlink_port_function_hw_addr_set */
function addressOf(text: string): Uint8Array {
  const words = text.split(':');
  if (!words.every((word) => /^[\da-f]{1,2}$/i.test(word))) {
    throw new Errno('EINVAL', `hw_addr ${JSON.stringify(text)}: is no address: write 02:00:00:00:00:01`);
  }
  if (words.length !== ADDRESS_BYTES) throw new Errno('EINVAL', 'Address must be 6 bytes for Ethernet device');
  const address = Uint8Array.from(words, (word) => Number.parseInt(word, 16));
  if ((address[0]! & 1) !== 0) throw new Errno('EINVAL', 'Non-unicast hardware address unsupported');
  return address;
}

function countOf(count: number): number {
  if (Number.isInteger(count) && count >= 0 && count <= MAX_EQS) return count;
  throw new Errno('EINVAL', `max_io_eqs ${count}: is no number of 0 to ${MAX_EQS}`);
}

function stateOf(state: FunctionState): FunctionState {
  if (state === 'active' || state === 'inactive') return state;
  throw new Errno('EINVAL', `state ${JSON.stringify(state)}: is neither active nor inactive`);
}
