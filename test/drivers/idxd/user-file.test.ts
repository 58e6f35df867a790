import { describe, expect, test } from 'vitest';
import { type CharFile, POLL } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { idxd } from '../../../plugins/idxd.js';
import { revokedOnRequest } from '../../helpers/idxd-handles.js';
import { NOWHERE, PAGE, RECORD, RECORDS, SOURCE, Users, bytesOf, descriptor } from './user-fixture.js';

const { FLAGS, OPCODES, STATUS } = DSA;
const IMS = { plugin: idxd({ interrupts: 'ims' }) };
const bytes = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(parts.flatMap((part) => [...part]));
const interruptsOf = (file: CharFile): number => {
  const count = new Uint8Array(4);
  file.read(count);
  return new DataView(count.buffer).getUint32(0, true);
};

describe('a portal', () => {
  test('D17 is one shared page, for the task that has opened the queue', async () => {
    await using users = await Users.start(['dedicated']);
    const [one, two] = [users.process('one'), users.process('two')];
    const file = await users.open(one);
    const portal = file.mmap({ sizeBytes: PAGE });
    expect([portal.sizeBytes, portal.read32(0)]).toEqual([PAGE, 0xffff_ffff]);
    expect(() => file.mmap({ sizeBytes: 2 * PAGE })).toThrow(
      'EINVAL: wq0.0: a mapping of 8192 bytes: the portal is one shared page',
    );
    expect(() => file.mmap({ sizeBytes: PAGE, shared: false })).toThrow('EINVAL: wq0.0: a mapping of a copy');
    expect(() => file.share(two.task).mmap({ sizeBytes: PAGE })).toThrow('EPERM: wq0.0: two is not the task that has opened it');
    expect(file.mmap({ sizeBytes: 1, offset: 3 * PAGE }).sizeBytes).toBe(PAGE);
  });

  test('is for those alone who may have raw access', async () => {
    await using users = await Users.start(['dedicated']);
    const plain = users.process('plain', { capabilities: [] });
    const file = await users.open(plain);
    expect(() => file.mmap({ sizeBytes: PAGE })).toThrow('EPERM: wq0.0: plain may not have its portal without CAP_SYS_RAWIO');
    expect(file.write(bytesOf())).toBe(64);
  });

  test('takes descriptors at each of its 64 places, at once and in pieces', async () => {
    await using users = await Users.start(['dedicated']);
    const one = users.process('one');
    const portal = (await users.open(one)).mmap({ sizeBytes: PAGE });
    portal.movdir64b(63 * 64, descriptor());
    await users.settle();
    expect(one.status()).toBe(STATUS.success);
    one.fill(RECORDS, 0);
    descriptor().forEach((word, i) => portal.write32(0x40 + 4 * i, word));
    await users.settle();
    expect(one.status()).toBe(STATUS.success);
  });

  test('of a shared queue asks to try again when the threshold is reached', async () => {
    await using users = await Users.start(['shared'], { profile: { descriptorUs: 1000 } });
    const portal = (await users.open(users.process('one'))).mmap({ sizeBytes: PAGE });
    const answers = Array.from({ length: 12 }, () => portal.enqcmd(0, descriptor()));
    expect(answers.filter((isFull) => isFull)).toHaveLength(4);
  });
});

describe('write', () => {
  test('submits descriptors in order, and says how many bytes it has taken', async () => {
    await using users = await Users.start(['dedicated', 'shared']);
    for (const index of [0, 1]) {
      const one = users.process(`app${index}`);
      await using file = await users.open(one, index);
      const all = [0, 1, 2].map((i) => bytesOf({ completion: RECORDS + 32 * i }));
      expect(file.write(bytes(...all, new Uint8Array(63)))).toBe(3 * 64);
      expect(file.write(new Uint8Array(63))).toBe(0);
      await users.settle();
      expect([0, 1, 2].map((i) => one.status(RECORDS + 32 * i))).toEqual([1, 1, 1]);
    }
  });

  test('takes no batch, and no completion record that is not aligned; what came before it is taken', async () => {
    await using users = await Users.start(['dedicated']);
    const one = users.process('one');
    const file = await users.open(one);
    const batch = bytesOf({ op: OPCODES.batch, size: 2 });
    expect(() => file.write(batch)).toThrow('EINVAL: wq0.0: a batch: submit its members');
    expect(() => file.write(bytesOf({ completion: RECORDS + 8 }))).toThrow(
      'EINVAL: wq0.0: a completion record must be aligned to 32 bytes',
    );
    expect(file.write(bytes(bytesOf(), batch, bytesOf()))).toBe(64);
  });

  test('D22 to a shared queue without room is EAGAIN after the configured retries', async () => {
    await using users = await Users.start(['shared']);
    await users.bench.write('wq0.0', 'enqcmds_retries', 5);
    const file = await users.open(users.process('one'));
    let asked = 0;
    users.bench.silicon.enqueue = () => (asked++, true);
    expect(() => file.write(bytesOf())).toThrow('EAGAIN: wq0.0: has no room');
    expect(asked).toBe(6);
  });

  test('waits for room while it asks again', async () => {
    await using users = await Users.start(['shared']);
    const one = users.process('one');
    const file = await users.open(one);
    expect(file.write(bytes(...Array.from({ length: 32 }, () => bytesOf())))).toBe(32 * 64);
  });

  test('is EPERM for another task with the same file', async () => {
    await using users = await Users.start(['dedicated']);
    const file = await users.open(users.process('one'));
    const two = users.process('two');
    const other = file.share(two.task);
    expect(() => other.write(bytesOf())).toThrow('EPERM: wq0.0: two is not the task');
    expect(() => other.read(new Uint8Array(32))).toThrow('EPERM');
    expect([other.poll(), await other.wait()]).toEqual([POLL.NVAL, POLL.NVAL]);
  });
});

