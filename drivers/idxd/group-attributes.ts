import type { Attribute, AttributeGroup, Device } from '../../core/index.js';
import { Errno } from '../../core/index.js';
import { alias, checked, integer, line, needDisabledDevice, shown } from './attribute-text.js';
import type { DsaDevice } from './dsa-bus.js';
import type { Group } from './group.js';
import type { Idxd } from './idxd.js';

const NO_GROUP = -1;
const MAX_CLASS = 7;
const MAX_PROGRESS = 3;
/** The fewest read buffers of an engine. */
const BUFFERS_OF_ENGINE = 4;

/** The group that a part is put in; undefined for none. @throws {Errno} EINVAL for what is none, and not -1 */
export function groupId(dev: DsaDevice, id: number): number | undefined {
  checked(dev, id, NO_GROUP, dev.idxd.caps.groups - 1);
  return id === NO_GROUP ? undefined : id;
}

export const groupIdText = (id: number | undefined): number => id ?? NO_GROUP;

const names = (devices: readonly Device[]): string => devices.map(({ name }) => name).join(' ');

/** A number that may be written while the device is disabled. @param value takes it, or throws */
function setting(name: string, show: (group: Group) => number, store: (group: Group, value: number) => void): Attribute<Group> {
  return {
    name,
    show: (group) => line(show(group)),
    store: (group, text) => {
      const value = integer(group, text);
      needDisabledDevice(group, group.idxd);
      store(group, value);
    },
  };
}

/** Read buffers that no group has reserved. @see Linux 6.12 drivers/dma/idxd/sysfs.c idxd_set_free_rdbufs */
const freeBuffers = ({ caps, groups }: Idxd): number =>
  caps.readBuffers - groups.reduce((sum, group) => sum + group.readBuffersReserved, 0);

const RESERVED = setting(
  'read_buffers_reserved',
  (group) => group.readBuffersReserved,
  (group, value) => {
    group.readBuffersReserved = checked(group, value, 0, freeBuffers(group.idxd) + group.readBuffersReserved);
  },
);
const ALLOWED = setting(
  'read_buffers_allowed',
  (group) => group.readBuffersAllowed,
  (group, value) => {
    const most = group.readBuffersReserved + freeBuffers(group.idxd);
    group.readBuffersAllowed = checked(group, value, BUFFERS_OF_ENGINE * group.engines.length, most);
  },
);
const USE_LIMIT = setting(
  'use_read_buffer_limit',
  (group) => (group.useReadBufferLimit ? 1 : 0),
  (group, value) => {
    if (group.idxd.readBufferLimit === 0) {
      throw new Errno(
        'EPERM',
        `${group.name}: ${group.idxd.name} has no limit of read buffers: write its read_buffer_limit first`,
      );
    }
    group.useReadBufferLimit = checked(group, value, 0, Number.MAX_SAFE_INTEGER) !== 0;
  },
);

function trafficClass(name: string, key: 'trafficClassA' | 'trafficClassB'): Attribute<Group> {
  const store = (group: Group, value: number): void => {
    if (!group.hasTrafficClasses) throw new Errno('EPERM', `${group.name}: its traffic classes are fixed`);
    group[key] = checked(group, value, 0, MAX_CLASS);
  };
  return setting(name, (group) => group[key] ?? -1, store);
}

function progressLimit(name: string, key: 'descriptorProgressLimit' | 'batchProgressLimit'): Attribute<Group> {
  const store = (group: Group, value: number): void => {
    group[key] = checked(group, value, 0, MAX_PROGRESS);
  };
  return setting(name, (group) => group[key], store);
}

const ATTRIBUTES: readonly Attribute<Group>[] = [
  shown('work_queues', (group) => names(group.wqs)),
  shown('engines', (group) => names(group.engines)),
  USE_LIMIT,
  alias('use_token_limit', USE_LIMIT),
  RESERVED,
  alias('tokens_reserved', RESERVED),
  ALLOWED,
  alias('tokens_allowed', ALLOWED),
  trafficClass('traffic_class_a', 'trafficClassA'),
  trafficClass('traffic_class_b', 'trafficClassB'),
];
const PROGRESS: readonly Attribute<Group>[] = [
  progressLimit('desc_progress_limit', 'descriptorProgressLimit'),
  progressLimit('batch_progress_limit', 'batchProgressLimit'),
];

/** What sysfs shows of a group. @see Linux 6.12 drivers/dma/idxd/sysfs.c idxd_group_attributes */
export function groupGroups({ caps }: Idxd): readonly AttributeGroup<Group>[] {
  return [{ attributes: caps.hasProgressLimit ? [...ATTRIBUTES, ...PROGRESS] : ATTRIBUTES }];
}
