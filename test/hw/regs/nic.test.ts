import { describe, expect, test } from 'vitest';
import * as NIC from '../../../hw/regs/nic.js';
import * as CMDS from '../../../hw/regs/nic-commands.js';
import * as CTX from '../../../hw/regs/nic-contexts.js';
import type { WordField } from '../../../hw/regs/nic-words.js';

/** `[byte, msb, lsb]`, as the tests below write it down from the source. */
const bits = ({ offset, msb, lsb }: WordField): number[] => [offset, msb, lsb];

// Linux include/linux/mlx5/device.h
describe('nic structures', () => {
  test('struct mlx5_init_seg', () => {
    const registers = [
      NIC.FW_REV,
      NIC.CMDIF_REV_FW_SUB,
      NIC.CMDQ_ADDR_HI,
      NIC.CMDQ_ADDR_LO,
      NIC.CMD_DOORBELL,
      NIC.INITIALIZING,
      NIC.CMD_EXEC_TO,
      NIC.CMD_Q_INIT_TO,
      NIC.INTERNAL_TIMER_HI,
      NIC.INTERNAL_TIMER_LO,
      NIC.HEALTH_COUNTER,
    ];
    expect(registers.map(({ offset }) => offset)).toEqual([
      0x000, 0x004, 0x010, 0x014, 0x018, 0x1fc, 0xff8, 0xffc, 0x1000, 0x1004, 0x1010,
    ]);
    expect([NIC.CMDIF_REV, NIC.INITIALIZING_BIT]).toEqual([5, 2 ** 31]);
  });

  test('struct health_buffer', () => {
    const { offset, ...words } = NIC.HEALTH;
    expect(words).toEqual({
      sizeBytes: 64,
      assertVars: offset,
      firmware: offset + 0x30,
      hardware: offset + 0x34,
      syndrome: offset + 0x3c,
    });
    expect(offset).toBe(0x200);
  });

  test('struct mlx5_eqe, and what each kind of event has', () => {
    expect(NIC.EQE).toEqual({
      sizeBytes: 64,
      type: 0x01,
      subType: 0x03,
      data: 0x20,
      cqn: 0x38,
      slots: 0x20,
      pageFunction: 0x22,
      pageCount: 0x24,
      port: 0x28,
      errorCqn: 0x20,
      errorSyndrome: 0x2b,
      vhcaFunction: 0x22,
      signature: 0x3e,
      owner: 0x3f,
    });
  });

  test('struct mlx5_cqe64, struct mlx5_err_cqe', () => {
    expect(NIC.CQE).toMatchObject({ sizeBytes: 64, rssHash: 0x0c, checksum: 0x14, flags: 0x18, byteCount: 0x2c });
    expect([NIC.CQE.timestampHi, NIC.CQE.timestampLo, NIC.CQE.opcodeQueue, NIC.CQE.wqeCounter]).toEqual([0x34, 0x30, 0x38, 0x3c]);
    expect([NIC.CQE.vendorSyndrome, NIC.CQE.syndrome, NIC.CQE.signature, NIC.CQE.opOwn]).toEqual([0x36, 0x37, 0x3e, 0x3f]);
  });

  test('struct mlx5_cmd_layout, struct mlx5_cmd_prot_block', () => {
    const { CMD, MAILBOX } = CMDS;
    expect([CMD.type, CMD.inBytes, CMD.outBytes, CMD.token, CMD.signature, CMD.status].map(bits)).toEqual([
      [0x00, 31, 24],
      [0x04, 31, 0],
      [0x38, 31, 0],
      [0x3c, 31, 24],
      [0x3c, 23, 16],
      [0x3c, 7, 0],
    ]);
    expect([CMD.inMailbox, CMD.in, CMD.out, CMD.outMailbox, CMD.sizeBytes]).toEqual([0x08, 0x10, 0x20, 0x30, 64]);
    expect([MAILBOX.dataBytes, MAILBOX.next, MAILBOX.sizeBytes, MAILBOX.alignBytes]).toEqual([512, 0x230, 576, 1024]);
    expect([MAILBOX.block, MAILBOX.token, MAILBOX.controlSignature, MAILBOX.signature].map(bits)).toEqual([
      [0x238, 31, 0],
      [0x23c, 23, 16],
      [0x23c, 15, 8],
      [0x23c, 7, 0],
    ]);
  });
});

describe('nic numbers', () => {
  // Linux drivers/net/ethernet/mellanox/mlx5/core/health.c
  test('syndromes of the health buffer', () => {
    expect(NIC.SYNDROMES).toEqual({
      none: 0x0,
      firmware: 0x1,
      irisc: 0x7,
      unrecoverable: 0x8,
      crc: 0x9,
      fetch: 0xa,
      fatalHardware: 0xb,
      eqOverrun: 0xc,
      eqError: 0xd,
      eqInvalid: 0xe,
      ffser: 0xf,
      temperature: 0x10,
    });
  });

  // Linux include/linux/mlx5/device.h enum mlx5_event; include/linux/mlx5/cq.h
  test('events, completions and their syndromes', () => {
    expect(Object.values(NIC.EVENTS)).toEqual([0, 0x04, 0x05, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x17, 0x22]);
    expect(NIC.PORT_SUBTYPES).toEqual({ down: 1, active: 4 });
    expect(Object.values(NIC.CQE_OPCODES)).toEqual([0, 2, 5, 12, 13, 14, 15]);
    expect(Object.values(NIC.CQE_SYNDROMES)).toEqual([0x01, 0x02, 0x04, 0x05, 0x10, 0x11, 0x22]);
    expect([NIC.CQE_INITIAL, NIC.CQ_ARM_INITIAL, NIC.UAR_CQ_ARM]).toEqual([0xf1, 2 << 28, 0x20]);
  });

  // Linux include/linux/mlx5/mlx5_ifc.h MLX5_EQC_ST_*, MLX5_CQC_ST_*, MLX5_CQC_STATUS_*, MLX5_SQC_STATE_*
  test('states of queues', () => {
    expect(CTX.EQ_STATES).toMatchObject({ armed: 0x9, fired: 0xa });
    expect(CTX.CQ_STATES).toMatchObject({ solicited: 0x6, armed: 0x9, fired: 0xa });
    expect(CTX.EQ_STATUS).toEqual({ ok: 0, overrun: 0x9, writeFailed: 0xa });
    expect(CTX.WQ_STATES).toEqual({ reset: 0, ready: 1, error: 3 });
  });

  // Linux drivers/net/ethernet/mellanox/mlx5/core/cmd.c
  test('what a command comes to', () => {
    expect(Object.values(CMDS.DELIVERY)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10]);
    expect(Object.values(CMDS.STATUS)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xf, 0x10, 0x30, 0x40, 0x50, 0x51]);
  });
});

