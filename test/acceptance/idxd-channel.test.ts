import { describe, expect, test } from 'vitest';
import { type DmaChannel, type DmaClient, DmaChannels, type DmaResult, DMA_PREP } from 'backplane';
import { IdxdBench, bytesOf, codeOf } from './idxd-bench.js';

/** Takes down what it is told; results do not outlive the call. */
class Notes implements DmaClient {
  readonly told: { cookie: number; status: string }[] = [];
  transferred({ cookie, status }: DmaResult): void {
    this.told.push({ cookie, status });
  }
}

describe('the channel of a queue', () => {
  test('is there while its queue is enabled, and says what it can do', async () => {
    await using bench = await IdxdBench.start();
    expect(bench.system.list(DmaChannels)).toEqual([]);
    const channel = await bench.channel(0, { max_transfer_size: 65536, size: 10 });
    const { operations, maxTransferBytes, depth } = channel.capabilities();
    expect([maxTransferBytes, depth, channel.device().name]).toEqual([65536, 10, 'wq0.0']);
    expect([...operations].toSorted()).toEqual(
      ['compare', 'compare-pattern', 'copy-crc', 'crc', 'dualcast', 'fill', 'interrupt', 'memcpy'].toSorted(),
    );
    await bench.unbind('wq0.0', 'dmaengine');
    expect(bench.system.list(DmaChannels)).toEqual([]);
    expect(await codeOf(() => channel.capabilities())).toBe('ENODEV');
  });

  test('a part that makes deltas has them, too; a queue that allows less has less', async () => {
    await using bench = await IdxdBench.start({ delta: true, opConfig: true });
    const full = await bench.channel();
    expect([full.capabilities().operations.has('create-delta'), full.capabilities().operations.has('apply-delta')]).toEqual([
      true,
      true,
    ]);
    await bench.unbind('dsa0');
    const less = await bench.channel(1, { op_config: '9' });
    expect([...less.capabilities().operations].toSorted()).toEqual(['interrupt', 'memcpy']);
    expect(await codeOf(() => less.prepareFill(0x1000, 0, 0, 8))).toBe('EOPNOTSUPP');
  });
});

describe('operations', () => {
  test('memory is copied, filled and copied twice', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const [from, to] = [bench.memory(channel, 0x3000, 7), bench.memory(channel, 0x4000)];
    const run = (transfer: number): Promise<DmaResult> => channel.wait(channel.submit(transfer));
    expect(await run(channel.prepareMemcpy(to.address + 5, from.address + 1, 0x2001))).toMatchObject({
      status: 'complete',
      bytes: 0x2001,
      error: undefined,
    });
    expect(bytesOf(to, 0x2001, 5)).toEqual(bytesOf(from, 0x2001, 1));
    await run(channel.prepareFill(to.address, 0x0403_0201, 0x0807_0605, 12));
    expect([...bytesOf(to, 12)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4]);
    await run(channel.prepareDualcast(to.address, to.address + 0x2000, from.address, 0x1000));
    expect([bytesOf(to, 0x1000), bytesOf(to, 0x1000, 0x2000)]).toEqual([bytesOf(from, 0x1000), bytesOf(from, 0x1000)]);
  });

  test('memory is compared', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const [one, other] = [bench.memory(channel, 4096), bench.memory(channel, 4096)];
    const run = async (transfer: number): Promise<[result: number, bytes: number]> => {
      const { result, bytes } = await channel.wait(channel.submit(transfer));
      return [result, bytes];
    };
    expect(await run(channel.prepareCompare(one.address, other.address, 4096))).toEqual([0, 4096]);
    other.write(777, Uint8Array.of(1));
    expect(await run(channel.prepareCompare(one.address, other.address, 4096))).toEqual([1, 777]);
    expect(await run(channel.prepareComparePattern(other.address, 0, 0, 4096))).toEqual([1, 777]);
    expect(await run(channel.prepareComparePattern(one.address, 0, 0, 4096))).toEqual([0, 4096]);
  });

  test('checksums go on from one piece to the next', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const [text, copy] = [bench.memory(channel, 64), bench.memory(channel, 64)];
    text.write(
      0,
      Uint8Array.from({ length: 9 }, (_, i) => 0x31 + i),
    );
    const run = async (transfer: number): Promise<number> => (await channel.wait(channel.submit(transfer))).value;
    expect(await run(channel.prepareCrc(text.address, 9, 0))).toBe(0xe306_9283);
    const part = await run(channel.prepareCrc(text.address, 5, 0));
    expect(await run(channel.prepareCopyCrc(copy.address, text.address + 5, 4, part))).toBe(0xe306_9283);
    expect([...bytesOf(copy, 5)]).toEqual([0x36, 0x37, 0x38, 0x39, 0]);
  });

  test('deltas', async () => {
    await using bench = await IdxdBench.start({ delta: true });
    const channel = await bench.channel();
    const [one, other, record] = [bench.memory(channel, 4096), bench.memory(channel, 4096), bench.memory(channel, 4096)];
    other.write(80, Uint8Array.of(1, 2, 3));
    const run = (transfer: number): Promise<DmaResult> => channel.wait(channel.submit(transfer));
    expect(await run(channel.prepareCreateDelta(one.address, other.address, 4096, record.address, 80))).toMatchObject({
      result: 1,
      value: 10,
    });
    await run(channel.prepareApplyDelta(one.address, 4096, record.address, 10));
    expect(bytesOf(one)).toEqual(bytesOf(other));
  });

  test('what no device could do is refused before it gets there', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel(0, { max_transfer_size: 4096 });
    const codes = await Promise.all(
      [
        () => channel.prepareMemcpy(0x1000, 0x2000, 0),
        () => channel.prepareMemcpy(0x1000, 0x2000, 4097),
        () => channel.prepareMemcpy(-1, 0x2000, 8),
        () => channel.prepareFill(2 ** 60, 0, 0, 8),
        () => channel.prepareCrc(0x1000, 1.5, 0),
        () => channel.prepareCreateDelta(0, 0, 8, 0, 80),
        () => channel.submit(12345),
        () => channel.status(1),
      ].map((fn) => codeOf(fn)),
    );
    expect(codes).toEqual(['ERANGE', 'ERANGE', 'ERANGE', 'ERANGE', 'ERANGE', 'EOPNOTSUPP', 'EINVAL', 'ENOENT']);
  });
});

