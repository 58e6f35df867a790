import type { Window } from '../../../core/hal/index.js';
import type {
  BarSpec,
  EndpointConfig,
  Machine,
  Model,
  ModelContext,
  PciModel,
  PciModelContext,
  PlatformModel,
  ResetKind,
} from '../../../hw/sim/index.js';

/** A model whose registers are plain memory, and which remembers what happened to it. */
export class Scratch implements Model, Window {
  readonly data: DataView;
  readonly regions: { readonly 0: Window } = { 0: this };
  readonly events: string[] = [];
  constructor(
    readonly context: ModelContext,
    readonly sizeBytes: number,
  ) {
    this.data = new DataView(new ArrayBuffer(sizeBytes));
  }
  reset(kind: ResetKind): void {
    this.events.push(`reset ${kind}`);
  }
  read8(offset: number): number {
    return this.data.getUint8(offset);
  }
  read16(offset: number): number {
    return this.data.getUint16(offset, true);
  }
  read32(offset: number): number {
    return this.data.getUint32(offset, true);
  }
  read64(offset: number, out: Uint32Array): void {
    out[0] = this.data.getUint32(offset, true);
    out[1] = this.data.getUint32(offset + 4, true);
  }
  write8(offset: number, value: number): void {
    this.events.push(`write8 ${offset} ${value}`);
    this.data.setUint8(offset, value);
  }
  write16(offset: number, value: number): void {
    this.events.push(`write16 ${offset} ${value}`);
    this.data.setUint16(offset, value, true);
  }
  write32(offset: number, value: number): void {
    this.events.push(`write32 ${offset} ${value}`);
    this.data.setUint32(offset, value, true);
  }
  write64(offset: number, lo: number, hi: number): void {
    this.events.push(`write64 ${offset} ${lo} ${hi}`);
    this.data.setUint32(offset, lo, true);
    this.data.setUint32(offset + 4, hi, true);
  }
}

export const SCRATCH_BYTES = 4096;

/** A kind of scratch device; `made` are its instances, in order. */
export interface ScratchKind extends PciModel {
  readonly made: (Scratch & { readonly context: PciModelContext })[];
}

export function scratch(config: Partial<EndpointConfig> = {}, bar: Partial<BarSpec> = {}): ScratchKind {
  const made: ScratchKind['made'] = [];
  const spec: BarSpec = { kind: 'mem32', sizeBytes: SCRATCH_BYTES, ...bar };
  return {
    name: 'scratch',
    made,
    config: { vendor: 0x1af4, device: 0x10f0, classCode: 0xff_0000, bars: { 0: spec }, ...config },
    create(context) {
      const model = new Scratch(context, spec.sizeBytes) as ScratchKind['made'][number];
      made.push(model);
      return model;
    },
  };
}

/** As {@link scratch}, for a fixed address. */
export function platformScratch(): PlatformModel & { readonly made: Scratch[] } {
  const made: Scratch[] = [];
  return {
    name: 'scratch',
    sizeBytes: SCRATCH_BYTES,
    made,
    create(context) {
      const model = new Scratch(context, SCRATCH_BYTES);
      made.push(model);
      return model;
    },
  };
}

/** Memory, I/O and bus master. */
export const ENABLE = 0x7;

/** Gives BAR 0 of a function an address and switches the function on. */
export function assign(machine: Machine, bus: number, devfn: number, address: number): void {
  const config = machine.pci[0]!.config(bus, devfn);
  config.write32(0x10, address);
  config.write16(0x04, ENABLE);
}

/** Bus numbers and a memory window for a bridge on the root bus, switched on. */
export function openBridge(
  machine: Machine,
  devfn: number,
  secondary: number,
  base: number,
  limit: number,
  subordinate = secondary,
): void {
  const config = machine.pci[0]!.config(0, devfn);
  config.write8(0x18, 0);
  config.write8(0x19, secondary);
  config.write8(0x1a, subordinate);
  config.write16(0x20, base / 2 ** 16);
  config.write16(0x22, limit / 2 ** 16);
  config.write16(0x04, ENABLE);
}
