import { Device } from '../device/index.js';
import type { Mmio, PciRoot } from '../hal/index.js';
import type { CpuMask, CpuSet, IrqAffinityDesc, IrqHandle, IrqHandler, IrqSpec, MsiFlag } from '../irq/index.js';
import { Errno } from '../lib/index.js';
import type { MessageSender, MsiDesc, MsiDomain, MsiMap } from '../msi/index.js';
import type { PciBar } from './bar.js';
import type { PciBusNode } from './bridge.js';
import type { PciInterrupts } from './interrupts.js';
import { allowIntx, intxLine, isIntxAllowed } from './intx.js';
import { type PciMsixOptions, PciVectors, type VectorKind, type PciVectorOptions } from './irq-vectors.js';
import { PciMessages, checkCounts, spreadMasks } from './messages.js';

const ALL_KINDS: readonly VectorKind[] = ['msix', 'msi', 'intx'];
/** In the ledger. */
const LABELS: { readonly [K in VectorKind]: string } = { msix: 'msix vectors', msi: 'msi vectors', intx: 'intx' };

const endVectors = (vectors: PciVectors): void => vectors.end();
const endMap = (map: MsiMap): void => map.end();

/**
 * The part of a PCI function by which it interrupts: MSI-X, MSI and its line.
 * @see Linux 7.2 drivers/pci/msi/api.c, msi.c
 */
export abstract class PciIrqDevice extends Device implements MessageSender {
  abstract readonly root: PciRoot;
  abstract readonly busNumber: number;
  abstract readonly devfn: number;
  abstract readonly config: Mmio;
  /** @internal */
  abstract readonly node: PciBusNode;
  /** True for a function whose messages are known not to work; set before its driver probes. */
  noMsi = false;
  #messages: PciMessages | undefined = undefined;
  #vectors: PciVectors | undefined = undefined;
  /** Whether its line was allowed before its driver said anything about it. */
  #intxBefore: boolean | undefined = undefined;

  abstract bar(index: number): PciBar | undefined;
  abstract findCapability(id: number): number | undefined;
  abstract get powerState(): number;
  /** @internal */
  abstract get isMarkedGone(): boolean;
  /** @internal */
  abstract useMemory(delta: 1 | -1): void;
  /** @internal */
  abstract useMaster(delta: 1 | -1): void;

  /** Who its messages say they are from. */
  get requesterId(): number {
    return (this.busNumber << 8) | this.devfn;
  }

  /** It masters the bus while it has a domain of messages. @internal */
  messagesBegin(): void {
    this.useMaster(1);
  }

  /** @internal */
  messagesEnd(): void {
    this.useMaster(-1);
  }

  /** Looks for its capabilities. @internal */
  protected findMessages(): void {
    this.#messages = new PciMessages(this);
  }

  // What it can do

  /** Entries of its MSI-X table, 1 to 2048. @throws {Errno} EINVAL when it has no MSI-X */
  get msixVectorCount(): number {
    return this.#messages!.need('msix').size;
  }

  /** MSI-X vectors that can still be allocated one by one, once it is enabled; 0 before. */
  get msixVectorsFree(): number {
    const domain = this.#messages?.msix?.domain;
    return domain === undefined || !this.msixCanAllocDyn ? 0 : domain.size - domain.count;
  }

  /** Messages that it can send by MSI: 1, 2, 4, 8, 16 or 32. @throws {Errno} EINVAL when it has no MSI */
  get msiVectorCount(): number {
    return this.#messages!.need('msi').size;
  }

  /**
   * Whether the platform can do something with its messages; without `flag`, whether there is anybody who takes them. It is known
   * before there is a domain.
   * @see Linux 7.2 drivers/pci/msi/irqdomain.c pci_msi_domain_supports
   */
  supportsMsi(flag?: MsiFlag): boolean {
    const parent = this.node.interrupts?.msiParent?.msiParent;
    return parent !== undefined && (flag === undefined || parent.supported.has(flag));
  }

  /** Whether MSI-X vectors can be allocated one by one, once it is enabled. @see Linux 7.2 drivers/pci/msi/api.c pci_msix_can_alloc_dyn */
  get msixCanAllocDyn(): boolean {
    return this.#messages?.msix !== undefined && this.supportsMsi('pci-msix-alloc-dyn');
  }

