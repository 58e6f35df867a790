import { configureGlobal } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CharDevices, type CharFile, Errno, type MaybePromise, POLL } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import { DriverHarness } from '../../../core/testing/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { failNth } from '../../helpers/fail-nth.js';
import { ADDRESS } from './fixture.js';
import { PAGE, Process, RECORD, RECORDS, Users, bytesOf, configureQueue, descriptor, userHarness } from './user-fixture.js';

const { FLAGS, STATUS } = DSA;
const MODES = ['shared', 'dedicated'] as const;
/** Of the machine of the harness, which allocates from below. */
const UPPER_MEMORY = 0x0f00_0000;
// Schedules are too short else for a queue to be bound, opened and used.
configureGlobal({ baseSize: 'medium' });
/** A function has a second to come back from its reset. */
const RECOVERED_US = 2_000_000;
const WANTS_INTERRUPT = RECORD | FLAGS.requestInterrupt;

const processOf = ({ host }: Kernel): Process => new Process(host.dma, 'one', { from: UPPER_MEMORY });
const open = ({ core }: Kernel, { task }: Process): MaybePromise<CharFile> => CharDevices.get(core, 'dsa/wq0.0').open(task);

describe('UserDriver', () => {
  test.each(MODES)('probe of a %s queue gives everything back whichever acquisition fails', async (mode) => {
    await using harness = new DriverHarness(userHarness(mode));
    expect(await harness.failEach()).toEqual(['queue 0', 'minor', 'user errors', 'class char']);
  });

  test.each(MODES)('its ledger of a %s queue reads the same backwards', async (mode) => {
    await using harness = new DriverHarness(userHarness(mode));
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('wq0.0')).toBe(true);
  });

  test.each([
    ['shared', 'ims', ['child file0', 'client', 'sva pasid 2', 'ims slot', 'ims slot', 'irq', 'errors', 'work of pasid 2']],
    ['dedicated', 'msix', ['child file0', 'client', 'sva pasid 2', 'msix permission', 'irq', 'errors', 'work of pasid 2']],
    ['dedicated', 'ims', ['child file0', 'client', 'sva pasid 2', 'ims slot', 'ims slot', 'irq', 'errors', 'work of pasid 2']],
  ] as const)('opening a %s queue gives everything back whichever acquisition fails (%s)', async (mode, kind, labels) => {
    await using harness = new DriverHarness(userHarness(mode, {}, kind));
    await harness.bind();
    const { kernel } = harness;
    const one = processOf(kernel);
    const before = harness.held().length;
    const failed: string[] = [];
    for (let n = 0; ; n++) {
      const label = await failNth(kernel, n, async () => open(kernel, one));
      if (label === undefined) break;
      failed.push(label);
      await harness.settle();
      expect([label, harness.held().length, harness.device.children.map(({ name }) => name)]).toEqual([
        label,
        before,
        ['dsa!wq0.0'],
      ]);
    }
    expect(failed.map((label) => label.replace(/^irq \d+$/, 'irq'))).toEqual(labels);
    await harness.unbind();
  });

  test.each(MODES)(
    'the device may vanish at any access, acquisition, interrupt and turn, with a portal of a %s queue in use',
    async (mode) => {
      await using harness = new DriverHarness(userHarness(mode, { commandCap: 0x7ffe }));
      const points = await harness.removeAnywhere(undefined, {
        use: async ({ kernel }) => {
          const one = processOf(kernel);
          const file = await open(kernel, one);
          const handle = Number(file.device.attributes.read('handle'));
          const portal = file.mmap({ sizeBytes: PAGE });
          file.write(bytesOf({ flags: WANTS_INTERRUPT, handle }));
          if (mode === 'shared') portal.enqcmd(0, descriptor({ completion: RECORDS + 32 }));
          else portal.movdir64b(0, descriptor({ completion: RECORDS + 32 }));
          await kernel.clock.sleep(20);
          file.poll();
          portal.write32(0, 1);
          await file.close();
          // This one is open, and at work, when the queue is unbound.
          const kept = await open(kernel, one);
          kept.wait().catch(() => {});
          kept.write(bytesOf());
        },
      });
      expect(points.length).toBeGreaterThan(30);
      expect(points.some((point) => point.startsWith('interrupt'))).toBe(true);
    },
    60_000,
  );

  test.each(MODES)(
    'a %s queue holds in every interleaving of binds, removals, interrupts, opens, work and closes',
    async (mode) => {
      await using harness = new DriverHarness(userHarness(mode, { descriptorUs: 5 }));
      const files: CharFile[] = [];
      let written = 0;
      await harness.explore({
        runs: 60,
        operations: {
          // Those of an earlier schedule are left in the list: they are gone, and must do no harm.
          open: async ({ kernel, device }) => {
            if (device.driver === undefined) await configureQueue(device, mode);
            await kernel.core.attach(device);
            const file = await open(kernel, processOf(kernel));
            files.push(file);
            file.write(bytesOf({ flags: WANTS_INTERRUPT, handle: Number(file.device.attributes.read('handle')) }));
            written++;
          },
          close: () => files.pop()?.close(),
          write: () => files.at(-1)?.write(bytesOf()),
          // It ends with the file at the latest.
          wait: () =>
            void files
              .at(-1)
              ?.wait(POLL.PRI)
              .catch((error: unknown) => expect(Errno.is(error)).toBe(true)),
          map: () => files.at(-1)?.mmap({ sizeBytes: PAGE }).write32(0, 1),
          sleep: ({ kernel }) => kernel.clock.sleep(20),
        },
      });
      expect(written).toBeGreaterThan(0);
    },
    60_000,
  );
});

