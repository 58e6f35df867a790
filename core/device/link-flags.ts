/** The core does not follow the state of the link; who made it removes it. @see Linux 6.12 include/linux/device.h DL_FLAG_* */
export const DL_STATELESS = 0x01;
/** The link goes when its consumer is unbound. */
export const DL_AUTOREMOVE_CONSUMER = 0x02;
/** For runtime power management; kept and shown, without effect. */
export const DL_PM_RUNTIME = 0x04;
/** As {@link DL_PM_RUNTIME}. */
export const DL_RPM_ACTIVE = 0x08;
/** The link goes when its supplier is unbound. */
export const DL_AUTOREMOVE_SUPPLIER = 0x10;
/** The consumer is probed when the supplier is bound. */
export const DL_AUTOPROBE_CONSUMER = 0x20;
/** Set by the core: it keeps the state of the link. */
export const DL_MANAGED = 0x40;
/** The link holds back `syncState` of the supplier, and nothing else. */
export const DL_SYNC_STATE_ONLY = 0x80;
/** Nobody asked for the link: it was concluded from a description of the hardware. */
export const DL_INFERRED = 0x100;
/** The link is part of a cycle of descriptions. */
export const DL_CYCLE = 0x200;

/** Whether a link with these flags holds back `syncState` and nothing else. @see Linux device_link_flag_is_sync_state_only */
export const isSyncOnly = (flags: number): boolean => (flags & ~(DL_INFERRED | DL_CYCLE | DL_MANAGED)) === DL_SYNC_STATE_ONLY;
