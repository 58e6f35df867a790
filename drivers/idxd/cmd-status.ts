/**
 * Why a device or a queue was not enabled, where it was not the device that refused: what `cmd_status` shows then. The device's own are
 * `ERRORS` of its datasheet.
 * @see Linux 6.12 include/uapi/linux/idxd.h enum idxd_scmd_stat
 */
export const CMD_STATUS = {
  deviceEnabled: 0x8000_0010,
  deviceNotEnabled: 0x8000_0020,
  wqEnabled: 0x8000_0021,
  dmaDevice: 0x8002_0000,
  noGroup: 0x8003_0000,
  noName: 0x8004_0000,
  noSvm: 0x8005_0000,
  noThreshold: 0x8006_0000,
  portal: 0x8007_0000,
  resources: 0x8008_0000,
  percpu: 0x8009_0000,
  channel: 0x800a_0000,
  charDevice: 0x800b_0000,
  noSharedSupport: 0x800c_0000,
  noneConfigured: 0x800d_0000,
  noSize: 0x800e_0000,
  noPrivilege: 0x800f_0000,
  irq: 0x8010_0000,
  userNoIommu: 0x8011_0000,
  eventLog: 0x8012_0000,
  driverName: 0x8020_0000,
} as const;
