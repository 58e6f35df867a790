import { PCI } from '../hal/index.js';
import { hex } from '../lib/index.js';
import { extCapabilities } from './capability.js';
import { expressLines } from './lspci-express.js';
import { type Naming, subsystemName } from './lspci-names.js';
import { ariLines, sriovLines } from './lspci-sriov.js';
import { type ConfigDump, flags, part, sign } from './lspci-text.js';

const CAP_SSVID = 0x0d;
const CAP_SATA = 0x12;
const CAP_AF = 0x13;
/** Capabilities of which the name alone is shown. */
const NAMES: { readonly [id: number]: string } = {
  0x00: 'Null',
  0x06: 'CompactPCI hot-swap <?>',
  0x0b: 'CompactPCI central resource control <?>',
  0x0c: 'Hot-plug capable',
  0x0e: 'AGP3 <?>',
  0x0f: 'Secure device <?>',
};

/** What of a function its capabilities are shown with. */
export interface CapabilityContext {
  readonly config: ConfigDump;
  readonly devfn: number;
  readonly hasMemory: boolean;
  /** 1 or 2. */
  readonly verbose: number;
  readonly naming: Naming;
}

/**
 * Both lists of capabilities, a paragraph each.
 * @see pciutils 3.9.0 ls-caps.c show_caps, ls-ecaps.c show_ext_caps
 */
export function capabilityLines(context: CapabilityContext): string[] {
  const { config } = context;
  const lines: string[] = [];
  const seen = new Set<number>();
  let isExpress = false;
  let expressType = -1;
  for (let at = (config.read16(0x06) & 0x10) === 0 ? 0 : config.read8(0x34) & 0xfc; at !== 0; at = config.read8(at + 1) & 0xfc) {
    const head = `\tCapabilities: [${hex(at, 2)}] `;
    const id = config.read8(at);
    if (seen.has(at) || id === 0xff) {
      lines.push(`${head}<chain ${seen.has(at) ? 'looped' : 'broken'}>`);
      break;
    }
    seen.add(at);
    if (id === PCI.CAP_PCIE) {
      isExpress = true;
      expressType = part(config.read16(at + 2), 4, 4);
    }
    const [first, ...rest] = conventional(context, id, at);
    lines.push(head + first, ...rest);
  }
  if (isExpress && config.sizeBytes > 0x100) lines.push(...extendedLines(context, expressType));
  return lines;
}

function conventional({ config, devfn, hasMemory, verbose, naming }: CapabilityContext, id: number, at: number): string[] {
  const word = config.read16(at + 2);
  switch (id) {
    case PCI.CAP_PM:
      return powerLines(config, at, word, verbose);
    case PCI.CAP_MSI:
      return msiLines(config, at, word, verbose);
    case PCI.CAP_MSIX: {
      const place = (name: string, value: number): string =>
        `\t\t${name}: BAR=${value & 7} offset=${hex(value - (value & 7), 8)}`;
      const head = `MSI-X: Enable${sign(word, 15)} Count=${part(word, 0, 11) + 1} Masked${sign(word, 14)}`;
      if (verbose < 2) return [head];
      return [head, place('Vector table', config.read32(at + 4)), place('PBA', config.read32(at + 8))];
    }
    case PCI.CAP_PCIE:
      return expressLines(config, at, devfn, hasMemory, verbose);
    case PCI.CAP_VENDOR:
      return [`Vendor Specific Information: Len=${hex(part(word, 0, 8), 2)} <?>`];
    case CAP_SSVID:
      return [`Subsystem: ${subsystemName(config, config.read16(at + 4), config.read16(at + 6), naming)}`];
    case CAP_SATA: {
      const bars = config.read32(at + 4);
      const bar = part(bars, 0, 4);
      const where =
        bar >= 4 && bar <= 9 ? `BAR${bar - 4} Offset=${hex(part(bars, 4, 20), 8)}` : bar === 15 ? 'InCfgSpace' : `BAR??${bar}`;
      return [`SATA HBA v${part(word, 4, 4)}.${part(word, 0, 4)}${verbose < 2 ? '' : ` ${where}`}`];
    }
    case CAP_AF: {
      if (verbose < 2) return ['PCI Advanced Features'];
      return [
        'PCI Advanced Features',
        `\t\tAFCap: ${flags(config.read8(at + 3), { TP: 0, FLR: 1 })}`,
        `\t\tAFCtrl: ${flags(config.read8(at + 4), { FLR: 0 })}`,
        `\t\tAFStatus: ${flags(config.read8(at + 5), { TP: 0 })}`,
      ];
    }
    default:
      return [NAMES[id] ?? `Capability ID 0x${hex(id)} [${hex(word, 4)}]`];
  }
}

const AUX_CURRENT = [0, 55, 100, 160, 220, 270, 320, 375];

