import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import { AddressSpace, type IommuDomain, PROT } from '../../../core/iommu/index.js';
import { Errno } from '../../../core/lib/index.js';
import { REQUESTER, Sender, type Scene, scene } from './fixture.js';

const K4 = 2 ** 12;
const RW = PROT.READ | PROT.WRITE;
const rules = (s: Scene): string[] => s.violations.map((v) => v.rule);

/** A bound device, and domains in which 0x1000 leads elsewhere each. */
function device(
  options: Parameters<typeof scene>[0] = {},
  pasidBits = 20,
): Scene & { dev: Sender; a: IommuDomain; b: IommuDomain } {
  const s = scene(options);
  const dev = s.add(new Sender('dev0', REQUESTER, pasidBits));
  const [a, b] = [s.iommu.allocDomain(dev), s.iommu.allocDomain(dev)];
  a.map(0x1000, 0xa000, K4, RW);
  b.map(0x1000, 0xb000, K4, RW);
  return { ...s, dev, a, b };
}

describe('attachPasid', () => {
  test('101 each PASID reaches its own memory, beside what the device has without', () => {
    const { iommu, hw, dev, a, b } = device();
    iommu.domainOf(dev)?.map(0x1000, 0x7000, K4, RW);
    iommu.attachPasid(a, dev, 1);
    iommu.attachPasid(b, dev, 2);
    const read = (pasid?: number) => hw.access(REQUESTER, 0x1000, pasid === undefined ? {} : { pasid });
    expect([read(1), read(2), read()]).toEqual([0xa000, 0xb000, 0x7000]);
    iommu.detachPasid(b, dev, 2);
    expect([read(1), read(2), read()]).toEqual([0xa000, 'blocked', 0x7000]);
    expect(iommu.faults.list).toMatchObject([{ pasid: 2, reason: 'blocked', iova: 0x1000 }]);
    expect(read(3)).toBe('blocked');
  });

  test('C-143 each error has its code', () => {
    const { iommu, dev, a, b } = device({}, 8);
    expect(() => iommu.attachPasid(a, dev, 0)).toThrow(/^EINVAL: dev0: PASID 0/);
    expect(() => iommu.attachPasid(a, dev, 256)).toThrow(/^EINVAL: dev0: PASID 256: must be an integer of 1 to 255/);
    expect(() => iommu.attachPasid(a, dev, 1.5)).toThrow('EINVAL');
    expect(() => iommu.attachPasid(a, dev, -1)).toThrow('EINVAL');
    expect(() => iommu.attachPasid(a, new Sender('x', 99), 1)).toThrow('ENODEV');
    iommu.attachPasid(a, dev, 1);
    expect(() => iommu.attachPasid(b, dev, 1)).toThrow(/^EBUSY: dev0: PASID 1 has a domain/);
    iommu.attachPasid(b, dev, 255);
    expect(iommu.domainOf(dev)?.kind).toBe('dma');
  });

  test('C-143 an IOMMU, or a device, without PASIDs gives EOPNOTSUPP before anything else', () => {
    for (const s of [device({ pasidBits: 0 }), device({}, 0)]) {
      expect(() => s.iommu.attachPasid(s.a, s.dev, 0)).toThrow(/^EOPNOTSUPP: dev0: it, or its IOMMU, has no PASIDs/);
      expect(s.iommu.maxPasids(s.dev)).toBe(0);
    }
  });

  test('numbers end where those of the device or the IOMMU do, whichever has less', () => {
    expect(device({ pasidBits: 4 }, 8).iommu.group(new Sender('x', REQUESTER))?.maxPasids).toBe(16);
    const { iommu, dev } = device({ pasidBits: 20 }, 8);
    expect(iommu.maxPasids(dev)).toBe(256);
  });

  test('a failure leaves nothing behind', () => {
    const { iommu, hw, dev, a, ledger } = device();
    hw.failure = new Errno('ENOMEM', 'no table');
    expect(() => iommu.attachPasid(a, dev, 1)).toThrow('ENOMEM');
    expect([iommu.group(dev)?.pasidCount, dev.isOn, a.users, ledger(dev).length]).toEqual([0, false, 0, 2]);
    iommu.attachPasid(a, dev, 1);
    expect(dev.isOn).toBe(true);
  });

  test('it is undone at unbind, before the domain is freed', async () => {
    const s = device();
    const { iommu, hw, dev, a, core, ledger } = s;
    const pasid = iommu.allocPasid(dev);
    iommu.attachPasid(a, dev, pasid);
    expect(ledger(dev)).toEqual(['iommu domain', 'iommu domain', 'pasid 1', 'domain at pasid 1']);
    await core.unbind(dev);
    expect([hw.access(REQUESTER, 0x1000, { pasid }), dev.isOn, iommu.group(dev)?.pasidCount]).toEqual(['blocked', false, 0]);
    expect(rules(s)).toEqual([]);
  });

  test('a part of the device attaches for itself', async () => {
    const s = device();
    const { iommu, hw, dev, a, core } = s;
    const part = new Device({ name: 'part', parent: dev, release: () => {} });
    await core.add(part);
    iommu.attachPasid(a, part, 5);
    expect(iommu.group(dev)?.pasids.map(({ pasid, domain, owner }) => [pasid, domain, owner])).toEqual([[5, a, part]]);
    expect(hw.access(REQUESTER, 0x1000, { pasid: 5 })).toBe(0xa000);
    await core.unbind(dev);
    expect(rules(s)).toEqual(['pasid-left-attached', 'iommu-domain-in-use']);
    expect(hw.access(REQUESTER, 0x1000, { pasid: 5 })).toBe('no-entry');
    await core.remove(part);
    expect(hw.access(REQUESTER, 0x1000, { pasid: 5 })).toBe('blocked');
  });

  test('the DMA domain of the device serves a PASID as well', () => {
    const { iommu, hw, dev } = device();
    const domain = iommu.domainOf(dev)!;
    domain.map(0x4000, 0x9000, K4, RW);
    iommu.attachPasid(domain, dev, 3);
    expect([hw.access(REQUESTER, 0x4000), hw.access(REQUESTER, 0x4000, { pasid: 3 })]).toEqual([0x9000, 0x9000]);
    iommu.detachPasid(domain, dev, 3);
  });

  test('detach of another domain is a violation', () => {
    const s = device();
    s.iommu.attachPasid(s.a, s.dev, 1);
    expect(() => s.iommu.detachPasid(s.b, s.dev, 1)).toThrow('EINVAL');
    expect(() => s.iommu.detachPasid(s.a, s.dev, 2)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['iommu-not-attached', 'iommu-not-attached']);
    expect(s.iommu.group(s.dev)?.at(1)?.domain).toBe(s.a);
  });

  test('a device that goes while others have domains there leaves the unit clean', async () => {
    const { iommu, hw, dev, b, core, bus, add } = device();
    const part = new Device({ name: 'part', parent: dev, release: () => {} });
    await core.add(part);
    iommu.attachPasid(b, part, 5);
    iommu.bindSva(part, new AddressSpace('editor'));
    iommu.attach(iommu.allocDomain(part), part);
    await bus.remove(dev);
    expect([...hw.contexts.keys()]).toEqual([]);
    await core.remove(part);
    expect([...hw.contexts.keys()]).toEqual([]);
    expect(iommu.allocPasid(add(new Sender('next', 9)))).toBe(1);
  });
});

