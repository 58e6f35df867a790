import { describe, expect, test } from 'vitest';
import { type CharFile, type FileDevice, PROT } from '../../../core/index.js';
import { BATCH_EVENTS, type LoggedEvent } from '../../../drivers/idxd/event-log.js';
import { UserFile } from '../../../drivers/idxd/user-file.js';
import * as DSA from '../../../hw/regs/dsa.js';
import {
  DESTINATION,
  LIST,
  NOWHERE,
  PAGE,
  type Process,
  RECORD,
  RECORDS,
  SOURCE,
  Users,
  bytesOf,
  descriptor,
} from './user-fixture.js';

const { FLAGS, OPCODES, STATUS } = DSA;
/** Here pages come when somebody asks for them. */
const LAZY = 0x6000_0000;
const eventOf = (more: Partial<LoggedEvent>): LoggedEvent => ({
  error: STATUS.completionFault,
  wq: 0,
  pasid: 0,
  opcode: OPCODES.move,
  isWrite: true,
  isBatch: false,
  batchId: 0,
  batchIndex: 0,
  isFirstError: false,
  wantsRecord: true,
  faultAddress: RECORDS,
  record: Uint8Array.from({ length: 32 }, (_, i) => i + 1),
  ...more,
});

const faults = (users: Users, file: CharFile): string[] =>
  ['cr_faults', 'cr_fault_failures'].map((name) => users.attribute(file, name));

describe('a completion record whose page is not there', () => {
  test('gets it, and is written, when the process has the page', async () => {
    await using users = await Users.start(['dedicated']);
    const one = users.process('one', { lazy: [LAZY] });
    const file = await users.open(one);
    file.write(bytesOf({ completion: LAZY + 64, size: 100 }));
    await users.settle();
    expect([one.status(LAZY + 64), one.read(LAZY + 68, 1)[0]]).toEqual([STATUS.success, 100]);
    expect(one.read(DESTINATION)).toEqual(one.read(SOURCE));
    expect(faults(users, file)).toEqual(['1', '0']);
  });

  test('is lost when the process has not, or may not write there', async () => {
    await using users = await Users.start(['dedicated']);
    const one = users.process('one');
    one.map(LIST, PROT.READ);
    const file = await users.open(one);
    file.write(bytesOf({ completion: NOWHERE }));
    file.write(bytesOf({ completion: LIST }));
    await users.settle();
    expect([one.read(LIST, PAGE), faults(users, file)]).toEqual([new Uint8Array(PAGE), ['2', '2']]);
  });

  test('is that of its file alone: others of the queue and of other queues do not count it', async () => {
    await using users = await Users.start(['shared', 'shared']);
    const [one, two, three] = [
      users.process('one', { lazy: [LAZY] }),
      users.process('two', { lazy: [LAZY] }),
      users.process('three'),
    ];
    const files = [
      await users.open(one),
      await users.open(two),
      await users.open(one),
      await users.open(one, 1),
      await users.open(three),
    ];
    files[0]!.write(bytesOf({ completion: LAZY }));
    await users.settle();
    expect([one.status(LAZY), two.space.physicalOf(LAZY)]).toEqual([STATUS.success, undefined]);
    expect(files.map((file) => users.attribute(file, 'cr_faults'))).toEqual(['1', '0', '0', '0', '0']);
    files[3]!.write(bytesOf({ completion: NOWHERE }));
    await users.settle();
    expect(files.map((file) => users.attribute(file, 'cr_faults'))).toEqual(['1', '0', '0', '1', '0']);
  });

  test('belongs to nobody when its user has gone before it is read', async () => {
    await using users = await Users.start(['shared'], { profile: { descriptorUs: 10 } });
    const [one, two] = [users.process('one', { lazy: [LAZY] }), users.process('two', { lazy: [LAZY] })];
    const file = await users.open(one);
    const { eventLog } = users.bench.idxd;
    file.write(bytesOf({ completion: LAZY }));
    const read = eventLog!.drain.bind(eventLog);
    eventLog!.drain = () => {};
    await file.close();
    const next = await users.open(two);
    eventLog!.drain = read;
    eventLog!.drain();
    expect([one.space.physicalOf(LAZY), two.space.physicalOf(LAZY), faults(users, next)]).toEqual([
      undefined,
      undefined,
      ['0', '0'],
    ]);
  });

  test('does not lose the records of others when the process throws', async () => {
    await using users = await Users.start(['shared']);
    const one = users.process('one');
    one.space.fault = () => {
      throw new Error('out of order');
    };
    const two = users.process('two', { lazy: [LAZY] });
    const [first, second] = [await users.open(one), await users.open(two)];
    first.write(bytesOf({ completion: NOWHERE }));
    second.write(bytesOf({ completion: LAZY }));
    await users.settle();
    expect([two.status(LAZY), faults(users, first), faults(users, second)]).toEqual([STATUS.success, ['1', '1'], ['1', '0']]);
  });
});

