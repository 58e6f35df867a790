import { describe, expect, test } from 'vitest';
import { IMS_SLOT_BYTES, regAt, wordOf } from '../../../core/hal/index.js';
import * as TIMER from '../../../hw/regs/timer.js';

const { CARD_REGS, TIMER_REGS, TIMER_STRIDE, TIMERS_MAX, IMS } = TIMER;

describe('timer registers', () => {
  test('the card is bac0:0001, a system timer with 8 KiB of registers in BAR 0', () => {
    expect([TIMER.TIMER_VENDOR, TIMER.TIMER_DEVICE, TIMER.TIMER_CLASS, TIMER.BAR_BYTES]).toEqual([0xbac0, 1, 0x08_0200, 0x2000]);
    expect(TIMER.ID).toEqual({ vendor: 0xbac0, device: 1 });
  });

  test('every register is 4 bytes at its offset, with its value after reset', () => {
    expect([...CARD_REGS, ...TIMER_REGS].map((reg) => [reg.name, reg.bytes, reg.offset, wordOf(reg).reset])).toEqual([
      ['IDENT', 4, 0x00, 0x544d_0100],
      ['CAPS', 4, 0x04, 0],
      ['IMS_OFFSET', 4, 0x08, 0x1000],
      ['COUNTER_LO', 4, 0x10, 0],
      ['COUNTER_HI', 4, 0x14, 0],
      ['EXPIRY', 4, 0x800, 0],
      ['PERIOD', 4, 0x804, 0],
      ['CONTROL', 4, 0x808, 0],
      ['COUNT', 4, 0x80c, 0],
      ['EXPIRIES', 4, 0x810, 0],
    ]);
  });

  test('enable is bit 0 and periodic bit 1, slots are the upper half of the capabilities', () => {
    expect(TIMER.CONTROL.fields.enable.lsb).toBe(0);
    expect(TIMER.CONTROL.fields.periodic.lsb).toBe(1);
    expect([TIMER.CAPS.fields.timers.lsb, TIMER.CAPS.fields.slots.lsb]).toEqual([0, 16]);
  });

  test('the timers of a full card end where the store begins, and the store ends inside the BAR', () => {
    for (const reg of TIMER_REGS) expect(reg.offset - TIMER.EXPIRY.offset).toBeLessThan(TIMER_STRIDE);
    expect(regAt(TIMER.EXPIRY, TIMERS_MAX, TIMER_STRIDE).offset).toBe(IMS.offset);
    expect(IMS).toEqual({ offset: 0x1000, slots: 64 });
    expect(IMS.offset + IMS.slots * IMS_SLOT_BYTES).toBeLessThanOrEqual(TIMER.BAR_BYTES);
  });
});
