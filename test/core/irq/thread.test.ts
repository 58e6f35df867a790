import { describe, expect, test } from 'vitest';
import { handleFasteoi, handleLevel, type IrqSpec } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench } from './bench.js';

/** Thread halves that end when the test says so. */
class Gate {
  begun = 0;
  readonly #ends: (() => void)[] = [];
  readonly fn = (): Promise<void> => {
    this.begun++;
    return new Promise((resolve) => this.#ends.push(resolve));
  };
  open(): void {
    this.#ends.shift()!();
  }
}

const wake = (): string => 'wake';

describe('thread halves', () => {
  test('C-088 a wake without thread half breaks a rule once, and wakes nothing', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    bench.irqs.request(bench.device(), irq.virq, { hard: wake, name: 'alone' });
    irq.raise();
    irq.raise();
    expect([bench.violations, irq.desc.threadsActive]).toEqual([['wake-without-thread'], 0]);
    // It counts as what it is: judged at the next interrupt, and nothing was handled.
    expect([irq.desc.count, irq.desc.unhandled]).toEqual([1, 1]);
  });

  test('C-088 a thread half runs once for each wake, right after the hard halves, in task context', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const seen: string[] = [];
    const where = (who: string) => (): string => {
      seen.push(`${who} ${bench.irqCore.windows.inHandler}`);
      return 'wake';
    };
    bench.irqs.request(bench.device(), irq.virq, { hard: where('hard'), thread: where('thread') });
    irq.raise();
    irq.raise();
    expect(seen).toEqual(['hard true', 'thread false', 'hard true', 'thread false']);
  });

