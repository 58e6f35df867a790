import { describe, expect, test } from 'vitest';
import { DmaChannels } from '../../../core/index.js';
import { ADDRESS, Bench } from './fixture.js';
import { HANDLES, Lane, type LaneOptions, Notes, PASIDS } from './dma-fixture.js';

const SHARED = { mode: 'shared', threshold: 8 } as const;
const SHARED_LANE: LaneOptions = { ...PASIDS, wq: SHARED };
/** A byte a microsecond: what is submitted is under way. */
const SLOW: LaneOptions = { profile: { bytesPerUs: 1 } };

/** From now on a shared queue has no room, so many times; what is asked is counted. */
function refuse({ bench }: Lane, times: number): { asked: number } {
  const count = { asked: 0 };
  const { portals } = bench.silicon;
  const enqcmd = portals.enqcmd.bind(portals);
  portals.enqcmd = (offset, words, at) => (++count.asked > times ? enqcmd(offset, words, at) : true);
  return count;
}
const complete = (count: number): string[] => new Array<string>(count).fill('complete');

describe('KernelPath on a shared queue', () => {
  test.each([
    ['32 times', {}, 33],
    ['as often as enqcmds_retries says', { enqcmds_retries: 3 }, 4],
    ['once where that is 0', { enqcmds_retries: 0 }, 1],
    ['64 times at most', { enqcmds_retries: 1000 }, 65],
  ] as const)(
    'D22 a device without room is asked again %s, then submit is EAGAIN, and the descriptor is free',
    async (_times, wq, asked) => {
      await using lane = await Lane.open({ ...PASIDS, wq: { ...SHARED, ...wq } });
      const count = refuse(lane, Number.POSITIVE_INFINITY);
      expect(() => lane.copy()).toThrow('EAGAIN: wq0.0: the device has no room for a descriptor: try again later');
      expect([count.asked, lane.used, lane.path.completions.count]).toEqual([asked, 0, 0]);
    },
  );

  test('a device that has room after all is not asked again', async () => {
    await using lane = await Lane.open(SHARED_LANE);
    const count = refuse(lane, 5);
    const cookie = lane.copy();
    expect(count.asked).toBe(6);
    expect((await lane.channel.wait(cookie)).status).toBe('complete');
  });

  test('between two tries the hardware gets on', async () => {
    await using lane = await Lane.open({ ...SHARED_LANE, profile: { ...PASIDS.profile, bytesPerUs: 1 } });
    const notes = new Notes();
    // As many as the limited portal takes; each that ends makes room for another, from a second channel as it were.
    for (let n = 0; n < 8; n++) lane.copy(notes, 10);
    const { portals } = lane.bench.silicon;
    const words = lane.path.pool.words.slice(0, 16);
    expect(portals.enqcmd(0x1000, words)).toBe(true);
    lane.bench.sim.clock.relax();
    expect(portals.enqcmd(0x1000, words)).toBe(false);
    await lane.bench.settle(1000);
    expect(notes.statuses).toEqual(complete(8));
  });

  test('what was held while a handle was renewed waits until there is room for it', async () => {
    await using lane = await Lane.open({ ...SHARED_LANE, profile: { ...PASIDS.profile, ...HANDLES.profile } });
    const { bench } = lane;
    const notes = new Notes();
    const { commands } = bench.idxd;
    const run = commands.run.bind(commands);
    let count = { asked: 0 };
    commands.run = (command, operand) => {
      commands.run = run;
      for (let n = 0; n < 4; n++) lane.copy(notes);
      count = refuse(lane, 50);
      return run(command, operand);
    };
    bench.silicon.revokeHandles();
    await bench.settle(50);
    expect([count.asked, notes.results]).toEqual([33, []]);
    // In the order in which they came.
    await bench.settle(1000);
    expect(notes.results.map(({ cookie }) => cookie)).toEqual([1, 2, 3, 4]);
  });
});

