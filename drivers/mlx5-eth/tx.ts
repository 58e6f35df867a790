import { type DmaBuffer, type TxQueue, XMIT, describeError, hex } from '../../core/index.js';
import { CQE, CQE_OPCODES } from '../../hw/regs/nic.js';
import { CompletionQueue, SendQueue } from '../lib/mlx5/index.js';
import { Recovery } from './recovery.js';
import type { RingSetup } from './ring-setup.js';
import type { ChannelStatistics } from './statistics.js';

/**
 * Completions of one poll at most, whatever its budget.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en.h MLX5E_TX_CQ_POLL_BUDGET
 */
const POLL_BUDGET = 128;
/** A frame is one buffer, and so one unit. */
const UNITS = 1;
const NOTHING = new Uint8Array(0);

/** What a transmit ring is made of. */
interface TxSetup extends RingSetup {
  /** The port that frames leave by; undefined: the function's own. */
  readonly leavesBy: number | undefined;
}

/**
 * The transmit half of a channel. Each entry of the ring has a buffer of its own, into which frames are copied: nothing is mapped or
 * allocated for a frame.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/en_tx.c
 */
export class Tx {
  readonly cq: CompletionQueue;
  readonly sq: SendQueue;
  readonly queue: TxQueue;
  readonly #setup: TxSetup;
  readonly #statistics: ChannelStatistics;
  readonly #buffers: DmaBuffer;
  readonly #view: Uint8Array | undefined;
  readonly #slotBytes: number;
  readonly #stopRoom: number;
  readonly #recovery: Recovery;
  #part: Uint8Array = NOTHING;
  #isActive = false;

  static async create(setup: TxSetup): Promise<Tx> {
    const { core, dev, eqn, logSize, slotBytes, periodUs, maxCount, leavesBy, client, records, uar } = setup;
    const buffers = core.dma.alloc(dev, slotBytes << logSize);
    const cq = await CompletionQueue.create(core, dev, { logSize, eqn, client, records, uar, periodUs, maxCount });
    const sq = await SendQueue.create(core, dev, { cq, logSize, records, uar, ...(leavesBy !== undefined && { leavesBy }) });
    return new Tx(setup, buffers, cq, sq);
  }

  private constructor(setup: TxSetup, buffers: DmaBuffer, cq: CompletionQueue, sq: SendQueue) {
    this.#setup = setup;
    this.#statistics = setup.statistics;
    this.#buffers = buffers;
    this.#view = buffers.view();
    this.#slotBytes = setup.slotBytes;
    this.cq = cq;
    this.sq = sq;
    this.queue = setup.node.queues[setup.index]!;
    this.#stopRoom = sq.stopRoom(UNITS);
    this.#recovery = new Recovery(setup.core.clock);
    this.#setBuffers();
  }

  /** It takes frames. @see Linux 7.2 en_main.c mlx5e_activate_txqsq */
  async activate(): Promise<void> {
    await this.sq.ready();
    this.#isActive = true;
    this.queue.reset();
    this.queue.wake();
  }

  /** It takes none any more; what is under way is not waited for. @see Linux 7.2 en_main.c mlx5e_deactivate_txqsq */
  deactivate(): void {
    this.#isActive = false;
    this.queue.stop();
  }

  /** What it was doing is over, and what it had is given up. */
  async end(): Promise<void> {
    await this.#recovery.end();
    this.sq.retireAll();
    this.queue.reset();
  }

