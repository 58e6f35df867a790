import { type EventFd, Ioctl, type VdpaInfo, type VqAddresses } from '../../../core/index.js';

/** A queue, and what is set for it. */
export interface VringSetting<T> {
  readonly index: number;
  readonly value: T;
}

/**
 * What can be asked of `vhost-vdpa-0` and others like it.
 * @see Linux 7.2 include/uapi/linux/vhost.h
 */
export const VHOST = {
  GET_INFO: new Ioctl<undefined, VdpaInfo>('VHOST_VDPA_GET_DEVICE_ID'),
  GET_STATUS: new Ioctl<undefined, number>('VHOST_VDPA_GET_STATUS'),
  SET_STATUS: new Ioctl<number, void>('VHOST_VDPA_SET_STATUS'),
  GET_FEATURES: new Ioctl<undefined, bigint>('VHOST_GET_FEATURES'),
  SET_FEATURES: new Ioctl<bigint, void>('VHOST_SET_FEATURES'),
  GET_CONFIG: new Ioctl<{ readonly offset: number; readonly buffer: Uint8Array }, void>('VHOST_VDPA_GET_CONFIG'),
  SET_CONFIG_CALL: new Ioctl<EventFd | undefined, void>('VHOST_VDPA_SET_CONFIG_CALL'),
  SET_VRING_NUM: new Ioctl<VringSetting<number>, void>('VHOST_SET_VRING_NUM'),
  SET_VRING_ADDR: new Ioctl<VringSetting<VqAddresses>, void>('VHOST_SET_VRING_ADDR'),
  SET_VRING_ENABLE: new Ioctl<VringSetting<boolean>, void>('VHOST_VDPA_SET_VRING_ENABLE'),
  SET_VRING_CALL: new Ioctl<VringSetting<EventFd | undefined>, void>('VHOST_SET_VRING_CALL'),
  SET_VRING_KICK: new Ioctl<VringSetting<EventFd | undefined>, void>('VHOST_SET_VRING_KICK'),
  SUSPEND: new Ioctl<undefined, void>('VHOST_VDPA_SUSPEND'),
} as const;