function powerLines(config: ConfigDump, at: number, word: number, verbose: number): string[] {
  const lines = [`Power Management version ${part(word, 0, 3)}`];
  if (verbose < 2) return lines;
  const control = config.read16(at + 4);
  const pme = Object.entries({ D0: 11, D1: 12, D2: 13, D3hot: 14, D3cold: 15 }).map(([name, bit]) => name + sign(word, bit));
  const select = `DSel=${part(control, 9, 4)} DScale=${part(control, 13, 2)}`;
  lines.push(
    `\t\tFlags: ${flags(word, { PMEClk: 3, DSI: 5, D1: 9, D2: 10 })} AuxCurrent=${AUX_CURRENT[part(word, 6, 3)]}mA PME(${pme.join(',')})`,
    `\t\tStatus: D${part(control, 0, 2)} ${flags(control, { NoSoftRst: 3, 'PME-Enable': 8 })} ${select} ${flags(control, { PME: 15 })}`,
  );
  const bridge = config.read8(at + 6);
  if (bridge !== 0) lines.push(`\t\tBridge: PM${sign(bridge, 7)} B3${sign(~bridge & 0xff, 6)}`);
  return lines;
}

function msiLines(config: ConfigDump, at: number, word: number, verbose: number): string[] {
  const [is64, maskable] = [part(word, 7, 1) === 1, part(word, 8, 1) === 1];
  const count = `Count=${2 ** part(word, 4, 3)}/${2 ** part(word, 1, 3)}`;
  const lines = [`MSI: Enable${sign(word, 0)} ${count} ${flags(word, { Maskable: 8, '64bit': 7 })}`];
  if (verbose < 2) return lines;
  const data = at + (is64 ? 12 : 8);
  const high = is64 ? hex(config.read32(at + 8), 8) : '';
  lines.push(`\t\tAddress: ${high}${hex(config.read32(at + 4), 8)}  Data: ${hex(config.read16(data), 4)}`);
  if (maskable) lines.push(`\t\tMasking: ${hex(config.read32(data + 4), 8)}  Pending: ${hex(config.read32(data + 8), 8)}`);
  return lines;
}

/** Extended capabilities of which the name alone is shown. */
const EXT_NAMES: { readonly [id: number]: string } = {
  0x02: 'Virtual Channel',
  0x04: 'Power Budgeting <?>',
  0x15: 'Physical Resizable BAR',
  0x17: 'Transaction Processing Hints',
  0x18: 'Latency Tolerance Reporting',
  0x19: 'Secondary PCI Express',
  0x1e: 'L1 PM Substates',
  0x1f: 'Precision Time Measurement',
  0x25: 'Data Link Feature <?>',
  0x26: 'Physical Layer 16.0 GT/s <?>',
  0x27: 'Lane Margining at the Receiver <?>',
};
const EXT_AER = 0x01;
const EXT_SERIAL = 0x03;
const EXT_VENDOR = 0x0b;
const EXT_ACS = 0x0d;
const EXT_ARI = 0x0e;
const EXT_ATS = 0x0f;
const EXT_SRIOV = 0x10;
const EXT_PRI = 0x13;
const EXT_PASID = 0x1b;
const EXT_DVSEC = 0x23;

function extendedLines({ config, verbose }: CapabilityContext, expressType: number): string[] {
  const lines: string[] = [];
  for (const { id, version, at } of extCapabilities(config)) {
    const [first, ...rest] = extended(config, id, at, expressType);
    lines.push(`\tCapabilities: [${hex(at, 3)}${verbose > 1 ? ` v${version}` : ''}] ${first}`);
    if (verbose > 1) lines.push(...rest);
  }
  return lines;
}

const ACS = { SrcValid: 0, TransBlk: 1, ReqRedir: 2, CmpltRedir: 3, UpstreamFwd: 4, EgressCtrl: 5, DirectTrans: 6 };

