import { describe, expect, test } from 'vitest';
import { CharDevices, Errno, Ioctl, POLL } from '../../../core/index.js';
import { CQE_OPCODES, UAR_CQ_ARM, UAR_EQ_ARM } from '../../../hw/regs/nic.js';
import { RDMA, RDMA_EVENTS } from '../../../plugins/mlx5-rdma.js';
import { LOG_SIZE, NODE, RdmaBench, type RdmaTask } from './fixture.js';

const { completion, cqError, deviceFatal, portActive, portError } = RDMA_EVENTS;

/** The code that it is refused with; `none` when it is not. */
async function codeOf(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
}

describe('a task with the device open', () => {
  test('sees completions in its own memory, and hears of those that it has armed the queue for', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one');
    const cq = await task.createCq();
    const sq = await task.createSq(cq);
    task.send(sq);
    await bench.settle();
    expect([task.file.poll(), await task.events()]).toEqual([0, []]);
    expect(cq.take().map(({ opcode }) => opcode)).toEqual([CQE_OPCODES.sent]);
    cq.arm(task.doorbells);
    task.send(sq);
    task.send(sq);
    await bench.settle();
    expect(task.file.poll() & POLL.IN).toBe(POLL.IN);
    expect(await task.events()).toEqual([{ type: completion, element: cq.number, count: 1 }]);
    expect([cq.take().length, task.file.poll()]).toEqual([2, 0]);
  });

  test('is woken by an event, once for each arm', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one');
    const cq = await task.createCq(1);
    const sq = await task.createSq(cq);
    for (let sn = 0; sn < 6; sn++) {
      cq.arm(task.doorbells, sn);
      const waiting = task.file.wait();
      task.send(sq);
      await bench.settle();
      expect(await waiting).toBe(POLL.IN);
      expect(await task.events()).toHaveLength(1);
      cq.take();
    }
  });

  test('hears of what it has not read with a count, and of each queue once', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one');
    const [a, b] = [await task.createCq(), await task.createCq()];
    const [sqA, sqB] = [await task.createSq(a), await task.createSq(b)];
    for (let sn = 0; sn < 4; sn++) {
      a.arm(task.doorbells, sn);
      if (sn === 0) b.arm(task.doorbells);
      task.send(sqA);
      task.send(sqB);
      await bench.settle();
      a.take();
    }
    expect(await task.events(1)).toEqual([{ type: completion, element: a.number, count: 4 }]);
    expect(await task.events(1)).toEqual([{ type: completion, element: b.number, count: 1 }]);
    expect(await codeOf(() => task.file.read(new Uint8Array(16)))).toBe('EAGAIN');
    expect(await codeOf(() => task.file.read(new Uint8Array(15)))).toBe('EINVAL');
  });

  test('hears of its queue that overruns, and of the port and the device; all without reading it grows by nothing', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one');
    const cq = await task.createCq();
    const sq = await task.createSq(cq);
    for (let n = 0; n <= 1 << LOG_SIZE; n++) {
      task.send(sq);
      await bench.settle();
    }
    expect(task.file.poll() & POLL.PRI).toBe(POLL.PRI);
    expect(await task.events()).toEqual([{ type: cqError, element: cq.number, count: 1 }]);
    bench.silicon.pf.event(0x09, 1);
    bench.silicon.pf.event(0x09, 4);
    bench.silicon.pf.event(0x09, 1);
    await bench.settle();
    expect(await task.events()).toEqual([
      { type: portError, element: 0, count: 2 },
      { type: portActive, element: 0, count: 1 },
    ]);
    bench.core.fail('a test');
    expect(task.file.poll()).toBe(POLL.PRI | POLL.ERR);
    expect(await task.events()).toEqual([{ type: deviceFatal, element: 0, count: 1 }]);
  });

  test('destroys its queues in their order, and hears of none that is gone', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one');
    const { file } = task;
    const cq = await task.createCq();
    const sq = await task.createSq(cq);
    cq.arm(task.doorbells);
    task.send(sq);
    await bench.settle();
    expect(await codeOf(() => file.ioctl(RDMA.DESTROY_CQ, cq.number))).toBe('EBUSY');
    await file.ioctl(RDMA.DESTROY_SQ, sq.number);
    await file.ioctl(RDMA.DESTROY_CQ, cq.number);
    expect(await task.events()).toEqual([]);
    expect(await codeOf(() => file.ioctl(RDMA.DESTROY_CQ, cq.number))).toBe('EINVAL');
    expect(await codeOf(() => file.ioctl(RDMA.DESTROY_SQ, sq.number))).toBe('EINVAL');
    expect([bench.silicon.pf.cqs, bench.silicon.pf.sqs].map((all) => all.filter((one) => one !== undefined).length)).toEqual([
      0, 0,
    ]);
  });

  test('is told what it may ask for', async () => {
    await using bench = await RdmaBench.start();
    await using task = await bench.open('one', []);
    const { file } = task;
    const { compVectors } = await file.ioctl(RDMA.QUERY_DEVICE, undefined);
    expect(compVectors).toBe(bench.core.compVectorCount);
    const place = { address: 0x1000, record: 0x2000, logSize: LOG_SIZE };
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_CQ, { ...place, compVector: compVectors }))).toBe('EINVAL');
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_CQ, { ...place, logSize: 23 }))).toBe('EINVAL');
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_CQ, { ...place, address: 0x1010 }))).toBe('EINVAL');
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_CQ, { ...place, record: 4 }))).toBe('EINVAL');
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_CQ, { ...place, address: -4096 }))).toBe('EINVAL');
    const cq = await task.createCq();
    expect(await codeOf(() => file.ioctl(RDMA.CREATE_SQ, { ...place, cqn: cq.number }))).toBe('EPERM');
    expect(await codeOf(() => file.ioctl(new Ioctl<undefined, void>('NOTHING'), undefined))).toBe('ENOTTY');
    for (const bad of [{ sizeBytes: 8192 }, { sizeBytes: 4096, offset: 4096 }, { sizeBytes: 4096, shared: false }]) {
      expect(await codeOf(() => file.mmap(bad))).toBe('EINVAL');
    }
    expect(await codeOf(() => CharDevices.get(bench.system.core, NODE).open({ name: 'none', mm: {} }))).toBe('EINVAL');
  });

  test('is not offered where nothing keeps tasks apart', async () => {
    await using bench = await RdmaBench.start({}, { iommu: false });
    expect(String(bench.system.device('mlx5_core.rdma.0').probeError)).toMatch(/EOPNOTSUPP: mlx5_core.rdma.0: has no PASIDs/);
  });
});