// Linux include/linux/mlx5/mlx5_ifc.h
describe('nic contexts', () => {
  test('struct mlx5_ifc_eqc_bits, and where CREATE_EQ has it', () => {
    const { EQC } = CTX;
    expect([EQC.status, EQC.state, EQC.logSize, EQC.uar, EQC.intr, EQC.logPage, EQC.consumer, EQC.producer].map(bits)).toEqual([
      [0x00, 31, 28],
      [0x00, 11, 8],
      [0x0c, 28, 24],
      [0x0c, 23, 0],
      [0x14, 11, 0],
      [0x18, 28, 24],
      [0x28, 23, 0],
      [0x2c, 23, 0],
    ]);
    expect([CTX.EQ_CONTEXT, CTX.EQ_EVENTS, CTX.PAGE_LIST]).toEqual([0x10, 0x58, 0x110]);
    expect([0x0a, 0x2f, 0x40, 0xff].map(CTX.eventBit)).toEqual([
      { offset: 0x5c, bit: 0x0a },
      { offset: 0x58, bit: 0x0f },
      { offset: 0x64, bit: 0 },
      { offset: 0x70, bit: 31 },
    ]);
    expect(bits(CMDS.EQN)).toEqual([0x08, 7, 0]);
  });

  test('struct mlx5_ifc_cqc_bits', () => {
    const { CQC } = CTX;
    expect([CQC.status, CQC.overrunIgnore, CQC.state, CQC.logSize, CQC.uar, CQC.period, CQC.maxCount, CQC.eqn].map(bits)).toEqual(
      [
        [0x00, 31, 28],
        [0x00, 17, 17],
        [0x00, 11, 8],
        [0x0c, 28, 24],
        [0x0c, 23, 0],
        [0x10, 27, 16],
        [0x10, 15, 0],
        [0x14, 7, 0],
      ],
    );
    expect([bits(CQC.consumer), bits(CQC.producer), CQC.record]).toEqual([[0x28, 23, 0], [0x2c, 23, 0], 0x38]);
  });

  test('struct mlx5_ifc_sqc_bits, mlx5_ifc_wq_bits, mlx5_ifc_rqtc_bits', () => {
    const { WQC, RQTC } = CTX;
    expect([WQC.state, WQC.cqn, WQC.type, WQC.pd, WQC.uar, WQC.logStride, WQC.logPage, WQC.logSize].map(bits)).toEqual([
      [0x00, 23, 20],
      [0x08, 23, 0],
      [0x30, 31, 28],
      [0x38, 23, 0],
      [0x3c, 23, 0],
      [0x50, 19, 16],
      [0x50, 12, 8],
      [0x50, 4, 0],
    ]);
    expect([WQC.record, CTX.WQ_CONTEXT, CTX.WQ_PAGES]).toEqual([0x40, 0x20, 0xf0]);
    expect([bits(RQTC.maxSize), bits(RQTC.size), RQTC.queues]).toEqual([[0x14, 15, 0], [0x18, 15, 0], 0xf0]);
  });

  test('commands about pages, sub-functions, ports and the switch', () => {
    const { MANAGE_PAGES, PAGES, ISSI, TEARDOWN } = CMDS;
    expect([PAGES.boot, PAGES.init, PAGES.regular, MANAGE_PAGES.cannotGive, MANAGE_PAGES.give, MANAGE_PAGES.take]).toEqual([
      1, 2, 3, 0, 1, 2,
    ]);
    expect([MANAGE_PAGES.count.offset, MANAGE_PAGES.outCount.offset, MANAGE_PAGES.pages, PAGES.count.offset]).toEqual([
      0x0c, 0x08, 0x10, 0x0c,
    ]);
    expect([bits(ISSI.current), ISSI.supported.offset, ISSI.outBytes]).toEqual([[0x08, 15, 0], 0x6c, 0x70]);
    expect([bits(TEARDOWN.profile), TEARDOWN.graceful, TEARDOWN.force]).toEqual([[0x08, 15, 0], 0, 1]);
    expect([CTX.VHCA.arm, CTX.VHCA.state, CTX.VPORT.other, CTX.VPORT.number, CTX.L2_ENTRY.index].map(bits)).toEqual([
      [0x10, 31, 31],
      [0x10, 19, 16],
      [0x08, 31, 31],
      [0x08, 15, 0],
      [0x14, 23, 0],
    ]);
    expect([CTX.VHCA.selectArm, CTX.VHCA.selectSwId, CTX.L2_ENTRY.address, CTX.UPLINK]).toEqual([1, 2, 0x20, 0xffff]);
    expect(CTX.VHCA_STATES).toEqual({ invalid: 0, allocated: 1, active: 2, inUse: 3, teardownRequest: 4 });
  });
});
