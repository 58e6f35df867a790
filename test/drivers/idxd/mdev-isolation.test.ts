import { describe, expect, test } from 'vitest';
import { VFIO_PCI_REGION } from '../../../core/index.js';
import { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Parts, type QueueOptions, copy, mapAll, stateOf, take } from './mdev-fixture.js';
import { DESTINATION, NOWHERE, PAGE, type Process, RECORD, RECORDS, descriptor } from './user-fixture.js';

const { OPCODES, STATUS } = DSA;
const { BAR2 } = VFIO_PCI_REGION;
const MISALIGNED = RECORDS + 8; // Such a record cannot be: only the error register, or the log, can tell.

/** Two users, each with a virtual device: of one queue where that is shared, else of one each. */
class Two implements AsyncDisposable {
  private constructor(
    readonly parts: Parts,
    readonly anna: Process,
    readonly bert: Process,
    readonly a: SubDevice,
    readonly b: SubDevice,
  ) {}

  static async start(mode: 'shared' | 'dedicated', profile = {}): Promise<Two> {
    const queues: QueueOptions[] = mode === 'shared' ? ['shared'] : ['dedicated', 'dedicated'];
    const parts = await Parts.start(queues, { profile });
    const [anna, bert] = [parts.process('anna'), parts.process('bert')];
    const a = await parts.open(await parts.create(0), anna);
    const b = await parts.open(await parts.create(queues.length - 1), bert);
    await a.enable();
    await b.enable();
    for (const part of [a, b]) take(part.events);
    return new Two(parts, anna, bert, a, b);
  }

  async submit(words: Uint32Array): Promise<void> {
    this.a.submit(words);
    await this.parts.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.a[Symbol.asyncDispose]();
    await this.b[Symbol.asyncDispose]();
    await this.parts[Symbol.asyncDispose]();
  }
}

const errorOf = (part: SubDevice): number => (part.read(DSA.SWERROR) >>> DSA.SWERROR.fields.error.lsb) & 0xff;

