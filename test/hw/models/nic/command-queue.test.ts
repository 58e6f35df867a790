import { describe, expect, test } from 'vitest';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { getWord, setAddress, setWord, toBigEndian } from '../../../../hw/regs/nic-words.js';
import { type FunctionDriver, Host, type Pending, working } from './fixture.js';

const { CMD, CMD_DOORBELL, CMD_OWNED_BY_HARDWARE, DELIVERY, HEADER, MAILBOX, OPCODES, STATUS } = {
  ...CMDS,
  CMD_DOORBELL: NIC.CMD_DOORBELL.offset,
};
const COMMAND_US = 5;
const CAPS_OUT = CMDS.CAPS_OFFSET + CMDS.CAPS_BYTES;

/** Changes a word of a descriptor in memory. */
function patch({ memory }: Host, descriptor: number, field: Parameters<typeof setWord>[1], value: number): void {
  const word = new Uint32Array([memory.view.getUint32(descriptor + field.offset)]);
  setWord(word, { ...field, offset: 0 }, value);
  memory.view.setUint32(descriptor + field.offset, word[0]!);
}

/** Executes a command that has been changed in memory. @returns its delivery status */
function deliver(pf: FunctionDriver, change: (pending: Pending) => void, outBytes = 16, inBytes = 16): number {
  const pending = pf.prepare(OPCODES.NOP, { inBytes, outBytes });
  change(pending);
  pf.write(CMD_DOORBELL, 1);
  pf.host.elapse(COMMAND_US);
  return pending.answer.delivery;
}

