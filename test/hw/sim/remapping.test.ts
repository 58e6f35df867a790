import { describe, expect, test } from 'vitest';
import { type Irte, type MsiMsg, type RemapFault, composeCompat, composeRemappable, packIrte } from '../../../core/hal/index.js';
import { Log } from '../../../core/lib/index.js';
import { Machine, type MachineOptions } from '../../../hw/sim/index.js';
import type { SimRemapping } from '../../../hw/sim/remapping.js';

/** Device D of the scenarios: 6a:01.0. */
const D = 0x6a08;

interface Fixture {
  readonly machine: Machine;
  readonly unit: SimRemapping;
  /** Writes an entry and has the unit take notice. */
  set(index: number, entry: Irte): void;
  /** A device sends a message. */
  send(msg: MsiMsg, requesterId?: number): void;
  /** What the CPUs take, as `cpu:vector`. */
  taken(): string[];
  reasons(): string[];
}

function setUp(options: MachineOptions = {}): Fixture {
  const machine = new Machine({ cpus: 4, ...options });
  const { interrupts } = machine;
  const unit = interrupts.messages.remapping as SimRemapping;
  return {
    machine,
    unit,
    set(index, entry) {
      unit.write(index, packed(entry));
      unit.invalidate(index, 1);
    },
    send: (msg, requesterId = D) => interrupts.message(requesterId, msg.addressLo, msg.data),
    taken() {
      const taken: string[] = [];
      for (let cpu = interrupts.nextCpu(); cpu >= 0; cpu = interrupts.nextCpu()) {
        taken.push(`${cpu}:${interrupts.take(cpu)}`);
        interrupts.eoi(cpu);
      }
      return taken;
    },
    reasons: () => machine.remapFaults.map(({ reason }) => reason),
  };
}

function packed(entry: Irte): Uint32Array {
  const words = new Uint32Array(4);
  packIrte(entry, words);
  return words;
}

const ENTRY = { posted: false, vector: 49, destination: 2, sourceId: D, check: 'all' } as const;

describe('a remapped entry', () => {
  test.each([0, 1, 255, 256, 0x7fff, 0x8000, 0xffff])('entry %d delivers to its CPU and vector, again and again', (index) => {
    const { set, send, taken, reasons } = setUp();
    set(index, ENTRY);
    for (let i = 0; i < 2; i++) {
      send(composeRemappable(index, 0));
      expect(taken()).toEqual(['2:49']);
    }
    expect(reasons()).toEqual([]);
  });

  test('the sub-handle chooses among consecutive entries', () => {
    const { set, send, taken } = setUp();
    for (let i = 0; i < 4; i++) set(8 + i, { ...ENTRY, vector: 64 + i, destination: i });
    send(composeRemappable(8, 3));
    send(composeRemappable(8, 1));
    expect(taken()).toEqual(['1:65', '3:67']);
  });

  test('logical and broadcast destinations are delivered', () => {
    const { set, send, taken } = setUp();
    set(0, { ...ENTRY, destination: 0b1100, logical: true, redirectionHint: false });
    set(1, { ...ENTRY, vector: 50, destination: 0xffff_ffff, redirectionHint: false });
    send(composeRemappable(0, 0));
    send(composeRemappable(1, 0));
    expect(taken()).toEqual(['0:50', '1:50', '2:50', '2:49', '3:50', '3:49']);
  });

  test('ids above 255 are reached with 32-bit ids', () => {
    const { set, send, taken } = setUp({ cpus: 1024 });
    set(0, { ...ENTRY, destination: 1023 });
    send(composeRemappable(0, 0));
    expect(taken()).toEqual(['1023:49']);
  });

  test('without them the id is in bits 15:8, and 255 is everybody', () => {
    const { set, send, taken, unit } = setUp({ x2apic: false });
    set(0, { ...ENTRY, destination: 0x0300 });
    set(1, { ...ENTRY, vector: 50, destination: 0xff00, redirectionHint: false });
    send(composeRemappable(0, 0));
    send(composeRemappable(1, 0));
    expect([unit.x2apic, taken()]).toEqual([false, ['0:50', '1:50', '2:50', '3:50', '3:49']]);
  });
});

