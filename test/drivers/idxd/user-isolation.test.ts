import { beforeEach, describe, expect, test } from 'vitest';
import type { CharFile, PciDevice } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { idxd } from '../../../plugins/idxd.js';
import { encode } from '../../hw/models/dsa/fixture.js';
import { ADDRESS } from './fixture.js';
import {
  DESTINATION,
  LIST,
  NOWHERE,
  PAGE,
  Process,
  RECORD,
  RECORDS,
  SOURCE,
  Users,
  bytesOf,
  descriptor,
} from './user-fixture.js';

const { FLAGS, OPCODES, STATUS } = DSA;
/** The victim has something here, and nobody else. */
const SECRET = 0x5000_0000;

/** An attacker and a victim, each with a file of the same shared queue, or of a dedicated queue each. */
interface Scene extends AsyncDisposable {
  readonly users: Users;
  readonly attacker: Process;
  readonly victim: Process;
  readonly file: CharFile;
  readonly other: CharFile;
  /** The PASID of the victim. */
  readonly foreign: number;
  /** Does what a descriptor says, by its portal, whatever that is for. */
  submit(desc: Parameters<typeof descriptor>[0]): Promise<void>;
}

async function scene(mode: 'shared' | 'dedicated', options: Parameters<typeof Users.start>[1] = {}): Promise<Scene> {
  const users = await Users.start([mode, mode], options);
  const [attacker, victim] = [users.process('attacker'), users.process('victim')];
  victim.map(SECRET);
  victim.fill(SECRET, 0x5e);
  const file = await users.open(attacker, 0);
  const other = await users.open(victim, mode === 'shared' ? 0 : 1);
  const portal = file.mmap({ sizeBytes: PAGE });
  const submit = async (desc: Parameters<typeof descriptor>[0]): Promise<void> => {
    if (mode === 'shared') expect(portal.enqcmd(0, descriptor(desc))).toBe(false);
    else portal.movdir64b(0, descriptor(desc));
    await users.settle();
  };
  const dispose = (): Promise<void> => users[Symbol.asyncDispose]();
  return { users, attacker, victim, file, other, foreign: users.pasidOf(victim)!, submit, [Symbol.asyncDispose]: dispose };
}