describe('errors', () => {
  test('a page that is not there is EFAULT, with how far it came; the next is as if nothing had been', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const [from, hole, to] = [bench.memory(channel, 4096, 3), bench.memory(channel, 4096), bench.memory(channel, 4096)];
    expect(to.address + 4096).toBe(hole.address);
    hole[Symbol.dispose]();
    bench.system.kernel.dma.flush();
    const notes = new Notes();
    const cookie = channel.submit(channel.prepareMemcpy(to.address + 4096 - 100, from.address, 4096), notes);
    expect(await codeOf(() => channel.wait(cookie))).toBe('EFAULT');
    expect([channel.result(cookie), notes.told]).toMatchObject([{ status: 'error', bytes: 100 }, [{ cookie, status: 'error' }]]);
    expect(bytesOf(to, 100, 3996)).toEqual(bytesOf(from, 100));
    expect((await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, 4096)))).status).toBe('complete');
    expect(bench.sim.iommuFaults.length).toBeGreaterThan(0);
  });

  test('one that takes too long is ETIMEDOUT, and ends all the same', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 1000 });
    const channel = await bench.channel();
    const cookie = channel.submit(channel.prepareInterrupt());
    expect(await codeOf(() => channel.wait(cookie, 100))).toBe('ETIMEDOUT');
    expect((await channel.wait(cookie)).status).toBe('complete');
  });
});

describe('how ends are told', () => {
  test('D24 one interrupt for several, each client told once and in order', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const notes = new Notes();
    const cookies = [0, 1, 2, 3].map(() => channel.submit(channel.prepareInterrupt(0), notes));
    cookies.push(channel.submit(channel.prepareInterrupt(DMA_PREP.INTERRUPT), notes));
    await bench.settle(100);
    expect(notes.told).toEqual(cookies.map((cookie) => ({ cookie, status: 'complete' })));
  });

  test('D24 without an interrupt who looks finds it', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel();
    const notes = new Notes();
    const cookie = channel.submit(channel.prepareInterrupt(0), notes);
    expect(channel.status(cookie)).toBe('in-progress');
    await bench.settle(100);
    expect([notes.told.length, channel.status(cookie), notes.told.length]).toEqual([0, 'complete', 1]);
    expect([channel.status(cookie), notes.told.length]).toEqual(['complete', 1]);
  });

  test('a client may submit from where it is told, and what it throws reaches nobody', async () => {
    await using bench = await IdxdBench.start();
    const channel = await bench.channel(0, { size: 2 });
    let left = 20;
    const client: DmaClient = {
      transferred: () => {
        if (left-- > 0) channel.submit(channel.prepareInterrupt(), client);
        else throw new Error('enough');
      },
    };
    channel.submit(channel.prepareInterrupt(), client);
    await bench.settle(10_000);
    expect(left).toBe(-1);
    expect((await channel.wait(channel.submit(channel.prepareInterrupt()))).status).toBe('complete');
  });
});

