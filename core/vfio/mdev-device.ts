import { Device } from '../device/index.js';
import { Errno, type MaybePromise } from '../lib/index.js';
import { ListNode } from '../lib/list.js';
import type { MdevParent, MdevType } from './mdev-parent.js';

/** What a mediated device asks of its bus. @internal */
export interface MdevOwner {
  remove(dev: MdevDevice): MaybePromise<void>;
  released(dev: MdevDevice): void;
}

/**
 * A mediated device: a part of a parent that a user asked for by UUID. Its name is that UUID, its driver that of the parent.
 * @see Linux 7.2 include/linux/mdev.h struct mdev_device
 */
export class MdevDevice extends Device {
  /** Creation is over, and removal has not begun. */
  active = false;
  /** Its place among those of its type. @internal */
  readonly typeNode = new ListNode<MdevDevice>(this);

  /** @internal */
  constructor(
    readonly uuid: string,
    readonly mdevType: MdevType,
    /** What it is made of: its parent, or a part of that. It is gone before the driver of that is unbound. */
    readonly maker: Device,
    owner: MdevOwner,
  ) {
    const remove = {
      name: 'remove',
      mode: 0o200,
      store: (dev: Device, text: string) => (isNonZero(dev.name, text) ? owner.remove(dev as MdevDevice) : undefined),
    };
    super({
      name: uuid,
      parent: mdevType.parent.dev,
      groups: [{ attributes: [remove, { name: 'mdev_type', show: () => `${mdevType.path}\n` }] }],
      release: (dev) => owner.released(dev as MdevDevice),
    });
  }

  /** What it is a part of, as its driver registered that. */
  get mdevParent(): MdevParent {
    return this.mdevType.parent;
  }
}

/** @throws {Errno} EINVAL for what is no number @see Linux 7.2 lib/kstrtox.c kstrtoul */
function isNonZero(who: string, text: string): boolean {
  const line = text.replace(/\n$/, '');
  if (!/^\+?(0x[0-9a-f]+|[0-9]+)$/i.test(line))
    throw new Errno('EINVAL', `${who}: remove takes a number, not ${JSON.stringify(text)}`);
  return Number(line) !== 0;
}
