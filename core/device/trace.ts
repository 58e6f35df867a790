/**
 * One step of the driver core, as the tracer sees it; in the order things happen.
 *
 * Kinds: `match`, `dma-configure`, `dma-cleanup`, `notify` (detail: the bus event), `uevent` (detail: the action), `probe`,
 * `remove`, `acquire` and `undo` (detail: the label in the ledger), `sync-state`, `shutdown`, `release` (the last reference is
 * gone), `log` (detail: `level:id`), `pm` (detail: the phase), `publish` and `withdraw`.
 */
export interface TraceEvent {
  readonly kind:
    | 'match'
    | 'dma-configure'
    | 'dma-cleanup'
    | 'notify'
    | 'uevent'
    | 'probe'
    | 'remove'
    | 'acquire'
    | 'undo'
    | 'sync-state'
    | 'shutdown'
    | 'release'
    | 'log'
    | 'pm'
    | 'publish'
    | 'withdraw';
  /** Name of the device (or of the driver, for what concerns a driver alone). */
  readonly who: string;
  readonly driver?: string;
  readonly detail?: string;
  /** Of `match` and `probe`: 1 or 0 for a match, `ok` for a probe, else the code of the error. */
  readonly result?: string | number;
}

/** Where the steps go; absent when nobody looks, at the cost of one test per step. */
export type Tracer = (event: TraceEvent) => void;