  /**
   * Posts a frame; stops the queue when there is no room for another.
   * @see Linux 7.2 en_tx.c mlx5e_xmit, mlx5e_txwqe_complete
   */
  send(buffer: Uint8Array, offset: number, length: number, more: boolean): number {
    const { sq, queue } = this;
    const statistics = this.#statistics;
    if (sq.room() < this.#stopRoom) return XMIT.BUSY;
    if (length > this.#slotBytes) {
      statistics.txDropped++;
      sq.notify();
      return XMIT.OK;
    }
    const at = sq.begin(1);
    const slot = (sq.producer & sq.mask) * this.#slotBytes;
    this.#copy(buffer, offset, length, slot);
    sq.setBytes(at, length);
    sq.end(at, 1, length);
    statistics.txPackets++;
    statistics.txBytes += length;
    if (queue.maybeStop(sq, this.#stopRoom, this.#stopRoom) === 0) statistics.txStopped++;
    if (queue.sent(length, more)) sq.notify();
    else statistics.txXmitMore++;
    return XMIT.OK;
  }

  /**
   * Retires what the device has sent, and wakes the queue when there is room.
   * @returns whether there may be more
   * @see Linux 7.2 en_tx.c mlx5e_poll_tx_cq
   */
  poll(): boolean {
    const { cq, sq } = this;
    const statistics = this.#statistics;
    const { packets, bytes } = sq;
    let count = 0;
    for (; count < POLL_BUDGET; count++) {
      const at = cq.peek();
      if (at < 0) break;
      cq.pop();
      if (cq.opcode(at) === CQE_OPCODES.sendError) this.#failed(at);
      sq.retire(cq.counter(at));
    }
    if (count === 0) return false;
    statistics.txCqes += count;
    statistics.txNop = sq.nops;
    // Before there is room for entries that could make the device write more.
    cq.updateConsumer();
    statistics.txDonePackets += sq.packets - packets;
    statistics.txDoneBytes += sq.bytes - bytes;
    this.queue.completed(sq.bytes - bytes);
    const isDown = this.#recovery.isRunning || !this.#isActive;
    if (this.queue.maybeWake(sq, this.#stopRoom, isDown) === 0) statistics.txWake++;
    return count === POLL_BUDGET;
  }

  /**
   * It is stuck: a lost interrupt is made good by looking, else the queue begins anew.
   * @see Linux 7.2 en/reporter_tx.c mlx5e_tx_reporter_timeout_recover, en/health.c mlx5e_health_channel_eq_recover
   */
  timedOut(): void {
    const { core, dev, eqn, index } = this.#setup;
    const { sq, cq, queue } = this;
    const cons = `SQ Cons: 0x${hex(sq.consumer & 0xffff)} SQ Prod: 0x${hex(sq.producer & 0xffff)}`;
    dev.log('err', `TX timeout on queue: ${index}, SQ: 0x${hex(sq.number)}, CQ: 0x${hex(cq.cqn)}, ${cons}`, 'tx_timeout');
    const count = core.pollEq(eqn);
    if (count > 0) {
      dev.log('err', `Recovered ${count} eqes on EQ 0x${hex(eqn)}`, 'eq_recovered');
      this.#statistics.eqRearm++;
      return;
    }
    queue.stop();
    this.#recover(() => sq.fail());
  }

  /**
   * The first error of a queue: the device has stopped it, and flushes what is left.
   * @see Linux 7.2 en_tx.c mlx5e_dump_error_cqe
   */
  #failed(at: number): void {
    this.#statistics.txCqeErr++;
    if (this.#recovery.isRunning || !this.#isActive) return;
    const { cq, sq } = this;
    const word = cq.words.get(at + (CQE.vendorSyndrome >>> 2));
    const text = `Error cqe on cqn 0x${hex(cq.cqn)}, ci 0x${hex(cq.consumer - 1)}, sqn 0x${hex(sq.number)}, opcode 0x${hex(cq.opcode(at))}`;
    const syndrome = `syndrome 0x${hex(word >>> 24)}, vendor syndrome 0x${hex((word >>> 16) & 0xff)}`;
    this.#setup.dev.log('err', `${text}, ${syndrome}`, 'error_cqe');
    this.queue.stop();
    // What was posted and not told is not flushed before it is told.
    sq.notify();
    this.#recover(() => undefined);
  }

  /** @see Linux 7.2 en/reporter_tx.c mlx5e_tx_reporter_err_cqe_recover */
  #recover(fail: () => Promise<void> | undefined): void {
    const { sq } = this;
    const { dev } = this.#setup;
    this.#recovery.start(
      async () => {
        await fail();
        await this.#recovery.flushed(() => sq.consumer === sq.producer || !this.#isActive);
        if (!this.#isActive) return;
        await sq.modify('reset', 'error');
        sq.restart();
        this.#setBuffers();
        await sq.ready();
        this.#statistics.txRecover++;
        if (!this.#isActive) return;
        this.queue.reset();
        this.queue.wake();
      },
      (error) => dev.log('err', `recovery of send queue 0x${hex(sq.number)}: ${describeError(error)}`, 'recover_failed'),
    );
  }

  /** Each entry has its buffer: said once, so that a frame says how long it is and no more. */
  #setBuffers(): void {
    const { sq } = this;
    for (let n = 0; n < sq.size; n++) sq.setBuffer(n, this.#buffers.address + n * this.#slotBytes);
  }

  #copy(buffer: Uint8Array, offset: number, length: number, to: number): void {
    const part = length === buffer.length ? buffer : this.#partOf(buffer, offset, length);
    if (this.#view === undefined) this.#buffers.write(to, part);
    else this.#view.set(part, to);
  }

  /** A view of a part of a buffer. The last one is kept: who sends from a part, does it again. */
  #partOf(buffer: Uint8Array, offset: number, length: number): Uint8Array {
    const part = this.#part;
    const isSame = part.buffer === buffer.buffer && part.byteOffset === buffer.byteOffset + offset && part.length === length;
    return isSame ? part : (this.#part = buffer.subarray(offset, offset + length));
  }
}
