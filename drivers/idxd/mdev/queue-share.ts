import { ERRORS } from '../../../hw/regs/dsa.js';
import type { CommandName } from '../commands.js';
import { writePasid } from '../configure.js';
import { type Wq, wqOperand } from '../wq.js';

/**
 * What a virtual device has of a real queue: all of a dedicated one, which is enabled for its address space alone; of a shared one the
 * work in that address space. The answers are errors of the device's commands; one that is gone gives `hardware`.
 */
export class QueueShare {
  readonly wq: Wq;
  readonly isDedicated: boolean;
  #pasid: number | undefined = undefined;
  #hasEnded = false;

  constructor(wq: Wq) {
    this.wq = wq;
    this.isDedicated = wq.mode === 'dedicated';
  }

  /** The address space that it works in; undefined while nobody has it open. */
  get pasid(): number | undefined {
    return this.#pasid;
  }

  /** The queue is somebody else's from now on: nothing is done to it any more. */
  end(): void {
    this.#hasEnded = true;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Takes it for an address space, or for none. The queue is disabled where it is dedicated. */
  use(pasid: number | undefined): void {
    this.#pasid = pasid;
    if (!this.isDedicated || this.#hasEnded) return;
    this.wq.pasid = pasid;
    writePasid(this.wq);
  }

  enable(): Promise<number> {
    if (this.isDedicated) return this.#run('enableWq', this.wq.index);
    return Promise.resolve(this.#hasEnded ? ERRORS.hardware : ERRORS.none);
  }

  /** Ends its work, and then the queue where that is its own. */
  disable(): Promise<number> {
    return this.isDedicated ? this.#run('disableWq', wqOperand(this.wq)) : this.drain();
  }

  drain(): Promise<number> {
    return this.isDedicated ? this.#run('drainWq', wqOperand(this.wq)) : this.#run('drainPasid', this.#pasid);
  }

  /** As {@link drain} where others of the address space have the queue, too: their work is not to be lost. */
  abort(): Promise<number> {
    return this.isDedicated ? this.#run('abortWq', wqOperand(this.wq)) : this.drain();
  }

  #run(command: CommandName, operand: number | undefined): Promise<number> {
    if (this.#hasEnded) return Promise.resolve(ERRORS.hardware);
    return this.wq.idxd.commands.run(command, operand).then(
      ({ status }) => status,
      () => ERRORS.hardware,
    );
  }
}
