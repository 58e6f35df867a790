import { DELIVERY, STATUS } from '../../regs/nic-commands.js';

/** What is to happen to commands instead of what they are for. */
export interface Fault {
  readonly opcode: number;
  /** Of this function alone; default any. */
  readonly functionId?: number;
  /** The output says so, and nothing is done: one of `STATUS`, or any other. */
  readonly status?: number;
  /** The descriptor says so, and nothing is done: one of `DELIVERY`, or any other up to 127. */
  readonly delivery?: number;
  /** They take that much longer. */
  readonly delayUs?: number;
  /** They are never answered, and their slots stay with the hardware. */
  readonly drop?: boolean;
  /** Commands that it happens to; default all. */
  readonly times?: number;
}

/** One injected {@link Fault}. */
export class InjectedFault implements Disposable {
  readonly functionId: number | undefined;
  readonly status: number;
  readonly delivery: number;
  readonly delayUs: number;
  readonly drop: boolean;
  /** Commands that it will happen to. */
  left: number;

  constructor(
    readonly opcode: number,
    fault: Fault,
  ) {
    this.functionId = fault.functionId;
    this.status = fault.status ?? STATUS.ok;
    this.delivery = fault.delivery ?? DELIVERY.ok;
    this.delayUs = fault.delayUs ?? 0;
    this.drop = fault.drop ?? false;
    this.left = fault.times ?? Infinity;
  }

  /** It happens no more. */
  cancel(): void {
    this.left = 0;
  }
  [Symbol.dispose](): void {
    this.cancel();
  }
}

/** Faults of commands, for tests; they survive resets. */
export class Faults {
  #rules: InjectedFault[] = [];

  inject(fault: Fault): InjectedFault {
    const rule = new InjectedFault(fault.opcode, fault);
    this.#rules.push(rule);
    return rule;
  }

  /** The fault that happens to this command, the one that was injected first. */
  take(functionId: number, opcode: number): InjectedFault | undefined {
    if (this.#rules.length === 0) return undefined;
    this.#rules = this.#rules.filter((rule) => rule.left > 0);
    const found = this.#rules.find(
      (rule) => rule.opcode === opcode && (rule.functionId === undefined || rule.functionId === functionId),
    );
    if (found !== undefined) found.left--;
    return found;
  }
}
