import { hex } from '../lib/index.js';
import { type ConfigDump, flags, part, short, sign } from './lspci-text.js';

const ENDPOINT = 0x0;
const LEGACY = 0x1;
const ROOT_PORT = 0x4;
const UPSTREAM = 0x5;
const DOWNSTREAM = 0x6;
const TO_PCI = 0x7;
const TO_EXPRESS = 0x8;
const INTEGRATED = 0x9;
const EVENT_COLLECTOR = 0xa;

const TYPES: { readonly [type: number]: string } = {
  [ENDPOINT]: 'Endpoint',
  [LEGACY]: 'Legacy Endpoint',
  [ROOT_PORT]: 'Root Port',
  [UPSTREAM]: 'Upstream Port',
  [DOWNSTREAM]: 'Downstream Port',
  [TO_PCI]: 'PCI-Express to PCI/PCI-X Bridge',
  [TO_EXPRESS]: 'PCI/PCI-X to PCI-Express Bridge',
  [INTEGRATED]: 'Root Complex Integrated Endpoint',
  [EVENT_COLLECTOR]: 'Root Complex Event Collector',
};

/** Types whose name tells whether they have a slot. */
const WITH_SLOT = [ROOT_PORT, DOWNSTREAM, TO_EXPRESS];
const PORTS = [ROOT_PORT, UPSTREAM, DOWNSTREAM];
const ENDPOINTS = [ENDPOINT, LEGACY, INTEGRATED];

const SPEEDS = ['unknown', '2.5GT/s', '5GT/s', '8GT/s', '16GT/s', '32GT/s', '64GT/s'];
const speed = (code: number): string => SPEEDS[code] ?? 'unknown';
const L0S = ['<64ns', '<128ns', '<256ns', '<512ns', '<1us', '<2us', '<4us', 'unlimited'];
const L1 = ['<1us', '<2us', '<4us', '<8us', '<16us', '<32us', '<64us', 'unlimited'];
const INDICATORS = ['Unknown', 'On', 'Blink', 'Off'];

/** Where the capability is, and what it belongs to. */
interface Express {
  readonly config: ConfigDump;
  readonly at: number;
  readonly type: number;
  /** Device and function of the function itself. */
  readonly devfn: number;
  readonly hasMemory: boolean;
}

/**
 * The PCI Express capability.
 * @param hasMemory whether a BAR of the function is in memory space
 * @see PCI Express Base Specification 5.0, 7.5.3; pciutils 3.9.0 ls-caps.c cap_express
 */
export function expressLines(config: ConfigDump, at: number, devfn: number, hasMemory: boolean, verbose: number): string[] {
  const word = config.read16(at + 2);
  const type = part(word, 4, 4);
  const version = part(word, 0, 4);
  const name = TYPES[type] ?? `Unknown type ${type}`;
  const slot = WITH_SLOT.includes(type) ? ` (Slot${sign(word, 8)})` : '';
  const lines = [`Express ${verbose >= 2 ? `(v${version}) ` : ''}${name}${slot}, MSI ${hex(part(word, 9, 5), 2)}`];
  if (verbose < 2) return lines;
  const cap: Express = { config, at, type, devfn, hasMemory };
  const hasLink = type !== INTEGRATED && type !== EVENT_COLLECTOR;
  lines.push(...deviceLines(cap));
  if (hasLink) lines.push(...linkLines(cap));
  if (WITH_SLOT.includes(type) && part(word, 8, 1) === 1) lines.push(...slotLines(cap));
  if (type === ROOT_PORT || type === EVENT_COLLECTOR) lines.push(...rootLines(cap));
  if (version < 2) return lines;
  lines.push(...device2Lines(cap));
  if (hasLink) lines.push(...link2Lines(cap));
  return lines;
}

