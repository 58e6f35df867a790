import { type Device, type DevresHandle, Errno, type MsiMap } from '../../../core/index.js';
import { ERRORS, HANDLE_IMS } from '../../../hw/regs/dsa.js';
import type { CommandResult } from '../commands.js';
import { CompletionVector, hasCommand, releaseHandle, takeSlot } from '../completion-vector.js';
import type { QueueShare } from './queue-share.js';
import type { VirtualHandle } from './virtual-profile.js';

const NONE: CommandResult = { status: ERRORS.noHandleForIndex, result: 0 };
const FAILED: CommandResult = { status: ERRORS.hardware, result: 0 };

/**
 * Message 1 of a virtual device: a slot of the one message store of the real one, while somebody wants the message. It serves work of the
 * device's address space alone; descriptors name it by its handle.
 */
export class VirtualVector implements VirtualHandle {
  readonly #dev: Device;
  readonly #share: QueueShare;
  #slot: MsiMap | undefined = undefined;
  #entry: DevresHandle | undefined = undefined;
  /** What has been given out for the slot. */
  #handle: number | undefined = undefined;
  /** How often the device has taken its handles back. */
  #revocations = 0;

  /** @param dev in whose ledger the slot is, as `ims slot` */
  constructor(dev: Device, share: QueueShare) {
    this.#dev = dev;
    this.#share = share;
  }

  /** The slot of the message store; undefined while nobody wants the message. */
  get slot(): number | undefined {
    return this.#slot?.index;
  }

  /** @returns its interrupt @throws {Errno} ENOSPC when all slots are in use; ENODEV when the queue is somebody else's by now */
  take(): number {
    const { wq, pasid, hasEnded } = this.#share;
    if (hasEnded) throw new Errno('ENODEV', `${this.#dev.name}: ${wq.name} is gone`);
    const slot = takeSlot(wq, pasid);
    this.#slot = slot;
    this.#entry = this.#dev.devres.adopt('ims slot', slot, (it) => it[Symbol.dispose]());
    return slot.virq;
  }

  give(): void {
    this.forget();
    this.#slot = undefined;
    this.#entry?.[Symbol.dispose]();
  }

  async request(): Promise<CommandResult> {
    const { idxd } = this.#share.wq;
    const slot = this.#slot;
    if (slot === undefined || this.#share.hasEnded) return NONE;
    const before = this.#revocations;
    const answer = hasCommand(idxd, 'requestHandle')
      ? await idxd.commands.run('requestHandle', slot.index | HANDLE_IMS).catch(() => FAILED)
      : { status: ERRORS.none, result: slot.index };
    if (answer.status !== ERRORS.none) return answer;
    // Taken back on its way here.
    if (this.#revocations !== before) return this.request();
    if (this.#slot === slot) {
      this.#handle = answer.result;
      return answer;
    }
    // The message was given up meanwhile.
    this.#release(slot, answer.result);
    return NONE;
  }

  release(handle: number): boolean {
    if (handle !== this.#handle) return false;
    this.forget();
    return true;
  }

  forget(): void {
    const [slot, handle] = [this.#slot, this.#handle];
    this.#handle = undefined;
    if (slot !== undefined && handle !== undefined && !this.#share.hasEnded) this.#release(slot, handle);
  }

  /** The device has taken its handles back. */
  revoked(): void {
    this.#revocations++;
    this.#handle = undefined;
  }

  #release({ index, virq }: MsiMap, handle: number): void {
    releaseHandle(this.#share.wq, new CompletionVector(true, index, virq), handle);
  }
}
