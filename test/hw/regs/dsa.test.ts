import { describe, expect, test } from 'vitest';
import type { Reg } from '../../../core/hal/index.js';
import * as DSA from '../../../hw/regs/dsa.js';

/** `name: [offset, { field: [msb, lsb] }]`, as the tests below write it down from the source. */
function shape(reg: Reg): [number, Record<string, number[]>] {
  return [
    reg.offset,
    Object.fromEntries(Object.values(reg.fields).map(({ name, msb, lsb }) => [name, msb === lsb ? [msb] : [msb, lsb]])),
  ];
}

// Linux drivers/dma/idxd/registers.h: *_OFFSET, and the bit-fields of the unions.
describe('dsa registers', () => {
  test('it is 8086:0b25, registers in BAR 0 and portals in BAR 2', () => {
    expect([DSA.DSA_VENDOR, DSA.DSA_DEVICE, DSA.REGISTERS_BAR, DSA.PORTALS_BAR]).toEqual([0x8086, 0x0b25, 0, 2]);
  });

  test('union gen_cap_reg', () => {
    expect(shape(DSA.GENCAP)).toEqual([
      0x10,
      {
        blockOnFault: [0],
        overlap: [1],
        cacheControlMemory: [2],
        cacheControlCache: [3],
        commandCap: [4],
        destinationReadback: [8],
        drainReadback: [9],
        evlSupport: [14, 13],
        batchContinuation: [15],
        maxTransferShift: [20, 16],
        maxBatchShift: [24, 21],
        imsMult: [30, 25],
        configurable: [31],
      },
    ]);
  });

  test('union wq_cap_reg, group_cap_reg, engine_cap_reg, offsets_reg', () => {
    expect(shape(DSA.WQCAP)).toEqual([
      0x20,
      {
        totalSize: [15, 0],
        workQueues: [23, 16],
        configSize: [27, 24],
        shared: [48],
        dedicated: [49],
        atsDisable: [50],
        priority: [51],
        occupancy: [52],
        occupancyInterrupt: [53],
        opConfig: [54],
        prsDisable: [55],
      },
    ]);
    const group = { groups: [7, 0], readBuffers: [15, 8], readBufferControl: [16], readBufferLimit: [17], progressLimit: [18] };
    expect(shape(DSA.GRPCAP)).toEqual([0x30, group]);
    expect(shape(DSA.ENGCAP)).toEqual([0x38, { engines: [7, 0] }]);
    expect(shape(DSA.TABLE_OFFSETS)).toEqual([0x60, { grpcfg: [15, 0], wqcfg: [31, 16], msixPerm: [47, 32], ims: [63, 48] }]);
    expect([DSA.VERSION.offset, DSA.OPCAP.offset, DSA.TABLE_UNIT]).toEqual([0, 0x40, 0x100]);
  });

  test('union gencfg_reg, genctrl_reg, gensts_reg and the causes IDXD_INTC_*', () => {
    expect(shape(DSA.GENCFG)).toEqual([0x80, { readBufferLimit: [7, 0], userInterrupts: [12], evlEnable: [13] }]);
    expect(shape(DSA.GENCTRL)).toEqual([0x88, { softwareError: [0], halt: [1], evl: [2] }]);
    expect(shape(DSA.GENSTATUS)).toEqual([0x90, { state: [1, 0], resetNeeded: [3, 2] }]);
    expect([DSA.STATES, DSA.RESETS]).toEqual([
      { disabled: 0, enabled: 1, draining: 2, halted: 3 },
      { software: 0, flr: 1, warm: 2, cold: 3 },
    ]);
    const causes = Object.entries(DSA.INTCAUSE.fields).map(([name, { lsb }]) => [name, 2 ** lsb]);
    expect([DSA.INTCAUSE.offset, Object.fromEntries(causes)]).toEqual([
      0x98,
      { error: 0x01, command: 0x02, occupancy: 0x04, perfmon: 0x08, halt: 0x10, evl: 0x20, handlesRevoked: 0x8000_0000 },
    ]);
  });

  test('union idxd_command_reg, cmdsts_reg, and the commands of enum idxd_cmd', () => {
    expect(shape(DSA.CMD)).toEqual([0xa0, { operand: [19, 0], command: [24, 20], interrupt: [31] }]);
    expect(shape(DSA.CMDSTATUS)).toEqual([0xa8, { error: [7, 0], result: [23, 8], active: [31] }]);
    expect([DSA.CMDCAP.offset, DSA.HANDLE_IMS]).toEqual([0xb0, 0x1_0000]);
    expect(Object.values(DSA.COMMANDS)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    expect(DSA.COMMANDS).toMatchObject({
      resetDevice: 5,
      enableWq: 6,
      drainWq: 8,
      resetWq: 10,
      drainPasid: 11,
      requestHandle: 13,
    });
  });

  test('the errors of enum idxd_cmdsts_err', () => {
    expect(DSA.ERRORS).toMatchObject({ command: 1, wqIndex: 2, hardware: 3, deviceNotDisabled: 0x10, configuration: 0x11 });
    expect(DSA.ERRORS).toMatchObject({
      busMaster: 0x12,
      wqSizes: 0x14,
      groupIncomplete: 0x15,
      groupWqs: 0x16,
      groupEngines: 0x17,
    });
    expect(DSA.ERRORS).toMatchObject({ deviceDisabled: 0x20, wqNotDisabled: 0x21, wqSize: 0x22, wqPriority: 0x23, wqMode: 0x24 });
    expect(DSA.ERRORS).toMatchObject({ wqBlockOnFault: 0x25, wqPasid: 0x26, wqMaxBatch: 0x27, wqMaxTransfer: 0x28 });
    expect(DSA.ERRORS).toMatchObject({ deviceNotEnabled: 0x31, wqNotEnabled: 0x32, tableIndex: 0x41, noHandle: 0x42 });
  });

  test('union sw_err_reg, evlcfg_reg, evl_status_reg', () => {
    expect(shape(DSA.SWERROR)).toEqual([
      0xc0,
      {
        valid: [0],
        overflow: [1],
        descriptorValid: [2],
        wqValid: [3],
        batch: [4],
        isWrite: [5],
        privileged: [6],
        error: [15, 8],
        wq: [23, 16],
        opcode: [39, 32],
        pasid: [59, 40],
      },
    ]);
    expect(shape(DSA.SWERROR_BATCH)).toEqual([0xc8, { index: [15, 0], flags: [63, 32] }]);
    expect(DSA.SWERROR_ADDRESS.offset).toBe(0xd0);
    expect(shape(DSA.EVLCFG)).toEqual([0xe0, { pasidEnable: [0], privileged: [1], base: [63, 12] }]);
    expect(shape(DSA.EVLCFG_SIZE)).toEqual([0xe8, { size: [15, 0], pasid: [35, 16] }]);
    expect(shape(DSA.EVLSTATUS)).toEqual([0xf0, { head: [15, 0], tail: [47, 32], pending: [62] }]);
  });

  test('union msix_perm, struct grpcfg, union group_flags', () => {
    expect(shape(DSA.MSIX_PERM)).toEqual([0, { ignore: [2], pasidEnable: [3], pasid: [31, 12] }]);
    expect([DSA.GRPCFG_BYTES, DSA.GRP_WQS.offset, DSA.GRP_ENGINES.offset, DSA.MSIX_PERM_BYTES]).toEqual([64, 0, 32, 8]);
    expect(shape(DSA.GRP_FLAGS)).toEqual([
      40,
      {
        trafficClassA: [2, 0],
        trafficClassB: [5, 3],
        useReadBufferLimit: [7],
        readBuffersReserved: [15, 8],
        readBuffersAllowed: [27, 20],
        descriptorProgressLimit: [33, 32],
        batchProgressLimit: [37, 36],
      },
    ]);
  });

  test('union wqcfg', () => {
    expect(shape(DSA.WQ_SIZE)).toEqual([0, { size: [15, 0] }]);
    expect(shape(DSA.WQ_THRESHOLD)).toEqual([4, { threshold: [15, 0] }]);
    expect(shape(DSA.WQ_MODE)).toEqual([
      8,
      {
        dedicated: [0],
        blockOnFault: [1],
        atsDisable: [2],
        prsDisable: [3],
        priority: [7, 4],
        pasid: [27, 8],
        pasidEnable: [28],
        privileged: [29],
      },
    ]);
    expect(shape(DSA.WQ_LIMITS)).toEqual([12, { maxTransferShift: [4, 0], maxBatchShift: [8, 5] }]);
    expect(shape(DSA.WQ_OCCUPANCY_HANDLE)).toEqual([16, { handle: [15, 0], ims: [16] }]);
    expect(shape(DSA.WQ_OCCUPANCY_LIMIT)).toEqual([20, { limit: [15, 0], enable: [16] }]);
    expect(shape(DSA.WQ_STATUS)).toEqual([24, { occupancy: [15, 0], state: [31, 30] }]);
    expect(DSA.WQ_OPERATIONS.offset).toBe(32);
  });
});

// Linux include/uapi/linux/idxd.h.
describe('dsa descriptors', () => {
  test('enum dsa_opcode', () => {
    expect(Object.values(DSA.OPCODES)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20]);
    expect(DSA.OPCODES).toMatchObject({
      batch: 1,
      drain: 2,
      move: 3,
      fill: 4,
      createDelta: 7,
      dualcast: 9,
      crc: 0x10,
      difStrip: 0x14,
    });
  });

  test('IDXD_OP_FLAG_*', () => {
    expect(DSA.FLAGS).toMatchObject({ fence: 0x1, blockOnFault: 0x2, completionValid: 0x4, requestCompletion: 0x8 });
    expect(DSA.FLAGS).toMatchObject({ requestInterrupt: 0x10, completionSteering: 0x20, checkResult: 0x80, cacheControl: 0x100 });
    expect(DSA.FLAGS).toMatchObject({ trafficClass1: 0x200, trafficClass2: 0x400, trafficClass3: 0x800 });
    expect(DSA.FLAGS).toMatchObject({ trafficClassCompletion: 0x1000, strictOrdering: 0x2000 });
    expect(DSA.FLAGS).toMatchObject({ destinationReadback: 0x4000, destinationSteering: 0x8000 });
  });

  test('enum dsa_completion_status', () => {
    expect(Object.values(DSA.STATUS)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e,
      0x1f, 0x20,
    ]);
    expect(DSA.STATUS).toMatchObject({ success: 1, pageFault: 3, batchFailed: 5, opcode: 0x10, flags: 0x11, handle: 0x19 });
    expect(DSA.STATUS_WRITE).toBe(0x80);
  });

  test('struct dsa_hw_desc', () => {
    expect(DSA.DESCRIPTOR_BYTES).toBe(64);
    expect(DSA.DESCRIPTOR).toMatchObject({
      pasid: 0,
      flags: 4,
      completion: 8,
      source: 16,
      destination: 24,
      size: 32,
      handle: 36,
    });
    expect(DSA.DESCRIPTOR).toMatchObject({ expected: 40, delta: 40, maxDeltaSize: 48, expectedMask: 56, deltaSize: 40 });
    expect(DSA.DESCRIPTOR).toMatchObject({ destination2: 40, crcSeed: 40, crcSeedAddress: 48 });
    expect(DSA.DESCRIPTOR).toMatchObject({ difSourceFlags: 40, difDestinationFlags: 41, difFlags: 42 });
    expect(DSA.DESCRIPTOR).toMatchObject({ difSourceTags: 48, difDestinationTags: 56 });
  });

  test('struct dsa_completion_record', () => {
    expect(DSA.COMPLETION_BYTES).toBe(32);
    expect(DSA.COMPLETION).toEqual({ status: 0, result: 1, bytes: 4, faultAddress: 8, invalidFlags: 16, deltaSize: 16, crc: 16 });
  });
});
