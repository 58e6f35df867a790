import type { Attribute, Driver } from '../device/index.js';
import { Errno, type MaybePromise, hex } from '../lib/index.js';
import type { PciDevice } from './device.js';
import type { PciDriver } from './driver.js';
import { type PciId, matchesId } from './id.js';

/** What a driver gets as id when nothing but `driver_override` named it. */
const ANY: PciId = {};
/** A field that matches anything, as it is written to `new_id`. */
const ANY_ID = 0xffff_ffff;

/**
 * The id tables of drivers: those they came with, and the lines that users added.
 * @see Linux 6.12 drivers/pci/pci-driver.c
 */
export class DynamicIds {
  readonly #added = new WeakMap<PciDriver, PciId[]>();

  /**
   * The line for this device: added ones first, then the driver's own. An override has been decided before.
   * @see Linux 6.12 drivers/pci/pci-driver.c pci_match_device
   */
  match(dev: PciDevice, driver: PciDriver): PciId | undefined {
    const overridden = dev.driverOverride !== undefined;
    const added = this.#added.get(driver);
    if (added !== undefined) for (const id of added) if (matchesId(id, dev)) return id;
    for (const id of driver.ids) if ((id.overrideOnly !== true || overridden) && matchesId(id, dev)) return id;
    return overridden ? ANY : undefined;
  }

  /** Forgets what was added for a driver. */
  forget(driver: PciDriver): void {
    this.#added.delete(driver);
  }

  /**
   * Adds a line: `vendor device [subvendor subdevice class class_mask driver_data]` in hexadecimal.
   *
   * `driver_data` is the `data` of one of the driver's own lines, where that is a number; absent data counts as 0.
   * @throws {Errno} EINVAL for fewer than 2 fields, and for data that no line has; EEXIST for what matches already
   * @see Linux 6.12 drivers/pci/pci-driver.c new_id_store
   */
  add(driver: PciDriver, text: string): void {
    const fields = parseFields(driver, text, 7);
    const [vendor = ANY_ID, device = ANY_ID, subvendor = ANY_ID, subdevice = ANY_ID, cls = 0, classMask = 0, wanted = 0] = fields;
    if (fields.length < 7) {
      const own = {
        vendorId: vendor,
        deviceId: device,
        subsystemVendorId: subvendor,
        subsystemDeviceId: subdevice,
        classCode: cls,
      };
      const all = [...(this.#added.get(driver) ?? []), ...driver.ids];
      if (all.some((id) => id.overrideOnly !== true && matchesId(id, own))) {
        throw new Errno('EEXIST', `${driver.name}: an id matches ${text.trim()} already`);
      }
    }
    const sameData = driver.ids.find((id) => (id.data ?? 0) === wanted);
    if (sameData === undefined && driver.ids.length > 0) {
      throw new Errno('EINVAL', `${driver.name}: no id of it has driver_data ${hex(wanted)}`);
    }
    const id: PciId = {
      ...(vendor !== ANY_ID && { vendor }),
      ...(device !== ANY_ID && { device }),
      ...(subvendor !== ANY_ID && { subvendor }),
      ...(subdevice !== ANY_ID && { subdevice }),
      ...(classMask !== 0 && { class: cls, classMask }),
      ...(sameData?.data !== undefined && { data: sameData.data }),
    };
    const added = this.#added.get(driver);
    if (added === undefined) this.#added.set(driver, [id]);
    else added.push(id);
  }

  /**
   * Takes the first line that was added for these fields away; bound devices stay bound.
   * @throws {Errno} EINVAL for fewer than 2 fields; ENODEV when there is no such line
   * @see Linux 6.12 drivers/pci/pci-driver.c remove_id_store
   */
  remove(driver: PciDriver, text: string): void {
    const [vendor = ANY_ID, device = ANY_ID, subvendor = ANY_ID, subdevice = ANY_ID, cls = 0, classMask = 0] = parseFields(
      driver,
      text,
      6,
    );
    const added = this.#added.get(driver) ?? [];
    const index = added.findIndex(
      (id) =>
        (id.vendor ?? ANY_ID) === vendor &&
        (id.device ?? ANY_ID) === device &&
        (subvendor === ANY_ID || id.subvendor === subvendor) &&
        (subdevice === ANY_ID || id.subdevice === subdevice) &&
        (((id.class ?? 0) ^ cls) & classMask) === 0,
    );
    if (index < 0) throw new Errno('ENODEV', `${driver.name}: no id ${text.trim()} was added`);
    added.splice(index, 1);
  }
}

/** Hexadecimal fields up to the first that is none, as `sscanf` reads them. */
function parseFields(driver: PciDriver, text: string, most: number): number[] {
  const fields: number[] = [];
  const next = /\s*(?:0x)?([0-9a-f]+)/iy;
  while (fields.length < most) {
    const m = next.exec(text);
    if (m === null) break;
    fields.push(Number.parseInt(m[1]!, 16) % 2 ** 32);
  }
  if (fields.length < 2) {
    throw new Errno('EINVAL', `${driver.name}: ${JSON.stringify(text)}: an id is vendor and device at least, in hexadecimal`);
  }
  return fields;
}

/** The driver attributes `new_id` and `remove_id`. @param attach offers a driver the devices of the bus */
export function idAttributes(ids: DynamicIds, attach: (driver: PciDriver) => MaybePromise<void>): Attribute<Driver>[] {
  return [
    {
      name: 'new_id',
      store: (driver, text) => {
        ids.add(driver as PciDriver, text);
        return attach(driver as PciDriver);
      },
    },
    { name: 'remove_id', store: (driver, text) => ids.remove(driver as PciDriver, text) },
  ];
}
