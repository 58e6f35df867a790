import { describe, expect, test } from 'vitest';
import { AddressSpace, CharDevices, type CharFile, POLL, PROT, type Task } from 'backplane';
import { IdxdBench, codeOf } from './idxd-bench.js';

const PAGE = 4096;
const RECORD = 0x1_0000;
const DATA = 0x2_0000;
const RCR = 0xc;

/** A process with a page for records and two of data, and nothing else. */
class Process {
  readonly space: AddressSpace;
  readonly task: Task;
  readonly #base: number;

  constructor(
    readonly bench: IdxdBench,
    name: string,
    capabilities: readonly string[] = ['CAP_SYS_RAWIO'],
  ) {
    this.space = new AddressSpace(name);
    this.task = { name, pid: 42, mm: this.space, capabilities };
    this.#base = bench.sim.dma.alloc(3 * PAGE, { mask: 2 ** 40 - 1 });
    bench.sim.dma.write(this.#base, new Uint8Array(3 * PAGE), 0, 3 * PAGE);
    this.space.map(RECORD, this.#base, PAGE);
    this.space.map(DATA, this.#base + PAGE, 2 * PAGE);
  }

  peek(address: number, length = 1): number[] {
    const out = new Uint8Array(length);
    this.bench.sim.dma.read(this.space.physicalOf(address)!, out, 0, length);
    return [...out];
  }
  poke(address: number, ...bytes: number[]): void {
    this.bench.sim.dma.write(this.space.physicalOf(address)!, Uint8Array.from(bytes), 0, bytes.length);
  }
  end(): void {
    this.bench.sim.dma.free(this.#base);
  }
}

interface Desc {
  readonly op?: number;
  readonly flags?: number;
  readonly pasid?: number;
  readonly record?: number;
  readonly source?: number;
  readonly destination?: number;
  readonly size?: number;
}

function words({ op = 0, flags = RCR, pasid = 0, record = RECORD, source = 0, destination = 0, size = 0 }: Desc): Uint32Array {
  const out = new Uint32Array(16);
  out.set([pasid, ((op << 24) | flags) >>> 0, record, 0, source, 0, destination, 0, size]);
  return out;
}
const bytes = (...descs: Desc[]): Uint8Array => Uint8Array.from(descs.flatMap((desc) => [...new Uint8Array(words(desc).buffer)]));

const USER = { type: 'user', name: 'app', driver_name: 'user' } as const;

class UserBench implements AsyncDisposable {
  readonly #processes: Process[] = [];
  private constructor(readonly bench: IdxdBench) {}

  /** Queues 0 on: dedicated, but for those named. */
  static async start(shared: readonly number[] = [], count = 1, part = {}): Promise<UserBench> {
    const bench = await IdxdBench.start({ pasid: true, ...part });
    for (let wq = 0; wq < count; wq++) {
      await bench.setUp(wq, shared.includes(wq) ? { ...USER, mode: 'shared', threshold: 4 } : USER);
    }
    await bench.must(bench.bind('dsa0'), 'dsa0');
    for (let wq = 0; wq < count; wq++) await bench.must(bench.bind(`wq0.${wq}`, 'user'), `wq0.${wq}`);
    return new UserBench(bench);
  }

  process(name: string, capabilities?: readonly string[]): Process {
    const made = new Process(this.bench, name, capabilities);
    this.#processes.push(made);
    return made;
  }
  async open(process: Process, wq = 0): Promise<CharFile> {
    return this.bench.system.get(CharDevices, `dsa/wq0.${wq}`).open(process.task);
  }
  pasid(wq = 0): number {
    return (this.bench.r32(0x800 + 32 * wq + 8) >>> 8) & 0xf_ffff;
  }
  settle(us = 1000): Promise<void> {
    return this.bench.settle(us);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench.unbind('dsa0');
    for (const process of this.#processes) process.end();
    await this.bench[Symbol.asyncDispose]();
  }
}

describe('7.5 a dedicated queue', () => {
  test('work of its opener is done in his memory, by write and by the portal', async () => {
    await using user = await UserBench.start();
    const a = user.process('a');
    const file = await user.open(a);
    a.poke(DATA, 1, 2, 3, 4);
    expect(await file.write(bytes({ op: 3, source: DATA, destination: DATA + PAGE, size: 4 }, { record: RECORD + 32 }))).toBe(
      128,
    );
    await user.settle();
    expect([a.peek(RECORD), a.peek(RECORD + 32), a.peek(DATA + PAGE, 4)]).toEqual([[1], [1], [1, 2, 3, 4]]);
    const portal = file.mmap({ sizeBytes: PAGE });
    portal.movdir64b(0xfc0, words({ op: 4, source: 9, destination: DATA, size: 1, record: RECORD + 64 }));
    await user.settle();
    expect([a.peek(RECORD + 64), a.peek(DATA)]).toEqual([[1], [9]]);
    await file.close();
  });

  test('it has one opener, whose PASID it gets and loses', async () => {
    await using user = await UserBench.start();
    const [a, b] = [user.process('a'), user.process('b')];
    expect(user.pasid()).toBe(0);
    const file = await user.open(a);
    const pasid = user.pasid();
    expect([pasid > 0, user.bench.cat('wq0.0/clients'), await codeOf(() => user.open(b))]).toEqual([true, '1', 'EBUSY']);
    expect(file.device.attributes.read('pid').trim()).toBe('42');
    expect([file.device.attributes.read('cr_faults').trim(), file.device.attributes.read('cr_fault_failures').trim()]).toEqual([
      '0',
      '0',
    ]);
    await file.close();
    expect([user.pasid(), user.bench.cat('wq0.0/clients')]).toEqual([0, '0']);
    const other = await user.open(b);
    expect(user.pasid()).toBeGreaterThan(0);
    await other.close();
  });

  test('what another process has is out of reach: memory, file and portal', async () => {
    await using user = await UserBench.start([], 2);
    const [a, b] = [user.process('a'), user.process('b')];
    const [mine, theirs] = [await user.open(a, 0), await user.open(b, 1)];
    b.poke(DATA, 0x77);
    // Another PASID in the descriptor changes nothing; addresses mean his own memory.
    await mine.write(bytes({ op: 4, source: 0x55, destination: DATA, size: 1, pasid: user.pasid(1) }));
    await user.settle();
    expect([a.peek(DATA), b.peek(DATA)]).toEqual([[0x55], [0x77]]);
    const shared = mine.share(b.task);
    expect([await codeOf(() => shared.write(bytes({}))), await codeOf(() => shared.mmap({ sizeBytes: PAGE }))]).toEqual([
      'EPERM',
      'EPERM',
    ]);
    expect(shared.poll() & POLL.NVAL).toBe(POLL.NVAL);
    // Beyond the page of the portal nothing is written, to no queue.
    const portal = mine.mmap({ sizeBytes: PAGE, offset: 0x5000 });
    await codeOf(() => portal.movdir64b(0x4000, words({ op: 4, source: 0x66, destination: DATA, size: 1 })));
    await codeOf(() => portal.movdir64b(0x1000, words({ op: 4, source: 0x66, destination: DATA, size: 1 })));
    await user.settle();
    expect([a.peek(DATA), b.peek(DATA)]).toEqual([[0x55], [0x77]]);
    await shared.close();
    await mine.close();
    expect(await codeOf(() => portal.movdir64b(0, words({})))).toBe('ENODEV');
    await theirs.close();
  });

  test('D17 one page, shared, for who may', async () => {
    await using user = await UserBench.start();
    const [a, weak] = [user.process('a'), user.process('weak', [])];
    const file = await user.open(a);
    const map = (request: Parameters<CharFile['mmap']>[0]): Promise<string> => codeOf(() => file.mmap(request));
    expect([
      await map({ sizeBytes: PAGE }),
      await map({ sizeBytes: 2 * PAGE }),
      await map({ sizeBytes: PAGE, shared: false }),
    ]).toEqual(['ok', 'EINVAL', 'EINVAL']);
    await file.close();
    expect(await codeOf(() => file.write(bytes({})))).toBe('EBADF');
    const other = await user.open(weak);
    expect(await codeOf(() => other.mmap({ sizeBytes: PAGE }))).toBe('EPERM');
    expect(await other.write(bytes({}))).toBe(64);
    await user.settle();
    expect(weak.peek(RECORD)).toEqual([1]);
    await other.close();
  });

  test('what is written must be single descriptors with aligned records', async () => {
    await using user = await UserBench.start();
    const a = user.process('a');
    const file = await user.open(a);
    expect(await codeOf(() => file.write(bytes({ op: 1, source: DATA, size: 2 })))).toBe('EINVAL');
    expect(await codeOf(() => file.write(bytes({ record: RECORD + 16 })))).toBe('EINVAL');
    expect(await file.write(bytes({}, { op: 1, size: 2 }))).toBe(64);
    await file.close();
  });

  test('closing waits for the work that is under way', async () => {
    await using user = await UserBench.start([], 1, { descriptorUs: 500 });
    const a = user.process('a');
    const file = await user.open(a);
    await file.write(bytes({ op: 4, source: 1, destination: DATA, size: 1 }));
    await file.close();
    expect([a.peek(RECORD), a.peek(DATA)]).toEqual([[1], [1]]);
  });
});

describe('7.5 a shared queue', () => {
  test('M50 many openers, each in his own memory', async () => {
    await using user = await UserBench.start([0]);
    const people = ['a', 'b', 'c'].map((name) => user.process(name));
    const files = await Promise.all(people.map((one) => user.open(one)));
    expect(user.bench.cat('wq0.0/clients')).toBe('3');
    for (const [i, file] of files.entries()) {
      expect(
        file
          .mmap({ sizeBytes: PAGE })
          .enqcmd(0, words({ op: 4, source: 0x10 + i, destination: DATA, size: 1, pasid: 0x8000_0001 })),
      ).toBe(false);
      await file.write(bytes({ record: RECORD + 32 }));
      await user.settle();
    }
    expect(people.map((one) => [...one.peek(DATA), ...one.peek(RECORD), ...one.peek(RECORD + 32)])).toEqual([
      [0x10, 1, 1],
      [0x11, 1, 1],
      [0x12, 1, 1],
    ]);
    for (const file of files) await file.close();
  });

  test('M54 closing drains one opener and leaves the others alone', async () => {
    await using user = await UserBench.start([0], 1, { descriptorUs: 500 });
    const [a, b] = [user.process('a'), user.process('b')];
    const [one, other] = [await user.open(a), await user.open(b)];
    await one.write(bytes({}));
    await other.write(bytes({}));
    await one.close();
    expect(a.peek(RECORD)).toEqual([1]);
    await user.settle(2000);
    expect(b.peek(RECORD)).toEqual([1]);
    await other.write(bytes({ record: RECORD + 32 }));
    await user.settle(2000);
    expect(b.peek(RECORD + 32)).toEqual([1]);
    await other.close();
  });

  test('D22 without room EAGAIN, or how much was taken', async () => {
    await using user = await UserBench.start([0], 1, { descriptorUs: 1_000_000 });
    const a = user.process('a');
    const file = await user.open(a);
    await user.bench.must(user.bench.echo(0, 'wq0.0/enqcmds_retries'), 'retries');
    expect(await file.write(bytes({}, {}, {}, {}, {}, {}))).toBe(4 * 64);
    expect(await codeOf(() => file.write(bytes({})))).toBe('EAGAIN');
    await file.close();
  });
});

describe('7.4 7.5 errors of users', () => {
  const bad: Desc = { op: 0x0b, flags: 0 };

  test('D19 wake the users of that queue, and stay readable until they are read', async () => {
    await using user = await UserBench.start([], 2, { eventLog: 0 });
    const [a, b] = [user.process('a'), user.process('b')];
    const [mine, theirs] = [await user.open(a, 0), await user.open(b, 1)];
    expect(mine.poll()).toBe(0);
    const woken = mine.wait(POLL.IN);
    await mine.write(bytes(bad));
    await user.settle();
    expect([await woken, mine.poll() & POLL.IN, theirs.poll()]).toEqual([POLL.IN, POLL.IN, 0]);
    expect(user.bench.r32(0xc0) & 3).toBe(0);
    const error = new Uint8Array(32);
    expect([await mine.read(error), error[1], error[2], error[4]]).toEqual([32, 0x10, 0, 0x0b]);
    expect([mine.poll(), await codeOf(() => mine.read(error))]).toEqual([0, 'EAGAIN']);
    await mine.close();
    await theirs.close();
  });

  test('a record on a page that is missing comes by the log, where the process gets the page', async () => {
    await using user = await UserBench.start();
    const a = user.process('a');
    const page = user.bench.sim.dma.alloc(PAGE, { mask: 2 ** 40 - 1 });
    const lazy = new AddressSpace('lazy', {
      onPageFault: (space, address) => {
        if (address >>> 12 !== 0x300) return false;
        space.map(0x30_0000, page, PAGE, PROT.READ | PROT.WRITE);
        return true;
      },
    });
    const file = await user.bench.system.get(CharDevices, 'dsa/wq0.0').open({ ...a.task, mm: lazy });
    await file.write(bytes({ record: 0x30_0040 }));
    await user.settle();
    const out = new Uint8Array(1);
    const paddr = lazy.physicalOf(0x30_0040);
    if (paddr !== undefined) user.bench.sim.dma.read(paddr, out, 0, 1);
    const faults = file.device.attributes.read('cr_faults').trim();
    expect([out[0], faults, file.device.attributes.read('cr_fault_failures').trim()]).toEqual([1, '1', '0']);
    await file.write(bytes({ record: 0x40_0000 }));
    await user.settle();
    expect(file.device.attributes.read('cr_fault_failures').trim()).toBe('1');
    await file.close();
    user.bench.sim.dma.free(page);
  });

  test('D25 after a halt writing is EIO or ENODEV, and nobody waits for ever', async () => {
    await using user = await UserBench.start();
    const file = await user.open(user.process('a'));
    const waiting = codeOf(() => file.wait(POLL.IN));
    user.bench.pins().halt('cold');
    await user.settle();
    expect([await waiting, await codeOf(() => file.write(bytes({})))]).toEqual(['ok', 'EIO']);
    expect(file.poll() & POLL.ERR).toBe(POLL.ERR);
    await file.close();
  });

  test('unbinding the queue ends its files', async () => {
    await using user = await UserBench.start();
    const file = await user.open(user.process('a'));
    const portal = file.mmap({ sizeBytes: PAGE });
    expect(await user.bench.unbind('wq0.0', 'user')).toBe('ok');
    expect([await codeOf(() => file.write(bytes({}))), await codeOf(() => portal.movdir64b(0, words({})))]).toEqual([
      'ENODEV',
      'ENODEV',
    ]);
    expect(user.bench.has('wq0.0')).toBe(true);
    await file.close();
  });
});
