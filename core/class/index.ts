export { DeviceClass, type DeviceClassOptions, type MethodName } from './device-class.js';
