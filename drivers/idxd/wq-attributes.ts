import type { Attribute, AttributeGroup } from '../../core/index.js';
import { Errno, regAt } from '../../core/index.js';
import { WQ_STATUS } from '../../hw/regs/dsa.js';
import {
  bitmap,
  bitmapText,
  checked,
  flag,
  integer,
  integerOfAnyBase,
  invalid,
  isWithin,
  line,
  needConfigurable,
  needDisabledDevice,
  needDisabledWq,
  oneOf,
  shown,
  trimmed,
} from './attribute-text.js';
import { OPERATION_WORDS } from './caps.js';
import { groupId, groupIdText } from './group-attributes.js';
import type { Idxd } from './idxd.js';
import type { Wq, WqMode, WqType } from './wq.js';

const MODES: readonly WqMode[] = ['dedicated', 'shared'];
const TYPES: readonly WqType[] = ['none', 'kernel', 'user', 'mdev'];
const MAX_PRIORITY = 15;
const MAX_RETRIES = 64;
/** @see Linux 6.12 drivers/dma/idxd/idxd.h WQ_NAME_SIZE, DRIVER_NAME_SIZE */
const NAME_CHARACTERS = 1024;
const DRIVER_NAME_CHARACTERS = 128;

/** An attribute whose value is parsed first, as Linux does: what is nonsense is EINVAL also where nothing may be written. */
function setting<T>(
  name: string,
  show: (wq: Wq) => string | number,
  parse: (wq: Wq, text: string) => T,
  store: (wq: Wq, value: T) => void,
): Attribute<Wq> {
  return { name, show: (wq) => line(show(wq)), store: (wq, text) => store(wq, parse(wq, text)) };
}

function needFree(wq: Wq): void {
  needConfigurable(wq, wq.idxd);
  needDisabledWq(wq);
}

const GROUP_ID = setting(
  'group_id',
  (wq) => groupIdText(wq.groupId),
  integer,
  (wq, id) => {
    needFree(wq);
    wq.groupId = groupId(wq, id);
  },
);
const MODE: Attribute<Wq> = {
  name: 'mode',
  show: (wq) => line(wq.mode),
  store: (wq, text) => {
    needFree(wq);
    wq.mode = oneOf(wq, text, MODES);
    if (wq.mode === 'dedicated') wq.threshold = 0;
  },
};
const SIZE = setting(
  'size',
  (wq) => wq.size,
  integer,
  (wq, size) => {
    const { idxd } = wq;
    needDisabledDevice(wq, idxd);
    const others = idxd.wqs.reduce((sum, other) => (other === wq ? sum : sum + other.size), 0);
    wq.size = checked(wq, size, 0, idxd.caps.totalSize - others);
  },
);
const PRIORITY = setting(
  'priority',
  (wq) => wq.priority,
  integer,
  (wq, priority) => {
    needFree(wq);
    wq.priority = checked(wq, priority, 0, MAX_PRIORITY);
  },
);
const BLOCK_ON_FAULT: Attribute<Wq> = {
  name: 'block_on_fault',
  show: (wq) => line(wq.blockOnFault ? 1 : 0),
  store: (wq, text) => {
    if (!wq.idxd.caps.blockOnFault) throw unsupported(wq, 'cannot block on faults');
    needConfigurable(wq, wq.idxd);
    needDisabledWq(wq, 'ENXIO');
    const on = flag(wq, text);
    if (on && wq.prsDisable) throw unsupported(wq, 'cannot block on faults: its page requests are disabled');
    wq.blockOnFault = on;
  },
};
const THRESHOLD = setting(
  'threshold',
  (wq) => wq.threshold,
  (wq, text) => checked(wq, integerOfAnyBase(wq, text), 1, wq.size),
  (wq, threshold) => {
    needConfigurable(wq, wq.idxd);
    needDisabledWq(wq, 'ENXIO');
    if (wq.mode === 'dedicated') throw invalid(wq, 'is dedicated: thresholds are for shared queues');
    wq.threshold = threshold;
  },
);
const TYPE: Attribute<Wq> = {
  name: 'type',
  show: (wq) => line(wq.wqType),
  store: (wq, text) => {
    needDisabledWq(wq);
    const type = oneOf(wq, text, TYPES);
    if (type !== wq.wqType) wq.wqName = '';
    wq.wqType = type;
  },
};

