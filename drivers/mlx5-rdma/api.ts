import { Ioctl } from '../../core/index.js';

/** Where a queue is, in the memory of who makes it. The layout of entries and records is in `hw/regs/nic.ts`. */
export interface QueuePlace {
  /** A multiple of 4096. */
  readonly address: number;
  /** Of its doorbell record: a multiple of 8. */
  readonly record: number;
  /** Binary logarithm of its entries. */
  readonly logSize: number;
}

/** What a device offers. */
export interface RdmaInfo {
  /** Completion vectors: numbers from 0 on. */
  readonly compVectors: number;
  readonly logMaxCqSize: number;
  readonly logMaxWqSize: number;
  /** Whether RDMA may go over its Ethernet port: `enable_roce` of the function. Otherwise there are packets as they are. */
  readonly isRoceEnabled: boolean;
}

/**
 * What can be asked of an open `infiniband/uverbs0` and others like it. Objects are known by the number that the device has for them; a file
 * knows none but its own, and they go with it.
 * @see Linux 7.2 include/uapi/rdma/ib_user_verbs.h enum ib_uverbs_write_cmds
 */
export const RDMA = {
  QUERY_DEVICE: new Ioctl<undefined, RdmaInfo>('QUERY_DEVICE'),
  /** All its entries are `CQE_INITIAL`, and its record is 0 and `CQ_ARM_INITIAL`, before that. Armed, it gives a completion event. */
  CREATE_CQ: new Ioctl<QueuePlace & { /** Default 0. */ readonly compVector?: number }, number>('CREATE_CQ'),
  DESTROY_CQ: new Ioctl<number, void>('DESTROY_CQ'),
  /** A queue of packets as they are, for who has CAP_NET_RAW. @see Linux 7.2 IB_QPT_RAW_PACKET */
  CREATE_SQ: new Ioctl<QueuePlace & { readonly cqn: number }, number>('CREATE_SQ'),
  DESTROY_SQ: new Ioctl<number, void>('DESTROY_SQ'),
} as const;

/** What `read` gives: 16 bytes for each event, little-endian. `poll` says IN for completions, PRI for the others, ERR after `deviceFatal`. */
export const RDMA_EVENT = {
  sizeBytes: 16,
  /** 32 bits: one of {@link RDMA_EVENTS}. */
  type: 0,
  /** 32 bits: the queue. */
  element: 4,
  /** 32 bits: how often that has happened since it was read last. */
  count: 8,
} as const;

/** The first is ours, the others as `enum ib_event_type`. @see Linux 7.2 include/rdma/ib_verbs.h enum ib_event_type */
export const RDMA_EVENTS = { completion: 0x1000, cqError: 0, deviceFatal: 8, portActive: 9, portError: 10 } as const;
