import { describe, expect, test } from 'vitest';
import {
  AddressSpace,
  type EmulatedDevice,
  MdevBus,
  type MdevDevice,
  type MdevDriver,
  type PciDevice,
  PciDriver,
  Plugin,
  VFIO_PCI_REGION,
  Vfio,
  inject,
  injectable,
  pciId,
} from '../../core/index.js';
import { hostSim } from '../../plugins/host-sim.js';
import { SubDevice, idxd } from '../../plugins/idxd.js';
import { ID, cryptModel } from '../../samples/lib/crypt.js';
import { Desk } from './fixture.js';

const AT = '0000:00:04.0';
const ONE = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const TWO = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1002';
const THREE = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1003';

/** A part that is a byte. */
class Part implements EmulatedDevice {
  readonly regions = [{ index: VFIO_PCI_REGION.BAR0, sizeBytes: 4 }];
  readonly irqs = [];
  #byte = 0;
  readRegion = (): number => this.#byte;
  writeRegion = (_region: number, _offset: number, _bytes: number, value: number): void => void (this.#byte = value);
}

/** Makes two parts at most, of two types. */
@injectable()
class ParentDriver implements PciDriver<void> {
  readonly name = 'parts';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(
    @inject(MdevBus) private readonly mdev: MdevBus,
    @inject(Vfio) private readonly vfio: Vfio,
  ) {}