function naming(name: string, key: 'wqName' | 'driverName', characters: number): Attribute<Wq> {
  return {
    name,
    show: (wq) => line(wq[key]),
    store: (wq, text) => {
      needDisabledWq(wq);
      const word = trimmed(text);
      if (word.length === 0 || word.length > characters) {
        throw invalid(wq, `a ${name} of ${word.length} characters, must be 1 to ${characters}`);
      }
      wq[key] = word;
    },
  };
}

/** A power of two: what is written is rounded up. */
function limit(name: string, key: 'maxTransferBytes' | 'maxBatch', most: (idxd: Idxd) => number): Attribute<Wq> {
  return {
    name,
    show: (wq) => line(wq[key]),
    store: (wq, text) => {
      needFree(wq);
      const asked = checked(wq, integerOfAnyBase(wq, text), 1, Number.MAX_SAFE_INTEGER);
      wq[key] = checked(wq, 2 ** Math.ceil(Math.log2(asked)), 1, most(wq.idxd));
    },
  };
}

function disabling(name: string, key: 'atsDisable' | 'prsDisable', store: (wq: Wq, on: boolean) => void): Attribute<Wq> {
  return {
    name,
    show: (wq) => line(wq[key] ? 1 : 0),
    store: (wq, text) => {
      needFree(wq);
      store(wq, flag(wq, text));
    },
  };
}

const ATS_DISABLE = disabling('ats_disable', 'atsDisable', (wq, on) => {
  wq.atsDisable = on;
});
const PRS_DISABLE = disabling('prs_disable', 'prsDisable', (wq, on) => {
  wq.prsDisable = on;
  if (on) wq.blockOnFault = false;
});
const OP_CONFIG: Attribute<Wq> = {
  name: 'op_config',
  show: (wq) => line(bitmapText(wq.opConfig)),
  store: (wq, text) => {
    needFree(wq);
    const wanted = bitmap(wq, text, OPERATION_WORDS);
    if (!isWithin(wanted, wq.idxd.caps.operations)) throw invalid(wq, 'op_config has operations that the device has not');
    wq.opConfig.set(wanted);
  },
};
const ENQCMDS_RETRIES = setting(
  'enqcmds_retries',
  (wq) => {
    needShared(wq);
    return wq.enqcmdsRetries;
  },
  (wq, text) => {
    needShared(wq);
    return checked(wq, integer(wq, text), 0, Number.MAX_SAFE_INTEGER);
  },
  (wq, retries) => {
    wq.enqcmdsRetries = Math.min(retries, MAX_RETRIES);
  },
);

function needShared(wq: Wq): void {
  if (wq.mode === 'dedicated') throw unsupported(wq, 'is dedicated: it is never asked again');
}

function unsupported(wq: Wq, what: string): Errno {
  return new Errno('EOPNOTSUPP', `${wq.name}: ${what}`);
}

function occupancy(wq: Wq): number {
  const { caps, regs } = wq.idxd;
  if (!caps.hasOccupancy) throw unsupported(wq, 'does not tell how full it is');
  return regs.readField(regAt(WQ_STATUS, 1, wq.configAt), WQ_STATUS.fields.occupancy);
}

function minor(wq: Wq): number {
  if (wq.cdevMinor === undefined) throw new Errno('ENXIO', `${wq.name}: has no character device`);
  return wq.cdevMinor;
}

const ATTRIBUTES: readonly Attribute<Wq>[] = [
  shown('clients', (wq) => wq.clients),
  shown('state', (wq) => (wq.isEnabled ? 'enabled' : 'disabled')),
  GROUP_ID,
  MODE,
  SIZE,
  PRIORITY,
  BLOCK_ON_FAULT,
  THRESHOLD,
  TYPE,
  naming('name', 'wqName', NAME_CHARACTERS),
  shown('cdev_minor', minor),
  limit('max_transfer_size', 'maxTransferBytes', ({ caps }) => caps.maxTransferBytes),
  limit('max_batch_size', 'maxBatch', ({ caps }) => caps.maxBatch),
  shown('occupancy', occupancy),
  ENQCMDS_RETRIES,
  naming('driver_name', 'driverName', DRIVER_NAME_CHARACTERS),
];

/** What sysfs shows of a queue. @see Linux 6.12 drivers/dma/idxd/sysfs.c idxd_wq_attributes, idxd_wq_attr_visible */
export function wqGroups({ caps }: Idxd): readonly AttributeGroup<Wq>[] {
  const attributes = [...ATTRIBUTES];
  if (caps.hasAtsDisable) attributes.push(ATS_DISABLE);
  if (caps.hasPrsDisable) attributes.push(PRS_DISABLE);
  if (caps.hasOpConfig) attributes.push(OP_CONFIG);
  return [{ attributes }];
}