describe('replacePasid', () => {
  const handle = {};

  test('changes the domain, and the handle', () => {
    const { iommu, hw, dev, a, b } = device();
    iommu.attachPasid(a, dev, 1, handle);
    iommu.replacePasid(b, dev, 1, handle);
    expect([hw.access(REQUESTER, 0x1000, { pasid: 1 }), a.users, b.users]).toEqual([0xb000, 0, 1]);
    const other = {};
    iommu.replacePasid(b, dev, 1, other);
    expect(iommu.group(dev)?.at(1)?.handle).toBe(other);
    a[Symbol.dispose]();
    iommu.detachPasid(b, dev, 1);
  });

  test('each error has its code', () => {
    const s = device();
    const { iommu, dev, a, b } = s;
    expect(() => iommu.replacePasid(a, new Sender('x', 99), 1, handle)).toThrow('ENODEV');
    expect(() => iommu.replacePasid(a, dev, 0, handle)).toThrow('EINVAL');
    expect(() => iommu.replacePasid(a, dev, 1, handle)).toThrow(/^EINVAL: dev0: PASID 1: nothing is attached/);
    iommu.attachPasid(a, dev, 1, handle);
    expect(() => iommu.replacePasid(b, dev, 1, undefined as never)).toThrow(/^EINVAL: dev0: PASID 1: no handle/);
    expect(() => iommu.replacePasid(a, dev, 1, handle)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['pasid-replaced-by-itself']);
  });

  test('a failure keeps what was there', () => {
    const { iommu, hw, dev, a, b } = device();
    iommu.attachPasid(a, dev, 1, handle);
    hw.failure = new Errno('ENOMEM', 'no table');
    expect(() => iommu.replacePasid(b, dev, 1, handle)).toThrow('ENOMEM');
    expect([hw.access(REQUESTER, 0x1000, { pasid: 1 }), a.users, b.users]).toEqual([0xa000, 1, 0]);
  });
});

