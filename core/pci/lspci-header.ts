import { hex } from '../lib/index.js';
import { type ConfigDump, devsel, flags, part } from './lspci-text.js';

/**
 * What is in the header beside the ids: base addresses, bus numbers and windows.
 * @param sizes by BAR number, where they are known
 * @see pciutils 3.9.0 lspci.c show_htype0, show_htype1, show_bases
 */
export function headerLines(config: ConfigDump, sizes: readonly (number | undefined)[], verbose: number): string[] {
  switch (config.read8(0x0e) % 0x80) {
    case 0:
      return [...barLines(config, 6, sizes, verbose), ...romLines(config, 0x30)];
    case 1:
      return bridgeLines(config, sizes, verbose);
    default:
      return [];
  }
}

function sizeText(bytes: number | undefined): string {
  if (bytes === undefined || bytes === 0) return '';
  const units = ['', 'K', 'M', 'G', 'T'];
  let rest = bytes;
  let unit = 0;
  for (; unit < units.length - 1 && rest % 1024 === 0; unit++) rest /= 1024;
  return ` [size=${rest}${units[unit]}]`;
}

function barLines(config: ConfigDump, count: number, sizes: readonly (number | undefined)[], verbose: number): string[] {
  const command = config.read16(0x04);
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const low = config.read32(0x10 + 4 * i);
    if (low === 0xffff_ffff || (low === 0 && sizes[i] === undefined)) continue;
    const head = verbose > 1 ? `\tRegion ${i}: ` : '\t';
    if ((low & 1) === 1) {
      const port = low - (low & 3);
      const isOn = part(command, 0, 1) === 1;
      const at = port !== 0 || isOn ? hex(port, 4) : '<unassigned>';
      lines.push(`${head}I/O ports at ${at}${isOn ? '' : ' [disabled]'}${sizeText(sizes[i])}`);
      continue;
    }
    const is64 = (low & 6) === 4;
    const index = i;
    const high = is64 && i + 1 < count ? config.read32(0x10 + 4 * ++i) : 0;
    const address = high * 2 ** 32 + (low - (low & 0xf));
    const at = is64 && index + 1 >= count ? '<broken-64-bit-slot>' : address === 0 ? '<unassigned>' : hex(address, 8);
    const type = ['32-bit', 'low-1M', '64-bit', 'type 3'][part(low, 1, 2)];
    const kind = `(${type}, ${(low & 8) === 0 ? 'non-' : ''}prefetchable)`;
    lines.push(`${head}Memory at ${at} ${kind}${part(command, 1, 1) === 1 ? '' : ' [disabled]'}${sizeText(sizes[index])}`);
  }
  return lines;
}

function romLines(config: ConfigDump, at: number): string[] {
  const rom = config.read32(at);
  if (rom === 0 || rom === 0xffff_ffff) return [];
  const address = rom - (rom % 2 ** 11);
  const state = rom % 2 === 0 ? ' [disabled]' : part(config.read16(0x04), 1, 1) === 0 ? ' [disabled by cmd]' : '';
  return [`\tExpansion ROM at ${address === 0 ? '<unassigned>' : hex(address, 8)}${state}`];
}

function windowLine(name: string, base: number, limit: number, bits: number): string {
  const digits = bits / 4;
  const range = base <= limit ? ` ${hex(base, digits)}-${hex(limit, digits)}${sizeText(limit - base + 1)}` : ' [disabled]';
  return `\t${name} behind bridge:${range} [${bits}-bit]`;
}

function bridgeLines(config: ConfigDump, sizes: readonly (number | undefined)[], verbose: number): string[] {
  const [ioBase, ioLimit] = [config.read8(0x1c), config.read8(0x1d)];
  const [memBase, memLimit] = [config.read16(0x20), config.read16(0x22)];
  const [prefBase, prefLimit] = [config.read16(0x24), config.read16(0x26)];
  const isIo32 = (ioBase & 0xf) === 1;
  const isPref64 = (prefBase & 0xf) === 1;
  const io = (word: number, upper: number): number => (word & 0xf0) * 2 ** 8 + (isIo32 ? config.read16(upper) * 2 ** 16 : 0);
  const mem = (word: number): number => (word & 0xfff0) * 2 ** 16;
  const pref = (word: number, upper: number): number => mem(word) + (isPref64 ? config.read32(upper) * 2 ** 32 : 0);
  const bus = [0x18, 0x19, 0x1a].map((at) => hex(config.read8(at), 2));
  const lines = [
    ...barLines(config, 2, sizes, verbose),
    `\tBus: primary=${bus[0]}, secondary=${bus[1]}, subordinate=${bus[2]}, sec-latency=${config.read8(0x1b)}`,
    windowLine('I/O', io(ioBase, 0x30), io(ioLimit, 0x32) + 0xfff, isIo32 ? 32 : 16),
    windowLine('Memory', mem(memBase), mem(memLimit) + 0xf_ffff, 32),
    windowLine('Prefetchable memory', pref(prefBase, 0x28), pref(prefLimit, 0x2c) + 0xf_ffff, isPref64 ? 64 : 32),
  ];
  if (verbose > 1) {
    const status = config.read16(0x1e);
    const before = flags(status, { '66MHz': 5, FastB2B: 7, ParErr: 8 });
    const after = flags(status, { '>TAbort': 11, '<TAbort': 12, '<MAbort': 13, '<SERR': 14, '<PERR': 15 });
    lines.push(`\tSecondary status: ${before} DEVSEL=${devsel(status)} ${after}`);
  }
  lines.push(...romLines(config, 0x38));
  if (verbose > 1) {
    const control = config.read16(0x3e);
    lines.push(
      `\tBridgeCtl: ${flags(control, { Parity: 0, SERR: 1, NoISA: 2, VGA: 3, VGA16: 4, MAbort: 5, '>Reset': 6, FastB2B: 7 })}`,
      `\t\t${flags(control, { PriDiscTmr: 8, SecDiscTmr: 9, DiscTmrStat: 10, DiscTmrSERREn: 11 })}`,
    );
  }
  return lines;
}