describe('nic command queue', () => {
  test('a command takes its time, and is software’s again when it is over', () => {
    const { host, pf } = working();
    const pending = pf.submit(OPCODES.NOP);
    host.elapse(COMMAND_US - 1);
    expect(pending.isDone).toBe(false);
    host.elapse(1);
    expect(pending.answer).toMatchObject({ delivery: DELIVERY.ok, status: STATUS.ok, syndrome: 0 });
  });

  test('one doorbell takes several slots, and they are done one after the other', () => {
    const { host, pf } = working();
    const all = [0, 3, 7].map((slot) => pf.prepare(OPCODES.NOP, { slot }));
    pf.write(CMD_DOORBELL, 0b1000_1001);
    const done = [1, 2, 3].map(() => {
      host.elapse(COMMAND_US);
      return all.map(({ isDone }) => isDone);
    });
    expect(done).toEqual([
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
  });

  test('11 a command of the last slot is done at once, with 31 others before it', () => {
    const { host, pf } = working();
    const others = Array.from({ length: 31 }, (_, slot) => pf.submit(OPCODES.NOP, { slot }));
    const page = pf.submit(OPCODES.QUERY_PAGES, { opMod: CMDS.PAGES.regular, slot: 31 });
    host.elapse(COMMAND_US);
    expect([page.answer.status, others.filter(({ isDone }) => isDone).length]).toEqual([STATUS.ok, 1]);
    host.elapse(30 * COMMAND_US);
    expect(others.every(({ isDone }) => isDone)).toBe(true);
  });

  test('a command of the last slot holds nobody up', () => {
    const { host, pf } = working();
    const page = pf.submit(OPCODES.QUERY_PAGES, { opMod: CMDS.PAGES.regular, slot: 31 });
    const other = pf.submit(OPCODES.NOP);
    host.elapse(COMMAND_US);
    expect([page.isDone, other.isDone]).toEqual([true, true]);
  });

  test('output of many bytes comes in mailboxes, and no byte beyond its length is written', () => {
    const { host, pf } = working();
    const { output } = pf.exec(OPCODES.QUERY_HCA_CAP, { outBytes: CAPS_OUT });
    expect(getWord(output, CMDS.CAPS.sfBaseId, CMDS.CAPS_OFFSET)).toBe(NIC.SF_BASE_ID);
    const pending = pf.prepare(OPCODES.QUERY_HCA_CAP, { outBytes: CAPS_OUT });
    host.memory.writes.length = 0;
    pf.write(CMD_DOORBELL, 1);
    host.elapse(COMMAND_US);
    expect(host.memory.writes).toEqual([
      [pending.outMailboxes[0], CAPS_OUT - 16, 0],
      [pending.descriptor + CMD.out, 16, 0],
      [pending.descriptor + CMD.sizeBytes - 1, 1, 0],
    ]);
  });

  test.each([
    ['type', DELIVERY.type, CMD.type, 6],
    ['token 0', DELIVERY.token, CMD.token, 0],
    ['input of 12 bytes', DELIVERY.inLength, CMD.inBytes, 12],
    ['output of 8 bytes', DELIVERY.outLength, CMD.outBytes, 8],
    ['input without end', DELIVERY.inLength, CMD.inBytes, 0xffff_ffff],
    ['output without end', DELIVERY.outLength, CMD.outBytes, 0x10_0000],
  ])('a descriptor with a wrong %s is answered with delivery status %i, and not executed', (_, delivery, field, value) => {
    const { host, pf } = working();
    expect(deliver(pf, ({ descriptor }) => patch(host, descriptor, field, value))).toBe(delivery);
  });

  test('mailboxes have the token of their command, their number, and a place of their own', () => {
    const long = { outBytes: 16 + 2 * 512, inBytes: 16 + 2 * 512 };
    const broken = (change: (host: Host, descriptor: number, out: readonly number[]) => void): number => {
      const { host, pf } = working();
      return deliver(pf, ({ descriptor, outMailboxes }) => change(host, descriptor, outMailboxes), long.outBytes, long.inBytes);
    };
    const inAt = (host: Host, descriptor: number): number => host.memory.view.getUint32(descriptor + CMD.inMailbox + 4);
    expect(broken(() => {})).toBe(DELIVERY.ok);
    expect(broken((host, at) => patch(host, inAt(host, at), MAILBOX.token, 99))).toBe(DELIVERY.token);
    expect(broken((host, at) => patch(host, inAt(host, at), MAILBOX.block, 1))).toBe(DELIVERY.block);
    expect(broken((host, _at, out) => patch(host, out[1]!, MAILBOX.token, 0))).toBe(DELIVERY.token);
    expect(broken((host, _at, out) => patch(host, out[1]!, MAILBOX.block, 0))).toBe(DELIVERY.block);
    expect(broken((host, at) => host.memory.view.setUint32(at + CMD.inMailbox + 4, 0x1010))).toBe(DELIVERY.inAlign);
    expect(broken((host, at) => host.memory.view.setUint32(at + CMD.outMailbox + 4, 0x200))).toBe(DELIVERY.outAlign);
    expect(broken((host, at) => host.memory.view.setUint32(at + CMD.outMailbox, 0xffff_ffff))).toBe(DELIVERY.firmware);
    expect(broken((host, _at, out) => host.memory.unmap(out[1]!, MAILBOX.sizeBytes))).toBe(DELIVERY.firmware);
  });

  test('a chain that ends early, or goes round, is refused', () => {
    const { host, pf } = working();
    const next = (value: number) => (pending: Pending) => {
      const words = new Uint32Array(2);
      setAddress(words, 0, value === 0 ? 0 : pending.outMailboxes[0]!);
      toBigEndian(words, 0, host.memory.bytes, pending.outMailboxes[0]! + MAILBOX.next, 2);
    };
    expect(deliver(pf, next(1), 16 + 1024)).toBe(DELIVERY.block);
    // At 0 there is memory, without a token.
    expect(deliver(pf, next(0), 16 + 1024)).toBe(DELIVERY.token);
  });

  test('what is not the hardware’s, or is so already, is not taken', () => {
    const { host, pf } = working();
    const first = pf.submit(OPCODES.NOP);
    pf.write(CMD_DOORBELL, 1);
    expect(host.guestErrors).toHaveLength(1);
    host.elapse(COMMAND_US);
    expect(first.isDone).toBe(true);
    pf.write(CMD_DOORBELL, 1);
    expect(host.guestErrors).toHaveLength(2);
    host.memory.writes.length = 0;
    host.elapse(1000);
    expect(host.memory.writes).toEqual([]);
  });

  test('the opcodes that a driver cannot do without are there', () => {
    const needed = [
      0x100, 0x102, 0x103, 0x104, 0x105, 0x107, 0x108, 0x10a, 0x10b, 0x113, 0x114, 0x301, 0x302, 0x303, 0x304, 0x400, 0x401,
      0x402, 0x403, 0x750, 0x754, 0x755, 0x800, 0x801, 0x802, 0x803, 0x829, 0x900, 0x904, 0x905, 0x906, 0x908, 0x909, 0x90a,
      0x916, 0xb0d, 0xb0e,
    ];
    const { pf } = working();
    expect(needed.filter((opcode) => pf.exec(opcode).status === STATUS.badOpcode)).toEqual([]);
  });

  test('an opcode that does not exist has status 0x02', () => {
    const { pf } = working();
    for (const opcode of [0, 0x200, 0xb0f, 0xfff, 0xffff]) expect(pf.exec(opcode).status).toBe(STATUS.badOpcode);
  });

  test('an error has a syndrome, and no other output', () => {
    const { pf } = working();
    const { status, syndrome, output } = pf.exec(OPCODES.QUERY_EQ, { outBytes: 0x50 });
    expect([status, syndrome]).toEqual([STATUS.badResource, (OPCODES.QUERY_EQ << 8) | STATUS.badResource]);
    expect([...output.subarray(2)].every((word) => word === 0)).toBe(true);
  });

  test('completion is told by an event of the slot’s bit, to commands that came when there was a queue for it', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [NIC.EVENTS.command], vector: 3 });
    eq.arm();
    expect(eq.next()).toBeUndefined();
    pf.exec(OPCODES.NOP, { slot: 5 });
    pf.exec(OPCODES.NOP, { slot: 30 });
    const events = eq.drain();
    expect(events.map(({ type, view }) => [type, view.getUint32(NIC.EQE.slots, true)])).toEqual([
      [NIC.EVENTS.command, 1 << 5],
      [NIC.EVENTS.command, 1 << 30],
    ]);
    expect(host.takeIrqs()).toEqual([3]);
    const destroyed = pf.about(OPCODES.DESTROY_EQ, eq.number);
    expect([destroyed.status, eq.next()]).toEqual([STATUS.ok, undefined]);
  });

  test('the answer is there before its event, and the byte of ownership comes last', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [NIC.EVENTS.command] });
    const pending = pf.submit(OPCODES.NOP);
    host.memory.writes.length = 0;
    host.elapse(COMMAND_US);
    expect(host.memory.writes.map(([at]) => at)).toEqual([
      pending.descriptor + CMD.out,
      pending.descriptor + CMD.sizeBytes - 1,
      eq.at(0),
      eq.at(0) + NIC.EQE.owner - 3,
    ]);
  });

  test('commands of a queue that another one replaces are forgotten', () => {
    const { host, pf } = working();
    const old = pf.submit(OPCODES.ALLOC_PD);
    pf.setQueue();
    const later = pf.submit(OPCODES.NOP, { slot: 1 });
    host.elapse(COMMAND_US);
    expect([old.isDone, later.isDone]).toEqual([false, true]);
    host.elapse(1000);
    expect([old.isDone, pf.alloc(OPCODES.ALLOC_PD)]).toEqual([false, 1]);
  });

  test('the interface stops in every mode but 0', () => {
    const { host, pf } = working();
    pf.write(NIC.CMDQ_ADDR_LO.offset, pf.queue | 0x100);
    expect(pf.exec(OPCODES.NOP).status).toBe(-1);
    expect((pf.read(NIC.CMDQ_ADDR_LO.offset) >>> 8) & 3).toBe(1);
    expect(host.guestErrors).toHaveLength(1);
    pf.setQueue();
    expect(pf.exec(OPCODES.NOP).status).toBe(STATUS.ok);
  });
});

