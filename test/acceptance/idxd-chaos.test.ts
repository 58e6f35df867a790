import { describe, expect, test } from 'vitest';
import {
  AddressSpace,
  CharDevices,
  type CharFile,
  type DmaBuffer,
  DmaChannels,
  Errno,
  EventFd,
  Random,
  VFIO_PCI_IRQ,
} from 'backplane';
import { SubDevice } from 'backplane/plugins/idxd';
import { IdxdBench, codeOf } from './idxd-bench.js';

const PAGE = 4096;
const AT = 0x1_0000;
const QUEUES = 6;
const KINDS = ['dmaengine', 'user', 'mdev'] as const;
const TYPES = { dmaengine: 'kernel', user: 'user', mdev: 'mdev' } as const;
/** What may come of an operation in the middle of all this; anything else is a bug. */
const EXPECTED = new Set([
  'ok',
  'EBUSY',
  'ENXIO',
  'ENODEV',
  'EPERM',
  'EINVAL',
  'EIO',
  'EAGAIN',
  'EUSERS',
  'EEXIST',
  'ENOENT',
  'EBADF',
  'ETIMEDOUT',
  'ECANCELED',
  'EOPNOTSUPP',
  'EFAULT',
  'ENOSPC',
]);

/** Everything that can be done with an accelerator, in any order. */
class Chaos {
  readonly codes: string[] = [];
  readonly rules: string[] = [];
  readonly #pending: Promise<unknown>[] = [];
  readonly #files: CharFile[] = [];
  readonly #parts: SubDevice[] = [];
  readonly #guard: number;
  readonly #memory: number;
  readonly #space = new AddressSpace('everybody');