describe('an open file outlives its queue', () => {
  /** Two files with work under way, and somebody who waits. */
  async function busy(
    mode: 'shared' | 'dedicated',
    profile = {},
  ): Promise<{ users: Users; one: Process; file: CharFile; waiting: Promise<unknown> }> {
    const users = await Users.start([mode], { profile: { descriptorUs: 50, ...profile } });
    const one = users.process('one');
    const file = await users.open(one);
    file.write(bytesOf());
    const waiting = file.wait().catch((error: unknown) => error);
    return { users, one, file, waiting };
  }

  async function expectGone(file: CharFile): Promise<void> {
    const gone = /^ENODEV: wq0\.0: file0: is gone/;
    expect(() => file.write(bytesOf())).toThrow(gone);
    expect(() => file.read(new Uint8Array(32))).toThrow(gone);
    expect(() => file.mmap({ sizeBytes: PAGE })).toThrow(gone);
    expect(() => file.poll()).toThrow(gone);
    await file.close();
    expect(() => file.poll()).toThrow('EBADF');
  }

  test.each(MODES)('when a %s queue is unbound: what was under way has ended, and all else is ENODEV', async (mode) => {
    const { users, one, file, waiting } = await busy(mode);
    await using _ = users;
    const portal = file.mmap({ sizeBytes: PAGE });
    await users.bench.unbind('wq0.0');
    expect(one.status()).toBe(STATUS.success);
    expect(Errno.is(await waiting, 'ENODEV')).toBe(true);
    expect(() => portal.movdir64b(0, descriptor())).toThrow('ENODEV');
    await expectGone(file);
  });

  test('when the device is disabled, and when its function is unbound', async () => {
    for (const how of ['dsa0', ADDRESS]) {
      const { users, one, file } = await busy('shared');
      await using _ = users;
      await users.bench.system.core.unbind(users.bench.system.device(how));
      expect([how, one.status()]).toEqual([how, STATUS.success]);
      await expectGone(file);
      expect(users.pasidOf(one)).toBeUndefined();
    }
  });

  test.each(MODES)('when the device is pulled out: nothing hangs, and nothing is kept', async (mode) => {
    const { users, file, waiting } = await busy(mode);
    await using _ = users;
    const portal = file.mmap({ sizeBytes: PAGE });
    users.bench.sim.yank(ADDRESS);
    await users.settle();
    expect(Errno.is(await waiting, 'ENODEV')).toBe(true);
    expect(() => portal.enqcmd(0, descriptor())).toThrow('ENODEV');
    await expectGone(file);
    expect(users.bench.system.core.buses.get('dsa')!.devices).toEqual([]);
  });

  test.each(['software', 'flr'] as const)(
    'D25 when the device halts and gets its %s reset; what is bound again is not its',
    async (needed) => {
      const { users, one, file, waiting } = await busy('dedicated');
      await using _ = users;
      const before = one.snapshot();
      users.bench.silicon.halt(needed);
      await users.settle(RECOVERED_US);
      const woken = await waiting;
      expect(woken === POLL.ERR || Errno.is(woken, 'ENODEV')).toBe(true);
      await expectGone(file);
      expect(one.snapshot()).toBe(before);
      expect(users.bench.read('wq0.0', 'state')).toBe(needed === 'flr' ? 'enabled' : 'disabled');
      if (needed !== 'flr') return;
      await using again = await users.open(one);
      again.write(bytesOf());
      await users.settle();
      expect(one.status()).toBe(STATUS.success);
    },
  );

  test('D25 when the device halts while it is being opened, and while it is being closed', async () => {
    for (const when of ['opening', 'closing']) {
      const { users, one, file } = await busy('dedicated', { descriptorUs: 5000 });
      await using _ = users;
      if (when === 'opening') await file.close();
      const pending = when === 'opening' ? users.open(one) : file.close();
      users.bench.silicon.halt('flr');
      const result = await Promise.resolve(pending).then(
        () => 'done',
        (error: unknown) => error,
      );
      expect(when === 'opening' ? Errno.is(result) : result).toBe(when === 'opening' ? true : 'done');
      await users.settle(RECOVERED_US);
      expect(users.wq().clients).toBe(0);
      await using again = await users.open(one);
      expect(again.write(bytesOf())).toBe(64);
    }
  });
});

test('a queue that was unbound and bound again works as the first time', async () => {
  await using users = await Users.start(['dedicated']);
  const one = users.process('one');
  for (let round = 0; round < 3; round++) {
    one.fill(RECORDS, 0);
    const file = await users.open(one);
    file.write(bytesOf());
    await users.settle();
    expect([round, one.status(), users.pasidOf(one)]).toEqual([round, STATUS.success, 2]);
    await users.bench.unbind('wq0.0');
    await configureQueue(users.wq(), 'dedicated');
    await users.bench.bind('wq0.0', 'user');
  }
});
