import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { DEDICATED, Fixture, RCI, RCR } from './fixture.js';
import { expectReset } from './reset-state.js';

const { CMD, CMDSTATUS, GENCFG, GENCTRL, GENSTATUS, INTCAUSE, SWERROR, COMMANDS, ERRORS } = DSA;

describe('dsa commands', () => {
  test('M4 a reset without interrupt bit ends with status 0, no cause and no interrupt', () => {
    const f = new Fixture();
    f.regs.write32(CMD.offset, 0x0050_0000);
    expect([f.r32(CMDSTATUS.offset), f.r32(INTCAUSE.offset), f.r32(CMD.offset)]).toEqual([0, 0, 0]);
    expect(f.irqs).toEqual([]);
  });

  test('M5 a command with interrupt bit interrupts once, when its status can be read', () => {
    const f = new Fixture();
    const seen: number[] = [];
    f.dma.during = () => seen.push(f.r32(CMDSTATUS.offset), f.r32(INTCAUSE.offset));
    f.regs.write32(CMD.offset, 0x8050_0000);
    expect([f.irqs, seen]).toEqual([[0], [0, 2]]);
    f.regs.write32(INTCAUSE.offset, 2);
    expect(f.r32(INTCAUSE.offset)).toBe(0);
  });

  test('M6 causes are cleared by writing 1, and only those', () => {
    const f = new Fixture();
    f.regs.write32(GENCTRL.offset, 7);
    f.device.errors.device(0x51);
    f.regs.write32(CMD.offset, 0x8060_0000);
    expect(f.r32(INTCAUSE.offset)).toBe(3);
    f.regs.write32(INTCAUSE.offset, 1);
    expect(f.r32(INTCAUSE.offset)).toBe(2);
  });

  test('M7 a software error interrupts only when it is enabled to', () => {
    const f = new Fixture();
    f.device.errors.device(0x52);
    expect([f.swerror.valid, f.r32(INTCAUSE.offset), f.irqs]).toEqual([1, 0, []]);
    f.regs.write32(GENCTRL.offset, 1);
    f.device.errors.device(0x52);
    expect([f.r32(INTCAUSE.offset), f.irqs]).toEqual([1, [0]]);
  });

  test('M8 the first error stays until it is acknowledged; a second one only sets overflow', () => {
    const f = new Fixture();
    f.device.errors.device(0x51);
    f.device.errors.device(0x52);
    expect(f.swerror).toMatchObject({ valid: 1, overflow: 1, error: 0x51 });
    f.regs.write64(SWERROR.offset, 3, 0);
    expect(f.swerror).toMatchObject({ valid: 0, overflow: 0 });
    f.device.errors.device(0x52);
    expect(f.swerror).toMatchObject({ valid: 1, overflow: 0, error: 0x52 });
  });

  test('M9 a command while another is active is not executed, and is an error', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    f.store({ op: 3, source: 0x1_0000, destination: 0x2_0000, size: 100 });
    expect(f.command(COMMANDS.drainWq, 1)).toBe(0x8000_0000);
    expect(f.command(COMMANDS.resetDevice)).toBe(0x8000_0000);
    expect(f.swerror).toMatchObject({ valid: 1, error: 0x52 });
    f.clock.elapse(1000);
    expect([f.r32(CMDSTATUS.offset), f.r32(GENSTATUS.offset), f.record().status]).toEqual([0, 1, 1]);
  });

  test('M10 a command that is not known is refused: 0, 15 to 31, and those that CMDCAP does not name', () => {
    const f = new Fixture();
    for (const code of [0, 13, 14, 15, 16, 31]) expect(f.command(code)).toBe(1);
    const g = new Fixture({ commandCap: 0x1ffe });
    expect([g.command(13, 1), (g.r32(0x10) >>> 4) & 1]).toEqual([1, 1]);
  });

  test('M11 without a result the whole status is 0; with one it is in bits 23:8', () => {
    const f = new Fixture({ commandCap: 0x7ffe });
    expect(f.command(13, 2)).toBe(0x22 << 8);
    f.enable([{}, {}]);
    for (const [code, operand] of [
      [3, 0],
      [4, 0],
      [8, 1],
      [9, 1],
      [11, 5],
      [12, 5],
      [10, 2],
      [7, 1],
      [2, 0],
    ] as const) {
      expect(f.command(code, operand), `command ${code}`).toBe(0);
    }
  });

  test('M12 reserved bits of the command are refused', () => {
    const f = new Fixture();
    f.regs.write32(CMD.offset, 0x0250_0000);
    expect(f.r32(CMDSTATUS.offset)).toBe(ERRORS.reserved);
  });

  test('a part of the command register is no command', () => {
    const f = new Fixture();
    f.regs.write16(CMD.offset + 2, 0x8050);
    expect([f.irqs, f.guestErrors.length]).toEqual([[], 1]);
  });

  test.each<[string, (f: Fixture) => void, number]>([
    ['M13 queue sizes of 129 in all', (f) => f.configure([{ size: 128 }, { size: 1 }]), 0x14],
    ['M14 a group with a queue and no engine', (f) => (f.configure(), f.regs.write32(0x420, 0)), 0x15],
    ['M14 a group with an engine and no queue', (f) => (f.configure(), f.regs.write32(0x460, 2)), 0x15],
    [
      'M15 a queue in two groups',
      (f) => (f.configure(), f.regs.write32(0x420, 1), f.regs.write32(0x440, 1), f.regs.write32(0x460, 2)),
      0x16,
    ],
    ['M15 a queue that does not exist', (f) => (f.configure(), f.regs.write32(0x400, 0x101)), 0x16],
    ['M15 a queue with entries in no group', (f) => (f.configure([{}, {}]), f.regs.write32(0x400, 1)), 0x16],
    [
      'M15 an engine in two groups',
      (f) => (f.configure([{}, {}]), f.regs.write32(0x400, 1), f.regs.write32(0x440, 2), f.regs.write32(0x460, 1)),
      0x17,
    ],
    ['M15 an engine that does not exist', (f) => (f.configure(), f.regs.write32(0x420, 0x10)), 0x17],
    ['M15 97 read buffers reserved', (f) => (f.configure(), f.regs.write32(0x428, 97 << 8)), 0x18],
    ['a function that is no bus master', (f) => (f.configure(), f.endpoint.space.write16(4, 2)), 0x12],
  ])('%s: the device is not enabled', (_what, prepare, error) => {
    const f = new Fixture();
    prepare(f);
    expect([f.command(COMMANDS.enableDevice), f.r32(GENSTATUS.offset)]).toEqual([error, 0]);
  });

  test('M16 an enabled device is not enabled again, and nothing changes', () => {
    const f = new Fixture();
    f.enable();
    expect([f.command(COMMANDS.enableDevice), f.r32(GENSTATUS.offset), f.r32(f.wqcfg(0, 6)) >>> 30]).toEqual([0x10, 1, 1]);
  });

  test('M17 the tables and GENCFG are frozen while the device is enabled', () => {
    const f = new Fixture();
    f.enable();
    for (const offset of [0x400, 0x420, 0x428, GENCFG.offset, f.wqcfg(1, 0)]) {
      const before = f.r32(offset);
      f.regs.write32(offset, before ^ 0xff);
      expect(f.r32(offset)).toBe(before);
    }
    f.regs.write32(f.wqcfg(1, 2), DEDICATED);
    expect(f.r32(f.wqcfg(1, 2))).toBe(DEDICATED);
  });

  test('M18 a queue is enabled only as it can be', () => {
    const f = new Fixture();
    expect(f.command(COMMANDS.enableWq, 0)).toBe(0x20);
    f.configure([{}, { mode: 0x1 }, { maxTransferShift: 31 }, {}, { mode: 0x13 }, { mode: 0x10 }, { mode: 0x1000_0011 }]);
    f.must(COMMANDS.enableDevice);
    const results = [8, 7, 1, 4, 5, 6].map((wq) => f.command(COMMANDS.enableWq, wq));
    expect(results).toEqual([2, 0x22, 0x23, 0x25, 0x26, 0x26]);
    f.regs.write32(f.wqcfg(3, 2), DEDICATED | 4);
    expect(f.command(COMMANDS.enableWq, 3)).toBe(0x2c);
    f.regs.write32(f.wqcfg(3, 2), DEDICATED);
    f.regs.write32(f.wqcfg(3, 3), (11 << 5) | 21);
    expect(f.command(COMMANDS.enableWq, 3)).toBe(0x27);
    f.regs.write32(f.wqcfg(3, 3), 21);
    f.regs.write32(f.wqcfg(3, 5), 0x1_0000);
    expect(f.command(COMMANDS.enableWq, 3)).toBe(0x2b);
    f.must(COMMANDS.enableWq, 0);
    expect(f.command(COMMANDS.enableWq, 0)).toBe(0x21);
    const small = new Fixture({ maxTransfer: 2 ** 16 });
    small.configure();
    small.must(COMMANDS.enableDevice);
    expect(small.command(COMMANDS.enableWq, 0)).toBe(0x28);
  });

  test('a privileged queue needs privileged PASIDs, a queue with a PASID needs PASIDs', () => {
    const f = new Fixture({ pasid: true });
    f.configure([{ mode: 0x3000_0711 }]);
    f.must(COMMANDS.enableDevice);
    f.endpoint.space.write16(0x236, 1);
    expect(f.command(COMMANDS.enableWq, 0)).toBe(0x2a);
    f.endpoint.space.write16(0x236, 0);
    expect(f.command(COMMANDS.enableWq, 0)).toBe(0x26);
    f.endpoint.space.write16(0x236, 5);
    expect(f.command(COMMANDS.enableWq, 0)).toBe(0);
  });

  test('M19 an enabled queue says so, and its configuration takes no writes', () => {
    const f = new Fixture();
    f.enable();
    const words = (): number[] => Array.from({ length: 8 }, (_, word) => f.r32(f.wqcfg(0, word)));
    const before = words();
    expect(before[6]).toBe(0x4000_0000);
    for (let word = 0; word < 8; word++) f.regs.write32(f.wqcfg(0, word), 0xffff_ffff);
    expect(words()).toEqual(before);
  });

  test('M20 one command disables the queues of a mask, which keep their configuration', () => {
    const f = new Fixture();
    f.enable([{}, {}, {}, { size: 5 }]);
    f.must(COMMANDS.disableWq, 0x9);
    expect([0, 1, 2, 3].map((wq) => f.r32(f.wqcfg(wq, 6)) >>> 30)).toEqual([0, 1, 1, 0]);
    expect([f.r32(f.wqcfg(3, 0)), f.r32(f.wqcfg(3, 2))]).toEqual([5, DEDICATED]);
    const large = new Fixture({ workQueues: 32 });
    large.enable(Array.from({ length: 32 }, () => ({ size: 4 })));
    large.must(COMMANDS.disableWq, 0x1_0001);
    expect([0, 16].map((wq) => large.r32(large.wqcfg(wq, 6)) >>> 30)).toEqual([1, 0]);
    expect(large.command(COMMANDS.disableWq, 0x2_0001)).toBe(2);
  });

  test('M21 what is not enabled is neither drained nor aborted, disabled or reset', () => {
    const f = new Fixture();
    const commands = [COMMANDS.disableWq, COMMANDS.drainWq, COMMANDS.abortWq, COMMANDS.resetWq];
    expect(commands.map((code) => f.command(code, 1))).toEqual([0x31, 0x31, 0x31, 0x31]);
    expect(f.command(COMMANDS.disableDevice)).toBe(0x31);
    f.configure();
    f.must(COMMANDS.enableDevice);
    expect(commands.map((code) => f.command(code, 1))).toEqual([0x32, 0x32, 0x32, 0x32]);
  });

  test('M22 a reset queue loses its configuration but for its size, and can be enabled again', () => {
    const f = new Fixture();
    f.enable();
    f.must(COMMANDS.resetWq, 1);
    expect([0, 1, 2, 3, 6].map((word) => f.r32(f.wqcfg(0, word)))).toEqual([16, 0, 0, 0, 0]);
    f.configure();
    f.must(COMMANDS.enableWq, 0);
    expect(f.run({ op: 0 }).status).toBe(1);
  });

  test('M23 a reset command clears configuration, errors and causes, and keeps MSI-X and the message store', () => {
    const f = new Fixture();
    f.enable();
    f.regs.write32(GENCTRL.offset, 7);
    f.regs.write32(0x308, 0xf008);
    f.regs.write32(0x8008, 0x77);
    f.device.errors.device(0x51);
    f.regs.write32(CMD.offset, 0x8050_0000);
    expect([f.r32(INTCAUSE.offset), f.swerror.valid, f.r32(GENSTATUS.offset)]).toEqual([2, 0, 0]);
    expect([GENCFG.offset, GENCTRL.offset, 0x308, 0x400, 0x420, 0x800, 0x808].map((offset) => f.r32(offset))).toEqual(
      new Array(7).fill(0),
    );
    expect([f.r32(0x8008), f.endpoint.irq.msixEnabled, f.irqs.at(-1)]).toEqual([0x77, true, 0]);
  });

  test('disabling keeps the configuration, and the device can be enabled again', () => {
    const f = new Fixture();
    f.enable();
    f.must(COMMANDS.disableDevice);
    expect([f.r32(GENSTATUS.offset), f.r32(f.wqcfg(0, 6)), f.r32(f.wqcfg(0, 0))]).toEqual([0, 0, 16]);
    f.must(COMMANDS.enableDevice);
    f.must(COMMANDS.enableWq, 0);
    expect(f.run({ op: 0 }).status).toBe(1);
  });

  test('M24 a function-level reset brings back the reset state, with MSI-X off and all slots masked', () => {
    const f = new Fixture();
    f.enable();
    f.regs.write32(0x8000 + 5 * 16 + 12, 0);
    f.store({ op: 3, source: 0x1_0000, destination: 0x2_0000, size: 64 });
    f.endpoint.reset('function');
    expect([f.endpoint.irq.msixEnabled, f.clock.pending]).toEqual([false, 0]);
    expectReset(f);
  });

  test('M25 after a function-level reset descriptors are lost until all is set up again', () => {
    const f = new Fixture();
    f.enable();
    f.endpoint.reset('function');
    f.bringUp();
    expect(f.run({ op: 0, flags: RCR | RCI, handle: 1 }).status).toBe(0);
    expect([f.command(COMMANDS.drainWq, 1), f.command(COMMANDS.resetWq, 1), f.command(COMMANDS.disableDevice)]).toEqual([
      0x31, 0x31, 0x31,
    ]);
    f.enable();
    expect(f.run({ op: 0 }).status).toBe(1);
  });

  test('M26 a message that is masked stays pending; one that MSI-X has off is lost; nothing fails', () => {
    const f = new Fixture();
    f.enable();
    f.regs.write32(DSA.MSIX_TABLE_OFFSET + 16 + 12, 1);
    expect([f.run({ flags: RCR | RCI, handle: 1 }).status, f.irqs, f.r32(DSA.MSIX_PBA_OFFSET)]).toEqual([1, [], 2]);
    f.regs.write32(DSA.MSIX_TABLE_OFFSET + 16 + 12, 0);
    expect(f.irqs).toEqual([1]);
    f.endpoint.space.write16(0x82, 0);
    expect([f.run({ flags: RCR | RCI, handle: 1 }).status, f.irqs]).toEqual([1, [1]]);
  });

  test('M27 a device that loses the bus while it is enabled reports a configuration error', () => {
    const f = new Fixture();
    f.endpoint.space.write16(4, 2);
    expect(f.swerror.valid).toBe(0);
    f.endpoint.space.write16(4, 6);
    f.enable();
    f.endpoint.space.write16(4, 2);
    expect(f.swerror).toMatchObject({ valid: 1, error: 0x51 });
  });

  test('M28 halted, it says which reset it needs, runs nothing, and comes back with that reset', () => {
    const f = new Fixture();
    f.enable();
    f.regs.write32(GENCTRL.offset, 3);
    f.store({ op: 0 });
    f.device.halt('flr');
    expect([f.r32(GENSTATUS.offset), f.r32(INTCAUSE.offset), f.irqs]).toEqual([0x7, 0x10, [0]]);
    f.clock.elapse(1000);
    expect([f.record().status, f.command(COMMANDS.enableDevice), f.command(COMMANDS.resetDevice)]).toEqual([0, 3, 3]);
    f.endpoint.reset('function');
    expectReset(f);
    f.device.halt();
    expect([f.r32(GENSTATUS.offset), f.command(COMMANDS.resetDevice), f.r32(GENSTATUS.offset)]).toEqual([3, 0, 0]);
    f.device.halt('cold');
    f.endpoint.reset('bus');
    expect(f.r32(GENSTATUS.offset)).toBe(0xf);
  });

  test('halting ends the command that is active', () => {
    const f = new Fixture({ bytesPerUs: 1 });
    f.enable();
    f.store({ op: 3, source: 0x1_0000, destination: 0x2_0000, size: 100 });
    f.regs.write32(CMD.offset, 0x8030_0000);
    f.device.halt();
    expect([f.r32(CMDSTATUS.offset), f.irqs]).toEqual([3, [0]]);
  });

  test('with read-only configuration queues and engines are preset, and only the address space can be written', () => {
    const f = new Fixture({ readOnlyConfig: true, pasid: true });
    expect(f.r32(0x10) >>> 31).toBe(0);
    expect([f.r32(0x400), f.r32(0x420), f.r32(f.wqcfg(7, 0)), f.r32(f.wqcfg(7, 2))]).toEqual([0xff, 0xf, 16, DEDICATED]);
    for (const offset of [0x400, 0x420, f.wqcfg(0, 0), f.wqcfg(0, 1), f.wqcfg(0, 3)]) {
      const before = f.r32(offset);
      f.regs.write32(offset, 0);
      expect(f.r32(offset)).toBe(before);
    }
    f.regs.write32(f.wqcfg(0, 2), 0xffff_ffff);
    expect(f.r32(f.wqcfg(0, 2))).toBe(0x3fff_ff11);
    f.must(COMMANDS.resetDevice);
    f.must(COMMANDS.enableDevice);
    f.must(COMMANDS.enableWq, 3);
    f.must(COMMANDS.resetWq, 8);
    expect([f.r32(f.wqcfg(3, 0)), f.r32(f.wqcfg(3, 2))]).toEqual([16, DEDICATED]);
  });
});