describe('KernelPath when the device halts', () => {
  test('D25 every submit is EIO, what is under way is aborted, and a reset brings the device back', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const notes = new Notes();
    const cookies = Array.from({ length: 3 }, () => lane.copy(notes, 1000));
    const wait = channel.wait(cookies[0]!);
    const prepared = channel.prepareInterrupt();
    // In one go with the interrupt: before that is handled nobody knows.
    bench.silicon.halt();
    bench.sim.drain();
    expect([bench.read('dsa0', 'state'), bench.idxd.state]).toEqual(['halted', 'halted']);
    expect(() => channel.submit(prepared)).toThrow('EIO: wq0.0: the device has halted');
    expect(() => lane.copy()).toThrow('EIO: wq0.0: the device has halted');
    expect(() => channel.ready()).toThrow('EIO');
    // The reset takes the channel away meanwhile.
    await expect(wait).rejects.toThrow(/ECANCELED: wq0\.0: transfer 1: aborted|ENODEV: dma0chan0: is gone/);
    await bench.settle(1000);
    expect(notes.statuses).toEqual(['aborted', 'aborted', 'aborted']);
    expect([bench.read('dsa0', 'state'), bench.read('wq0.0', 'state')]).toEqual(['disabled', 'disabled']);
    await bench.configure(0, { driver_name: 'dmaengine' });
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'dmaengine');
    const again = bench.system.get(DmaChannels, 'dma0chan0');
    expect((await again.wait(again.submit(again.prepareInterrupt()))).status).toBe('complete');
  });

  test.each([1, 4, 8, 12])('D25 a halt while its queue is being enabled, %i turns on, is EIO as well', async (turns) => {
    await using bench = await Bench.start();
    await bench.configure(0, { driver_name: 'dmaengine' });
    await bench.bind('dsa0');
    const { silicon } = bench;
    const enable = silicon.enableQueue.bind(silicon);
    const halt = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      silicon.halt('cold');
    };
    let halted: Promise<void> | undefined;
    silicon.enableQueue = (index) => {
      halted = halt();
      return enable(index);
    };
    await bench.bind('wq0.0', 'dmaengine');
    await halted;
    await bench.settle();
    const channel = bench.system.get(DmaChannels, 'dma0chan0');
    expect(() => channel.submit(channel.prepareInterrupt())).toThrow('EIO: wq0.0: the device has halted');
  });

  test('what had ended before has ended', async () => {
    await using lane = await Lane.open(SLOW);
    const notes = new Notes();
    lane.copy(notes, 10, 0);
    const wait = lane.channel.wait(lane.copy(notes, 1000));
    await lane.bench.settle(50);
    lane.bench.silicon.halt('warm');
    await expect(wait).rejects.toThrow('ECANCELED: wq0.0: transfer 2: aborted');
    expect(notes.statuses).toEqual(['complete', 'aborted']);
    expect(() => lane.copy()).toThrow('EIO');
  });

  test('after a function-level reset the channel is there again, and works', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    lane.copy(undefined, 1000);
    bench.silicon.halt('flr');
    await bench.settle(200_000);
    const channel = bench.system.get(DmaChannels, 'dma0chan0');
    expect((await channel.wait(channel.submit(channel.prepareInterrupt()))).status).toBe('complete');
    expect(() => lane.copy()).toThrow('ENODEV: dma0chan0: is gone');
  });

  test('who waits for a descriptor is told', async () => {
    await using lane = await Lane.open(SLOW);
    for (let n = 0; n < 16; n++) lane.copy(undefined, 1000);
    const waiting = Promise.resolve(lane.channel.ready()).catch((error: Error) => error.message);
    lane.bench.silicon.halt('warm');
    await lane.bench.settle(100);
    expect(await waiting).toBe('EIO: wq0.0: the device has halted');
  });

  test('terminate is over when all were told', async () => {
    await using lane = await Lane.open(SLOW);
    const notes = new Notes();
    for (let n = 0; n < 3; n++) lane.copy(notes, 1000);
    lane.bench.silicon.halt('warm');
    lane.bench.sim.drain();
    expect(notes.statuses).toEqual([]);
    await lane.channel.terminate();
    expect(notes.statuses).toEqual(['aborted', 'aborted', 'aborted']);
  });

  test('terminate in the middle ends', async () => {
    await using lane = await Lane.open(SLOW);
    const notes = new Notes();
    lane.copy(notes, 1000);
    const over = lane.channel.terminate();
    lane.bench.silicon.halt('warm');
    await over;
    await lane.bench.settle(100);
    expect(notes.statuses).toEqual(['aborted']);
  });
});

