import { describe, expect, test } from 'vitest';
import { Mmio, PCI } from '../../../core/hal/index.js';
import type { IrqHandle } from '../../../core/irq/index.js';
import { Kernel } from '../../../core/kernel.js';
import { type PciDevice, pciId } from '../../../core/pci/index.js';
import { QtestHost } from '../../../hw/remote/qtest.js';
import { type Qemu, describeQemus } from '../../helpers/qemu.js';
import { TestDriver } from './fixture.js';
import { KINDS, type Kind, type Sender } from './msix-senders.js';

/** Long enough for any machine: a limit, never a duration that is asserted. */
const LIMIT_US = 20_000_000;
const LOOK_US = 200;
/** Longer than a device takes for anything that it does here, and than the 128 us that e1000e leaves between two messages. */
const QUIET_US = 1000;
/** @see PCI Express Base Specification 5.0, 6.6.2 */
const FLR_US = 100_000;
/** Words of the header: a BAR of 64 bits. */
const BAR_0 = [4, 5];

/** A sender of QEMU, bound to a driver that has vectors 0 and 1; and what QEMU itself says of it. */
class Bench implements AsyncDisposable {
  readonly #host: QtestHost;
  readonly kernel: Kernel;
  readonly kind: Kind;
  dev!: PciDevice;
  sender!: Sender;
  /** How often the handler of each vector ran and found something to do. */
  readonly ran: Record<number, number> = {};
  readonly handles: Record<number, IrqHandle> = {};
  #table!: Mmio;
  #pending!: Mmio;

