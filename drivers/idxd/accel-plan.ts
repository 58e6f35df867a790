import { Errno, type ErrnoCode } from '../../core/index.js';
import { type AttributeRule, RULES, hasAll, located, numberOf, textOf } from './accel-rules.js';
import type { DsaDevice, DsaKind } from './dsa-bus.js';

/** Read buffers that an engine needs at least. @see Linux 6.12 drivers/dma/idxd/sysfs.c group_read_buffers_allowed_store */
const BUFFERS_PER_ENGINE = 4;

/** What attributes say that an accelerator has forgotten; the others 0. */
const FORGOTTEN: Readonly<Record<string, string>> = { group_id: '-1', mode: 'shared' };

/** What is to become of one accelerator and its parts. All of it is checked before the first attribute is written. */
export class AccelPlan {
  /** By device, in the order in which they were named. */
  readonly #texts = new Map<DsaDevice, Map<string, string>>();
  /** Where they are said in a file, by `wq0.0 size`. */
  readonly #places = new Map<string, string>();
  readonly #parts: readonly DsaDevice[];

  constructor(readonly dsa: DsaDevice) {
    const { wqs, engines, groups } = dsa.idxd;
    this.#parts = [...wqs, ...engines, ...groups];
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
    if (textOf(this.dsa, 'configurable') === '0') this.#checkFixed();
    this.#checkSum('wq', 'size', numberOf(this.dsa, 'max_work_queues_size'), 'entries');
    for (const wq of this.devices('wq')) this.#checkQueue(wq);
    this.#checkSum('group', 'read_buffers_reserved', this.#buffers, 'read buffers');
    for (const group of this.devices('group')) this.#checkGroup(group);
  }

  /**
   * Writes what is not so yet, in an order in which no value on the way breaks a limit.
   * @throws {Errno} what a device says that could not be known before; what was written stays
   */
  async apply(): Promise<void> {
    for (const [dev, attribute, text] of this.#writes()) {
      if (textOf(dev, attribute) !== text) await dev.attributes.write(attribute, `${text}\n`);
    }
  }

  *#writes(): Generator<[dev: DsaDevice, attribute: string, text: string]> {
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
        if (text === undefined || (name === 'threshold' && this.#after(dev, 'mode') === 'dedicated')) continue;
        yield [dev, name, text];
      }
    }
  }

  #checkFixed(): void {
    for (const [dev, texts] of this.#texts) {
      for (const { name, isFree } of RULES[dev.kind]) {
        const text = texts.get(name);
        if (isFree === true || text === undefined || this.#isSo(dev, name, text)) continue;
        throw this.#refuse('EPERM', dev, name, text, `${this.dsa.name} cannot be configured: it stays ${textOf(dev, name)}`);
      }
    }
  }

  #checkQueue(wq: DsaDevice): void {
    const wanted = (attribute: string): string | undefined => this.#texts.get(wq)?.get(attribute);
    const [size, mode, threshold] = [this.#after(wq, 'size'), this.#after(wq, 'mode'), wanted('threshold')];
    const isLimit = mode === 'shared' && threshold !== undefined && !this.#isSo(wq, 'threshold', threshold);
    if (isLimit && !(Number(threshold) >= 1 && Number(threshold) <= Number(size))) {
      throw this.#refuse('EINVAL', wq, 'threshold', threshold, `must be 1 to its size, ${size}`);
    }
    if (wanted('block_on_fault') === '1' && !this.#isSo(wq, 'block_on_fault', '1')) {
      const why = (BigInt(textOf(this.dsa, 'gen_cap')) & 1n) === 0n ? `${this.dsa.name} cannot do that` : undefined;
      const other = this.#after(wq, 'prs_disable') === '1' ? 'prs_disable is 1' : undefined;
      const reason = why ?? other;
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
    if (texts?.get('use_read_buffer_limit') === '1' && Number(this.#after(this.dsa, 'read_buffer_limit')) === 0) {
      throw this.#refuse('EPERM', group, 'use_read_buffer_limit', '1', `${this.dsa.name} has no read_buffer_limit`);
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

  /** What an attribute will be; an accelerator that is enabled forgets everything when it is disabled for this. */
  #after(dev: DsaDevice, attribute: string): string {
    const wanted = this.#texts.get(dev)?.get(attribute);
    if (wanted !== undefined) return wanted;
    const isForgotten = dev !== this.dsa && textOf(this.dsa, 'state') === 'enabled';
    return isForgotten || !dev.attributes.has(attribute) ? (FORGOTTEN[attribute] ?? '0') : textOf(dev, attribute);
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
    return textOf(dev, attribute) === text;
  }
}

/** 1 of `wq0.1`. */
export const indexOf = ({ name }: DsaDevice): number => Number(name.slice(name.indexOf('.') + 1));