function powerLimit(value: number, scale: number): string {
  if (scale === 0 && value === 0xff) return '>600W';
  const watts = scale === 0 && value >= 0xf0 ? 250 + 25 * (value - 0xf0) : value;
  return `${short(watts / 10 ** scale)}W`;
}

function deviceLines({ config, at, type }: Express): string[] {
  const caps = config.read32(at + 0x04);
  const control = config.read16(at + 0x08);
  const isEndpoint = type === ENDPOINT || type === LEGACY;
  const latency = isEndpoint ? `, Latency L0s ${L0S[part(caps, 6, 3)]}, L1 ${L1[part(caps, 9, 3)]}` : '';
  let features = flags(caps, { ExtTag: 5 });
  if (isEndpoint || type === UPSTREAM || type === TO_PCI) features += ` ${flags(caps, { AttnBtn: 12, AttnInd: 13, PwrInd: 14 })}`;
  features += ` ${flags(caps, { RBE: 15 })}`;
  if (ENDPOINTS.includes(type)) features += ` ${flags(caps, { FLReset: 28 })}`;
  if (type === ENDPOINT || type === UPSTREAM || type === TO_PCI) {
    features += ` SlotPowerLimit ${powerLimit(part(caps, 18, 8), part(caps, 26, 2))}`;
  }
  let enabled = flags(control, { RlxdOrd: 4, ExtTag: 8, PhantFunc: 9, AuxPwr: 10, NoSnoop: 11 });
  if (type === TO_PCI) enabled += ` ${flags(control, { BrConfRtry: 15 })}`;
  if (ENDPOINTS.includes(type) && part(caps, 28, 1) === 1) enabled += ` ${flags(control, { FLReset: 15 })}`;
  return [
    `\t\tDevCap:\tMaxPayload ${128 << part(caps, 0, 3)} bytes, PhantFunc ${2 ** part(caps, 3, 2) - 1}${latency}`,
    `\t\t\t${features}`,
    `\t\tDevCtl:\t${flags(control, { CorrErr: 0, NonFatalErr: 1, FatalErr: 2, UnsupReq: 3 })}`,
    `\t\t\t${enabled}`,
    `\t\t\tMaxPayload ${128 << part(control, 5, 3)} bytes, MaxReadReq ${128 << part(control, 12, 3)} bytes`,
    `\t\tDevSta:\t${flags(config.read16(at + 0x0a), { CorrErr: 0, NonFatalErr: 1, FatalErr: 2, UnsupReq: 3, AuxPwr: 4, TransPend: 5 })}`,
  ];
}

function linkLines({ config, at, type }: Express): string[] {
  const caps = config.read32(at + 0x0c);
  const control = config.read16(at + 0x10);
  const status = config.read16(at + 0x12);
  const aspm = part(caps, 10, 2);
  const exits = [];
  if ((aspm & 1) !== 0) exits.push(`L0s ${L0S[part(caps, 12, 3)]}`);
  if ((aspm & 2) !== 0) exits.push(`L1 ${L1[part(caps, 15, 3)]}`);
  const support = ['not supported', 'L0s', 'L1', 'L0s L1'][aspm];
  const hasRcb = [ROOT_PORT, ENDPOINT, LEGACY, TO_PCI].includes(type);
  const rcb = hasRcb ? ` RCB ${part(control, 3, 1) === 1 ? 128 : 64} bytes,` : '';
  const compare = (now: number, most: number): string => {
    if (now > most) return ' (overdriven)';
    return now === most || [ROOT_PORT, DOWNSTREAM, TO_EXPRESS].includes(type) ? '' : ' (downgraded)';
  };
  const [capSpeed, capWidth, nowSpeed, nowWidth] = [part(caps, 0, 4), part(caps, 4, 6), part(status, 0, 4), part(status, 4, 6)];
  const exit = exits.length === 0 ? '' : `, Exit Latency ${exits.join(', ')}`;
  return [
    `\t\tLnkCap:\tPort #${part(caps, 24, 8)}, Speed ${speed(capSpeed)}, Width x${capWidth}, ASPM ${support}${exit}`,
    `\t\t\t${flags(caps, { ClockPM: 18, Surprise: 19, LLActRep: 20, BwNot: 21, ASPMOptComp: 22 })}`,
    `\t\tLnkCtl:\tASPM ${['Disabled', 'L0s Enabled', 'L1 Enabled', 'L0s L1 Enabled'][part(control, 0, 2)]};${rcb} ${flags(control, { Disabled: 4, CommClk: 6 })}`,
    `\t\t\t${flags(control, { ExtSynch: 7, ClockPM: 8, AutWidDis: 9, BWInt: 10, AutBWInt: 11 })}`,
    `\t\tLnkSta:\tSpeed ${speed(nowSpeed)}${compare(nowSpeed, capSpeed)}, Width x${nowWidth}${compare(nowWidth, capWidth)}`,
    `\t\t\t${flags(status, { TrErr: 10, Train: 11, SlotClk: 12, DLActive: 13, BWMgmt: 14, ABWMgmt: 15 })}`,
  ];
}