  private constructor(qemu: Qemu, kind: Kind) {
    this.#host = new QtestHost({ ...qemu.options, devices: [kind.device] });
    this.kernel = new Kernel(this.#host);
    this.kind = kind;
  }

  static async start(qemu: Qemu, kind: Kind): Promise<Bench> {
    const bench = new Bench(qemu, kind);
    const { kernel } = bench;
    await kernel.start();
    const driver = new TestDriver([pciId(kind.vendor, kind.id)], (dev) => {
      bench.dev = dev;
      bench.sender = kind.make(kernel, dev);
      dev.setMaster();
      dev.allocVectors({ types: ['msix'], min: 2 });
      for (const vector of [0, 1]) bench.request(vector);
    });
    await kernel.pci.register(driver);
    bench.#table = bench.#map(PCI.MSIX_TABLE);
    bench.#pending = bench.#map(PCI.MSIX_PBA);
    await bench.startSender();
    bench.ran[0] = bench.ran[1] = 0;
    return bench;
  }

  async startSender(): Promise<void> {
    this.sender.start();
    await this.until('the start of the device', () => this.sender.isDone());
  }

  request(vector: number): void {
    this.ran[vector] = 0;
    this.handles[vector] = this.dev.requestIrq(vector, () => {
      if (!this.sender.acknowledge(vector)) return 'none';
      this.ran[vector]!++;
      return 'handled';
    });
  }

  /** How often the interrupt of a vector was handled, whether or not there was something to do. */
  total(vector: number): number {
    return this.handles[vector]!.desc.total;
  }

  /** Lets the device do whatever it still does. */
  quiet(): Promise<void> {
    return this.kernel.clock.sleep(QUIET_US);
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    await this.kernel.clock.poll(isSo, { timeoutUs: LIMIT_US, intervalUs: LOOK_US, what });
    await this.quiet();
  }

  /** Has a vector sent, and waits until its handler has run. */
  async deliver(vector: number): Promise<void> {
    const before = this.ran[vector]!;
    this.sender.fire(vector);
    await this.until(`vector ${vector}`, () => this.ran[vector]! > before);
  }

  /** An entry of QEMU's own table. */
  entry(vector: number): { data: number; addressLo: number; masked: boolean } {
    const at = vector * PCI.MSIX_ENTRY_BYTES;
    const word = (reg: { readonly offset: number }): number => this.#table.read32(at + reg.offset);
    const masked = (word(PCI.MSIX_ENTRY_CONTROL) & 1) === 1;
    return { data: word(PCI.MSIX_ENTRY_DATA), addressLo: word(PCI.MSIX_ENTRY_ADDRESS_LO), masked };
  }

  /** QEMU's own pending bit. */
  isPending(vector: number): boolean {
    return ((this.#pending.read32(4 * (vector >>> 5)) >>> (vector & 31)) & 1) === 1;
  }

  #map(reg: typeof PCI.MSIX_TABLE): Mmio {
    const { config } = this.dev;
    const place = PCI.inCap(this.dev.findCapability(PCI.CAP_MSIX)!, reg);
    const bar = this.dev.bar(config.readField(place, place.fields.bar))!;
    const address = bar.address! + 8 * config.readField(place, place.fields.offset);
    const sizeBytes = reg === PCI.MSIX_TABLE ? this.dev.msixVectorCount * PCI.MSIX_ENTRY_BYTES : 16;
    return new Mmio(this.#host.pci[0]!.map('mem', address, sizeBytes), 'msix');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
  }
}

describeQemus('MSI-X', (qemu) => {
  describe.each(Object.entries(KINDS))('of %s', (_name, kind) => {
    test('two vectors reach each its own handler, once a message', async () => {
      await using bench = await Bench.start(qemu, kind);
      expect(bench.dev.vectorKind).toBe('msix');
      await bench.deliver(0);
      expect(bench.ran).toEqual({ 0: 1, 1: 0 });
      await bench.deliver(1);
      expect(bench.ran).toEqual({ 0: 1, 1: 1 });
      bench.sender.fire(1);
      await bench.deliver(0);
      await bench.until('vector 1', () => bench.ran[1] === 2);
      expect(bench.ran).toEqual({ 0: 2, 1: 2 });
      if (!kind.repeats) expect(bench.total(1)).toBe(2);
      const [first, second] = [bench.entry(0), bench.entry(1)];
      expect([first.masked, second.masked, first.data === second.data]).toEqual([false, false, false]);
    });

    test('a disabled vector is masked in the table when it comes, then pends in QEMU, and is delivered once', async () => {
      await using bench = await Bench.start(qemu, kind);
      const { irqs } = bench.kernel;
      const { virq } = bench.handles[1]!;
      await bench.handles[1]!.disable();
      expect([bench.entry(1).masked, irqs.hardwareState(virq, 'masked')]).toEqual([false, false]);

      bench.sender.fire(1);
      await bench.until('the mask', () => bench.entry(1).masked);
      expect([bench.ran[1], irqs.desc(virq).pending]).toEqual([0, true]);
      if (!kind.repeats) expect(bench.isPending(1)).toBe(false);
      bench.sender.acknowledge(1);

      bench.sender.fire(1);
      await bench.until('the pending bit', () => bench.isPending(1));
      expect([irqs.hardwareState(virq, 'masked'), irqs.hardwareState(virq, 'pending')]).toEqual([true, true]);
      await bench.deliver(0);
      expect([bench.ran[1], bench.isPending(0), bench.isPending(1)]).toEqual([0, false, true]);

      bench.handles[1]!.enable();
      await bench.until('what was pending', () => bench.ran[1]! > 0);
      expect([bench.ran[1], bench.isPending(1), bench.entry(1).masked]).toEqual([1, false, false]);
      // What the core had kept and what QEMU had kept, are one.
      if (!kind.repeats) expect(bench.total(1)).toBe(1);
      await bench.deliver(1);
      expect(bench.ran[1]).toBe(2);
    });

    test('a third vector is allocated at an index, comes, and is masked again when it is freed', async () => {
      await using bench = await Bench.start(qemu, kind);
      const { dev } = bench;
      const { third } = kind;
      expect(bench.entry(third).masked).toBe(true);
      bench.sender.fire(third);
      await bench.until('a message of nobody', () => bench.isPending(third));

      const map = dev.msixAllocAt(third);
      expect([map.index, dev.irqVector(third)]).toEqual([third, map.virq]);
      expect(bench.entry(third).masked).toBe(true);
      bench.request(third);
      // What was sent before it had an owner, comes now: hardware keeps it pending.
      await bench.until('what was pending', () => bench.ran[third]! > 0);
      await bench.deliver(third);
      expect(bench.ran).toEqual({ 0: 0, 1: 0, [third]: 2 });

      expect(() => dev.msixFree(map)).toThrow('EBUSY');
      await bench.handles[third]!.free();
      dev.msixFree(map);
      expect(bench.entry(third).masked).toBe(true);
      expect(() => dev.irqVector(third)).toThrow('EINVAL');
      await bench.deliver(0);
      await bench.deliver(1);
      expect(bench.ran).toEqual({ 0: 1, 1: 1, [third]: 2 });
    });

    test('unbound, its MSI-X is off and no interrupt of it is left', async () => {
      await using bench = await Bench.start(qemu, kind);
      const { dev, kernel } = bench;
      const control = PCI.inCap(dev.findCapability(PCI.CAP_MSIX)!, PCI.MSIX_CONTROL);
      expect(dev.config.readField(control, control.fields.enable)).toBe(1);
      await kernel.core.unbind(dev);
      expect(dev.config.readField(control, control.fields.enable)).toBe(0);
      expect([dev.vectorKind, dev.devres.size, kernel.irqs.list().filter(({ device }) => device === dev)]).toEqual([
        undefined,
        0,
        [],
      ]);
    });
  });

  test('a function-level reset makes nvme forget its table, which is written again as it was', async () => {
    await using bench = await Bench.start(qemu, KINDS.nvme);
    const { dev } = bench;
    const before = [bench.entry(0), bench.entry(1)];
    const state = dev.saveState();
    const control = PCI.inCap(dev.findCapability(PCI.CAP_PCIE)!, PCI.PCIE_DEVICE_CONTROL);
    dev.config.modify(control, { initiateFlr: 1 });
    await bench.kernel.clock.sleep(FLR_US);
    // Only so far that its table can be read.
    for (const word of BAR_0) dev.config.write32(4 * word, state.header[word]!);
    dev.config.modify(PCI.COMMAND, { memory: 1 });
    expect(bench.entry(1)).toEqual({ data: 0, addressLo: 0, masked: true });
    dev.restoreState(state);
    expect([bench.entry(0), bench.entry(1)]).toEqual(before);
    await bench.startSender();
    await bench.deliver(1);
    expect(bench.ran[1]).toBe(1);
  });

  test('after a reset what was enabled comes again, and what was masked is masked', async () => {
    await using bench = await Bench.start(qemu, KINDS.nvme);
    await bench.handles[0]!.disable();
    await bench.dev.reset();
    await bench.startSender();
    // Its queues are made by commands whose results are told by vector 0.
    expect(bench.entry(0).masked).toBe(true);
    await bench.deliver(1);
    expect([bench.ran[0], bench.ran[1]]).toEqual([0, 1]);
    await bench.dev.reset();
    expect([bench.entry(0).masked, bench.entry(1).masked]).toEqual([true, false]);
    bench.handles[0]!.enable();
    await bench.until('what was told', () => bench.ran[0]! > 0);
    await bench.startSender();
    await bench.deliver(1);
    expect(bench.ran[1]).toBe(2);
  });
});
