import { Errno, type ErrnoCode } from '../../core/index.js';
import { type AttributeRule, RULES, hasAll, located, numberOf, textOf } from './accel-rules.js';
import { restoreConfiguration, saveConfiguration } from './configuration.js';
import type { DsaDevice, DsaKind } from './dsa-bus.js';
import { Group } from './group.js';

/** Read buffers that an engine needs at least. @see Linux 6.12 drivers/dma/idxd/sysfs.c group_read_buffers_allowed_store */
const BUFFERS_PER_ENGINE = 4;

/** What attributes say of a device that has forgotten them; the others 0; its `driver_name` a queue keeps. */
const FORGOTTEN: Readonly<Record<string, string>> = { group_id: '-1', mode: 'shared', type: 'none', name: '' };

/** What is to become of one accelerator and its parts. All of it is checked before the first attribute is written. */
export class AccelPlan {
  /** By device, in the order in which they were named. */
  readonly #texts = new Map<DsaDevice, Map<string, string>>();
  /** Where they are said in a file, by `wq0.0 size`. */
  readonly #places = new Map<string, string>();
  readonly #parts: readonly DsaDevice[];
  readonly #isWhole: boolean;

  /**
   * @param isWhole whether it is a configuration from a file: what it says of attributes that do not count is passed over, and an
   *   accelerator that is enabled is disabled before it is written
   */
  constructor(
    readonly dsa: DsaDevice,
    isWhole: boolean,
  ) {
    const { wqs, engines, groups } = dsa.idxd;
    this.#parts = [...wqs, ...engines, ...groups];
    this.#isWhole = isWhole;
  }

  /** A part by its name. @throws {Errno} ENODEV when this accelerator has none of that name and kind */
  part(kind: DsaKind, name: string): DsaDevice {
    const found = this.#parts.find((dev) => dev.kind === kind && dev.name === name);
    if (found === undefined) throw new Errno('ENODEV', `${name}: ${this.dsa.name} has no ${kind} of this name`);
    return found;
  }

