import { GuardMaker, Target } from '../../../core/class/guard.js';
import { Device } from '../../../core/device/index.js';
import type { DoorbellMessages, Host, InterruptController, InterruptEntry, VirtualClock } from '../../../core/hal/index.js';
import {
  CpuMask,
  type FlowHandler,
  type IrqChip,
  type IrqCore,
  type IrqDesc,
  IrqDomain,
  type IrqDomainOps,
  type Irqs,
  handleEdge,
  setHandler,
} from '../../../core/irq/index.js';
import { Kernel, type KernelOptions } from '../../../core/kernel.js';
import { FakeHost } from '../../../core/testing/index.js';

const VECTORS = 256;

/** CPUs with pending vectors, and nothing between them and the test. It keeps no vector in service: the test looks at callbacks. */
export class FakePic implements InterruptController {
  readonly vectors = VECTORS;
  readonly lines = undefined;
  currentCpu = 0;
  eois = 0;
  readonly messages: DoorbellMessages = {
    kind: 'doorbell',
    alloc: () => -1,
    free: () => {},
    message: () => ({ addressLo: 0, addressHi: 0, data: 0 }),
  };
  readonly #pending: Set<number>[];
  #entry: InterruptEntry | undefined = undefined;

  constructor(readonly cpus = 4) {
    this.#pending = Array.from({ length: cpus }, () => new Set());
  }

  node(cpu: number): number {
    return cpu >> 1;
  }
  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
  }
  nextCpu(): number {
    return this.#pending.findIndex((vectors) => vectors.size > 0);
  }
  take(cpu: number): number {
    const vector = Math.max(-1, ...this.#pending[cpu]!);
    this.#pending[cpu]!.delete(vector);
    return vector;
  }
  eoi(): void {
    this.eois++;
  }
  send(cpu: number, vector: number): void {
    this.#pending[cpu]!.add(vector);
    this.#entry?.pending();
  }
  isPending(cpu: number, vector: number): boolean {
    return this.#pending[cpu]!.has(vector);
  }
  setOnline(): void {}

  /** As if another CPU took a vector in the middle of what runs. */
  deliverNested(cpu: number, vector: number): void {
    this.#entry!.interrupt(cpu, vector);
  }
}

type Callback = (this: void, ...args: never[]) => unknown;

/** A chip that writes every callback into `trace`, as `pic.mask`; `own` adds callbacks and flags. */
export function recordingChip(
  name: string,
  trace: string[],
  names: readonly (keyof IrqChip)[],
  own: Partial<IrqChip> = {},
): IrqChip {
  const chip: Record<string, unknown> = { ...own, name };
  for (const key of names) {
    const inner = own[key] as Callback | undefined;
    chip[key] = (...args: never[]): unknown => {
      trace.push(`${name}.${key}`);
      return inner?.(...args);
    };
  }
  return chip as unknown as IrqChip;
}

/** What {@link Bench.irq} makes. */
export interface IrqOptions {
  readonly flow?: FlowHandler;
  /** The callbacks that are there and recorded; default `ack`, `mask` and `unmask`. */
  readonly records?: readonly (keyof IrqChip)[];
  /** More of the chip: flags, and what recorded callbacks do. */
  readonly chip?: Partial<IrqChip>;
  readonly ops?: Partial<IrqDomainOps>;
  readonly parent?: IrqDomain;
  readonly managed?: readonly number[];
}

/** An interrupt whose hardware the test is. */
export interface TestIrq {
  readonly virq: number;
  readonly desc: IrqDesc;
  readonly vector: number;
  readonly domain: IrqDomain;
  /** Makes it pending on a CPU. */
  post(cpu?: number): void;
  /** Makes it pending and has it delivered. */
  raise(cpu?: number): void;
}

