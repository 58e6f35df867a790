import { describe, expect, test } from 'vitest';
import { UAR_CQ_ARM, UAR_EQ_ARM, UAR_INTR_KICK } from '../../../hw/regs/nic.js';
import { type NetGuest, STARTED, VnetBench, frame } from './fixture.js';

/** Whether a packet of `a` reaches `b`. */
async function reaches(bench: VnetBench, a: NetGuest, b: NetGuest): Promise<boolean> {
  a.send(1, frame(b.mac, a.mac, 64));
  await bench.settle();
  return b.received(0).length === 1;
}

describe('two users', () => {
  test('a queue reaches the memory of its user alone: another’s addresses are faults, and his own queue fails', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    const secret = b.memory.map(0x7000_0000, 4096);
    b.memory.write(secret, new Uint8Array(64).fill(0x5e));
    const { wq, cq } = a.queues[1]!;
    wq.send(secret, 64);
    wq.doorbell(a.vdpa.doorbells(1));
    await bench.settle();
    expect(cq.take().map(({ syndrome }) => syndrome)).toEqual([4]);
    expect(bench.sim.iommuFaults.length).toBeGreaterThan(0);
    expect(b.received(0)).toEqual([]);
    expect(await b.vdpa.status()).toBe(STARTED);
  });

  test('doorbells for queues that are not his are counted, and nobody’s', async () => {
    await using bench = await VnetBench.start({ count: 1 });
    await using a = await bench.guest(0);
    const { silicon } = bench;
    const fn = silicon.functionOf(0x8000)!;
    const doorbells = a.vdpa.doorbells(0);
    const before = fn.uarViolations;
    const { wq } = a.queues[1]!;
    wq.doorbell(doorbells, wq.number + 7);
    doorbells.write64(UAR_CQ_ARM, 0, a.queues[0]!.cq.number + 77);
    for (let eqn = 0; eqn < 3; eqn++) {
      doorbells.write32(UAR_EQ_ARM, (eqn << 24) | 99);
      doorbells.write32(UAR_INTR_KICK, eqn);
    }
    await bench.settle();
    expect(fn.uarViolations - before).toBe(8);
    expect(fn.eqs.filter((eq) => eq !== undefined).map(({ status }) => status)).not.toContain(9);
  });

  test('what one does to his queues is nothing to the other', async () => {
    await using bench = await VnetBench.start({ count: 3 });
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    await using c = await bench.guest(2);
    // A send queue of nonsense, records that say anything, and arms of every number.
    const { wq, cq } = c.queues[1]!;
    c.memory.write(wq.ring, new Uint8Array(1024).fill(0xff));
    c.memory.write32(wq.record + 4, 0xffff);
    wq.doorbell(c.vdpa.doorbells(1));
    for (let sn = 0; sn < 4; sn++) cq.arm(c.vdpa.doorbells(1), sn);
    await bench.settle();
    expect(await reaches(bench, a, b)).toBe(true);
    expect(await reaches(bench, b, a)).toBe(true);
  });

  test('the memory of one who has gone is reached no more, and the next one has its own', async () => {
    await using bench = await VnetBench.start();
    await using b = await bench.guest(1);
    const a = await bench.guest(0);
    const kept = a.vdpa.doorbells(1);
    await a[Symbol.asyncDispose]();
    expect(() => kept.write64(UAR_CQ_ARM, 0, 1)).toThrow(/ENODEV/);
    const before = a.memory.read(a.packet(0, 0), 64);
    await using next = await bench.guest(0, 'next');
    expect(await reaches(bench, b, next)).toBe(true);
    expect(a.memory.read(a.packet(0, 0), 64)).toEqual(before);
    expect(bench.sim.iommuFaults).toEqual([]);
  });
});