describe('interrupts of a user', () => {
  test.each([
    ['dedicated', 'an entry of the table', {}],
    ['dedicated', 'a slot', IMS],
    ['shared', 'a slot', {}],
    ['shared', 'a handle that the device gives out', { profile: { commandCap: 0x7ffe } }],
  ] as const)('of a %s queue come by %s, and wake who waits', async (mode, _by, options) => {
    await using users = await Users.start([mode], options);
    const one = users.process('one');
    const file = await users.open(one);
    const waiting = file.wait(POLL.PRI);
    const handle = Number(users.attribute(file, 'handle'));
    file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle }));
    await users.settle();
    expect([one.status(), await waiting]).toEqual([STATUS.success, POLL.PRI]);
    expect([interruptsOf(file), file.poll()]).toEqual([1, 0]);
    expect(() => interruptsOf(file)).toThrow('EAGAIN: wq0.0: has not interrupted');
    expect(() => file.read(new Uint8Array(3))).toThrow('EINVAL: wq0.0: read of 3 bytes');
  });

  test('a shared queue has none where there is no message store', async () => {
    await using users = await Users.start(['shared'], { profile: { imsMult: 0 } });
    const one = users.process('one');
    const file = await users.open(one);
    expect(() => users.attribute(file, 'handle')).toThrow('ENXIO: wq0.0: has no interrupt for this user');
    file.write(bytesOf());
    await users.settle();
    expect(one.status()).toBe(STATUS.success);
  });

  test('D21 handles that the device takes back are requested anew, and are where they were', async () => {
    await using users = await Users.start(['shared'], { profile: { commandCap: 0x7ffe } });
    const { silicon } = users.bench;
    const [one, two] = [users.process('one'), users.process('two')];
    const [file, other] = [await users.open(one), await users.open(two)];
    const old = Number(users.attribute(file, 'handle'));
    silicon.revokeHandles();
    const closing = other.close();
    file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle: old }));
    await users.settle();
    await closing;
    expect([one.status(), file.poll()]).toEqual([STATUS.handle, 0]);
    const handle = Number(users.attribute(file, 'handle'));
    expect(handle).not.toBe(old);
    file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle }));
    await users.settle();
    expect([one.status(), file.poll()]).toEqual([STATUS.success, POLL.PRI]);
    await file.close();
    expect([handle, handle + 1].map((each) => silicon.interrupts.indexOf(each, true))).toEqual([-1, -1]);
  });

  test.each([0, 5, 9, 12])(
    'D21 a handle that is taken back while a file is being opened, %i turns on, is renewed',
    async (turns) => {
      await using users = await Users.start(['shared'], { profile: { commandCap: 0x7ffe } });
      const revoked = revokedOnRequest(users.bench.silicon, turns);
      const one = users.process('one');
      const file = await users.open(one);
      await revoked;
      await users.settle();
      file.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle: Number(users.attribute(file, 'handle')) }));
      await users.settle();
      expect([one.status(), file.poll()]).toEqual([STATUS.success, POLL.PRI]);
    },
  );

  test('D21 a user for whom the device has no other handle has none, and the others have theirs', async () => {
    await using users = await Users.start(['shared'], { profile: { commandCap: 0x7ffe } });
    const { bench } = users;
    const two = users.process('two');
    const [file, other] = [await users.open(users.process('one')), await users.open(two)];
    const { interrupts } = bench.silicon;
    const request = interrupts.request.bind(interrupts);
    interrupts.request = (index, isIms) => (index === 0 ? -1 : request(index, isIms));
    bench.silicon.revokeHandles();
    await users.settle();
    expect(() => users.attribute(file, 'handle')).toThrow('ENXIO: wq0.0: has no interrupt for this user');
    expect(bench.logged('handle_lost')).toEqual([
      'a user has lost his interrupt: ENXIO: wq0.0: no interrupt handle: the device says 0x41',
    ]);
    const handle = Number(users.attribute(other, 'handle'));
    other.write(bytesOf({ flags: RECORD | FLAGS.requestInterrupt, handle }));
    await users.settle();
    expect([two.status(), other.poll()]).toEqual([STATUS.success, POLL.PRI]);
    bench.takeWire();
    await file.close();
    expect(bench.takeWire().filter((line) => line.startsWith('w32 CMD 0xe'))).toEqual([]);
  });

  test('handles that the device gave out are given back', async () => {
    await using users = await Users.start(['shared'], { profile: { commandCap: 0x7ffe } });
    const file = await users.open(users.process('one'));
    const handle = Number(users.attribute(file, 'handle'));
    const { interrupts } = users.bench.silicon;
    expect(interrupts.indexOf(handle, true)).toBe(0);
    await file.close();
    expect(interrupts.indexOf(handle, true)).toBe(-1);
  });
});

