import { DsaDevice } from './dsa-bus.js';
import type { Engine } from './engine.js';
import { groupGroups } from './group-attributes.js';
import type { Idxd } from './idxd.js';
import type { Wq } from './wq.js';

/** The last version of devices whose traffic classes are not software's to choose. */
const FIXED_CLASSES_VERSION = 0x200;
const FIXED_CLASS = 1;

/** A group: queues, and the engines that work on them. @see Linux 6.12 drivers/dma/idxd/idxd.h struct idxd_group */
export class Group extends DsaDevice {
  useReadBufferLimit = false;
  readBuffersReserved = 0;
  readBuffersAllowed = 0;
  /** 0 to 7; undefined for what the device takes by itself. */
  trafficClassA: number | undefined = undefined;
  trafficClassB: number | undefined = undefined;
  /** 0 for no limit, to 3. */
  descriptorProgressLimit = 0;
  batchProgressLimit = 0;

  constructor(
    idxd: Idxd,
    readonly index: number,
  ) {
    super(idxd, 'group', `group${idxd.id}.${index}`, idxd.conf, groupGroups(idxd));
    this.clear();
  }

  get wqs(): Wq[] {
    return this.idxd.wqs.filter((wq) => wq.groupId === this.index);
  }

  get engines(): Engine[] {
    return this.idxd.engines.filter((engine) => engine.groupId === this.index);
  }

  /** Whether traffic classes are software's to choose. */
  get hasTrafficClasses(): boolean {
    const { caps, options } = this.idxd;
    return caps.version > FIXED_CLASSES_VERSION || options.trafficClassOverride === true;
  }

  /** As after a reset. @see Linux 6.12 drivers/dma/idxd/device.c idxd_groups_clear_state */
  clear(): void {
    const fixed = this.hasTrafficClasses ? undefined : FIXED_CLASS;
    this.useReadBufferLimit = false;
    this.readBuffersReserved = 0;
    this.readBuffersAllowed = this.idxd.caps.readBuffers;
    this.trafficClassA = this.trafficClassB = fixed;
    this.descriptorProgressLimit = this.batchProgressLimit = 0;
  }
}