describe('what the log says of a batch', () => {
  /** An open file, and a record in its memory, for events as the log has them. */
  async function open(users: Users): Promise<{ user: UserFile; one: Process; record: () => number[] }> {
    const one = users.process('one');
    const { device } = await users.open(one);
    const parts = {
      wq: users.wq(),
      file: device as FileDevice,
      space: one.space,
      pasid: users.pasidOf(one)!,
      memory: one.memory,
    };
    return { user: new UserFile({ ...parts, vector: undefined }), one, record: () => [...one.read(RECORDS, 3)] };
  }

  test('its record is written when it was asked for, as it is', async () => {
    await using users = await Users.start(['shared']);
    const { user, record } = await open(users);
    user.logged(eventOf({ error: BATCH_EVENTS, wantsRecord: false }));
    expect(record()).toEqual([0, 0, 0]);
    user.logged(eventOf({ error: BATCH_EVENTS }));
    expect([record(), user.faults, user.faultFailures]).toEqual([[1, 2, 3], 2, 0]);
  });

  test('its record says that it failed when that of a member was its first error, once', async () => {
    await using users = await Users.start(['shared']);
    const { user, one, record } = await open(users);
    user.logged(eventOf({ isBatch: true, batchId: 5, isFirstError: true }));
    one.fill(RECORDS, 0);
    user.logged(eventOf({ error: BATCH_EVENTS, batchId: 6, wantsRecord: false }));
    expect(record()).toEqual([0, 0, 0]);
    user.logged(eventOf({ error: BATCH_EVENTS, batchId: 5, wantsRecord: false }));
    expect(record()).toEqual([1, 1, 3]);
    one.fill(RECORDS, 0);
    user.logged(eventOf({ error: BATCH_EVENTS, batchId: 5, wantsRecord: false }));
    expect(record()).toEqual([0, 0, 0]);
  });

  test('and when that of a member was lost', async () => {
    await using users = await Users.start(['shared']);
    const { user, record } = await open(users);
    user.logged(eventOf({ isBatch: true, batchId: 5, faultAddress: NOWHERE }));
    expect(user.faultFailures).toBe(1);
    user.logged(eventOf({ error: BATCH_EVENTS, batchId: 5 }));
    expect(record()).toEqual([1, 1, 3]);
  });

  test('a record that is not aligned is not written', async () => {
    await using users = await Users.start(['shared']);
    const { user, record } = await open(users);
    user.logged(eventOf({ faultAddress: RECORDS + 1 }));
    expect([record(), user.faultFailures]).toEqual([[0, 0, 0], 1]);
  });
});

test('a user’s batch tells of its members, those whose record was missing too', async () => {
  await using users = await Users.start(['dedicated']);
  const one = users.process('one', { lazy: [LAZY] });
  one.map(LIST);
  [RECORDS + 32, LAZY, NOWHERE].forEach((completion, i) => one.write(LIST + 64 * i, bytesOf({ completion })));
  const file = await users.open(one);
  file.mmap({ sizeBytes: PAGE }).movdir64b(0, descriptor({ op: OPCODES.batch, source: LIST, destination: 0, size: 3 }));
  await users.settle();
  expect([one.status(RECORDS + 32), one.status(LAZY), one.status()]).toEqual([STATUS.success, STATUS.success, STATUS.success]);
  expect(faults(users, file)).toEqual(['2', '1']);
});

describe('pages that work needs', () => {
  test('are asked for where the queue may wait for them; without, the record says where it stopped', async () => {
    await using users = await Users.start(['dedicated'], { profile: { blockOnFault: true } }, { block_on_fault: 1 });
    const one = users.process('one', { lazy: [LAZY] });
    const file = await users.open(one);
    file.write(bytesOf({ destination: LAZY }));
    await users.settle();
    expect([one.status(), one.space.physicalOf(LAZY)]).toEqual([STATUS.pageFault, undefined]);
    file.write(bytesOf({ destination: LAZY, flags: RECORD | FLAGS.blockOnFault }));
    await users.settle();
    expect([one.status(), one.read(LAZY)]).toEqual([STATUS.success, one.read(SOURCE)]);
    file.write(bytesOf({ destination: NOWHERE, flags: RECORD | FLAGS.blockOnFault }));
    await users.settle();
    expect(one.status()).toBe(STATUS.pageRequest);
  });

  test('are asked for once of a process that says it has them, and has not', async () => {
    await using users = await Users.start(['dedicated'], { profile: { blockOnFault: true } }, { block_on_fault: 1 });
    const one = users.process('one', { lazy: [LAZY] });
    let asked = 0;
    one.map = () => void asked++;
    const file = await users.open(one);
    file.write(bytesOf({ destination: LAZY, flags: RECORD | FLAGS.blockOnFault }));
    await users.settle();
    expect([asked, one.status()]).toEqual([1, STATUS.pageRequest]);
  });

  test('do not keep a file from being closed', async () => {
    await using users = await Users.start(['dedicated'], { profile: { blockOnFault: true } }, { block_on_fault: 1 });
    const [one, two] = [users.process('one', { lazy: [LAZY] }), users.process('two', { lazy: [LAZY] })];
    const file = await users.open(one);
    file.write(bytesOf({ destination: LAZY, flags: RECORD | FLAGS.blockOnFault }));
    await file.close();
    expect(one.read(LAZY)).toEqual(one.read(SOURCE));
    await using next = await users.open(two);
    next.write(bytesOf());
    await users.settle();
    expect([two.status(), two.space.physicalOf(LAZY)]).toEqual([STATUS.success, undefined]);
  });
});