  probe(dev: PciDevice): void {
    const driver: MdevDriver<void> = {
      name: 'part_mdev',
      deviceApi: 'vfio-pci',
      maxInstances: 2,
      probe: (part: MdevDevice) => void this.vfio.registerEmulated(part, new Part()),
    };
    this.mdev.registerParent(dev, driver, [{ name: 'small', prettyName: 'a small one' }, { name: 'large' }]);
  }
}

const parts = new Plugin('parts', ({ bind }) => {
  bind(PciDriver).to(ParentDriver);
});
const desk = (): Promise<Desk> => Desk.make(hostSim({ devices: [{ at: '00:04.0', model: cryptModel }] }).plugin, parts);

/** With a queue that can be handed out. */
async function mdevDesk(): Promise<Desk> {
  const one = await Desk.make(hostSim({ dsa: [{ pasid: true }] }).plugin, idxd());
  for (const line of [
    'idxd config-engine engine0.0 -g 0',
    'idxd config-wq wq0.1 -g 0 -s 16 -p 10 -y mdev -n guests -d mdev -m dedicated',
    'idxd enable-device dsa0',
    'idxd enable-wq wq0.1',
  ]) {
    await one.text(line);
  }
  return one;
}

describe('mdev', () => {
  test('tells what can be made, makes it, lists it, and takes it away', async () => {
    await using one = await desk();
    expect(await one.text('mdev types')).toBe(
      'PARENT        TYPE         API       AVAILABLE  IN USE\n' +
        `${AT}  parts-small  vfio-pci  2          0\n` +
        `${AT}  parts-large  vfio-pci  2          0\n`,
    );
    expect(await one.text(`mdev create ${AT} parts-small ${ONE}`)).toBe(`${ONE}: created of ${AT}, parts-small\n`);
    expect(await one.text(`mdev create ${AT} large ${TWO.toUpperCase()}`)).toBe(`${TWO}: created of ${AT}, parts-large\n`);
    expect(await one.text('mdev list')).toBe(
      'UUID                                  PARENT        TYPE         DRIVER\n' +
        `${ONE}  ${AT}  parts-small  part_mdev\n` +
        `${TWO}  ${AT}  parts-large  part_mdev\n`,
    );
    expect(await one.text(`mdev remove ${ONE}`)).toBe(`${ONE}: removed\n`);
    expect(await one.json('mdev types')).toEqual([
      { parent: AT, type: 'parts-small', name: 'a small one', deviceApi: 'vfio-pci', available: 1, devices: [] },
      { parent: AT, type: 'parts-large', name: 'large', deviceApi: 'vfio-pci', available: 1, devices: [TWO] },
    ]);
  });
  test('gives results as JSON', async () => {
    await using one = await desk();
    const made = { uuid: ONE, parent: AT, type: 'parts-small', driver: 'part_mdev' };
    expect(await one.json(`mdev create ${AT} parts-small ${ONE}`)).toEqual(made);
    expect(await one.json('mdev list')).toEqual([made]);
    expect(await one.json(`mdev show ${ONE}`)).toEqual({
      ...made,
      deviceApi: 'vfio-pci',
      interrupts: [],
      holds: ['vfio device'],
    });
    expect(await one.json(`mdev remove ${ONE}`)).toEqual({ uuid: ONE });
    expect(await one.json('mdev list')).toEqual([]);
  });
  test('shows one with what it holds', async () => {
    await using one = await desk();
    await one.text(`mdev create ${AT} parts-small ${ONE}`);
    expect(await one.text(`mdev show ${ONE.toUpperCase()}`)).toBe(
      `${ONE}\n  parent  ${AT}\n  type    parts-small\n  api     vfio-pci\n  driver  part_mdev\n  holds   vfio device\n`,
    );
  });
  test('makes a device of a queue, and shows the interrupt that its guest has', async () => {
    await using one = await mdevDesk();
    expect(await one.json('mdev types')).toMatchObject([
      { parent: AT, type: 'idxd-dsa-1dwq-v1', available: 1 },
      { parent: AT, type: 'idxd-dsa-1swq-v1', available: 0 },
    ]);
    await one.text(`mdev create ${AT} idxd-dsa-1dwq-v1 ${ONE}`);
    expect(await one.json(`mdev show ${ONE}`)).toMatchObject({ parent: AT, madeOf: 'wq0.1', interrupts: [] });
    expect(await one.text(`mdev show ${ONE}`)).toContain(`  parent  ${AT}\n  of      wq0.1\n`);
    const { vfio } = one.target.system.kernel;
    await using guest = vfio.guest();
    await using part = await SubDevice.open(vfio, ONE, vfio.container(new AddressSpace('vmm')));
    expect(await one.json(`mdev show ${ONE}`)).toMatchObject({ interrupts: [{ hwirq: 0, count: 0, isPosted: false }] });
    guest.irqfd(part.completions, { vcpus: [0], vector: 0x41 });
    expect(await one.text(`mdev show ${ONE}`)).toMatch(
      /\n {2}irqs +irq \d+: IR-IMS-0000:00:04\.0 0, came 0 times; posted to a guest\n/,
    );
    expect(await one.text('iommu')).toContain('vfio container of vmm');
  });
  test('a queue that has one is disabled by force alone, and takes it along', async () => {
    await using one = await mdevDesk();
    await one.text(`mdev create ${AT} dsa-1dwq-v1 ${ONE}`);
    for (const line of ['idxd disable-wq wq0.1', 'idxd disable-device dsa0']) {
      expect(await one.run(line)).toMatchObject({
        code: 1,
        err: 'backplane idxd: EBUSY: wq0.1: has 1 client: end that first, or use --force\n',
      });
    }
    expect(await one.json('mdev list')).toHaveLength(1);
    expect(await one.text('idxd disable-wq wq0.1 --force')).toBe('disabled 1 wq(s) out of 1\n');
    expect(await one.json('mdev list')).toEqual([]);
  });
  test.each([
    [`mdev create ${AT} parts-huge ${THREE}`, `ENOENT: ${AT}: has no type parts-huge: there is parts-small, parts-large`],
    [`mdev create pci0000:00 x ${THREE}`, "ENODEV: pci0000:00: nothing can be made of it: see 'backplane mdev types'"],
    [`mdev create ${AT} parts-small 7`, `EINVAL: ${AT}: "7" is no UUID`],
    [`mdev create ${AT} parts-small ${ONE}`, `EEXIST: ${AT}: ${ONE} is a device of ${AT} already`],
    [`mdev create ${AT} parts-small ${THREE}`, `EUSERS: ${AT}: 2 of 2 mediated devices exist: remove one first`],
    [`mdev remove ${THREE}`, `ENODEV: ${THREE}: no such mediated device`],
    [`mdev show ${THREE}`, `ENODEV: ${THREE}: no such mediated device`],
  ])('%s does nothing, and says why', async (line, message) => {
    await using one = await desk();
    for (const uuid of [ONE, TWO]) await one.text(`mdev create ${AT} parts-small ${uuid}`);
    expect(await one.run(line)).toEqual({ code: 1, out: '', err: `backplane mdev: ${message}\n` });
    expect(await one.json('mdev list')).toHaveLength(2);
  });
  test.each([
    ['mdev', '<action> is missing'],
    ['mdev make', "no action 'make'; there are types, list, create, remove, show"],
    [`mdev create ${AT} parts-small`, 'create: <uuid> is missing'],
    ['mdev list all', "list: unexpected argument 'all'"],
  ])('%s is a wrong line', async (line, message) => {
    await using one = await desk();
    expect(await one.run(line)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(message) });
  });
});
