import { describe, expect, test } from 'vitest';
import { PCI, type PciVectorOptions } from '../../core/index.js';
import { Bench, codeOf } from './interrupts-bench.js';

const MSIX = 4;
const msixBit = ({ dev }: Bench, field: 'enable' | 'functionMask' | 'size'): number => {
  const reg = PCI.inCap(dev.findCapability(PCI.CAP_MSIX)!, PCI.MSIX_CONTROL);
  return dev.config.readField(reg, reg.fields[field]);
};
const msiOn = ({ dev }: Bench): number => {
  const reg = PCI.inCap(dev.findCapability(PCI.CAP_MSI)!, PCI.MSI_CONTROL);
  return dev.config.readField(reg, reg.fields.enable);
};
const intxOff = ({ dev }: Bench): number => dev.config.readField(PCI.COMMAND, PCI.COMMAND.fields.intxDisable);
const both = { msi: { vectors: 4, maskable: true }, msix: MSIX, pin: true } as const;
/** An entry of the device's own table: mask bit, then whether there is a message. */
const entry = ({ dev }: Bench, n: number): [number, boolean] => {
  using regs = dev.mapBar(1);
  const at = 16 * n;
  return [regs.read32(at + 12) & 1, regs.read32(at) !== 0];
};

describe('E: setting up MSI and MSI-X', () => {
  test('C-061, C-062 what is refused, and which reason comes first', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    const msix = (options: PciVectorOptions): string => codeOf(() => dev.enableMsix(options));
    const msi = (options: PciVectorOptions): string => codeOf(() => dev.enableMsi(options));
    await dev.setPowerState(3);
    expect([msix({ min: 2, max: 1 }), msi({ min: 2, max: 1 })]).toEqual(['ERANGE', 'EINVAL']);
    await dev.setPowerState(0);
    expect(msi({ min: 2, max: 1 })).toBe('ERANGE');
    const one = dev.enableMsi({});
    expect([msix({}), msix({ min: 2, max: 1 })]).toEqual(['EINVAL', 'ERANGE']);
    expect(bench.take()).toEqual([]);
    expect(msi({})).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
    one.free();
    dev.enableMsix({});
    expect([msi({}), msi({ min: 2, max: 1 })]).toEqual(['EINVAL', 'EINVAL']);
    expect(bench.take()).toEqual([]);
    expect(msix({})).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
  });

  test('C-063 a device that is not in D0, one whose messages are off, and a count of none are EINVAL', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    await dev.setPowerState(3);
    expect([codeOf(() => dev.enableMsix({})), codeOf(() => dev.enableMsi({}))]).toEqual(['EINVAL', 'EINVAL']);
    await dev.setPowerState(0);
    dev.noMsi = true;
    expect([codeOf(() => dev.enableMsix({})), codeOf(() => dev.enableMsi({}))]).toEqual(['EINVAL', 'EINVAL']);
    dev.noMsi = false;
    expect([codeOf(() => dev.enableMsix({ min: 0, max: 0 })), codeOf(() => dev.enableMsi({ min: 0, max: 0 }))]).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
    expect(dev.enableMsix({}).count).toBe(1);
  });

  test('C-064 no more than the table has, and ENOSPC when that is too few', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    expect([dev.msixVectorCount, dev.msiVectorCount]).toEqual([MSIX, 4]);
    expect(codeOf(() => dev.enableMsix({ min: MSIX + 1, max: 16 }))).toBe('ENOSPC');
    expect(codeOf(() => dev.enableMsi({ min: 5, max: 16 }))).toBe('ENOSPC');
    expect(dev.enableMsix({ min: 1, max: 16 }).count).toBe(MSIX);
  });

  test('C-064 without the capability, and without platform', async () => {
    await using bench = await Bench.start();
    expect([codeOf(() => bench.dev.enableMsix({})), codeOf(() => bench.dev.enableMsi({}))]).toEqual(['EINVAL', 'EINVAL']);
    await using bare = await Bench.start({ interrupts: 'none', card: both });
    expect([codeOf(() => bare.dev.enableMsix({})), codeOf(() => bare.dev.enableMsi({}))]).toEqual(['ENOTSUPP', 'ENOTSUPP']);
  });

  test('C-065 entries may be chosen, but none twice and none that does not exist', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    expect(codeOf(() => dev.enableMsix({ min: 2, max: 2, entries: [1, 1] }))).toBe('EINVAL');
    expect(codeOf(() => dev.enableMsix({ min: 2, max: 2, entries: [1, MSIX] }))).toBe('ERANGE');
    expect([dev.vectorKind, msixBit(bench, 'enable')]).toEqual([undefined, 0]);
    dev.enableMsix({ min: 2, max: 2, entries: [3, 1] });
    expect([dev.irqVector(3), dev.irqVector(1)]).toEqual([24, 25]);
    expect(codeOf(() => dev.irqVector(0))).toBe('EINVAL');
  });

  test('C-066 several messages of MSI need remapping: a row of numbers and entries; elsewhere there is one', async () => {
    await using bench = await Bench.start({ card: both });
    const vectors = bench.dev.enableMsi({ min: 1, max: 4 });
    expect([vectors.count, [0, 1, 2, 3].map((n) => vectors.virq(n))]).toEqual([4, [24, 25, 26, 27]]);
    const seen: number[] = [];
    for (let n = 0; n < 4; n++) bench.dev.requestIrq(n, (virq) => seen.push(virq));
    for (const n of [2, 0, 3, 1]) bench.card.context.irq.msi(n);
    bench.machine.drain();
    expect(seen.toSorted((a, b) => a - b)).toEqual([24, 25, 26, 27]);
    await using plain = await Bench.start({ interrupts: 'plain', card: both });
    expect(codeOf(() => plain.dev.enableMsi({ min: 2, max: 4 }))).toBe('ENOSPC');
    expect(plain.dev.enableMsi({ min: 1, max: 4 }).count).toBe(1);
  });

  test('C-067 MSI-X, then MSI, then the line; the error is that of the last', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    for (const [types, kind] of [
      [['msix', 'msi', 'intx'], 'msix'],
      [['msi', 'intx'], 'msi'],
      [['intx'], 'intx'],
    ] as const) {
      const vectors = dev.allocVectors({ types });
      expect([vectors.kind, vectors.count]).toEqual([kind, 1]);
      vectors.free();
    }
    expect(codeOf(() => dev.allocVectors({ min: 2, types: ['intx'] }))).toBe('ENOSPC');
    expect(codeOf(() => dev.allocVectors({ types: [] }))).toBe('ENOSPC');
    expect(codeOf(() => dev.allocVectors({ min: 9, max: 9, types: ['msix', 'msi'] }))).toBe('ENOSPC');
    await using mute = await Bench.start({ card: { msix: 2 } });
    expect(codeOf(() => mute.dev.allocVectors({ types: ['msi', 'intx'] }))).toBe('EINVAL');
  });

  test('C-068 MSI-X comes up masked, with the line off, and every entry masked that nobody has', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    const controls: number[] = [];
    const at = dev.findCapability(PCI.CAP_MSIX)!;
    const { space } = bench.card.context.endpoint;
    space.onWrite(at + 2, 2, () => void controls.push(space.read16(at + 2) & 0xc000));
    // What firmware has left.
    {
      using regs = dev.mapBar(1);
      regs.write32(16 * 3 + 12, 0);
    }
    dev.enableMsix({ min: 2, max: 2 });
    expect([controls[0], controls.at(-1)]).toEqual([0xc000, 0x8000]);
    expect([intxOff(bench), msixBit(bench, 'functionMask')]).toEqual([1, 0]);
    bench.machine.drain();
    for (let n = 0; n < MSIX; n++) expect(entry(bench, n)).toEqual([1, n < 2]);
  });

  test('C-069 an interrupt that comes while its entry is masked is sent once when it is unmasked', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev, machine } = bench;
    dev.enableMsix({ min: 2, max: 2 });
    let count = 0;
    const { desc } = dev.requestIrq(1, () => count++);
    machine.drain();
    expect(entry(bench, 1)).toEqual([0, true]);
    desc.chip.mask?.(desc.data);
    const { irq } = bench.card.context;
    expect([irq.msix(1), irq.msix(1)]).toEqual([false, false]);
    expect([desc.chip.getState?.(desc.data, 'pending'), desc.chip.getState?.(desc.data, 'masked')]).toEqual([true, true]);
    desc.chip.unmask?.(desc.data);
    machine.drain();
    expect([count, desc.chip.getState?.(desc.data, 'pending')]).toEqual([1, false]);
  });

  test('C-070 giving up MSI-X masks its entries and gives the line back', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    const vectors = dev.enableMsix({ min: 2, max: 2 });
    const irq = dev.requestIrq(0, () => {});
    expect(codeOf(() => vectors.free())).toBe('EBUSY');
    expect(msixBit(bench, 'enable')).toBe(1);
    void irq.free();
    vectors.free();
    expect([msixBit(bench, 'enable'), intxOff(bench), entry(bench, 0)[0]]).toEqual([0, 0, 1]);
    expect(bench.kernel.irqs.list().filter(({ virq }) => virq >= 24)).toEqual([]);
  });

  test('C-071, C-072 single vectors of MSI-X', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    expect(codeOf(() => dev.msixAllocAt())).toBe('ENOTSUPP');
    dev.enableMsix({ min: 2, max: 2 });
    expect(dev.msixCanAllocDyn).toBe(true);
    const map = dev.msixAllocAt(3);
    expect([map.index, map.virq]).toEqual([3, 26]);
    expect([codeOf(() => dev.msixAllocAt(3)), codeOf(() => dev.msixAllocAt(MSIX))]).toEqual(['EBUSY', 'ERANGE']);
    expect(dev.msixAllocAt().index).toBe(2);
    expect(codeOf(() => dev.msixAllocAt())).toBe('EBUSY');
    dev.msixFree(map);
    expect([msixBit(bench, 'enable'), dev.vectorKind, bench.take()]).toEqual([1, 'msix', []]);
    expect(codeOf(() => dev.msixFree(map))).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
    expect(dev.msixAllocAt(3).index).toBe(3);
  });

  test('C-073 what a reset has cleared is written again, and IMS is not', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev, machine } = bench;
    dev.enableMsix({ min: 2, max: 2 });
    let count = 0;
    dev.requestIrq(0, () => count++);
    const writes: string[] = [];
    const store = { slots: 4, mask() {}, unmask() {}, writeMsg: () => void writes.push('write') };
    const slot = bench.kernel.ims.createDomain(dev, store).alloc();
    bench.kernel.irqs.request(dev, slot.virq, () => {});
    machine.drain();
    const before = [entry(bench, 0), entry(bench, 1)];
    writes.length = 0;
    await dev.reset();
    machine.drain();
    expect([entry(bench, 0), entry(bench, 1)]).toEqual(before);
    expect([msixBit(bench, 'enable'), msixBit(bench, 'functionMask'), intxOff(bench), writes]).toEqual([1, 0, 1, []]);
    bench.card.context.irq.msix(0);
    machine.drain();
    expect(count).toBe(1);
    bench.kernel.msi.restoreAll(dev);
    expect(writes).toEqual(['write']);
  });

  test('C-074 the number of a vector, by kind', async () => {
    await using bench = await Bench.start({ card: both });
    const { dev } = bench;
    const line = dev.irq;
    expect(dev.irqVector(0)).toBe(line);
    expect(codeOf(() => dev.irqVector(1))).toBe('EINVAL');
    const msi = dev.enableMsi({ min: 2, max: 2 });
    expect([dev.irqVector(1), dev.irq]).toEqual([25, 24]);
    expect(codeOf(() => dev.irqVector(2))).toBe('EINVAL');
    msi.free();
    dev.enableMsix({ min: 2, max: 2 });
    expect([codeOf(() => dev.irqVector(2)), dev.irq]).toEqual(['EINVAL', line]);
  });

  test('C-075 vectors before and after that are more than the least are ENOSPC', async () => {
    await using bench = await Bench.start({ card: both });
    const affinity = { preVectors: 1, postVectors: 1 };
    expect(codeOf(() => bench.dev.allocVectors({ min: 1, max: 4, types: ['msix'], affinity }))).toBe('ENOSPC');
    const vectors = bench.dev.allocVectors({ min: 2, max: 4, types: ['msix'], affinity });
    expect([0, 1, 2, 3].map((n) => String(vectors.affinity(n)))).toEqual(['0-3', '0-1', '2-3', '0-3']);
    // An affinity is always wanted here: there is no flag beside it that could be forgotten.
    expect(bench.take()).toEqual([]);
  });

  test('C-076 the layout of MSI for 32-bit and 64-bit addresses', () => {
    const offsets = (...regs: readonly { readonly offset: number }[]): number[] => regs.map(({ offset }) => offset);
    expect(offsets(PCI.MSI_ADDRESS_LO, PCI.MSI_DATA_32, PCI.MSI_MASK_32, PCI.MSI_PENDING_32)).toEqual([0x04, 0x08, 0x0c, 0x10]);
    expect(offsets(PCI.MSI_ADDRESS_LO, PCI.MSI_ADDRESS_HI, PCI.MSI_DATA_64, PCI.MSI_MASK_64, PCI.MSI_PENDING_64)).toEqual([
      0x04, 0x08, 0x0c, 0x10, 0x14,
    ]);
    const { enable, capable, enabled, is64, maskable } = PCI.MSI_CONTROL.fields;
    const bits = [enable, capable, enabled, is64, maskable].map(({ lsb, msb }) => 2 ** (msb + 1) - 2 ** lsb);
    expect([PCI.MSI_CONTROL.offset, bits]).toEqual([2, [0x0001, 0x000e, 0x0070, 0x0080, 0x0100]]);
  });

  test.each([true, false])(
    'C-076 a function with 64-bit addresses: %s has its message, masks and pending bits in place',
    async (is64) => {
      await using bench = await Bench.start({ card: { msi: { is64, maskable: true, vectors: 2 } } });
      const { dev, card } = bench;
      dev.enableMsi({ min: 2, max: 2 });
      const at = dev.findCapability(PCI.CAP_MSI)!;
      const mask = at + (is64 ? 0x10 : 0x0c);
      expect([dev.config.read32(at + 4), dev.config.read16(at + (is64 ? 0x0c : 0x08)), dev.config.read32(mask)]).toEqual([
        0xfee0_0018, 0, 3,
      ]);
      card.context.irq.msi(1);
      expect(dev.config.read32(mask + 4)).toBe(2);
      let count = 0;
      dev.requestIrq(1, () => count++);
      bench.machine.drain();
      expect([count, dev.config.read32(mask), dev.config.read32(mask + 4)]).toEqual([1, 1, 0]);
    },
  );

  test('C-077 a 32-bit function whose message would be above 4 GiB is refused, and left as it was', async () => {
    await using bench = await Bench.start({ card: { msi: { is64: false } } });
    const { dev, kernel } = bench;
    const domains = kernel.irqs.core.domains.size;
    const parent = kernel.interrupts.msiParent!;
    // The only level that composes answers with a high address for once.
    const alloc = parent.ops.alloc!;
    parent.ops.alloc = (domain, virq, count, info) => {
      alloc(domain, virq, count, info);
      const data = domain.data(virq);
      data.chip = { ...data.chip, composeMsiMsg: () => ({ addressHi: 1, addressLo: 0xfee0_0000, data: 0 }) };
    };
    expect(codeOf(() => dev.enableMsi({}))).toBe('EIO');
    parent.ops.alloc = alloc;
    expect([dev.vectorKind, msiOn(bench), intxOff(bench)]).toEqual([undefined, 0, 0]);
    expect(kernel.irqs.list().filter(({ virq }) => virq >= 24)).toEqual([]);
    expect(kernel.irqs.core.domains.size).toBeLessThanOrEqual(domains + 1);
    expect(codeOf(() => dev.enableMsi({}))).toBe('ok');
  });

  test('C-078 the layout of MSI-X and of its table', async () => {
    const { enable, functionMask, size } = PCI.MSIX_CONTROL.fields;
    const bits = [size, functionMask, enable].map(({ lsb, msb }) => 2 ** (msb + 1) - 2 ** lsb);
    expect([PCI.MSIX_CONTROL.offset, PCI.MSIX_TABLE.offset, PCI.MSIX_PBA.offset]).toEqual([2, 4, 8]);
    expect(bits).toEqual([0x07ff, 0x4000, 0x8000]);
    await using bench = await Bench.start({ card: { msix: 2048 } });
    expect([bench.dev.msixVectorCount, msixBit(bench, 'size')]).toEqual([2048, 2047]);
  });
});