describe('what is refused', () => {
  test('C-127 a message of another requester is rejected and told', () => {
    const { machine, unit, set, send, taken } = setUp();
    const heard: RemapFault[] = [];
    unit.onFault((fault) => heard.push(fault));
    set(0x25, ENTRY);
    send(composeRemappable(0x25, 0), D);
    send(composeRemappable(0x25, 0), 0x6a10);
    expect(taken()).toEqual(['2:49']);
    const fault = { timeUs: 0, requesterId: 0x6a10, address: 0xfee0_04b8, data: 0, index: 0x25, reason: 'wrong requester' };
    expect([machine.remapFaults, heard]).toEqual([[fault], [fault]]);
  });

  test.each<[string, number, number, string, number | undefined]>([
    ['a message in compatibility format', 0xfee0_2000, 0x31, 'compatibility format blocked', undefined],
    ['a sub-handle of more than 16 bits', 0xfee0_0018, 0x1_0000, 'bad message', undefined],
    ['an entry beyond the table', 0xfee0_0018 | 0xf_ffe0 | 0x4, 1, 'index too large', 0x1_0000],
    ['an entry that was never written', 0xfee0_0018, 9, 'entry not present', 9],
    ['an entry that nobody has made room for', 0xfee0_0018, 60_000, 'entry not present', 60_000],
  ])('%s', (_what, addressLo, data, reason, index) => {
    const { machine, send, taken } = setUp();
    send({ addressLo, addressHi: 0, data });
    expect(machine.remapFaults).toMatchObject([{ address: addressLo >>> 0, data, reason, index }]);
    expect(taken()).toEqual([]);
  });

  test('an entry with reserved bits set', () => {
    const { unit, send, reasons, taken } = setUp();
    unit.write(3, Uint32Array.of(0x0131_0001, 2, 0, 0));
    send(composeRemappable(3, 0));
    expect([reasons(), taken()]).toEqual([['bad entry'], []]);
  });

  test('an entry can say that its faults are not told', () => {
    const { set, send, reasons, taken } = setUp();
    set(3, { ...ENTRY, faultDisable: true });
    set(4, { ...ENTRY, faultDisable: true, present: false });
    send(composeRemappable(3, 0), 0);
    send(composeRemappable(4, 0));
    expect([reasons(), taken()]).toEqual([[], []]);
  });

  test('the log names the sender', () => {
    const { machine, send } = setUp();
    const log = new Log();
    machine.start(log);
    send(composeCompat(1, 0x31));
    expect(log.records().map(({ level, who, text }) => `${level} ${who}: ${text}`)).toEqual([
      'warn 0000:6a:01.0: interrupt message 0x31 to 0xfee01000: compatibility format blocked',
    ]);
  });
});

