import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/index.js';
import { PROT } from '../../../core/iommu/index.js';
import { REQUESTER, Sender, scene } from './fixture.js';

const K4 = 2 ** 12;
const RW = PROT.READ | PROT.WRITE;
const rules = (s: { violations: { rule: string }[] }): string[] => s.violations.map((v) => v.rule);

describe('groups', () => {
  test('a device has one from the time it is added to the time it is removed', async () => {
    const s = scene();
    const a = s.add(new Sender('a', 1));
    const b = s.add(new Sender('b', 2));
    expect(s.iommu.groups.map(({ id, requesterId, devices }) => [id, requesterId, devices])).toEqual([
      [0, 1, [a]],
      [1, 2, [b]],
    ]);
    expect([s.iommu.isPresent, s.iommu.group(a)?.id, s.iommu.domainOf(a)?.kind]).toEqual([true, 0, 'dma']);
    expect(s.iommu.domainOf(a)).not.toBe(s.iommu.domainOf(b));
    await s.bus.remove(a);
    expect([s.iommu.group(a), s.hw.contexts.has('1'), s.hw.contexts.has('2')]).toEqual([undefined, false, true]);
    expect(s.iommu.group(s.add(new Sender('c', 3)))?.id).toBe(0);
  });

  test('devices with one requester id are one, and so are the parts of a device', () => {
    const s = scene();
    const a = s.add(new Sender('a', 1));
    const b = s.add(new Sender('b', 1));
    const part = new Device({ name: 'part', parent: a, release: () => {} });
    expect(s.iommu.group(a)).toBe(s.iommu.group(b));
    expect(s.iommu.group(part)).toBe(s.iommu.group(a));
    expect(s.iommu.group(a)?.devices).toEqual([a, b]);
  });

  test('the default domain is what the policy and the device say', () => {
    const demands = (dev: Device) => ({
      ...(dev.name.startsWith('identity') && { domain: 'identity' as const }),
      ...(dev.name.startsWith('dma') && { domain: 'dma' as const }),
      ...(dev.name.endsWith('untrusted') && { untrusted: true }),
    });
    const kinds = (defaultDomain: 'dma' | 'identity') => {
      const s = scene({ policy: { defaultDomain, demands } });
      const names = ['plain', 'identity', 'dma', 'untrusted', 'identity-untrusted'];
      return names.map((name, n) => s.iommu.domainOf(s.add(new Sender(name, n)))?.kind);
    };
    expect(kinds('dma')).toEqual(['dma', 'identity', 'dma', 'dma', 'dma']);
    expect(kinds('identity')).toEqual(['identity', 'identity', 'dma', 'dma', 'dma']);
  });

  test('without an IOMMU there are none, and addresses are physical', () => {
    const s = scene({ absent: true });
    const dev = s.add(new Sender('dev0', REQUESTER));
    expect([s.iommu.isPresent, s.iommu.group(dev), s.iommu.domainOf(dev), s.iommu.maxPasids(dev)]).toEqual([
      false,
      undefined,
      undefined,
      0,
    ]);
    expect(() => s.iommu.allocDomain(dev)).toThrow(/^ENODEV: dev0: no IOMMU translates for it/);
    expect(() => s.iommu.claimOwner(dev, {})).toThrow('ENODEV');
    s.iommu.useDefaultDomain(dev);
    s.iommu.unuseDefaultDomain(dev);
    expect(dev.bound).toBe(true);
  });

  test('a device that says nothing of where its messages come from has none', () => {
    const s = scene();
    const dev = s.add(new Device({ name: 'quiet', release: () => {} }));
    expect([dev.bound, s.iommu.group(dev)]).toEqual([true, undefined]);
    expect(() => s.iommu.allocDomain(dev)).toThrow('ENODEV');
  });

  test('an IOMMU without pages of 4 KiB gives no domains', () => {
    const s = scene({ pageBytes: [2 ** 16], policy: { defaultDomain: 'identity' } });
    const dev = s.add(new Sender('dev0', REQUESTER));
    expect(() => s.iommu.allocDomain(dev)).toThrow('EOPNOTSUPP');
  });

  test('close leaves the unit as it was found', () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    s.iommu.attachPasid(s.iommu.allocDomain(dev), dev, 7);
    s.iommu.close();
    expect([s.hw.contexts.size, s.hw.requestPage(REQUESTER, 7, 0).answer]).toEqual([0, false]);
  });
});