describe.each(['shared', 'dedicated'] as const)('a user of a %s queue cannot reach the memory of another', (mode) => {
  let here: Scene;
  let before: string;
  beforeEach(async () => {
    here = await scene(mode);
    before = here.victim.snapshot();
    return () => here[Symbol.asyncDispose]();
  });
  const isUntouched = (): boolean => here.victim.snapshot() === before;

  test('by addresses that are the same in both: it finds its own', async () => {
    await here.submit({});
    expect(here.attacker.status()).toBe(STATUS.success);
    expect(here.attacker.read(DESTINATION)).toEqual(here.attacker.read(SOURCE));
    expect(isUntouched()).toBe(true);
  });

  test('by addresses that only the other has, to read and to write', async () => {
    await here.submit({ source: SECRET });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ destination: SECRET });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ op: OPCODES.fill, source: 0x41, destination: SECRET });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    expect([isUntouched(), here.attacker.read(DESTINATION)]).toEqual([true, new Uint8Array(64)]);
  });

  test('by physical addresses', async () => {
    for (const page of [SECRET, RECORDS]) {
      const paddr = here.victim.space.physicalOf(page)!;
      await here.submit({ destination: paddr });
      expect(here.attacker.status()).toBe(STATUS.pageFault);
    }
    expect(isUntouched()).toBe(true);
  });

  test('by the PASID of the other in the descriptor, nor without one, nor as a privileged one', async () => {
    for (const pasid of [here.foreign, 0, 1, 0xf_ffff, here.foreign + 2 ** 31, 2 ** 31]) {
      here.attacker.fill(RECORDS, 0);
      await here.submit({ pasid, source: SECRET });
      // It is worked on as the attacker’s own: there the record is.
      expect([pasid, here.attacker.status()]).toEqual([pasid, STATUS.pageFault]);
    }
    expect(isUntouched()).toBe(true);
  });

  test('by a completion record there', async () => {
    await here.submit({ completion: SECRET });
    await here.submit({ completion: SECRET, op: 0x7f });
    await here.submit({ completion: here.victim.space.physicalOf(SECRET)! });
    expect(isUntouched()).toBe(true);
    expect(here.users.attribute(here.file, 'cr_faults')).toBe('3');
    expect(here.users.attribute(here.file, 'cr_fault_failures')).toBe('3');
    expect(here.users.attribute(here.other, 'cr_faults')).toBe('0');
  });

  test('by a batch whose list, members, or records are there', async () => {
    here.attacker.map(LIST);
    await here.submit({ op: OPCODES.batch, source: SECRET, size: 2 });
    expect(here.attacker.status()).toBe(STATUS.batchPageFault);
    const members = [
      { source: SECRET, pasid: here.foreign, completion: RECORDS + 32 },
      { destination: SECRET, pasid: here.foreign + 2 ** 31, completion: RECORDS + 64 },
      { completion: SECRET, pasid: here.foreign },
    ];
    members.forEach((member, i) => here.attacker.write(LIST + 64 * i, bytesOf(member)));
    await here.submit({ op: OPCODES.batch, source: LIST, size: 3 });
    expect([0, 32, 64].map((at) => here.attacker.status(RECORDS + at))).toEqual([
      STATUS.batchFailed,
      STATUS.pageFault,
      STATUS.pageFault,
    ]);
    expect(isUntouched()).toBe(true);
  });

  test('by any operation with a second address', async () => {
    const own = (value: number): readonly (readonly [number, 8, number])[] => [[40, 8, value]];
    await here.submit({ op: OPCODES.dualcast, own: own(SECRET) });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ op: OPCODES.compare, source: SOURCE, destination: SECRET });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ op: OPCODES.crc, flags: RECORD | FLAGS.crcReadSeed, own: [[48, 8, SECRET]] });
    expect(here.attacker.status()).not.toBe(STATUS.success);
    expect(isUntouched()).toBe(true);
  });

  test('by write, with its PASID or not', async () => {
    for (const pasid of [here.foreign, here.foreign + 2 ** 31, 0]) {
      here.file.write(
        encode({ op: OPCODES.move, pasid, source: SECRET, destination: DESTINATION, size: 64, completion: RECORDS }),
      );
      await here.users.settle();
      expect(here.attacker.status()).toBe(STATUS.pageFault);
    }
    expect(isUntouched()).toBe(true);
  });

  test('by its file, when that gets into the other’s hands, and the other way round', () => {
    const stolen = here.file.share(here.victim.task);
    expect(() => stolen.write(bytesOf())).toThrow('EPERM');
    expect(() => stolen.mmap({ sizeBytes: PAGE })).toThrow('EPERM');
    const lent = here.other.share(here.attacker.task);
    expect(() => lent.write(bytesOf())).toThrow('EPERM');
    expect(() => lent.mmap({ sizeBytes: PAGE })).toThrow('EPERM');
    expect(() => lent.read(new Uint8Array(32))).toThrow('EPERM');
  });

  test('by addresses that the other no longer has, nor by those that nobody may write', async () => {
    here.victim.space.unmap(SECRET, PAGE);
    here.attacker.map(LIST, 1);
    await here.submit({ destination: LIST });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ completion: LIST });
    expect(here.users.attribute(here.file, 'cr_fault_failures')).toBe('1');
    expect(here.attacker.read(LIST, PAGE)).toEqual(new Uint8Array(PAGE));
  });
});

describe('a user cannot interrupt another', () => {
  test.each([
    ['shared', {}],
    ['dedicated', {}],
    ['dedicated', { plugin: idxd({ interrupts: 'ims' as const }) }],
    ['shared', { profile: { commandCap: 0x7ffe } }],
  ] as const)('by any handle, of a %s queue', async (mode, options) => {
    await using here = await scene(mode, options);
    const own = Number(here.users.attribute(here.file, 'handle'));
    const handles = [...Array.from({ length: 300 }, (_, i) => i), 0xffff, own - 1, own + 1, own + 256].filter(
      (handle) => handle !== own,
    );
    for (const handle of handles) {
      here.file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle }));
      // One at a time: all of them are to be refused for the handle alone.
      if (handle % 8 === 7) await here.users.settle();
    }
    await here.users.settle();
    expect([here.attacker.status(), here.other.poll(), here.file.poll()]).toEqual([STATUS.handle, 0, 0]);
    here.file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle: own }));
    await here.users.settle();
    expect([here.attacker.status(), here.other.poll()]).toEqual([STATUS.success, 0]);
  });
});