  constructor(
    readonly bench: IdxdBench,
    readonly random: Random,
  ) {
    bench.system.core.violations.on(({ rule, text }) => this.rules.push(`${rule}: ${text}`));
    // A page for the work of users, and beside it one that is nobody's.
    this.#memory = bench.sim.dma.alloc(2 * PAGE, { mask: 2 ** 40 - 1, alignBytes: 2 * PAGE });
    this.#guard = this.#memory + PAGE;
    bench.sim.dma.write(this.#memory, new Uint8Array(2 * PAGE).fill(0xa5), 0, 2 * PAGE);
    this.#space.map(AT, this.#memory, PAGE);
  }

  #do(what: () => unknown): void {
    this.#pending.push(codeOf(what).then((code) => this.codes.push(code)));
  }
  #pick<T>(of: readonly T[]): T | undefined {
    return of.length === 0 ? undefined : of[this.random.below(of.length)];
  }

  step(): void {
    const { bench, random } = this;
    const wq = random.below(QUEUES);
    const name = `wq0.${wq}`;
    const kind = KINDS[random.below(KINDS.length)]!;
    const { kernel } = bench.system;
    switch (random.below(14)) {
      case 0:
      case 1:
        return this.#do(async () => {
          await bench.echo(0, 'engine0.0/group_id');
          const isShared = random.below(3) === 0;
          const lines = {
            group_id: 0,
            mode: isShared ? 'shared' : 'dedicated',
            size: 4,
            priority: 1 + random.below(15),
            type: TYPES[kind],
            name: 'n',
            driver_name: kind,
          };
          for (const [key, value] of Object.entries(lines)) await bench.echo(value, `${name}/${key}`);
          if (isShared) await bench.echo(4, `${name}/threshold`);
        });
      case 2:
        return this.#do(() => settled(bench.bind('dsa0')));
      case 3:
      case 4:
        return this.#do(() => settled(bench.bind(name, bench.cat(`${name}/driver_name`) || 'dmaengine')));
      case 5:
        return this.#do(() => settled(bench.unbind(name, bench.dev(name).driver?.name ?? 'user')));
      case 6:
        return random.below(3) === 0 ? this.#do(() => settled(bench.unbind('dsa0'))) : undefined;
      case 7:
      case 8:
        return this.#do(() => this.#copy());
      case 9:
        return this.#do(async () => {
          const found = this.#pick(bench.system.list(CharDevices));
          if (found !== undefined)
            this.#files.push(await found[1].open({ name: 'somebody', mm: this.#space, capabilities: ['CAP_SYS_RAWIO'] }));
        });
      case 10:
        return this.#do(async () => {
          const file = this.#pick(this.#files);
          if (file === undefined) return;
          if (random.below(2) === 0) await file.write(new Uint8Array(fill(random).buffer));
          else await file.close();
        });
      case 11:
        return this.#do(async () => {
          const parent = this.#pick(kernel.mdev.parents);
          if (parent === undefined) return;
          const uuid = `00000000-0000-4000-8000-${random
            .below(2 ** 32)
            .toString(16)
            .padStart(12, '0')}`;
          await kernel.mdev.create(this.#pick(parent.types)!, uuid);
          const container = kernel.vfio.container(this.#space);
          const part = await SubDevice.open(kernel.vfio, uuid, container);
          this.#parts.push(part);
          // Who is asked for it, gives it up.
          const request = new EventFd('request');
          part.file.setIrqs({ index: VFIO_PCI_IRQ.REQ, action: 'trigger', start: 0, count: 1, eventfds: [request] });
          request.listen(() => this.#do(() => part[Symbol.asyncDispose]()));
          container.map({ iova: AT, vaddr: AT, sizeBytes: PAGE, read: true, write: true });
          await part.enable();
        });
      case 12:
        return this.#do(async () => {
          const part = this.#pick(this.#parts);
          if (part === undefined) return;
          const way = random.below(4);
          if (way === 0) await part[Symbol.asyncDispose]();
          else if (way === 1) await part.file.reset();
          else part.submit(fill(random, part.handle));
        });
      default: {
        const way = random.below(12);
        if (way === 0) bench.pins().halt(random.below(2) === 0 ? 'software' : 'flr');
        else if (way < 3) bench.pins().revokeHandles();
        else this.#do(() => this.bench.system.list(DmaChannels).map(([, channel]) => channel.terminate())[0]);
      }
    }
  }

  async #copy(): Promise<void> {
    const channel = this.#pick(this.bench.system.list(DmaChannels))?.[1];
    if (channel === undefined) return;
    const { dma } = this.bench.system.kernel;
    const [from, to]: DmaBuffer[] = [dma.alloc(channel.device(), PAGE), dma.alloc(channel.device(), PAGE)];
    from!.fill(this.random.below(255) + 1);
    const { status } = await channel.wait(channel.submit(channel.prepareMemcpy(to!.address, from!.address, PAGE)));
    if (status === 'complete' && to!.read32(4092) !== from!.read32(4092)) throw new RangeError('copied wrongly');
    from![Symbol.dispose]();
    to![Symbol.dispose]();
  }

  /** Everybody leaves. @returns slots of the store that are in use, and bytes that were nobody's and are changed: none of either */
  async end(): Promise<[slots: number, bytes: number]> {
    const { bench } = this;
    for (const file of this.#files) this.#do(() => file.close());
    for (const part of this.#parts) this.#do(() => part[Symbol.asyncDispose]());
    await Promise.all(this.#pending);
    await bench.settle(2_000_000);
    await Promise.all(this.#pending);
    await bench.unbind('dsa0');
    let slots = 0;
    for (let n = 0; n < 256; n++) slots += 1 - (bench.r32(0x8000 + 16 * n + 12) & 1);
    const guard = new Uint8Array(PAGE);
    bench.sim.dma.read(this.#guard, guard, 0, PAGE);
    bench.sim.dma.free(this.#memory);
    await bench.system.stop();
    return [slots, guard.filter((byte) => byte !== 0xa5).length];
  }
}

/** The code of what gives a code. */
async function settled(code: Promise<string>): Promise<void> {
  const given = await code;
  if (given !== 'ok') throw new Errno(given as 'EIO', 'in the middle of it');
}

function fill(random: Random, handle?: number): Uint32Array {
  const out = new Uint32Array(16);
  const size = random.below(8) === 0 ? 2 * PAGE : 64;
  out.set([
    0,
    handle === undefined ? 0x0400_000c : 0x0400_001c,
    AT + 32 * random.below(8),
    0,
    0x5a,
    0,
    AT + 0x400,
    0,
    size,
    handle ?? 0,
  ]);
  return out;
}

describe('anything, in any order', () => {
  async function run(seed: number, isPulled: boolean): Promise<[slots: number, bytes: number]> {
    const random = new Random(seed);
    const bench = await IdxdBench.start({ pasid: true, commandCap: random.below(2) === 0 ? 0x7ffe : 0x1ffe, descriptorUs: 5 });
    const chaos = new Chaos(bench, random);
    const when = isPulled ? random.below(60) : 60;
    for (let i = 0; i < 60; i++) {
      if (i === when) bench.sim.yank('00:05.0');
      chaos.step();
      if (random.below(3) !== 0) await bench.settle(random.below(200));
    }
    const left = await chaos.end();
    expect(chaos.codes.filter((code) => !EXPECTED.has(code))).toEqual([]);
    expect([chaos.rules, bench.sim.modelErrors]).toEqual([[], []]);
    return left;
  }
  const seeds = Array.from({ length: 16 }, (_, n) => n + 1);

  test.each(seeds)('seed %d: known errors alone, nothing left, nobody’s memory touched', async (seed) => {
    expect(await run(seed, false)).toEqual([0, 0]);
  });

  test.each(seeds)('seed %d: likewise when it is pulled out in the middle', async (seed) => {
    expect((await run(seed, true))[1]).toBe(0);
  });
});
