import { PCI, getField } from '../../core/hal/index.js';
import { bit } from '../../core/lib/index.js';
import type { ConfigSpace } from './config-space.js';
import type { IrqPort } from './model.js';
import type { MsixTable } from './msix-table.js';

/** Where a function's interrupts leave it. */
export interface InterruptSink {
  /** The line changes: what it drives, after the disable bits. */
  intx(asserted: boolean): void;
  /** A message leaves, as a memory write of the device. The words may be signed: such are never boxed by the engine. */
  message(addressLo: number, addressHi: number, data: number): boolean;
}

const MSI = PCI.MSI_CONTROL.fields;
const ASSERTED = bit(PCI.STATUS.fields.intx.lsb);

/**
 * The interrupts of one function: it composes what its capabilities say and hands it to the sink.
 * @see PCI Express Base Specification 5.0, 6.1 (interrupt and PME support)
 */
export class EndpointIrq implements IrqPort {
  readonly #space: ConfigSpace;
  readonly #sink: InterruptSink;
  readonly #msi: number;
  readonly #msix: number;
  readonly #table: MsixTable | undefined;
  readonly #hasPin: boolean;
  #level = false;
  #asserted = false;
  /** What the control registers say; read at each message. */
  #msiOn = false;
  #msixOn = false;
  #msixMasked = false;

  /** @param caps offsets of the capabilities by id */
  constructor(space: ConfigSpace, caps: ReadonlyMap<number, number>, sink: InterruptSink, table: MsixTable | undefined) {
    this.#space = space;
    this.#sink = sink;
    this.#msi = caps.get(PCI.CAP_MSI) ?? 0;
    this.#msix = caps.get(PCI.CAP_MSIX) ?? 0;
    this.#table = table;
    this.#hasPin = space.read8(PCI.INTERRUPT_PIN.offset) !== 0;
    space.onWrite(PCI.COMMAND.offset, 2, () => this.#driveLine());
    if (this.#msi !== 0) space.onWrite(this.#msi + PCI.MSI_CONTROL.offset, 22, () => this.#msiChanged());
    if (this.#msix !== 0) space.onWrite(this.#msix + PCI.MSIX_CONTROL.offset, 2, () => this.#msixControlChanged());
  }

  get msiEnabled(): boolean {
    return this.#msiOn;
  }
  get msixEnabled(): boolean {
    return this.#msixOn;
  }

  get #msiControl(): number {
    return this.#space.read16(this.#msi + PCI.MSI_CONTROL.offset);
  }
  /** Messages that software has granted: at most what the function is capable of, whatever it wrote. */
  #granted(control: number): number {
    return 1 << Math.min(getField(MSI.enabled, control), getField(MSI.capable, control));
  }
  /** Where the mask bits of MSI are; the pending bits follow. */
  #maskAt(control: number): number {
    return this.#msi + (getField(MSI.is64, control) === 1 ? 16 : 12);
  }

  intx(level: boolean): void {
    if (!this.#hasPin) return;
    this.#level = level;
    this.#space.set16(PCI.STATUS.offset, ASSERTED, level ? ASSERTED : 0);
    this.#driveLine();
  }

  msi(n: number): boolean {
    if (!this.#msiOn) return false;
    const control = this.#msiControl;
    const index = n & (this.#granted(control) - 1);
    if (getField(MSI.maskable, control) === 1) {
      const mask = this.#maskAt(control);
      const bit = (1 << index) >>> 0;
      if ((this.#space.read32(mask) & bit) !== 0) {
        this.#space.set32(mask + 4, bit, bit);
        return false;
      }
    }
    return this.#sendMsi(control, index);
  }

  msix(n: number): boolean {
    const table = this.#table;
    if (table === undefined || !this.#msixOn || !(n >= 0 && n < table.vectors)) return false;
    if (this.#msixMasked || table.masked(n)) {
      table.setPending(n, true);
      return false;
    }
    return this.#sink.message(table.addressLo(n) | 0, table.addressHi(n) | 0, table.data(n) | 0);
  }

  post(addressLo: number, addressHi: number, data: number): boolean {
    return this.#sink.message(addressLo, addressHi, data);
  }

  /** Back to the reset state; the capabilities are reset with their space. */
  reset(): void {
    this.#table?.reset();
    this.#readControls();
    this.intx(false);
  }

  /** Sends what was pending and is masked no longer. @internal */
  entryChanged(n: number): void {
    if (!this.#msixOn || this.#msixMasked) return;
    if (this.#table?.pending(n) !== true || this.#table.masked(n)) return;
    this.#table.setPending(n, false);
    this.msix(n);
  }

  #sendMsi(control: number, index: number): boolean {
    const is64 = getField(MSI.is64, control) === 1;
    // The low bits of the data, as many as there are messages, carry the index.
    const low = this.#granted(control) - 1;
    const data = (this.#space.read16(this.#msi + (is64 ? 12 : 8)) & ~low) | index;
    const high = is64 ? this.#space.read32(this.#msi + 8) : 0;
    return this.#sink.message(this.#space.read32(this.#msi + 4) | 0, high | 0, data);
  }

  #readControls(): void {
    const space = this.#space;
    this.#msiOn = this.#msi !== 0 && space.field(PCI.MSI_CONTROL, 'enable', this.#msi) === 1;
    this.#msixOn = this.#msix !== 0 && space.field(PCI.MSIX_CONTROL, 'enable', this.#msix) === 1;
    this.#msixMasked = this.#msix !== 0 && space.field(PCI.MSIX_CONTROL, 'functionMask', this.#msix) === 1;
  }

  #msiChanged(): void {
    this.#readControls();
    this.#driveLine();
    const control = this.#msiControl;
    if (!this.#msiOn || getField(MSI.maskable, control) === 0) return;
    const mask = this.#maskAt(control);
    const ready = this.#space.read32(mask + 4) & ~this.#space.read32(mask);
    this.#space.set32(mask + 4, ready, 0);
    // What is pending beyond the messages that are granted now, has none to be sent as.
    for (let n = 0; n < this.#granted(control); n++) if ((ready & (1 << n)) !== 0) this.#sendMsi(control, n);
  }

  #msixControlChanged(): void {
    this.#readControls();
    this.#driveLine();
    for (let n = 0; n < (this.#table?.vectors ?? 0); n++) this.entryChanged(n);
  }

  #driveLine(): void {
    const isDisabled = this.#space.field(PCI.COMMAND, 'intxDisable') === 1;
    const asserted = this.#level && !isDisabled && !this.#msiOn && !this.#msixOn;
    if (asserted === this.#asserted) return;
    this.#asserted = asserted;
    this.#sink.intx(asserted);
  }
}