function slotLines({ config, at }: Express): string[] {
  const caps = config.read32(at + 0x14);
  const control = config.read16(at + 0x18);
  const status = config.read16(at + 0x1a);
  const limit = powerLimit(part(caps, 7, 8), part(caps, 15, 2));
  return [
    `\t\tSltCap:\t${flags(caps, { AttnBtn: 0, PwrCtrl: 1, MRL: 2, AttnInd: 3, PwrInd: 4, HotPlug: 6, Surprise: 5 })}`,
    `\t\t\tSlot #${part(caps, 19, 13)}, PowerLimit ${limit}; ${flags(caps, { Interlock: 17, NoCompl: 18 })}`,
    `\t\tSltCtl:\tEnable: ${flags(control, { AttnBtn: 0, PwrFlt: 1, MRL: 2, PresDet: 3, CmdCplt: 4, HPIrq: 5, LinkChg: 12 })}`,
    `\t\t\tControl: AttnInd ${INDICATORS[part(control, 6, 2)]}, PwrInd ${INDICATORS[part(control, 8, 2)]}, ${flags(control, { Power: 10, Interlock: 11 })}`,
    `\t\tSltSta:\tStatus: ${flags(status, { AttnBtn: 0, PowerFlt: 1, MRL: 5, CmdCplt: 4, PresDet: 6, Interlock: 7 })}`,
    `\t\t\tChanged: ${flags(status, { MRL: 2, PresDet: 3, LinkState: 8 })}`,
  ];
}

function rootLines({ config, at }: Express): string[] {
  const status = config.read32(at + 0x20);
  const control = { ErrCorrectable: 0, 'ErrNon-Fatal': 1, ErrFatal: 2, PMEIntEna: 3, CRSVisible: 4 };
  return [
    `\t\tRootCap: ${flags(config.read16(at + 0x1e), { CRSVisible: 0 })}`,
    `\t\tRootCtl: ${flags(config.read16(at + 0x1c), control)}`,
    `\t\tRootSta: PME ReqID ${hex(part(status, 0, 16), 4)}, ${flags(status, { PMEStatus: 16, PMEPending: 17 })}`,
  ];
}

const RANGES: { readonly [code: number]: string } = {
  0: 'Not Supported',
  1: 'Range A',
  2: 'Range B',
  3: 'Range AB',
  6: 'Range BC',
  7: 'Range ABC',
  14: 'Range BCD',
  15: 'Range ABCD',
};
const TIMEOUTS: { readonly [code: number]: string } = {
  0: '50us to 50ms',
  1: '50us to 100us',
  2: '1ms to 10ms',
  5: '16ms to 55ms',
  6: '65ms to 210ms',
  9: '260ms to 900ms',
  10: '1s to 3.5s',
  13: '4s to 13s',
  14: '17s to 64s',
};