describe('attach', () => {
  test('a group of two devices gives EINVAL; one without a group ENODEV', () => {
    const s = scene();
    const a = s.add(new Sender('a', 1));
    const b = s.add(new Sender('b', 1));
    const domain = s.iommu.allocDomain(a);
    expect(() => s.iommu.attach(domain, b)).toThrow(/^EINVAL: b: iommu group 0 has 2 devices/);
    expect(() => s.iommu.attach(domain, new Sender('x', 99))).toThrow('ENODEV');
  });

  test('a second domain gives EBUSY, and the first one stays', () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    const [first, second] = [s.iommu.allocDomain(dev), s.iommu.allocDomain(dev)];
    s.iommu.attach(first, dev);
    expect(() => s.iommu.attach(second, dev)).toThrow(/^EBUSY: dev0: has a domain attached/);
    expect(s.iommu.domainOf(dev)).toBe(first);
    s.iommu.detach(first, dev);
    s.iommu.attach(second, dev);
    expect(s.iommu.domainOf(dev)).toBe(second);
  });

  test('a domain of another IOMMU gives EINVAL', () => {
    const s = scene();
    const other = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    const domain = other.iommu.allocDomain(other.add(new Sender('dev0', REQUESTER)));
    expect(() => s.iommu.attach(domain, dev)).toThrow('EINVAL');
    expect(() => s.iommu.attachPasid(domain, dev, 1)).toThrow('EINVAL');
    expect(s.iommu.domainOf(dev)?.kind).toBe('dma');
  });

  test('when the hardware fails, the old domain stays and nothing is in the ledger', () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    const domain = s.iommu.allocDomain(dev);
    s.hw.failure = new Errno('ENOMEM', 'no context');
    expect(() => s.iommu.attach(domain, dev)).toThrow('ENOMEM');
    expect([s.iommu.domainOf(dev)?.kind, s.ledger(dev)]).toEqual(['dma', ['iommu domain']]);
    domain[Symbol.dispose]();
  });

  test('detach of what is not attached is a violation', () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    const domain = s.iommu.allocDomain(dev);
    expect(() => s.iommu.detach(domain, dev)).toThrow('EINVAL');
    s.iommu.attach(domain, dev);
    s.iommu.detach(domain, dev);
    expect(() => s.iommu.detach(domain, dev)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['iommu-not-attached', 'iommu-not-attached']);
  });

  test('one domain serves two devices, and the change of one mapping holds for both', () => {
    const s = scene();
    const [a, b] = [s.add(new Sender('a', 1)), s.add(new Sender('b', 2))];
    const domain = s.iommu.allocDomain(a);
    s.iommu.attach(domain, a);
    s.iommu.attach(domain, b);
    domain.map(0x1000, 0x8000, K4, RW);
    expect([s.hw.access(1, 0x1000), s.hw.access(2, 0x1000)]).toEqual([0x8000, 0x8000]);
    domain.unmap(0x1000, K4);
    expect([s.hw.access(1, 0x1000), s.hw.access(2, 0x1000)]).toEqual(['no-entry', 'no-entry']);
  });

  test('the blocked domain refuses every access, and firmware may forbid it', () => {
    const s = scene({ policy: { demands: (dev) => ({ requiresDirect: dev.name === 'usb' }) } });
    const dev = s.add(new Sender('dev0', REQUESTER));
    s.iommu.attach(s.iommu.blocked!, dev);
    expect(s.hw.access(REQUESTER, 0x1000)).toBe('blocked');
    const usb = s.add(new Sender('usb', 2));
    expect(() => s.iommu.attach(s.iommu.blocked!, usb)).toThrow(/^EINVAL: usb: firmware needs its memory mapped/);
  });
});

