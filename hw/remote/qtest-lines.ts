import { checkRange } from '../../core/lib/bits.js';
import type { Signal } from '../../core/lib/signal.js';
import type { InterruptLines } from '../../core/hal/interrupts.js';
import type { MsiMsg } from '../../core/hal/msi.js';
import type { Doorbells } from './qtest-doorbells.js';

const LINES = 24;
const NO_DOORBELL = -1;

/** State of a line. `WAITS`: a level line that was sent, and waits for its end. */
const ASSERTED = 1;
const UNMASKED = 2;
const LEVEL = 4;
const WAITS = 8;

/**
 * The inputs of QEMU's I/O APIC, whose place we take: a line that is asserted rings a doorbell.
 * @see Intel 82093AA I/O APIC, 3.2.4 (redirection table: mask, trigger mode, remote IRR)
 * @internal
 */
export class QtestLines implements InterruptLines {
  readonly count = LINES;
  /** That of QEMU's I/O APIC in its DMAR table. @see QEMU 11.1 hw/i386/acpi-build.c build_dmar_q35 */
  readonly requesterId = 0xff00;
  readonly #doorbells: Pick<Doorbells, 'rungBy'>;
  readonly #ring: (doorbell: number) => void;
  readonly #state = new Uint8Array(LINES);
  readonly #target = new Int16Array(LINES).fill(NO_DOORBELL);

  /** @param changes told when a device raises or lowers a line */
  constructor(
    changes: Signal<[line: number, raised: boolean]>,
    doorbells: Pick<Doorbells, 'rungBy'>,
    ring: (doorbell: number) => void,
  ) {
    this.#doorbells = doorbells;
    this.#ring = ring;
    changes.on((line, raised) => this.#changed(line, raised));
  }

  /** Whether a line may ring. */
  get inUse(): boolean {
    return this.#state.some((state, line) => (state & UNMASKED) !== 0 && this.#target[line] !== NO_DOORBELL);
  }

  route(line: number, msg: MsiMsg, level: boolean): void {
    checkRange('qtest', 'interrupt line', line, 0, LINES - 1);
    this.#target[line] = this.#doorbells.rungBy(msg);
    const state = this.#state[line]!;
    this.#state[line] = level ? state | LEVEL : state & ~(LEVEL | WAITS);
    this.#sendLevel(line);
  }

  setMask(line: number, masked: boolean): void {
    checkRange('qtest', 'interrupt line', line, 0, LINES - 1);
    const state = this.#state[line]!;
    if (masked) {
      this.#state[line] = state & ~UNMASKED;
    } else if ((state & UNMASKED) === 0) {
      // Whoever masks a line instead of ending it, has ended it by this.
      this.#state[line] = (state | UNMASKED) & ~WAITS;
      this.#sendLevel(line);
    }
  }

  eoi(line: number): void {
    this.#state[line]! &= ~WAITS;
    this.#sendLevel(line);
  }

  isAsserted(line: number): boolean {
    return (this.#state[line]! & ASSERTED) !== 0;
  }

  #changed(line: number, raised: boolean): void {
    const state = this.#state[line];
    if (state === undefined) return;
    this.#state[line] = raised ? state | ASSERTED : state & ~ASSERTED;
    if ((state & LEVEL) !== 0) this.#sendLevel(line);
    else if (raised && (state & (ASSERTED | UNMASKED)) === UNMASKED) this.#send(line);
  }

  #sendLevel(line: number): void {
    if ((this.#state[line]! & (ASSERTED | UNMASKED | LEVEL | WAITS)) !== (ASSERTED | UNMASKED | LEVEL)) return;
    if (this.#send(line)) this.#state[line]! |= WAITS;
  }

  #send(line: number): boolean {
    const doorbell = this.#target[line]!;
    if (doorbell === NO_DOORBELL) return false;
    this.#ring(doorbell);
    return true;
  }
}