function device2Lines({ config, at, type, hasMemory }: Express): string[] {
  const caps = config.read32(at + 0x24);
  const control = config.read16(at + 0x28);
  const isPort = PORTS.includes(type);
  const forwards = type === ROOT_PORT || type === DOWNSTREAM;
  const prefixes = part(caps, 22, 2) === 0 ? 4 : part(caps, 22, 2);
  const obff = ['Not Supported', 'Via message', 'Via WAKE#', 'Via message/WAKE#'][part(caps, 18, 2)];
  const reduction = ['Not Supported', 'Dev Specific', 'Form Factor Dev Specific', 'Reserved'][part(caps, 24, 2)];
  let completer = flags(caps, { FRS: 31 });
  if (type === ROOT_PORT)
    completer += ` LN System CLS ${['Not Supported', '64byte cachelines', '128byte cachelines', 'Reserved'][part(caps, 14, 2)]},`;
  if (type === ROOT_PORT || type === ENDPOINT) {
    completer += ` ${['TPHComp- ExtTPHComp-', 'TPHComp+ ExtTPHComp-', '', 'TPHComp+ ExtTPHComp+'][part(caps, 12, 2)]}`;
  }
  if (forwards) completer += ` ${flags(caps, { ARIFwd: 5 })}`;
  const lines = [
    `\t\tDevCap2: Completion Timeout: ${RANGES[part(caps, 0, 4)] ?? 'Unknown'}, ${flags(caps, { TimeoutDis: 4, NROPrPrP: 10, LTR: 11 })}`,
    `\t\t\t ${flags(caps, { '10BitTagComp': 16, '10BitTagReq': 17 })} OBFF ${obff}, ${flags(caps, { ExtFmt: 20, EETLPPrefix: 21 })}${part(caps, 21, 1) === 1 ? `, MaxEETLPPrefixes ${prefixes}` : ''}`,
    `\t\t\t EmergencyPowerReduction ${reduction}, ${flags(caps, { EmergencyPowerReductionInit: 26 })}`,
    `\t\t\t ${completer}`,
  ];
  if (isPort || hasMemory) {
    const routing = isPort ? ` ${flags(caps, { Routing: 6 })}` : '';
    const sizes = type === ROOT_PORT || hasMemory ? ` ${flags(caps, { '32bit': 7, '64bit': 8, '128bitCAS': 9 })}` : '';
    lines.push(`\t\t\t AtomicOpsCap:${routing}${sizes}`);
  }
  const via = ['Disabled', 'Via message A', 'Via message B', 'Via WAKE#'][part(control, 13, 2)];
  lines.push(
    `\t\tDevCtl2: Completion Timeout: ${TIMEOUTS[part(control, 0, 4)] ?? 'Unknown'}, ${flags(control, { TimeoutDis: 4, LTR: 10, '10BitTagReq': 12 })} OBFF ${via},${forwards ? ` ${flags(control, { ARIFwd: 5 })}` : ''}`,
  );
  if (isPort || ENDPOINTS.includes(type)) {
    const requester = type === ROOT_PORT || ENDPOINTS.includes(type) ? ` ${flags(control, { ReqEn: 6 })}` : '';
    lines.push(`\t\t\t AtomicOpsCtl:${requester}${isPort ? ` ${flags(control, { EgressBlck: 7 })}` : ''}`);
  }
  return lines;
}

