import { Errno, IMS_SLOT_BYTES, Kernel, type KernelOptions, type MsiMsg, type PciDevice, type Window } from 'backplane';
import {
  ImsSlots,
  Machine,
  type MachineOptions,
  type PciModel,
  type PciModelContext,
  msi,
  msix,
  pcie,
  powerManagement,
} from 'backplane/sim';
import { ID, driverOf } from './fixture.js';

/** Bytes of BAR 0, and where its message store begins: 65,536 slots fit behind it. */
const BAR_BYTES = 0x20_0000;
export const IMS_AT = 0x10_0000;

/** What a gadget is made of. */
export interface GadgetOptions {
  /** IMS slots; default 16. */
  readonly slots?: number;
  /** MSI-X entries; default 8. */
  readonly vectors?: number;
  /** MSI messages; default 4. */
  readonly messages?: number;
  readonly maskable?: boolean;
}

/** A device that the test is: whatever interrupts a device can have, sent when the test says so. */
export class Gadget {
  readonly slots: ImsSlots;

  constructor(
    readonly context: PciModelContext,
    slots: number,
  ) {
    this.slots = new ImsSlots(slots, context.irq);
  }

  get irq(): PciModelContext['irq'] {
    return this.context.irq;
  }

  /** Sends exactly this, whoever it is for. */
  post({ addressLo, addressHi, data }: MsiMsg): boolean {
    return this.irq.post(addressLo, addressHi, data);
  }
}

/** A kind of gadget; what it makes is put into `made`. */
export function gadget(made: Gadget[], options: GadgetOptions = {}): PciModel {
  const { slots = 16, vectors = 8, messages = 4, maskable = true } = options;
  return {
    name: 'gadget',
    config: {
      vendor: 0x1234,
      device: 1,
      classCode: 0xff0000,
      interruptPin: 'A',
      bars: { 0: { kind: 'mem32', sizeBytes: BAR_BYTES }, 2: { kind: 'mem32', sizeBytes: 0x1_0000 } },
      capabilities: [
        pcie({ flr: true }),
        powerManagement(),
        msi({ vectors: messages, maskable }),
        msix({ vectors, table: { bar: 2, offset: 0 }, pba: { bar: 2, offset: 0x8000 } }),
      ],
    },
    create: (context) => {
      const model = new Gadget(context, slots);
      made.push(model);
      return { regions: { 0: behind(model.slots, IMS_AT) }, reset: () => model.slots.reset() };
    },
  };
}

/** A window of which the slots are a part. */
function behind(slots: ImsSlots, at: number): Window {
  return {
    sizeBytes: BAR_BYTES,
    read8: () => 0,
    read16: () => 0,
    read32: (offset) => (slots.has(offset - at) ? slots.read32(offset - at) : 0),
    read64: (_offset, out) => out.fill(0, 0, 2),
    write8() {},
    write16() {},
    write32: (offset, value) => slots.write32(offset - at, value),
    write64() {},
  };
}

export interface RigOptions extends Omit<MachineOptions, 'devices'>, GadgetOptions {
  /** Default 1. */
  readonly gadgets?: number;
  readonly kernel?: KernelOptions;
  /** Whether broken rules are the test's subject; default false: they fail it at the end. */
  readonly rulesMayBreak?: boolean;
}

/** Where gadget `n` is. */
const placeOf = (n: number): string => `00:${(n + 1).toString(16).padStart(2, '0')}.0`;

/** A running system with gadgets at 00:01.0, 00:02.0, ..., each bound to a driver that does nothing: the test is that driver. */
export class Rig implements AsyncDisposable {
  readonly models: Gadget[] = [];
  readonly machine: Machine;
  readonly kernel: Kernel;
  readonly rules: string[] = [];
  /** Remapping entries that are present now. */
  readonly entries = new Set<number>();
  readonly #rulesMayBreak: boolean;

