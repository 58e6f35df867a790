import type { Mlx5Child } from '../mlx5/api.js';

/** What a sub-function's port is called at the switch. @see Linux 7.2 net/devlink/port.c __devlink_port_phys_port_name_get */
export const sfPortName = (pfnum: number, sfnum: number): string => `pf${pfnum}sf${sfnum}`;

/** What udev calls the network device that stands for a port: `enp6s0f0npf0sf88`. @see systemd, systemd.net-naming-scheme */
export const representorName = (pci: string, portName: string): string => `${slotName(pci)}n${portName}`;

/**
 * What the network device of a sub-function is called, by the number that its user gave it: `p0sf88` of the first adapter, elsewhere by
 * its place too: `enp6s0f0s88`. Undefined for other functions: the next of `eth0` and so on.
 * @see Linux 7.2 Documentation/networking/device_drivers/ethernet/mellanox/mlx5/switchdev.rst
 */
export function functionName({ sfnum, pfIdx, pci }: Mlx5Child): string | undefined {
  if (sfnum === undefined) return undefined;
  return pfIdx === 0 ? `p0sf${sfnum}` : `${slotName(pci.name)}s${sfnum}`;
}

/** `0000:06:00.0` as `enp6s0f0`. */
function slotName(pci: string): string {
  const [domain, bus, slot, fn] = pci.split(/[:.]/).map((part) => Number.parseInt(part, 16));
  return `en${domain === 0 ? '' : `P${domain}`}p${bus}s${slot}f${fn}`;
}
