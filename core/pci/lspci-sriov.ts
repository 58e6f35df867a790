import { hex } from '../lib/index.js';
import { type ConfigDump, flags, part } from './lspci-text.js';

/** Base address registers of the virtual functions. */
const VF_BARS = 6;
const ALL = 0xffff_ffff;

/** What `lspci -vv` says of Alternative Routing-ID Interpretation at `at`. @see PCI Express Base Specification 5.0, 7.8.7 */
export function ariLines(config: ConfigDump, at: number): string[] {
  const caps = config.read16(at + 4);
  const control = config.read16(at + 6);
  const groups = { MFVC: 0, ACS: 1 };
  return [
    'Alternative Routing-ID Interpretation (ARI)',
    `\t\tARICap:\t${flags(caps, groups)}, Next Function: ${part(caps, 8, 8)}`,
    `\t\tARICtl:\t${flags(control, groups)}, Function Group: ${part(control, 4, 3)}`,
  ];
}

/** What `lspci -vv` says of Single Root I/O Virtualization at `at`. @see PCI Express Base Specification 5.0, 9.3.3 */
export function sriovLines(config: ConfigDump, at: number): string[] {
  const caps = config.read32(at + 0x04);
  const control = { Enable: 0, Migration: 1, Interrupt: 2, MSE: 3, ARIHierarchy: 4, '10BitTagReq': 5 };
  const counts = [
    `Initial VFs: ${config.read16(at + 0x0c)}`,
    `Total VFs: ${config.read16(at + 0x0e)}`,
    `Number of VFs: ${config.read16(at + 0x10)}`,
    `Function Dependency Link: ${hex(config.read8(at + 0x12), 2)}`,
  ];
  const migration = config.read32(at + 0x3c);
  return [
    'Single Root I/O Virtualization (SR-IOV)',
    `\t\tIOVCap:\t${flags(caps, { Migration: 0, '10BitTagReq': 2 })} Interrupt Message Number: ${hex(part(caps, 21, 11), 3)}`,
    `\t\tIOVCtl:\t${flags(config.read16(at + 0x08), control)}`,
    `\t\tIOVSta:\t${flags(config.read16(at + 0x0a), { Migration: 0 })}`,
    `\t\t${counts.join(', ')}`,
    `\t\tVF offset: ${config.read16(at + 0x14)}, stride: ${config.read16(at + 0x16)}, Device ID: ${hex(config.read16(at + 0x1a), 4)}`,
    `\t\tSupported Page Size: ${hex(config.read32(at + 0x1c), 8)}, System Page Size: ${hex(config.read32(at + 0x20), 8)}`,
    ...vfRegions(config, at + 0x24),
    `\t\tVF Migration: offset: ${hex(migration - (migration % 8), 8)}, BIR: ${hex(migration % 8)}`,
  ];
}

function vfRegions(config: ConfigDump, at: number): string[] {
  const lines: string[] = [];
  for (let i = 0; i < VF_BARS; i++) {
    const low = config.read32(at + 4 * i);
    if (low === 0 || low === ALL) continue;
    const is64 = part(low, 1, 2) === 2;
    const address = hex(low - (low % 16), 8);
    const kind = `${is64 ? 64 : 32}-bit, ${part(low, 3, 1) === 1 ? '' : 'non-'}prefetchable`;
    lines.push(`\t\tRegion ${i}: Memory at ${is64 ? hex(config.read32(at + 4 * i + 4), 8) : ''}${address} (${kind})`);
    if (is64) i++;
  }
  return lines;
}