describe.each(['dedicated', 'shared'] as const)('two virtual devices (%s)', (mode) => {
  test('work each in the memory of its own user, at the same addresses, and interrupt each its own', async () => {
    await using two = await Two.start(mode);
    const { parts, anna, bert, a, b } = two;
    const before = bert.snapshot();
    await two.submit(copy(a));
    expect([anna.status(), anna.read(DESTINATION)[0], take(a.completions)]).toEqual([STATUS.success, 97, 1]);
    expect([bert.snapshot() === before, take(b.completions)]).toEqual([true, 0]);
    b.submit(copy(b));
    await parts.settle();
    expect([bert.status(), bert.read(DESTINATION)[0], take(b.completions), take(a.completions)]).toEqual([1, 98, 1, 0]);
  });

  test('cannot reach memory of the other: what only he has mapped is a fault', async () => {
    await using two = await Two.start(mode);
    const { anna, bert } = two;
    bert.map(NOWHERE);
    bert.fill(NOWHERE, 0x55);
    await two.submit(descriptor({ source: NOWHERE }));
    expect([anna.status(), anna.read(DESTINATION)[0]]).toEqual([STATUS.pageFault, 0]);
    await two.submit(descriptor({ destination: NOWHERE }));
    expect([anna.status(), bert.read(NOWHERE)[0]]).toEqual([STATUS.pageFault, 0x55]);
  });

  test('cannot work in the address space of the other by naming it', async () => {
    await using two = await Two.start(mode);
    const { parts, anna, bert } = two;
    const before = bert.snapshot();
    const pasid = stateOf(parts.type(mode === 'shared' ? 0 : 1).devices.at(-1)!).pasid!;
    await two.submit(descriptor({ pasid: pasid | 0x8000_0000 }));
    expect([anna.status(), anna.read(DESTINATION)[0], bert.snapshot() === before]).toEqual([STATUS.success, 97, true]);
  });

  test('M63 cannot interrupt the other by its handle, nor by any other', async () => {
    await using two = await Two.start(mode);
    const { anna, a, b } = two;
    expect(a.handle).not.toBe(b.handle);
    for (const handle of [b.handle!, 2, 255, 0xffff]) {
      anna.fill(RECORDS, 0);
      await two.submit(copy({ handle }));
      expect([anna.status(), take(a.completions), take(b.completions)]).toEqual([STATUS.handle, 0, 0]);
    }
  });

  test('cannot reach beyond their portal', async () => {
    await using two = await Two.start(mode);
    const { parts, anna, bert, a } = two;
    const before = bert.snapshot();
    const portal = a.file.mmap(BAR2, PAGE, PAGE);
    for (const offset of [PAGE, DSA.PORTAL_STRIDE, -PAGE]) {
      portal.movdir64b(offset, descriptor());
      expect(portal.enqcmd(offset, descriptor())).toBe(true);
      portal.write64(offset, 1, 1);
    }
    await parts.settle();
    expect([anna.status(), bert.snapshot() === before]).toEqual([0, true]);
    expect(parts.bench.silicon.queues.map(({ occupancy }) => occupancy).filter((count) => count > 0)).toEqual([]);
  });

  test.each([0, 64])(
    "D19 an error is told to its own user alone, without what is the host's (log of %i bytes)",
    async (eventLog) => {
      await using two = await Two.start(mode, { eventLog });
      const { a, b } = two;
      for (const part of [a, b]) part.write(DSA.GENCTRL, { softwareError: 1 });
      await two.submit(descriptor({ completion: MISALIGNED }));
      expect([errorOf(a), take(a.events), a.read(DSA.INTCAUSE)]).toEqual([0x1b, 1, 1]);
      expect([a.read(DSA.SWERROR) & 0xff_000b, upperOf(a)]).toEqual([0x09, OPCODES.move]);
      expect([b.read(DSA.SWERROR), take(b.events)]).toEqual([0, 0]);
      // The first stays until it is acknowledged.
      await two.submit(descriptor({ completion: MISALIGNED, op: OPCODES.fill }));
      expect([a.read(DSA.SWERROR) & 3, upperOf(a)]).toEqual([3, OPCODES.move]);
      a.write(DSA.SWERROR, 3);
      await two.submit(descriptor({ completion: MISALIGNED, op: OPCODES.fill }));
      expect([a.read(DSA.SWERROR) & 3, upperOf(a)]).toEqual([1, OPCODES.fill]);
    },
  );

  test('a completion record that has no memory is an error for its own user alone', async () => {
    await using two = await Two.start(mode);
    const { a, b } = two;
    await two.submit(descriptor({ completion: NOWHERE }));
    expect([errorOf(a), a.read({ ...DSA.SWERROR_ADDRESS, bytes: 4 }), errorOf(b)]).toEqual([STATUS.completionFault, NOWHERE, 0]);
  });

  test('D19 an error of no queue is told to all', async () => {
    await using two = await Two.start(mode);
    const { parts, a, b } = two;
    parts.bench.silicon.errors.device(DSA.SWERRORS.commandActive);
    await parts.settle();
    expect([errorOf(a), errorOf(b)]).toEqual([DSA.SWERRORS.commandActive, DSA.SWERRORS.commandActive]);
  });

  test('the end of one leaves the work of the other alone', async () => {
    await using two = await Two.start(mode);
    const { parts, bert, a, b } = two;
    b.submit(descriptor({ flags: RECORD | DSA.FLAGS.requestInterrupt, handle: b.handle!, size: PAGE }));
    await a.file.close();
    await parts.settle();
    expect([bert.status(), take(b.completions)]).toEqual([STATUS.success, 1]);
  });
});

