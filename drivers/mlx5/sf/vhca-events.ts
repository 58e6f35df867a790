import { type MaybePromise, type Subscription, describeError } from '../../../core/index.js';
import { EQE, EVENTS } from '../../../hw/regs/nic.js';
import type { Mlx5Core } from '../mlx5-core.js';
import { type VhcaState, armVhca, queryVhca } from './sf-commands.js';

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/vhca_event.c MLX5_DEV_MAX_WQS */
const QUEUES = 8;

/** Told of states, one after the other; what it waits for holds up those of the same queue. */
type VhcaListener = (state: VhcaState) => MaybePromise<void>;

/** Events of some functions, in the order they came. */
class EventQueue {
  readonly #waiting: number[] = [];
  readonly #handle: (functionId: number) => Promise<void>;
  #wake: (() => void) | undefined = undefined;
  #isOver = false;
  readonly ended: Promise<void>;

  constructor(handle: (functionId: number) => Promise<void>) {
    this.#handle = handle;
    // It is begun here and not by the event, on whose behalf nothing of it is.
    this.ended = this.#run();
  }

  /** In interrupt context. */
  push(functionId: number): void {
    this.#waiting.push(functionId);
    this.#wake?.();
  }

  /** What is under way ends; the rest is forgotten. */
  stop(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const functionId = this.#waiting.shift();
      if (functionId !== undefined) await this.#handle(functionId);
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/**
 * Tells of each state that a sub-function gets to: in order for one function, several functions at a time. Each event is answered by
 * a look at the state; then the device is asked for the next one, which it gives at once should it have changed meanwhile.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/vhca_event.c
 */
export class VhcaEvents {
  readonly #core: Mlx5Core;
  readonly #listeners: readonly VhcaListener[];
  #queues: readonly EventQueue[] = [];
  #listening: Subscription | undefined = undefined;

  constructor(core: Mlx5Core, listeners: readonly VhcaListener[]) {
    this.#core = core;
    this.#listeners = listeners;
  }

  start(): void {
    const queues = Array.from({ length: QUEUES }, () => new EventQueue((functionId) => this.#handle(functionId)));
    this.#queues = queues;
    this.#listening = this.#core.events.on(EVENTS.vhcaState, (event) => {
      const functionId = event.read16(EQE.vhcaFunction);
      queues[functionId % QUEUES]!.push(functionId);
    });
  }

  /** Tells of nothing any more; waits for who is being told. */
  async stop(): Promise<void> {
    this.#listening?.dispose();
    this.#listening = undefined;
    for (const queue of this.#queues) queue.stop();
    for (const queue of this.#queues) await queue.ended;
    this.#queues = [];
  }

  async #handle(functionId: number): Promise<void> {
    let state: VhcaState;
    try {
      state = await queryVhca(this.#core, functionId);
      await armVhca(this.#core, functionId);
    } catch {
      // Who cannot be asked has nothing to tell.
      return;
    }
    for (const listener of this.#listeners) {
      try {
        await listener(state);
      } catch (error) {
        this.#core.dev.log('err', `function ${functionId}: state ${state.state}: ${describeError(error)}`, 'vhca_event');
      }
    }
  }
}
