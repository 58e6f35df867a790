import type { Device } from '../device/index.js';
import type { Kernel } from '../kernel.js';
import { Errno, checkRange, describeError } from '../lib/index.js';
import { defaultSeed } from './seed.js';
import { type HarnessOptions, Session } from './session.js';

/** What {@link explore} does, how often, and with what seed. */
export interface ExploreOptions {
  /** Operations of users, by name; each may fail with an `Errno`, and may be pending while others run. */
  readonly operations?: Readonly<Record<string, (system: { readonly kernel: Kernel; readonly device: Device }) => unknown>>;
  /** Schedules to try; default 100. */
  readonly runs?: number;
  /** Steps of the longest schedule; default 200. */
  readonly steps?: number;
  /** Default from `BACKPLANE_SEED`, else 1. */
  readonly seed?: number;
}

/** What came of {@link explore}, when nothing failed. */
export interface ExploreResult {
  readonly seed: number;
  readonly schedules: number;
  /** How often each step ran. */
  readonly steps: Readonly<Record<string, number>>;
}

/** More would not fit a report. */
const MOST_STEPS = 100_000;

type Step = (run: Run) => void;

/** One schedule being played. */
class Run {
  readonly pending = new Set<Promise<unknown>>();
  readonly unexpected: unknown[] = [];
  /** Chooses among the device's interrupts, one after the other. */
  turns = 0;

  constructor(readonly session: Session) {}

  /** Starts something without waiting for it. */
  start(body: () => unknown): void {
    let result: unknown;
    try {
      result = body();
    } catch (error) {
      this.note(error);
      return;
    }
    const promise = Promise.resolve(result).then(
      () => {},
      (error: unknown) => this.note(error),
    );
    this.pending.add(promise);
    void promise.then(() => this.pending.delete(promise));
  }

  note(error: unknown): void {
    const all = error instanceof AggregateError ? error.errors : [error];
    for (const e of all) if (!Errno.is(e)) this.unexpected.push(e);
  }
}

const CORE_STEPS: Readonly<Record<string, Step>> = {
  bind: (run) => run.start(() => run.session.core.attach(run.session.device)),
  unbind: (run) => run.start(() => run.session.core.unbind(run.session.device)),
  reprobe: (run) => run.start(() => run.session.core.reprobe(run.session.device)),
  trigger: (run) => run.start(() => run.session.core.trigger()),
  interrupt: (run) => {
    const all = run.session.kernel.irqs.list().filter(({ activated, device }) => activated && device === run.session.device);
    const one = all[run.turns++ % Math.max(all.length, 1)];
    if (one !== undefined) run.start(() => run.session.kernel.irqs.inject(one.virq));
  },
  vanish: (run) => {
    run.session.tap.vanish();
  },
  remove: (run) => {
    const { device } = run.session;
    if (device.registered && !device.isLeaving) run.start(() => run.session.core.remove(device));
  },
};

/** After these nothing more can happen to the device: they are rare, so that much has happened before. */
const ENDS: readonly string[] = ['vanish', 'remove'];
/** How often other steps come for each of those, of either kind. */
const OFTEN = 40;

/**
 * Plays random schedules of binds, unbinds, removals, interrupts, users' operations, turns of promises and clock events, and checks after
 * each that everything settled, nothing is held, no rule was broken and every error was an `Errno`.
 *
 * A schedule that fails is shrunk and printed; the same seed gives the same schedules.
 * @throws {Errno} with the shortest failing schedule found, its seed, and what went wrong
 */
export async function explore(options: HarnessOptions, more: ExploreOptions = {}): Promise<ExploreResult> {
  const fc = await import('fast-check').catch((cause: unknown) => {
    throw new Errno('ENOENT', 'explore: fast-check is not installed: npm install --save-dev fast-check', { cause });
  });
  const seed = more.seed ?? defaultSeed();
  const { operations = {}, runs = 100, steps = 200 } = more;
  checkRange('explore', 'runs', runs, 1, Number.MAX_SAFE_INTEGER);
  checkRange('explore', 'steps', steps, 0, MOST_STEPS);
  const taken = Object.keys(operations).find((name) => Object.hasOwn(CORE_STEPS, name) || name === 'turn' || name === 'event');
  if (taken !== undefined) throw new Errno('EEXIST', `explore: operation ${taken}: is a step of its own: give it another name`);
  const counts: Record<string, number> = {};
  const names = [...Object.keys(CORE_STEPS), ...Object.keys(operations), 'turn', 'event'].filter((name) => !ENDS.includes(name));
  // Turns and events are what lets the rest overlap: they come as often as all others together.
  const step = fc.oneof(
    { weight: OFTEN, arbitrary: fc.constantFrom(...names) },
    { weight: OFTEN, arbitrary: fc.constantFrom('turn', 'event', 'bind') },
    { weight: 1, arbitrary: fc.constantFrom(...ENDS) },
  );
  const property = fc.asyncProperty(fc.array(step, { maxLength: steps, size: 'max' }), async (schedule) => {
    await play(options, more, schedule, counts);
  });
  const details = await fc.check(property, { seed, numRuns: runs, endOnFailure: false });
  if (details.failed) {
    const schedule = details.counterexample?.[0] ?? [];
    const cause: unknown = details.errorInstance;
    throw new Errno(
      'EIO',
      `explore: seed ${seed}, schedule of ${schedule.length} steps: ${schedule.join(', ') || '(empty)'}: ${describeError(cause)}`,
      { cause },
    );
  }
  return { seed, schedules: details.numRuns, steps: counts };
}

async function play(
  options: HarnessOptions,
  more: ExploreOptions,
  schedule: readonly string[],
  counts: Record<string, number>,
): Promise<void> {
  const session = await Session.open(options);
  const run = new Run(session);
  try {
    for (const name of schedule) {
      counts[name] = (counts[name] ?? 0) + 1;
      if (name === 'turn') await Promise.resolve();
      else if (name === 'event') await new Promise<void>((resolve) => setImmediate(resolve));
      else if (Object.hasOwn(CORE_STEPS, name)) CORE_STEPS[name]!(run);
      else run.start(() => more.operations![name]!({ kernel: session.kernel, device: session.device }));
    }
    while (run.pending.size > 0) await session.within(Promise.all(run.pending), 'the schedule');
    await session.within(session.core.settle(), 'the schedule');
    if (session.device.registered && session.device.bound) await session.unbind();
    if (run.unexpected.length > 0) {
      throw new Errno('EIO', `${session.driver.name}: ${describeError(run.unexpected[0])}`, { cause: run.unexpected[0] });
    }
    session.checkAfterUse('after the schedule');
  } finally {
    await session.abandon();
  }
}
