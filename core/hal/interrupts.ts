import type { Subscription } from '../lib/signal.js';
import type { MsiMsg } from './msi.js';

/** Where the operating system takes over from the interrupt hardware. */
export interface InterruptEntry {
  /** Something became pending: the CPUs want to take it. Told at least once before `nextCpu` gives a CPU again; it must not deliver. */
  pending(): void;
  /** Delivers what is pending, unless a handler or a synchronous section runs. */
  drain(): void;
  /** A CPU has taken a vector and runs its handler now. */
  interrupt(cpu: number, vector: number): void;
}

/**
 * The interrupt hardware of a host as the core sees it: CPUs that take vectors, and the ways by which devices raise them.
 *
 * Hardware keeps what is pending; the core takes it when it may, see `InterruptWindows` in `core/irq`.
 */
export interface InterruptController {
  /** CPUs that can be; numbered from 0. 1 to 1,024. All run when the host starts. */
  readonly cpus: number;
  /** Vectors of each CPU: 256 where there are APICs, as many as there are doorbells otherwise. */
  readonly vectors: number;
  /** How devices' messages become vectors. */
  readonly messages: ApicMessages | DoorbellMessages;
  /** The wired interrupts, where there are any. */
  readonly lines: InterruptLines | undefined;
  /** The CPU that runs now; the core sets it while a handler runs. */
  currentCpu: number;
  /** NUMA node of a CPU; default all are on node 0. */
  node?(cpu: number): number;
  /** Sets who takes interrupts; undefined when nobody does: they stay pending. */
  attach(entry: InterruptEntry | undefined): void;
  /** The lowest-numbered CPU that would take an interrupt now, -1 when there is none. */
  nextCpu(): number;
  /** A CPU takes its highest-priority pending vector, which is in service from now on; -1 when it would take none. */
  take(cpu: number): number;
  /** Ends what the CPU has in service with the highest priority. */
  eoi(cpu: number): void;
  /** Raises a vector by software: an interrupt between processors, or the replay of one. */
  send(cpu: number, vector: number): void;
  /** Whether the CPU has the vector pending: requested and not yet taken. */
  isPending(cpu: number, vector: number): boolean;
  /** The CPU runs, or is taken out: then nothing is delivered there, and what was pending is lost. */
  setOnline(cpu: number, online: boolean): void;
  /**
   * Tells of each interrupt message that arrives from a device, before anything has judged it; absent when the host cannot see
   * them. A requester id is bus, device and function as 16 bits.
   */
  onMessage?(listener: (requesterId: number, address: number, data: number) => void): Subscription;
}

/** Messages to local APICs, as on x86: a write to 0xfee00000 and up. */
export interface ApicMessages {
  readonly kind: 'apic';
  /** Whether devices reach it with messages at all; false on a machine whose devices have lines alone. */
  readonly msi: boolean;
  apicId(cpu: number): number;
  /** Whether messages without remapping may carry 15 bits of APIC id instead of 8: a hypervisor's extension. */
  readonly extendedIds: boolean;
  /** The unit that every message of a device passes; undefined on a plain machine. */
  readonly remapping: RemappingUnit | undefined;
}

/** Messages to words of memory that the host watches: each is one vector of CPU 0. */
export interface DoorbellMessages {
  readonly kind: 'doorbell';
  /** Reserves a doorbell. @returns its number, which is its vector; -1 when all are taken */
  alloc(): number;
  free(doorbell: number): void;
  /** What a device must write to ring it. */
  message(doorbell: number): MsiMsg;
}

/**
 * Why the remapping unit refused a message. `bad message`: reserved bits of it are set; `bad entry`: reserved bits of the entry
 * are set, or it posts into a descriptor that is not in memory.
 * @see Intel VT-d Architecture Specification 4.1, 5.1.4.1 and table 14
 */
export type RemapFaultReason =
  | 'bad message'
  | 'index too large'
  | 'entry not present'
  | 'wrong requester'
  | 'compatibility format blocked'
  | 'bad entry';

/** A message that the remapping unit refused. */
export interface RemapFault {
  readonly timeUs: number;
  /** Bus, device and function of the sender: 16 bits. */
  readonly requesterId: number;
  readonly address: number;
  readonly data: number;
  /** The entry asked for; undefined when the message named none. */
  readonly index: number | undefined;
  readonly reason: RemapFaultReason;
}

/**
 * A unit between devices and APICs: a message names an entry of its table, and the entry says what is delivered where.
 * @see Intel VT-d Architecture Specification 4.1, chapter 5
 */
export interface RemappingUnit {
  /** Entries of the table: a power of two, at most 65,536. */
  readonly entries: number;
  /** Whether the unit is emulated by a hypervisor (caching mode): it then offers no IMS. */
  readonly isVirtual: boolean;
  /** Whether it can post an interrupt into a descriptor in memory instead of delivering it. */
  readonly canPost: boolean;
  /** Whether destination ids have 32 bits. */
  readonly x2apic: boolean;
  /** Stores the four words of an entry, bits 31:0 first. The unit may go on with what it had until `invalidate`. */
  write(index: number, words: Uint32Array): void;
  /** Makes it forget what it knows of `count` entries from `index` on. */
  invalidate(index: number, count: number): void;
  onFault(listener: (fault: RemapFault) => void): Subscription;
}

/** Wired interrupts: inputs of an I/O APIC, each of which sends a message when it is asserted. */
export interface InterruptLines {
  /** Lines are numbered from 0. */
  readonly count: number;
  /** The requester id of the messages that it sends. */
  readonly requesterId: number;
  /**
   * What a line sends, and whether it is level-triggered: a level line sends again at `eoi` while it is asserted. A line that was
   * never routed sends nothing.
   */
  route(line: number, msg: MsiMsg, level: boolean): void;
  /** A masked line sends nothing; a level line that is asserted sends when it is unmasked. Lines start masked. */
  setMask(line: number, masked: boolean): void;
  /** The handling of a level line is over. */
  eoi(line: number): void;
  /** Whether a device asserts it now. */
  isAsserted(line: number): boolean;
}
