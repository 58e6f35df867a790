import { describe, expect, test } from 'vitest';
import { EventFd, type Mmio, VFIO_PCI_IRQ, VFIO_PCI_REGION } from 'backplane';
import type { SubDevice } from 'backplane/plugins/idxd';
import { IdxdBench, codeOf } from './idxd-bench.js';
import {
  DATA,
  DEDICATED,
  FUNCTION,
  MDEV,
  MdevBench,
  PAGE,
  RECORD,
  SHARED,
  descriptor,
  r32,
  uuid,
  w32,
} from './idxd-mdev-bench.js';

const { BAR0, BAR2, CONFIG } = VFIO_PCI_REGION;
const { MSIX } = VFIO_PCI_IRQ;

describe('6.3 types and instances', () => {
  test('the function has its types as long as a queue is for them', async () => {
    await using mdev = await MdevBench.start(2);
    const paths = (): string[] => mdev.bench.dev(FUNCTION).attributes.paths();
    for (const type of [DEDICATED, SHARED]) {
      for (const name of ['create', 'name', 'device_api', 'available_instances']) {
        expect(paths()).toContain(`mdev_supported_types/${type}/${name}`);
      }
    }
    expect(mdev.kernel.mdev.parents.map(({ dev }) => dev.name)).toEqual([FUNCTION]);
    expect(await mdev.bench.unbind('wq0.0', 'mdev')).toBe('ok');
    expect(mdev.attribute('available_instances')).toBe('1');
    expect(await mdev.bench.unbind('wq0.1', 'mdev')).toBe('ok');
    expect(paths().filter((path) => path.startsWith('mdev_'))).toEqual([]);
    expect(mdev.kernel.mdev.parents).toEqual([]);
  });

  test('a dedicated queue makes one, by UUID, and has it back when that is removed', async () => {
    await using mdev = await MdevBench.start(2);
    expect([mdev.attribute('device_api'), mdev.attribute('available_instances')]).toEqual(['vfio-pci', '2']);
    expect(mdev.attribute('available_instances', SHARED)).toBe('0');
    expect([await mdev.create(0), mdev.attribute('available_instances')]).toEqual(['ok', '1']);
    expect([await mdev.create(0), await mdev.create(1), await mdev.create(5)]).toEqual(['EEXIST', 'ok', 'ENODEV']);
    expect([0, 1].map((n) => mdev.bench.cat(`wq0.${n}/clients`))).toEqual(['1', '1']);
    expect([0, 1].map((n) => [mdev.part(n).parent?.name, mdev.part(n).attributes.read('wq')])).toEqual([
      [FUNCTION, 'wq0.0\n'],
      [FUNCTION, 'wq0.1\n'],
    ]);
    expect([await mdev.remove(0), mdev.attribute('available_instances'), mdev.bench.cat('wq0.0/clients')]).toEqual([
      'ok',
      '1',
      '0',
    ]);
    expect([await mdev.create(5), mdev.part(5).attributes.read('wq')]).toEqual(['ok', 'wq0.0\n']);
  });

  test('a shared one makes as many as its threshold', async () => {
    await using mdev = await MdevBench.start(1, { mode: 'shared', threshold: 3 });
    expect([mdev.attribute('available_instances'), mdev.attribute('available_instances', DEDICATED)]).toEqual(['3', '0']);
    expect([await mdev.create(1), await mdev.create(2), await mdev.create(3), await mdev.create(4)]).toEqual([
      'ok',
      'ok',
      'ok',
      'ENODEV',
    ]);
    expect(await mdev.create(4, DEDICATED)).toBe('ENODEV');
  });

  test('without address spaces, or without a message store, a queue cannot be handed out', async () => {
    for (const [part, status] of [
      [{ pasid: false }, '0x80110000'],
      [{ imsMult: 0 }, '0x80100000'],
    ] as const) {
      await using bench = await IdxdBench.start({ pasid: true, ...part });
      await bench.setUp(0, MDEV);
      await bench.must(bench.bind('dsa0'), 'dsa0');
      expect([await bench.bind('wq0.0', 'mdev'), bench.cat('dsa0/cmd_status')]).toEqual(['EOPNOTSUPP', status]);
    }
  });

  test('unbinding a queue removes what was made of it, when its user has given it up: he is asked for it', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    const request = new EventFd('request');
    file.setIrqs({ index: VFIO_PCI_IRQ.REQ, action: 'trigger', start: 0, count: 1, eventfds: [request] });
    const leaving = request.wait().then(() => file.close());
    expect([await mdev.bench.unbind('wq0.0', 'mdev'), mdev.kernel.mdev.find(uuid(0)), mdev.bench.cat('wq0.0/state')]).toEqual([
      'ok',
      undefined,
      'disabled',
    ]);
    await leaving;
  });

  test('who does not leave is given up after a minute, and may close what he has then', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    expect(await mdev.bench.unbind('wq0.0', 'mdev')).toBe('ETIMEDOUT');
    expect([mdev.kernel.mdev.find(uuid(0)), await codeOf(() => file.close())]).toEqual([undefined, 'ok']);
  });
});

