import { describe, expect, test } from 'vitest';
import { System } from '../../../../core/index.js';
import {
  CompletionQueue,
  DoorbellRecords,
  type QueueOwner,
  ReceiveQueue,
  SendQueue,
} from '../../../../drivers/lib/mlx5/index.js';
import type { Mlx5Core } from '../../../../drivers/mlx5/mlx5-core.js';
import type { Nic } from '../../../../hw/models/nic/index.js';
import { CQE_OPCODES, CQ_ERROR_OVERRUN, UAR_CQ_ARM, UAR_SQ_DOORBELLS, WQE } from '../../../../hw/regs/nic.js';
import { OPCODES } from '../../../../hw/regs/nic-commands.js';
import { type HostSim, hostSim } from '../../../../plugins/host-sim.js';
import { mlx5 } from '../../../../plugins/mlx5.js';

/** A client that counts. */
class Counter {
  events = 0;
  readonly failures: number[] = [];
  completed(): void {
    this.events++;
  }
  failed(syndrome: number): void {
    this.failures.push(syndrome);
  }
}

interface Write {
  readonly offset: number;
  readonly lo: number;
  readonly hi: number;
}

/** A function whose commands and doorbells are written down. */
class Bench implements AsyncDisposable {
  readonly commands: number[] = [];
  readonly writes: Write[] = [];
  readonly client = new Counter();
  readonly owner: QueueOwner;
  readonly records: DoorbellRecords;

  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly silicon: Nic,
    readonly core: Mlx5Core,
  ) {
    const { uar } = core;
    this.owner = {
      dev: core.dev,
      dma: core.dma,
      uar: {
        index: uar.index,
        write64: (offset, lo, hi) => {
          this.writes.push({ offset, lo, hi });
          uar.write64(offset, lo, hi);
        },
      },
      exec: (opcode, input, output) => {
        this.commands.push(opcode);
        return core.exec(opcode, input, output);
      },
      hasEq: (eqn) => core.hasEq(eqn),
      addCq: (eqn, cqn, cq) => core.addCq(eqn, cqn, cq),
      removeCq: (eqn, cqn) => core.removeCq(eqn, cqn),
    };
    this.records = new DoorbellRecords(this.owner, core.dev);
  }

  static async start(): Promise<Bench> {
    let silicon: Nic | undefined;
    const sim = hostSim({ cpus: 4, nic: [{ sfs: 0, onCreate: (made) => (silicon = made) }] });
    const system = await System.start(sim.plugin, mlx5());
    return new Bench(sim, system, silicon!, system.device('0000:00:04.0').state as Mlx5Core);
  }

  async cq(logSize = 6): Promise<CompletionQueue> {
    const eqn = await this.core.compEqn(0);
    return CompletionQueue.create(this.owner, this.core.dev, { logSize, eqn, client: this.client, records: this.records });
  }

  /** A send queue that is ready, with a buffer for what it sends. */
  async sq(cq: CompletionQueue, logSize = 6) {
    const sq = await SendQueue.create(this.owner, this.core.dev, { cq, logSize, records: this.records });
    await sq.ready();
    const buffer = this.core.dma.alloc(this.core.dev, 4096);
    buffer.fill(0x22, 0, 64);
    const post = (count: number): void => {
      for (let n = 0; n < count; n++) {
        const at = sq.begin(1);
        sq.data(at, 0, buffer.address, 64);
        sq.end(at, 1, 64);
        sq.notify();
      }
    };
    return { sq, buffer, post };
  }

  settle(us = 100): Promise<void> {
    return this.sim.settle(us);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a completion queue', () => {
  test('18 a stale arm brings no second event; an arm with its number brings one at once when entries are there', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { post } = await bench.sq(cq);
    const eqn = await bench.core.compEqn(0);
    cq.arm();
    bench.silicon.dropInterrupt(eqn);
    post(1);
    await bench.settle();
    // The event is in the queue, and nobody knows of it.
    expect(bench.client.events).toBe(0);
    cq.arm();
    post(5);
    await bench.settle();
    expect(bench.core.pollEq(eqn)).toBe(1);
    expect([bench.client.events, cq.armSn]).toEqual([1, 1]);
    cq.arm();
    await bench.settle();
    expect(bench.client.events).toBe(2);
    expect(bench.core.pollEq(eqn)).toBe(0);
  });

  test('19 the arm word has the number of the event and how far it was read, in the record and in the register', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    for (let n = 0; n < 5; n++) cq.completed();
    for (let n = 0; n < 0x1000003; n++) cq.pop();
    bench.writes.length = 0;
    cq.arm();
    expect(bench.writes).toEqual([{ offset: UAR_CQ_ARM, lo: 0x1000_0003, hi: cq.cqn }]);
    expect(bench.records.words.get(1)).toBe(0x1000_0003);
    cq.arm(true);
    expect(bench.writes[1]!.lo).toBe(0x1100_0003);
  });

  test('20 with an event queue that there is not, it is ENOENT and no command', async () => {
    await using bench = await Bench.start();
    const options = { logSize: 6, eqn: 99, client: bench.client, records: bench.records };
    expect(await codeOf(CompletionQueue.create(bench.owner, bench.core.dev, options))).toBe('ENOENT');
    expect(bench.commands).toEqual([]);
  });

  test('22 the record says how far it was read before there is room', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { sq, post } = await bench.sq(cq);
    post(3);
    await bench.settle();
    for (let n = 0; n < 3; n++) {
      const at = cq.peek();
      expect(cq.opcode(at)).toBe(CQE_OPCODES.sent);
      expect(cq.counter(at)).toBe(n);
      cq.pop();
      sq.retire(cq.counter(at));
    }
    expect(cq.peek()).toBe(-1);
    expect(bench.records.words.get(0)).toBe(0);
    cq.updateConsumer();
    expect(bench.records.words.get(0)).toBe(3);
    expect([sq.packets, sq.bytes, sq.room()]).toEqual([3, 192, 64]);
  });

  test('23 nobody is told any more when it is gone, and the command comes after that', async () => {
    await using bench = await Bench.start();
    const eqn = await bench.core.compEqn(0);
    const group = bench.core.dev.devres.group('test');
    const cq = await bench.cq();
    const { post } = await bench.sq(cq);
    cq.arm();
    bench.silicon.dropInterrupt(eqn);
    post(1);
    await bench.settle();
    bench.commands.length = 0;
    await group.release();
    expect(bench.commands.at(-1)).toBe(OPCODES.DESTROY_CQ);
    // Its event is there still.
    expect(bench.core.pollEq(eqn)).toBe(1);
    expect(bench.client.events).toBe(0);
    expect(bench.core.hasEq(eqn)).toBe(true);
  });

  test('24 one that overruns is told of once, and takes nothing more', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq(3);
    const { post } = await bench.sq(cq);
    post(9);
    await bench.settle();
    expect(bench.client.failures).toEqual([CQ_ERROR_OVERRUN]);
    expect(cq.hasFailed).toBe(true);
    post(1);
    await bench.settle();
    expect(bench.client.failures).toHaveLength(1);
    let count = 0;
    for (; cq.peek() >= 0; count++) cq.pop();
    expect(count).toBe(8);
  });

  test('moderation that the device cannot count to is refused', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    expect(await codeOf(cq.setModeration(4096, 1))).toBe('ERANGE');
    expect(await codeOf(cq.setModeration(1, 65_536))).toBe('ERANGE');
    expect(bench.commands).not.toContain(OPCODES.MODIFY_CQ);
    await cq.setModeration(4095, 65_535);
    expect(bench.commands).toContain(OPCODES.MODIFY_CQ);
  });
});

