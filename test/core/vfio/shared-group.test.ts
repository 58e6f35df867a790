import { describe, expect, test } from 'vitest';
import type { Device, Driver } from '../../../core/device/index.js';
import { AddressSpace } from '../../../core/iommu/index.js';
import { IrqCore, Irqs } from '../../../core/irq/index.js';
import { Vfio, type VfioDevice, type VfioOps } from '../../../core/vfio/index.js';
import { FakeHost } from '../../../core/testing/fake-host.js';
import { REQUESTER, Sender, scene } from '../iommu/fixture.js';
import { codeOf, codeOfAsync } from './bench.js';

const OPS: VfioOps = {
  name: 'whole',
  info: { pci: true, regions: 0, irqs: 0 },
  regionInfo: (index) => ({ index, sizeBytes: 0, read: false, write: false, mmap: false }),
  irqInfo: (index) => ({ index, count: 0, eventfd: true, maskable: false, automasked: false, noResize: true }),
  setIrqs: () => 0,
};

/** Two devices that an IOMMU cannot tell apart; nothing is bound to them. */
function setUp() {
  const s = scene();
  const { core, iommu, hw, bus } = s;
  const host = new FakeHost();
  const irqs = new Irqs(new IrqCore(core, host.interrupts));
  const vfio = new Vfio(core, { memory: host.dma, iommu, hardware: hw, irqs, hasIsolatedMsi: true });
  bus.autoprobe = false;
  const [a, b] = ['a', 'b'].map((name) => s.add(new Sender(name, REQUESTER))) as [Sender, Sender];
  const native: Driver = { name: 'native', probe: () => undefined };
  const forUsers: Driver = {
    name: 'for-users',
    managesDma: true,
    probe: (dev: Device): VfioDevice => vfio.register(dev, OPS),
    remove: (_dev, state) => (state as VfioDevice).unregister(),
  };
  void bus.register(native);
  void bus.register(forUsers);
  const container = vfio.container(new AddressSpace('user'));
  return { ...s, vfio, a, b, native, forUsers, container, group: () => vfio.openGroup(vfio.get('a').group.name) };
}

describe('devices that are handed out together', () => {
  test('97 while a user has the group, a native driver for the other device is EBUSY, and one for users is not', async () => {
    const { core, a, b, native, forUsers, container, group } = setUp();
    await core.bind(a, forUsers);
    const file = group();
    file.setContainer(container);
    expect(await codeOfAsync(() => core.bind(b, native))).toBe('EBUSY');
    expect(await codeOfAsync(() => core.bind(b, forUsers))).toBe('ok');
    await core.unbind(b);
    file.unsetContainer();
    expect(await codeOfAsync(() => core.bind(b, native))).toBe('ok');
  });

  test('97 while a native driver has the other device, to take the group is EPERM', async () => {
    const { core, a, b, native, forUsers, container, group, vfio } = setUp();
    await core.bind(b, native);
    await core.bind(a, forUsers);
    const file = group();
    expect([file.status().viable, codeOf(() => file.setContainer(container))]).toEqual([false, 'EPERM']);
    file.close();
    expect(codeOf(() => vfio.openDevice('a').bind(container))).toBe('EPERM');
    await core.unbind(b);
    expect(codeOf(() => vfio.openDevice('a').bind(container))).toBe('ok');
  });

  test('share a group, which lives as long as one of them', async () => {
    const { core, a, b, forUsers, container, group, vfio, hw } = setUp();
    await core.bind(a, forUsers);
    await core.bind(b, forUsers);
    expect(vfio.get('a').group).toBe(vfio.get('b').group);
    const file = group();
    file.setContainer(container);
    container.setIommu('type1v2');
    const [one, two] = [await file.getDevice('a'), await file.getDevice('b')];
    expect([one.name, two.name, hw.access(REQUESTER, 0x1000)]).toEqual(['a', 'b', 'no-entry']);
    await one.close();
    await core.unbind(a);
    expect([file.status().containerSet, codeOf(() => file.getDevice('a'))]).toEqual([true, 'ENODEV']);
    await two.close();
    await core.unbind(b);
    expect([codeOf(() => file.status()), codeOf(() => file.setContainer(container)), container.type]).toEqual([
      'ENODEV',
      'ENODEV',
      undefined,
    ]);
    // A group of that number is another one by then.
    await core.bind(a, forUsers);
    expect(group()).not.toBe(file);
  });

  test('that are opened by themselves have one container: another is EBUSY', async () => {
    const { core, a, b, forUsers, container, vfio, iommu } = setUp();
    await core.bind(a, forUsers);
    await core.bind(b, forUsers);
    const [one, two] = [vfio.openDevice('a'), vfio.openDevice('b')];
    await one.bind(container);
    const other = vfio.container(new AddressSpace('other'));
    expect(codeOf(() => two.bind(other))).toBe('EBUSY');
    await two.bind(container);
    await one.close();
    expect([container.type, two.info().pci, iommu.group(a)!.owner === undefined]).toEqual(['type1v2', true, false]);
    await two.close();
    expect([container.type, iommu.group(a)!.owner]).toEqual([undefined, undefined]);
  });

  test('an open group whose device goes is let go of at once, when nobody has the device', async () => {
    const { core, a, forUsers, container, group, iommu, violations } = setUp();
    await core.bind(a, forUsers);
    const file = group();
    file.setContainer(container);
    container.setIommu('type1v2');
    await core.unbind(a);
    expect([iommu.group(a)!.owner, container.type]).toEqual([undefined, undefined]);
    file.close();
    expect(violations).toEqual([]);
  });

  test('a device that is removed waits for its user, who keeps what he has mapped', async () => {
    const { core, a, forUsers, container, group, hw, violations } = setUp();
    await core.bind(a, forUsers);
    const file = group();
    file.setContainer(container);
    container.setIommu('type1v2');
    container.memory.map(0x5000, 0x9000, 4096);
    container.map({ iova: 0x1000, vaddr: 0x5000, sizeBytes: 4096, read: true });
    const device = await file.getDevice('a');
    const going = core.remove(a);
    expect([hw.access(REQUESTER, 0x1004), device.info().pci]).toEqual([0x9004, true]);
    await device.close();
    file.close();
    await going;
    expect([a.registered, violations, hw.invalidated.length > 0]).toEqual([false, [], true]);
  });
});