describe('6.3 the virtual device', () => {
  test('its configuration space, BARs and tables', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    expect([r32(file, 0, CONFIG), r32(file, 8, CONFIG), r32(file, 0x2c, CONFIG)]).toEqual([
      0x0b25_8086, 0x0880_0000, 0x2010_8086,
    ]);
    expect([
      r32(file, 0x40, CONFIG) & 0xff,
      r32(file, 0x44, CONFIG),
      r32(file, 0x48, CONFIG),
      r32(file, 0x50, CONFIG) & 0xff,
    ]).toEqual([0x11, 0x600, 0x700, 0x10]);
    for (const bar of [0x10, 0x18]) {
      w32(file, bar, 0xffff_ffff, CONFIG);
      expect(r32(file, bar, CONFIG)).toBe(0xffff_e00c);
    }
    expect([BAR0, BAR2].map((index) => file.regionInfo(index).sizeBytes)).toEqual([0x2000, 0x2000]);
    expect([file.irqInfo(MSIX).count, file.regionInfo(BAR0).mmap, file.regionInfo(BAR2).mmap]).toEqual([2, false, true]);
    // No configuration, no store, but commands that are told.
    expect([(r32(file, 0x10) >>> 31) & 1, (r32(file, 0x10) >>> 25) & 0x3f, (r32(file, 0x10) >>> 4) & 1]).toEqual([0, 0, 1]);
    expect([r32(file, 0x20), r32(file, 0x24), r32(file, 0x30), r32(file, 0x38)]).toEqual([0x0001_0010, 0x0002_0000, 1, 1]);
    expect([r32(file, 0x60), r32(file, 0x64) & 0xffff, r32(file, 0xb0)]).toEqual([0x0005_0004, 3, 0x7ffe]);
    expect([r32(file, 0x400), r32(file, 0x420), r32(file, 0x500), r32(file, 0x518)]).toEqual([1, 1, 16, 2 ** 29]);
    await file.close();
  });

  test('commands and their errors', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    const command = async (code: number, operand = 0): Promise<number> => {
      w32(file, 0xa0, ((code << 20) | operand) >>> 0);
      while (r32(file, 0xa8) >>> 31 === 1) await mdev.settle(10);
      return r32(file, 0xa8) & 0xff;
    };
    expect([await command(0), await command(15), await command(2), await command(6, 0), await command(1)]).toEqual([
      1, 1, 0x31, 0x20, 0x12,
    ]);
    w32(file, 4, 6, CONFIG);
    expect([await command(1), await command(1), await command(8, 1), await command(6, 1)]).toEqual([0, 0x10, 0x32, 2]);
    const mode = r32(file, 0x508);
    w32(file, 0x508, mode & ~1);
    expect(await command(6, 0)).toBe(0x24);
    w32(file, 0x508, mode);
    expect([await command(6, 0), await command(6, 0), r32(file, 0x518) >>> 30]).toEqual([0, 0x21, 1]);
    expect([await command(13, 0), await command(13, 2), await command(13, 0x1_0001)]).toEqual([0x41, 0x41, 0x42]);
    expect([(await command(14, 77)) !== 0, await command(7, 1), await command(2), r32(file, 0x90)]).toEqual([true, 0, 0, 0]);
    await file.close();
  });

  test('what may be written: mode while the queue is disabled, GENCFG while the device is, causes by 1; the rest not', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    const fixed = [0x00, 0x10, 0x20, 0x30, 0x38, 0x40, 0x60, 0x90, 0xb0, 0x400, 0x420, 0x428, 0x500, 0x504, 0x50c, 0x518];
    const before = fixed.map((offset) => r32(file, offset));
    for (const offset of fixed) w32(file, offset, 0xffff_ffff);
    expect(fixed.map((offset) => r32(file, offset))).toEqual(before);
    w32(file, 0x308, 0xffff_ffff);
    expect(r32(file, 0x308)).toBe(0xffff_f00d);
    w32(file, 0x80, 0x1000);
    w32(file, 4, 6, CONFIG);
    w32(file, 0xa0, 0x8010_0000);
    w32(file, 0x80, 0);
    expect([r32(file, 0x80), r32(file, 0x98)]).toEqual([0x1000, 2]);
    w32(file, 0x98, 2);
    expect(r32(file, 0x98)).toBe(0);
    // Bus mastering ends while it is enabled.
    w32(file, 4, 2, CONFIG);
    expect(r32(file, 0xc0) & 0xff01).toBe(0x5101);
    await file.close();
  });

  test('BAR 2 shows one portal at a time, and no other queue', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const file = await mdev.file(0);
    const map = (offset: number, size: number): Promise<string> => codeOf(() => file.mmap(BAR2, offset, size));
    expect([await map(0, PAGE), await map(PAGE, PAGE), await map(0, 2 * PAGE), await map(2 * PAGE, PAGE)]).toEqual([
      'ok',
      'ok',
      'EINVAL',
      'EINVAL',
    ]);
    expect(await codeOf(() => file.mmap(BAR0, 0, PAGE))).toBe('EINVAL');
    await file.close();
    await using other = await MdevBench.start(1, { mode: 'shared', threshold: 2 });
    await other.create(0);
    const shared = await other.file(0);
    expect(await codeOf(() => shared.mmap(BAR2, 0, PAGE))).toBe('EINVAL');
    await shared.close();
  });
});