describe('nic faults of commands', () => {
  test('6 a status is answered instead of what was asked for', () => {
    const { host, pf } = working();
    for (const status of [STATUS.busy, STATUS.limit, STATUS.noResources, STATUS.inLength, 0x77]) {
      using _fault = host.device.inject({ opcode: OPCODES.ALLOC_PD, status });
      expect(pf.exec(OPCODES.ALLOC_PD).status).toBe(status);
    }
    expect(pf.alloc(OPCODES.ALLOC_PD)).toBe(1);
  });

  test('7 a delivery status is answered, and nothing is executed', () => {
    const { host, pf } = working();
    for (const delivery of [2, 3, 6, 7, 0x20]) {
      using _fault = host.device.inject({ opcode: OPCODES.ALLOC_PD, delivery });
      expect(pf.exec(OPCODES.ALLOC_PD).delivery).toBe(delivery);
    }
    expect(pf.alloc(OPCODES.ALLOC_PD)).toBe(1);
  });

  test('8 a command that is dropped keeps its slot, and holds nobody up', () => {
    const { host, pf } = working();
    const fault = host.device.inject({ opcode: OPCODES.QUERY_CQ, drop: true });
    const lost = pf.submit(OPCODES.QUERY_CQ, { slot: 4 });
    expect(pf.exec(OPCODES.NOP, { slot: 5 }).status).toBe(STATUS.ok);
    host.elapse(100_000_000);
    expect(lost.isDone).toBe(false);
    fault.cancel();
    pf.write(CMD_DOORBELL, 1 << 4);
    expect(host.guestErrors.at(-1)).toMatch(/slot 4/);
  });

  test('a command that is delayed lets others pass', () => {
    const { host, pf } = working();
    host.device.inject({ opcode: OPCODES.ALLOC_PD, delayUs: 1000, times: 1 });
    const late = pf.submit(OPCODES.ALLOC_PD, { slot: 1 });
    const next = pf.submit(OPCODES.NOP, { slot: 2 });
    host.elapse(2 * COMMAND_US);
    expect([late.isDone, next.isDone]).toEqual([false, true]);
    host.elapse(1000);
    expect(late.answer.status).toBe(STATUS.ok);
  });

  test('a fault is of one function, and of as many commands as it says', () => {
    const { host, pf } = working();
    host.device.inject({ opcode: OPCODES.NOP, status: STATUS.busy, functionId: NIC.SF_BASE_ID });
    expect(pf.exec(OPCODES.NOP).status).toBe(STATUS.ok);
    host.device.inject({ opcode: OPCODES.NOP, status: STATUS.busy, times: 2 });
    expect([1, 2, 3].map(() => pf.exec(OPCODES.NOP).status)).toEqual([STATUS.busy, STATUS.busy, STATUS.ok]);
  });

  test('9 an interrupt is lost once, and its event is there', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [NIC.EVENTS.command] });
    eq.arm();
    expect(host.device.dropInterrupt(eq.number)).toBe(true);
    pf.exec(OPCODES.NOP);
    expect([host.takeIrqs(), eq.drain().length]).toEqual([[], 1]);
    eq.arm();
    pf.exec(OPCODES.NOP);
    expect(host.takeIrqs()).toEqual([0]);
    expect(host.device.dropInterrupt(63)).toBe(false);
  });

  test('firmware that has died answers to nothing, and its counter stands still', () => {
    const { host, pf } = working();
    const before = pf.read(NIC.HEALTH_COUNTER.offset);
    host.elapse(5000);
    const pending = pf.submit(OPCODES.NOP);
    host.device.pf.health.stall();
    const stalled = pf.read(NIC.HEALTH_COUNTER.offset);
    host.elapse(10_000);
    expect([stalled - before, pf.read(NIC.HEALTH_COUNTER.offset) - stalled, pending.isDone]).toEqual([5, 0, false]);
    expect(pf.exec(OPCODES.NOP, { slot: 1 }).status).toBe(-1);
  });

  test('a descriptor with the bit of the hardware is left as it is until the end', () => {
    const { host, pf } = working();
    const pending = pf.submit(OPCODES.NOP);
    expect(host.memory.bytes[pending.descriptor + CMD.sizeBytes - 1]).toBe(CMD_OWNED_BY_HARDWARE);
    expect(getWord(new Uint32Array([host.memory.view.getUint32(pending.descriptor + CMD.in)]), HEADER.opcode)).toBe(OPCODES.NOP);
  });
});