test.each(['shared', 'dedicated'] as const)(
  'nor by work of a %s queue that writes to where messages go, or where registers and portals are',
  async (mode) => {
    await using here = await scene(mode);
    const { bench } = here.users;
    const { bars } = bench.system.device(ADDRESS) as PciDevice;
    const places = [
      0xfee0_0000,
      0xfee0_1020,
      bars[DSA.REGISTERS_BAR]!.address!,
      bars[DSA.PORTALS_BAR]!.address! + DSA.PORTAL_STRIDE,
    ];
    const messages: unknown[] = [];
    using _ = bench.sim.onMessage((...message) => void messages.push(message));
    for (const destination of places) {
      here.attacker.fill(RECORDS, 0);
      await here.submit({ destination, size: 64 });
      expect([destination, here.attacker.status()]).toEqual([destination, STATUS.pageFault]);
    }
    expect([messages, here.other.poll(), here.victim.status()]).toEqual([[], 0, 0]);
  },
);

describe('a portal reaches its own queue alone', () => {
  test.each([-64, PAGE, PAGE + 64, 0x4000, -0x4000, 1, 63.5, NaN, Infinity, 2 ** 32, 2 ** 53])(
    'offset %s is nowhere',
    async (offset) => {
      await using here = await scene('dedicated');
      const portal = here.file.mmap({ sizeBytes: PAGE });
      const before = here.attacker.snapshot();
      if (offset % 64 === 0) {
        portal.movdir64b(offset, descriptor());
        expect(portal.enqcmd(offset, descriptor())).toBe(true);
      } else {
        expect(() => portal.movdir64b(offset, descriptor())).toThrow('EINVAL');
        expect(() => portal.enqcmd(offset, descriptor())).toThrow('EINVAL');
      }
      descriptor().forEach((word, i) => portal.write32(offset + 4 * i, word));
      await here.users.settle();
      expect([here.attacker.snapshot(), here.victim.status()]).toEqual([before, 0]);
    },
  );

  test('a plain store into a shared queue, where the PASID would be the sender’s to choose, is lost', async () => {
    await using here = await scene('shared');
    const portal = here.file.mmap({ sizeBytes: PAGE });
    const before = [here.attacker.snapshot(), here.victim.snapshot()];
    const forged = descriptor({ pasid: here.foreign });
    portal.movdir64b(0, forged);
    forged.forEach((word, i) => portal.write32(4 * i, word));
    for (let i = 0; i < 16; i += 2) portal.write64(4 * i, forged[i]!, forged[i + 1]!);
    await here.users.settle();
    expect([here.attacker.snapshot(), here.victim.snapshot()]).toEqual(before);
  });

  test('and who writes into it with an answer cannot say whose it is, though the words stay as they were', async () => {
    await using here = await scene('shared');
    const forged = descriptor({ pasid: here.foreign + 2 ** 31 });
    const kept = forged.slice();
    here.file.mmap({ sizeBytes: PAGE }).enqcmd(0, forged);
    await here.users.settle();
    expect([forged, here.attacker.status(), here.victim.status()]).toEqual([kept, STATUS.success, 0]);
  });
});