describe('a virtual device that is handed on', () => {
  test.each(['dedicated', 'shared'] as const)('has nothing of its last user (%s)', async (mode) => {
    await using parts = await Parts.start([mode]);
    const dev = await parts.create();
    const [anna, bert] = [parts.process('anna'), parts.process('bert')];
    const first = await parts.open(dev, anna);
    await first.enable();
    const portal = first.file.mmap(BAR2, PAGE, PAGE);
    first.write(DSA.GENCTRL, 7);
    const { pasid } = stateOf(dev);
    // Half a descriptor, as if there were more to come.
    const words = copy(first);
    for (let word = 0; word < 8; word++) portal.write32(4 * word, words[word]!);
    await first.file.close();
    expect([stateOf(dev).pasid, parts.bench.system.kernel.iommu.group(dev)?.at(pasid!)]).toEqual([undefined, undefined]);
    expect(() => portal.write32(32, 0)).toThrow('ENODEV: ');
    await using second = await parts.open(dev, bert);
    expect([second.read(DSA.GENCTRL), second.read(DSA.GENSTATUS)]).toEqual([0, 0]);
    await second.enable();
    const rest = second.file.mmap(BAR2, PAGE, PAGE);
    for (let word = 8; word < 16; word++) rest.write32(4 * word, words[word]!);
    await parts.settle();
    expect([bert.status(), bert.read(DESTINATION)[0]]).toEqual([0, 0]);
    second.submit(copy(second));
    await parts.settle();
    expect([bert.status(), bert.read(DESTINATION)[0]]).toEqual([STATUS.success, 98]);
  });

  test('has no error of its last user that was read too late', async () => {
    await using parts = await Parts.start(['shared']);
    const { irqs } = parts.bench.system.kernel;
    const vector0 = parts.bench.idxd.vectors.virq(0);
    const dev = await parts.create();
    const first = await parts.open(dev, parts.process('anna'));
    const { pasid } = stateOf(dev);
    await first.enable();
    await irqs.disable(vector0);
    first.submit(descriptor({ completion: NOWHERE }));
    await parts.settle();
    await first.file.close();
    await using second = await parts.open(dev, parts.process('bert'));
    expect(stateOf(dev).pasid).toBe(pasid);
    irqs.enable(vector0);
    await parts.settle();
    expect(errorOf(second)).toBe(0);
  });

  test('what was written in part while its queue was disabled is not there when it is enabled', async () => {
    await using parts = await Parts.start(['dedicated']);
    const anna = parts.process('anna');
    await using part = await parts.open(await parts.create(), anna);
    await part.enable();
    const portal = part.file.mmap(BAR2, PAGE, PAGE);
    await part.command('disableWq', 1);
    const words = copy(part);
    for (let word = 0; word < 8; word++) portal.write32(4 * word, words[word]!);
    await part.command('enableWq', 0);
    for (let word = 8; word < 16; word++) portal.write32(4 * word, words[word]!);
    await parts.settle();
    expect(anna.status()).toBe(0);
  });

  test('shares the address space with what else its user has in the container, which keeps it', async () => {
    await using parts = await Parts.start(['shared', 'dedicated']);
    const anna = parts.process('anna');
    const devs = [await parts.create(0), await parts.create(1)];
    const container = parts.vfio.container(anna.space);
    const first = await SubDevice.open(parts.vfio, devs[0]!.name, container);
    await using second = await SubDevice.open(parts.vfio, devs[1]!.name, container);
    mapAll(container);
    expect(stateOf(devs[0]!).pasid).toBe(stateOf(devs[1]!).pasid);
    await second.enable();
    await first.file.close();
    second.submit(copy(second));
    await parts.settle();
    expect([anna.status(), take(second.completions)]).toEqual([STATUS.success, 1]);
  });

  test('D19 has no error of another queue that works in the same address space, and its own queue is number 0', async () => {
    await using parts = await Parts.start(['dedicated', 'dedicated'], { profile: { eventLog: 0 } });
    const container = parts.vfio.container(parts.process('anna').space);
    await using first = await SubDevice.open(parts.vfio, (await parts.create(0)).name, container);
    await using second = await SubDevice.open(parts.vfio, (await parts.create(1)).name, container);
    mapAll(container);
    await second.enable();
    second.submit(descriptor({ completion: MISALIGNED }));
    await parts.settle();
    expect([errorOf(first), errorOf(second), second.read(DSA.SWERROR) & 0xff_0008]).toEqual([0, STATUS.completionAlignment, 8]);
  });

  test('is for one user at a time', async () => {
    await using parts = await Parts.start(['shared']);
    const dev = await parts.create();
    await using part = await parts.open(dev, parts.process('anna'));
    await expect(parts.open(dev, parts.process('bert'))).rejects.toThrow('EINVAL: ');
    expect(part.file.isClosed).toBe(false);
  });
});

const upperOf = (part: SubDevice): number => part.read({ ...DSA.SWERROR, offset: DSA.SWERROR.offset + 4, bytes: 4 });
