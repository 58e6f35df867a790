import type { InterruptLines, MsiMsg } from '../../core/hal/index.js';
import { checkRange } from '../../core/lib/index.js';

/** Where a line's message goes; its words are signed. */
export type SendMessage = (requesterId: number, addressLo: number, data: number) => void;

/** Function 1f.0 of a bus that no root has. */
export const IOAPIC_REQUESTER = 0xf0f8;
/** The first of the lines that PCI pins are wired to. */
const PIRQ_A = 16;
const PIRQ_E = 20;
/** Lines that an I/O APIC must have, for the pins of PCI. */
export const MIN_LINES = 24;

/**
 * An I/O APIC. Devices share its lines: one is asserted while any of them asserts it. A level line sends once, and again at
 * `eoi` or when unmasked, while it is asserted; an edge line sends at each rising edge, and what rises while masked is lost.
 * @see Intel 82093AA datasheet, 3.2.4 (redirection table: mask, trigger mode, remote IRR)
 */
export class IoApic implements InterruptLines {
  readonly requesterId = IOAPIC_REQUESTER;
  readonly #send: SendMessage;
  /** How many devices assert each line. */
  readonly #asserting: Uint16Array;
  readonly #routed: Uint8Array;
  readonly #level: Uint8Array;
  readonly #masked: Uint8Array;
  /** A level line has sent, and its handling is not over. */
  readonly #remoteIrr: Uint8Array;
  readonly #address: Int32Array;
  readonly #data: Int32Array;

  /** @param count 24 to 240 */
  constructor(
    readonly count: number,
    send: SendMessage,
  ) {
    checkRange('sim', 'lines', count, MIN_LINES, 240);
    this.#send = send;
    this.#asserting = new Uint16Array(count);
    this.#routed = new Uint8Array(count);
    this.#level = new Uint8Array(count);
    this.#masked = new Uint8Array(count).fill(1);
    this.#remoteIrr = new Uint8Array(count);
    this.#address = new Int32Array(count);
    this.#data = new Int32Array(count);
  }

  route(line: number, msg: MsiMsg, level: boolean): void {
    this.#check(line);
    this.#address[line] = msg.addressLo;
    this.#data[line] = msg.data;
    this.#routed[line] = 1;
    this.#level[line] = level ? 1 : 0;
    if (!level) this.#remoteIrr[line] = 0;
    this.#serve(line);
  }

  setMask(line: number, masked: boolean): void {
    this.#check(line);
    this.#masked[line] = masked ? 1 : 0;
    this.#serve(line);
  }

  eoi(line: number): void {
    this.#check(line);
    this.#remoteIrr[line] = 0;
    this.#serve(line);
  }

  isAsserted(line: number): boolean {
    this.#check(line);
    return this.#asserting[line]! > 0;
  }

  /** A device begins or ends to assert a line; it does each once. */
  drive(line: number, asserted: boolean): void {
    const before = this.#asserting[line]!;
    this.#asserting[line] = before + (asserted ? 1 : -1);
    if (!asserted || before > 0) return;
    if (this.#level[line] === 1) this.#serve(line);
    else if (this.#masked[line] === 0) this.#sendFrom(line);
  }

  /** Sends for a level line that is due. */
  #serve(line: number): void {
    const isDue = this.#level[line] === 1 && this.#asserting[line]! > 0;
    if (!isDue || this.#masked[line] === 1 || this.#remoteIrr[line] === 1) return;
    this.#remoteIrr[line] = 1;
    this.#sendFrom(line);
  }

  #sendFrom(line: number): void {
    if (this.#routed[line] === 1) this.#send(IOAPIC_REQUESTER, this.#address[line]!, this.#data[line]!);
  }

  #check(line: number): void {
    checkRange('ioapic', 'line', line, 0, this.count - 1);
  }
}

/**
 * The line that a pin (1 to 4) of a device on a root bus is wired to, as on a q35 board: 20 to 23, in turn from slot to slot;
 * slots 25 and up, where the ports of PCI Express are, have 16 to 19, save for slot 30.
 * @see QEMU 7.2 hw/isa/lpc_ich9.c ich9_cc_init, ich9_cc_update
 */
export function pinLine(devfn: number, pin: number): number {
  const slot = devfn >> 3;
  if (slot < 25) return PIRQ_E + ((slot + pin - 1) & 3);
  return (slot === 30 ? PIRQ_E : PIRQ_A) + pin - 1;
}

/**
 * The pin on the bus above a bridge that a pin of a device below it comes out at.
 * @see PCI-to-PCI Bridge Architecture Specification 1.2, table 9-1
 */
export function swizzle(devfn: number, pin: number): number {
  return ((pin - 1 + (devfn >> 3)) & 3) + 1;
}
