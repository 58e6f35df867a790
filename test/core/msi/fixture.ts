import { Device, type DeviceOptions } from '../../../core/device/index.js';
import type { MsiMsg } from '../../../core/hal/index.js';
import { type IrqChip, IrqDomain, type MsiParentOps, type VectorOptions } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Ims, type ImsStore, Msi, type MsiDomain, type MsiMap, type MsiTemplate } from '../../../core/msi/index.js';
import type { FakeInterruptOptions } from '../../helpers/fake-interrupts.js';
import { REQUESTER, scene } from '../irq/platform.js';

/** The device of the scenarios. */
export const D = '0000:6a:01.0';

/** A device in the tree that nothing is bound to. */
export function deviceIn({ device: core }: ReturnType<typeof scene>, name: string, options: DeviceOptions = {}): Device {
  const dev = new Device({ name, release: () => {}, ...options });
  void core.add(dev);
  return dev;
}

/** A device on fake hardware, and all that is needed to give it message interrupts. */
export function msiScene(options: FakeInterruptOptions = {}, vectors: VectorOptions = {}) {
  const base = scene(options, vectors);
  const dev = deviceIn(base, D);
  const msi = new Msi(base.core, () => ({ domain: base.platform.msiParent, requesterId: REQUESTER }));
  const ims = new Ims(msi);
  /** Steps by their names, of the core and of stores. */
  const trace: string[] = [];
  base.core.tracer = { event: (name) => trace.push(name) };
  /** What was recorded since the last time. */
  const take = (): string[] => trace.splice(0);
  /** The device sends what its slot holds. */
  const fire = (msg: MsiMsg | undefined): void => {
    base.hw.message(REQUESTER, msg!);
    base.irqs.drain();
  };
  return { ...base, dev, msi, ims, trace, take, fire };
}

export type MsiScene = ReturnType<typeof msiScene>;

/** A store that remembers what is done to it: `mask 0`, `write 0 data`. */
export class RecordingStore implements ImsStore<unknown> {
  readonly messages = new Map<number, MsiMsg>();
  readonly masked = new Set<number>();

  constructor(
    readonly slots = 4,
    readonly done: string[] = [],
    readonly name = 'PCI-IDXD',
  ) {}

  mask(slot: number): void {
    this.masked.add(slot);
    this.done.push(`mask ${slot}`);
  }
  unmask(slot: number): void {
    this.masked.delete(slot);
    this.done.push(`unmask ${slot}`);
  }
  writeMsg(slot: number, msg: MsiMsg): void {
    this.messages.set(slot, msg);
    this.done.push(`write ${slot} ${msg.addressLo.toString(16)}/${msg.data.toString(16)}`);
  }
  free(slot: number): void {
    this.done.push(`free ${slot}`);
  }
}

/** The template of the scenarios, with parts replaced. */
export function template({ chip, ...more }: Partial<Omit<MsiTemplate, 'chip'>> & { chip?: Partial<IrqChip> } = {}): MsiTemplate {
  return {
    chip: { name: 'PCI-IDXD', mask() {}, unmask() {}, writeMsiMsg() {}, oneshotSafe: true, ...chip },
    busToken: 'pci-device-ims',
    flags: ['alloc-simple-msi-descs', 'free-msi-descs', 'ims'],
    ...more,
  };
}

/** A parent between devices and the scene's own, with parts of its contract replaced. */
export function parentWith({ core, platform }: MsiScene, ops: Partial<MsiParentOps>): IrqDomain {
  const below = platform.msiParent!;
  return new IrqDomain(core, {
    name: 'TEST-PARENT',
    parent: below,
    ops: {
      alloc: (domain, virq, count, info) => {
        domain.allocParent(virq, count, info);
        for (let n = 0; n < count; n++) domain.setHwirq(virq + n, domain.size + n, PARENT_CHIP);
      },
      free: (domain, virq, count) => domain.freeParent(virq, count),
    },
    msiParent: { ...below.msiParent!, ...ops },
  });
}

const PARENT_CHIP: IrqChip = {
  name: 'TEST-PARENT',
  ack: (data) => data.parent?.chip.ack?.(data.parent),
  setAffinity(data, mask, force) {
    const result = data.parent!.chip.setAffinity!(data.parent!, mask, force);
    return result === 'done' ? 'ok' : result;
  },
};

/** Index and number. */
export const pair = ({ index, virq }: MsiMap): [number, number] => [index, virq];

/** The code of what is thrown. */
export function code(op: () => unknown): string {
  try {
    op();
  } catch (error) {
    return Errno.is(error) ? error.code : String(error);
  }
  return 'nothing thrown';
}

/** The code of the cause of what is thrown. */
export function inner(op: () => unknown): string {
  try {
    op();
  } catch (error) {
    return error instanceof Error ? Errno.codeOf(error.cause) : String(error);
  }
  return 'nothing thrown';
}

/** A domain of 4 slots, unless said otherwise, on remapped messages. */
export function domainScene(
  slots = 4,
  options: Parameters<typeof msiScene>[0] = {},
  vectors: Parameters<typeof msiScene>[1] = {},
) {
  const scene = msiScene(options, vectors);
  const store = new RecordingStore(slots);
  const domain = scene.ims.createDomain<unknown>(scene.dev, store);
  return { ...scene, store, domain };
}

/** The taken indices of a domain. */
export const indices = (domain: MsiDomain, filter?: 'all' | 'associated' | 'not-associated'): number[] =>
  Array.from(domain.descs(filter), ({ index }) => index);