describe('what the unit knows of an entry', () => {
  test('stays in use until it is invalidated', () => {
    const { unit, set, send, taken } = setUp();
    set(5, ENTRY);
    send(composeRemappable(5, 0));
    expect(taken()).toEqual(['2:49']);
    unit.write(5, packed({ ...ENTRY, destination: 3 }));
    send(composeRemappable(5, 0));
    expect(taken()).toEqual(['2:49']);
    unit.invalidate(5, 1);
    send(composeRemappable(5, 0));
    expect(taken()).toEqual(['3:49']);
  });

  test('is nothing for an entry that was not present', () => {
    const { unit, send, taken, reasons } = setUp();
    send(composeRemappable(5, 0));
    unit.write(5, packed(ENTRY));
    send(composeRemappable(5, 0));
    expect([taken(), reasons()]).toEqual([['2:49'], ['entry not present']]);
  });

  test('is forgotten over a range, and the neighbours keep theirs', () => {
    const { unit, set, send, taken, reasons } = setUp();
    for (const index of [4, 5, 6, 7]) {
      set(index, { ...ENTRY, vector: 48 + index });
      send(composeRemappable(index, 0));
      unit.write(index, new Uint32Array(4));
    }
    taken();
    unit.invalidate(5, 2);
    for (const index of [4, 5, 6, 7]) send(composeRemappable(index, 0));
    expect([taken(), reasons()]).toEqual([
      ['2:55', '2:52'],
      ['entry not present', 'entry not present'],
    ]);
  });

  test('survives that the table grows', () => {
    const { unit, set, send, taken } = setUp();
    set(5, ENTRY);
    send(composeRemappable(5, 0));
    unit.write(0xffff, packed({ ...ENTRY, vector: 50 }));
    send(composeRemappable(5, 0));
    send(composeRemappable(0xffff, 0));
    expect(taken()).toEqual(['2:50', '2:49']);
  });

  test('an index or entry that cannot be throws', () => {
    const { unit } = setUp();
    expect(() => unit.write(0x1_0000, new Uint32Array(4))).toThrow(/^ERANGE: remapping: index/);
    expect(() => unit.write(0, new Uint32Array(3))).toThrow(/^EINVAL: remapping: an entry of 3 words/);
    expect(() => unit.invalidate(0xffff, 2)).toThrow(/^ERANGE: remapping: count/);
  });
});

describe('a posted entry', () => {
  const NOTIFY = 0xf2;
  const setUpPosted = (urgent = false): Fixture & { descriptor: number; control: (on?: number) => number } => {
    const fixture = setUp();
    const { dma } = fixture.machine;
    const descriptor = dma.alloc(64, { mask: 2 ** 32 - 1, alignBytes: 64 });
    dma.write32(descriptor + 32, NOTIFY << 16);
    dma.write32(descriptor + 36, 3);
    fixture.set(7, { posted: true, descriptor, vector: 0x51, urgent, sourceId: D, check: 'all' });
    return {
      ...fixture,
      descriptor,
      control(value) {
        if (value !== undefined) dma.write32(descriptor + 32, value);
        return dma.read32(descriptor + 32);
      },
    };
  };

  test('sets the request bit and notifies the CPU once, until software takes note', () => {
    const { machine, send, taken, descriptor, control } = setUpPosted();
    send(composeRemappable(7, 0));
    send(composeRemappable(7, 0));
    expect(machine.dma.read32(descriptor + 8)).toBe(1 << 0x11);
    expect([taken(), control()]).toEqual([['3:242'], ((NOTIFY << 16) | 1) >>> 0]);
    control(NOTIFY << 16);
    send(composeRemappable(7, 0));
    expect(taken()).toEqual(['3:242']);
  });

  test('does not notify where notification is suppressed, unless it is urgent', () => {
    for (const urgent of [false, true]) {
      const { machine, send, taken, descriptor, control } = setUpPosted(urgent);
      control((NOTIFY << 16) | 2);
      send(composeRemappable(7, 0));
      expect([machine.dma.read32(descriptor + 8), taken()]).toEqual([1 << 0x11, urgent ? ['3:242'] : []]);
      expect(control() & 1).toBe(urgent ? 1 : 0);
    }
  });

  test('checks the requester before it touches memory', () => {
    const { machine, send, taken, reasons, descriptor } = setUpPosted();
    send(composeRemappable(7, 0), 0);
    expect([machine.dma.read32(descriptor + 8), taken(), reasons()]).toEqual([0, [], ['wrong requester']]);
  });

  test('whose descriptor is not in memory is refused', () => {
    const { set, send, reasons } = setUp();
    set(1, { posted: true, descriptor: 0xd000_0000, vector: 0x51 });
    send(composeRemappable(1, 0));
    expect(reasons()).toEqual(['bad entry']);
  });

  test('is refused by a unit that a hypervisor emulates', () => {
    const { unit, set, send, reasons } = setUp({ interrupts: 'virtual' });
    set(1, { posted: true, descriptor: 0x10_0000, vector: 0x51 });
    send(composeRemappable(1, 0));
    expect([unit.isVirtual, unit.canPost, reasons()]).toEqual([true, false, ['bad entry']]);
  });
});
