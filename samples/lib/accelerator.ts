/** What samples with an accelerator have in common: its configuration, and a descriptor. */
import { COMPLETION, DESCRIPTOR, DESCRIPTOR_BYTES, FLAGS, OPCODES } from 'backplane/regs/dsa';
import type { Process } from './process.js';

/** A queue for the kernel's own copies, as a DMA channel. */
export const KERNEL = { type: 'kernel', name: 'copies', driver_name: 'dmaengine' };
/** A queue for tasks, each in its own memory. */
export const USER = { type: 'user', name: 'tasks', driver_name: 'user' };
/** A queue that is handed out as a device of its own. */
export const MDEV = { type: 'mdev', name: 'guests', driver_name: 'mdev' };

/** One engine and the queues given, in one group: a configuration in the format of accel-config, for `loadConfig`. */
export function accelerator(...queues: readonly object[]): unknown {
  const common = { mode: 'dedicated', size: 16, priority: 10 };
  return [
    {
      dev: 'dsa0',
      groups: [
        {
          dev: 'group0.0',
          grouped_workqueues: queues.map((queue, i) => ({ dev: `wq0.${i}`, ...common, ...queue })),
          grouped_engines: [{ dev: 'engine0.0' }],
        },
      ],
    },
  ];
}

/** What is to be copied, and where the device writes that it has done it. Addresses are those of whoever submits it. */
export interface Copy {
  readonly from: number;
  readonly to: number;
  readonly sizeBytes: number;
  readonly record: number;
  /** Of the interrupt that is wanted, too. */
  readonly handle?: number | undefined;
  /** Whose memory it says that is; the device knows better. */
  readonly pasid?: number | undefined;
}

/** The 64 bytes that are written to a portal. */
export function copyDescriptor({ from, to, sizeBytes, record, handle, pasid = 0 }: Copy): Uint32Array {
  const words = new Uint32Array(DESCRIPTOR_BYTES / 4);
  const interrupt = handle === undefined ? 0 : FLAGS.requestInterrupt;
  words[0] = pasid;
  words[DESCRIPTOR.flags / 4] = (OPCODES.move << 24) | FLAGS.completionValid | FLAGS.requestCompletion | interrupt;
  words[DESCRIPTOR.completion / 4] = record;
  words[DESCRIPTOR.source / 4] = from;
  words[DESCRIPTOR.destination / 4] = to;
  words[DESCRIPTOR.size / 4] = sizeBytes;
  words[DESCRIPTOR.handle / 4] = handle ?? 0;
  return words;
}

/** The status of a completion record: 0 before there is one, 1 for success, 3 for a page fault. */
export const statusAt = (who: Process, record: number): number => who.read(record, 1)[COMPLETION.status]! & 0x7f;
