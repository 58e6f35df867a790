import { DsaDevice } from './dsa-bus.js';
import { engineGroups } from './engine-attributes.js';
import type { Idxd } from './idxd.js';

/** An engine: it works on the queues of its group. */
export class Engine extends DsaDevice {
  /** The group that it is in; undefined for none. */
  groupId: number | undefined = undefined;

  constructor(
    idxd: Idxd,
    readonly index: number,
  ) {
    super(idxd, 'engine', `engine${idxd.id}.${index}`, idxd.conf, engineGroups);
  }
}