describe('errors that no completion record tells', () => {
  const lost = bytesOf({ op: 0x7f, flags: 0, completion: 0 });
  const noLog = { profile: { eventLog: 0 } } as const;

  test('D19 wake the users of their queue alone; poll stays readable until the error is read', async () => {
    await using users = await Users.start(['dedicated', 'dedicated'], noLog);
    const one = await users.open(users.process('one'), 0);
    const two = await users.open(users.process('two'), 1);
    const waiting = one.wait();
    one.write(lost);
    await users.settle();
    expect([await waiting, one.poll(), one.poll(), two.poll()]).toEqual([
      POLL.IN,
      POLL.IN | POLL.RDNORM,
      POLL.IN | POLL.RDNORM,
      0,
    ]);
    const error = new Uint8Array(32);
    expect(one.read(error)).toBe(32);
    expect([error[0]! & 1, error[1], error[2], error[4]]).toEqual([1, STATUS.opcode, 0, 0x7f]);
    expect(one.poll()).toBe(0);
    expect(() => one.read(error)).toThrow('EAGAIN: wq0.0: has no error');
    expect(users.bench.silicon.errors.register[0]! & 1).toBe(0);
  });

  test('D19 of one user of a shared queue are not shown to the others', async () => {
    await using users = await Users.start(['shared'], noLog);
    const [one, two] = [await users.open(users.process('one')), await users.open(users.process('two'))];
    two.write(lost);
    await users.settle();
    expect([one.poll(), two.poll()]).toEqual([0, POLL.IN | POLL.RDNORM]);
  });

  test('D19 that name no queue wake all users', async () => {
    await using users = await Users.start(['dedicated', 'shared'], noLog);
    const files = [await users.open(users.process('one'), 0), await users.open(users.process('two'), 1)];
    users.bench.silicon.errors.device(DSA.SWERRORS.commandActive);
    await users.settle();
    expect(files.map((file) => file.poll())).toEqual([POLL.IN | POLL.RDNORM, POLL.IN | POLL.RDNORM]);
  });

  test('D25 a halt that needs a system reset: submitting is EIO, poll says ERR, and who waits is woken', async () => {
    await using users = await Users.start(['dedicated']);
    const file = await users.open(users.process('one'));
    const waiting = file.wait();
    users.bench.silicon.halt('cold');
    await users.settle();
    expect([await waiting, file.poll()]).toEqual([POLL.ERR, POLL.ERR]);
    expect(() => file.write(bytesOf())).toThrow('EIO: wq0.0: the device is halted');
    await file.close();
    // Nothing is under way in a device that has halted: nobody needs a warning.
    expect(users.bench.logged('command_failed')).toEqual([]);
    await expect(users.open(users.process('two'))).rejects.toThrow('EIO: wq0.0: dsa0 is halted');
  });
});

test('what a user does not map, its work does not find: the record says so', async () => {
  await using users = await Users.start(['dedicated']);
  const one = users.process('one');
  const file = await users.open(one);
  file.write(bytesOf({ source: NOWHERE }));
  await users.settle();
  expect(one.status()).toBe(STATUS.pageFault);
  one.space.unmap(SOURCE, PAGE);
  file.write(bytesOf());
  await users.settle();
  expect(one.status()).toBe(STATUS.pageFault);
});
