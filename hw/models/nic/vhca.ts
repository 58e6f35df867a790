import { EVENTS, EQE, SF_BASE_ID } from '../../regs/nic.js';
import { VHCA_STATES } from '../../regs/nic-contexts.js';
import type { Nic } from './nic.js';

const { invalid, allocated, active, inUse, teardownRequest } = VHCA_STATES;

/** What happens to a sub-function. */
export type VhcaInput = 'alloc' | 'dealloc' | 'enable' | 'disable' | 'enableSelf' | 'disableSelf';

/** By state: what it becomes; absent: it cannot happen. */
const NEXT: Readonly<Record<VhcaInput, Readonly<Record<number, number>>>> = {
  alloc: { [invalid]: allocated },
  dealloc: { [allocated]: invalid },
  /** By the manager. */
  enable: { [allocated]: active },
  disable: { [active]: allocated, [inUse]: teardownRequest },
  /** By the function itself. */
  enableSelf: { [active]: inUse },
  disableSelf: { [inUse]: active, [teardownRequest]: allocated },
};

/**
 * The states of all sub-functions that there can be, and who wants to hear of a change. Each arm gives one event. A state that has
 * changed since it was last looked at gives it at once, so that none is lost.
 */
export class VhcaTable {
  readonly #device: Nic;
  readonly #states: Uint8Array;
  readonly #isArmed: Uint8Array;
  /** Since it was last looked at, and no event has told of it. */
  readonly #hasChanged: Uint8Array;
  readonly #swIds: Uint32Array;
  /** The function that an event tells of. */
  #told = 0;
  readonly #fillEvent = (eqe: DataView): void => eqe.setUint16(EQE.vhcaFunction, this.#told, true);

  constructor(device: Nic, count: number) {
    this.#device = device;
    this.#states = new Uint8Array(count);
    this.#isArmed = new Uint8Array(count);
    this.#hasChanged = new Uint8Array(count);
    this.#swIds = new Uint32Array(count);
  }

  /** All are invalid, and nobody hears of it. */
  reset(): void {
    this.#states.fill(invalid);
    this.#isArmed.fill(0);
    this.#hasChanged.fill(0);
    this.#swIds.fill(0);
  }

  has(id: number): boolean {
    return id >= SF_BASE_ID && id < SF_BASE_ID + this.#states.length;
  }

  /** `VHCA_STATES` of one that the table {@link has}. */
  state(id: number): number {
    return this.#states[id - SF_BASE_ID]!;
  }

  /** Whether there is such a function now. */
  isAllocated(id: number): boolean {
    return this.has(id) && this.state(id) !== invalid;
  }

  /** Whether it may be used: by its own driver, until that has disabled it. */
  isUsable(id: number): boolean {
    const state = this.state(id);
    return state === active || state === inUse || state === teardownRequest;
  }

  /** Its number as software has it. */
  swId(id: number): number {
    return this.#swIds[id - SF_BASE_ID]!;
  }
  setSwId(id: number, swId: number): void {
    this.#swIds[id - SF_BASE_ID] = swId;
  }

  isArmed(id: number): boolean {
    return this.#isArmed[id - SF_BASE_ID] === 1;
  }

  /** Somebody has looked at the state. */
  seen(id: number): void {
    this.#hasChanged[id - SF_BASE_ID] = 0;
  }

  /** The next change gives an event; one that nobody has seen, at once. */
  arm(id: number): void {
    const index = id - SF_BASE_ID;
    this.#isArmed[index] = 1;
    if (this.#hasChanged[index] === 1) this.#tell(id);
  }

  /** Nobody wants to hear of it. */
  disarm(id: number): void {
    this.#isArmed[id - SF_BASE_ID] = 0;
  }

  /** Whether this can happen in its state. */
  permits(id: number, input: VhcaInput): boolean {
    return NEXT[input][this.state(id)] !== undefined;
  }

  /** @returns whether this can happen in its state; if not, nothing has */
  move(id: number, input: VhcaInput): boolean {
    const next = NEXT[input][this.state(id)];
    if (next === undefined) return false;
    const index = id - SF_BASE_ID;
    this.#states[index] = next;
    this.#hasChanged[index] = 1;
    if (this.#isArmed[index] === 1) this.#tell(id);
    return true;
  }

  #tell(id: number): void {
    const index = id - SF_BASE_ID;
    this.#isArmed[index] = this.#hasChanged[index] = 0;
    this.#told = id;
    this.#device.pf.event(EVENTS.vhcaState, 0, this.#fillEvent);
  }
}