  /** The devices that something is wanted of. */
  devices(kind: DsaKind): DsaDevice[] {
    return [...this.#texts.keys()].filter((dev) => dev.kind === kind);
  }

  /** Of the queues that something is wanted of, those that have a group. */
  get queues(): DsaDevice[] {
    return this.devices('wq').filter((wq) => Number(this.#after(wq, 'group_id')) >= 0);
  }

  /** Notes that a device is meant, which is said once. @throws {Errno} EEXIST the second time */
  name(dev: DsaDevice): void {
    if (this.#texts.has(dev)) throw new Errno('EEXIST', `${dev.name}: is configured twice`);
    this.#texts.set(dev, new Map());
  }

  /**
   * Wants a value of an attribute.
   * @param place where that is said, in a file: errors tell it
   * @throws {Errno} EINVAL for what it cannot be; EOPNOTSUPP when the device has no such attribute
   */
  want(dev: DsaDevice, rule: AttributeRule, value: unknown, place?: string): void {
    if (this.#isWhole && rule.name.startsWith('traffic_class') && dev instanceof Group && !dev.hasTrafficClasses) return;
    if (place !== undefined) this.#places.set(`${dev.name} ${rule.name}`, place);
    const text = this.#textOf(dev, rule, value, place);
    if (dev.attributes.has(rule.name)) {
      this.#texts.get(dev)?.set(rule.name, text);
      return;
    }
    const isSame = text === rule.off || (rule.name === 'op_config' && hasAll(this.dsa, text));
    if (!isSame) throw this.#refuse('EOPNOTSUPP', dev, rule.name, text, 'the device has no such attribute');
  }

  /** Checks what values mean for each other, those that stay as they are too. @throws {Errno} EINVAL, EOPNOTSUPP or EPERM */
  check(): void {
    for (const wq of this.devices('wq')) this.#checkNames(wq);
    if (!this.dsa.idxd.caps.isConfigurable) {
      this.#checkFixed();
      return;
    }
    this.#checkDevice();
    this.#checkSum('wq', 'size', numberOf(this.dsa, 'max_work_queues_size'), 'entries');
    for (const wq of this.devices('wq')) this.#checkQueue(wq);
    this.#checkSum('group', 'read_buffers_reserved', this.#buffers, 'read buffers');
    for (const group of this.devices('group')) this.#checkGroup(group);
  }

  /**
   * Writes what is not so yet, in an order in which no value on the way breaks a limit.
   * @throws {Errno} what a device says that could not be known before; what was written stays: {@link applyAll} takes it back
   */
  apply(): void {
    for (const [dev, attribute, text] of this.#writes()) {
      // Attributes of this bus take what is written at once.
      if (textOf(dev, attribute) !== text) void dev.attributes.write(attribute, `${text}\n`);
    }
  }

  *#writes(): Generator<[dev: DsaDevice, attribute: string, text: string]> {
    // Without a limit nobody can be let off it.
    for (const group of numberOf(this.dsa, 'read_buffer_limit') > 0 ? this.devices('group') : []) {
      if (this.#texts.get(group)?.get('use_read_buffer_limit') === '0') yield [group, 'use_read_buffer_limit', '0'];
    }
    yield* this.#inOrder('dsa');
    yield* this.#inOrder('engine');
    // Who gives comes before who takes.
    for (const [dev, attribute] of [
      ...this.devices('wq').map((wq) => [wq, 'size'] as const),
      ...this.devices('group').map((group) => [group, 'read_buffers_reserved'] as const),
    ]) {
      const text = this.#texts.get(dev)?.get(attribute);
      if (text !== undefined && Number(text) < numberOf(dev, attribute)) yield [dev, attribute, text];
    }
    yield* this.#inOrder('wq');
    yield* this.#inOrder('group');
  }

  *#inOrder(kind: DsaKind): Generator<[dev: DsaDevice, attribute: string, text: string]> {
    for (const dev of this.devices(kind)) {
      for (const { name } of RULES[kind]) {
        const text = this.#texts.get(dev)?.get(name);
        const isMoot = this.#isWhole && name === 'threshold' && this.#after(dev, 'mode') === 'dedicated';
        if (text !== undefined && !isMoot) yield [dev, name, text];
      }
    }
  }

  #checkFixed(): void {
    for (const [dev, texts] of this.#texts) {
      for (const { name, isFree } of RULES[dev.kind]) {
        const text = texts.get(name);
        if (isFree === true || text === undefined || text === textOf(dev, name)) continue;
        throw this.#refuse('EPERM', dev, name, text, `${this.dsa.name} cannot be configured: it stays ${textOf(dev, name)}`);
      }
    }
  }

  /** No name can be written that is empty; a change of the type leaves one. */
  #checkNames(wq: DsaDevice): void {
    for (const attribute of ['name', 'driver_name']) {
      const isCleared = attribute === 'name' && !this.#isSo(wq, 'type', this.#after(wq, 'type'));
      if (this.#texts.get(wq)?.get(attribute) !== '' || isCleared || this.#isSo(wq, attribute, '')) continue;
      throw this.#refuse('EINVAL', wq, attribute, '""', `must have a character: it is ${textOf(wq, attribute)}`);
    }
  }

  #checkDevice(): void {
    const limit = this.#after(this.dsa, 'read_buffer_limit');
    if (this.dsa.idxd.caps.hasReadBufferLimit || this.#isSo(this.dsa, 'read_buffer_limit', limit)) return;
    throw this.#refuse('EPERM', this.dsa, 'read_buffer_limit', limit, 'its read buffers cannot be limited');
  }

  #checkQueue(wq: DsaDevice): void {
    const wanted = (attribute: string): string | undefined => this.#texts.get(wq)?.get(attribute);
    const [size, mode, threshold] = [this.#after(wq, 'size'), this.#after(wq, 'mode'), wanted('threshold')];
    const isLimit = mode === 'shared' && threshold !== undefined && !this.#isSo(wq, 'threshold', threshold);
    if (isLimit && !(Number(threshold) >= 1 && Number(threshold) <= Number(size))) {
      throw this.#refuse('EINVAL', wq, 'threshold', threshold, `must be 1 to its size, ${size}`);
    }
    if (wanted('block_on_fault') === '1') {
      const why = this.dsa.idxd.caps.blockOnFault ? undefined : `${this.dsa.name} cannot do that`;
      const reason = this.#after(wq, 'prs_disable') === '1' ? 'prs_disable is 1' : why;
      if (reason !== undefined) throw this.#refuse('EOPNOTSUPP', wq, 'block_on_fault', '1', reason);
    }
  }

  #checkGroup(group: DsaDevice): void {
    const texts = this.#texts.get(group);
    const allowed = texts?.get('read_buffers_allowed');
    if (allowed !== undefined && !this.#isSo(group, 'read_buffers_allowed', allowed)) {
      const id = indexOf(group);
      const engines = this.#parts.filter((dev) => dev.kind === 'engine' && Number(this.#after(dev, 'group_id')) === id);
      const reserved = Number(this.#after(group, 'read_buffers_reserved'));
      const [least, most] = [
        BUFFERS_PER_ENGINE * engines.length,
        this.#buffers - this.#sum('group', 'read_buffers_reserved') + reserved,
      ];
      if (Number(allowed) < least || Number(allowed) > most) {
        const why = `must be ${least}, for ${engines.length} engines, to ${most}, reserved or free`;
        throw this.#refuse('EINVAL', group, 'read_buffers_allowed', allowed, why);
      }
    }
    const use = texts?.get('use_read_buffer_limit');
    if (use === undefined || this.#isSo(group, 'use_read_buffer_limit', use)) return;
    // It is written while there is a limit: off before that goes.
    const limits = [this.#after(this.dsa, 'read_buffer_limit'), this.#before(this.dsa, 'read_buffer_limit')];
    if ((use === '1' ? limits.slice(0, 1) : limits).every((limit) => limit === '0')) {
      throw this.#refuse('EPERM', group, 'use_read_buffer_limit', use, `${this.dsa.name} has no read_buffer_limit`);
    }
  }

  #checkSum(kind: DsaKind, attribute: string, most: number, what: string): void {
    const sum = this.#sum(kind, attribute);
    const last = this.devices(kind).findLast((dev) => this.#texts.get(dev)?.has(attribute) === true);
    if (sum <= most || last === undefined) return;
    const own = this.#after(last, attribute);
    throw this.#refuse('EINVAL', last, attribute, own, `${this.dsa.name} has ${most} ${what}, others take ${sum - Number(own)}`);
  }

  #sum(kind: DsaKind, attribute: string): number {
    const parts = this.#parts.filter((dev) => dev.kind === kind);
    return parts.reduce((sum, dev) => sum + Number(this.#after(dev, attribute)), 0);
  }

  get #buffers(): number {
    return numberOf(this.dsa, 'max_read_buffers');
  }

  /** What an attribute says when all is written. */
  #after(dev: DsaDevice, attribute: string): string {
    return this.#texts.get(dev)?.get(attribute) ?? this.#before(dev, attribute);
  }

  /** What an attribute says when writing begins. */
  #before(dev: DsaDevice, attribute: string): string {
    const { idxd } = this.dsa;
    const isForgotten = this.#isWhole && idxd.state === 'enabled' && idxd.caps.isConfigurable;
    const isKept = dev === this.dsa || attribute === 'driver_name' || !isForgotten;
    if (isKept && dev.attributes.has(attribute)) return textOf(dev, attribute);
    return attribute === 'read_buffers_allowed' ? `${this.#buffers}` : (FORGOTTEN[attribute] ?? '0');
  }

  #textOf(dev: DsaDevice, rule: AttributeRule, value: unknown, place: string | undefined): string {
    try {
      return rule.text(value, dev.name, this.dsa);
    } catch (error) {
      throw located(error, place);
    }
  }

  #refuse(code: ErrnoCode, dev: DsaDevice, attribute: string, text: string, why: string): unknown {
    const error = new Errno(code, `${dev.name}: ${attribute} ${text}: ${why}`);
    return located(error, this.#places.get(`${dev.name} ${attribute}`));
  }

  #isSo(dev: DsaDevice, attribute: string, text: string): boolean {
    return this.#before(dev, attribute) === text;
  }
}

/**
 * Writes what all plans want, or nothing.
 * @throws {Errno} what a device says that could not be known before
 */
export function applyAll(plans: readonly AccelPlan[]): void {
  const before = plans.map(({ dsa }) => saveConfiguration(dsa.idxd));
  try {
    for (const plan of plans) plan.apply();
  } catch (error) {
    before.forEach(restoreConfiguration);
    throw error;
  }
}

/** 1 of `wq0.1`. */
export const indexOf = ({ name }: DsaDevice): number => Number(name.slice(name.indexOf('.') + 1));
