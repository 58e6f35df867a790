import { describe, expect, test } from 'vitest';
import * as EDU from '../../../hw/regs/edu.js';

// QEMU docs/specs/edu.rst: "PCI specs", "MMIO area spec", "DMA controller".
describe('edu registers', () => {
  test('the device is 1234:11e8 with 1 MiB of registers in BAR 0', () => {
    expect([EDU.EDU_VENDOR, EDU.EDU_DEVICE, EDU.BAR_BYTES]).toEqual([0x1234, 0x11e8, 0x10_0000]);
  });

  test('the offsets are those of the MMIO area specification', () => {
    expect(Object.fromEntries(EDU.EDU_REGS.map((reg) => [reg.name, reg.offset]))).toEqual({
      IDENT: 0x00,
      LIVENESS: 0x04,
      FACTORIAL: 0x08,
      STATUS: 0x20,
      IRQ_STATUS: 0x24,
      IRQ_RAISE: 0x60,
      IRQ_ACK: 0x64,
      DMA_SOURCE: 0x80,
      DMA_DEST: 0x88,
      DMA_COUNT: 0x90,
      DMA_COMMAND: 0x98,
    });
  });

  test('registers below 0x80 are 4 bytes wide, those from 0x80 on 8', () => {
    expect(EDU.EDU_REGS.filter((reg) => reg.bytes !== (reg.offset < EDU.WIDE_FROM ? 4 : 8))).toEqual([]);
  });

  test('the bits of status and DMA command are those of the specification', () => {
    const lsbs = [EDU.STATUS.fields.computing, EDU.STATUS.fields.raise].map((f) => 1 << f.lsb);
    expect(lsbs).toEqual([0x01, 0x80]);
    const { start, direction, irq } = EDU.DMA_COMMAND.fields;
    expect([start, direction, irq].map((f) => 1 << f.lsb)).toEqual([0x01, 0x02, 0x04]);
    expect([EDU.IRQ_FACTORIAL, EDU.IRQ_DMA]).toEqual([0x001, 0x100]);
  });

  test('the buffer is 4096 bytes at 0x40000 and the DMA mask has 28 bits', () => {
    expect([EDU.BUFFER_BASE, EDU.BUFFER_BYTES, EDU.DMA_MASK]).toEqual([0x4_0000, 4096, 2 ** 28 - 1]);
  });
});