  private constructor({ gadgets = 1, kernel, rulesMayBreak = false, ...options }: RigOptions) {
    const model = gadget(this.models, options);
    const devices = Array.from({ length: gadgets }, (_, n) => ({ at: placeOf(n), model }));
    this.machine = new Machine({ cpus: 4, ...options, devices });
    this.#rulesMayBreak = rulesMayBreak;
    this.#watchEntries();
    this.kernel = new Kernel(this.machine, kernel);
    this.kernel.core.violations.on(({ rule }) => this.rules.push(rule));
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    await rig.kernel.start();
    await rig.kernel.pci.register(driverOf({ name: 'gadget', ids: [ID] }));
    return rig;
  }

  get irqs(): Kernel['irqs'] {
    return this.kernel.irqs;
  }

  dev(n = 0): PciDevice {
    const dev = this.kernel.pci.devices.find(({ name }) => name === `0000:${placeOf(n)}`);
    if (dev === undefined) throw new Errno('ENODEV', `rig: no gadget ${n}`);
    return dev;
  }

  model(n = 0): Gadget {
    return this.models[n]!;
  }

  /** The IMS layout of a gadget. */
  layout(slots = 16): { offset: number; slots: number } {
    return { offset: IMS_AT, slots };
  }

  /** Sends what a slot holds, masked or not, and delivers it. */
  fireSlot(index: number, n = 0): void {
    this.machine.drain();
    this.model(n).slots.send(index);
    this.kernel.irqs.drain();
  }

  fireMsix(index: number, n = 0): boolean {
    this.machine.drain();
    const sent = this.model(n).irq.msix(index);
    this.kernel.irqs.drain();
    return sent;
  }

  /** What a slot says, in words. */
  slot(index: number, n = 0): number[] {
    const { slots } = this.model(n);
    return [0, 4, 8, 12].map((offset) => slots.read32(index * IMS_SLOT_BYTES + offset));
  }

  /** Everything that is held of interrupts, as numbers. */
  account(): Record<string, number> {
    const { irqs, interrupts, core } = this.kernel;
    const { matrix, msiParent, root } = interrupts;
    let [managed, vectors] = [0, 0];
    // Not the matrix's total: as in Linux, it keeps what is freed while its CPU is offline.
    for (let cpu = 0; cpu < irqs.core.cpus.count; cpu++) {
      managed += matrix?.cpu(cpu).managed ?? 0;
      vectors += matrix?.cpu(cpu).allocated ?? 0;
    }
    return {
      descs: irqs.core.count,
      vectors,
      reserved: matrix?.reserved ?? 0,
      managed,
      entries: this.entries.size,
      mapped: (msiParent?.size ?? 0) + (root?.size ?? 0),
      domains: irqs.core.domains.size,
      ledger: core.order.toArray().reduce((sum, dev) => sum + dev.devres.entries().length, 0),
    };
  }

  /** Lets the clean-up of moves end. */
  calm(): void {
    for (let n = 0; n < 4; n++) {
      this.machine.elapse(1000);
      this.kernel.irqs.drain();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
    if (this.rules.length > 0 && !this.#rulesMayBreak) throw new Errno('EINVAL', `rig: rules broken: ${this.rules.join(', ')}`);
    const { modelErrors } = this.machine;
    if (modelErrors.length > 0) throw new Errno('EIO', `rig: a model threw: ${String(modelErrors[0]!.error)}`);
  }

  #watchEntries(): void {
    const { remapping } = this.machine.interrupts.messages;
    if (remapping === undefined) return;
    const write = remapping.write.bind(remapping);
    remapping.write = (index, words) => {
      if ((words[0]! & 1) === 0) this.entries.delete(index);
      else this.entries.add(index);
      write(index, words);
    };
  }
}

/** The code of what is thrown, or what it was when that is no `Errno`. */
export function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
  return 'nothing';
}

/** As {@link codeOf}, for what may take time. */
export async function codeOfAsync(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
  return 'nothing';
}

/** A value of a type that the compiler would refuse. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the cast is what it is for
export const wrong = <T>(value: unknown): T => value as T;
