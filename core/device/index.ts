export { ATTRIBUTE_BYTES, type Attribute, type AttributeGroup, AttributeSet, type OpenAttribute } from './attribute.js';
export { Bus, type BusEvent, type BusOptions } from './bus.js';
export { Class, type ClassInterface, type ClassOptions, type DeviceType } from './class.js';
export { type AggregateOps, type ComponentMatch, type ComponentOps, Components } from './component.js';
export { DeviceCore } from './core.js';
export type { DeferredDevice } from './deferred.js';
export { Device, type DeviceOptions, type Publisher, type UpperEdge } from './device.js';
export type { Driver, PmOps, ProbeType } from './driver.js';
export {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_CYCLE,
  DL_INFERRED,
  DL_MANAGED,
  DL_PM_RUNTIME,
  DL_RPM_ACTIVE,
  DL_STATELESS,
  DL_SYNC_STATE_ONLY,
} from './link-flags.js';
export type { DeviceLink, LinkState, LinkStatus } from './link.js';
export { type ClassDeviceOptions, deviceCreate, rootDevice } from './root-device.js';
export { offline, online } from './sysfs.js';
export type { CoreOptions, Violation } from './options.js';
export type { TraceEvent, Tracer } from './trace.js';
export { UEVENT_ACTIONS, type Uevent, type UeventAction } from './uevent.js';
