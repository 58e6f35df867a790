import { describe, expect, test } from 'vitest';
import type { Guest, MdevDevice } from '../../../core/index.js';
import type { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Parts, copy, stateOf, take } from './mdev-fixture.js';
import type { Process } from './user-fixture.js';

const VECTOR = 0x41;
const ADMIN_VECTOR = 0x31;

/** A guest that has a virtual device, with both its messages; what its handlers saw. */
class GuestBench implements AsyncDisposable {
  readonly seen: string[] = [];

  private constructor(
    readonly parts: Parts,
    readonly memory: Process,
    readonly dev: MdevDevice,
    readonly part: SubDevice,
    readonly guest: Guest,
  ) {
    const vcpu = guest.vcpu(0);
    vcpu.handle(VECTOR, () => this.seen.push('completion'));
    vcpu.handle(ADMIN_VECTOR, () => this.seen.push('event'));
  }

  static async start(mode: 'dedicated' | 'shared'): Promise<GuestBench> {
    const parts = await Parts.start([mode], { machine: { cpus: 2 } });
    const memory = parts.process('guest');
    const dev = await parts.create();
    const part = await parts.open(dev, memory);
    await part.enable();
    take(part.events);
    return new GuestBench(parts, memory, dev, part, parts.vfio.guest({ vcpus: 1 }));
  }

  /** How often handlers of the host have been called for its completions. */
  get hostCount(): number {
    const { irqs } = this.parts.bench.system.kernel;
    const desc = irqs.list().find(({ actions }) => actions.some(({ dev }) => dev === this.dev));
    return desc?.total ?? 0;
  }

  async copy(): Promise<void> {
    this.part.submit(copy(this.part));
    await this.parts.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.guest[Symbol.dispose]();
    await this.part[Symbol.asyncDispose]();
    await this.parts[Symbol.asyncDispose]();
  }
}

describe.each(['dedicated', 'shared'] as const)('a guest with a virtual device (%s)', (mode) => {
  test('82 gets its completions without the host', async () => {
    await using bench = await GuestBench.start(mode);
    bench.guest.vcpu(0).run(1);
    const irqfd = bench.guest.irqfd(bench.part.completions, { vcpus: [0], vector: VECTOR });
    expect(irqfd.isPosted).toBe(true);
    for (let n = 0; n < 10; n++) await bench.copy();
    expect([bench.seen.length, bench.hostCount, bench.memory.status()]).toEqual([10, 0, DSA.STATUS.success]);
  });

  test('82 is woken by the first completion when it is blocked', async () => {
    await using bench = await GuestBench.start(mode);
    const vcpu = bench.guest.vcpu(0);
    bench.guest.irqfd(bench.part.completions, { vcpus: [0], vector: VECTOR });
    vcpu.run(1);
    vcpu.block();
    bench.part.submit(copy(bench.part));
    bench.part.submit(copy(bench.part));
    await bench.parts.settle();
    expect([vcpu.state, vcpu.wakeups, bench.seen, bench.hostCount]).toEqual(['running', 1, ['completion', 'completion'], 0]);
  });

  test('83 leaves its completions to the host again when it ends, with the message as it was', async () => {
    await using bench = await GuestBench.start(mode);
    const slot = stateOf(bench.dev).handle.slot!;
    const before = bench.parts.ims.message(slot);
    bench.guest.vcpu(0).run(1);
    bench.guest.irqfd(bench.part.completions, { vcpus: [0], vector: VECTOR });
    bench.guest[Symbol.dispose]();
    expect(bench.parts.ims.message(slot)).toEqual(before);
    await bench.copy();
    expect([bench.seen, bench.hostCount, take(bench.part.completions)]).toEqual([[], 1, 1]);
  });

  test('gets message 0, which has no interrupt behind it, by the eventfd', async () => {
    await using bench = await GuestBench.start(mode);
    bench.guest.vcpu(0).run(1);
    const irqfd = bench.guest.irqfd(bench.part.events, { vcpus: [0], vector: ADMIN_VECTOR });
    expect(irqfd.isPosted).toBe(false);
    bench.part.write(DSA.CMD, { interrupt: 1, command: DSA.COMMANDS.drainWq, operand: 1 });
    await bench.parts.settle();
    expect([bench.seen, bench.part.read(DSA.INTCAUSE)]).toEqual([['event'], 2]);
  });

  test('keeps nothing of an interrupt that was given back', async () => {
    await using bench = await GuestBench.start(mode);
    const irqfd = bench.guest.irqfd(bench.part.completions, { vcpus: [0], vector: VECTOR });
    expect(irqfd.isPosted).toBe(true);
    await bench.part.file.close();
    expect([irqfd.isPosted, bench.parts.ims.count]).toEqual([false, 0]);
  });
});
