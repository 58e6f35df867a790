import { describe, expect, test } from 'vitest';
import { Random } from '../../../core/lib/index.js';
import { Journal } from '../../../hw/sim/journal.js';
import { ALL_CPUS, LocalApics } from '../../../hw/sim/lapic.js';

function setUp(cpus = 4): { apics: LocalApics; journal: Journal; told: () => number } {
  const journal = new Journal(() => 0);
  const apics = new LocalApics(cpus, journal);
  let told = 0;
  apics.attach({ pending: () => void told++, drain() {}, interrupt() {} });
  return { apics, journal, told: () => told };
}

/** The CPUs that have the vector pending. */
function pendingOn(apics: LocalApics, vector: number): number[] {
  return Array.from({ length: apics.cpus }, (_, cpu) => cpu).filter((cpu) => apics.isPending(cpu, vector));
}

describe('priorities', () => {
  test('the highest vector is taken first, and another of its class waits for its end', () => {
    const { apics } = setUp();
    for (const vector of [0x31, 0x45, 0x41]) apics.request(0, vector);
    expect([apics.take(0), apics.take(0)]).toEqual([0x45, -1]);
    expect([apics.isPending(0, 0x45), apics.isPending(0, 0x41)]).toEqual([false, true]);
    apics.eoi(0);
    expect([apics.take(0), apics.take(0)]).toEqual([0x41, -1]);
  });

  test('a higher class interrupts what is in service, and ends first', () => {
    const { apics } = setUp();
    apics.request(0, 0x31);
    expect(apics.take(0)).toBe(0x31);
    apics.request(0, 0x3f);
    expect(apics.nextCpu()).toBe(-1);
    apics.request(0, 0x40);
    expect([apics.nextCpu(), apics.take(0)]).toEqual([0, 0x40]);
    apics.eoi(0);
    expect(apics.take(0)).toBe(-1);
    apics.eoi(0);
    expect(apics.take(0)).toBe(0x3f);
  });

  test('a vector can be requested again while it is in service, once', () => {
    const { apics } = setUp();
    apics.request(0, 0x31);
    apics.take(0);
    apics.request(0, 0x31);
    apics.request(0, 0x31);
    expect(apics.isPending(0, 0x31)).toBe(true);
    apics.eoi(0);
    expect(apics.take(0)).toBe(0x31);
    apics.eoi(0);
    expect(apics.take(0)).toBe(-1);
  });

  test('an end of interrupt with nothing in service changes nothing', () => {
    const { apics } = setUp();
    apics.eoi(0);
    apics.request(0, 0x31);
    expect(apics.take(0)).toBe(0x31);
  });

  test('they hold for any sequence, on any CPU of 1,024', () => {
    const { apics } = setUp(1024);
    const random = new Random(7);
    const below = (n: number): number => random.next32() % n;
    const cpus = [0, 31, 32, 1023];
    const model = new Map(cpus.map((cpu) => [cpu, { irr: new Set<number>(), isr: new Set<number>() }]));
    const top = (set: Set<number>): number => Math.max(-1, ...set);
    const isReady = (cpu: number): boolean => top(model.get(cpu)!.irr) >> 4 > top(model.get(cpu)!.isr) >> 4;
    for (let i = 0; i < 5000; i++) {
      const cpu = cpus[below(cpus.length)]!;
      const { irr, isr } = model.get(cpu)!;
      const action = below(3);
      if (action === 0) {
        const vector = 16 + below(240);
        apics.request(cpu, vector);
        irr.add(vector);
      } else if (action === 1) {
        const expected = isReady(cpu) ? top(irr) : -1;
        expect(apics.take(cpu)).toBe(expected);
        if (expected >= 0) {
          irr.delete(expected);
          isr.add(expected);
        }
      } else {
        apics.eoi(cpu);
        isr.delete(top(isr));
      }
      expect(apics.nextCpu()).toBe(cpus.find(isReady) ?? -1);
    }
  });
});

