import {
  type ApicMessages,
  type DoorbellMessages,
  type InterruptController,
  type InterruptEntry,
  type InterruptLines,
  type MsiMsg,
  type RemapFault,
  type RemapFaultReason,
  type RemappingUnit,
  irteAccepts,
  irteDestination,
  isValidIrte,
  parseMsg,
} from '../../core/hal/index.js';
import { Signal, type Subscription } from '../../core/lib/index.js';

/** What a {@link FakeInterrupts} is. */
export interface FakeInterruptOptions {
  /** Default 4. */
  readonly cpus?: number;
  /** NUMA nodes, to which the CPUs belong in turn; default 1. */
  readonly nodes?: number;
  /** Default `remapped`. `lines`: devices have no messages. */
  readonly platform?: 'remapped' | 'virtual' | 'plain' | 'lines' | 'doorbell';
  /** Entries of the remapping table; default 65,536. */
  readonly entries?: number;
  /** Whether the remapping unit names CPUs with 32 bits; default true. */
  readonly x2apic?: boolean;
  /** Whether messages without remapping name CPUs with 15 bits; default false. */
  readonly extendedIds?: boolean;
  /** Wired inputs; default 24; 0 for none. */
  readonly lines?: number;
  /** Default 8. */
  readonly doorbells?: number;
}

const DOORBELL_ADDRESS = 0x1000_0000;

/**
 * Interrupt hardware for tests of the core: CPUs that keep what is requested until it is taken, and every way to request it.
 *
 * Nothing happens by itself: `raise`, `message` and `drive` are what devices do; the core takes it when it drains.
 */
export class FakeInterrupts implements InterruptController {
  readonly cpus: number;
  readonly vectors: number;
  readonly messages: ApicMessages | DoorbellMessages;
  readonly lines: FakeLines | undefined;
  /** Undefined where messages are not remapped. */
  readonly unit: FakeRemapping | undefined;
  currentCpu = 0;
  /** `cpu:vector` of what was raised for a CPU that is offline or does not exist. */
  readonly lost: string[] = [];
  readonly #nodes: number;
  /** Vectors requested on each CPU, and those in service, the last one taken last. */
  readonly #requested: Set<number>[];
  readonly #serving: number[][];
  readonly #offline = new Set<number>();
  #entry: InterruptEntry | undefined = undefined;

  constructor(options: FakeInterruptOptions = {}) {
    const { platform = 'remapped', cpus = platform === 'doorbell' ? 1 : 4, nodes = 1, lines = 24, doorbells = 8 } = options;
    const { entries = 65_536, x2apic = true, extendedIds = false } = options;
    this.cpus = cpus;
    this.#nodes = nodes;
    this.vectors = platform === 'doorbell' ? doorbells : 256;
    this.#requested = Array.from({ length: cpus }, () => new Set());
    this.#serving = Array.from({ length: cpus }, () => []);
    if (platform === 'remapped' || platform === 'virtual') {
      const isVirtual = platform === 'virtual';
      this.unit = new FakeRemapping({ entries, x2apic, isVirtual }, (cpu, vector) => this.raise(cpu, vector));
    }
    this.messages =
      platform === 'doorbell'
        ? new FakeDoorbells(doorbells)
        : { kind: 'apic', msi: platform !== 'lines', apicId: (cpu) => cpu, extendedIds, remapping: this.unit };
    this.lines = lines === 0 ? undefined : new FakeLines(lines, (requesterId, msg) => this.message(requesterId, msg));
  }

  // What devices do

  /** A vector is requested of a CPU. */
  raise(cpu: number, vector: number): void {
    if (cpu >= this.cpus || this.#offline.has(cpu)) {
      this.lost.push(`${cpu}:${vector}`);
      return;
    }
    this.#requested[cpu]!.add(vector);
    this.#entry?.pending();
  }

  /** A device writes a message. */
  message(requesterId: number, { addressLo, addressHi, data }: MsiMsg): void {
    const { messages, unit } = this;
    if (messages.kind === 'doorbell') {
      this.raise(0, data - 1);
      return;
    }
    const msg = parseMsg(addressLo, addressHi, data, messages.extendedIds);
    if (msg === undefined) throw new Error(`no interrupt address: 0x${addressLo.toString(16)}`);
    if (unit !== undefined) unit.message(requesterId, addressLo, data, msg.format === 'remappable' ? msg.index : undefined);
    else if (msg.format === 'compat') this.raise(msg.apicId, msg.vector);
    else throw new Error('a remappable message, and nothing remaps it');
  }

  // What the core does

  node(cpu: number): number {
    return cpu % this.#nodes;
  }

  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
    if (this.nextCpu() >= 0) entry?.pending();
  }

  nextCpu(): number {
    return this.#requested.findIndex((_, cpu) => this.#offered(cpu) >= 0);
  }

  take(cpu: number): number {
    const vector = this.#offered(cpu);
    if (vector < 0) return -1;
    this.#requested[cpu]!.delete(vector);
    this.#serving[cpu]!.push(vector);
    return vector;
  }

  eoi(cpu: number): void {
    this.#serving[cpu]!.pop();
  }

  send(cpu: number, vector: number): void {
    this.raise(cpu, vector);
  }

  isPending(cpu: number, vector: number): boolean {
    return this.#requested[cpu]!.has(vector);
  }

  /** Vectors taken and not ended; 0 everywhere when all handlers have returned. */
  inService(cpu: number): number {
    return this.#serving[cpu]!.length;
  }

  setOnline(cpu: number, online: boolean): void {
    if (online) this.#offline.delete(cpu);
    else this.#offline.add(cpu);
    this.#requested[cpu]!.clear();
    this.#serving[cpu] = [];
  }

  /** The highest requested vector, when its class is above that of what is in service. */
  #offered(cpu: number): number {
    const vector = Math.max(-1, ...this.#requested[cpu]!);
    const serving = Math.max(-1, ...this.#serving[cpu]!);
    return this.messages.kind === 'doorbell' || vector >> 4 > serving >> 4 ? vector : -1;
  }
}

