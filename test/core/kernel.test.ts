import { describe, expect, test } from 'vitest';
import { AuxName, Device, DeviceClass, Errno, Kernel, PlatformDevice } from '../../core/index.js';
import { FakeHost } from '../../core/testing/fake-host.js';
import { FakePciFunction } from '../../core/testing/fake-pci.js';

const pciHost = (): FakeHost => new FakeHost({ pci: [new FakePciFunction({ vendor: 0x1234, device: 1 })] });

describe('Kernel', () => {
  test('finds the devices of the host at start, and has none after stop', async () => {
    const kernel = new Kernel(pciHost());
    await kernel.start();
    expect(kernel.pci.devices.map((dev) => dev.name)).toEqual(['0000:00:01.0']);
    await kernel.stop();
    expect(kernel.core.order.size).toBe(0);
    expect([...kernel.core.buses.keys()]).toEqual([]);
  });

  test('starts once', async () => {
    const kernel = new Kernel(new FakeHost());
    await kernel.start();
    await expect(kernel.start()).rejects.toThrow('EBUSY: fake: the kernel was started before');
    await kernel.stop();
  });

  test('stop is idempotent, and harmless before start', async () => {
    const host = new FakeHost();
    let stops = 0;
    host.stop = () => void stops++;
    const kernel = new Kernel(host);
    await kernel.stop();
    await kernel.start();
    await kernel.stop();
    await kernel.stop();
    expect(stops).toBe(1);
  });

  test('a host that does not start has nothing to stop, and its error is told as it is', async () => {
    const host = new FakeHost();
    let stops = 0;
    host.start = () => {
      throw new Errno('EIO', 'fake: no power');
    };
    host.stop = () => void stops++;
    const kernel = new Kernel(host);
    await expect(kernel.start()).rejects.toThrow('EIO: fake: no power');
    expect(stops).toBe(0);
  });

  test('stop unbinds and removes what was added by hand, children before parents, and breaks no rule', async () => {
    const kernel = new Kernel(pciHost());
    const broken: string[] = [];
    const removed: string[] = [];
    kernel.core.violations.on(({ rule }) => broken.push(rule));
    await kernel.start();
    const timer = new PlatformDevice({ name: 'timer' });
    await kernel.platform.register({ name: 'timer', probe: () => {}, remove: () => void removed.push('timer') });
    await kernel.platform.add(timer);
    await kernel.auxiliary.create(timer, new AuxName('test.part'), { release: () => removed.push('part') });
    await kernel.stop();
    expect(removed).toEqual(['part', 'timer']);
    expect(broken).toEqual([]);
  });

  test('stop of a kernel whose drivers are bound lets their children and published objects go with them', async () => {
    const Parts = new DeviceClass<{ name(): string }>('part', { methods: ['name'] });
    const kernel = new Kernel(pciHost());
    const broken: string[] = [];
    const order: string[] = [];
    kernel.core.violations.on(({ rule }) => broken.push(rule));
    kernel.core.tracer = ({ kind, who }) => {
      if (kind === 'withdraw' || kind === 'remove') order.push(`${kind} ${who}`);
    };
    await kernel.start();
    await kernel.pci.register({
      name: 'whole',
      ids: [{ vendor: 0x1234 }],
      probe: (dev) => {
        dev.publish(Parts, { name: () => 'part' });
        void kernel.auxiliary.add(dev, new AuxName('whole.part'), { release: () => order.push('child is gone') });
      },
      remove: () => {},
    });
    await kernel.stop();
    expect(order).toEqual(['withdraw 0000:00:01.0', 'child is gone', 'remove 0000:00:01.0']);
    expect(broken).toEqual([]);
  });

  test('a remove that throws is told after everything is stopped', async () => {
    const host = pciHost();
    let stopped = false;
    host.stop = () => void (stopped = true);
    const kernel = new Kernel(host);
    await kernel.start();
    await kernel.pci.register({
      name: 'sticky',
      ids: [{ vendor: 0x1234 }],
      probe: () => {},
      remove: () => {
        throw new Errno('EIO', 'sticky: stuck');
      },
    });
    await expect(kernel.stop()).rejects.toThrow('EIO: sticky: stuck');
    expect(stopped).toBe(true);
    expect(kernel.core.order.size).toBe(0);
  });

  test('reports what is left over: devices that belong to nobody, and DMA memory', async () => {
    const host = new FakeHost();
    const kernel = new Kernel(host);
    await kernel.start();
    await kernel.core.add(new Device({ name: 'stray', release: () => {} }));
    host.dma.alloc(1, { mask: 0xffff_ffff });
    await expect(kernel.stop()).rejects.toThrow('EBUSY: fake: left over at the end: device stray, 4096 bytes of DMA memory');
  });

  test('memory that the host had reserved before the start is not left over', async () => {
    const host = new FakeHost();
    host.dma.alloc(1, { mask: 0xffff_ffff });
    const kernel = new Kernel(host);
    await kernel.start();
    await expect(kernel.stop()).resolves.toBeUndefined();
  });
});
