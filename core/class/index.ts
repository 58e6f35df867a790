export {
  type CharDevice,
  CharDevices,
  CharFile,
  CharNode,
  type CharOperations,
  FileDevice,
  type FileOperations,
  type MmapRequest,
  POLL,
  type Task,
  capable,
} from './char-device.js';
export { DeviceClass, type DeviceClassOptions, type MethodName } from './device-class.js';
