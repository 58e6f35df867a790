import { describe, expect, test, vi } from 'vitest';
import { DMA_PREP, type DmaResult } from '../../../core/index.js';
import { HostMemory } from '../../../core/iommu/dma-memory.js';
import { IdxdDmaChannel } from '../../../drivers/idxd/dma-channel.js';
import { Lane, Notes, bytesOf, messageOf } from './dma-fixture.js';

const WITH_DELTA = { profile: { delta: true } } as const;
/** A part that is slow enough for what is submitted to be under way: a byte a microsecond. */
const SLOW = { profile: { bytesPerUs: 1 } } as const;
const POLLED = 0;
const PAGE = 4096;

describe('IdxdDmaChannel transfers', () => {
  test('a client is told in task context, once, and may submit the next from there', async () => {
    await using lane = await Lane.open();
    const { irqs } = lane.bench.system.kernel;
    const seen: [number, boolean][] = [];
    const client = {
      transferred({ cookie }: DmaResult): void {
        seen.push([cookie, irqs.core.windows.inHandler]);
        if (seen.length < 4) lane.copy(client);
      },
    };
    const first = lane.copy(client);
    await lane.bench.settle(100);
    expect(seen).toEqual([0, 1, 2, 3].map((n) => [first + n, false]));
    expect(lane.used).toBe(0);
  });

  test('what a client throws is reported, and the others are told', async () => {
    await using lane = await Lane.open();
    const reports: string[] = [];
    lane.bench.system.core.violations.on(({ rule, text }) => reports.push(`${rule}: ${text}`));
    const notes = new Notes();
    const cookie = lane.copy({
      transferred() {
        throw new Error('not today');
      },
    });
    lane.copy(notes);
    await lane.bench.settle(100);
    expect(notes.statuses).toEqual(['complete']);
    expect(reports).toEqual([`callback-threw: client of transfer ${cookie} threw: Error: not today`]);
  });

  test('without an interrupt nobody is told until somebody looks', async () => {
    await using lane = await Lane.open();
    const notes = new Notes();
    const cookie = lane.copy(notes, 4096, POLLED);
    await lane.bench.settle(100);
    expect([notes.results, lane.channel.result(cookie).status]).toEqual([[], 'in-progress']);
    expect(lane.channel.status(cookie)).toBe('complete');
    expect([notes.statuses, lane.channel.result(cookie).bytes]).toEqual([['complete'], 4096]);
  });

  test('who waits for a transfer without an interrupt is told when his time is up', async () => {
    await using lane = await Lane.open();
    const before = lane.bench.sim.clock.now();
    expect(await lane.channel.wait(lane.copy(undefined, 64, POLLED), 300)).toMatchObject({ status: 'complete', bytes: 64 });
    expect(lane.bench.sim.clock.now() - before).toBe(300);
  });

  test('a wait that ends before the transfer is ETIMEDOUT, and the transfer goes on', async () => {
    await using lane = await Lane.open(SLOW);
    const cookie = lane.copy(undefined, 1000);
    await expect(lane.channel.wait(cookie, 500)).rejects.toThrow(`ETIMEDOUT: wq0.0: transfer ${cookie}: not done within 500 us`);
    expect(lane.channel.status(cookie)).toBe('in-progress');
    expect(await lane.channel.wait(cookie)).toMatchObject({ status: 'complete', bytes: 1000 });
  });

  test('several wait for one transfer, and one for a transfer that has ended', async () => {
    await using lane = await Lane.open();
    const cookie = lane.copy();
    const results = await Promise.all([lane.channel.wait(cookie), lane.channel.wait(cookie)]);
    expect(results.map(({ status }) => status)).toEqual(['complete', 'complete']);
    expect(results[0]).not.toBe(results[1]);
    expect((await lane.channel.wait(cookie)).bytes).toBe(4096);
  });

  test('a transfer is submitted or discarded once, and nothing else is one', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    const transfer = channel.prepareMemcpy(to.address, from.address, 8);
    channel.discard(transfer);
    expect(messageOf(() => channel.discard(transfer))).toBe(`EINVAL: wq0.0: transfer ${transfer}: is not prepared, or no more`);
    const again = channel.prepareMemcpy(to.address, from.address, 8);
    // The same descriptor, and not the same transfer.
    expect([again & 0xffff, again === transfer]).toEqual([transfer & 0xffff, false]);
    expect(messageOf(() => channel.submit(transfer))).toMatch('EINVAL');
    await channel.wait(channel.submit(again));
    for (const wrong of [again, -1, 1.5, 2 ** 40, Number.NaN])
      expect(
        messageOf(() => channel.submit(wrong)),
        `${wrong}`,
      ).toMatch('EINVAL');
    expect(lane.used).toBe(0);
  });

  test('of a cookie that was never given, or too long ago, nothing is known: ENOENT', async () => {
    await using lane = await Lane.open();
    const { channel } = lane;
    const first = lane.copy();
    await channel.wait(first);
    for (const wrong of [0, -1, first + 1, 0.5, Number.NaN])
      expect(
        messageOf(() => channel.status(wrong)),
        `${wrong}`,
      ).toMatch('ENOENT');
    for (let n = 0; n < 16; n++) await channel.wait(lane.copy(undefined, 8));
    expect(channel.result(first).bytes).toBe(4096);
    for (let n = 0; n < 100; n++) await channel.wait(lane.copy(undefined, 8));
    expect(messageOf(() => channel.result(first))).toBe(`ENOENT: wq0.0: transfer ${first}: never submitted, or too long ago`);
    await expect(channel.wait(first)).rejects.toThrow('ENOENT');
  });

  test('a page fault is EFAULT, tells how far it came, and leaves what is behind alone', async () => {
    await using lane = await Lane.open();
    const { bench, channel, from, wq } = lane;
    const { dma } = bench.system.kernel;
    const pages = dma.pages(wq, 4 * PAGE);
    pages.fill(1);
    const above = dma.map(wq, pages, 'to-device');
    const source = dma.map(wq, pages, 'to-device');
    expect(source.address + 4 * PAGE).toBe(above.address);
    // What is behind it is nobody's now.
    above[Symbol.dispose]();
    const notes = new Notes();
    const cookie = channel.submit(channel.prepareMemcpy(lane.to.address, source.address, 5 * PAGE), notes);
    await expect(channel.wait(cookie)).rejects.toThrow(/^EFAULT: wq0\.0: transfer \d+: status 0x3, page fault: read at 0x/);
    expect(channel.result(cookie)).toMatchObject({ status: 'error', bytes: 4 * PAGE });
    expect(notes.results).toEqual([{ cookie, status: 'error', error: 'EFAULT' }]);
    expect(bytesOf(lane, 2, 4 * PAGE - 1)).toEqual([1, 0]);
    // To the device only: it may not write there.
    const back = channel.submit(channel.prepareMemcpy(source.address, from.address, 64));
    await expect(channel.wait(back)).rejects.toThrow(/EFAULT: .*page fault: write at 0x[0-9a-f]+, after 0 bytes/);
    expect(bench.sim.iommuFaults.length).toBeGreaterThan(0);
    expect(lane.used).toBe(0);
  });

  test('a transfer between mappings is seen where they end', async () => {
    await using lane = await Lane.open();
    const { bench, channel, wq } = lane;
    const { dma } = bench.system.kernel;
    const input = new Uint8Array(100).fill(5);
    const output = new Uint8Array(100);
    {
      using source = dma.map(wq, input, 'to-device');
      using destination = dma.map(wq, output, 'from-device');
      await channel.wait(channel.submit(channel.prepareMemcpy(destination.address, source.address, 100)));
    }
    expect(output).toEqual(input);
    expect(channel.device()).toBe(wq);
  });

  test('what the device refuses has the name that it gives it', async () => {
    await using lane = await Lane.open(WITH_DELTA);
    const { channel, from, to } = lane;
    const outcome = (transfer: number): Promise<string> =>
      channel.wait(channel.submit(transfer)).then(
        () => 'complete',
        (error: unknown) => String(error).replace(/transfer \d+/, 'transfer'),
      );
    expect(await outcome(channel.prepareDualcast(to.address, to.address + 64, from.address, 8))).toContain(
      'EINVAL: wq0.0: transfer: status 0x17, destinations differ in bits 11:0',
    );
    expect(await outcome(channel.prepareCreateDelta(from.address + 1, to.address, 64, to.address + PAGE, 80))).toContain(
      'EINVAL: wq0.0: transfer: status 0x1c, address not aligned',
    );
    expect(await outcome(channel.prepareCreateDelta(from.address, to.address, 64, to.address + PAGE, 72))).toContain(
      'ERANGE: wq0.0: transfer: status 0x15, size of the delta record out of range',
    );
  });
});