/** A real kernel on {@link FakePic}, and what happened in it. */
export class Bench implements AsyncDisposable {
  readonly kernel: Kernel;
  readonly irqs: Irqs;
  readonly irqCore: IrqCore;
  readonly clock: VirtualClock;
  readonly trace: string[] = [];
  readonly violations: string[] = [];
  /** Texts of the violations. */
  readonly said: string[] = [];
  #nextVector = 32;
  #stopped = false;
  readonly #devices: Device[] = [];
  readonly #cleanup: (() => void)[] = [];

  private constructor(
    readonly pic: FakePic,
    options: KernelOptions,
  ) {
    const fake = new FakeHost();
    this.clock = fake.clock;
    this.clock.mode = 'manual';
    const host: Host = {
      name: 'bench',
      capabilities: fake.capabilities,
      clock: fake.clock,
      dma: fake.dma,
      pci: [],
      interrupts: pic,
      start() {},
      stop() {},
    };
    this.kernel = new Kernel(host, options);
    this.irqs = this.kernel.irqs;
    this.irqCore = this.irqs.core;
    this.kernel.core.violations.on(({ rule, text }) => {
      this.violations.push(rule);
      this.said.push(text);
    });
  }

  static async open(options: KernelOptions = {}, cpus = 4): Promise<Bench> {
    const bench = new Bench(new FakePic(cpus), options);
    await bench.kernel.start();
    return bench;
  }

  /** A device that somebody could drive. */
  device(name = 'dev0'): Device {
    const dev = new Device({ name, release: () => {} });
    void this.kernel.core.add(dev);
    this.#devices.push(dev);
    return dev;
  }

  irq(options: IrqOptions = {}): TestIrq {
    const vector = this.#nextVector++;
    const chip = recordingChip('pic', this.trace, options.records ?? ['ack', 'mask', 'unmask'], options.chip);
    const domain = new IrqDomain(this.irqCore, {
      name: `PIC-${vector}`,
      parent: options.parent,
      ops: {
        alloc: (own, virq, count, info) => {
          if (own.parent !== undefined) own.allocParent(virq, count, info);
          for (let n = 0; n < count; n++) own.setHwirq(virq + n, info.hwirq + n, chip);
        },
        free: (own, virq, count) => own.freeParent(virq, count),
        ...options.ops,
      },
    });
    const { managed } = options;
    const affinity = managed === undefined ? undefined : [{ mask: CpuMask.from(managed), managed: true }];
    const virq = domain.allocIrqs(1, this.info(0), { affinity });
    const desc = this.irqs.desc(virq);
    setHandler(desc, options.flow ?? handleEdge, 'test');
    for (let cpu = 0; cpu < this.pic.cpus; cpu++) this.irqCore.setVector(cpu, vector, desc);
    this.#cleanup.push(() => {
      for (let cpu = 0; cpu < this.pic.cpus; cpu++) this.irqCore.setVector(cpu, vector, undefined);
      for (const [, mapped] of domain.mappings()) domain.freeIrqs(mapped.virq, 1);
      domain.remove();
    });
    const post = (cpu = 0): void => this.pic.send(cpu, vector);
    const raise = (cpu = 0): void => {
      post(cpu);
      this.irqs.drain();
    };
    return { virq, desc, vector, domain, post, raise };
  }

  /** What users of a published object get. */
  publish<T extends object>(object: T, ...methods: (keyof T & string)[]): T {
    return new GuardMaker<T>(methods).make(new Target(object, 'object0', this.kernel.core.sections));
  }

  info(hwirq: number) {
    return { kind: 'line' as const, hwirq, requesterId: undefined, device: undefined, desc: undefined };
  }

  /** What was traced since the last look. */
  look(): string[] {
    return this.trace.splice(0);
  }

  /** Ends the system: devices first, then their interrupts. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const dev of this.#devices.reverse()) if (dev.registered) await this.kernel.core.remove(dev);
    for (const step of this.#cleanup.reverse()) step();
    await this.kernel.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
