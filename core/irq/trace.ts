/** Trace points, named as Linux names them where it has them. @see Linux 7.2 include/trace/events/irq.h, irq_vectors.h, irq_matrix.h */
export type IrqTraceName =
  | 'irq_handler_entry'
  | 'irq_handler_exit'
  | 'irq_thread_begin'
  | 'irq_thread_end'
  | 'irq_startup'
  | 'irq_shutdown'
  | 'irq_activate'
  | 'irq_deactivate'
  | 'irq_alloc_descs'
  | 'irq_free_descs'
  | 'irq_domain_insert'
  | 'irq_domain_alloc'
  | 'irq_set_affinity'
  | 'irq_request'
  | 'irq_free'
  | 'msi_lock'
  | 'msi_unlock'
  | 'msi_insert_desc'
  | 'msi_prepare_desc'
  | 'msi_set_desc'
  | 'msi_alloc'
  | 'msi_free'
  | 'msi_write_msg'
  | 'msi_post'
  | 'irte_alloc'
  | 'irte_write'
  | 'irte_clear'
  | 'vector_reserve'
  | 'vector_alloc'
  | 'vector_activate'
  | 'vector_deactivate'
  | 'vector_update'
  | 'vector_clear'
  | 'vector_free_moved'
  | 'spurious_vector';

/**
 * Sees what happens to interrupts; absent when nobody looks.
 *
 * @see IrqTraceLog, which keeps what it sees
 */
export interface IrqTracer {
  /**
   * @param cpu where; @param virq 0 for none; @param vector -1 for none
   * @param who the device or the handler; @param detail whatever else there is
   */
  event(name: IrqTraceName, cpu: number, virq: number, vector: number, who: string, detail: string): void;
}

/** One event, with its place in time. */
export interface IrqTraceEvent {
  readonly name: IrqTraceName;
  readonly timeUs: number;
  /** Counts the events: several share a microsecond. */
  readonly seq: number;
  /** -1: outside all CPUs, in a device. */
  readonly cpu: number;
  readonly virq: number;
  readonly vector: number;
  readonly who: string;
  readonly detail: string;
}