describe('work and interrupts of parts', () => {
  test('each works in the memory of its user, and interrupts him alone', async () => {
    await using mdev = await MdevBench.start(3);
    const people = [0, 1, 2].map((n) => mdev.memory(`user ${n}`));
    const parts: SubDevice[] = [];
    for (const n of [0, 1, 2]) {
      await mdev.create(n);
      parts.push(await mdev.open(n, people[n]!));
      await parts[n]!.enable();
    }
    expect(parts.map(({ handle }) => handle)).toEqual([0, 1, 2]);
    for (const [n, part] of parts.entries()) expect(part.submit(descriptor(0x100 + n, part.handle))).toBe(true);
    await mdev.settle();
    expect(people.map((space) => [mdev.peek(space, DATA), mdev.peek(space, RECORD) & 0xff])).toEqual([
      [0x100, 1],
      [0x101, 1],
      [0x102, 1],
    ]);
    expect(parts.map(({ completions }) => completions.count)).toEqual([1, 1, 1]);
    // Another's handle is worth nothing.
    parts[0]!.submit(descriptor(0x200, parts[1]!.handle));
    await mdev.settle();
    expect([mdev.peek(people[0]!, RECORD) & 0xff, mdev.peek(people[0]!, DATA), parts[1]!.completions.count]).toEqual([
      0x19, 0x100, 1,
    ]);
    for (const part of parts) await part[Symbol.asyncDispose]();
  });

  test('D8 one slot each, taken with the interrupt and given back with it, in any order', async () => {
    await using mdev = await MdevBench.start(4);
    const parts: SubDevice[] = [];
    for (const n of [0, 1, 2]) {
      await mdev.create(n);
      parts.push(await mdev.open(n, mdev.memory(`${n}`)));
      await parts[n]!.enable();
    }
    const pasids = mdev.slots().map((word) => word >>> 12);
    expect([mdev.slots().map((word) => word & 9), new Set(pasids.slice(0, 3)).size]).toEqual([[8, 8, 8, 1], 3]);
    await parts[1]![Symbol.asyncDispose]();
    expect(await mdev.remove(1)).toBe('ok');
    expect(mdev.slots().map((word) => word & 9)).toEqual([8, 1, 8, 1]);
    expect([0, 4, 8].map((at) => mdev.bench.r32(0x8010 + at))).toEqual([0, 0, 0]);
    await mdev.create(3);
    const last = await mdev.open(3, mdev.memory('3'));
    await last.enable();
    expect([last.handle, mdev.slots().map((word) => word & 9)]).toEqual([1, [8, 8, 8, 1]]);
    expect([mdev.slots()[0]! >>> 12, mdev.slots()[2]! >>> 12]).toEqual([pasids[0], pasids[2]]);
    for (const part of [parts[0]!, parts[2]!, last]) await part[Symbol.asyncDispose]();
    expect(mdev.slots().map((word) => word & 1)).toEqual([1, 1, 1, 1]);
  });

  test('D9 without a free slot a user is told how many interrupts he can have, and nothing changes', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const { ims } = mdev.bench.idxd;
    const taken = Array.from({ length: 256 }, () => ims!.alloc());
    const file = await mdev.file(0);
    const set = { index: MSIX, action: 'trigger', start: 0, count: 2, eventfds: [new EventFd('a'), new EventFd('b')] } as const;
    expect(file.setIrqs(set)).toBe(1);
    taken.pop()![Symbol.dispose]();
    expect(file.setIrqs(set)).toBe(0);
    await file.close();
    for (const map of taken) map[Symbol.dispose]();
  });

  test('a portal that was kept is dead when the part is closed, and before the queue is enabled nothing happens', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const space = mdev.memory('user');
    const part = await mdev.open(0, space);
    const early: Mmio = part.file.mmap(BAR2, PAGE, PAGE);
    early.movdir64b(0, descriptor(7, undefined));
    await mdev.settle();
    expect([mdev.peek(space, DATA), mdev.peek(space, RECORD)]).toEqual([0, 0]);
    await part.enable();
    early.movdir64b(0, descriptor(7, undefined));
    await mdev.settle();
    expect(mdev.peek(space, DATA)).toBe(7);
    await part[Symbol.asyncDispose]();
    expect(await codeOf(() => early.movdir64b(0, descriptor(8, undefined)))).toBe('ENODEV');
  });

  test('4.2 its interrupt reaches a guest without a handler of the host, and wakes one that sleeps', async () => {
    await using mdev = await MdevBench.start(1);
    await mdev.create(0);
    const space = mdev.memory('guest');
    const part = await mdev.open(0, space);
    await part.enable();
    await using guest = mdev.kernel.vfio.guest({ vcpus: 2 });
    const seen: number[] = [];
    for (const vcpu of guest.vcpus) vcpu.handle(0x41, (vector) => void seen.push(vector));
    const irqfd = guest.irqfd(part.completions, { vcpus: [0], vector: 0x41 });
    guest.vcpu(0).run(0);
    const message = [0, 4, 8].map((at) => mdev.bench.r32(0x8000 + at));
    for (let i = 0; i < 10; i++) {
      part.submit(descriptor(i, part.handle));
      await mdev.settle();
    }
    expect([irqfd.isPosted, seen.length, part.completions.count]).toEqual([true, 10, 0]);
    guest.vcpu(0).block();
    part.submit(descriptor(11, part.handle));
    await mdev.settle();
    expect([seen.length, guest.vcpu(0).wakeups, guest.vcpu(0).state]).toEqual([11, 1, 'running']);
    // Back to the host: the message in the slot stays.
    irqfd[Symbol.dispose]();
    part.submit(descriptor(12, part.handle));
    await mdev.settle();
    expect([seen.length, part.completions.count, [0, 4, 8].map((at) => mdev.bench.r32(0x8000 + at))]).toEqual([11, 1, message]);
    await part[Symbol.asyncDispose]();
  });

  test('an error of its work is in its own register, and in no other part', async () => {
    await using mdev = await MdevBench.start(2);
    const parts: SubDevice[] = [];
    for (const n of [0, 1]) {
      await mdev.create(n);
      parts.push(await mdev.open(n, mdev.memory(`${n}`)));
      await parts[n]!.enable();
    }
    const words = new Uint32Array(16);
    words[1] = 0x0b00_0000;
    parts[1]!.submit(words);
    await mdev.settle();
    expect([r32(parts[0]!.file, 0xc0) & 1, r32(parts[1]!.file, 0xc0) & 0xff_ff01]).toEqual([0, 0x1001]);
    for (const part of parts) await part[Symbol.asyncDispose]();
  });

  test('a reset, and closing, leave nothing of the user behind', async () => {
    await using mdev = await MdevBench.start(1, {}, { descriptorUs: 500 });
    await mdev.create(0);
    const [one, other] = [mdev.memory('one'), mdev.memory('other')];
    const part = await mdev.open(0, one);
    await part.enable();
    part.submit(descriptor(1, undefined));
    await part.file.reset();
    await mdev.settle(2000);
    expect([r32(part.file, 0x90), r32(part.file, 0x518) >>> 30, r32(part.file, 4, CONFIG) & 4]).toEqual([0, 0, 0]);
    await part[Symbol.asyncDispose]();
    const next = await mdev.open(0, other);
    await next.enable();
    next.submit(descriptor(2, undefined));
    await mdev.settle(2000);
    expect([mdev.peek(other, DATA), mdev.peek(one, DATA) === 2]).toEqual([2, false]);
    await next[Symbol.asyncDispose]();
  });
});
