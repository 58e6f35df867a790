import { describe, expect, test } from 'vitest';
import { AddressSpace, type IommuDomain, PROT } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const RW = PROT.READ | PROT.WRITE;

/** A domain that maps one page at 0x1000. */
function holding(bench: Bench, byte: number): IommuDomain {
  const domain = bench.kernel.iommu.allocDomain(bench.dev);
  domain.map(0x1000, bench.page(byte), PAGE, RW);
  return domain;
}

describe('5.2 PASID', () => {
  test('G-101 each PASID meets its domain, and plain accesses meet theirs', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const [a, b, plain] = [holding(bench, 0xa1), holding(bench, 0xb2), holding(bench, 0xc0)];
    iommu.attach(plain, dev);
    iommu.attachPasid(a, dev, 1);
    iommu.attachPasid(b, dev, 2);
    expect([bench.peek(0x1000, 1), bench.peek(0x1000, 2), bench.peek(0x1000)]).toEqual([0xa1, 0xb2, 0xc0]);
    iommu.detachPasid(b, dev, 2);
    expect([bench.peek(0x1000, 1), bench.peek(0x1000, 2), bench.peek(0x1000)]).toEqual([0xa1, 'blocked', 0xc0]);
    expect(bench.faults).toMatchObject([{ pasid: 2, reason: 'blocked' }]);
  });

  test('5.2.2 C-143 the order of the checks', async () => {
    await using bench = await Bench.start({
      cards: [
        { at: '00:04.0', pasidBits: 8 },
        { at: '00:05.0', pasidBits: 0 },
      ],
    });
    await using other = await Bench.start();
    const foreign = other.kernel.iommu.allocDomain(other.dev);
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const [a, b] = [holding(bench, 1), holding(bench, 2)];
    const without = bench.at('0000:00:05.0');
    expect([iommu.maxPasids(dev), iommu.maxPasids(without)]).toEqual([256, 0]);
    expect(codeOf(() => iommu.attachPasid(foreign, without, 0))).toBe('EOPNOTSUPP');
    expect(codeOf(() => iommu.attachPasid(foreign, dev, 256))).toBe('EINVAL');
    for (const pasid of [0, 256, 257, 2 ** 20, -1, 1.5]) expect(codeOf(() => iommu.attachPasid(a, dev, pasid))).toBe('EINVAL');
    iommu.attachPasid(a, dev, 255);
    expect(codeOf(() => iommu.attachPasid(b, dev, 255))).toBe('EBUSY');
    expect(codeOf(() => iommu.attachPasid(a, dev, 255))).toBe('EBUSY');
    expect([bench.peek(0x1000, 255), iommu.group(dev)!.pasidCount]).toEqual([1, 1]);
  });

  test('5.2.2 an IOMMU without PASIDs is EOPNOTSUPP', async () => {
    await using bench = await Bench.start({ iommu: { pasidBits: 0 } });
    const { iommu } = bench.kernel;
    const domain = iommu.allocDomain(bench.dev);
    expect(codeOf(() => iommu.attachPasid(domain, bench.dev, 1))).toBe('EOPNOTSUPP');
    expect(codeOf(() => iommu.bindSva(bench.dev, new AddressSpace('mm')))).toBe('EOPNOTSUPP');
    expect(codeOf(() => iommu.enablePasid(bench.dev))).toBe('ENODEV');
  });

  test('5.2.1 the smaller of what device and IOMMU know', async () => {
    await using bench = await Bench.start({ iommu: { pasidBits: 4 } });
    expect(bench.kernel.iommu.maxPasids(bench.dev)).toBe(16);
  });

  test('5.2.3 replace', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const [a, b] = [holding(bench, 1), holding(bench, 2)];
    const [h1, h2] = [{}, {}];
    expect(codeOf(() => iommu.replacePasid(b, dev, 7, h1))).toBe('EINVAL');
    iommu.attachPasid(a, dev, 7, h1);
    expect(codeOf(() => iommu.replacePasid(b, dev, 0, h1))).toBe('EINVAL');
    expect(codeOf(() => Reflect.apply(iommu.replacePasid, iommu, [b, dev, 7, undefined]))).toBe('EINVAL');
    expect(codeOf(() => Reflect.apply(iommu.replacePasid, iommu, [b, dev, 7, 7]))).toBe('EINVAL');
    expect([bench.peek(0x1000, 7), bench.take()]).toEqual([1, []]);
    expect(codeOf(() => iommu.replacePasid(a, dev, 7, h1))).toBe('EINVAL');
    expect(bench.take()).toEqual(['pasid-replaced-by-itself']);
    iommu.replacePasid(a, dev, 7, h2);
    expect([iommu.group(dev)!.at(7)!.handle === h2, bench.peek(0x1000, 7)]).toEqual([true, 1]);
    iommu.replacePasid(b, dev, 7, h2);
    expect([iommu.group(dev)!.at(7)!.domain === b, bench.peek(0x1000, 7)]).toEqual([true, 2]);
    // The one that is there is to be detached.
    expect(codeOf(() => iommu.detachPasid(a, dev, 7))).toBe('EINVAL');
    iommu.detachPasid(b, dev, 7);
    expect(bench.peek(0x1000, 7)).toBe('blocked');
  });

  test('5.2.5 numbers are 1 to max-1, for all devices of the system, and can be given back', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0', pasidBits: 2 }, { at: '00:05.0' }] });
    const { iommu } = bench.kernel;
    const [a, b] = [bench.at('0000:00:04.0'), bench.at('0000:00:05.0')];
    expect([iommu.allocPasid(a), iommu.allocPasid(b), iommu.allocPasid(a)]).toEqual([1, 2, 3]);
    expect(codeOf(() => iommu.allocPasid(a))).toBe('ENOSPC');
    expect(iommu.allocPasid(b)).toBe(4);
    iommu.freePasid(b, 2);
    expect(iommu.allocPasid(a)).toBe(2);
    expect(codeOf(() => iommu.freePasid(a, 9))).toBe('EINVAL');
  });

  test('5.2.4 a number is not given back while a domain is attached there', async () => {
    await using bench = await Bench.start();
    const { iommu } = bench.kernel;
    const domain = holding(bench, 1);
    const pasid = iommu.allocPasid(bench.dev);
    iommu.attachPasid(domain, bench.dev, pasid);
    expect(codeOf(() => iommu.freePasid(bench.dev, pasid))).toBe('EINVAL');
    expect(bench.take()).toEqual(['pasid-in-use']);
    iommu.detachPasid(domain, bench.dev, pasid);
    iommu.freePasid(bench.dev, pasid);
    expect(bench.take()).toEqual([]);
  });

  test('what a driver leaves is detached, freed and blocked when it leaves', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const domain = holding(bench, 1);
    const pasid = iommu.allocPasid(dev);
    iommu.attachPasid(domain, dev, pasid);
    iommu.auxAttach(domain, dev);
    await bench.kernel.core.unbind(dev);
    expect([iommu.group(dev)!.pasidCount, bench.take()]).toEqual([0, []]);
    expect(bench.port().reach(0x1000, 1, false, pasid)).toBe(0);
  });
});

