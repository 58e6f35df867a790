import {
  type ApicMessages,
  type InterruptController,
  type InterruptEntry,
  compatApicId,
  deliveryOf,
  hasRedirectionHint,
  isLogical,
} from '../../core/hal/index.js';
import { Errno, Signal, type Subscription, checkRange } from '../../core/lib/index.js';
import { IoApic, MIN_LINES } from './ioapic.js';
import type { Journal } from './journal.js';
import { ALL_CPUS, LocalApics, MAX_CPUS, VECTORS } from './lapic.js';
import type { PhysicalMemory } from './memory.js';
import { SimRemapping } from './remapping.js';

/**
 * What interrupts a machine has: `remapped`: messages pass a remapping unit; `plain`: they go straight to the APICs;
 * `virtual`: as in a guest, the unit is emulated by a hypervisor and posts nothing; `none`: devices have lines alone.
 */
export type InterruptPlatform = 'remapped' | 'plain' | 'virtual' | 'none';

/** The interrupt hardware of a machine. */
export interface InterruptOptions {
  /** 1 to 1,024; default 1. */
  readonly cpus?: number;
  /** NUMA nodes that the CPUs are split into, evenly and in order; 1 to `cpus`, default 1. */
  readonly nodes?: number;
  /** Default `remapped`. */
  readonly interrupts?: InterruptPlatform;
  /** Whether destination ids of the remapping unit have 32 bits; default true. Without, it reaches CPUs 0 to 254. */
  readonly x2apic?: boolean;
  /** Whether messages without remapping carry 15 bits of APIC id, as a hypervisor allows; default false. */
  readonly extendedIds?: boolean;
  /** Lines of the I/O APIC, 24 to 240; default 24. */
  readonly lines?: number;
}

/**
 * From a device's message or line to the vector that a CPU takes:
 * remapping unit (where there is one), then local APICs, which keep it until the core takes it.
 */
export class SimInterrupts implements InterruptController {
  readonly cpus: number;
  readonly vectors = VECTORS;
  readonly messages: ApicMessages;
  readonly lines: IoApic;
  /** Whether devices reach it with messages at all. */
  readonly takesMessages: boolean;
  /** A device's message arrived: name, requester id, address, data. */
  readonly posts: Signal<[string, number, number, number]> = new Signal();
  currentCpu = 0;
  readonly #apics: LocalApics;
  readonly #unit: SimRemapping | undefined;
  readonly #nodes: number;
  #entry: InterruptEntry | undefined = undefined;
  readonly #extendedIds: boolean;
  /** CPUs whose code stands still while another takes an interrupt. */
  readonly #halted: number[] = [];

