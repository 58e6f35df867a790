import { PCI, type Window, setField } from '../../core/hal/index.js';
import { hex } from '../../core/lib/bits.js';
import { Errno } from '../../core/lib/errno.js';
import { MsixCapability } from './capability.js';
import type { ConfigSpace } from './config-space.js';
import { type EndpointConfig, layOut } from './header.js';
import { EndpointIrq, type InterruptSink } from './irq.js';
import type { ResetKind } from './model.js';
import { MsixTable, MsixWindow } from './msix-table.js';

/** What a function is plugged into: a slot of the simulated machine, or a server of models. */
export interface EndpointPort extends InterruptSink {
  /** What the function decodes or may send has changed: command register, BARs, power state. */
  decodeChanged(): void;
  /** Configuration space, tables and line are reset; the model is next. */
  reset(kind: ResetKind): void;
}

/** A range of bus addresses that a function answers to now. */
export interface DecodedRange {
  readonly kind: 'io' | 'mem';
  readonly bar: number;
  readonly base: number;
  readonly sizeBytes: number;
  readonly window: Window;
}

const D3HOT = 3;

/**
 * The bus interface that every PCI function model stands on: configuration space with the masks of the specification, BARs,
 * capabilities, interrupts and resets.
 * @see PCI Express Base Specification 5.0, 5.3 (power states), 6.6 (resets), 7.5 (configuration space)
 */
export class Endpoint {
  readonly declared: EndpointConfig;
  readonly space: ConfigSpace;
  readonly irq: EndpointIrq;
  protected readonly port: EndpointPort;
  readonly #caps: ReadonlyMap<number, number>;
  readonly #table: MsixTable | undefined;
  readonly #windows = new Map<number, Window>();
  #powerState = 0;