describe('two tasks', () => {
  /** Both with a queue each. */
  async function both(bench: RdmaBench): Promise<[RdmaTask, RdmaTask]> {
    return [await bench.open('one'), await bench.open('two')];
  }

  test('do not reach each other: doorbells are counted, numbers are unknown, files are their own', async () => {
    await using bench = await RdmaBench.start();
    const [one, two] = await both(bench);
    const cq = await one.createCq();
    const sq = await one.createSq(cq);
    const before = bench.silicon.pf.uarViolations;
    sq.doorbell(two.doorbells);
    cq.arm(two.doorbells);
    two.doorbells.write64(UAR_CQ_ARM, 0, 0xff_ffff);
    two.doorbells.write32(UAR_EQ_ARM, 0);
    await bench.settle();
    expect(bench.silicon.pf.uarViolations - before).toBe(4);
    expect(await codeOf(() => two.file.ioctl(RDMA.DESTROY_CQ, cq.number))).toBe('EINVAL');
    expect(await codeOf(() => two.file.ioctl(RDMA.CREATE_SQ, { address: 0, record: 0, logSize: 4, cqn: cq.number }))).toBe(
      'EINVAL',
    );
    const shared = one.file.share(two.file.task);
    expect(await codeOf(() => shared.ioctl(RDMA.DESTROY_SQ, sq.number))).toBe('EPERM');
    expect(await codeOf(() => shared.mmap({ sizeBytes: 4096 }))).toBe('EPERM');
    expect(await codeOf(() => shared.read(new Uint8Array(64)))).toBe('EPERM');
    expect(shared.poll()).toBe(POLL.NVAL);
    await shared.close();
    one.send(sq);
    await bench.settle();
    expect(cq.take()).toHaveLength(1);
  });

  test('have the same addresses, and each its own memory there', async () => {
    await using bench = await RdmaBench.start();
    const [one, two] = await both(bench);
    const cqs = [await one.createCq(), await two.createCq()];
    const sqs = [await one.createSq(cqs[0]!), await two.createSq(cqs[1]!)];
    expect([cqs[0]!.ring, sqs[0]!.ring]).toEqual([cqs[1]!.ring, sqs[1]!.ring]);
    one.send(sqs[0]!, 64);
    two.send(sqs[1]!, 128);
    await bench.settle();
    expect(cqs.map((cq) => cq.take().map(({ bytes }) => bytes))).toEqual([[64], [128]]);
    expect(bench.sim.iommuFaults).toEqual([]);
  });

  test('a queue that names memory its task has not is a fault, and nobody else’s trouble', async () => {
    await using bench = await RdmaBench.start();
    const [one, two] = await both(bench);
    const cq = await two.createCq();
    const sq = await two.createSq(cq);
    const secret = one.memory.map(0x7000_0000, 4096);
    sq.send(secret, 64);
    sq.doorbell(two.doorbells);
    await bench.settle();
    expect(cq.take().map(({ syndrome }) => syndrome)).toEqual([4]);
    const own = await one.createCq();
    const ownSq = await one.createSq(own);
    one.send(ownSq);
    await bench.settle();
    expect(own.take().map(({ opcode }) => opcode)).toEqual([CQE_OPCODES.sent]);
  });

  test('one that is closed leaves nothing, and its page is no one’s', async () => {
    await using bench = await RdmaBench.start();
    const [one, two] = await both(bench);
    const { uarNumbers } = bench.silicon.pf;
    const pages = uarNumbers.size;
    const cq = await one.createCq();
    await one.createSq(cq);
    await one.file.close();
    expect(uarNumbers.size).toBe(pages - 1);
    expect(() => one.doorbells.write64(UAR_CQ_ARM, 0, cq.number)).toThrow(/ENODEV/);
    expect(bench.silicon.pf.sqs.filter((sq) => sq !== undefined)).toEqual([]);
    await two.createCq();
  });
});
