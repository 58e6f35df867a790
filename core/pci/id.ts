/**
 * One line of a driver's table of devices; what is absent matches anything.
 * @typeParam T what the driver wants to know of the devices of this line
 * @see Linux 6.12 include/linux/mod_devicetable.h struct pci_device_id
 */
export interface PciId<T = unknown> {
  readonly vendor?: number;
  readonly device?: number;
  readonly subvendor?: number;
  readonly subdevice?: number;
  /** Class, subclass and interface, 24 bits. */
  readonly class?: number;
  /** The bits of `class` that count; default all 24. */
  readonly classMask?: number;
  readonly data?: T;
  /** True: matches only a device whose `driver_override` names the driver. */
  readonly overrideOnly?: boolean;
}

/** A line for one device: `pciId(0x8086, 0x10d3)`. */
export function pciId(vendor: number, device: number): PciId<never>;
export function pciId<T>(vendor: number, device: number, data: T): PciId<T>;
export function pciId<T>(vendor: number, device: number, data?: T): PciId<T> {
  return data === undefined ? { vendor, device } : { vendor, device, data };
}

/** A line for all devices of a class: `pciClass(0x010802)`. @param mask the bits that count; default all 24 */
export function pciClass(classCode: number, mask?: number): PciId<never>;
export function pciClass<T>(classCode: number, mask: number, data: T): PciId<T>;
export function pciClass<T>(classCode: number, mask = 0xff_ffff, data?: T): PciId<T> {
  return data === undefined ? { class: classCode, classMask: mask } : { class: classCode, classMask: mask, data };
}

/** What of a device is compared with a {@link PciId}. */
export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly subsystemVendorId: number;
  readonly subsystemDeviceId: number;
  /** 24 bits. */
  readonly classCode: number;
}

/** Whether a line of a table is for this device. @see Linux 6.12 drivers/pci/pci.h pci_match_one_device */
export function matchesId(id: PciId, dev: PciIdentity): boolean {
  return (
    (id.vendor === undefined || id.vendor === dev.vendorId) &&
    (id.device === undefined || id.device === dev.deviceId) &&
    (id.subvendor === undefined || id.subvendor === dev.subsystemVendorId) &&
    (id.subdevice === undefined || id.subdevice === dev.subsystemDeviceId) &&
    (id.class === undefined || ((id.class ^ dev.classCode) & (id.classMask ?? 0xff_ffff)) === 0)
  );
}
