import type { ClockEvent, Window } from '../../core/hal/index.js';
import { Errno, hex } from '../../core/lib/index.js';
import { type Model, type PciModel, type PciModelContext, msi } from '../endpoint/index.js';
import * as EDU from '../regs/edu.js';

/** Options of {@link edu}. */
export interface EduOptions {
  /** Addresses that the DMA engine can send, 0 to 2^53 - 1; default 28 bits of ones. Others lose their upper bits. */
  readonly dmaMask?: number;
  /** Time that the factorial takes in microseconds, 0 or more; default 10. */
  readonly factorialUs?: number;
}

/**
 * QEMU's educational device, from its public description.
 * @throws {Errno} ERANGE for a mask or a time that cannot be
 * @see QEMU docs/specs/edu.rst
 */
export function edu(options: EduOptions = {}): PciModel {
  const { dmaMask = EDU.DMA_MASK, factorialUs = 10 } = options;
  if (!(Number.isSafeInteger(dmaMask) && dmaMask >= 0)) {
    throw new Errno('ERANGE', `edu: DMA mask is ${dmaMask}, must be an integer of 0 to 2^53 - 1`);
  }
  if (!(factorialUs >= 0 && Number.isFinite(factorialUs))) {
    throw new Errno('ERANGE', `edu: factorial takes ${factorialUs} us, must be 0 or more`);
  }
  return {
    name: 'edu',
    config: {
      vendor: EDU.EDU_VENDOR,
      device: EDU.EDU_DEVICE,
      classCode: EDU.EDU_CLASS,
      revision: EDU.EDU_REVISION,
      subsystem: { vendor: 0x1af4, device: 0x1100 },
      interruptPin: 'A',
      bars: { 0: { kind: 'mem32', sizeBytes: EDU.BAR_BYTES } },
      capabilities: [msi({ at: 0x40, vectors: 1, is64: true })],
    },
    create: (context) => new Edu(context, dmaMask, factorialUs),
  };
}

const ONES = 0xffff_ffff;
const START = 1;
const DIRECTION = 2;
const IRQ = 4;
const RAISE = 0x80;
/** From this number on, the factorial has 32 factors 2: nothing is left modulo 2^32. */
const FACTORIAL_VANISHES = 34;

/** Low and high word of each DMA register. */
const DMA_REGS = [EDU.DMA_SOURCE, EDU.DMA_DEST, EDU.DMA_COUNT, EDU.DMA_COMMAND] as const;
const SOURCE = 0;
const DEST = 2;
const COUNT = 4;
const COMMAND = 6;

class Edu implements Model, Window {
  readonly sizeBytes = EDU.BAR_BYTES;
  readonly regions: { readonly 0: Window } = { 0: this };
  readonly #context: PciModelContext;
  readonly #dmaMask: number;
  readonly #factorialUs: number;
  readonly #dma = new Uint32Array(2 * DMA_REGS.length);
  readonly #buffer = new Uint8Array(EDU.BUFFER_BYTES);
  #liveness = 0;
  #factorial = 0;
  #isRaising = false;
  #irqStatus = 0;
  /** Running work; what it belongs to is over when this is another event or none. */
  #computing: ClockEvent | undefined = undefined;
  #transfer: ClockEvent | undefined = undefined;

  constructor(context: PciModelContext, dmaMask: number, factorialUs: number) {
    this.#context = context;
    this.#dmaMask = dmaMask;
    this.#factorialUs = factorialUs;
  }

  reset(): void {
    this.#computing?.cancel();
    this.#transfer?.cancel();
    this.#computing = this.#transfer = undefined;
    this.#dma.fill(0);
    this.#buffer.fill(0);
    this.#liveness = this.#factorial = this.#irqStatus = 0;
    this.#isRaising = false;
  }

