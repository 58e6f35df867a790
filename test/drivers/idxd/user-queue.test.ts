import { describe, expect, test } from 'vitest';
import { CharDevices } from '../../../core/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { idxd } from '../../../plugins/idxd.js';
import { DESTINATION, PAGE, RECORDS, SOURCE, Users, bytesOf } from './user-fixture.js';

const { STATUS } = DSA;
const IMS = { plugin: idxd({ interrupts: 'ims' }) };
/** The number that the wire shows for a command with an interrupt. */
const command = (name: keyof typeof DSA.COMMANDS, operand: number): string =>
  `w32 CMD 0x${((0x8000_0000 + (DSA.COMMANDS[name] << 20) + operand) >>> 0).toString(16)}`;
const commands = (wire: readonly string[]): string[] => wire.filter((line) => line.startsWith('w32 CMD '));

describe('opening a queue', () => {
  test('a dedicated queue has one user: the next is EBUSY, until it has closed', async () => {
    await using users = await Users.start(['dedicated']);
    const [one, two] = [users.process('one'), users.process('two')];
    const file = await users.open(one);
    expect(users.bench.read('wq0.0', 'clients')).toBe('1');
    await expect(users.open(two)).rejects.toThrow('EBUSY: wq0.0: is dedicated, and has a user');
    await expect(users.open(one)).rejects.toThrow('EBUSY');
    const closing = file.close();
    await expect(users.open(two)).rejects.toThrow('EBUSY');
    await closing;
    await using next = await users.open(two);
    next.write(bytesOf());
    await users.settle();
    expect([two.status(), one.status()]).toEqual([STATUS.success, 0]);
  });

  test('of two who open a dedicated queue at once, one has it', async () => {
    await using users = await Users.start(['dedicated']);
    const results = await Promise.allSettled([users.open(users.process('one')), users.open(users.process('two'))]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(users.wq().clients).toBe(1);
  });

  test('a shared queue has many, one task may open it twice, and each works in its own memory', async () => {
    await using users = await Users.start(['shared']);
    const [one, two] = [users.process('one'), users.process('two')];
    const files = [await users.open(one), await users.open(two), await users.open(one)];
    expect(users.bench.read('wq0.0', 'clients')).toBe('3');
    expect(files.map((file) => users.attribute(file, 'handle'))).toEqual(['0', '1', '2']);
    for (const file of files.slice(0, 2)) file.write(bytesOf());
    await users.settle();
    expect([one.read(DESTINATION, 4), two.read(DESTINATION, 4)]).toEqual([one.read(SOURCE, 4), two.read(SOURCE, 4)]);
    // The other one of the same task goes on.
    await files[0]!.close();
    one.fill(RECORDS, 0);
    files[2]!.write(bytesOf());
    await users.settle();
    expect(one.status()).toBe(STATUS.success);
  });

  test('the queue gets the PASID by being disabled and enabled, and loses it when the file is closed', async () => {
    await using users = await Users.start(['dedicated']);
    const { bench } = users;
    const [pasid, enable] = [DSA.WQ_MODE.fields.pasid, DSA.WQ_MODE.fields.pasidEnable];
    const mode = (): number[] =>
      [pasid, enable].map((field) => bench.idxd.regs.readField({ ...DSA.WQ_MODE, offset: users.wq().configAt + 8 }, field));
    bench.takeWire();
    const file = await users.open(users.process('one'));
    expect(commands(bench.takeWire())).toEqual([command('disableWq', 1), command('enableWq', 0)]);
    expect(mode()).toEqual([users.wq().pasid, 1]);
    await file.close();
    expect(commands(bench.takeWire())).toEqual([command('disableWq', 1), command('enableWq', 0)]);
    expect([...mode(), users.wq().pasid]).toEqual([0, 0, undefined]);
  });

  test('closing a shared queue drains the PASID, and no more', async () => {
    await using users = await Users.start(['shared']);
    const file = await users.open(users.process('one'));
    users.bench.takeWire();
    await file.close();
    const [drain, ...rest] = commands(users.bench.takeWire());
    expect([drain, rest]).toEqual([command('drainPasid', 2), []]);
  });

  test.each([
    ['dedicated', 'disableWq', 1],
    ['shared', 'drainPasid', 2],
  ] as const)(
    'D10 closing a %s queue stops its work before its slot is masked, cleared and free',
    async (mode, name, operand) => {
      await using users = await Users.start([mode], IMS);
      const { bench } = users;
      const file = await users.open(users.process('one'));
      bench.takeWire();
      await file.close();
      const wire = bench.takeWire();
      const [stop, mask, clear] = [command(name, operand), 'w32 IMS[0]+0xc 0x1', 'w32 IMS[0]+0x0 0x0'].map((line) =>
        wire.indexOf(line),
      );
      expect(stop).toBeGreaterThanOrEqual(0);
      expect(mask).toBeGreaterThan(stop!);
      expect(clear).toBeGreaterThan(mask!);
      expect(wire.at(-1)).toBe('r32 IMS[0]+0xc');
      await using again = await users.open(users.process('two'));
      expect(users.attribute(again, 'handle')).toBe('0');
    },
  );

  test('D10 unbinding a queue closes its files before it is reset', async () => {
    await using users = await Users.start(['dedicated'], IMS);
    const { bench } = users;
    await users.open(users.process('one'));
    bench.takeWire();
    await bench.unbind('wq0.0');
    const wire = bench.takeWire();
    expect(commands(wire)).toEqual([command('disableWq', 1), command('enableWq', 0), command('resetWq', 1)]);
    expect(wire.lastIndexOf('r32 IMS[0]+0xc')).toBeLessThan(wire.indexOf(command('resetWq', 1)));
  });

  test('closing waits for the work that is under way', async () => {
    await using users = await Users.start(['dedicated', 'shared'], { profile: { bytesPerUs: 1 } });
    for (const index of [0, 1]) {
      const one = users.process(`app${index}`);
      const file = await users.open(one, index);
      file.write(bytesOf({ size: PAGE }));
      await file.close();
      expect([one.status(), one.read(DESTINATION, PAGE)]).toEqual([STATUS.success, one.read(SOURCE, PAGE)]);
    }
  });

  test('who has no AddressSpace is EINVAL', async () => {
    await using users = await Users.start(['shared']);
    const node = users.bench.system.get(CharDevices, 'dsa/wq0.0');
    await expect(node.open({ name: 'ghost', mm: {} })).rejects.toThrow('EINVAL: wq0.0: the memory of ghost is no AddressSpace');
    expect(users.bench.read('wq0.0', 'clients')).toBe('0');
  });

  test('a device that refuses is ENXIO; nothing is kept, and the next one can open it', async () => {
    await using users = await Users.start(['dedicated']);
    const { silicon } = users.bench;
    const enable = silicon.enableQueue.bind(silicon);
    silicon.enableQueue = () => DSA.ERRORS.wqPasid;
    await expect(users.open(users.process('one'))).rejects.toThrow('ENXIO: wq0.0: enableWq refused with status 0x26');
    expect([users.wq().clients, users.wq().pasid]).toEqual([0, undefined]);
    silicon.enableQueue = enable;
    const two = users.process('two');
    await using file = await users.open(two);
    file.write(bytesOf());
    await users.settle();
    expect(two.status()).toBe(STATUS.success);
  });

  test('D9 the slot that is missing is ENOSPC, and nothing is kept', async () => {
    await using users = await Users.start(['shared']);
    const { ims } = users.bench.idxd;
    const taken = Array.from({ length: ims!.size }, () => ims!.alloc());
    await expect(users.open(users.process('one'))).rejects.toThrow(
      'ENOSPC: wq0.0: all 256 slots of the message store are in use',
    );
    expect(users.wq().clients).toBe(0);
    taken.pop()![Symbol.dispose]();
    await using file = await users.open(users.process('two'));
    expect(users.attribute(file, 'handle')).toBe('255');
    for (const slot of taken) slot[Symbol.dispose]();
  });

  test('says who has it, and what its completion records met', async () => {
    await using users = await Users.start(['shared']);
    const one = users.process('one');
    const file = await users.open(one);
    expect(['pid', 'cr_faults', 'cr_fault_failures'].map((name) => users.attribute(file, name))).toEqual([
      `${one.task.pid}`,
      '0',
      '0',
    ]);
    expect(file.device.path).toMatch(/wq0\.0\/file0$/);
  });

  test('queues of devices with fixed configuration can be opened as well', async () => {
    await using bench = await Users.fixed();
    const one = bench.process('one');
    await using file = await bench.open(one);
    file.write(bytesOf());
    await bench.settle();
    expect(one.status()).toBe(STATUS.success);
  });
});
