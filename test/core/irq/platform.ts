import { Device, DeviceCore } from '../../../core/device/index.js';
import { type MsiMsg, VirtualClock } from '../../../core/hal/index.js';
import { buildInterruptPlatform } from '../../../core/iommu/index.js';
import {
  type BusToken,
  CpuMask,
  type IrqAffinityDesc,
  type IrqChip,
  IrqCore,
  type IrqDesc,
  IrqDomain,
  Irqs,
  type MsiDomainDraft,
  type MsiFlag,
  type VectorOptions,
  chipParent,
  composeMsg,
  setHandler,
} from '../../../core/irq/index.js';
import type { IrqAction, IrqSpec } from '../../../core/irq/action.js';
import { freeIrq } from '../../../core/irq/free.js';
import { requestIrq } from '../../../core/irq/manage.js';
import * as S from '../../../core/irq/state.js';
import { type FakeInterruptOptions, FakeInterrupts } from '../../helpers/fake-interrupts.js';

/** Requester id of {@link Scene.device}: 6a:01.0. */
export const REQUESTER = 0x6a08;
/** Two CPUs of 4 vectors each. */
export const MINI = { first: 32, end: 36, system: [] } as const;

/** The interrupt core on fake hardware, with everything between its CPUs and devices. */
export function scene(options: FakeInterruptOptions = {}, vectors: VectorOptions = {}) {
  const clock = new VirtualClock({ mode: 'manual' });
  const device = new DeviceCore({ clock });
  const hw = new FakeInterrupts(options);
  const core = new IrqCore(device, hw);
  const platform = buildInterruptPlatform(core, vectors);
  hw.attach(core.windows);
  const violations: string[] = [];
  device.violations.on(({ rule }) => violations.push(rule));
  const irqs = new Irqs(core);
  const log = (id: string): string[] =>
    device.log
      .records()
      .filter((record) => record.id === id)
      .map(({ text }) => text);
  return { clock, device, hw, core, platform, violations, irqs, log };
}

export type Scene = ReturnType<typeof scene>;

/** A device's message domain as the message core makes one: what its parent adds, over slots that remember what is written. */
export class FakeDevice {
  readonly irqDomain: IrqDomain;
  readonly draft: MsiDomainDraft;
  /** What was done to the slots: `mask 0`, `unmask 0`, `write 0 address/data`. */
  readonly done: string[] = [];
  readonly messages = new Map<number, MsiMsg>();
  #next = 0;

  constructor(
    private readonly scene: Scene,
    readonly busToken: BusToken = 'pci-device-ims',
    { flags = [], hasMask = true }: { flags?: MsiFlag[]; hasMask?: boolean } = {},
  ) {
    const { core, platform } = scene;
    const chip: IrqChip = {
      name: 'FAKE-MSI',
      ...(hasMask && {
        mask: (data) => this.done.push(`mask ${data.hwirq}`),
        unmask: (data) => this.done.push(`unmask ${data.hwirq}`),
      }),
      writeMsiMsg: (data, msg) => {
        this.messages.set(data.hwirq, msg);
        this.done.push(`write ${data.hwirq} ${msg.addressLo.toString(16)}/${msg.data.toString(16)}`);
      },
    };
    this.draft = {
      device: new Device({ name: '0000:6a:01.0' }),
      busToken,
      flags: new Set(flags),
      chip,
      flow: () => {},
      flowName: '',
    };
    const parent = platform.msiParent!;
    const refused = parent.msiParent!.initDeviceDomain(this.draft, parent, parent);
    if (refused !== undefined) throw new Error(refused);
    const own: IrqChip = {
      setAffinity(data, mask, force) {
        const result = chipParent.setAffinity(data, mask, force);
        if (result !== 'done' && result !== 'busy') data.chip.writeMsiMsg?.(data, composeMsg(data));
        return result;
      },
      ...this.draft.chip,
    };
    this.irqDomain = new IrqDomain(core, {
      name: 'FAKE-MSI',
      parent,
      busToken,
      ops: {
        alloc: (domain, virq, count, info) => {
          domain.allocParent(virq, count, info);
          for (let n = 0; n < count; n++) {
            domain.setHwirq(virq + n, info.hwirq + n, own);
            setHandler(core.descs[virq + n]!, this.draft.flow, this.draft.flowName);
          }
        },
        free: (domain, virq, count) => domain.freeParent(virq, count),
        activate: (_domain, data) => own.writeMsiMsg?.(data, composeMsg(data)),
        deactivate: (_domain, data) => own.writeMsiMsg?.(data, { addressLo: 0, addressHi: 0, data: 0 }),
      },
    });
  }

  /** Allocates an interrupt that gives its vector back when it is released, as MSI-X does, or keeps it, as IMS does. */
  alloc(options: { cpus?: number[]; managed?: boolean; count?: number; mask?: number[] } = {}): IrqDesc {
    const { cpus, managed = false, count = 1, mask } = options;
    const affinity: IrqAffinityDesc[] | undefined =
      cpus && Array.from({ length: count }, () => ({ mask: CpuMask.from(cpus), managed }));
    const info = {
      kind: this.busToken === 'pci-device-msi' ? ('msi' as const) : ('msix' as const),
      hwirq: this.#next,
      requesterId: REQUESTER,
      device: undefined,
      desc: undefined,
      ...(mask && { mask: CpuMask.from(mask) }),
    };
    const virq = this.irqDomain.allocIrqs(count, info, { affinity });
    this.#next += count;
    const desc = this.scene.core.descs[virq]!;
    if (this.busToken.endsWith('ims')) desc.state &= ~S.CAN_RESERVE;
    return desc;
  }

  free(desc: IrqDesc): void {
    this.irqDomain.freeIrqs(desc.virq, 1);
  }

  /** The device raises an interrupt, by the message in its slot. */
  fire(desc: IrqDesc): void {
    this.scene.hw.message(REQUESTER, this.messages.get(desc.data.hwirq)!);
  }
}

/** Requests an interrupt; what comes is pushed to `heard` as its number. */
export function request({ core }: Scene, desc: IrqDesc, heard: number[] = [], spec: IrqSpec = {}): IrqAction {
  return requestIrq(core, undefined, desc.virq, { name: 'test', hard: (virq) => void heard.push(virq), ...spec });
}

export const release = (action: IrqAction): void => void freeIrq(action);

/** Where an interrupt is delivered: `cpu:vector`, or `none`. */
export function place({ core }: Scene, desc: IrqDesc): string {
  for (let cpu = 0; cpu < core.cpus.count; cpu++) {
    for (let vector = 0; vector < 256; vector++) {
      if (core.vector(cpu, vector) === desc && desc.effective.has(cpu)) return `${cpu}:${vector}`;
    }
  }
  return 'none';
}
