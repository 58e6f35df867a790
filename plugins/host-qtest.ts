import { Host, Plugin } from '../core/index.js';
import { QtestHost, type QtestOptions } from '../hw/remote/qtest.js';

/** A QEMU with the plugin that makes its device models the hardware of a system. */
export class HostQtest extends QtestHost {
  /** Load it first: `System.start(qemu.plugin, ...)`. */
  readonly plugin = new Plugin(
    'host-qtest',
    ({ bind }) => {
      bind(Host).toConstantValue(this);
    },
    { provides: [Host] },
  );
}

/**
 * The device models of a QEMU as hardware; it is started with the system and ends with it.
 * @throws {Errno} ERANGE or EINVAL for an option that cannot be
 * @example
 * ```ts
 * const qemu = hostQtest({ devices: ['edu,addr=4'] });
 * await using system = await System.start(qemu.plugin, edu);
 * ```
 */
export function hostQtest(options: QtestOptions = {}): HostQtest {
  return new HostQtest(options);
}