  test('C-088 wakes while one is pending coalesce', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let runs = 0;
    bench.irqs.request(bench.device(), irq.virq, { hard: wake, thread: () => void runs++ });
    for (let n = 0; n < 3; n++) bench.pic.deliverNested(n, irq.vector);
    bench.irqs.drain();
    expect([runs, irq.desc.total]).toEqual([1, 3]);
  });

  test('C-088 wakes while an asynchronous one waits coalesce into one more run', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const gate = new Gate();
    bench.irqs.request(bench.device(), irq.virq, { hard: wake, thread: gate.fn });
    for (let n = 0; n < 4; n++) irq.raise();
    expect([gate.begun, irq.desc.threadsActive]).toEqual([1, 2]);
    gate.open();
    await bench.clock.settle();
    expect([gate.begun, irq.desc.threadsActive]).toEqual([2, 1]);
    gate.open();
    await bench.clock.settle();
    expect([gate.begun, irq.desc.threadsActive, irq.desc.threadsHandled]).toEqual([2, 0, 2]);
  });

  test('one without hard half is woken by every interrupt', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    let runs = 0;
    bench.irqs.request(bench.device(), irq.virq, { thread: (virq) => (runs += virq === irq.virq ? 1 : 100), oneshot: true });
    irq.raise();
    irq.raise();
    expect([runs, irq.desc.masked]).toEqual([2, false]);
  });

  test('a oneshot line is unmasked when the last of its threads is done', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleFasteoi, records: ['mask', 'unmask', 'eoi'] });
    const dev = bench.device();
    const [one, two] = [new Gate(), new Gate()];
    for (const gate of [one, two])
      bench.irqs.request(dev, irq.virq, { hard: wake, thread: gate.fn, oneshot: true, shared: true });
    bench.look();
    irq.raise();
    expect([bench.look(), irq.desc.threadsOneshot]).toEqual([['pic.mask', 'pic.eoi'], 3]);
    one.open();
    await bench.clock.settle();
    expect([bench.look(), irq.desc.threadsOneshot]).toEqual([[], 2]);
    two.open();
    await bench.clock.settle();
    expect([bench.look(), irq.desc.threadsOneshot, irq.desc.masked]).toEqual([['pic.unmask'], 0, false]);
  });

  test('a oneshot line stays masked for a thread that was woken again', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    const gate = new Gate();
    const handle = bench.irqs.request(bench.device(), irq.virq, { thread: gate.fn, oneshot: true });
    irq.raise();
    handle.wakeThread();
    gate.open();
    await bench.clock.settle();
    expect([gate.begun, irq.desc.masked]).toEqual([2, true]);
    gate.open();
    await bench.clock.settle();
    expect(irq.desc.masked).toBe(false);
  });

  test('the bus of the chip is locked around the unmask of a oneshot line', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel, records: ['busLock', 'mask', 'unmask', 'busSyncUnlock'] });
    bench.irqs.request(bench.device(), irq.virq, { thread: () => {}, oneshot: true });
    bench.look();
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'pic.busLock', 'pic.unmask', 'pic.busSyncUnlock']);
  });

  test.each(['busLock', 'unmask', 'busSyncUnlock'] as const)(
    'a chip whose %s fails after a thread keeps nobody waiting for it',
    async (phase) => {
      await using bench = await Bench.open();
      let isBroken = false;
      const irq = bench.irq({
        flow: handleLevel,
        records: ['mask', 'unmask', phase],
        chip: {
          [phase]() {
            if (isBroken) throw new Errno('EIO', 'bus');
          },
        },
      });
      const handle = bench.irqs.request(bench.device(), irq.virq, { thread: () => {}, oneshot: true });
      isBroken = true;
      irq.raise();
      isBroken = false;
      expect([bench.violations, irq.desc.threadsActive]).toEqual([['irq-flow-failed'], 0]);
      expect(handle.synchronize()).toBe(undefined);
    },
  );

  test('one that throws, now or later, breaks a rule, and runs again at the next wake', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    const ends: (() => unknown)[] = [
      () => {
        throw new Error('now');
      },
      () => Promise.reject(new Error('later')),
      () => 'handled',
    ];
    bench.irqs.request(bench.device(), irq.virq, { thread: () => ends.shift()!(), oneshot: true, name: 'bad' });
    for (let n = 0; n < 3; n++) {
      irq.raise();
      await bench.clock.settle();
    }
    expect(bench.violations).toEqual(['callback-threw', 'callback-threw']);
    expect(bench.said.map((text) => text.replace(/^irq \d+: /, ''))).toEqual([
      'handler bad threw: Error: now',
      'handler bad threw: Error: later',
    ]);
    expect([irq.desc.threadsHandled, irq.desc.threadsActive, irq.desc.masked]).toEqual([1, 0, false]);
  });

  test('wakeThread runs it without interrupt', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let runs = 0;
    const handle = bench.irqs.request(bench.device(), irq.virq, { hard: wake, thread: () => void runs++ });
    handle.wakeThread();
    handle.wakeThread();
    expect(runs).toBe(0);
    await Promise.resolve();
    expect([runs, irq.desc.total]).toEqual([1, 0]);
  });

  test('one that synchronises its own line does not run inside itself', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let depth = 0;
    let runs = 0;
    const handle = bench.irqs.request(bench.device(), irq.virq, {
      hard: wake,
      thread: () => {
        expect(++depth).toBe(1);
        if (runs++ === 0) {
          handle.wakeThread();
          void handle.synchronize();
        }
        depth--;
      },
    });
    irq.raise();
    expect(runs).toBe(2);
  });
});