describe('5.2.7 5.2.8 the old calls', () => {
  test('G-102 a number per domain and device, counted', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu, dma } = bench.kernel;
    const [a, b] = [holding(bench, 0xaa), holding(bench, 0xbb)];
    expect(codeOf(() => iommu.auxGetPasid(a, dev))).toBe('ENODEV');
    iommu.auxAttach(a, dev);
    const pasid = iommu.auxGetPasid(a, dev);
    expect(pasid).toBeGreaterThanOrEqual(1);
    iommu.auxAttach(a, dev);
    expect(iommu.auxGetPasid(a, dev)).toBe(pasid);
    iommu.auxAttach(b, dev);
    expect(iommu.auxGetPasid(b, dev)).not.toBe(pasid);
    const page = dma.pages(dev, PAGE);
    page.fill(0x99);
    const plain = dma.map(dev, page, 'to-device');
    expect([bench.peek(0x1000, pasid), bench.peek(0x1000, iommu.auxGetPasid(b, dev)), bench.peek(plain.address)]).toEqual([
      0xaa, 0xbb, 0x99,
    ]);
    expect(bench.peek(plain.address, pasid)).toBe('no-entry');
    // Plain attach is refused meanwhile.
    expect(codeOf(() => iommu.attach(a, dev))).toBe('EBUSY');
    iommu.auxDetach(a, dev);
    expect([iommu.auxGetPasid(a, dev), bench.peek(0x1000, pasid)]).toEqual([pasid, 0xaa]);
    iommu.auxDetach(a, dev);
    expect([codeOf(() => iommu.auxGetPasid(a, dev)), bench.peek(0x1000, pasid)]).toEqual(['ENODEV', 'blocked']);
    expect(codeOf(() => iommu.auxDetach(a, dev))).toBe('EINVAL');
    expect(bench.take()).toEqual(['iommu-not-attached']);
    expect(iommu.allocPasid(dev)).toBe(pasid);
    iommu.auxDetach(b, dev);
    iommu.attach(a, dev);
    expect(bench.peek(0x1000)).toBe(0xaa);
  });

  test('5.2.8 the feature is enabled once; ENODEV without the capability, ENOSPC without a number', async () => {
    await using bench = await Bench.start({
      cards: [
        { at: '00:04.0', pasidBits: 1 },
        { at: '00:05.0', pasidBits: 0 },
      ],
    });
    const { iommu } = bench.kernel;
    const [dev, without] = [bench.at('0000:00:04.0'), bench.at('0000:00:05.0')];
    iommu.enablePasid(dev);
    expect(codeOf(() => iommu.enablePasid(dev))).toBe('EBUSY');
    expect(codeOf(() => iommu.enablePasid(without))).toBe('ENODEV');
    const [a, b] = [holding(bench, 1), holding(bench, 2)];
    expect(codeOf(() => iommu.auxAttach(a, without))).toBe('ENODEV');
    iommu.auxAttach(a, dev);
    expect(iommu.auxGetPasid(a, dev)).toBe(1);
    expect(codeOf(() => iommu.auxAttach(b, dev))).toBe('ENOSPC');
    expect(codeOf(() => iommu.auxGetPasid(b, dev))).toBe('ENODEV');
    iommu.auxAttach(a, dev);
    expect(iommu.group(dev)!.pasidCount).toBe(1);
  });
});