/** A remapping unit that goes by an entry only from its invalidation on, and keeps every entry for the test to see. */
export class FakeRemapping implements RemappingUnit {
  readonly entries: number;
  readonly isVirtual: boolean;
  readonly canPost: boolean;
  readonly x2apic: boolean;
  /** Indices in the order they were written. */
  readonly writes: number[] = [];
  /** What was posted instead of delivered: descriptor address and vector. */
  readonly posted: [descriptor: number, vector: number][] = [];
  /** What is in the table, and what the unit knows of it. */
  readonly #table = new Map<number, Uint32Array>();
  readonly #known = new Map<number, Uint32Array>();
  readonly #faults = new Signal<[RemapFault]>();
  readonly #raise: (cpu: number, vector: number) => void;

  constructor(
    options: { readonly entries: number; readonly x2apic: boolean; readonly isVirtual: boolean },
    raise: (cpu: number, vector: number) => void,
  ) {
    this.entries = options.entries;
    this.x2apic = options.x2apic;
    this.isVirtual = options.isVirtual;
    this.canPost = !options.isVirtual;
    this.#raise = raise;
  }

  /** The four words of an entry, as they were written; zeros at first. */
  entry(index: number): Uint32Array {
    return this.#table.get(index) ?? new Uint32Array(4);
  }

  write(index: number, words: Uint32Array): void {
    this.#table.set(index, words.slice());
    this.writes.push(index);
  }

  invalidate(index: number, count: number): void {
    for (let i = index; i < index + count; i++) this.#known.set(i, this.entry(i));
  }

  onFault(listener: (fault: RemapFault) => void): Subscription {
    return this.#faults.on(listener);
  }

  message(requesterId: number, address: number, data: number, index: number | undefined): void {
    const refuse = (reason: RemapFaultReason): void =>
      this.#faults.emit({ timeUs: 0, requesterId, address, data, index, reason });
    if (index === undefined) return refuse('compatibility format blocked');
    if (index >= this.entries) return refuse('index too large');
    const [word0 = 0, word1 = 0, word2 = 0, word3 = 0] = this.#known.get(index) ?? [];
    if ((word0 & 1) === 0) return refuse('entry not present');
    if (!isValidIrte(Uint32Array.of(word0, word1, word2, word3), 0)) return refuse('bad entry');
    if (!irteAccepts(word2, requesterId)) return refuse('wrong requester');
    const vector = (word0 >>> 16) & 0xff;
    if ((word0 & 0x8000) !== 0) this.posted.push([word3 * 2 ** 32 + word1, vector]);
    else this.#raise(word1 / irteDestination(1, this.x2apic), vector);
  }
}

/** Inputs of an I/O APIC. */
export class FakeLines implements InterruptLines {
  readonly requesterId = 0xf0f8;
  /** What was written last for each line. */
  readonly routes: ({ readonly msg: MsiMsg; readonly level: boolean } | undefined)[];
  readonly masked: boolean[];
  readonly #asserted: boolean[];
  /** A level was sent and its end has not come. */
  readonly #waits: boolean[];

  constructor(
    readonly count: number,
    private readonly send: (requesterId: number, msg: MsiMsg) => void,
  ) {
    this.routes = Array.from({ length: count }, () => undefined);
    this.masked = Array.from({ length: count }, () => true);
    this.#asserted = Array.from({ length: count }, () => false);
    this.#waits = Array.from({ length: count }, () => false);
  }

  /** A device asserts a line or lets it go. */
  drive(line: number, asserted: boolean): void {
    const rises = asserted && this.#asserted[line] === false;
    this.#asserted[line] = asserted;
    if (this.routes[line]?.level === true) this.#serve(line);
    else if (rises && this.masked[line] === false) this.#send(line);
  }

  route(line: number, msg: MsiMsg, level: boolean): void {
    this.routes[line] = { msg, level };
    this.#serve(line);
  }

  setMask(line: number, masked: boolean): void {
    this.masked[line] = masked;
    this.#serve(line);
  }

  eoi(line: number): void {
    this.#waits[line] = false;
    this.#serve(line);
  }

  isAsserted(line: number): boolean {
    return this.#asserted[line]!;
  }

  #serve(line: number): void {
    if (this.routes[line]?.level !== true || !this.#asserted[line]! || this.masked[line]! || this.#waits[line]!) return;
    this.#waits[line] = true;
    this.#send(line);
  }

  #send(line: number): void {
    const route = this.routes[line];
    if (route !== undefined) this.send(this.requesterId, route.msg);
  }
}

class FakeDoorbells implements DoorbellMessages {
  readonly kind = 'doorbell';
  readonly #taken: boolean[];

  constructor(count: number) {
    this.#taken = Array.from({ length: count }, () => false);
  }

  alloc(): number {
    const doorbell = this.#taken.indexOf(false);
    if (doorbell >= 0) this.#taken[doorbell] = true;
    return doorbell;
  }

  free(doorbell: number): void {
    this.#taken[doorbell] = false;
  }

  message(doorbell: number): MsiMsg {
    return { addressLo: DOORBELL_ADDRESS + 4 * doorbell, addressHi: 0, data: doorbell + 1 };
  }
}
