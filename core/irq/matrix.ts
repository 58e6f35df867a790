import { checkRange, hex } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import { Bitmap } from './bitmap.js';
import { CpuMask, MAX_CPUS } from './cpu-mask.js';
import { CpuAccount, type CpuVectors } from './cpu-vectors.js';
import { Tournament } from './tournament.js';

/** The most bits of one CPU, and the factor by which a result of {@link VectorMatrix.alloc} packs its CPU. */
export const MATRIX_BITS = 256;

/** The CPU of a packed result. */
export const matrixCpu = (packed: number): number => packed >>> 8;

/** The vector of a packed result. */
export const matrixVector = (packed: number): number => packed & 0xff;

/**
 * What the matrix tells its owner beside its results: more is reserved than there is, which is lawful, or a caller broke the contract
 * and the call did nothing.
 */
export type MatrixWarning = 'overcommitted' | 'violation';

/** How a {@link VectorMatrix} is made. */
export interface VectorMatrixOptions {
  /** How many CPUs there can be, 1 to 1024. */
  readonly cpus: number;
  /** The first vector to hand out. */
  readonly start: number;
  /** The first vector above those to hand out. */
  readonly end: number;
  /** Vectors of a CPU, handed out or not; at most 256, the default. */
  readonly matrixBits?: number;
  /** Called once per event. */
  readonly warn: (text: string, kind: MatrixWarning) => void;
}

/**
 * Which vector of which CPU is taken: by an interrupt, by the system, or set aside for a managed interrupt.
 *
 * Results of a search are values, since a full table is normal work: a packed number `cpu * 256 + vector`, -1 when there is no room
 * (`ENOSPC`). A violation goes to `warn` and changes nothing. The best CPU of all that are online is known without a search; a mask that
 * leaves some of them out is scanned.
 *
 * Unlike Linux's, the account of a CPU that is offline is kept when managed vectors are set aside on it, so that it is right when the CPU
 * comes back.
 * @see Linux 7.2 kernel/irq/matrix.c
 */
export class VectorMatrix {
  readonly #start: number;
  readonly #end: number;
  readonly #bits: number;
  readonly #warn: VectorMatrixOptions['warn'];
  readonly #cpus: CpuAccount[] = [];
  readonly #possible: CpuMask;
  readonly #system: Bitmap;
  /** The vectors of the window that are not the system's. */
  readonly #usable: Bitmap;
  readonly #mostAvailable: Tournament;
  readonly #fewestManaged: Tournament;
  #online = CpuMask.EMPTY;
  /** The last mask that was found to hold every online CPU. */
  #covering = CpuMask.EMPTY;
  #systemBits = 0;
  #available = 0;
  #reserved = 0;
  #totalAllocated = 0;

  /** @throws {Errno} ERANGE when a number of the options is out of its range */
  constructor({ cpus, start, end, matrixBits = MATRIX_BITS, warn }: VectorMatrixOptions) {
    checkRange('vector matrix', 'the number of cpus', cpus, 1, MAX_CPUS);
    checkRange('vector matrix', 'the number of vectors of a cpu', matrixBits, 1, MATRIX_BITS);
    checkRange('vector matrix', 'the end of the window', end, 1, matrixBits);
    checkRange('vector matrix', 'the start of the window', start, 0, end - 1);
    this.#start = start;
    this.#end = end;
    this.#bits = matrixBits;
    this.#warn = warn;
    for (let cpu = 0; cpu < cpus; cpu++) this.#cpus.push(new CpuAccount(matrixBits));
    this.#possible = CpuMask.all(cpus);
    this.#system = new Bitmap(matrixBits);
    this.#usable = new Bitmap(matrixBits);
    for (let bit = start; bit < end; bit++) this.#usable.set(bit);
    this.#mostAvailable = new Tournament(cpus, 'lowest');
    this.#fewestManaged = new Tournament(cpus, 'highest');
  }

  /** What can still be allocated on all online CPUs together. Linux's `irq_matrix_available`. */
  get available(): number {
    return this.#available;
  }

  /** Vectors promised and not yet allocated, on no CPU in particular. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Vectors in use; one that is freed while its CPU is offline stays counted, as in Linux. */
  get totalAllocated(): number {
    return this.#totalAllocated;
  }

  /** The CPUs that are online. */
  get onlineCpus(): CpuMask {
    return this.#online;
  }

  /** The account of a CPU, live. @throws {Errno} ERANGE when the matrix has no such CPU */
  cpu(cpu: number): CpuVectors {
    return this.#account(cpu);
  }

  /**
   * How many vectors would have to move if this CPU went: those in use that are not managed.
   * @see Linux 7.2 kernel/irq/matrix.c irq_matrix_allocated
   */
  allocated(cpu: number): number {
    const account = this.#account(cpu);
    return account.allocated - account.managedAllocated;
  }

