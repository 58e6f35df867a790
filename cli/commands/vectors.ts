import { Errno } from '../../core/index.js';
import { dumpMatrix } from '../../core/irq/matrix-dump.js';
import { type CpuVectorsView, type VectorTotals, vectorsView } from '../../core/irq/vector-view.js';
import type { Context } from '../command.js';

/** What a line of the map may be long. */
const WIDTH = 80;

/** Shows which vector of which CPU is which interrupt, or the accounts as Linux's debugfs does. */
export function vectors({ system, args, out }: Context): void {
  const { core } = system.kernel.irqs;
  const view = vectorsView(core);
  const matrix = core.vectorDomain?.matrix;
  if (args.count('matrix') > 0) {
    if (matrix === undefined) throw new Errno('EOPNOTSUPP', `${system.kernel.host.name}: has no APICs, and so no vector matrix`);
    out.show(view, () => dumpMatrix(matrix).trimEnd().split('\n'));
    return;
  }
  out.show(view, () => [...map(view.cpus), ...summary(view.totals, view.unexpected)]);
}

/** CPUs without vectors in use that are alike are one row. */
function map(cpus: readonly CpuVectorsView[]): string[] {
  const rows: { cpus: string; counts: string; vectors: string[] }[] = [];
  let first = 0;
  for (const [i, view] of cpus.entries()) {
    const counts = countsText(view);
    const last = rows.at(-1);
    if (last !== undefined && last.vectors.length === 0 && view.vectors.length === 0 && last.counts === counts) {
      last.cpus = `${first}-${i}`;
    } else {
      first = i;
      rows.push({ cpus: `${i}`, counts, vectors: runs(view) });
    }
  }
  const width = Math.max(3, ...rows.map(({ cpus }) => cpus.length));
  const heading = `${'CPU'.padStart(width)}  FREE  USED  MANAGED  VECTOR=IRQ`;
  return [heading, ...rows.flatMap((row) => folded(`${row.cpus.padStart(width)}  ${row.counts}`, row.vectors))];
}

/** `FREE`, `USED` and, of the managed ones, how many of how many are in use. */
function countsText({ online, counts, vectors }: CpuVectorsView): string {
  if (!online) return 'offline'.padEnd(19);
  if (counts === undefined) return `${'-'.padStart(4)}  ${`${vectors.length}`.padStart(4)}  ${'-'.padStart(7)}`;
  const { available, allocated, managed, managedAllocated } = counts;
  const ofManaged = managed === 0 ? '-' : `${managedAllocated}/${managed}`;
  return `${`${available}`.padStart(4)}  ${`${allocated}`.padStart(4)}  ${ofManaged.padStart(7)}`;
}

/** Vectors in a row that are interrupts in a row are one: `0x21-0x23=24-26`. */
function runs({ vectors }: CpuVectorsView): string[] {
  const found: { vector: number; virq: number; count: number }[] = [];
  for (const { vector, virq } of vectors) {
    const last = found.at(-1);
    if (last !== undefined && last.vector + last.count === vector && last.virq + last.count === virq) last.count++;
    else found.push({ vector, virq, count: 1 });
  }
  return found.map(({ vector, virq, count }) =>
    count === 1 ? `${hex(vector)}=${virq}` : `${hex(vector)}-${hex(vector + count - 1)}=${virq}-${virq + count - 1}`,
  );
}

/** Words behind a margin, in lines that fit a terminal of 80 columns. */
function folded(margin: string, words: readonly string[]): string[] {
  const lines = [`${margin} `];
  for (const word of words) {
    const line = `${lines.at(-1)} ${word}`;
    if (line.length <= WIDTH || lines.at(-1)!.trim() === '') lines[lines.length - 1] = line;
    else lines.push(`${' '.repeat(margin.length)}  ${word}`);
  }
  return lines.map((line) => line.trimEnd());
}

function summary(totals: VectorTotals | undefined, unexpected: number): string[] {
  const stray = `${unexpected} came for nobody`;
  if (totals === undefined) return [`in all: ${stray}`];
  const { available, allocated, reserved, system } = totals;
  return [
    `in all: ${available} free, ${allocated} used, ${reserved} reserved; ${stray}`,
    `of the system on every CPU: ${system.map(hex).join(' ') || 'none'}`,
  ];
}

const hex = (vector: number): string => `0x${vector.toString(16)}`;