  /**
   * @param bars base address registers of this header: 6, or 2 for a bridge
   * @throws {Errno} EINVAL when `declared` cannot be
   */
  constructor(declared: EndpointConfig, port: EndpointPort, bars: 6 | 2 = 6) {
    const { space, caps } = layOut(declared, bars);
    this.declared = declared;
    this.space = space;
    this.port = port;
    this.#caps = caps;
    const msix = declared.capabilities?.find((cap) => cap instanceof MsixCapability);
    this.#table = msix && new MsixTable(msix.options.vectors, (n) => this.irq.entryChanged(n));
    this.irq = new EndpointIrq(space, caps, port, this.#table);
    space.onWrite(PCI.COMMAND.offset, 2, () => port.decodeChanged());
    space.onWrite(PCI.barReg(0).offset, 4 * bars, () => port.decodeChanged());
    const pm = this.capability(PCI.CAP_PM);
    if (pm !== 0) space.onWrite(pm + PCI.PM_CONTROL.offset, 1, () => this.#setPowerState(pm));
    const pcie = this.capability(PCI.CAP_PCIE);
    if (pcie !== 0) space.onWrite(pcie + PCI.PCIE_DEVICE_CONTROL.offset, 2, () => this.#deviceControl(pcie));
    if (bars === 6) {
      space.define(PCI.SUBSYSTEM_VENDOR_ID, declared.subsystem?.vendor ?? 0);
      space.define(PCI.SUBSYSTEM_ID, declared.subsystem?.device ?? 0);
    }
  }

  /**
   * Puts the model's registers behind the BARs; the MSI-X table goes in front of them where it was declared.
   * @param regions by BAR number; one for each declared BAR, unless only MSI-X is in it
   * @throws {Errno} EINVAL when a BAR has nothing behind it, or a region no BAR
   */
  attach(regions: { readonly [bar: number]: Window }): void {
    const who = `${hex(this.declared.vendor, 4)}:${hex(this.declared.device, 4)}`;
    const bars = this.declared.bars ?? {};
    const msix = this.declared.capabilities?.find((cap) => cap instanceof MsixCapability);
    const msixBars = msix === undefined ? [] : [msix.options.table.bar, msix.options.pba.bar];
    for (const bar of [...Object.keys(regions).map(Number), ...msixBars]) {
      if (bars[bar] === undefined) throw new Errno('EINVAL', `${who}: a region for BAR ${bar}, which is not declared`);
    }
    for (const [key, spec] of Object.entries(bars)) {
      const bar = Number(key);
      const own = regions[bar];
      if (msix !== undefined && this.#table !== undefined && msixBars.includes(bar)) {
        this.#windows.set(bar, new MsixWindow(this.#table, msix.options, bar, spec.sizeBytes, own));
      } else if (own !== undefined) {
        this.#windows.set(bar, own);
      } else {
        throw new Errno('EINVAL', `${who}: BAR ${bar}: the model has no region for it`);
      }
    }
  }

  /** Offset of the first capability with this id, 0 when there is none. */
  capability(id: number): number {
    return this.#caps.get(id) ?? 0;
  }

  /** Offset of the first extended capability with this id, 0 when there is none. */
  extendedCapability(id: number): number {
    return this.#caps.get(0x1_0000 + id) ?? 0;
  }

  /** The power state, 0 to 3 (D3hot). */
  get powerState(): number {
    return this.#powerState;
  }

  /** Whether the function may write and read memory by itself. */
  get busMaster(): boolean {
    return this.#powerState === 0 && this.space.field(PCI.COMMAND, 'master') === 1;
  }

  /** Whether the function answers in this address space at all. */
  decodes(kind: 'io' | 'mem'): boolean {
    return this.#powerState === 0 && this.space.field(PCI.COMMAND, kind === 'io' ? 'io' : 'memory') === 1;
  }

  /** The ranges that the function answers to now. A BAR above 2^53 answers to nothing. */
  decodedRanges(): DecodedRange[] {
    const ranges: DecodedRange[] = [];
    for (const [bar, window] of this.#windows) {
      const { kind: barKind, sizeBytes } = this.declared.bars![bar]!;
      const kind = barKind === 'io' ? 'io' : 'mem';
      if (!this.decodes(kind)) continue;
      const at = PCI.barReg(bar).offset;
      const low = this.space.read32(at);
      const high = barKind === 'mem64' ? this.space.read32(at + 4) : 0;
      const base = high * 2 ** 32 + ((low & (kind === 'io' ? 0xffff_fffc : 0xffff_fff0)) >>> 0);
      if (Number.isSafeInteger(base + sizeBytes)) ranges.push({ kind, bar, base, sizeBytes, window });
    }
    return ranges;
  }

  /** Sets the bit that tells software to look at functions 1 to 7; survives resets. */
  setMultifunction(on: boolean): void {
    const type = this.space.read8(PCI.HEADER_TYPE.offset);
    this.space.define(PCI.HEADER_TYPE, setField(PCI.HEADER_TYPE.fields.multifunction, type, on ? 1 : 0));
  }

  /** Resets all of the function, then the model through the port. */
  reset(kind: ResetKind): void {
    this.space.reset();
    this.#powerState = 0;
    this.irq.reset();
    this.port.decodeChanged();
    this.port.reset(kind);
  }

  #deviceControl(pcie: number): void {
    if (this.space.field(PCI.PCIE_DEVICE_CAPS, 'flr', pcie) === 0) return;
    if (this.space.field(PCI.PCIE_DEVICE_CONTROL, 'initiateFlr', pcie) === 1) this.reset('function');
  }

  #setPowerState(pm: number): void {
    const wanted = this.space.field(PCI.PM_CONTROL, 'state', pm);
    const keepsState = this.space.field(PCI.PM_CONTROL, 'noSoftReset', pm) === 1;
    const isSupported = wanted === 0 || wanted === D3HOT || (this.space.read16(pm + 2) & (0x0100 << wanted)) !== 0;
    if (!isSupported) {
      this.space.set16(pm + PCI.PM_CONTROL.offset, 3, this.#powerState);
      return;
    }
    const from = this.#powerState;
    this.#powerState = wanted;
    if (from === D3HOT && wanted === 0 && !keepsState) this.reset('power');
    else if (from !== wanted) this.port.decodeChanged();
  }
}
