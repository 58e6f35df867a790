import { describe, expect, test } from 'vitest';
import { type Scene, place, release, request, scene } from './platform.js';

function line(s: Scene, n: number, trigger: 'low' | 'high' | 'rising' | 'falling') {
  return s.core.descs[s.platform.lines!.lineIrq(n, trigger)]!;
}

describe.each(['remapped', 'plain', 'lines', 'doorbell'] as const)('LineDomain on %s', (platform) => {
  test('line n is interrupt n, mapped at its first use and the same every time', () => {
    const s = scene({ platform });
    const desc = line(s, 9, 'low');
    expect([desc.virq, s.platform.lines!.lineIrq(9, 'low'), s.core.count]).toEqual([9, 9, 1]);
    expect([desc.levelTriggered, desc.flowName, line(s, 4, 'rising').flowName]).toEqual([true, 'fasteoi', 'edge']);
    expect(desc.chip.name).toBe({ remapped: 'IR-IO-APIC', plain: 'IO-APIC', lines: 'IO-APIC', doorbell: 'LINES' }[platform]);
  });

  test('a level that stays comes again after its handler, and ends when the device lets go', () => {
    const s = scene({ platform });
    const desc = line(s, 9, 'low');
    const { lines } = s.hw;
    let left = 3;
    request(s, desc, [], { hard: () => void (--left === 0 && lines!.drive(9, false)) });
    lines!.drive(9, true);
    s.core.windows.drain();
    expect([left, desc.total, s.hw.inService(0) * (platform === 'doorbell' ? 0 : 1)]).toEqual([0, 3, 0]);
  });

  test('a oneshot level is quiet until its thread half is done', () => {
    const s = scene({ platform });
    const desc = line(s, 9, 'high');
    const seen: boolean[] = [];
    request(s, desc, [], {
      oneshot: true,
      hard: () => 'wake',
      thread: () => {
        seen.push(s.hw.lines!.masked[9]!);
        s.hw.lines!.drive(9, false);
      },
    });
    s.hw.lines!.drive(9, true);
    s.core.windows.drain();
    expect([seen, desc.total, s.hw.lines!.masked[9]]).toEqual([[true], 1, false]);
  });

  test('an edge comes once, and again at the next one', () => {
    const s = scene({ platform });
    const heard: number[] = [];
    request(s, line(s, 4, 'rising'), heard);
    s.hw.lines!.drive(4, true);
    s.core.windows.drain();
    expect(heard).toEqual([4]);
    s.hw.lines!.drive(4, false);
    s.hw.lines!.drive(4, true);
    s.core.windows.drain();
    expect(heard).toEqual([4, 4]);
  });

  test('a released line is masked, and heard again when it is requested again', () => {
    const s = scene({ platform });
    const desc = line(s, 4, 'rising');
    const heard: number[] = [];
    release(request(s, desc, heard));
    s.hw.lines!.drive(4, true);
    s.core.windows.drain();
    expect([heard, s.hw.lines!.masked[4], s.core.unexpectedCount]).toEqual([[], true, 0]);
    request(s, desc, heard);
    s.hw.lines!.drive(4, false);
    s.hw.lines!.drive(4, true);
    s.core.windows.drain();
    expect(heard).toEqual([4]);
  });

  test('the hardware tells whether a line is asserted', () => {
    const s = scene({ platform });
    line(s, 4, 'low');
    expect(s.irqs.hardwareState(4, 'line-level')).toBe(false);
    s.hw.lines!.drive(4, true);
    expect(s.irqs.hardwareState(4, 'line-level')).toBe(true);
  });

  test('a line that is not there, a trigger that is none, and another trigger than before are refused', () => {
    const s = scene({ platform });
    line(s, 9, 'low');
    expect(() => line(s, 24, 'low')).toThrow(/^ERANGE: irq: line is 24/);
    expect(() => s.platform.lines!.lineIrq(3, 'both')).toThrow(/^EINVAL/);
    expect(() => line(s, 9, 'rising')).toThrow(/^EBUSY: line 9: is in use with trigger low, not rising/);
    expect(s.core.count).toBe(1);
  });
});

describe('LineDomain', () => {
  test('a line that moves is routed to the new CPU in the middle of its level', () => {
    const s = scene({ platform: 'plain' });
    const desc = line(s, 9, 'low');
    let left = 2;
    request(s, desc, [], {
      hard: () => {
        s.irqs.setAffinity(9, [2]);
        if (--left === 0) s.hw.lines!.drive(9, false);
      },
    });
    s.hw.lines!.drive(9, true);
    s.core.windows.drain();
    expect([place(s, desc), desc.countOn(0), desc.countOn(2)]).toEqual(['2:32', 1, 1]);
    expect(s.hw.lines!.routes[9]).toEqual({ msg: { addressLo: 0xfee0_2000, addressHi: 0, data: 0x20 }, level: true });
  });

  test('a remapped line keeps its message when it moves, and takes it from nobody else', () => {
    const s = scene();
    const desc = line(s, 9, 'low');
    request(s, desc);
    const before = s.hw.lines!.routes[9];
    s.irqs.setAffinity(9, [1]);
    expect([s.hw.lines!.routes[9], place(s, desc)]).toEqual([before, '1:32']);
    s.hw.message(0x6a08, before!.msg);
    expect(s.platform.faults).toMatchObject([{ reason: 'wrong requester' }]);
  });
});