describe('numbers', () => {
  test('the lowest free one from 1 on, the same for all devices', () => {
    const { iommu, dev, add } = device();
    const other = add(new Sender('dev1', 9));
    expect([iommu.allocPasid(dev), iommu.allocPasid(other), iommu.allocPasid(dev)]).toEqual([1, 2, 3]);
    iommu.freePasid(other, 2);
    expect(iommu.allocPasid(dev)).toBe(2);
  });

  test('none is free, or there are none: ENOSPC', () => {
    const { iommu, dev } = device({}, 2);
    expect([iommu.allocPasid(dev), iommu.allocPasid(dev), iommu.allocPasid(dev)]).toEqual([1, 2, 3]);
    expect(() => iommu.allocPasid(dev)).toThrow(/^ENOSPC: dev0: no PASID is free/);
    const none = device({}, 0);
    expect(() => none.iommu.allocPasid(none.dev)).toThrow('ENOSPC');
    expect(() => none.iommu.allocPasid(new Sender('x', 99))).toThrow('ENODEV');
  });

  test('one is not freed while it is attached, and not twice', () => {
    const s = device();
    const pasid = s.iommu.allocPasid(s.dev);
    s.iommu.attachPasid(s.a, s.dev, pasid);
    expect(() => s.iommu.freePasid(s.dev, pasid)).toThrow(/^EINVAL: dev0: PASID 1 freed while a domain is attached/);
    s.iommu.detachPasid(s.a, s.dev, pasid);
    s.iommu.freePasid(s.dev, pasid);
    expect(() => s.iommu.freePasid(s.dev, pasid)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['pasid-in-use', 'iommu-not-attached']);
  });

  test('a number that is freed in the wrong order at unbind stays taken', async () => {
    const s = device();
    s.iommu.attachPasid(s.a, s.dev, 1);
    s.iommu.allocPasid(s.dev);
    await expect(async () => s.core.unbind(s.dev)).rejects.toThrow('EINVAL');
    expect(rules(s)).toEqual(['pasid-in-use']);
    expect(s.iommu.allocPasid(s.dev)).toBe(2);
  });
});

describe('enablePasid', () => {
  test('is needed once, and undone at unbind', async () => {
    const { iommu, dev, a, core, ledger } = device();
    iommu.enablePasid(dev);
    expect([dev.isOn, ledger(dev).at(-1)]).toEqual([true, 'pasids']);
    expect(() => iommu.enablePasid(dev)).toThrow(/^EBUSY: dev0: its PASIDs are enabled already/);
    iommu.attachPasid(a, dev, 1);
    iommu.detachPasid(a, dev, 1);
    expect(dev.isOn).toBe(true);
    await core.unbind(dev);
    expect(dev.isOn).toBe(false);
    iommu.enablePasid(dev);
  });

  test('a device without them gives ENODEV', () => {
    for (const s of [device({ pasidBits: 0 }), device({}, 0)]) expect(() => s.iommu.enablePasid(s.dev)).toThrow('ENODEV');
    expect(() => device({ absent: true })).toThrow('ENODEV');
  });
});