describe('ownership', () => {
  const user = { name: 'a user' };

  test('a probe uses the default domain, and a user cannot claim it meanwhile', async () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    const group = s.iommu.group(dev)!;
    expect(group.ownerCount).toBe(1);
    expect(() => group.claimOwner(user)).toThrow(/^EPERM: iommu group 0: is taken: 1 drivers use it/);
    expect(() => s.iommu.claimOwner(dev, user)).toThrow('EPERM');
    await s.core.unbind(dev);
    expect(group.ownerCount).toBe(0);
    group.claimOwner(user);
    expect([group.owner, group.domain?.kind, s.hw.access(REQUESTER, 0)]).toEqual([user, 'blocked', 'blocked']);
  });

  test('4.7.6 while a user has the group no native driver binds', async () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    await s.core.unbind(dev);
    const group = s.iommu.group(dev)!;
    group.claimOwner(user);
    await expect(async () => s.core.attach(dev)).rejects.toThrow(/^EBUSY: dev0: iommu group 0 is taken: a user has it/);
    expect(dev.bound).toBe(false);
    group.releaseOwner();
    expect([group.owner, group.domain?.kind, group.ownerCount]).toEqual([undefined, 'dma', 0]);
    await s.core.attach(dev);
    expect(dev.bound).toBe(true);
  });

  test('a driver for users does without the default domain, and claims', async () => {
    const s = scene();
    await s.bus.unregister(s.bus.findDriver('driver')!);
    await s.bus.register({ name: 'user', managesDma: true, probe: (dev) => s.iommu.claimOwner(dev, user) });
    const dev = s.add(new Sender('dev0', REQUESTER));
    const group = s.iommu.group(dev)!;
    expect([s.ledger(dev), group.owner, group.ownerCount]).toEqual([['dma owner'], user, 1]);
    const domain = s.iommu.allocDomain(dev);
    s.iommu.attach(domain, dev);
    s.iommu.detach(domain, dev);
    expect(group.domain?.kind).toBe('blocked');
    await s.core.unbind(dev);
    expect([group.owner, group.domain?.kind]).toEqual([undefined, 'dma']);
  });

  test('the same owner claims again, another one gets EPERM', async () => {
    const s = scene();
    const [a, b] = [s.add(new Sender('a', 1)), s.add(new Sender('b', 1))];
    await s.core.unbind(a);
    await s.core.unbind(b);
    s.iommu.claimOwner(a, user);
    s.iommu.claimOwner(b, user);
    expect(s.iommu.group(a)?.ownerCount).toBe(2);
    expect(() => s.iommu.claimOwner(b, {})).toThrow('EPERM');
    s.iommu.releaseOwner(a);
    expect(s.iommu.group(a)?.owner).toBe(user);
    s.iommu.releaseOwner(b);
    expect(s.iommu.group(a)?.owner).toBeUndefined();
    expect(() => s.iommu.releaseOwner(b)).toThrow('EINVAL');
    expect(() => s.iommu.group(a)?.releaseOwner()).toThrow('EINVAL');
    expect(rules(s)).toEqual(['dma-owner', 'dma-owner']);
  });

  test('a group with a domain of its own, or with PASIDs, cannot be claimed', async () => {
    const s = scene();
    const dev = s.add(new Sender('dev0', REQUESTER));
    await s.core.unbind(dev);
    const domain = s.iommu.allocDomain(dev);
    s.iommu.attach(domain, dev);
    expect(() => s.iommu.claimOwner(dev, user)).toThrow('EBUSY');
    s.iommu.detach(domain, dev);
    s.iommu.attachPasid(domain, dev, 1);
    expect(() => s.iommu.claimOwner(dev, user)).toThrow('EBUSY');
    s.iommu.detachPasid(domain, dev, 1);
    s.iommu.claimOwner(dev, user);
    s.iommu.attachPasid(domain, dev, 1);
    expect(() => s.iommu.releaseOwner(dev)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['dma-owner']);
  });

  test('nobody is no owner, and firmware can forbid it', async () => {
    const s = scene({ policy: { demands: () => ({ requiresDirect: true }) } });
    const dev = s.add(new Sender('dev0', REQUESTER));
    await s.core.unbind(dev);
    expect(() => s.iommu.claimOwner(dev, undefined as never)).toThrow('EINVAL');
    expect(() => s.iommu.group(dev)?.claimOwner(undefined as never)).toThrow('EINVAL');
    expect(rules(s)).toEqual(['dma-owner', 'dma-owner']);
    expect(() => s.iommu.claimOwner(dev, user)).toThrow(/^EINVAL: dev0: firmware needs/);
    expect(s.iommu.group(dev)?.owner).toBeUndefined();
  });

  test('a driver that shares its group with one that has a domain of its own is refused', () => {
    const s = scene();
    const a = s.add(new Sender('a', 1));
    s.iommu.attach(s.iommu.allocDomain(a), a);
    const b = s.add(new Sender('b', 1));
    expect([b.bound, Errno.codeOf(b.probeError)]).toEqual([false, 'EBUSY']);
    expect(String(b.probeError)).toContain('another driver has domains of its own there');
  });

  test('while there is no default domain a probe is deferred', () => {
    const s = scene();
    s.hw.failure = new Errno('EIO', 'no answer');
    const dev = new Sender('dev0', REQUESTER);
    s.bus.autoprobe = false;
    s.add(dev);
    expect(s.log('iommu_default')).toEqual(['no default domain: EIO: no answer']);
    s.hw.failure = new Errno('EIO', 'no answer');
    expect(() => s.iommu.useDefaultDomain(dev)).toThrow('EPROBE_DEFER');
    s.iommu.useDefaultDomain(dev);
    expect([s.iommu.domainOf(dev)?.kind, s.iommu.group(dev)?.ownerCount]).toEqual(['dma', 1]);
  });

  test('what is not in use is not given up', () => {
    const s = scene();
    const [a, b] = [s.add(new Sender('a', 1)), s.add(new Sender('b', 1))];
    s.iommu.unuseDefaultDomain(a);
    s.iommu.unuseDefaultDomain(a);
    expect([b.bound, s.iommu.group(b)?.ownerCount]).toEqual([true, 1]);
  });
});
