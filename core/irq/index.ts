export { type IrqHandler, type IrqReturn, type IrqSpec, type IrqThreadFn } from './action.js';
export { type IrqAffinity, calcAffinityVectors, createAffinityMasks } from './affinity-masks.js';
export { enterChained, leaveChained } from './chained.js';
export { type AffinityResult, DUMMY_IRQ_CHIP, type IrqChip, type IrqHardwareState, NO_IRQ_CHIP } from './chip.js';
export { Completion } from './completion.js';
export { ContextClock } from './context-clock.js';
export { IrqCore } from './core.js';
export { CpuMask, type CpuSet, toMask } from './cpu-mask.js';
export { IrqCpus } from './cpus.js';
export { offlineCpu, onlineCpu } from './cpu-hotplug.js';
export { IrqData, chipParent, composeMsg } from './data.js';
export type { AffinityNotifier } from './desc-rare.js';
export { IrqDesc } from './desc.js';
export {
  type BusToken,
  type IrqAllocInfo,
  type IrqAllocOptions,
  IrqDomain,
  type IrqDomainOps,
  type IrqDomainOptions,
  setChip,
  setHandler,
} from './domain.js';
export { createDoorbellDomain } from './doorbell-domain.js';
export { type FlowHandler, handleBad, handleEdge, handleFasteoi, handleLevel, handlePerCpu, handleSimple } from './flow.js';
export { type CpuTopology, groupCpusEvenly } from './group-cpus.js';
export { IrqHandle } from './handle.js';
export { Irqs } from './irqs.js';
export { LineDomain } from './line-domain.js';
export { VectorMatrix, matrixCpu, matrixVector } from './matrix.js';
export { dumpMatrix } from './matrix-dump.js';
export { MSI_GENERIC_FLAGS, type MsiDomainDraft, type MsiFlag, type MsiParentOps } from './msi-parent.js';
export { type InterruptLine, type InterruptTable, type InterruptsLayout, formatInterrupts, interruptTable } from './proc.js';
export { setNestedThread } from './nested.js';
export type { IrqTraceEvent, IrqTraceName, IrqTracer } from './trace.js';
export { type DeviceTraceEvent, IrqTraceLog, type IrqTraceLogOptions } from './trace-log.js';
export { IRQ_NOTCONNECTED, type IrqAffinityDesc, type TriggerType, type VcpuInfo } from './types.js';
export { VectorData } from './vector-data.js';
export { VectorDomain } from './vector-domain.js';
export { VECTOR_MSI_FLAGS } from './vector-msi.js';
export type { VectorOptions } from './vector-policy.js';
export { type DomainView, domainViews } from './domain-view.js';
export { type VectorsView, vectorsView } from './vector-view.js';
export { type IrqView, irqViews } from './views.js';
