export { MessageMemory, type MessagePlace } from './message-memory.js';
export { type HandlerHandle, VectorLease } from './vector-lease.js';
export type { VectorHandler } from './vector.js';
export {
  BalancedPool,
  type BalancedPoolOptions,
  IndexedPool,
  type IndexedPoolOptions,
  VectorPool,
  type VectorPoolOptions,
  type VectorView,
} from './vector-pool.js';
export {
  MessageSource,
  MsixSource,
  type SlotRequest,
  type SourceSlot,
  type VectorSource,
  type VectorTarget,
} from './vector-source.js';
export { type DedicatedOptions, VectorTable } from './vector-table.js';