  /** The vectors that belong to the system on every CPU, ascending. */
  get systemVectors(): number[] {
    return this.#system.list();
  }

  /** Brings a CPU online. @throws {Errno} EINVAL when it is */
  online(cpu: number): void {
    const account = this.#account(cpu);
    if (account.online) throw new Errno('EINVAL', `vector matrix: cpu ${cpu} is online already`);
    if (!account.initialized) {
      account.available = this.#end - this.#start - account.managed - this.#systemBits;
      account.initialized = true;
    }
    account.online = true;
    this.#available += account.available;
    this.#setOnline(cpu, account, this.#online.with(cpu));
  }

  /** Takes a CPU offline; what is allocated there stays, and it goes on from there when it comes back. @throws {Errno} EINVAL when it is */
  offline(cpu: number): void {
    const account = this.#account(cpu);
    if (!account.online) throw new Errno('EINVAL', `vector matrix: cpu ${cpu} is offline already`);
    account.online = false;
    this.#available -= account.available;
    this.#setOnline(cpu, account, this.#online.minus(cpu));
  }

  /**
   * Gives a vector to the system, on every CPU; before the first CPU comes online.
   * @param replace the vector is allocated on `cpu`, the only one online, and becomes the system's
   * @throws {Errno} EINVAL when it is too late, or there is nothing to replace; EEXIST when it is the system's; ERANGE
   */
  assignSystem(bit: number, replace = false, cpu = 0): void {
    checkRange('vector matrix', 'a system vector', bit, 0, this.#bits - 1);
    const account = this.#account(cpu);
    const online = this.#online.size;
    if (online > (replace ? 1 : 0)) {
      throw new Errno('EINVAL', `vector matrix: ${online} cpus are online: assign system vector ${name(bit)} earlier`);
    }
    if (this.#system.has(bit)) throw new Errno('EEXIST', `vector matrix: vector ${name(bit)} is the system's`);
    if (replace) {
      if (!account.inUse.has(bit)) {
        throw new Errno('EINVAL', `vector matrix: vector ${name(bit)} of cpu ${cpu} is not allocated: it cannot be replaced`);
      }
      account.inUse.clear(bit);
      account.allocated--;
      this.#totalAllocated--;
    }
    this.#system.set(bit);
    if (this.#usable.has(bit)) this.#systemBits++;
    this.#usable.clear(bit);
  }

  /**
   * Takes the lowest free vector of the CPU with the most available; of equals the lowest CPU.
   * @param reserved uses up a reservation
   * @returns `cpu * 256 + vector`, or -1 for ENOSPC
   * @throws {Errno} EINVAL when the mask is empty
   */
  alloc(mask: CpuMask, reserved = false): number {
    const cpu = this.#best(this.#mostAvailable, mask);
    if (cpu < 0) return -1;
    const account = this.#account(cpu);
    const bit = account.lowestFree(this.#usable);
    if (bit < 0) return -1;
    this.#take(cpu, account, bit);
    if (reserved) this.removeReserved();
    return cpu * MATRIX_BITS + bit;
  }

  /** Promises a vector; never fails. */
  reserve(): void {
    if (this.#reserved === this.#available) {
      const text = `reservation ${this.#reserved + 1} exceeds available vectors, which are ${this.#available}`;
      this.#warn(`vector matrix: ${text}`, 'overcommitted');
    }
    this.#reserved++;
  }

  /** Gives a promise back. */
  removeReserved(): void {
    if (this.#reserved === 0) this.#violation('nothing is reserved: a reservation cannot be given back');
    else this.#reserved--;
  }

  /**
   * Sets one vector aside on every CPU of the mask, offline ones too; not necessarily the same on each.
   * @returns false for ENOSPC: a CPU is full, and nothing was set aside
   * @throws {Errno} ERANGE when the matrix has not all CPUs of the mask
   */
  reserveManaged(mask: CpuMask): boolean {
    this.#checkPossible(mask);
    for (let cpu = mask.first; cpu >= 0; cpu = mask.next(cpu)) {
      const account = this.#account(cpu);
      const bit = account.lowestFree(this.#usable);
      if (bit < 0) {
        for (let done = mask.first; done < cpu; done = mask.next(done)) this.#removeManagedOn(done);
        return false;
      }
      account.setAside.set(bit);
      account.managed++;
      this.#addAvailable(cpu, account, -1);
    }
    return true;
  }

  /**
   * Takes the lowest vector that was set aside on the CPU with the fewest managed vectors in use; of equals the highest CPU.
   * @returns `cpu * 256 + vector`, or -1 for ENOSPC
   * @throws {Errno} EINVAL when the mask is empty
   */
  allocManaged(mask: CpuMask): number {
    const cpu = this.#best(this.#fewestManaged, mask);
    if (cpu < 0) return -1;
    const account = this.#account(cpu);
    const bit = account.lowestUnusedManaged();
    if (bit < 0) return -1;
    account.inUse.set(bit);
    account.allocated++;
    account.managedAllocated++;
    this.#totalAllocated++;
    this.#fewestManaged.set(cpu, -account.managedAllocated);
    return cpu * MATRIX_BITS + bit;
  }

  /**
   * Undoes {@link reserveManaged}: on every CPU of the mask, the lowest vector that was set aside and is not in use.
   * @throws {Errno} ERANGE when the matrix has not all CPUs of the mask
   */
  removeManaged(mask: CpuMask): void {
    this.#checkPossible(mask);
    for (let cpu = mask.first; cpu >= 0; cpu = mask.next(cpu)) this.#removeManagedOn(cpu);
  }

  /** Marks a fixed vector of an online CPU as allocated. */
  assign(cpu: number, bit: number): void {
    const account = this.#account(cpu);
    if (!this.#isVector(bit)) return;
    if (!account.online) return this.#violation(`cpu ${cpu} is offline: vector ${name(bit)} cannot be assigned`);
    if (account.inUse.has(bit) || account.setAside.has(bit) || this.#system.has(bit)) {
      return this.#violation(`vector ${name(bit)} of cpu ${cpu} is taken`);
    }
    this.#take(cpu, account, bit);
  }

  /**
   * Gives a vector back.
   * @param managed it came from {@link allocManaged}, and stays set aside
   */
  free(cpu: number, bit: number, managed: boolean): void {
    const account = this.#account(cpu);
    if (!this.#isVector(bit)) return;
    if (!account.inUse.has(bit)) return this.#violation(`vector ${name(bit)} of cpu ${cpu} is free already`);
    if (account.setAside.has(bit) !== managed) {
      return this.#violation(
        `vector ${name(bit)} of cpu ${cpu} is ${managed ? 'not managed' : 'managed'}: free it as what it is`,
      );
    }
    account.inUse.clear(bit);
    account.allocated--;
    if (account.online) this.#totalAllocated--;
    if (!managed) return this.#addAvailable(cpu, account, 1);
    account.managedAllocated--;
    if (account.online) this.#fewestManaged.set(cpu, -account.managedAllocated);
  }

  #account(cpu: number): CpuAccount {
    const account = this.#cpus[cpu];
    if (account === undefined) throw new Errno('ERANGE', `vector matrix: cpu ${cpu} is not one of 0 to ${this.#cpus.length - 1}`);
    return account;
  }

  #checkPossible(mask: CpuMask): void {
    if (!mask.isSubsetOf(this.#possible)) {
      throw new Errno('ERANGE', `vector matrix: cpus ${mask.toString()} are not all of 0 to ${this.#cpus.length - 1}`);
    }
  }

  #violation(text: string): void {
    this.#warn(`vector matrix: ${text}`, 'violation');
  }

  #isVector(bit: number): boolean {
    if (Number.isInteger(bit) && bit >= this.#start && bit < this.#end) return true;
    this.#violation(`vector ${bit} is not one of ${this.#start} to ${this.#end - 1}`);
    return false;
  }

  #setOnline(cpu: number, account: CpuAccount, online: CpuMask): void {
    this.#online = online;
    this.#covering = online;
    if (account.online) {
      this.#mostAvailable.set(cpu, account.available);
      this.#fewestManaged.set(cpu, -account.managedAllocated);
    } else {
      this.#mostAvailable.remove(cpu);
      this.#fewestManaged.remove(cpu);
    }
  }

  /** A tournament knows the best of all; it must look only where the mask leaves an online CPU out. */
  #best(tournament: Tournament, mask: CpuMask): number {
    if (mask.isEmpty) throw new Errno('EINVAL', 'vector matrix: the mask has no cpu');
    if (mask !== this.#covering) {
      if (!this.#online.isSubsetOf(mask)) return tournament.winnerAmong(mask);
      this.#covering = mask;
    }
    return tournament.winner;
  }

  #take(cpu: number, account: CpuAccount, bit: number): void {
    account.inUse.set(bit);
    account.allocated++;
    this.#totalAllocated++;
    this.#addAvailable(cpu, account, -1);
  }

  #removeManagedOn(cpu: number): void {
    const account = this.#account(cpu);
    const bit = account.lowestUnusedManaged();
    if (bit < 0) {
      return this.#violation(`cpu ${cpu} has ${account.managed} managed vectors, all in use: none can be removed`);
    }
    account.setAside.clear(bit);
    account.managed--;
    this.#addAvailable(cpu, account, 1);
  }

  #addAvailable(cpu: number, account: CpuAccount, count: number): void {
    // Before its first time online a CPU has no balance: it is drawn up then, from what is set aside.
    if (!account.initialized) return;
    account.available += count;
    if (!account.online) return;
    this.#available += count;
    this.#mostAvailable.set(cpu, account.available);
  }
}

function name(bit: number): string {
  return `0x${hex(bit, 2)}`;
}
