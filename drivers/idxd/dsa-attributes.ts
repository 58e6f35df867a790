import type { Attribute, AttributeGroup } from '../../core/index.js';
import { Errno, hex } from '../../core/index.js';
import { alias, bitmapText, checked, integer, line, needDisabledDevice, shown } from './attribute-text.js';
import type { DsaDevice } from './dsa-bus.js';
import { type EventLog, MAX_EVENTS, MIN_EVENTS } from './event-log.js';
import type { Idxd } from './idxd.js';
import { OPCODES } from '../../hw/regs/dsa.js';

/** Devices are on no node in particular. */
const NO_NODE = -1;

const value = (name: string, show: (idxd: Idxd) => string | number): Attribute<DsaDevice> =>
  shown(name, ({ idxd }) => show(idxd));

/** Batches are left out: users must not submit them to devices that do not look at them. @see Linux 6.12 sysfs.c op_cap_show */
function operationsOfUsers({ caps }: Idxd): Uint32Array {
  const words = caps.operations.slice();
  words[0]! &= ~(1 << OPCODES.batch);
  return words;
}

const MAX_BUFFERS = value('max_read_buffers', ({ caps }) => caps.readBuffers);
const BUFFER_LIMIT: Attribute<DsaDevice> = {
  name: 'read_buffer_limit',
  show: ({ idxd }) => line(idxd.readBufferLimit),
  store: (dev, text) => {
    const { idxd } = dev;
    const limit = integer(dev, text);
    needDisabledDevice(dev, idxd);
    if (!idxd.caps.hasReadBufferLimit) throw new Errno('EPERM', `${dev.name}: its read buffers cannot be limited`);
    idxd.readBufferLimit = checked(dev, limit, 0, idxd.caps.readBuffers);
  },
};
const CMD_STATUS: Attribute<DsaDevice> = {
  name: 'cmd_status',
  show: ({ idxd }) => line(`0x${hex(idxd.cmdStatus)}`),
  store: ({ idxd }) => {
    idxd.cmdStatus = 0;
  },
};

const ATTRIBUTES: readonly Attribute<DsaDevice>[] = [
  value('version', ({ caps }) => `0x${hex(caps.version)}`),
  value('max_groups', ({ caps }) => caps.groups),
  value('max_work_queues', ({ caps }) => caps.workQueues),
  value('max_work_queues_size', ({ caps }) => caps.totalSize),
  value('max_engines', ({ caps }) => caps.engines),
  value('numa_node', () => NO_NODE),
  value('max_batch_size', ({ caps }) => caps.maxBatch),
  value('max_transfer_size', ({ caps }) => caps.maxTransferBytes),
  value('op_cap', (idxd) => bitmapText(operationsOfUsers(idxd))),
  value('gen_cap', ({ caps: { genCap } }) => `0x${hex(genCap[1]! * 2 ** 32 + genCap[0]!)}`),
  value('configurable', ({ caps }) => (caps.isConfigurable ? 1 : 0)),
  value('clients', ({ wqs }) => wqs.reduce((sum, wq) => sum + wq.clients, 0)),
  value('pasid_enabled', ({ systemPasid }) => (systemPasid === undefined ? 0 : 1)),
  value('state', ({ state }) => state),
  value('errors', ({ swErrorWords }) => bitmapText(swErrorWords)),
  MAX_BUFFERS,
  alias('max_tokens', MAX_BUFFERS),
  BUFFER_LIMIT,
  alias('token_limit', BUFFER_LIMIT),
  value('cdev_major', ({ cdevMajor }) => cdevMajor),
  CMD_STATUS,
];

const eventLogSize = (log: EventLog): Attribute<DsaDevice> => ({
  name: 'event_log_size',
  show: () => line(log.size),
  store: (dev, text) => {
    const size = integer(dev, text);
    needDisabledDevice(dev, dev.idxd);
    log.size = checked(dev, size, MIN_EVENTS, MAX_EVENTS);
  },
});

/** What sysfs shows of a device as a whole. @see Linux 6.12 drivers/dma/idxd/sysfs.c idxd_device_attributes */
export function deviceGroups({ eventLog }: Idxd): readonly AttributeGroup<DsaDevice>[] {
  return [{ attributes: eventLog === undefined ? ATTRIBUTES : [...ATTRIBUTES, eventLogSize(eventLog)] }];
}
