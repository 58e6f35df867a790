import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CharFile, Errno, type Mmio, hex } from '../../../core/index.js';
import { defaultSeed } from '../../../core/testing/seed.js';
import * as DSA from '../../../hw/regs/dsa.js';
import {
  DESTINATION,
  LIST,
  NOWHERE,
  PAGE,
  type Process,
  RECORDS,
  SOURCE,
  Users,
  configureQueue,
  descriptor,
} from './user-fixture.js';

const { OPCODES } = DSA;
const PRIVILEGED = 2 ** 31;
/** Queues: two that are shared, and a dedicated one. */
const MODES = ['shared', 'dedicated', 'shared'] as const;
const NAMES = ['alpha', 'beta', 'gamma'] as const;
/** Of whose memory is the page that nobody but its owner is ever to reach: the first letter of the owner is all over it. */
const SECRETS = [0x5000_0000, 0x5100_0000, 0x5200_0000] as const;

const address = fc.constantFrom(SOURCE, DESTINATION, RECORDS, LIST, NOWHERE, ...SECRETS, SOURCE + 8, DESTINATION + PAGE - 32);
const work = fc.record({
  op: fc.constantFrom(OPCODES.move, OPCODES.fill, OPCODES.batch, OPCODES.dualcast, OPCODES.compare, OPCODES.noop, 0x7f),
  flags: fc.constantFrom(0, 0x04, 0x0c, 0x1c, 0x0e),
  pasid: fc.integer({ min: 0, max: 6 }).chain((pasid) => fc.constantFrom(pasid, pasid + PRIVILEGED)),
  completion: address,
  source: address,
  destination: address,
  size: fc.constantFrom(0, 2, 64, 4096),
  handle: fc.integer({ min: 0, max: 10 }),
});
const who = { process: fc.nat(NAMES.length - 1), queue: fc.nat(MODES.length - 1) };
const step = fc.oneof(
  fc.record({ kind: fc.constant('open' as const), ...who }),
  fc.record({ kind: fc.constant('close' as const), ...who }),
  fc.record({ kind: fc.constant('settle' as const), ...who }),
  fc.record({ kind: fc.constant('rebind' as const), ...who }),
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('submit' as const), ...who, work }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Users of a few queues, who do what they can think of. */
class Play {
  readonly files = new Map<string, CharFile>();
  /** All that were ever mapped, and whose they are. */
  readonly portals: Mmio[][] = NAMES.map(() => []);
  readonly processes: readonly Process[];

  constructor(readonly users: Users) {
    this.processes = NAMES.map((name, i) => {
      const process = users.process(name);
      for (const page of [LIST, SECRETS[i]!]) process.map(page);
      process.fill(SECRETS[i]!, name.charCodeAt(0));
      return process;
    });
  }

  async run(step: Step): Promise<void> {
    const { process, queue } = step;
    const key = `${process} ${queue}`;
    if (step.kind === 'settle') return this.users.settle(1000);
    if (step.kind === 'rebind') {
      await this.users.bench.unbind(`wq0.${queue}`);
      await configureQueue(this.users.wq(queue), MODES[queue]!);
      await this.users.bench.bind(`wq0.${queue}`, 'user');
    } else if (step.kind === 'close') {
      await this.files.get(key)?.close();
      this.files.delete(key);
    } else if (step.kind === 'submit') this.#submit(process, queue, descriptor(step.work));
    else if (!this.files.has(key)) {
      const file = await this.users.open(this.processes[process]!, queue);
      this.files.set(key, file);
      this.portals[process]!.push(file.mmap({ sizeBytes: PAGE }));
    }
  }

  /** Through every portal that the process has had. */
  #submit(process: number, queue: number, words: Uint32Array): void {
    this.processes[process]!.write(LIST, new Uint8Array(words.buffer));
    for (const portal of this.portals[process]!) {
      try {
        if (MODES[queue] === 'shared') portal.enqcmd(0, words);
        else portal.movdir64b(0, words);
      } catch (error) {
        if (!Errno.is(error, 'ENODEV')) throw error;
      }
    }
  }

  /** Where something of one process is in the memory of another: eight of its letters in a row are no field of a record or descriptor. */
  spoils(): string[] {
    return this.processes.flatMap((process) =>
      process.space.mappings().flatMap(({ iova }) => {
        const bytes = Buffer.from(process.read(iova, PAGE));
        const others = NAMES.filter((name) => name !== process.name && bytes.includes(name.charAt(0).repeat(8)));
        return others.map((name) => `${name} at 0x${hex(iova)} of ${process.name}`);
      }),
    );
  }
}

const isErrno = (error: unknown): boolean => (error instanceof AggregateError ? error.errors.every(isErrno) : Errno.is(error));

const playing = (body: (play: Play, steps: readonly Step[]) => Promise<void>): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
      await using users = await Users.start(MODES, { profile: { descriptorUs: 3 } });
      await body(new Play(users), steps);
    }),
    { seed: defaultSeed(), numRuns: 25 },
  );

test('whatever users submit, with any PASID, to any address, by any portal they ever had: nothing of one gets to another', async () => {
  let submitted = 0;
  await playing(async (play, steps) => {
    const errors: unknown[] = [];
    for (const one of steps) {
      if (one.kind === 'submit') submitted++;
      await play.run(one).catch((error: unknown) => errors.push(error));
    }
    await play.users.settle(10_000);
    expect(play.spoils()).toEqual([]);
    // A dedicated queue has one user; nothing else fails.
    expect(errors.filter((error) => !Errno.is(error, 'EBUSY'))).toEqual([]);
  });
  expect(submitted).toBeGreaterThan(100);
}, 60_000);

test('whatever users do at once, while queues come and go, and the device halts: all of it ends, and nothing is kept', async () => {
  let opened = 0;
  await playing(async (play, steps) => {
    const { users } = play;
    const { bench } = users;
    const errors: unknown[] = [];
    const pending: Promise<unknown>[] = [];
    for (const [i, one] of steps.entries()) {
      if (one.kind === 'submit' && i % 20 === 19) bench.silicon.halt('flr');
      const done = play.run(one).catch((error: unknown) => errors.push(error));
      if (one.kind === 'settle') await done;
      else pending.push(done);
    }
    await users.settle(5_000_000);
    await Promise.all(pending);
    opened += play.files.size;
    expect(play.spoils()).toEqual([]);
    expect(errors.filter((error) => !isErrno(error))).toEqual([]);
    for (const queue of MODES.keys()) await bench.unbind(`wq0.${queue}`);
    for (const file of play.files.values()) await file.close();
    expect(bench.idxd.wqs.map(({ clients }) => clients)).toEqual(bench.idxd.wqs.map(() => 0));
    expect(play.processes.map((process) => users.pasidOf(process))).toEqual([undefined, undefined, undefined]);
    const slots = Array.from({ length: bench.idxd.ims!.size }, () => bench.idxd.ims!.alloc());
    for (const slot of slots) slot[Symbol.dispose]();
  });
  expect(opened).toBeGreaterThan(20);
}, 60_000);