describe('the calls that find a number themselves', () => {
  test('102 a number from attach to the last detach, and plain DMA beside it', () => {
    const { iommu, hw, dev, a, b, ledger } = device();
    expect(() => iommu.auxGetPasid(a, dev)).toThrow('ENODEV');
    iommu.auxAttach(a, dev);
    const pasid = iommu.auxGetPasid(a, dev);
    expect(pasid).toBeGreaterThanOrEqual(1);
    iommu.auxAttach(a, dev);
    expect(iommu.auxGetPasid(a, dev)).toBe(pasid);
    iommu.auxAttach(b, dev);
    expect(iommu.auxGetPasid(b, dev)).toBe(2);
    iommu.domainOf(dev)?.map(0x5000, 0x6000, K4, RW);
    expect([hw.access(REQUESTER, 0x5000), hw.access(REQUESTER, 0x1000, { pasid })]).toEqual([0x6000, 0xa000]);
    iommu.auxDetach(a, dev);
    expect(hw.access(REQUESTER, 0x1000, { pasid })).toBe(0xa000);
    iommu.auxDetach(a, dev);
    expect(hw.access(REQUESTER, 0x1000, { pasid })).toBe('blocked');
    expect(() => iommu.auxGetPasid(a, dev)).toThrow('ENODEV');
    expect([iommu.allocPasid(dev), ledger(dev)]).toEqual([1, ['iommu domain', 'iommu domain', 'aux domain', 'pasid 1']]);
  });

  test('while one is attached, plain attach gives EBUSY', () => {
    const { iommu, dev, a, b } = device();
    iommu.auxAttach(a, dev);
    expect(() => iommu.attach(b, dev)).toThrow('EBUSY');
    iommu.auxDetach(a, dev);
    iommu.attach(b, dev);
  });

  test('each error has its code', () => {
    const s = device({}, 1);
    expect(() => s.iommu.auxDetach(s.a, s.dev)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['iommu-not-attached']);
    s.iommu.auxAttach(s.a, s.dev);
    expect(() => s.iommu.auxAttach(s.b, s.dev)).toThrow('ENOSPC');
    const none = device({}, 0);
    expect(() => none.iommu.auxAttach(none.a, none.dev)).toThrow('ENODEV');
  });

  test('all of it is undone at unbind', async () => {
    const { iommu, hw, dev, a, core } = device();
    iommu.auxAttach(a, dev);
    iommu.auxAttach(a, dev);
    await core.unbind(dev);
    expect([iommu.group(dev)?.pasidCount, hw.contexts.get(`${REQUESTER}/1`), iommu.allocPasid(dev)]).toEqual([0, 'blocked', 1]);
  });
});