describe('a send queue', () => {
  test('an entry never straddles the end of the ring: what is left there does nothing', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { sq, buffer, post } = await bench.sq(cq);
    const drain = (): number => {
      let count = 0;
      for (let at = cq.peek(); at >= 0; at = cq.peek(), count++) {
        cq.pop();
        sq.retire(cq.counter(at));
      }
      cq.updateConsumer();
      return count;
    };
    post(62);
    await bench.settle();
    expect(drain()).toBe(62);
    // Two units are left, and it needs three: two segments in front, and ten of data.
    const at = sq.begin(10);
    expect(at).toBe(0);
    for (let n = 0; n < 10; n++) sq.data(at, n, buffer.address + 6 * n, 6);
    sq.end(at, 10, 60);
    sq.notify();
    await bench.settle();
    expect(drain()).toBe(1);
    expect([sq.nops, sq.producer, sq.consumer, sq.packets, sq.bytes]).toEqual([2, 67, 67, 63, 62 * 64 + 60]);
    expect(sq.words.get((62 * WQE.unitBytes) / 4)).toBe(62 << 8);
    expect(sq.stopRoom(3)).toBe(5);
  });

  test('a batch has one doorbell, and one completion retires it', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { sq, buffer } = await bench.sq(cq);
    bench.writes.length = 0;
    for (let n = 0; n < 32; n++) {
      const at = sq.begin(1);
      sq.data(at, 0, buffer.address, 64);
      sq.end(at, 1, 64);
    }
    expect([bench.writes.length, sq.isPending]).toEqual([0, true]);
    sq.notify();
    sq.notify();
    const control = [(31 << 8) | 0x0a, (sq.number << 8) | 3];
    expect(bench.writes).toEqual([{ offset: UAR_SQ_DOORBELLS[0], lo: control[0], hi: control[1] }]);
    await bench.settle();
    const at = cq.peek();
    expect(cq.counter(at)).toBe(31);
    cq.pop();
    sq.retire(31);
    expect([cq.peek(), sq.packets, sq.room()]).toEqual([-1, 32, 64]);
  });

  test('counters go round: 70,000 entries, none lost', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { sq, buffer } = await bench.sq(cq);
    for (let round = 0; round < 1400; round++) {
      for (let n = 0; n < 50; n++) {
        const at = sq.begin(1);
        sq.data(at, 0, buffer.address, 60);
        sq.end(at, 1, 60);
      }
      sq.notify();
      bench.sim.elapse(100);
      const at = cq.peek();
      cq.pop();
      sq.retire(cq.counter(at));
      cq.updateConsumer();
      expect(sq.room()).toBe(64);
    }
    expect(sq.packets).toBe(70_000);
  });

  test('in state error what is under way is flushed, and it begins anew after a reset', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    const { sq, post } = await bench.sq(cq);
    await sq.fail();
    post(4);
    await bench.settle();
    for (let n = 0; n < 4; n++) {
      const at = cq.peek();
      expect(cq.opcode(at)).toBe(CQE_OPCODES.sendError);
      cq.pop();
      sq.retire(cq.counter(at));
    }
    expect(sq.room()).toBe(64);
    cq.updateConsumer();
    await sq.modify('reset');
    sq.restart();
    await sq.ready();
    post(1);
    await bench.settle();
    expect(cq.opcode(cq.peek())).toBe(CQE_OPCODES.sent);
  });

  test('rings have 64 to 8192 entries', async () => {
    await using bench = await Bench.start();
    const cq = await bench.cq();
    for (const logSize of [5, 14, 6.5]) {
      expect(await codeOf(SendQueue.create(bench.owner, bench.core.dev, { cq, logSize, records: bench.records }))).toBe('ERANGE');
    }
    expect(await codeOf(ReceiveQueue.create(bench.owner, bench.core.dev, { cq, logSize: 5, records: bench.records }))).toBe(
      'ERANGE',
    );
  });
});