describe('telling', () => {
  test('the entry is told once until nothing is left', () => {
    const { apics, told } = setUp();
    apics.request(1, 0x31);
    apics.request(0, 0x32);
    expect([told(), apics.nextCpu()]).toEqual([1, 0]);
    apics.take(0);
    apics.take(1);
    expect(apics.nextCpu()).toBe(-1);
    apics.request(2, 0x31);
    expect(told()).toBe(2);
  });

  test('it is told when an end of interrupt makes something deliverable', () => {
    const { apics, told } = setUp();
    apics.request(0, 0x31);
    apics.take(0);
    apics.request(0, 0x32);
    expect([apics.nextCpu(), told()]).toEqual([-1, 1]);
    apics.eoi(0);
    expect([apics.nextCpu(), told()]).toEqual([0, 2]);
  });

  test('who comes later is told of what is there, and without anybody it stays', () => {
    const { apics, told } = setUp();
    apics.attach(undefined);
    apics.request(3, 0x31);
    expect([told(), apics.nextCpu()]).toEqual([0, 3]);
    let late = 0;
    apics.attach({ pending: () => void late++, drain() {}, interrupt() {} });
    expect(late).toBe(1);
  });
});

describe('destinations', () => {
  test.each<[string, number, boolean, number[]]>([
    ['one CPU', 2, false, [2]],
    ['all', ALL_CPUS, false, [0, 1, 2, 3]],
    ['a logical set', 0b1010, true, [1, 3]],
    ['all, logically', ALL_CPUS, true, [0, 1, 2, 3]],
  ])('fixed delivery reaches %s', (_what, id, logical, expected) => {
    const { apics } = setUp();
    apics.deliver(id, logical, false, 0, 0x31);
    expect(pendingOn(apics, 0x31)).toEqual(expected);
  });

  test('a logical id has a cluster of 16 CPUs', () => {
    const { apics } = setUp(40);
    apics.deliver((2 << 16) | 0x8081, true, false, 0, 0x31);
    expect(pendingOn(apics, 0x31)).toEqual([32, 39]);
  });

  test('lowest priority, or a hint, takes the one that is least busy', () => {
    const { apics } = setUp();
    for (const [cpu, vector] of [
      [0, 0x41],
      [1, 0x31],
      [2, 0x38],
    ] as const) {
      apics.request(cpu, vector);
      apics.take(cpu);
    }
    apics.deliver(0b0111, true, false, 1, 0x51);
    expect(pendingOn(apics, 0x51)).toEqual([1]);
    apics.deliver(0b0101, true, true, 0, 0x52);
    expect(pendingOn(apics, 0x52)).toEqual([2]);
  });

  test.each([2, 4, 5, 7])('delivery mode %d is told as an error of software', (mode) => {
    const { apics, journal } = setUp();
    apics.deliver(0, false, false, mode, 0x31);
    expect([pendingOn(apics, 0x31), journal.guestErrors.length]).toEqual([[], 1]);
  });

  test('a vector below 16 and an id that nobody has are told, too', () => {
    const { apics, journal } = setUp();
    apics.deliver(1, false, false, 0, 15);
    apics.deliver(4, false, false, 0, 0x31);
    apics.deliver(0b1_0000, true, false, 0, 0x31);
    expect(journal.guestErrors.map(({ who, text }) => `${who}: ${text}`)).toEqual([
      'cpu1: vector 15 is illegal: must be 16 to 255',
      'cpu4: vector 49 is lost: no such CPU is online',
      'apic: vector 49 for logical id 16: no such CPU is online',
    ]);
    expect(apics.nextCpu()).toBe(-1);
  });
});

describe('an offline CPU', () => {
  test('loses what was pending and what arrives, and comes back empty', () => {
    const { apics, journal } = setUp();
    apics.request(1, 0x31);
    apics.take(1);
    apics.request(1, 0x41);
    apics.setOnline(1, false);
    expect([apics.nextCpu(), apics.isPending(1, 0x41), apics.isServing(1)]).toEqual([-1, false, false]);
    apics.request(1, 0x51);
    apics.setOnline(1, true);
    expect([apics.nextCpu(), apics.take(1), journal.guestErrors.length]).toEqual([-1, -1, 1]);
    apics.request(1, 0x20);
    expect(apics.take(1)).toBe(0x20);
  });

  test('is no member of a set', () => {
    const { apics } = setUp();
    apics.setOnline(0, false);
    apics.deliver(0b11, true, true, 0, 0x31);
    apics.deliver(ALL_CPUS, false, false, 0, 0x32);
    expect([pendingOn(apics, 0x31), pendingOn(apics, 0x32)]).toEqual([[1], [1, 2, 3]]);
  });
});
