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
export {
  type DmaCapabilities,
  type DmaChannel,
  DmaChannels,
  type DmaClient,
  type DmaOperation,
  type DmaResult,
  type DmaStatus,
  DMA_PREP,
  DMA_WAIT_US,
} from './dma-channel.js';