describe('bindSva', () => {
  test('the device reaches what is mapped in the address space, under its addresses', () => {
    const { iommu, hw, dev } = device();
    const space = new AddressSpace('editor');
    space.map(0x7000_0000, 0xc000, K4);
    const bond = iommu.bindSva(dev, space);
    const read = (write = false) => hw.access(REQUESTER, 0x7000_0004, { pasid: bond.pasid, write });
    expect([read(), read(true), iommu.group(dev)?.at(bond.pasid)?.domain.kind]).toEqual([0xc004, 0xc004, 'sva']);
    expect(space.unmap(0x7000_0000, K4)).toBe(K4);
    expect(read()).toBe('no-entry');
    bond[Symbol.dispose]();
    bond[Symbol.dispose]();
    expect(read()).toBe('blocked');
  });

  test('the same address space has one number everywhere, from its first bond to its last', () => {
    const { iommu, dev, add, ledger } = device();
    const other = add(new Sender('dev1', 9));
    const space = new AddressSpace('editor');
    const bonds = [iommu.bindSva(dev, space), iommu.bindSva(dev, space), iommu.bindSva(other, space)];
    expect(bonds.map((bond) => bond.pasid)).toEqual([1, 1, 1]);
    expect(ledger(other)).toEqual(['sva pasid 1']);
    bonds[0]![Symbol.dispose]();
    expect(iommu.group(dev)?.at(1)).toBeDefined();
    bonds[1]![Symbol.dispose]();
    expect([iommu.group(dev)?.at(1), iommu.allocPasid(dev)]).toEqual([undefined, 2]);
    bonds[2]![Symbol.dispose]();
    expect(iommu.allocPasid(dev)).toBe(1);
  });

  test('each error has its code', () => {
    const { iommu, dev, a, add } = device();
    const small = add(new Sender('small', 9, 1));
    const [one, two] = [new AddressSpace('one'), new AddressSpace('two')];
    expect(() => iommu.bindSva(new Sender('x', 99), one)).toThrow('ENODEV');
    iommu.attachPasid(a, dev, 1);
    expect(() => iommu.bindSva(dev, one)).toThrow(/^EBUSY: dev0: PASID 1 has another domain/);
    expect(iommu.allocPasid(dev)).toBe(1);
    iommu.bindSva(dev, two);
    expect(() => iommu.bindSva(small, two)).toThrow(/^EOVERFLOW: small: two has PASID 2, its own are 1 to 1/);
    expect(() => iommu.bindSva(small, one)).toThrow('ENOSPC');
    const none = device({}, 0);
    expect(() => none.iommu.bindSva(none.dev, one)).toThrow('EOPNOTSUPP');
  });

  test('a page that is missing is got when interrupts are delivered', () => {
    const { iommu, hw, dev, settle } = device();
    const asked: [number, boolean][] = [];
    const space = new AddressSpace('lazy', {
      onPageFault: (self, address, isWrite) => {
        asked.push([address, isWrite]);
        if (address >= 0x10_0000) return false;
        self.map(address - (address % K4), 0xd000, K4);
        return true;
      },
    });
    const { pasid } = iommu.bindSva(dev, space);
    const [there, outside] = [hw.requestPage(REQUESTER, pasid, 0x5008, true), hw.requestPage(REQUESTER, pasid, 0x10_0000)];
    expect([there.answer, outside.answer]).toEqual([undefined, undefined]);
    settle();
    expect([there.answer, outside.answer, asked]).toEqual([
      true,
      false,
      [
        [0x5008, true],
        [0x10_0000, false],
      ],
    ]);
    expect(hw.access(REQUESTER, 0x5008, { pasid, write: true })).toBe(0xd008);
    const again = hw.requestPage(REQUESTER, pasid, 0x5008);
    settle();
    expect([again.answer, asked.length]).toEqual([true, 2]);
  });

  test('of very many requests the last fail at once, and what a handler throws is no page', () => {
    const s = device();
    const onPageFault = () => {
      throw new Error('oops');
    };
    const { pasid } = s.iommu.bindSva(s.dev, new AddressSpace('bad', { onPageFault }));
    const requests = Array.from({ length: 1025 }, (_, n) => s.hw.requestPage(REQUESTER, pasid, n * K4));
    expect([requests[0]?.answer, requests.at(-1)?.answer]).toEqual([undefined, false]);
    s.settle();
    expect(requests.every((request) => request.answer === false)).toBe(true);
    expect(new Set(rules(s))).toEqual(new Set(['callback-threw']));
  });

  test('a page of nobody, or of somebody who is gone, does not come', () => {
    const { iommu, hw, dev, a, settle } = device();
    const bond = iommu.bindSva(dev, new AddressSpace('gone', { onPageFault: () => true }));
    iommu.attachPasid(a, dev, 5);
    const requests = [bond.pasid, 5, 6].map((pasid) => hw.requestPage(REQUESTER, pasid, 0x9000));
    bond[Symbol.dispose]();
    settle();
    expect(requests.map((request) => request.answer)).toEqual([false, false, false]);
  });

  test('an address space refuses what is no whole page, and says so', () => {
    const space = new AddressSpace('editor', { addressBits: 32 });
    expect(() => space.map(0x1001, 0, K4)).toThrow(/^EINVAL: editor: /);
    expect(() => space.map(0x1000, 0, 0)).toThrow('EINVAL');
    expect(() => space.map(2 ** 32 - K4, 0, 2 * K4)).toThrow('ERANGE');
    space.map(0x1000, 0x8000, K4, PROT.READ);
    expect(() => space.map(0, 0, 2 * K4)).toThrow('EADDRINUSE');
    expect(() => space.unmap(5, K4)).toThrow('EINVAL');
    expect([space.physicalOf(0x1004), space.physicalOf(0x1004, true), space.physicalOf(0x5000)]).toEqual([
      0x8004,
      undefined,
      undefined,
    ]);
    expect(space.mappings()).toHaveLength(1);
  });
});
