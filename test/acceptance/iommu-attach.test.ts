import { describe, expect, test } from 'vitest';
import { PROT } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const RW = PROT.READ | PROT.WRITE;

describe('5.1 domains, groups, attach', () => {
  test('5.1.2 a function has a group of its own, with its default domain', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0' }, { at: '00:05.0' }] });
    const { iommu } = bench.kernel;
    const [a, b] = [bench.at('0000:00:04.0'), bench.at('0000:00:05.0')];
    expect(iommu.group(a)).not.toBe(iommu.group(b));
    expect(iommu.group(a)!.devices).toEqual([a]);
    expect([iommu.group(a)!.domain, iommu.domainOf(a)!.kind]).toEqual([iommu.group(a)!.defaultDomain, 'dma']);
    expect(iommu.domainOf(a)).not.toBe(iommu.domainOf(b));
  });

  test('5.1.3 attach, a second attach and detach', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const one = iommu.allocDomain(dev);
    const two = iommu.allocDomain(dev);
    const p = bench.pages(0x11, 0x22);
    one.map(0x10000, p, PAGE, RW);
    two.map(0x10000, p + PAGE, PAGE, RW);
    iommu.attach(one, dev);
    expect(bench.peek(0x10000)).toBe(0x11);
    expect(codeOf(() => iommu.attach(two, dev))).toBe('EBUSY');
    expect(codeOf(() => iommu.attach(one, dev))).toBe('EBUSY');
    expect([iommu.domainOf(dev), bench.peek(0x10000)]).toEqual([one, 0x11]);
    expect(codeOf(() => iommu.detach(two, dev))).toBe('EINVAL');
    expect([bench.take(), iommu.domainOf(dev)]).toEqual([['iommu-not-attached'], one]);
    iommu.detach(one, dev);
    expect([iommu.domainOf(dev), bench.peek(0x10000)]).toEqual([iommu.group(dev)!.defaultDomain, 'no-entry']);
    iommu.attach(two, dev);
    expect(bench.peek(0x10000)).toBe(0x22);
  });

  test('5.1.3 the current domain may be the blocking one: another takes its place', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    iommu.attach(iommu.blocked!, dev);
    expect(bench.peek(0)).toBe('blocked');
    const domain = iommu.allocDomain(dev);
    domain.map(0x10000, bench.page(0x33), PAGE, PROT.READ);
    iommu.attach(domain, dev);
    expect(bench.peek(0x10000)).toBe(0x33);
    iommu.detach(domain, dev);
    expect(iommu.domainOf(dev)).toBe(iommu.group(dev)!.defaultDomain);
    expect(bench.take()).toEqual([]);
  });

  test('5.1.3 a domain of another IOMMU is EINVAL, and the old one stays', async () => {
    await using bench = await Bench.start();
    await using other = await Bench.start();
    const foreign = other.kernel.iommu.allocDomain(other.dev);
    const { iommu } = bench.kernel;
    const before = iommu.domainOf(bench.dev);
    expect(codeOf(() => iommu.attach(foreign, bench.dev))).toBe('EINVAL');
    expect(codeOf(() => iommu.attachPasid(foreign, bench.dev, 1))).toBe('EINVAL');
    expect(codeOf(() => iommu.auxAttach(foreign, bench.dev))).toBe('EINVAL');
    expect([iommu.domainOf(bench.dev), iommu.group(bench.dev)!.pasidCount]).toEqual([before, 0]);
  });

  test('5.1.3 5.1.4 5.1.5 without an IOMMU there is no group, and addresses are physical', async () => {
    await using bench = await Bench.start({ iommu: false });
    await using other = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const domain = other.kernel.iommu.allocDomain(other.dev);
    expect([iommu.isPresent, iommu.group(dev), iommu.domainOf(dev), iommu.maxPasids(dev)]).toEqual([
      false,
      undefined,
      undefined,
      0,
    ]);
    expect(codeOf(() => iommu.allocDomain(dev))).toBe('ENODEV');
    expect(codeOf(() => iommu.attach(domain, dev))).toBe('ENODEV');
    expect(codeOf(() => iommu.attachPasid(domain, dev, 1))).toBe('ENODEV');
    expect(codeOf(() => iommu.replacePasid(domain, dev, 1, {}))).toBe('ENODEV');
    expect(codeOf(() => iommu.claimOwner(dev, {}))).toBe('ENODEV');
    expect(codeOf(() => iommu.enablePasid(dev))).toBe('ENODEV');
    expect(codeOf(() => iommu.auxAttach(domain, dev))).toBe('ENODEV');
    expect(bench.peek(bench.page(0x44))).toBe(0x44);
  });

  test('5.1.6 identity by policy or by demand, but never for a device that is not trusted', async () => {
    await using identity = await Bench.start({ kernel: { iommu: { defaultDomain: 'identity' } } });
    expect([identity.kernel.iommu.domainOf(identity.dev)!.kind, identity.peek(identity.page(0x55))]).toEqual(['identity', 0x55]);
    await using demanded = await Bench.start({ kernel: { iommu: { demands: () => ({ domain: 'identity' }) } } });
    expect(demanded.kernel.iommu.domainOf(demanded.dev)!.kind).toBe('identity');
    await using against = await Bench.start({
      kernel: { iommu: { defaultDomain: 'identity', demands: () => ({ domain: 'dma' }) } },
    });
    expect(against.kernel.iommu.domainOf(against.dev)!.kind).toBe('dma');
    await using untrusted = await Bench.start({
      kernel: { iommu: { defaultDomain: 'identity', demands: () => ({ untrusted: true, domain: 'identity' }) } },
    });
    expect(untrusted.kernel.iommu.domainOf(untrusted.dev)!.kind).toBe('dma');
  });

  test('5.1.8 where firmware needs direct mappings, nothing is blocked', async () => {
    await using bench = await Bench.start({
      kernel: { iommu: { demands: () => ({ requiresDirect: true }) } },
      driver: { managesDma: true },
    });
    const { iommu } = bench.kernel;
    expect(codeOf(() => iommu.claimOwner(bench.dev, {}))).toBe('EINVAL');
    expect(codeOf(() => iommu.attach(iommu.blocked!, bench.dev))).toBe('EINVAL');
    expect([iommu.domainOf(bench.dev)!.kind, iommu.group(bench.dev)!.owner]).toEqual(['dma', undefined]);
  });

  test('a driver leaves, and the device has its default domain again', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const domain = iommu.allocDomain(dev);
    domain.map(0x10000, bench.page(1), PAGE, RW);
    iommu.attach(domain, dev);
    await bench.kernel.core.unbind(dev);
    expect([iommu.domainOf(dev), bench.take()]).toEqual([iommu.group(dev)!.defaultDomain, []]);
    expect(codeOf(() => domain.map(0, 0, PAGE, RW))).toBe('ENODEV');
  });
});