describe('nothing of a user is left when the file is closed', () => {
  test.each(['shared', 'dedicated'] as const)(
    'its portal of a %s queue is dead, also when the next one has the same PASID',
    async (mode) => {
      await using users = await Users.start([mode]);
      const [one, two] = [users.process('one'), users.process('two')];
      const file = await users.open(one);
      const pasid = users.pasidOf(one);
      const kept = file.mmap({ sizeBytes: PAGE });
      await file.close();
      await using next = await users.open(two);
      expect([users.pasidOf(two), users.pasidOf(one)]).toEqual([pasid, undefined]);
      expect(() => kept.movdir64b(0, descriptor())).toThrow('ENODEV: wq0.0: mapping of file0');
      expect(() => kept.enqcmd(0, descriptor())).toThrow('ENODEV');
      expect(() => file.write(bytesOf())).toThrow('EBADF: file0: was closed by one');
      next.write(bytesOf({ source: SOURCE }));
      await users.settle();
      expect([two.status(), two.read(DESTINATION), one.status()]).toEqual([STATUS.success, two.read(SOURCE), 0]);
    },
  );

  test('its mapping is dead when it is unmapped, and the file goes on', async () => {
    await using users = await Users.start(['dedicated']);
    const one = users.process('one');
    const file = await users.open(one);
    const portal = file.mmap({ sizeBytes: PAGE });
    file.munmap(portal);
    expect(() => portal.movdir64b(0, descriptor())).toThrow('ENODEV');
    expect(file.write(bytesOf())).toBe(64);
  });

  test('of a descriptor that had arrived in part, the next user of the queue finds nothing', async () => {
    await using users = await Users.start(['dedicated']);
    const [one, two] = [users.process('one'), users.process('two')];
    two.map(SECRET);
    const file = await users.open(one);
    const portal = file.mmap({ sizeBytes: PAGE });
    const planted = descriptor({ source: SECRET });
    for (let i = 0; i < 15; i++) portal.write32(4 * i, planted[i]!);
    await file.close();
    await using next = await users.open(two);
    next.mmap({ sizeBytes: PAGE }).write32(60, 0);
    await users.settle();
    expect(two.status()).toBe(0);
  });

  test('its memory is out of reach, though the device had looked it up before', async () => {
    await using users = await Users.start(['dedicated']);
    const [one, two] = [users.process('one'), users.process('two')];
    one.map(SECRET);
    const file = await users.open(one);
    file.write(bytesOf({ destination: SECRET }));
    await users.settle();
    expect(one.status()).toBe(STATUS.success);
    await file.close();
    const before = one.snapshot();
    await using next = await users.open(two);
    next.write(bytesOf({ destination: SECRET }));
    await users.settle();
    expect([two.status(), one.snapshot()]).toEqual([STATUS.pageFault, before]);
  });

  test('of its work nothing happens later, however slow the device is', async () => {
    await using users = await Users.start(['shared'], { profile: { descriptorUs: 500 } });
    const one = users.process('one');
    const file = await users.open(one);
    for (let i = 0; i < 8; i++) file.write(bytesOf({ completion: RECORDS + 32 * i }));
    await file.close();
    expect(Array.from({ length: 8 }, (_, i) => one.status(RECORDS + 32 * i))).toEqual(new Array(8).fill(STATUS.success));
    const before = one.snapshot();
    await using other = await users.open(users.process('two'));
    other.write(bytesOf());
    await users.settle(10_000);
    expect(one.snapshot()).toBe(before);
  });

  test('closing one does not wait for the work of others, nor end it', async () => {
    await using users = await Users.start(['shared'], { profile: { bytesPerUs: 1 } });
    const [one, two] = [users.process('one'), users.process('two')];
    const [first, second] = [await users.open(one), await users.open(two)];
    second.write(bytesOf({ size: PAGE }));
    await first.close();
    expect(two.status()).toBe(0);
    await users.settle(2 * PAGE);
    expect(two.status()).toBe(STATUS.success);
  });
});

test('what the kernel has, a user cannot reach: not without a PASID, and not with that of the kernel', async () => {
  await using here = await scene('shared');
  const { bench } = here.users;
  const memory = bench.system.kernel.dma.alloc(here.users.wq(), PAGE);
  memory.fill(0x4b);
  for (const pasid of [0, bench.idxd.systemPasid!]) {
    await here.submit({ pasid, source: memory.address });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
    await here.submit({ pasid, destination: memory.address });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
  }
  expect(memory.read32(0)).toBe(0x4b4b_4b4b);
});

test('an address beyond everything is a page fault, and no other harm', async () => {
  await using here = await scene('dedicated');
  for (const source of [2 ** 47, 2 ** 52, NOWHERE]) {
    await here.submit({ source });
    expect(here.attacker.status()).toBe(STATUS.pageFault);
  }
  for (const completion of [2 ** 47, 2 ** 52 + 32, NOWHERE]) await here.submit({ completion });
  const huge = descriptor();
  huge[3] = 0xffff_ffff;
  here.file.mmap({ sizeBytes: PAGE }).movdir64b(0, huge);
  await here.users.settle();
  expect(['cr_faults', 'cr_fault_failures'].map((name) => here.users.attribute(here.file, name))).toEqual(['4', '4']);
});