describe('IdxdDmaChannel descriptors', () => {
  test('D23 when all are in use prepare is EAGAIN, and who waits goes on when one is free', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    const prepare = (): number => channel.prepareMemcpy(to.address, from.address, 8);
    const all = Array.from({ length: 16 }, prepare);
    expect(messageOf(prepare)).toBe('EAGAIN: wq0.0: all 16 descriptors are in use: await ready()');
    const order: number[] = [];
    const waits = [1, 2].map(async (n) => {
      await channel.ready();
      order.push(n);
    });
    await lane.bench.settle(1000);
    expect(order).toEqual([]);
    channel.discard(all.pop()!);
    await waits[0];
    await lane.bench.settle(1000);
    expect(order).toEqual([1]);
    // The second goes on when a transfer has ended.
    channel.submit(all.pop()!);
    await waits[1];
    expect([order, channel.ready()]).toEqual([[1, 2], undefined]);
    for (const transfer of all) channel.discard(transfer);
    expect(lane.used).toBe(0);
  });

  test('who waits for a descriptor waits 5 seconds, or as long as he says', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    for (let n = 0; n < 16; n++) channel.prepareMemcpy(to.address, from.address, 8);
    const { clock } = lane.bench.sim;
    const before = clock.now();
    await expect(channel.ready(100)).rejects.toThrow('ETIMEDOUT: wq0.0: none of 16 descriptors is free within 100 us');
    expect(clock.now() - before).toBe(100);
    await expect(channel.ready()).rejects.toThrow('within 5000000 us');
  });

  test('as many as there are can be under way', async () => {
    await using lane = await Lane.open(SLOW);
    const notes = new Notes();
    for (let n = 0; n < 16; n++) lane.copy(notes, 10);
    expect(messageOf(() => lane.copy())).toMatch('EAGAIN');
    await lane.bench.settle(1000);
    expect(notes.statuses).toEqual(new Array<string>(16).fill('complete'));
    expect(lane.bench.sim.guestErrors).toEqual([]);
  });

  test('D24 one interrupt stands for all that have ended, and the next one for what a lost one did not tell', async () => {
    await using lane = await Lane.open();
    const { bench, path } = lane;
    const notes = new Notes();
    const total = (): number => bench.system.kernel.irqs.list().find(({ virq }) => virq === path.vector.virq)!.total;
    for (let n = 0; n < 4; n++) lane.copy(notes, 64, POLLED);
    lane.copy(notes, 64, DMA_PREP.INTERRUPT);
    await bench.settle(100);
    expect([total(), notes.statuses]).toEqual([1, new Array<string>(5).fill('complete')]);
    const { interrupts } = bench.silicon;
    const signal = interrupts.signal.bind(interrupts);
    interrupts.signal = () => {};
    lane.copy(notes);
    await bench.settle(100);
    interrupts.signal = signal;
    expect([total(), notes.results.length]).toEqual([1, 5]);
    lane.copy(notes);
    await bench.settle(100);
    expect([total(), notes.results.length]).toEqual([2, 7]);
  });

  test('an interrupt that comes after somebody has looked is not spurious', async () => {
    await using lane = await Lane.open();
    const { bench } = lane;
    const cookie = lane.copy();
    // The device works, and no interrupt is delivered.
    while (lane.channel.status(cookie) === 'in-progress') bench.sim.clock.relax();
    await bench.settle();
    const desc = bench.system.kernel.irqs.list().find(({ virq }) => virq === lane.path.vector.virq)!;
    expect([desc.total, desc.unhandled]).toEqual([1, 0]);
  });

  test('on a host that does not show its memory, records are read word by word', async () => {
    const view = vi.spyOn(HostMemory.prototype, 'view').mockReturnValue(undefined);
    await using lane = await Lane.open();
    view.mockRestore();
    const { channel, from } = lane;
    lane.from.fill(7, 0, 100);
    expect(await channel.wait(lane.copy(undefined, 100))).toMatchObject({ status: 'complete', bytes: 100 });
    const cookie = channel.submit(channel.prepareComparePattern(from.address, 0x0707_0707, 0x0807_0707, 8, POLLED));
    await lane.bench.settle(10);
    expect([channel.status(cookie), channel.result(cookie)]).toMatchObject(['complete', { result: 1, bytes: 7 }]);
  });
});