describe('5.1.7 ownership', () => {
  const user = (): Promise<Bench> => Bench.start({ driver: { managesDma: true } });

  test('nobody cannot own', async () => {
    await using bench = await user();
    const { iommu } = bench.kernel;
    for (const owner of [undefined, 7]) {
      expect(codeOf(() => Reflect.apply(iommu.claimOwner, iommu, [bench.dev, owner]))).toBe('EINVAL');
    }
    expect(bench.take()).toEqual(['dma-owner', 'dma-owner']);
  });

  test('G-97 a native driver keeps users away, with EPERM', async () => {
    await using bench = await Bench.start();
    const { iommu } = bench.kernel;
    expect(codeOf(() => iommu.claimOwner(bench.dev, {}))).toBe('EPERM');
    expect(codeOf(() => iommu.group(bench.dev)!.claimOwner({}))).toBe('EPERM');
  });

  test('the same owner counts, another has EPERM; the last release gives the default domain back', async () => {
    await using bench = await user();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const group = iommu.group(dev)!;
    const owner = {};
    iommu.claimOwner(dev, owner);
    expect([group.owner, group.ownerCount, group.domain!.kind, bench.port().reach(0, 1, false)]).toEqual([
      owner,
      1,
      'blocked',
      0,
    ]);
    iommu.claimOwner(dev, owner);
    expect(group.ownerCount).toBe(2);
    expect(codeOf(() => iommu.claimOwner(dev, {}))).toBe('EPERM');
    expect(codeOf(() => group.claimOwner(owner))).toBe('EPERM');
    iommu.releaseOwner(dev);
    expect([group.ownerCount, group.domain!.kind]).toEqual([1, 'blocked']);
    iommu.releaseOwner(dev);
    expect([group.ownerCount, group.owner, group.domain]).toEqual([0, undefined, group.defaultDomain]);
    expect(codeOf(() => iommu.releaseOwner(dev))).toBe('EINVAL');
    expect(bench.take()).toEqual(['dma-owner']);
  });

  test('domains that are attached keep users away, with EBUSY', async () => {
    await using bench = await user();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const domain = iommu.allocDomain(dev);
    iommu.attach(domain, dev);
    expect(codeOf(() => iommu.claimOwner(dev, {}))).toBe('EBUSY');
    iommu.detach(domain, dev);
    iommu.attachPasid(domain, dev, 3);
    expect(codeOf(() => iommu.claimOwner(dev, {}))).toBe('EBUSY');
    iommu.detachPasid(domain, dev, 3);
    iommu.claimOwner(dev, {});
    expect(iommu.group(dev)!.ownerCount).toBe(1);
  });

  test('a domain that is detached while a user owns leaves the device blocked', async () => {
    await using bench = await user();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    iommu.claimOwner(dev, {});
    const domain = iommu.allocDomain(dev);
    iommu.attach(domain, dev);
    expect(iommu.domainOf(dev)).toBe(domain);
    iommu.detach(domain, dev);
    expect(iommu.domainOf(dev)!.kind).toBe('blocked');
  });

  test('G-97 while a user owns the group no native driver is probed; when it is released one is', async () => {
    await using bench = await user();
    const { dev, kernel } = bench;
    const group = kernel.iommu.group(dev)!;
    await kernel.core.unbind(dev);
    group.claimOwner({});
    expect(codeOf(() => kernel.iommu.useDefaultDomain(dev))).toBe('EBUSY');
    group.releaseOwner();
    expect(codeOf(() => kernel.iommu.useDefaultDomain(dev))).toBe('ok');
    expect(group.ownerCount).toBe(1);
    kernel.iommu.useDefaultDomain(dev);
    expect(group.ownerCount).toBe(2);
    kernel.iommu.unuseDefaultDomain(dev);
    kernel.iommu.unuseDefaultDomain(dev);
    expect([group.ownerCount, bench.take()]).toEqual([0, []]);
  });

  test('a second driver finds EBUSY while the first has a domain or a PASID of its own', async () => {
    await using bench = await Bench.start();
    const { dev } = bench;
    const { iommu } = bench.kernel;
    const domain = iommu.allocDomain(dev);
    iommu.attach(domain, dev);
    expect(codeOf(() => iommu.useDefaultDomain(dev))).toBe('EBUSY');
    iommu.detach(domain, dev);
    iommu.attachPasid(domain, dev, 1);
    expect(codeOf(() => iommu.useDefaultDomain(dev))).toBe('EBUSY');
    iommu.detachPasid(domain, dev, 1);
    expect(codeOf(() => iommu.useDefaultDomain(dev))).toBe('ok');
    iommu.unuseDefaultDomain(dev);
  });

  test('without a group the default domain is no question', async () => {
    await using bench = await Bench.start({ iommu: false });
    expect(codeOf(() => bench.kernel.iommu.useDefaultDomain(bench.dev))).toBe('ok');
    expect(codeOf(() => bench.kernel.iommu.unuseDefaultDomain(bench.dev))).toBe('ok');
  });
});
