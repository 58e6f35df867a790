import { describe, expect, test } from 'vitest';
import { type IommuDomain, type IommuFaultReport, PROT } from '../../../core/iommu/index.js';
import { REQUESTER, Sender, type Scene, scene } from './fixture.js';

const K4 = 2 ** 12;
const M2 = 2 ** 21;
const RW = PROT.READ | PROT.WRITE;

/** A domain that is attached to the one device. */
function attached(options: Parameters<typeof scene>[0] = {}): Scene & { dev: Sender; domain: IommuDomain } {
  const s = scene(options);
  const dev = s.add(new Sender('dev0', REQUESTER));
  const domain = s.iommu.allocDomain(dev);
  s.iommu.attach(domain, dev);
  return { ...s, dev, domain };
}

describe('IommuDomain.map', () => {
  test('the device reaches what is mapped, under the address that it was given', () => {
    const { domain, hw } = attached();
    domain.map(0x1000, 0x8000, 2 * K4, RW);
    expect([hw.access(REQUESTER, 0x1004), hw.access(REQUESTER, 0x2008, { write: true })]).toEqual([0x8004, 0x9008]);
    expect([domain.iovaToPhys(0x1004), domain.mappedBytes]).toEqual([0x8004, 2 * K4]);
    expect([...domain.mappings()]).toEqual([{ iova: 0x1000, paddr: 0x8000, sizeBytes: 2 * K4, prot: RW }]);
  });

  test('103 what is no multiple of a page gives EINVAL', () => {
    const { domain } = attached();
    expect(() => domain.map(0x1001, 0x8000, K4, RW)).toThrow(/^EINVAL: dev0: iova 0x1001, physical 0x8000, size 0x1000: must be/);
    expect(() => domain.map(0x1000, 0x8008, K4, RW)).toThrow('EINVAL');
    expect(() => domain.map(0x1000, 0x8000, 100, RW)).toThrow('EINVAL');
    expect(() => domain.map(-K4, 0, K4, RW)).toThrow('EINVAL');
    expect(() => domain.map(0x1000, 0x8000, K4, PROT.CACHE)).toThrow('EINVAL');
    expect(() => domain.map(0x1000, 0x8000, K4, 64 + RW)).toThrow('EINVAL');
    expect(domain.mappedBytes).toBe(0);
  });

  test('no bytes are nothing', () => {
    const { domain } = attached();
    domain.map(0x1000, 0x8000, 0, RW);
    expect(domain.mappedBytes).toBe(0);
  });

  test('outside the geometry gives ERANGE', () => {
    const { domain } = attached({ addressBits: 39 });
    expect(domain.geometry).toEqual({ start: 0, end: 2 ** 39 - 1 });
    expect(() => domain.map(2 ** 39 - K4, 0, 2 * K4, RW)).toThrow(/^ERANGE: dev0: 0x2000 bytes at 0x7ffffff000/);
    expect(() => domain.map(0x1000, 2 ** 53 - K4, 2 * K4, RW)).toThrow('ERANGE');
    domain.map(2 ** 39 - K4, 0, K4, RW);
  });

  test('103 over what is mapped gives EADDRINUSE, and nothing of it is mapped', () => {
    const { domain } = attached();
    domain.map(0x3000, 0x9000, K4, RW);
    expect(() => domain.map(0x1000, 0x20000, 3 * K4, RW)).toThrow(/^EADDRINUSE: dev0: some of 0x3000 bytes at 0x1000/);
    expect([domain.iovaToPhys(0x1000), domain.iovaToPhys(0x3000), domain.mappedBytes]).toEqual([0, 0x9000, K4]);
  });

  test('a domain without mappings has none', () => {
    const { iommu, violations } = attached();
    for (const domain of [iommu.blocked!, iommu.identity!]) {
      expect(() => domain.map(0, 0, K4, RW)).toThrow('EINVAL');
      expect(domain.unmap(0, K4)).toBe(0);
    }
    expect(violations.map((v) => v.rule)).toEqual(Array.from({ length: 4 }, () => 'iommu-not-paging'));
    expect([iommu.blocked!.iovaToPhys(0x5000), iommu.identity!.iovaToPhys(0x5000)]).toEqual([0, 0x5000]);
  });
});

