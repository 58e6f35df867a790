import type { Attribute, AttributeGroup } from '../../core/index.js';
import { groupId, groupIdText } from './group-attributes.js';
import { integer, line, needDisabledDevice } from './attribute-text.js';
import type { Engine } from './engine.js';

const GROUP_ID: Attribute<Engine> = {
  name: 'group_id',
  show: (engine) => line(groupIdText(engine.groupId)),
  store: (engine, text) => {
    const id = integer(engine, text);
    needDisabledDevice(engine, engine.idxd);
    engine.groupId = groupId(engine, id);
  },
};

/** What sysfs shows of an engine. @see Linux 6.12 drivers/dma/idxd/sysfs.c idxd_engine_attributes */
export const engineGroups: readonly AttributeGroup<Engine>[] = [{ attributes: [GROUP_ID] }];
