import { type IommuTable, NOT_ALLOWED, NOT_MAPPED } from '../../../core/hal/index.js';
import { type DmaPort, Machine, type MachineOptions } from '../../../hw/sim/index.js';
import { ENABLE, scratch } from './fixture.js';

export const PAGE = 4096;
export const ONES = 0xffff_ffff;
/** 00:04.0 and 00:05.0. */
export const [A, B] = [0x20, 0x28];

/** A table of single pages, or of larger ones by `sizes`. */
export class Pages implements IommuTable {
  readonly entries = new Map<number, { physical: number; access: 'r' | 'w' | 'rw' }>();
  walks = 0;
  /** Runs after a walk has found what it gives. */
  onWalk: (iova: number) => void = () => {};

  constructor(readonly size = PAGE) {}

  map(iova: number, physical: number, access: 'r' | 'w' | 'rw' = 'rw'): this {
    this.entries.set(iova, { physical, access });
    return this;
  }

  walk(iova: number, isWrite: boolean): number {
    this.walks++;
    const start = iova - (iova % this.size);
    const entry = this.entries.get(start);
    const found = entry === undefined ? NOT_MAPPED : entry.access.includes(isWrite ? 'w' : 'r') ? 0 : NOT_ALLOWED;
    const result = entry === undefined || found < 0 ? found : entry.physical + iova - start;
    this.onWalk(iova);
    return result;
  }

  pageBytes(): number {
    return this.size;
  }
}

/** Two functions, and `pages` pages of memory, each filled with its number from 1 on. */
export function setUp(options: MachineOptions = {}, pages = 4) {
  const kind = scratch();
  const devices = [
    { at: '00:04.0', model: kind },
    { at: '00:05.0', model: kind },
  ];
  const machine = new Machine({ clock: 'manual', devices, ...options });
  for (const devfn of [A, B]) machine.pci[0]!.config(0, devfn).write16(0x04, ENABLE);
  const base = machine.dma.alloc(pages * PAGE, { mask: 2 ** 40 });
  const memory = machine.dma.view(base, pages * PAGE);
  for (let n = 0; n < pages; n++) memory.fill(n + 1, n * PAGE, (n + 1) * PAGE);
  const [a, b] = kind.made.map((model): DmaPort => model.context.dma) as [DmaPort, DmaPort];
  /** Physical address of page `n`. */
  const page = (n: number): number => base + n * PAGE;
  return { machine, unit: machine.iommu!, a, b, kind, memory, page };
}

/** The byte there. */
export function byte(dma: DmaPort, address: number, pasid?: number): number {
  const buffer = new Uint8Array(1);
  dma.read(address, buffer, 0, 1, pasid);
  return buffer[0]!;
}

/** What was refused: address, `r` or `w`, reason. */
export const faults = (machine: Machine) =>
  machine.iommuFaults.map(({ iova, isWrite, reason }) => [iova, isWrite ? 'w' : 'r', reason]);