  /** @throws {Errno} ERANGE for a number that cannot be, EINVAL for an unknown platform */
  constructor(options: InterruptOptions, memory: PhysicalMemory, journal: Journal) {
    const { cpus = 1, nodes = 1, interrupts = 'remapped', x2apic = true, extendedIds = false, lines = MIN_LINES } = options;
    checkRange('sim', 'cpus', cpus, 1, MAX_CPUS);
    checkRange('sim', 'nodes', nodes, 1, cpus);
    if (!['remapped', 'plain', 'virtual', 'none'].includes(interrupts)) {
      throw new Errno('EINVAL', `sim: interrupts are ${interrupts}, must be remapped, plain, virtual or none`);
    }
    this.cpus = cpus;
    this.#nodes = nodes;
    this.#extendedIds = extendedIds;
    const apics = new LocalApics(cpus, journal);
    this.#apics = apics;
    if (interrupts === 'remapped' || interrupts === 'virtual') {
      this.#unit = new SimRemapping(apics, memory, journal, { isVirtual: interrupts === 'virtual', x2apic });
    }
    this.takesMessages = interrupts !== 'none';
    this.messages = { kind: 'apic', msi: this.takesMessages, apicId: (cpu) => cpu, extendedIds, remapping: this.#unit };
    this.lines = new IoApic(lines, (requesterId, addressLo, data) => this.message(requesterId, addressLo, data));
  }

  /** Lets the CPUs take what is pending, if they may. */
  drain(): void {
    this.#entry?.drain();
  }

  /** A message to an interrupt address arrives; the words may be signed. */
  message(requesterId: number, addressLo: number, data: number): void {
    if (this.#unit !== undefined) {
      this.#unit.message(requesterId, addressLo, data);
      return;
    }
    const id = compatApicId(addressLo, this.#extendedIds);
    const logical = isLogical(addressLo);
    // With longer ids, this is one CPU like any other.
    const isBroadcast = id === 0xff && !logical && !this.#extendedIds;
    this.#apics.deliver(isBroadcast ? ALL_CPUS : id, logical, hasRedirectionHint(addressLo), deliveryOf(data), data & 0xff);
  }

  node(cpu: number): number {
    this.#check(cpu);
    return Math.floor((cpu * this.#nodes) / this.cpus);
  }

  onMessage(listener: (requesterId: number, address: number, data: number) => void): Subscription {
    return this.posts.on((_who, requesterId, address, data) => listener(requesterId, address, data));
  }

  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
    this.#apics.attach(entry);
  }

  nextCpu(): number {
    return this.#apics.nextCpu();
  }

  take(cpu: number): number {
    return this.#apics.take(cpu);
  }

  eoi(cpu: number): void {
    this.#apics.eoi(cpu);
  }

  /** @throws {Errno} ERANGE when there is no such CPU or vector */
  send(cpu: number, vector: number): void {
    this.#check(cpu, vector);
    this.#apics.request(cpu, vector);
  }

  /** @throws {Errno} ERANGE when there is no such CPU or vector */
  isPending(cpu: number, vector: number): boolean {
    this.#check(cpu, vector);
    return this.#apics.isPending(cpu, vector);
  }

  /** @throws {Errno} ERANGE when there is no such CPU */
  setOnline(cpu: number, online: boolean): void {
    this.#check(cpu);
    this.#apics.setOnline(cpu, online);
  }

  /** Runs `fn` as code of that CPU; see `Machine.onCpu`. */
  onCpu<T>(cpu: number, fn: () => T): T {
    this.#check(cpu);
    if (!this.#apics.isOnline(cpu)) throw new Errno('EINVAL', `cpu${cpu}: is offline`);
    const before = this.currentCpu;
    this.currentCpu = cpu;
    try {
      return fn();
    } finally {
      this.currentCpu = before;
    }
  }

  /** See `Machine.deliverNested`. */
  deliverNested(cpu: number, vector: number): void {
    this.#check(cpu, vector);
    const apics = this.#apics;
    const who = `cpu${cpu}`;
    if (apics.entry === undefined) throw new Errno('EINVAL', `${who}: nobody takes interrupts: start a system on this machine`);
    if (!apics.isPending(cpu, vector)) throw new Errno('EINVAL', `${who}: vector ${vector} is not pending`);
    if (cpu === this.currentCpu || this.#halted.includes(cpu)) {
      throw new Errno('EBUSY', `${who}: is in the middle of a synchronous section: deliver to another CPU`);
    }
    if (apics.isServing(cpu)) throw new Errno('EBUSY', `${who}: is in a handler, where interrupts are off`);
    const first = apics.offered(cpu);
    if (first !== vector) throw new Errno('EBUSY', `${who}: vector ${first} is taken before ${vector}`);
    const before = this.currentCpu;
    this.#halted.push(before);
    this.currentCpu = cpu;
    try {
      apics.take(cpu);
      apics.entry.interrupt(cpu, vector);
    } finally {
      this.currentCpu = before;
      this.#halted.pop();
    }
  }

  #check(cpu: number, vector = 0): void {
    checkRange('sim', 'cpu', cpu, 0, this.cpus - 1);
    checkRange('sim', 'vector', vector, 0, VECTORS - 1);
  }
}
