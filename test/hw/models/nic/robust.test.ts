import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AccessBytes, readSized } from '../../../../core/hal/index.js';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { setWord } from '../../../../hw/regs/nic-words.js';
import { type FunctionDriver, type Host, working } from './fixture.js';
import { MEMORY_BYTES, PAGE } from './memory.js';
import { Told } from './told.js';

const { CMD, OPCODES, STATUS } = CMDS;
const ID = NIC.SF_BASE_ID;
/** Memory that is the device's to reach; the rest of it is not. */
const ARENA = 2 ** 23;

/** Words as they come: mostly such as mean something. */
const WORD = fc.oneof(
  fc.nat(8),
  fc.nat(255),
  fc.constantFrom(ID, ID + 1, 1 << 28, 0xffff_ffff, 0x8000_0000, (4 << 24) | 4, (2 << 24) | 5),
  // Nothing of the drivers is there.
  fc.nat(ARENA / 2 / PAGE).map((page) => ARENA / 2 + page * PAGE),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
const OPCODE = fc.oneof(fc.constantFrom(...Object.values(OPCODES)), fc.nat(0xffff));
const BYTES = fc.oneof(fc.constantFrom(16, 0x50, 0x118, 0x210, 16 + 512, 16 + 1024), fc.nat(2000), fc.nat(0xffff_ffff));

/** Both functions of an adapter, up, in memory that ends. */
function hostile() {
  const { host, pf } = working({ imsCapacity: 8, pages: { boot: 1, init: 1 } });
  pf.about(OPCODES.ALLOC_SF, ID);
  pf.about(OPCODES.ENABLE_HCA, ID);
  const drivers = [pf, host.driver(ID).bringUp()];
  const eq = pf.createEq({ events: [NIC.EVENTS.command, NIC.EVENTS.vhcaState], logSize: 4 });
  eq.arm();
  host.memory.unmap(ARENA, MEMORY_BYTES - ARENA);
  return { host, drivers };
}

/** Nothing has been written that is not the device's, and the adapter works when it is reset. */
function check(host: Host, [pf]: readonly FunctionDriver[]): void {
  expect(host.memory.writes.every(([at, length]) => at + length <= ARENA)).toBe(true);
  host.endpoint.reset('function');
  host.enable();
  host.memory.map(0, MEMORY_BYTES);
  pf!.setQueue();
  pf!.bringUp();
  expect(pf!.exec(OPCODES.NOP).status).toBe(STATUS.ok);
}

describe('nic and software that means no good', () => {
  test('any command with any input, by either function, in any order, ends in an answer', () => {
    const command = fc.record({
      who: fc.nat(1),
      opcode: OPCODE,
      opMod: fc.nat(3),
      words: fc.array(WORD, { minLength: 2, maxLength: 40 }),
      inBytes: fc.integer({ min: 4, max: 140 }).map((n) => 4 * n),
      outBytes: fc.integer({ min: 4, max: 140 }).map((n) => 4 * n),
    });
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 30 }), (commands) => {
        const { host, drivers } = hostile();
        for (const { who, opcode, opMod, words, inBytes, outBytes } of commands) {
          const fill = (input: Uint32Array): void => {
            for (let i = 2; i < input.length; i++) input[i] = words[i % words.length]!;
          };
          const { delivery, status } = drivers[who]!.exec(opcode, { opMod, inBytes, outBytes, fill });
          if (delivery !== CMDS.DELIVERY.ok) expect(drivers[who]!.read(NIC.INITIALIZING.offset)).toBe(NIC.INITIALIZING_BIT);
          else expect(Object.values<number>(STATUS)).toContain(status);
        }
        check(host, drivers);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test('event queues in any sequence: each event is told once, in order, by one interrupt for each arm', () => {
    const kinds = ['create', 'destroy', 'event', 'arm', 'drain', 'mask', 'kick', 'general'] as const;
    const step = fc.record({
      kind: fc.constantFrom(...kinds),
      n: fc.nat(5),
      count: fc.nat(6),
      logSize: fc.integer({ min: 3, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
        const { host, pf } = working({ imsCapacity: 3 });
        const uar = pf.alloc(OPCODES.ALLOC_UAR);
        const slots: (Told | undefined)[] = [];
        for (const { kind, n, count, logSize } of steps) {
          const told = slots[n];
          if (kind === 'create' && told === undefined) slots[n] = new Told(host, pf, uar, n, logSize);
          else if (told === undefined) continue;
          else if (kind === 'destroy') {
            told.destroy();
            slots[n] = undefined;
          } else if (kind === 'event') told.post(count);
          else if (kind === 'arm') told.arm();
          else if (kind === 'drain') {
            const [found, expected] = told.drain();
            expect(found).toEqual(expected);
          } else if (kind === 'mask') told.mask(count % 2 === 0);
          else if (kind === 'kick') told.kick();
          else host.device.pf.event(NIC.EVENTS.general);
          for (const each of slots) {
            const [sent, expected] = each?.interrupts() ?? [0, 0];
            expect(sent).toBe(expected);
          }
        }
        expect(host.device.messages).toBe(slots.filter((each) => each?.message !== undefined).length);
      }),
      { numRuns: 60, seed: 6 },
    );
  });

  test('every opcode with no input, and with one that is all ones', () => {
    const { host, drivers } = hostile();
    const [pf] = drivers;
    const names = new Set<number>(Object.values(OPCODES));
    for (let opcode = 0; opcode < 0x1000; opcode++) {
      if (opcode === OPCODES.DISABLE_HCA || opcode === OPCODES.TEARDOWN_HCA) continue;
      const zero = pf!.exec(opcode).status;
      const pending = pf!.prepare(opcode, { inBytes: 0x120, opMod: 0xffff, fill: (words) => words.fill(0xffff_ffff, 2) });
      pf!.write(NIC.CMD_DOORBELL.offset, 1);
      host.elapse(100);
      expect([zero === STATUS.badOpcode, pending.answer.status === STATUS.badOpcode]).toEqual(
        names.has(opcode) ? [false, false] : [true, true],
      );
    }
    check(host, drivers);
  });

  test('descriptors and mailboxes of noise', () => {
    const descriptor = fc.record({
      type: fc.oneof({ weight: 5, arbitrary: fc.constant(CMDS.CMD_TYPE_PCI) }, { weight: 1, arbitrary: fc.nat(255) }),
      inBytes: BYTES,
      outBytes: BYTES,
      pointers: fc.array(
        fc.oneof(
          fc.nat(ARENA / 2 / 1024).map((n) => ARENA / 2 + n * 1024),
          WORD,
        ),
        { minLength: 4, maxLength: 4 },
      ),
      token: fc.nat(3),
      opcode: OPCODE,
    });
    fc.assert(
      fc.property(fc.array(descriptor, { minLength: 1, maxLength: 20 }), fc.infiniteStream(fc.nat(255)), (all, noise) => {
        const { host, drivers } = hostile();
        const [pf] = drivers;
        const { bytes, view } = host.memory;
        // Tokens of 0 and block numbers of 0 are everywhere; some places have others.
        for (let at = ARENA / 2; at < ARENA / 2 + 64 * 1024; at++) bytes[at] = noise.next().value;
        all.forEach(({ type, inBytes, outBytes, pointers, token, opcode }, i) => {
          const pending = pf!.prepare(opcode, { slot: i % 32 });
          const at = pending.descriptor;
          const set = (offset: number, value: number): void => view.setUint32(at + offset, value);
          set(CMD.type.offset, type << 24);
          set(CMD.inBytes.offset, inBytes);
          set(CMD.outBytes.offset, outBytes);
          set(CMD.inMailbox + 4, pointers[0]!);
          set(CMD.outMailbox + 4, pointers[1]!);
          if (token === 3) set(CMD.inMailbox, pointers[2]!);
          bytes[at + CMD.token.offset] = token;
          pf!.write(NIC.CMD_DOORBELL.offset, (1 << (i % 32)) >>> 0);
          host.elapse(10);
        });
        host.elapse(1000);
        check(host, drivers);
      }),
      { numRuns: 60, seed: 2 },
    );
  });

  test('any access to its registers, of any width', () => {
    const access = fc.record({
      bar: fc.nat(1),
      offset: fc.oneof(
        fc.nat(0x1100),
        fc.tuple(fc.nat(40), fc.constantFrom(0x20, 0x40, 0x48, 0x50, 0x800, 0xa00, 0xfff)).map(([page, at]) => page * PAGE + at),
        fc.nat(NIC.BAR_BYTES - 8),
      ),
      width: fc.constantFrom<AccessBytes>(1, 2, 4, 8),
      isWrite: fc.boolean(),
      value: WORD,
      high: WORD,
    });
    fc.assert(
      fc.property(fc.array(access, { minLength: 20, maxLength: 80 }), (accesses) => {
        const { host, drivers } = hostile();
        for (const { bar, offset, width, isWrite, value, high } of accesses) {
          const window = bar === 0 ? host.bar0 : host.bar2;
          // The table of interrupts is the bus interface's, and so is what a message there is addressed to.
          if (bar === 0 && offset >= NIC.MSIX_TABLE_OFFSET - 8 && offset < NIC.MSIX_PBA_OFFSET) continue;
          if (!isWrite) {
            if (width < 8) expect(readSized(window, offset, width as 4)).toBeGreaterThanOrEqual(0);
            else window.read64(offset, new Uint32Array(2));
          } else if (width === 1) window.write8(offset, value & 0xff);
          else if (width === 2) window.write16(offset, value & 0xffff);
          else if (width === 4) window.write32(offset, value);
          else window.write64(offset, value, high);
        }
        host.elapse(1000);
        check(host, drivers);
      }),
      { numRuns: 100, seed: 3 },
    );
  });

  test('accesses that come inside its own', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), WORD, OPCODE), { minLength: 5, maxLength: 30 }), (steps) => {
        const { host, drivers } = hostile();
        const [pf, sf] = drivers;
        let isInside = false;
        let next = 0;
        host.memory.during = () => {
          if (isInside) return;
          isInside = true;
          const [kind, value] = steps[next++ % steps.length]!;
          if (kind === 0) pf!.write(NIC.CMD_DOORBELL.offset, value);
          else if (kind === 1) sf!.write(NIC.CMD_DOORBELL.offset, value);
          else if (kind === 2) pf!.ring32(NIC.FIRST_UAR, NIC.UAR_EQ_ARM, value & 0xff);
          else if (value % 16 === 5) host.endpoint.reset('function');
          isInside = false;
        };
        for (const [slot, value, opcode] of steps) {
          pf!.prepare(opcode, { slot, inBytes: 0x118, fill: (words) => setWord(words, CMDS.OBJECT, value) });
          pf!.write(NIC.CMD_DOORBELL.offset, 2 ** slot);
          sf!.submit(opcode, { slot, outBytes: 0x110 });
          host.elapse(20);
        }
        host.memory.during = () => {};
        check(host, drivers);
      }),
      { numRuns: 60, seed: 4 },
    );
  });
});