describe('IommuDomain.unmap', () => {
  test('103 stops at the first hole and says how far it came', () => {
    const { domain } = attached();
    domain.map(0x1000, 0x1000, K4, RW);
    domain.map(0x3000, 0x3000, K4, RW);
    expect(domain.unmap(0x1000, 3 * K4)).toBe(K4);
    expect([domain.iovaToPhys(0x1000), domain.iovaToPhys(0x3000)]).toEqual([0, 0x3000]);
  });

  test('never takes more than asked', () => {
    const { domain } = attached();
    domain.map(0, 0, M2, RW);
    expect([domain.unmap(0, K4), domain.mappedBytes]).toEqual([0, M2]);
  });

  test('no access hits once it has returned, whatever the hardware had found', () => {
    const { domain, hw } = attached();
    domain.map(0x1000, 0x8000, 2 * K4, RW);
    expect(hw.access(REQUESTER, 0x1000)).toBe(0x8000);
    domain.unmap(0x1000, 2 * K4);
    expect(hw.invalidated).toEqual([[0x1000, 2 * K4]]);
    expect(hw.access(REQUESTER, 0x1000)).toBe('no-entry');
  });

  test('the fast one waits for sync', () => {
    const { domain, hw } = attached();
    domain.map(0x1000, 0x8000, K4, RW);
    domain.map(0x5000, 0x9000, K4, RW);
    hw.access(REQUESTER, 0x1000);
    expect([domain.unmapFast(0x1000, K4), domain.unmapFast(0x5000, K4), domain.unmapFast(0x9000, K4)]).toEqual([K4, K4, 0]);
    expect(hw.access(REQUESTER, 0x1000)).toBe(0x8000);
    domain.sync();
    domain.sync();
    expect([hw.access(REQUESTER, 0x1000), hw.invalidated]).toEqual(['no-entry', [[0x1000, 5 * K4]]]);
  });

  test('what is no multiple of a page is logged, and nothing happens', () => {
    const { domain, log } = attached();
    domain.map(0x1000, 0x8000, K4, RW);
    expect([domain.unmap(0x1001, K4), domain.unmap(0x1000, 12)]).toEqual([0, 0]);
    expect(log('iommu_unaligned')).toHaveLength(2);
    expect(domain.mappedBytes).toBe(K4);
  });
});