describe('IdxdDmaChannel.terminate', () => {
  test('aborts what was submitted, and when it is over the device touches no memory for it', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    lane.from.fill(1);
    const notes = new Notes();
    const cookies = [1, 2, 3].map(() => lane.copy(notes, 1000));
    const waits = cookies.map((cookie) => channel.wait(cookie).catch((error: Error) => error.message));
    await bench.settle(500);
    await channel.terminate();
    expect(notes.statuses).toEqual(['aborted', 'aborted', 'aborted']);
    expect((await Promise.all(waits)).map(String)).toEqual(
      cookies.map((cookie) => `ECANCELED: wq0.0: transfer ${cookie}: aborted`),
    );
    await bench.settle(10_000);
    expect([bytesOf(lane, 1), lane.used]).toEqual([[0], 0]);
    expect(await channel.wait(lane.copy(undefined, 8))).toMatchObject({ status: 'complete' });
  });

  test('what has ended has, and what is submitted meanwhile is done', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const done = lane.copy(undefined, 10, POLLED);
    await bench.settle(100);
    const aborted = lane.copy(undefined, 1000);
    const over = channel.terminate();
    const after = lane.copy(undefined, 10);
    expect(channel.synchronize()).toBeInstanceOf(Promise);
    await channel.synchronize();
    expect([channel.status(done), channel.status(aborted)]).toEqual(['complete', 'aborted']);
    await over;
    expect(await channel.wait(after)).toMatchObject({ status: 'complete' });
    expect([channel.terminate(), channel.synchronize()]).toEqual([undefined, undefined]);
  });

  test('twice at a time ends once, and all of it', async () => {
    await using lane = await Lane.open(SLOW);
    const { channel } = lane;
    const notes = new Notes();
    lane.copy(notes, 1000);
    const first = channel.terminate();
    lane.copy(notes, 1000);
    await Promise.all([first, channel.terminate()]);
    expect([notes.statuses, lane.used]).toEqual([['aborted', 'aborted'], 0]);
  });

  test('from within a client, what is told next is told once', async () => {
    await using lane = await Lane.open(SLOW);
    const told: string[] = [];
    let over: unknown;
    for (let n = 0; n < 4; n++) {
      lane.copy(
        {
          transferred: ({ status }) => {
            told.push(status);
            over ??= lane.channel.terminate();
          },
        },
        10,
      );
    }
    await lane.bench.settle(1000);
    await over;
    expect(told).toHaveLength(4);
    expect([told[0], lane.used]).toEqual(['complete', 0]);
  });
});

test('IdxdDmaChannel is what is published, whole', async () => {
  await using lane = await Lane.open();
  expect(lane.bench.part('wq0.0').state).toBeInstanceOf(IdxdDmaChannel);
  expect(lane.channel).not.toBeInstanceOf(IdxdDmaChannel);
  expect(lane.channel.issuePending()).toBeUndefined();
});
