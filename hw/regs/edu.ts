/**
 * The educational PCI device of QEMU: identification, liveness check, factorial unit, interrupts and a DMA engine.
 * @see QEMU docs/specs/edu.rst (device `edu`)
 */
import { field, reg32, reg64 } from '../../core/hal/index.js';

/** PCI identity: class 00 (no class code fits), subclass ff. */
export const EDU_VENDOR = 0x1234;
export const EDU_DEVICE = 0x11e8;
export const EDU_CLASS = 0x00_ff00;
export const EDU_REVISION = 0x10;

/** Length of BAR 0, 32-bit memory, in bytes. */
export const BAR_BYTES = 0x10_0000;
/** Below this offset only 4-byte accesses are decoded, from it on 4 and 8 bytes. */
export const WIDE_FROM = 0x80;

/**
 * ```
 *  31         24 23         16 15                            0
 * +-------------+-------------+------------------------------+
 * |    major    |    minor    |         id = 0x00ed          |
 * +-------------+-------------+------------------------------+
 * ```
 */
export const IDENT = reg32('IDENT', 0x00, {
  major: field(31, 24, 'ro', 0x01),
  minor: field(23, 16, 'ro', 0x00),
  id: field(15, 0, 'ro', 0x00ed),
});

/** Reads the inverse of what was written. */
export const LIVENESS = reg32('LIVENESS', 0x04);

/** Write n, read n! modulo 2^32 once `STATUS.computing` is clear; writes while it is set are dropped. */
export const FACTORIAL = reg32('FACTORIAL', 0x08);

/**
 * ```
 *  31                          8   7   6                 1   0
 * +-----------------------------+-----+-------------------+-----+
 * |              0              |raise|         0         |comp.|
 * +-----------------------------+-----+-------------------+-----+
 * ```
 * `computing`: the factorial is not ready. `raise`: interrupt `IRQ_FACTORIAL` when it is.
 */
export const STATUS = reg32('STATUS', 0x20, { raise: field(7), computing: field(0, 0, 'ro') });

/** The causes that are raised and not acknowledged. */
export const IRQ_STATUS = reg32('IRQ_STATUS', 0x24, {}, { mode: 'ro' });
/** Adds the written bits to `IRQ_STATUS` and interrupts. */
export const IRQ_RAISE = reg32('IRQ_RAISE', 0x60, {}, { mode: 'wo' });
/** Takes the written bits out of `IRQ_STATUS`; needed with MSI too. */
export const IRQ_ACK = reg32('IRQ_ACK', 0x64, {}, { mode: 'wo' });

/** Where the DMA engine reads from: a bus address, or a place in the buffer. */
export const DMA_SOURCE = reg64('DMA_SOURCE', 0x80);
/** Where the DMA engine writes to: a bus address, or a place in the buffer. */
export const DMA_DEST = reg64('DMA_DEST', 0x88);
/** Length of the transfer in bytes. */
export const DMA_COUNT = reg64('DMA_COUNT', 0x90);

/**
 * ```
 *  63                                        3   2   1   0
 * +-------------------------------------------+---+---+-----+
 * |                     0                     |irq|dir|start|
 * +-------------------------------------------+---+---+-----+
 * ```
 * `start` reads 1 until the transfer is done; the DMA registers cannot be written meanwhile.
 * `direction`: {@link TO_DEVICE} or {@link FROM_DEVICE}. `irq`: interrupt `IRQ_DMA` at the end.
 */
export const DMA_COMMAND = reg64('DMA_COMMAND', 0x98, { irq: field(2), direction: field(1), start: field(0) });

/** `DMA_COMMAND.direction`: from memory to the buffer. */
export const TO_DEVICE = 0;
/** `DMA_COMMAND.direction`: from the buffer to memory. */
export const FROM_DEVICE = 1;

/** Causes in `IRQ_STATUS`. */
export const IRQ_FACTORIAL = 0x001;
export const IRQ_DMA = 0x100;

/** The device's own buffer, as the DMA engine addresses it; it is not in BAR 0. */
export const BUFFER_BASE = 0x4_0000;
export const BUFFER_BYTES = 4096;

/** Addresses that the DMA engine can send unless configured otherwise: 28 bits. */
export const DMA_MASK = 0x0fff_ffff;
/** Time of one transfer, whatever its length. */
export const DMA_TIME_US = 100_000;

/** All registers, for tools that dump or sweep them. */
export const EDU_REGS = [
  IDENT,
  LIVENESS,
  FACTORIAL,
  STATUS,
  IRQ_STATUS,
  IRQ_RAISE,
  IRQ_ACK,
  DMA_SOURCE,
  DMA_DEST,
  DMA_COUNT,
  DMA_COMMAND,
] as const;