describe('faults of a domain', () => {
  test('104 a write to a page that may be read goes to the handler with flags 1, and into the ring', () => {
    const { domain, hw, iommu, dev, settle } = attached();
    const seen: IommuFaultReport[] = [];
    domain.setFaultHandler((fault) => {
      seen.push(fault);
      return undefined;
    });
    domain.map(0x1000, 0x8000, K4, PROT.READ);
    expect(hw.access(REQUESTER, 0x1010, { write: true })).toBe('permission');
    expect(seen).toEqual([]);
    settle();
    expect(seen).toEqual([{ domain, dev, pasid: undefined, iova: 0x1010, flags: 1 }]);
    const [fault] = iommu.faults.list;
    expect(fault).toMatchObject({ dev: 'dev0', requesterId: REQUESTER, iova: 0x1010, isWrite: true, reason: 'permission' });
    expect([fault?.pasid, fault?.result]).toEqual([undefined, undefined]);
  });

  test('104 without a handler ENOSYS is reported', () => {
    const { domain, hw, iommu, dev, log } = attached();
    hw.access(REQUESTER, 0x7000);
    expect(iommu.faults.list).toMatchObject([{ reason: 'no-entry', isWrite: false, result: 'ENOSYS' }]);
    expect(domain.reportFault(dev, 0x7000, 0)).toBe('ENOSYS');
    expect(log('iommu_fault')).toEqual(['[DMA Read] Request device [00:04.0] fault addr 0x7000 [fault reason: no-entry]']);
  });

  test('a handler is set once, and only for a domain of its own', () => {
    const { domain, iommu, violations } = attached();
    const handler = () => undefined;
    domain.setFaultHandler(handler);
    expect(() => domain.setFaultHandler(handler)).toThrow('EINVAL');
    const other = iommu.group(new Sender('x', REQUESTER))?.defaultDomain;
    expect(() => other?.setFaultHandler(handler)).toThrow('EINVAL');
    expect(violations.map((v) => v.rule)).toEqual(['iommu-fault-handler', 'iommu-fault-handler']);
  });

  test('what a handler says is kept, and one that throws is reported', () => {
    const { domain, hw, iommu, settle, violations } = attached();
    let isBad = false;
    domain.setFaultHandler(() => {
      if (isBad) throw new Error('oops');
      return 'EAGAIN';
    });
    hw.access(REQUESTER, 0x1000);
    settle();
    isBad = true;
    hw.access(REQUESTER, 0x1000);
    settle();
    expect(iommu.faults.list.map((fault) => fault.result)).toEqual(['EAGAIN', 'EIO']);
    expect(violations.map((v) => v.rule)).toEqual(['callback-threw']);
  });

  test('a handler of a device that goes before it is asked is not asked', async () => {
    const { domain, hw, iommu, settle, dev, bus } = attached();
    domain.setFaultHandler(() => 'EAGAIN');
    hw.access(REQUESTER, 0x1000);
    await bus.remove(dev);
    settle();
    expect(iommu.faults.list.map((fault) => fault.result)).toEqual(['ENODEV']);
  });

  test('the last 256 are kept, ten in five seconds are logged, and the rest is counted', () => {
    const { hw, iommu, log } = attached();
    for (let n = 0; n < 300; n++) hw.access(REQUESTER, n * K4);
    expect([iommu.faults.count, iommu.faults.list.length, iommu.faults.list[0]?.iova, iommu.faults.list.at(-1)?.iova]).toEqual([
      300,
      256,
      44 * K4,
      299 * K4,
    ]);
    expect([log('iommu_fault').length, log('iommu_suppressed')]).toEqual([10, []]);
    hw.timeUs = 5_000_000;
    hw.access(REQUESTER, 0);
    expect([log('iommu_fault').length, log('iommu_suppressed')]).toEqual([11, ['290 faults suppressed']]);
  });
});

describe('the life of a domain', () => {
  test('it is in the ledger, and detached and freed at unbind', async () => {
    const { core, dev, domain, hw, iommu, ledger, violations } = attached();
    domain.map(0x1000, 0x8000, K4, RW);
    expect(ledger(dev)).toEqual(['iommu domain', 'iommu attachment']);
    await core.unbind(dev);
    expect([ledger(dev), iommu.domainOf(dev)?.kind, hw.access(REQUESTER, 0x1000)]).toEqual([[], 'dma', 'no-entry']);
    expect(() => domain.map(0x1000, 0x8000, K4, RW)).toThrow(/^ENODEV: dev0: iommu domain used \(map\) after it was freed/);
    expect(() => domain.unmap(0x1000, K4)).toThrow('ENODEV');
    expect(violations.map((v) => v.rule)).toEqual(['use-after-unbind', 'use-after-unbind']);
  });

  test('it cannot be freed while it is attached, and early when it is not', () => {
    const { dev, domain, iommu, ledger, violations } = attached();
    expect(() => domain[Symbol.dispose]()).toThrow(/^EINVAL: dev0: iommu domain freed while it is attached to 1/);
    expect(violations.map((v) => v.rule)).toEqual(['iommu-domain-in-use']);
    iommu.detach(domain, dev);
    domain[Symbol.dispose]();
    domain[Symbol.dispose]();
    expect(ledger(dev)).toEqual([]);
    expect(() => iommu.attach(domain, dev)).toThrow('ENODEV');
  });
});