describe('KernelPath at unbind', () => {
  test('what is under way ends before anything of the queue is given back', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const notes = new Notes();
    lane.from.fill(7);
    const cookies = [100, 200].map((size) => lane.copy(notes, size));
    const wait = channel.wait(cookies[1]!);
    const told = wait.catch((error: Error) => error.message);
    const before = bench.sim.clock.now();
    await bench.unbind('wq0.0');
    expect(await told).toBe('ENODEV: dma0chan0: is gone');
    // Users hear of their handle at once; clients of what has ended.
    expect(notes.statuses).toEqual(complete(2));
    expect(bench.sim.clock.now() - before).toBeGreaterThanOrEqual(300);
    expect(() => lane.copy()).toThrow('ENODEV: dma0chan0: is gone');
    expect([bench.sim.iommuFaults, bench.sim.dmaFaults, bench.sim.guestErrors]).toEqual([[], [], []]);
  });

  test('disabling the device unbinds its queues first, with what they do', async () => {
    await using lane = await Lane.open(SLOW);
    const notes = new Notes();
    lane.copy(notes, 100);
    await lane.bench.unbind('dsa0');
    expect([notes.statuses, lane.bench.read('wq0.0', 'state')]).toEqual([['complete'], 'disabled']);
    expect(lane.bench.sim.iommuFaults).toEqual([]);
  });

  test('a drain whose interrupt is lost ends all the same', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    lane.copy(notes, 100);
    bench.silicon.interrupts.raise = () => {};
    await bench.unbind('wq0.0');
    expect(notes.statuses).toEqual(['complete']);
  });

  test('what does not end is aborted, and touches nothing afterwards', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    lane.copy(notes, 1000);
    // The device refuses to drain.
    const { commands } = bench.idxd;
    const run = commands.run.bind(commands);
    const asked: string[] = [];
    commands.run = (command, operand) => {
      asked.push(command);
      return command === 'drainWq' ? Promise.resolve({ status: 3, result: 0 }) : run(command, operand);
    };
    await bench.unbind('wq0.0');
    expect([asked, notes.statuses]).toEqual([['drainWq', 'abortWq', 'resetWq'], ['aborted']]);
    await bench.settle(10_000);
    expect([bench.sim.iommuFaults, bench.sim.dmaFaults]).toEqual([[], []]);
  });

  describe('from a device that ends nothing', () => {
    const ENDLESS = { profile: { descriptorUs: 500_000_000 }, machine: { iommu: true } } as const;

    test('cuts it off before memory goes, and resets it', async () => {
      await using lane = await Lane.open(ENDLESS);
      const { bench } = lane;
      const notes = new Notes();
      lane.copy(notes);
      await bench.unbind('wq0.0');
      expect([notes.statuses, bench.read('dsa0', 'state'), bench.logged('cut_off')]).toEqual([
        ['aborted'],
        'halted',
        ['dsa0: does not end its work: is cut off from memory, and reset'],
      ]);
      await bench.settle(600_000_000);
      expect([bench.sim.iommuFaults, bench.sim.dmaFaults.filter(({ kind }) => kind !== 'message')]).toEqual([[], []]);
      await bench.configure(0, { driver_name: 'dmaengine' });
      await bench.bind('dsa0');
      await bench.bind('wq0.0', 'dmaengine');
      const channel = bench.system.get(DmaChannels, 'dma0chan0');
      channel.submit(channel.prepareInterrupt(), notes);
      await bench.settle(600_000_000);
      expect(notes.statuses).toEqual(['aborted', 'complete']);
    });

    test('and terminate, before clients are told: the channel is there again after the reset', async () => {
      await using lane = await Lane.open(ENDLESS);
      const { bench, channel } = lane;
      const notes = new Notes();
      lane.copy(notes);
      // The device refuses to abort.
      const { commands } = bench.idxd;
      const run = commands.run.bind(commands);
      commands.run = (command, operand) =>
        command === 'abortWq' ? Promise.resolve({ status: 3, result: 0 }) : run(command, operand);
      await channel.terminate();
      expect([notes.statuses, bench.read('dsa0', 'state')]).toEqual([['aborted'], 'halted']);
      expect(() => lane.copy()).toThrow('EIO: wq0.0: does not abort its work');
      await bench.settle(600_000_000);
      expect([bench.sim.iommuFaults, bench.sim.dmaFaults.filter(({ kind }) => kind !== 'message')]).toEqual([[], []]);
      expect(['dsa0', 'wq0.0'].map((part) => bench.read(part, 'state'))).toEqual(['enabled', 'enabled']);
      expect(bench.system.get(DmaChannels, 'dma0chan0')).not.toBe(channel);
    });
  });

  test('a device that is pulled out ends everything, and reaches no memory', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const notes = new Notes();
    const wait = channel.wait(lane.copy(notes, 1000)).catch((error: Error) => error.message);
    const ready = channel.prepareInterrupt();
    await bench.settle(10);
    bench.sim.yank(ADDRESS);
    await bench.settle(100_000);
    expect([await wait, notes.statuses]).toEqual(['ENODEV: dma0chan0: is gone', ['aborted']]);
    expect(() => channel.submit(ready)).toThrow('ENODEV');
    expect([bench.sim.iommuFaults, bench.sim.dmaFaults]).toEqual([[], []]);
  });

  test('a device that went without a word is found out by who waits', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const cookie = lane.copy(undefined, 1000);
    const removal = bench.sim.yank(ADDRESS, { silent: true });
    await expect(channel.wait(cookie, 10_000)).rejects.toThrow('ETIMEDOUT: wq0.0: transfer 1: not done within 10000 us');
    // Its commands fail, and what it had is aborted; nothing can be submitted any more.
    await channel.terminate();
    expect(channel.status(cookie)).toBe('aborted');
    expect(() => lane.copy()).toThrow('EIO: wq0.0: does not abort its work');
    removal.report();
    await bench.settle(100);
    expect(() => lane.copy()).toThrow('ENODEV');
  });
});
