import { describe, expect, test } from 'vitest';
import { nic } from '../../../../hw/models/nic/index.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { Host, working } from './fixture.js';

const ONES = 0xffff_ffff;

describe('nic initialisation segment', () => {
  test('says what the firmware is, and how the command queue is made', () => {
    const pf = new Host().driver();
    expect(pf.read(NIC.FW_REV.offset)).toBe(0x0001_0000);
    expect(pf.read(NIC.CMDIF_REV_FW_SUB.offset) >>> 16).toBe(NIC.CMDIF_REV);
    expect(pf.read(NIC.CMDQ_ADDR_LO.offset)).toBe(pf.queue | 0x56);
    expect([pf.read(NIC.CMD_EXEC_TO.offset), pf.read(NIC.CMD_Q_INIT_TO.offset)]).toEqual([60_000, 2000]);
    expect([pf.read(NIC.HEALTH.syndrome), pf.read(NIC.HEALTH.firmware)]).toEqual([0, 0x0001_0000]);
  });

  test('5 the revision and the sizes can be such as no driver takes', () => {
    const pf = new Host({ commandRevision: 4, logSlots: 6, logStride: 8 }).driver();
    expect(pf.read(NIC.CMDIF_REV_FW_SUB.offset) >>> 16).toBe(4);
    expect(pf.read(NIC.CMDQ_ADDR_LO.offset) & 0xff).toBe(0x68);
  });

  test('registers are big-endian, of any width, and absent ones read 0', () => {
    const { bar0 } = new Host();
    expect(bar0.read32(NIC.CMDIF_REV_FW_SUB.offset)).toBe(0x0500);
    expect([bar0.read8(5), bar0.read16(4), bar0.read16(5)]).toEqual([NIC.CMDIF_REV, 0x0500, 0xffff]);
    for (const offset of [0x8, 0x300, 0x1008, 0x2000 - 4, 0x8000]) expect(bar0.read32(offset)).toBe(0);
    const out = new Uint32Array(2);
    bar0.read64(0, out);
    expect([...out]).toEqual([0x0000_0100, 0x0500]);
    bar0.read64(4, out);
    expect([bar0.read32(2), ...out]).toEqual([ONES, ONES, ONES]);
  });

  test('the firmware takes its time to start, and takes no commands until then', () => {
    const host = new Host({ initUs: 3000 });
    const pf = host.driver();
    host.elapse(1999);
    expect([pf.read(NIC.INITIALIZING.offset), pf.exec(OPCODES.NOP).status]).toEqual([NIC.INITIALIZING_BIT, -1]);
    host.elapse(1);
    expect([pf.read(NIC.INITIALIZING.offset), pf.exec(OPCODES.NOP).status]).toEqual([0, STATUS.ok]);
  });

  test('the timer has nanoseconds, and the health counter grows', () => {
    const host = new Host({ healthUs: 100 });
    const pf = host.driver();
    const counter = pf.read(NIC.HEALTH_COUNTER.offset);
    host.elapse(5_000_000);
    const out = new Uint32Array(2);
    host.bar0.read64(NIC.INTERNAL_TIMER_HI.offset, out);
    expect([NIC.swap32(out[0]!), NIC.swap32(out[1]!)]).toEqual([1, 5_000_000_000 - 2 ** 32]);
    expect(pf.read(NIC.HEALTH_COUNTER.offset) - counter).toBe(50_000);
  });

  test('a window of a sub-function has the same, and its timer is readable where its first page is', () => {
    const { host, pf } = working();
    pf.about(OPCODES.ALLOC_SF, NIC.SF_BASE_ID);
    pf.about(OPCODES.ENABLE_HCA, NIC.SF_BASE_ID);
    const sf = host.driver(NIC.SF_BASE_ID);
    expect(sf.read(NIC.CMDIF_REV_FW_SUB.offset) >>> 16).toBe(NIC.CMDIF_REV);
    host.elapse(1000);
    expect(sf.read(NIC.INTERNAL_TIMER_LO.offset)).toBe(host.clock.now() * 1000);
  });
});

describe('nic registers that are not read so', () => {
  test('all ones come back, and it is on record', () => {
    const host = new Host();
    const out = new Uint32Array(2);
    host.bar0.read64(4, out);
    expect([host.bar0.read16(1), host.bar0.read32(2), ...out]).toEqual([0xffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
    expect(host.guestErrors.map((text) => text.split(':')[0])).toEqual([
      'read of 8 bytes at 0x4',
      'read of 2 bytes at 0x1',
      'read of 4 bytes at 0x2',
    ]);
  });
});

describe('nic configuration', () => {
  test('it is what its datasheet says', () => {
    const { config } = nic({ sfs: 100 });
    expect([config.vendor, config.device, config.subsystem]).toEqual([0x15b3, 0x101d, { vendor: 0xbac0, device: 0x0003 }]);
    expect(config.bars).toEqual({
      0: { kind: 'mem64', sizeBytes: 16 * 2 ** 20, prefetch: true },
      2: { kind: 'mem64', sizeBytes: 128 * 2 ** 16, prefetch: true },
    });
    expect(nic({ sfs: 0 }).config.bars).not.toHaveProperty('2');
  });

  test('a table of more than 256 entries is in a BAR of its own, and all that is in BAR 0 stays where it was', () => {
    expect(nic({ msix: 256 }).config.bars).not.toHaveProperty('4');
    expect(nic({ msix: 257 }).config.bars).toHaveProperty('4', { kind: 'mem64', sizeBytes: 0x1_0000, prefetch: true });
    const { host, pf } = working({ msix: 2048 });
    const eq = pf.createEq({ vector: 2047 });
    eq.arm();
    eq.generate(NIC.EVENTS.general);
    host.mask(2047, true);
    eq.drain();
    eq.arm();
    eq.generate(NIC.EVENTS.general);
    expect([host.takeIrqs(), host.bar0.read32(NIC.MSIX_PBA_OFFSET)]).toEqual([[2047], 0]);
    host.mask(2047, false);
    expect(host.takeIrqs()).toEqual([2047]);
  });

  test.each([
    [{ sfs: 1025 }, 'sfs'],
    [{ msix: 0 }, 'msix'],
    [{ msix: 2049 }, 'msix'],
    [{ imsCapacity: -1 }, 'imsCapacity'],
    [{ commandUs: -1 }, 'us a command'],
    [{ healthUs: 0 }, 'us a step of health'],
    [{ pages: { boot: -1, init: 0 } }, 'pages to start'],
  ])('%j cannot be', (options, what) => {
    expect(() => nic(options)).toThrow(what);
  });
});