describe('descriptors', () => {
  test('D23 all in use is EAGAIN for who does not wait; who waits has one when one is free', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 100 });
    const channel = await bench.channel(0, { size: 4 });
    const taken = [0, 1, 2, 3].map(() => channel.prepareInterrupt());
    expect(await codeOf(() => channel.prepareInterrupt())).toBe('EAGAIN');
    let isReady = false;
    const ready = Promise.resolve(channel.ready()).then(() => (isReady = true));
    await bench.settle();
    expect(isReady).toBe(false);
    channel.discard(taken[0]!);
    await ready;
    expect([await codeOf(() => channel.discard(taken[0]!)), await codeOf(() => channel.submit(taken[0]!))]).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
    const cookies = [...taken.slice(1), channel.prepareInterrupt()].map((transfer) => channel.submit(transfer));
    await Promise.all(cookies.map((cookie) => channel.wait(cookie)));
  });

  test('D22 a shared queue that never has room is EAGAIN, and its descriptor is free again', async () => {
    await using bench = await IdxdBench.start({ pasid: true });
    const channel = await bench.channel(0, { mode: 'shared', threshold: 2, enqcmds_retries: 5 });
    let asked = 0;
    const { portals } = bench.pins();
    const enqcmd = portals.enqcmd.bind(portals);
    portals.enqcmd = () => (asked++, true);
    for (let i = 0; i < 5; i++) {
      const transfer = channel.prepareInterrupt();
      expect(await codeOf(() => channel.submit(transfer))).toBe('EAGAIN');
    }
    expect(asked).toBe(5 * 6);
    portals.enqcmd = enqcmd;
    expect((await channel.wait(channel.submit(channel.prepareInterrupt()))).status).toBe('complete');
  });

  test('terminate: what was under way is aborted, its memory is left alone, and the channel goes on', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 100 });
    const channel = await bench.channel();
    const [from, to] = [bench.memory(channel, 64, 5), bench.memory(channel, 1024)];
    const notes = new Notes();
    const cookies = Array.from({ length: 8 }, (_, i) =>
      channel.submit(channel.prepareMemcpy(to.address + 64 * i, from.address, 64), notes),
    );
    const waiting = codeOf(() => channel.wait(cookies[7]!));
    await bench.settle(0);
    await channel.terminate();
    await channel.synchronize();
    const ended = notes.told.length;
    expect([ended, await waiting]).toEqual([8, expect.not.stringMatching(/^ok$/)]);
    const image = bytesOf(to);
    await bench.settle(10_000);
    expect([bytesOf(to), notes.told.length]).toEqual([image, 8]);
    expect(notes.told.filter(({ status }) => status === 'aborted').length).toBeGreaterThan(0);
    expect((await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, 64)))).status).toBe('complete');
  });

  test('unbinding with work under way ends it, and tells', async () => {
    await using bench = await IdxdBench.start({ descriptorUs: 100 });
    const channel = await bench.channel();
    const notes = new Notes();
    for (let i = 0; i < 5; i++) channel.submit(channel.prepareInterrupt(), notes);
    expect(await bench.unbind('wq0.0', 'dmaengine')).toBe('ok');
    expect(notes.told.length).toBe(5);
    expect(await codeOf(() => channel.prepareInterrupt())).toBe('ENODEV');
  });
});

