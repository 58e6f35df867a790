import { EQE } from '../../../../hw/regs/nic.js';
import { OPCODES } from '../../../../hw/regs/nic-commands.js';
import { MESSAGE } from '../../../../hw/regs/nic-contexts.js';
import type { FunctionDriver, Host, HostEq } from './fixture.js';

/** An event queue, and what is to be seen of it: every other one has its message in memory. */
export class Told {
  readonly message: number | undefined;
  readonly eq: HostEq;
  #posted = 0;
  #seen = 0;
  /** What the device knows of that. */
  #told = 0;
  #isArmed = false;
  #isMasked = false;
  /** A message that could not be sent because it was masked. */
  #isHeld = false;
  #interrupts = 0;

  constructor(
    readonly host: Host,
    pf: FunctionDriver,
    uar: number,
    readonly n: number,
    logSize: number,
  ) {
    this.message = n % 2 === 0 ? undefined : host.memory.alloc(16, 16);
    this.eq = pf.createEq({ uar, logSize, vector: n, ...(this.message !== undefined && { message: this.message }) });
    if (this.message !== undefined) host.memory.view.setUint32(this.message + MESSAGE.data, n, true);
    this.mask(false);
    this.#taken();
  }

  /** As many as there is room for, each with a number of its own. */
  post(count: number): void {
    const room = 2 ** this.eq.logSize - (this.#posted - this.#told);
    for (let i = 0; i < Math.min(count, room); i++) {
      const number = this.#posted++;
      this.host.device.pf.eqs[this.eq.number]!.postCompletion(number);
      if (this.#isArmed) this.#send();
      this.#isArmed = false;
    }
  }
  arm(): void {
    this.eq.arm();
    this.#told = this.#seen;
    this.#isArmed = this.#seen === this.#posted;
    if (!this.#isArmed) this.#send();
  }
  /** What is in it, and what should be. */
  drain(): [found: number[], expected: number[]] {
    const found = this.eq.drain().map(({ view }) => view.getUint32(EQE.cqn, true));
    const expected = Array.from({ length: this.#posted - this.#seen }, (_, i) => this.#seen + i);
    this.#seen = this.#posted;
    return [found, expected];
  }
  mask(isMasked: boolean): void {
    this.#isMasked = isMasked;
    if (this.message !== undefined) {
      this.host.memory.view.setUint32(this.message + MESSAGE.control, isMasked ? MESSAGE.masked : 0, true);
      return;
    }
    this.host.mask(this.n, isMasked);
    if (!isMasked && this.#isHeld) this.#interrupts++;
    if (!isMasked) this.#isHeld = false;
  }
  kick(): void {
    this.eq.kick();
    if (this.message === undefined || !this.#isHeld) return;
    this.#isHeld = false;
    if (this.#posted !== this.#told) this.#send();
  }
  destroy(): void {
    this.mask(false);
    this.eq.driver.about(OPCODES.DESTROY_EQ, this.eq.number);
    this.#taken();
  }
  /** Interrupts since the last time, and how many there should have been. */
  interrupts(): [sent: number, expected: number] {
    const expected = this.#interrupts;
    this.#interrupts = 0;
    return [this.#taken(), expected];
  }

  #send(): void {
    if (this.#isMasked) this.#isHeld = true;
    else this.#interrupts++;
  }
  /** Interrupts of this queue since the last time. */
  #taken(): number {
    const { irqs, messages } = this.host;
    const before = irqs.length + messages.length;
    for (let i = irqs.length - 1; i >= 0; i--) if (irqs[i] === this.n) irqs.splice(i, 1);
    for (let i = messages.length - 1; i >= 0; i--) if (messages[i]![1] === this.n) messages.splice(i, 1);
    return before - irqs.length - messages.length;
  }
}