describe('5.2.6 address spaces', () => {
  test('what the process has, and no more; one number wherever it is bound', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0' }, { at: '00:05.0' }] });
    const { iommu } = bench.kernel;
    const [a, b] = [bench.at('0000:00:04.0'), bench.at('0000:00:05.0')];
    const space = new AddressSpace('mm');
    const p = bench.pages(0x31, 0x32);
    space.map(0x7000_0000, p, PAGE, PROT.READ);
    const bond = iommu.bindSva(a, space);
    const second = iommu.bindSva(a, space);
    const elsewhere = iommu.bindSva(b, space);
    expect([second.pasid, elsewhere.pasid]).toEqual([bond.pasid, bond.pasid]);
    expect([bench.peek(0x7000_0000, bond.pasid), bench.poke(0x7000_0000, 1, bond.pasid)]).toEqual([0x31, 'permission']);
    space.map(0x7000_1000, p + PAGE, PAGE);
    expect([bench.peek(0x7000_1000, bond.pasid), bench.peek(0x7000_1000, bond.pasid, '0000:00:05.0')]).toEqual([0x32, 0x32]);
    space.unmap(0x7000_0000, PAGE);
    expect(bench.peek(0x7000_0000, bond.pasid)).toBe('no-entry');
    bond[Symbol.dispose]();
    expect(bench.peek(0x7000_1000, bond.pasid)).toBe(0x32);
    second[Symbol.dispose]();
    expect([bench.peek(0x7000_1000, bond.pasid), bench.peek(0x7000_1000, bond.pasid, '0000:00:05.0')]).toEqual(['blocked', 0x32]);
    elsewhere[Symbol.dispose]();
    expect(iommu.allocPasid(a)).toBe(bond.pasid);
  });

  test('errors: EOVERFLOW, ENOSPC, EBUSY', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0', pasidBits: 1 }, { at: '00:05.0' }] });
    const { iommu } = bench.kernel;
    const [small, large] = [bench.at('0000:00:04.0'), bench.at('0000:00:05.0')];
    const [first, second, third] = [new AddressSpace('one'), new AddressSpace('two'), new AddressSpace('three')];
    expect(iommu.bindSva(large, first).pasid).toBe(1);
    expect(iommu.bindSva(large, second).pasid).toBe(2);
    expect(codeOf(() => iommu.bindSva(small, second))).toBe('EOVERFLOW');
    expect(codeOf(() => iommu.bindSva(small, third))).toBe('ENOSPC');
    const own = holding(bench, 9);
    iommu.attachPasid(own, small, 1);
    expect(codeOf(() => iommu.bindSva(small, first))).toBe('EBUSY');
    expect(bench.peek(0x1000, 1)).toBe(9);
    iommu.detachPasid(own, small, 1);
    expect(iommu.bindSva(small, first).pasid).toBe(1);
  });

  test('without a group ENODEV', async () => {
    await using bench = await Bench.start({ iommu: false });
    expect(codeOf(() => bench.kernel.iommu.bindSva(bench.dev, new AddressSpace('mm')))).toBe('ENODEV');
  });
});
