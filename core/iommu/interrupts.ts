import type { RemapFault } from '../hal/index.js';
import {
  type IrqCore,
  type IrqDomain,
  LineDomain,
  VectorDomain,
  type VectorMatrix,
  type VectorOptions,
  createDoorbellDomain,
} from '../irq/index.js';
import { RemapDomain } from './remap-domain.js';

/** What lies between the CPUs and the interrupt domains of devices. */
export interface InterruptPlatform {
  /** The domain at the CPUs; undefined on a host without interrupt hardware. */
  readonly root: IrqDomain | undefined;
  /** The parent of devices' message domains; undefined where devices have lines alone. */
  readonly msiParent: IrqDomain | undefined;
  /** The wired interrupts, where there are any. */
  readonly lines: LineDomain | undefined;
  /** The vectors of the CPUs, where there are APICs. */
  readonly matrix: VectorMatrix | undefined;
  /** Messages that were refused last, oldest first; at most 256. */
  readonly faults: readonly RemapFault[];
  /** Takes it all away; the interrupts of devices must be gone. */
  close(): void;
}

/** Builds the domains that a host's interrupt hardware asks for: `VECTOR`, `INTEL-IR` on it, `IO-APIC` on that; or doorbells. */
export function buildInterruptPlatform(core: IrqCore, options: VectorOptions = {}): InterruptPlatform {
  const { controller } = core;
  if (controller === undefined) return { ...NOTHING, close() {} };
  const { messages, lines: inputs } = controller;
  if (messages.kind === 'doorbell') {
    const root = createDoorbellDomain(core, controller, messages);
    const lines = inputs && new LineDomain(core, inputs, root, 'LINES');
    const close = (): void => {
      lines?.close();
      root.remove();
    };
    return { ...NOTHING, root, msiParent: root, lines, close };
  }
  const vectors = new VectorDomain(core, controller, messages, options);
  const root = vectors.domain;
  const unit = messages.remapping;
  const remap = unit && new RemapDomain(core, unit, vectors, (cpu) => messages.apicId(cpu));
  const parent = remap?.domain ?? root;
  const lines = inputs && new LineDomain(core, inputs, parent, remap === undefined ? 'IO-APIC' : 'IR-IO-APIC');
  return {
    root,
    msiParent: messages.msi ? parent : undefined,
    lines,
    matrix: vectors.matrix,
    faults: remap?.faults.list ?? [],
    close() {
      lines?.close();
      remap?.close();
      vectors.close();
    },
  };
}

const NOTHING = { root: undefined, msiParent: undefined, lines: undefined, matrix: undefined, faults: [] };