const LINK_RANGES: readonly (readonly [mask: number, text: string])[] = [
  [0x60, 'RsvdP'],
  [0x10, '2.5-32GT/s'],
  [0x08, '2.5-16GT/s'],
  [0x04, '2.5-8GT/s'],
  [0x02, '2.5-5GT/s'],
  [0x01, '2.5GT/s'],
];
const PRESETS = [
  '-6dB de-emphasis, 0dB preshoot',
  '-3.5dB de-emphasis, 0dB preshoot',
  '-4.4dB de-emphasis, 0dB preshoot',
  '-2.5dB de-emphasis, 0dB preshoot',
  '0dB de-emphasis, 0dB preshoot',
  '0dB de-emphasis, 1.9dB preshoot',
  '0dB de-emphasis, 2.5dB preshoot',
  '-6.0dB de-emphasis, 3.5dB preshoot',
  '-3.5dB de-emphasis, 3.5dB preshoot',
  '0dB de-emphasis, 3.5dB preshoot',
];
const MARGINS = ['Normal Operating Range', '800-1200mV(full-swing)/400-700mV(half-swing)'];
const LOW_MARGIN = '200-400mV(full-swing)/100-200mV(half-swing)';
const COMPONENTS: { readonly [code: number]: string } = {
  0: 'Link Down - Not Determined',
  1: 'Link Down - Not Present',
  2: 'Link Down - Present',
  4: 'Link Up - Present',
  5: 'Link Up - Present and DRS Received',
};

function link2Lines({ config, at, type, devfn }: Express): string[] {
  const lines: string[] = [];
  const control = config.read16(at + 0x30);
  const status = config.read16(at + 0x32);
  // Of a device with several functions, function 0 of device 0 alone speaks for the link.
  const speaks = !((type === ENDPOINT || type === LEGACY) && devfn !== 0);
  const caps = speaks ? config.read32(at + 0x2c) : 0;
  if (speaks) {
    const vector = part(caps, 1, 7);
    const range = LINK_RANGES.find(([mask]) => (vector & mask) !== 0)?.[1] ?? 'Unknown';
    if (caps !== 0) {
      lines.push(
        `\t\tLnkCap2: Supported Link Speeds: ${range}, ${flags(caps, { Crosslink: 8, Retimer: 23, '2Retimers': 24, DRS: 31 })}`,
      );
    }
    const target = part(control, 0, 4) === 0 ? '2.5GT/s' : (SPEEDS[part(control, 0, 4)] ?? 'Unknown');
    const deEmphasis = type === DOWNSTREAM ? `, Selectable De-emphasis: ${part(control, 6, 1) === 1 ? '-3.5dB' : '-6dB'}` : '';
    const margin = part(control, 7, 3);
    const marginText = MARGINS[margin] ?? (margin <= 5 ? LOW_MARGIN : 'Unknown');
    lines.push(
      `\t\tLnkCtl2: Target Link Speed: ${target}, ${flags(control, { EnterCompliance: 4, SpeedDis: 5 })}${deEmphasis}`,
      `\t\t\t Transmit Margin: ${marginText}, ${flags(control, { EnterModifiedCompliance: 10, ComplianceSOS: 11 })}`,
      `\t\t\t Compliance Preset/De-emphasis: ${PRESETS[part(control, 12, 4)] ?? 'Unknown'}`,
    );
  }
  const crosslink = ['unsupported', 'Upstream Port', 'Downstream Port', 'incomplete'][part(status, 8, 2)];
  const hasDrs = [ROOT_PORT, DOWNSTREAM, TO_EXPRESS].includes(type) && part(caps, 31, 1) === 1;
  lines.push(
    `\t\tLnkSta2: Current De-emphasis Level: ${part(status, 0, 1) === 1 ? '-3.5dB' : '-6dB'}, ${flags(status, { EqualizationComplete: 1, EqualizationPhase1: 2 })}`,
    `\t\t\t ${flags(status, { EqualizationPhase2: 3, EqualizationPhase3: 4, LinkEqualizationRequest: 5 })}`,
    `\t\t\t ${flags(status, { Retimer: 6, '2Retimers': 7 })} CrosslinkRes: ${crosslink}${hasDrs ? `, ${flags(status, { DRS: 15 })}` : ''}`,
  );
  if (hasDrs) lines.push(`\t\t\t DownstreamComp: ${COMPONENTS[part(status, 12, 3)] ?? 'Reserved'}`);
  return lines;
}