describe('free with a thread half', () => {
  test('that waits: a promise of the name, fulfilled when it is done; nothing runs after it', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    const gate = new Gate();
    const dev = bench.device();
    const handle = bench.irqs.request(dev, irq.virq, { thread: gate.fn, oneshot: true, name: 'slow' });
    irq.raise();
    let name: string | undefined;
    const done = Promise.resolve(handle.free()).then((value) => (name = value));
    await bench.clock.settle();
    expect([name, irq.desc.activated, irq.desc.action]).toEqual([undefined, true, undefined]);
    irq.raise();
    gate.open();
    await done;
    expect([name, irq.desc.activated, gate.begun, irq.desc.threadsActive, irq.desc.threadsOneshot]).toEqual([
      'slow',
      false,
      1,
      0,
      0,
    ]);
    expect(dev.devres.size).toBe(0);
  });

  test('that was woken and has not begun: it runs first', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let runs = 0;
    const handle = bench.irqs.request(bench.device(), irq.virq, { hard: wake, thread: () => void runs++ });
    bench.pic.deliverNested(0, irq.vector);
    expect([handle.free(), runs]).toEqual(['dev0', 1]);
    bench.irqs.drain();
    expect(runs).toBe(1);
  });

  test('the synchronous disposer says EBUSY, and the free goes on', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    const gate = new Gate();
    const handle = bench.irqs.request(bench.device(), irq.virq, { thread: gate.fn, oneshot: true, name: 'slow' });
    irq.raise();
    expect(() => handle[Symbol.dispose]()).toThrow(`EBUSY: dev0: irq ${irq.virq}: the thread half of slow is at work`);
    gate.open();
    await bench.clock.settle();
    expect([handle.held, irq.desc.activated]).toEqual([false, false]);
    handle[Symbol.dispose]();
    await handle[Symbol.asyncDispose]();
  });

  test('keeps newcomers off the line until it is done: they would share what it still has', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel, records: ['mask', 'unmask', 'requestResources', 'releaseResources'] });
    const gate = new Gate();
    const dev = bench.device();
    const spec = { thread: gate.fn, oneshot: true, shared: true };
    const handle = bench.irqs.request(dev, irq.virq, spec);
    irq.raise();
    const done = handle.free();
    expect(() => bench.irqs.request(dev, irq.virq, spec)).toThrow('EBUSY');
    expect(() => irq.domain.disposeMapping(irq.virq)).toThrow('EBUSY');
    gate.open();
    await done;
    bench.irqs.request(dev, irq.virq, spec);
    const held = (what: string): number => bench.trace.filter((step) => step === `pic.${what}Resources`).length;
    expect([held('request'), held('release'), irq.desc.threadsOneshot, irq.desc.depth]).toEqual([2, 1, 0, 0]);
  });

  test('from that thread half itself, not waited for: it is over when that has returned', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    let done: unknown;
    const handle = bench.irqs.request(dev, irq.virq, { hard: wake, thread: () => void (done = handle.free()) });
    irq.raise();
    expect(await done).toBe('dev0');
    expect([irq.desc.action, irq.desc.activated, dev.devres.size]).toEqual([undefined, false, 0]);
  });

  test('the removal of its device waits for it', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel });
    const gate = new Gate();
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, { thread: gate.fn, oneshot: true });
    irq.raise();
    let isGone = false;
    const done = Promise.resolve(bench.kernel.core.remove(dev)).then(() => (isGone = true));
    await bench.clock.settle();
    expect(isGone).toBe(false);
    gate.open();
    await done;
    expect([isGone, irq.desc.action]).toEqual([true, undefined]);
  });

  test('disable waits for it, disableNosync does not', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const gate = new Gate();
    const handle = bench.irqs.request(bench.device(), irq.virq, { hard: wake, thread: gate.fn });
    irq.raise();
    handle.disableNosync();
    let isQuiet = false;
    const done = Promise.resolve(handle.disable()).then(() => (isQuiet = true));
    await bench.clock.settle();
    expect([isQuiet, irq.desc.depth]).toEqual([false, 2]);
    gate.open();
    await done;
    expect(isQuiet).toBe(true);
  });
});

describe('threadIrqs', () => {
  const seenWith = async (spec: (note: (who: string, result: unknown) => () => unknown) => IrqSpec): Promise<string[]> => {
    await using bench = await Bench.open({ irq: { threadIrqs: true } });
    const irq = bench.irq();
    const seen: string[] = [];
    const note = (who: string, result: unknown) => (): unknown => {
      seen.push(`${who} ${bench.irqCore.windows.inHandler ? 'irq' : 'task'}`);
      return result;
    };
    bench.irqs.request(bench.device(), irq.virq, spec(note));
    irq.raise();
    return seen;
  };

  test('makes a hard half a thread half', async () => {
    expect(await seenWith((note) => ({ hard: note('hard', 'handled') }))).toEqual(['hard task']);
  });

  test('runs the thread half after it, when it asks for that', async () => {
    expect(await seenWith((note) => ({ hard: note('hard', 'wake'), thread: note('thread', 'handled') }))).toEqual([
      'hard task',
      'thread task',
    ]);
    expect(await seenWith((note) => ({ hard: note('hard', 'none'), thread: note('thread', 'handled') }))).toEqual(['hard task']);
  });

  test.each<[string, IrqSpec]>([
    ['noThread', { noThread: true }],
    ['perCpu', { perCpu: true }],
    ['oneshot', { oneshot: true }],
  ])('leaves one with %s alone', async (_what, more) => {
    expect(await seenWith((note) => ({ hard: note('hard', 'handled'), ...more }))).toEqual(['hard irq']);
  });
});
