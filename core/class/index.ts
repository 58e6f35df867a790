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
  type Devlink,
  type DevlinkInfo,
  Devlinks,
  type EswitchMode,
  type FunctionOpstate,
  type FunctionSettings,
  type FunctionState,
  type NewPort,
  type ParamCmode,
  type ParamType,
  type ParamValue,
  type ParamView,
  type PortAttributes,
  type PortFlavour,
  type PortFunction,
  type PortView,
  type ReloadAction,
  type ReloadLimit,
  type ReloadOptions,
  type ReporterSettings,
  type ReporterView,
  type ResourceView,
} from './devlink.js';
export { DevlinkNode } from './devlink-node.js';
export type { DevlinkOps, DevlinkReload, DevlinkResource } from './devlink-ops.js';
export type { DevlinkParam } from './devlink-param.js';
export { DevlinkPort, type DevlinkPortOps } from './devlink-port.js';
export { DevlinkReporter, type DevlinkReporterOptions } from './devlink-reporter.js';
export { DIM_PROFILES, Dim, type Moderation } from './dim.js';
export { Ioctl, IoctlTable } from './ioctl.js';
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
export { ByteLimits } from './byte-limits.js';
export { formatMac, isDeviceMac, parseMac } from './mac.js';
export { NAPI_WEIGHT, NET_RX, Napi, type NapiPoller, NetRx, type RunLater, SoftNet } from './napi.js';
export {
  type Channels,
  type Coalesce,
  ETHERNET,
  type FrameHandler,
  type NetDevice,
  NetDevices,
  type NetInfo,
  type NetStatistics,
  type QueueInfo,
  type ReceiveHash,
  type RingParameters,
  type RxMode,
  XMIT,
} from './net-device.js';
export {
  VIRTIO_FEATURES,
  VIRTIO_ID,
  VIRTIO_NET_CONFIG,
  VIRTIO_STATUS,
  type VdpaDevice,
  type VdpaInfo,
  type VqAddresses,
} from './vdpa.js';
export { NetNode, type NetNodeOptions } from './net-node.js';
export type { NetOperations } from './net-operations.js';
export { TxQueue, type TxRing } from './net-queue.js';
export { WATCHDOG_US } from './net-watchdog.js';