  read8(): number {
    return 0xff;
  }
  read16(): number {
    return 0xffff;
  }
  read32(offset: number): number {
    switch (offset) {
      case EDU.IDENT.offset:
        return 0x0100_00ed;
      case EDU.LIVENESS.offset:
        return this.#liveness;
      case EDU.FACTORIAL.offset:
        return this.#factorial;
      case EDU.STATUS.offset:
        return (this.#computing === undefined ? 0 : 1) | (this.#isRaising ? RAISE : 0);
      case EDU.IRQ_STATUS.offset:
        return this.#irqStatus;
      default: {
        // Four bytes of a DMA register are its low word; the high word has no address of its own.
        const index = dmaIndex(offset);
        return index < 0 ? ONES : this.#dma[index]!;
      }
    }
  }
  read64(offset: number, out: Uint32Array): void {
    const index = dmaIndex(offset);
    out[0] = index < 0 ? ONES : this.#dma[index]!;
    out[1] = index < 0 ? ONES : this.#dma[index + 1]!;
  }
  write8(): void {}
  write16(): void {}
  write32(offset: number, value: number): void {
    switch (offset) {
      case EDU.LIVENESS.offset:
        this.#liveness = ~value >>> 0;
        break;
      case EDU.FACTORIAL.offset:
        if (this.#computing === undefined) this.#compute(value);
        break;
      case EDU.STATUS.offset:
        this.#isRaising = (value & RAISE) !== 0;
        break;
      case EDU.IRQ_RAISE.offset:
        this.#raise(value);
        break;
      case EDU.IRQ_ACK.offset:
        this.#irqStatus = (this.#irqStatus & ~value) >>> 0;
        if (this.#irqStatus === 0) this.#context.irq.intx(false);
        break;
      default:
        this.write64(offset, value, 0);
    }
  }
  write64(offset: number, lo: number, hi: number): void {
    const index = dmaIndex(offset);
    if (index < 0 || this.#transfer !== undefined) return;
    if (index === COMMAND && (lo & START) === 0) return;
    this.#dma[index] = lo;
    this.#dma[index + 1] = hi;
    if (index === COMMAND) this.#transfer = this.#context.clock.after(EDU.DMA_TIME_US, () => this.#runTransfer());
  }

  #compute(n: number): void {
    this.#factorial = n;
    this.#computing = this.#context.clock.after(this.#factorialUs, () => {
      this.#computing = undefined;
      let result = n < FACTORIAL_VANISHES ? 1 : 0;
      for (let i = 2; i <= n && result !== 0; i++) result = Math.imul(result, i);
      this.#factorial = result >>> 0;
      if (this.#isRaising) this.#raise(EDU.IRQ_FACTORIAL);
    });
  }

  #raise(causes: number): void {
    this.#irqStatus = (this.#irqStatus | causes) >>> 0;
    if (this.#irqStatus === 0) return;
    const { irq } = this.#context;
    if (irq.msiEnabled) irq.msi(0);
    else irq.intx(true);
  }

  #runTransfer(): void {
    const transfer = this.#transfer;
    const command = this.#dma[COMMAND]!;
    const isFromDevice = (command & DIRECTION) !== 0;
    const place = this.#bufferRange(isFromDevice ? SOURCE : DEST);
    if (place !== undefined) {
      const address = this.#busAddress(isFromDevice ? DEST : SOURCE);
      // A copy goes over the bus: whatever arrives meanwhile sees the buffer before or after the transfer, never within.
      const bytes = this.#buffer.slice(place.start, place.end);
      if (isFromDevice) this.#context.dma.write(address, bytes, 0, bytes.length);
      const isRead = !isFromDevice && this.#context.dma.read(address, bytes, 0, bytes.length);
      // A reset may have come while the engine was on the bus.
      if (this.#transfer !== transfer) return;
      if (isRead) this.#buffer.set(bytes, place.start);
    }
    this.#transfer = undefined;
    this.#dma[COMMAND] = command & ~START;
    if ((command & IRQ) !== 0) this.#raise(EDU.IRQ_DMA);
  }

  /** The part of the buffer that a transfer is about; undefined when it is not all inside, which is the driver's error. */
  #bufferRange(register: typeof SOURCE | typeof DEST): { start: number; end: number } | undefined {
    const start = this.#value(register) - EDU.BUFFER_BASE;
    const count = this.#value(COUNT);
    if (start >= 0 && start + count <= EDU.BUFFER_BYTES) return { start, end: start + count };
    const at = hex(start + EDU.BUFFER_BASE);
    this.#context.log.guestError(`DMA of ${count} bytes at 0x${at} is outside the buffer of ${EDU.BUFFER_BYTES} at 0x40000`);
    return undefined;
  }

  /** The address that leaves the device: what the mask has no bit for is lost. */
  #busAddress(register: typeof SOURCE | typeof DEST): number {
    const lo = this.#dma[register]!;
    const hi = this.#dma[register + 1]!;
    const sentLo = (lo & (this.#dmaMask % 2 ** 32)) >>> 0;
    const sentHi = (hi & Math.floor(this.#dmaMask / 2 ** 32)) >>> 0;
    if (sentLo !== lo || sentHi !== hi) {
      const [from, to] = [this.#value(register), sentHi * 2 ** 32 + sentLo];
      this.#context.log.guestError(`DMA address 0x${hex(from)} is beyond the mask, 0x${hex(to)} is sent`);
    }
    return this.#context.dma.address(sentLo, sentHi);
  }

  #value(register: number): number {
    return this.#dma[register + 1]! * 2 ** 32 + this.#dma[register]!;
  }
}

/** Index of a DMA register's low word, -1 when none is at that offset. */
function dmaIndex(offset: number): number {
  return offset >= EDU.WIDE_FROM && offset <= EDU.DMA_COMMAND.offset && offset % 8 === 0 ? (offset - EDU.WIDE_FROM) / 4 : -1;
}
