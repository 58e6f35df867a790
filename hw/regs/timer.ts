/**
 * A timer card of this project's own: 1 to 64 interval timers whose only interrupts are messages from a store in its BAR (IMS).
 * It has no interrupt line, no MSI and no MSI-X. This file is its datasheet.
 *
 * Every access is 4 bytes wide and aligned; any other, and one that no register answers to, reads all ones and writes nothing.
 *
 * ```
 *  0x0000  IDENT CAPS IMS_OFFSET           the card
 *  0x0010  COUNTER_LO COUNTER_HI
 *  0x0800  EXPIRY PERIOD CONTROL COUNT     timer 0; timer n is n * TIMER_STRIDE further on
 *          EXPIRIES
 *  0x1000  IMS slot 0, slot 1, ...         16 bytes each
 * ```
 */
import { type ImsArrayLayout, field, reg32 } from '../../core/hal/index.js';

/** PCI identity: an id of this project's own, not registered with PCI-SIG. */
export const TIMER_VENDOR = 0xbac0;
export const TIMER_DEVICE = 0x0001;
/** Generic system peripheral, system timer. */
export const TIMER_CLASS = 0x08_0200;
export const TIMER_REVISION = 0x01;
/** The line for a driver's table of devices. */
export const ID = { vendor: TIMER_VENDOR, device: TIMER_DEVICE };

/** Length of BAR 0, 32-bit memory, in bytes. */
export const BAR_BYTES = 0x2000;
/** Timers that a card may have; how many it has is `CAPS.timers`. */
export const TIMERS_MAX = 64;
/** Bytes from a register of one timer to that of the next: `regAt(EXPIRY, n, TIMER_STRIDE)`. */
export const TIMER_STRIDE = 0x20;
/**
 * The message store, at reset masked. A full card has all slots of it; one with fewer says so in `CAPS.slots`. A slot's `pasid`,
 * `pasidEnable` and `ignore` are kept and mean nothing to timers.
 */
export const IMS: ImsArrayLayout = { offset: 0x1000, slots: 64 };

/**
 * ```
 *  31                          16 15           8 7            0
 * +------------------------------+--------------+--------------+
 * |         id = 0x544d          |    major     |    minor     |
 * +------------------------------+--------------+--------------+
 * ```
 */
export const IDENT = reg32('IDENT', 0x00, {
  id: field(31, 16, 'ro', 0x544d),
  major: field(15, 8, 'ro', 1),
  minor: field(7, 0, 'ro', 0),
});

/**
 * ```
 *  31                          16 15                          0
 * +------------------------------+-----------------------------+
 * |            slots             |           timers            |
 * +------------------------------+-----------------------------+
 * ```
 * How many this card has, 1 to 64 of each.
 */
export const CAPS = reg32('CAPS', 0x04, { slots: field(31, 16, 'ro'), timers: field(15, 0, 'ro') });

/** Where the message store is: bytes from the start of BAR 0. */
export const IMS_OFFSET = reg32('IMS_OFFSET', 0x08, {}, { mode: 'ro', reset: IMS.offset });

/**
 * Microseconds since the last reset, 64 bits in two words. They are read one after the other: read the high word before and
 * after, and all again when it has changed.
 */
export const COUNTER_LO = reg32('COUNTER_LO', 0x10, {}, { mode: 'ro' });
export const COUNTER_HI = reg32('COUNTER_HI', 0x14, {}, { mode: 'ro' });

/** The slot whose message is sent when timer 0 expires: below `CAPS.slots`; another is not taken. From the next expiry on. */
export const EXPIRY = reg32('EXPIRY', 0x800);

/**
 * Time to the expiry in microseconds, 1 to 2^32 - 1; 0 is not taken. A running timer finishes the period it is in. 0 at reset:
 * a timer does not start before it was set.
 */
export const PERIOD = reg32('PERIOD', 0x804);

/**
 * ```
 *  31                                                2    1      0
 * +---------------------------------------------------+------+------+
 * |                         0                         |period|enable|
 * +---------------------------------------------------+------+------+
 * ```
 * Writing 1 to `enable` starts the timer, also one that runs: from now on a whole `PERIOD`, and `EXPIRIES` from 0. Writing 0
 * stops it. `periodic`: it goes on after an expiry, each one a period after the last was due; else it stops there. Reads 0 when
 * the timer is stopped.
 */
export const CONTROL = reg32('CONTROL', 0x808, { periodic: field(1), enable: field(0) });

/** Microseconds to the next expiry; 0 when the timer is stopped. */
export const COUNT = reg32('COUNT', 0x80c, {}, { mode: 'ro' });

/** Expiries since the start, modulo 2^32: more than there were messages when some were merged in a masked slot. */
export const EXPIRIES = reg32('EXPIRIES', 0x810, {}, { mode: 'ro' });

/** The registers of the card, for tools that dump or sweep them. */
export const CARD_REGS = [IDENT, CAPS, IMS_OFFSET, COUNTER_LO, COUNTER_HI] as const;
/** The registers of timer 0. */
export const TIMER_REGS = [EXPIRY, PERIOD, CONTROL, COUNT, EXPIRIES] as const;
