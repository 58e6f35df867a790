import { type DmaBuffer, type NetNode, describeError, hex } from '../../core/index.js';
import { CQE, CQE_OPCODES } from '../../hw/regs/nic.js';
import { CompletionQueue, ReceiveQueue } from '../lib/mlx5/index.js';
import { Recovery } from './recovery.js';
import type { RingSetup } from './ring-setup.js';
import type { ChannelStatistics } from './statistics.js';

/** Buffers are given back in bulks. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en/params.c mlx5e_calc_wqe_bulk */
const BULK = 8;
const BYTE_COUNT = CQE.byteCount / 4;
const { received: RECEIVED } = CQE_OPCODES;

/**
 * The receive half of a channel. Each entry of the ring has a buffer of its own; frames are handed up where they are, and the buffer is
 * given back when they were seen.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_rx.c
 */
export class Rx {
  readonly cq: CompletionQueue;
  readonly rq: ReceiveQueue;
  readonly #setup: RingSetup;
  readonly #node: NetNode;
  readonly #statistics: ChannelStatistics;
  readonly #buffers: DmaBuffer;
  /** The buffers, or one frame of them where the host cannot show those. */
  readonly #view: Uint8Array;
  readonly #isLive: boolean;
  readonly #slotBytes: number;
  readonly #index: number;
  readonly #recovery: Recovery;
  #isActive = false;

  static async create(setup: RingSetup): Promise<Rx> {
    const { core, dev, eqn, logSize, slotBytes, periodUs, maxCount, client, records, uar } = setup;
    const buffers = core.dma.alloc(dev, slotBytes << logSize);
    const cq = await CompletionQueue.create(core, dev, { logSize, eqn, client, records, uar, periodUs, maxCount });
    const rq = await ReceiveQueue.create(core, dev, { cq, logSize, records, uar });
    return new Rx(setup, buffers, cq, rq);
  }

  private constructor(setup: RingSetup, buffers: DmaBuffer, cq: CompletionQueue, rq: ReceiveQueue) {
    const { slotBytes } = setup;
    const view = buffers.view();
    this.#setup = setup;
    this.#node = setup.node;
    this.#statistics = setup.statistics;
    this.#index = setup.index;
    this.#buffers = buffers;
    this.#isLive = view !== undefined;
    this.#view = view ?? new Uint8Array(slotBytes);
    this.#slotBytes = slotBytes;
    this.cq = cq;
    this.rq = rq;
    this.#recovery = new Recovery(setup.core.clock);
    for (let n = 0; n < rq.size; n++) rq.setBuffer(n, buffers.address + n * slotBytes, slotBytes);
  }

  /** Frames may come. @see Linux 7.2 en_main.c mlx5e_activate_rq */
  async activate(): Promise<void> {
    this.refill(1);
    await this.rq.ready();
    this.#isActive = true;
  }

  /** Nothing is handed up any more. */
  deactivate(): void {
    this.#isActive = false;
  }

  /** What it was doing is over. */
  async end(): Promise<void> {
    await this.#recovery.end();
  }

  /** Hands up what has come. @returns frames @see Linux 7.2 en_rx.c mlx5e_poll_rx_cq */
  poll(budget: number): number {
    const { cq, rq } = this;
    const words = cq.words;
    const statistics = this.#statistics;
    let count = 0;
    for (; count < budget; count++) {
      const at = cq.peek();
      if (at < 0) break;
      cq.pop();
      const slot = (cq.counter(at) & rq.mask) * this.#slotBytes;
      const bytes = words.get(at + BYTE_COUNT);
      // What a device says of memory is not believed.
      if (cq.opcode(at) === RECEIVED && bytes <= this.#slotBytes) {
        statistics.rxPackets++;
        statistics.rxBytes += bytes;
        this.#handUp(slot, bytes);
      } else {
        this.#failed(at);
      }
      rq.consumer++;
    }
    if (count > 0) cq.updateConsumer();
    return count;
  }

  /**
   * Gives back buffers, when there are so many. Linux allocates them here, which may fail; these are the same for ever.
   * @see Linux 7.2 en_rx.c mlx5e_post_rx_wqes
   */
  refill(atLeast = BULK): void {
    const { rq } = this;
    const room = rq.room();
    if (room < atLeast || this.#recovery.isRunning) return;
    rq.post(room);
    rq.notify();
  }

  #handUp(slot: number, bytes: number): void {
    const view = this.#view;
    let at = slot;
    if (!this.#isLive) {
      this.#buffers.read(slot, view.subarray(0, bytes));
      at = 0;
    }
    if ((view[at]! & 1) !== 0) this.#statistics.rxMulticast++;
    this.#node.receive(view, at, bytes, this.#index);
  }

  /**
   * The first error of a queue: the device has stopped it, and flushes what is left.
   * @see Linux 7.2 en/reporter_rx.c mlx5e_rx_reporter_err_rq_cqe_recover
   */
  #failed(at: number): void {
    this.#statistics.rxWqeErr++;
    if (this.#recovery.isRunning || !this.#isActive) return;
    const { cq, rq } = this;
    const { dev } = this.#setup;
    const syndrome = cq.words.get(at + (CQE.syndrome >>> 2)) >>> 24;
    dev.log('err', `Error cqe on cqn 0x${hex(cq.cqn)}, rqn 0x${hex(rq.number)}, syndrome 0x${hex(syndrome)}`, 'error_cqe');
    this.#recovery.start(
      async () => {
        await this.#recovery.flushed(() => rq.room() === rq.size || !this.#isActive);
        if (!this.#isActive) return;
        await rq.modify('reset', 'error');
        rq.restart();
        rq.post(rq.room());
        rq.notify();
        await rq.ready();
        this.#statistics.rxRecover++;
      },
      (error) => dev.log('err', `recovery of receive queue 0x${hex(rq.number)}: ${describeError(error)}`, 'recover_failed'),
    );
  }
}