  /** What it interrupts with now; undefined unless its driver has allocated vectors. */
  get vectorKind(): VectorKind | undefined {
    return this.#vectors?.kind;
  }

  /** Bits of the addresses that its messages can go to. @internal */
  get msiAddressBits(): 32 | 64 {
    return this.#messages?.msi?.is64 === false ? 32 : 64;
  }

  /** Whether it takes what is written to it. @internal */
  get isReachable(): boolean {
    return !this.isMarkedGone && this.powerState === 0;
  }

  // Vectors

  /**
   * Allocates vectors of the best kind that can be had, until unbind: MSI-X, else MSI, else, where one will do, the line. In the
   * ledger they are `msix vectors`, `msi vectors` or `intx`.
   * @throws {Errno} EINVAL for what is no number of vectors, and in an interrupt handler; else what the last kind that was tried has thrown, with that of the one
   *   before as `cause`: ENOSPC when there are fewer than `min`, or no kind was tried; ERANGE when `max` is below `min`; EINVAL when the device has none, is not in D0, or
   *   has vectors (rule `vectors-enabled-twice`); ENOTSUPP when the platform has none
   * @example `const vectors = dev.allocVectors({ min: 2, max: 9, affinity: { preVectors: 1 } });`
   * @see Linux 7.2 drivers/pci/msi/api.c pci_alloc_irq_vectors_affinity
   */
  allocVectors(options: PciVectorOptions = {}): PciVectors {
    const { min = 1, max = min, types = ALL_KINDS } = options;
    checkCounts(this.name, min, max);
    // What forbids messages must not lead to the line.
    this.node.interrupts?.irqs.core.mightSleep('vectors allocated', this);
    if (!Array.isArray(types))
      throw new Errno('EINVAL', `${this.name}: ${String(types)} are no kinds of interrupts: give an array`);
    let error: Errno | undefined;
    for (const kind of ALL_KINDS) {
      if (!types.includes(kind) || (kind === 'intx' && (min !== 1 || this.#lineIrq() === undefined))) continue;
      try {
        if (kind === 'msix') return this.enableMsix(options);
        return kind === 'msi' ? this.enableMsi(options) : this.#enableIntx(options);
      } catch (next) {
        if (!Errno.is(next)) throw next;
        error = error === undefined ? next : new Errno(next.code, next.text, { cause: next.cause ?? error });
      }
    }
    throw error ?? new Errno('ENOSPC', `${this.name}: no interrupt of the kinds ${types.join(', ') || '(none)'}: allow others`);
  }

  /** Frees the vectors, also those that were allocated one by one; IMS goes on. @throws {Errno} EBUSY while a handler is installed */
  freeVectors(): void {
    const vectors = this.#vectors;
    if (vectors?.entry === undefined) return;
    for (const { irq, index, virq, count } of this.#domain?.descs('associated') ?? []) {
      for (let n = 0; n < count; n++) {
        if (irq?.core.descs[virq + n]?.isRequested !== true) continue;
        throw new Errno('EBUSY', `${this.name}: vector ${index + n}: a handler of irq ${virq + n} is installed: free that first`);
      }
    }
    if (vectors.kind === 'intx' && this.interrupts.irqs.desc(vectors.virq(0)).actions.some(({ dev }) => dev === this)) {
      throw new Errno('EBUSY', `${this.name}: vector 0: its handler of the line is installed: free that first`);
    }
    void this.devres.releaseEntry(vectors.entry);
  }

  /**
   * The number to request for vector `n`: an entry of the MSI-X table, a message of MSI, or 0 for the line.
   * @throws {Errno} EINVAL when there is none
   * @see Linux 7.2 drivers/pci/msi/api.c pci_irq_vector
   */
  irqVector(n: number): number {
    const domain = this.#messages?.msix?.domain;
    const desc = this.#messages?.msi?.desc;
    const count = domain?.size ?? desc?.count ?? 1;
    let virq: number | undefined;
    if (!(Number.isInteger(n) && n >= 0 && n < count)) virq = undefined;
    else if (domain !== undefined) virq = domain.lookup(n);
    else virq = desc === undefined ? this.irq : desc.virq + n;
    if (virq === undefined || virq === 0)
      throw new Errno('EINVAL', `${this.name}: has no interrupt vector ${n}: allocate it first`);
    return virq;
  }

  /**
   * Where vector `n` is delivered, when it was allocated with `affinity`; all CPUs for the line. A vector that does not exist is
   * reported (rule `no-such-vector`).
   * @see Linux 7.2 drivers/pci/msi/api.c pci_irq_get_affinity
   */
  irqAffinity(n: number): CpuMask | undefined {
    let virq: number;
    try {
      virq = this.irqVector(n);
    } catch {
      this.core?.report('no-such-vector', this, `affinity of vector ${n} asked for, which does not exist`);
      return undefined;
    }
    if (this.#domain === undefined) return this.node.interrupts?.irqs.core.cpus.possible;
    const { affinity, virq: first } = this.interrupts.irqs.desc(virq).msi as MsiDesc;
    return affinity?.[virq - first]?.mask;
  }

  /**
   * Requests vector `n` until unbind. Others may request it, too, as lines are shared.
   * @param name in tables and traces; default the name of the device
   * @throws {Errno} EINVAL when there is no such vector; as `Irqs.request`
   * @see Linux 7.2 drivers/pci/irq.c pci_request_irq
   */
  requestIrq(n: number, handler: IrqHandler | IrqSpec, name?: string): IrqHandle {
    const virq = this.irqVector(n);
    const spec: IrqSpec = typeof handler === 'function' ? { hard: handler } : { ...handler };
    const oneshot = spec.hard === undefined ? true : spec.oneshot;
    return this.interrupts.irqs.request(this, virq, { ...spec, shared: true, oneshot, name: name ?? spec.name });
  }

  // One kind at a time

  /**
   * Enables MSI-X with `min` to `max` vectors, until unbind.
   * @returns vectors whose numbers are entries of the table
   * @throws {Errno} in this order: ERANGE when `max` is below `min`; EINVAL when MSI is on, or MSI-X is (rule
   *   `vectors-enabled-twice`); ENOTSUPP when the platform has none; EINVAL for a count below 1, a device that is not in D0 or has
   *   no MSI-X, and entries named twice; ENOSPC when the table or the platform is too small; ENODEV when the platform refuses;
   *   ERANGE for an entry that does not exist; ENOMEM, EIO when the device cannot be set up
   * @see Linux 7.2 drivers/pci/msi/msi.c __pci_enable_msix_range
   */
  enableMsix(options: PciMsixOptions = {}): PciVectors {
    return this.#hold('msix', () => this.#messages!.enableMsix(options));
  }

  /**
   * Enables MSI with `min` to `max` messages, until unbind.
   * @throws {Errno} in this order: EINVAL for a count below 1 and a device that is not in D0, and when MSI-X is on; ERANGE when `max`
   *   is below `min`; EINVAL when MSI is on (rule `vectors-enabled-twice`); ENOTSUPP when the platform has none; EINVAL when the
   *   device has none; ENOSPC when it or the platform has too few; ENODEV when the platform refuses; EIO when its messages cannot
   *   reach
   * @see Linux 7.2 drivers/pci/msi/msi.c __pci_enable_msi_range
   */
  enableMsi(options: Omit<PciVectorOptions, 'types' | 'virtual'> = {}): PciVectors {
    return this.#hold('msi', () => this.#messages!.enableMsi(options));
  }

  /**
   * Allocates one more MSI-X vector while MSI-X is enabled, until unbind or `msixFree`. In the ledger it is `msix vector`.
   * @param index entry of the table; default the lowest that is free
   * @throws {Errno} ENOTSUPP when MSI-X is off or the platform cannot; EBUSY when the entry, or all of them, are taken; ERANGE
   *   beyond the end of the table; ENOSPC when there is no interrupt
   * @see Linux 7.2 drivers/pci/msi/api.c pci_msix_alloc_irq_at
   */
  msixAllocAt(index?: number, affinity?: CpuSet | IrqAffinityDesc): MsiMap {
    const domain = this.#messages?.msix?.domain;
    if (domain === undefined || !this.msixCanAllocDyn) {
      const why = domain === undefined ? 'MSI-X is not enabled' : 'the platform cannot';
      throw new Errno('ENOTSUPP', `${this.name}: no MSI-X vector on its own: ${why}: allocate all at once`);
    }
    const options = { affinity };
    const label = 'msix vector';
    this.devres.faultPoint(label);
    const map = index === undefined ? domain.alloc(options) : domain.allocAt(index, options);
    (this.interrupts.irqs.desc(map.virq).msi as MsiDesc).entry = this.devres.enter(label, map, endMap);
    return map;
  }

  /**
   * Frees one MSI-X vector; MSI-X stays enabled.
   * @throws {Errno} EBUSY while a handler is installed; EINVAL when it is free (rule `msi-stale-map`). Nothing has changed then
   * @see Linux 7.2 drivers/pci/msi/api.c pci_msix_free_irq
   */
  msixFree(map: MsiMap): void {
    const domain = this.#messages?.msix?.domain;
    if (domain !== undefined && this.msixCanAllocDyn) domain.free(map);
    else
      throw this.violate(
        'msi-stale-map',
        `MSI-X vector ${String((map as MsiMap | undefined)?.index)} freed while ${domain === undefined ? 'MSI-X is off' : 'the platform has no single ones'}`,
      );
  }

  // The line

  /** The number of its interrupt: that of MSI while that is enabled, else of its line; undefined when it has none. */
  get irq(): number | undefined {
    return this.#messages?.msi?.desc?.virq ?? this.#lineIrq();
  }

  /** Allows the device its line, or keeps it from it; at unbind it is as it was. @see Linux 7.2 drivers/pci/devres.c pcim_intx */
  setIntx(on: boolean): void {
    const before = isIntxAllowed(this);
    if (this.#intxBefore === undefined && before !== on) {
      this.devres.defer('intx setting', () => {
        this.#intxBefore = undefined;
        allowIntx(this, before);
      });
      this.#intxBefore = before;
    }
    allowIntx(this, on);
  }

  /** The end of vectors, in the ledger. @internal */
  endVectors(vectors: PciVectors): void {
    if (this.#vectors === vectors) this.#vectors = undefined;
    if (vectors.kind === 'msix') this.#messages?.msix?.disable();
    if (vectors.kind === 'msi') this.#messages?.msi?.disable();
  }

  /** Messages and masks again, from what the core has kept; IMS is its driver's to restore. @internal */
  restoreMessages(): void {
    this.#messages?.msi?.restore();
    this.#messages?.msix?.restore();
  }

  /** @internal */
  get interrupts(): PciInterrupts {
    const { interrupts } = this.node;
    if (interrupts === undefined) throw new Errno('EOPNOTSUPP', `${this.name}: its bus has no interrupts`);
    return interrupts;
  }

  /** The domain of the vectors, when they are messages. */
  get #domain(): MsiDomain | undefined {
    return this.#messages?.domain;
  }

  #lineIrq(): number | undefined {
    const lines = this.node.interrupts?.lines;
    const line = lines === undefined ? undefined : intxLine(this);
    return line === undefined ? undefined : lines!.lineIrq(line, 'low');
  }

  #hold(kind: VectorKind, enable: () => number): PciVectors {
    const label = LABELS[kind];
    this.devres.faultPoint(label);
    const vectors = new PciVectors(this, kind, enable());
    vectors.entry = this.devres.enter(label, vectors, endVectors);
    // A line is only allowed: whoever goes on to messages has nothing to give back.
    if (this.#vectors?.entry !== undefined) this.devres.remove(this.#vectors.entry);
    this.#vectors = vectors;
    return vectors;
  }

  #enableIntx({ affinity }: PciVectorOptions): PciVectors {
    return this.#hold('intx', () => {
      if (this.#domain !== undefined)
        throw new Errno('EINVAL', `${this.name}: its messages are enabled: free them before its line`);
      // So that a driver's sets are as they are for one vector.
      if (affinity !== undefined) spreadMasks(this, 1, affinity === true ? {} : affinity);
      allowIntx(this, true);
      return 1;
    });
  }

  /** @internal */
  violate(rule: string, text: string): Errno {
    return this.core?.violate(rule, this, text) ?? new Errno('EINVAL', `${this.name}: ${text}`);
  }
}