describe('completion by MSI-X and by the message store', () => {
  async function copyAll(bench: IdxdBench, channels: readonly DmaChannel[]): Promise<void> {
    for (const [i, channel] of channels.entries()) {
      const [from, to] = [bench.memory(channel, 4096, i + 1), bench.memory(channel, 4096)];
      await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, 4096)));
      expect(bytesOf(to)).toEqual(bytesOf(from));
    }
  }

  test.each(['msix', 'ims'] as const)('all queues by %s', async (interrupts) => {
    await using bench = await IdxdBench.start({}, { interrupts });
    const channels = await bench.channels([0, 1, 2, 3, 4, 5, 6, 7]);
    await copyAll(bench, channels);
    const used = Array.from({ length: 10 }, (_, n) => bench.r32(0x8000 + 16 * n + 12) & 1);
    expect(used.filter((masked) => masked === 0).length).toBe(interrupts === 'ims' ? 8 : 0);
  });

  test('D8 a slot that is given back is used again, and the others keep theirs', async () => {
    await using bench = await IdxdBench.start({}, { interrupts: 'ims' });
    await bench.setUp(3);
    const channels = await bench.channels([0, 1, 2]);
    const slots = (): number[] => [0, 1, 2, 3].map((n) => bench.r32(0x8000 + 16 * n + 12) & 1);
    const words = (n: number): number[] => [0, 4, 8, 12].map((at) => bench.r32(0x8000 + 16 * n + at));
    const [first, third] = [words(0), words(2)];
    expect(slots()).toEqual([0, 0, 0, 1]);
    await bench.unbind('wq0.1', 'dmaengine');
    expect([slots(), words(1)]).toEqual([
      [0, 1, 0, 1],
      [0, 0, 0, 1],
    ]);
    channels[1] = await bench.open(3);
    expect([slots(), words(0), words(2)]).toEqual([[0, 0, 0, 1], first, third]);
    await copyAll(bench, channels);
  });

  test('128 queues in 64 groups: as many as there are messages interrupt by those, the others by the store', async () => {
    await using bench = await IdxdBench.start({ workQueues: 128, engines: 64, groups: 64, wqSizeTotal: 256, msixVectors: 65 });
    for (let n = 0; n < 64; n++) await bench.echo(n, `engine0.${n}/group_id`);
    for (let n = 0; n < 128; n++) {
      const lines = {
        group_id: n >>> 1,
        mode: 'dedicated',
        size: 2,
        priority: 1,
        type: 'kernel',
        name: 'q',
        driver_name: 'dmaengine',
      };
      for (const [name, value] of Object.entries(lines)) await bench.must(bench.echo(value, `wq0.${n}/${name}`), name);
    }
    expect(await bench.bind('dsa0')).toBe('ok');
    const channels: DmaChannel[] = [];
    for (let n = 0; n < 128; n++) channels.push(await bench.open(n));
    const results = await Promise.all(channels.map((channel) => channel.wait(channel.submit(channel.prepareInterrupt()))));
    expect(results.every(({ status }) => status === 'complete')).toBe(true);
    const used = Array.from({ length: 128 }, (_, n) => bench.r32(0x8000 + 16 * n + 12) & 1).filter((masked) => masked === 0);
    expect(used).toHaveLength(64);
    // Queue 127 is in the second word of its group's bitmap, and the last of its block of 16.
    expect([await bench.unbind('wq0.127', 'dmaengine'), bench.cat('wq0.126/state'), bench.cat('wq0.127/state')]).toEqual([
      'ok',
      'enabled',
      'disabled',
    ]);
  });

  test('D3 with fewer messages than queues the others are served by the store', async () => {
    await using bench = await IdxdBench.start({ msixVectors: 2 });
    const channels = await bench.channels([0, 5]);
    await copyAll(bench, channels);
    expect(bench.r32(0x8000 + 12) & 1).toBe(0);
  });

  test('M52 with address spaces the queue works in that of the kernel, and its message is for it alone', async () => {
    await using bench = await IdxdBench.start({ pasid: true });
    const channel = await bench.channel();
    const pasid = bench.idxd.systemPasid!;
    expect([bench.cat('dsa0/pasid_enabled'), pasid > 0]).toEqual(['1', true]);
    expect([(bench.r32(0x808) >>> 8) & 0x10_ffff, bench.r32(0x308) >>> 0]).toEqual([
      0x10_0000 | pasid,
      ((pasid << 12) | 8) >>> 0,
    ]);
    await copyAll(bench, [channel]);
    await bench.unbind('wq0.0', 'dmaengine');
    expect(bench.r32(0x308)).toBe(0);
  });

  test('D10 in the store, the slot of its queue names the PASID of the kernel; at the end it is masked and empty', async () => {
    await using bench = await IdxdBench.start({ pasid: true }, { interrupts: 'ims' });
    const channel = await bench.channel();
    const pasid = bench.idxd.systemPasid!;
    expect(bench.r32(0x800c)).toBe(((pasid << 12) | 8) >>> 0);
    await copyAll(bench, [channel]);
    await bench.unbind('wq0.0', 'dmaengine');
    expect([0, 4, 8, 12].map((at) => bench.r32(0x8000 + at))).toEqual([0, 0, 0, 1]);
  });
});
