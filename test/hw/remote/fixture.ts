import { Mmio } from '../../../core/hal/mmio.js';
import { Log } from '../../../core/lib/log.js';
import { QtestHost, type QtestOptions } from '../../../hw/remote/qtest.js';

/** Long enough for any machine: a limit, never a duration that is asserted. */
export const LIMIT_US = 20_000_000;
export const EDU_DEVFN = 4 << 3;
export const BAR = 0xe000_0000;

/** A started host, stopped at the end of the scope. */
export async function started(options: QtestOptions): Promise<QtestHost & AsyncDisposable> {
  const host = new QtestHost(options);
  await host.start(new Log());
  return Object.assign(host, { [Symbol.asyncDispose]: () => host.stop() });
}

/** Gives a memory BAR an address and switches the function on, as firmware would. */
export function assignBar(host: QtestHost, devfn: number, bar: number, address: number) {
  const config = host.pci[0]!.config(0, devfn);
  const at = 0x10 + 4 * bar;
  config.write32(at, 0xffff_ffff);
  const barBytes = (~config.read32(at) >>> 0) + 1;
  config.write32(at, address);
  config.write16(0x04, 0x0006);
  const regs = new Mmio(host.pci[0]!.map('mem', address, barBytes), `BAR ${bar}`);
  return { config, barBytes, regs };
}

/** Starts a host with an edu whose BAR is assigned by hand. */
export async function startedEdu(options: QtestOptions) {
  const host = await started({ ...options, devices: ['edu,addr=4'] });
  return { host, ...assignBar(host, EDU_DEVFN, 0, BAR), [Symbol.asyncDispose]: () => host.stop() };
}