function extended(config: ConfigDump, id: number, at: number, expressType: number): string[] {
  const [low, high] = [config.read16(at + 4), config.read16(at + 6)];
  switch (id) {
    case EXT_AER:
      return aerLines(config, at, expressType);
    case EXT_ARI:
      return ariLines(config, at);
    case EXT_SRIOV:
      return sriovLines(config, at);
    case EXT_SERIAL: {
      const digits = hex(config.read32(at + 8), 8) + hex(config.read32(at + 4), 8);
      return [`Device Serial Number ${digits.match(/../g)!.join('-')}`];
    }
    case EXT_VENDOR: {
      const header = config.read32(at + 4);
      return [
        `Vendor Specific Information: ID=${hex(part(header, 0, 16), 4)} Rev=${part(header, 16, 4)} Len=${hex(part(header, 20, 12), 3)} <?>`,
      ];
    }
    case EXT_ACS:
      return ['Access Control Services', `\t\tACSCap:\t${flags(low, ACS)}`, `\t\tACSCtl:\t${flags(high, ACS)}`];
    case EXT_ATS:
      return [
        'Address Translation Service (ATS)',
        `\t\tATSCap:\tInvalidate Queue Depth: ${hex(part(low, 0, 5), 2)}`,
        `\t\tATSCtl:\tEnable${sign(high, 15)}, Smallest Translation Unit: ${hex(part(high, 0, 5), 2)}`,
      ];
    case EXT_PRI:
      return [
        'Page Request Interface (PRI)',
        `\t\tPRICtl: ${flags(low, { Enable: 0, Reset: 1 })}`,
        `\t\tPRISta: ${flags(high, { RF: 0, UPRGI: 1, Stopped: 8 })}`,
        `\t\tPage Request Capacity: ${hex(config.read32(at + 8), 8)}, Page Request Allocation: ${hex(config.read32(at + 12), 8)}`,
      ];
    case EXT_PASID:
      return [
        'Process Address Space ID (PASID)',
        `\t\tPASIDCap: ${flags(low, { Exec: 1, Priv: 2 })}, Max PASID Width: ${hex(part(low, 8, 5), 2)}`,
        `\t\tPASIDCtl: ${flags(high, { Enable: 0, Exec: 1, Priv: 2 })}`,
      ];
    case EXT_DVSEC: {
      const header = config.read32(at + 4);
      const what = `Vendor=${hex(part(header, 0, 16), 4)} ID=${hex(config.read16(at + 8), 4)}`;
      return [`Designated Vendor-Specific: ${what} Rev=${part(header, 16, 4)} Len=${part(header, 20, 12)} <?>`];
    }
    default:
      return [EXT_NAMES[id] ?? `Extended Capability ID 0x${hex(id)}`];
  }
}

const UNCORRECTABLE = {
  DLP: 4,
  SDES: 5,
  TLP: 12,
  FCP: 13,
  CmpltTO: 14,
  CmpltAbrt: 15,
  UnxCmplt: 16,
  RxOF: 17,
  MalfTLP: 18,
  ECRC: 19,
  UnsupReq: 20,
  ACSViol: 21,
};
const CORRECTABLE = { RxErr: 0, BadTLP: 6, BadDLLP: 7, Rollover: 8, Timeout: 12, AdvNonFatalErr: 13 };
const ROOT_TYPES = [0x4, 0xa];

/** @see pciutils 3.9.0 ls-ecaps.c cap_aer */
function aerLines(config: ConfigDump, at: number, expressType: number): string[] {
  const caps = config.read32(at + 0x18);
  const log = [0x1c, 0x20, 0x24, 0x28].map((offset) => hex(config.read32(at + offset), 8));
  const lines = [
    'Advanced Error Reporting',
    `\t\tUESta:\t${flags(config.read32(at + 0x04), UNCORRECTABLE)}`,
    `\t\tUEMsk:\t${flags(config.read32(at + 0x08), UNCORRECTABLE)}`,
    `\t\tUESvrt:\t${flags(config.read32(at + 0x0c), UNCORRECTABLE)}`,
    `\t\tCESta:\t${flags(config.read32(at + 0x10), CORRECTABLE)}`,
    `\t\tCEMsk:\t${flags(config.read32(at + 0x14), CORRECTABLE)}`,
    `\t\tAERCap:\tFirst Error Pointer: ${hex(part(caps, 0, 5), 2)}, ${flags(caps, { ECRCGenCap: 5, ECRCGenEn: 6, ECRCChkCap: 7, ECRCChkEn: 8 })}`,
    `\t\t\t${flags(caps, { MultHdrRecCap: 9, MultHdrRecEn: 10, TLPPfxPres: 11, HdrLogCap: 12 })}`,
    `\t\tHeaderLog: ${log.join(' ')}`,
  ];
  if (!ROOT_TYPES.includes(expressType)) return lines;
  const status = config.read32(at + 0x30);
  lines.push(
    `\t\tRootCmd: ${flags(config.read32(at + 0x2c), { CERptEn: 0, NFERptEn: 1, FERptEn: 2 })}`,
    `\t\tRootSta: ${flags(status, { CERcvd: 0, MultCERcvd: 1, UERcvd: 2, MultUERcvd: 3 })}`,
    `\t\t\t ${flags(status, { FirstFatal: 4, NonFatalMsg: 5, FatalMsg: 6 })} IntMsg ${part(status, 27, 5)}`,
    `\t\tErrorSrc: ERR_COR: ${hex(config.read16(at + 0x34), 4)} ERR_FATAL/NONFATAL: ${hex(config.read16(at + 0x36), 4)}`,
  );
  return lines;
}
