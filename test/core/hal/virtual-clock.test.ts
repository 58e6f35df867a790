import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../core/hal/virtual-clock.js';
import { Errno } from '../../../core/lib/errno.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (e: unknown) => Errno.codeOf(e),
  );

describe('VirtualClock, moved by hand', () => {
  test('runs events in the order of time, and of equal times in the order they were made', () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const log: string[] = [];
    clock.after(20, () => log.push(`b ${clock.now()}`));
    clock.after(10, () => log.push(`a ${clock.now()}`));
    clock.after(20, () => log.push(`c ${clock.now()}`));
    expect([clock.elapse(19), clock.now(), clock.nextDueUs]).toEqual([1, 19, 20]);
    expect([clock.elapse(5), clock.now(), clock.pending]).toEqual([2, 24, 0]);
    expect(log).toEqual(['a 10', 'b 20', 'c 20']);
  });

  test('an event may make and cancel others, also at its own time', () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const log: string[] = [];
    clock.after(10, () => {
      log.push('first');
      clock.after(0, () => log.push('made'));
      doomed.cancel();
    });
    const doomed = clock.after(10, () => log.push('doomed'));
    expect(clock.elapse(10)).toBe(2);
    expect(log).toEqual(['first', 'made']);
    doomed.cancel();
    doomed[Symbol.dispose]();
  });

  test('a timer runs once for each start, at the time of the last one, and in its turn', () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const log: string[] = [];
    const timer = clock.timer(() => {
      log.push(`timer ${clock.now()} ${timer.isPending}`);
      if (clock.now() < 20) timer.start(10);
    });
    expect([timer.isPending, clock.pending]).toEqual([false, 0]);
    timer.cancel();
    timer.start(5);
    clock.after(10, () => log.push('after'));
    timer.start(10);
    expect([timer.isPending, clock.pending]).toEqual([true, 2]);
    clock.elapse(30);
    expect(log).toEqual(['after', 'timer 10 false', 'timer 20 false']);
    timer.start(1);
    expect(() => timer.start(-1)).toThrow('EINVAL: clock: -1 us');
    timer.cancel();
    expect([timer.isPending, clock.elapse(5)]).toEqual([false, 0]);
    timer.start(0);
    expect([clock.relax(), log.at(-1)]).toEqual([true, 'timer 35 false']);
  });

  test('relax runs the next hardware event, never a limit, and delivers no interrupt', () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const log: string[] = [];
    clock.onEvent(() => log.push('drain'));
    clock.after(5, () => log.push('event'));
    clock.deadline(9, () => log.push('limit'));
    expect([clock.relax(), clock.relax(), clock.now()]).toEqual([true, false, 5]);
    expect(log).toEqual(['event']);
    expect([clock.runNext(), clock.runNext(), clock.now()]).toEqual([true, false, 9]);
    expect(log).toEqual(['event', 'limit', 'drain']);
  });

  test('settle lets promises run between the events, elapse does not', async () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const log: string[] = [];
    const worker = (async () => {
      for (let i = 0; i < 3; i++) {
        await clock.sleep(10);
        log.push(`${clock.now()}`);
      }
    })();
    clock.elapse(10);
    expect(log).toEqual([]);
    await clock.settle(15);
    expect([log, clock.now()]).toEqual([['10', '20'], 25]);
    await clock.settle(5);
    await worker;
    expect(log).toEqual(['10', '20', '30']);
  });

  test('poll looks at once, at each interval, and once more after its limit', async () => {
    const clock = new VirtualClock();
    const looks: number[] = [];
    const look = (): false => {
      looks.push(clock.now());
      return false;
    };
    await expect(clock.poll(look, { intervalUs: 10, timeoutUs: 25, what: 'd1: reset' })).rejects.toThrow(
      'ETIMEDOUT: d1: reset: no result within 25 us',
    );
    expect(looks).toEqual([0, 10, 20, 25]);
    expect(await clock.poll(() => 0, { timeoutUs: 0 })).toBe(0);
    expect(await codeOf(clock.poll(look, { intervalUs: 0, timeoutUs: 3 }))).toBe('ETIMEDOUT');
  });

  test('refuses times that are none', () => {
    const clock = new VirtualClock({ mode: 'manual' });
    for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => clock.after(bad, () => {})).toThrow('EINVAL');
      expect(() => clock.elapse(bad)).toThrow('EINVAL');
    }
    expect(clock.pending).toBe(0);
  });

  test('random events, cancelled at random, run in the order of a sorted array', () => {
    const step = fc.record({ op: fc.constantFrom('after', 'after', 'cancel', 'elapse'), n: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const clock = new VirtualClock({ mode: 'manual' });
        const events: { id: number; due: number; cancel: () => void }[] = [];
        let waiting: { id: number; due: number }[] = [];
        const ran: number[] = [];
        for (const { op, n } of steps) {
          if (op === 'after') {
            const id = events.length;
            const event = clock.after(n, () => ran.push(id));
            events.push({ id, due: event.dueUs, cancel: () => event.cancel() });
            waiting.push({ id, due: clock.now() + n });
            expect(event.dueUs).toBe(clock.now() + n);
          } else if (op === 'cancel') {
            const event = events[n];
            event?.cancel();
            waiting = waiting.filter((w) => w.id !== event?.id);
          } else {
            const end = clock.now() + n;
            const due = waiting.filter((w) => w.due <= end).sort((a, b) => a.due - b.due || a.id - b.id);
            ran.length = 0;
            expect(clock.elapse(n)).toBe(due.length);
            expect(ran).toEqual(due.map((w) => w.id));
            waiting = waiting.filter((w) => w.due > end);
          }
          expect(clock.pending).toBe(waiting.length);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('VirtualClock, moving by itself', () => {
  test('goes on as long as somebody sleeps, through the events on the way', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.after(30, () => log.push(`event ${clock.now()}`));
    clock.after(100_000, () => log.push('never'));
    await Promise.all([clock.sleep(50), clock.sleep(20).then(() => log.push(`slept ${clock.now()}`))]);
    expect(log).toEqual(['slept 20', 'event 30']);
    await turn();
    await turn();
    expect([clock.now(), clock.pending]).toEqual([50, 1]);
  });

  test('stands still while nobody waits', async () => {
    const clock = new VirtualClock();
    clock.after(10, () => {});
    for (let i = 0; i < 10; i++) await turn();
    expect(clock.now()).toBe(0);
  });

  test('comes to a limit when nothing else happens, and not to one that was cancelled', async () => {
    const clock = new VirtualClock();
    let hung = false;
    clock.deadline(60, () => {
      hung = true;
    });
    clock.deadline(50, () => expect.unreachable('it was cancelled')).cancel();
    for (let i = 0; i < 100; i++) await turn();
    expect(hung).toBe(false);
    for (let i = 0; i < 30_000; i++) await turn();
    expect(hung).toBe(true);
    expect([clock.now(), clock.pending]).toEqual([60, 0]);
  });

  test('a limit that is cancelled in time leaves the clock where it is, at rest', async () => {
    const clock = new VirtualClock();
    const limit = clock.deadline(60, () => expect.unreachable('it was cancelled'));
    for (let i = 0; i < 5; i++) await turn();
    limit.cancel();
    clock.after(10, () => expect.unreachable('nobody waits for it'));
    for (let i = 0; i < 3000; i++) await turn();
    expect([clock.now(), clock.pending]).toEqual([0, 1]);
  });

  test('a sleep that passes a limit runs it', async () => {
    const clock = new VirtualClock();
    let hung = false;
    clock.deadline(60, () => {
      hung = true;
    });
    await clock.sleep(100);
    expect([hung, clock.now()]).toEqual([true, 100]);
  });

  test('while settle moves the clock it does not move by itself, also when two settle at once', async () => {
    const clock = new VirtualClock();
    const log: number[] = [];
    void clock.sleep(1000).then(() => log.push(clock.now()));
    await Promise.all([clock.settle(10), clock.settle(20)]);
    expect([clock.mode, clock.now() <= 40, log]).toEqual(['auto', true, []]);
    await clock.sleep(1000);
    expect(log).toEqual([1000]);
  });

  test('wakes sleepers when it is made to move by itself', async () => {
    const clock = new VirtualClock({ mode: 'manual' });
    const slept = clock.sleep(10);
    clock.mode = 'auto';
    await slept;
    expect(clock.now()).toBe(10);
  });
});

describe('VirtualClock over hardware with a time of its own', () => {
  test('stops where the hardware asks for attention, then goes on', () => {
    const stops = [7, 12];
    const clock: VirtualClock = new VirtualClock({
      mode: 'manual',
      advance: (to) => (stops[0] !== undefined && stops[0] < to ? stops.shift()! : to),
    });
    const log: string[] = [];
    clock.onEvent(() => log.push(`drain ${clock.now()}`));
    clock.after(10, () => log.push(`event ${clock.now()}`));
    expect(clock.elapse(15)).toBe(1);
    expect(log).toEqual(['drain 7', 'event 10', 'drain 10', 'drain 12', 'drain 15']);
    expect(clock.now()).toBe(15);
  });

  test('does not run an event that the hardware cancelled on the way', () => {
    const clock: VirtualClock = new VirtualClock({
      mode: 'manual',
      advance: (to) => {
        event.cancel();
        return to;
      },
    });
    const event = clock.after(10, () => expect.unreachable('it was cancelled'));
    expect(clock.elapse(10)).toBe(0);
  });
});
