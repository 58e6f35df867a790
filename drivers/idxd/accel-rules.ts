import { Errno } from '../../core/index.js';
import { OPCODES } from '../../hw/regs/dsa.js';
import { isWithin, parseBitmap, trimmed } from './attribute-text.js';
import { OPERATION_WORDS } from './caps.js';
import type { DsaDevice, DsaKind } from './dsa-bus.js';

/** An attribute that a configuration can set. */
export interface AttributeRule {
  readonly name: string;
  /** The word that files of older tools have for it. */
  readonly alias?: string;
  /** It can be chosen on an accelerator that cannot be configured, too. */
  readonly isFree?: boolean;
  /** What says nothing about a device that lacks the attribute. */
  readonly off?: string;
  /**
   * The text to be written.
   * @param who the device, for messages
   * @throws {Errno} EINVAL for what it cannot be on this accelerator
   */
  text(value: unknown, who: string, dsa: DsaDevice): string;
}

/** The limit is a number, or that of an attribute of the accelerator. */
type Limit = number | ((dsa: DsaDevice) => number);

/** The longest names. @see Linux 6.12 drivers/dma/idxd/idxd.h WQ_NAME_SIZE, DRIVER_NAME_SIZE */
const NAME_CHARACTERS = 1024;
const DRIVER_NAME_CHARACTERS = 128;

const OFF = { off: '0' };
const FREE = { isFree: true };

const of =
  (attribute: string, less = 0): Limit =>
  (dsa) =>
    numberOf(dsa, attribute) - less;

function whole(name: string, least: number, most: Limit, more: Partial<AttributeRule> = {}): AttributeRule {
  return {
    name,
    ...more,
    text: (value, who, dsa) => {
      const limit = typeof most === 'number' ? most : most(dsa);
      if (Number.isInteger(value) && Number(value) >= least && Number(value) <= limit) return `${Number(value)}`;
      throw wrong(who, name, value, `an integer of ${least} to ${limit}`);
    },
  };
}

function word(name: string, words: readonly string[], more: Partial<AttributeRule> = {}): AttributeRule {
  return {
    name,
    ...more,
    text: (value, who) => {
      const found = words.find((one) => one === value);
      if (found !== undefined) return found;
      throw wrong(who, name, value, `one of ${words.join(', ')}`);
    },
  };
}

function line(name: string, most: number): AttributeRule {
  return {
    name,
    ...FREE,
    text: (value, who) => {
      const text = typeof value === 'string' ? trimmed(value) : undefined;
      if (text !== undefined && text.length <= most && !text.includes('\n')) return text;
      throw wrong(who, name, value, `a line of at most ${most} characters`);
    },
  };
}

/** Words of 32 bits in hex, the highest first: `00000001,003f027f`. */
function operations(name: string): AttributeRule {
  return {
    name,
    text: (value, who, dsa) => {
      const bits = typeof value === 'string' ? parseBitmap(value, OPERATION_WORDS) : undefined;
      if (bits !== undefined && isWithin(bits, dsa.idxd.caps.operations)) return String(value);
      throw wrong(who, name, value, `a bitmap within ${dsa.name}'s op_cap, ${textOf(dsa, 'op_cap')}`);
    },
  };
}

/** Whether a bitmap allows all operations that the device has, but for batches: `op_cap` does not tell of these. */
export function hasAll({ idxd }: DsaDevice, text: string): boolean {
  const bits = parseBitmap(text, OPERATION_WORDS);
  if (bits === undefined) return false;
  bits[0]! |= 1 << OPCODES.batch;
  return isWithin(idxd.caps.operations, bits);
}

/** What can be set, in the order in which it must be: one clears what another says, or is a limit of it. */
export const RULES: Readonly<Record<DsaKind, readonly AttributeRule[]>> = {
  dsa: [
    whole('read_buffer_limit', 0, of('max_read_buffers'), { alias: 'token_limit', ...OFF }),
    whole('event_log_size', 64, 65_535),
  ],
  engine: [whole('group_id', -1, of('max_groups', 1))],
  wq: [
    whole('group_id', -1, of('max_groups', 1)),
    word('mode', ['dedicated', 'shared']),
    whole('size', 0, of('max_work_queues_size')),
    whole('priority', 0, 15),
    word('type', ['none', 'kernel', 'user', 'mdev'], FREE),
    line('name', NAME_CHARACTERS),
    line('driver_name', DRIVER_NAME_CHARACTERS),
    whole('prs_disable', 0, 1, OFF),
    whole('ats_disable', 0, 1, OFF),
    whole('block_on_fault', 0, 1, OFF),
    whole('threshold', 0, of('max_work_queues_size')),
    whole('max_batch_size', 1, of('max_batch_size')),
    whole('max_transfer_size', 1, of('max_transfer_size')),
    operations('op_config'),
  ],
  group: [
    whole('read_buffers_reserved', 0, of('max_read_buffers'), { alias: 'tokens_reserved', ...OFF }),
    whole('read_buffers_allowed', 0, of('max_read_buffers'), { alias: 'tokens_allowed', ...OFF }),
    whole('use_read_buffer_limit', 0, 1, { alias: 'use_token_limit', ...OFF }),
    whole('traffic_class_a', 0, 7),
    whole('traffic_class_b', 0, 7),
    whole('desc_progress_limit', 0, 3, OFF),
    whole('batch_progress_limit', 0, 3, OFF),
  ],
};

/** The rule of an attribute, by its name of today or before. */
export function ruleOf(kind: DsaKind, key: string): AttributeRule | undefined {
  return RULES[kind].find(({ name, alias }) => name === key || alias === key);
}

/** What an attribute says, without its newline. @throws {Errno} ENOENT when there is none */
export const textOf = (dev: DsaDevice, attribute: string): string => dev.attributes.read(attribute).replace(/\n$/, '');

export const numberOf = (dev: DsaDevice, attribute: string): number => Number(textOf(dev, attribute));

function wrong(who: string, name: string, value: unknown, what: string): Errno {
  return new Errno('EINVAL', `${who}: ${name} ${typeof value === 'number' ? value : JSON.stringify(value)}: must be ${what}`);
}

/** An error with the place in a file that it is about, where there is one. */
export function located(error: unknown, place: string | undefined): unknown {
  if (place === undefined || !Errno.is(error)) return error;
  return new Errno(error.code, `${error.text} (at ${place})`);
}
