import { formatRanges } from './bitmap.js';
import type { VectorMatrix } from './matrix.js';

/**
 * The table of Linux's debugfs: five lines of sums, a heading, a line for each online CPU.
 * @param indent columns before the lines of the table, at least 1
 * @see Linux 7.2 kernel/irq/matrix.c irq_matrix_debug_show
 */
export function dumpMatrix(matrix: VectorMatrix, indent = 1): string {
  const margin = ' '.repeat(indent);
  const system = matrix.systemVectors;
  const lines = [
    `Online bitmaps:   ${pad(matrix.onlineCpus.size, 6)}`,
    `Global available: ${pad(matrix.available, 6)}`,
    `Global reserved:  ${pad(matrix.reserved, 6)}`,
    `Total allocated:  ${pad(matrix.totalAllocated, 6)}`,
    `System: ${system.length}: ${formatRanges(system)}`,
    `${margin}| CPU | avl | man | mac | act | vectors`,
  ];
  for (const cpu of matrix.onlineCpus) {
    const { available, managed, managedAllocated, allocated, allocatedVectors } = matrix.cpu(cpu);
    const counts = `${pad(available, 4)}  ${pad(managed, 4)}  ${pad(managedAllocated, 4)} ${pad(allocated, 4)}`;
    lines.push(`${margin} ${pad(cpu, 4)}  ${counts}  ${formatRanges(allocatedVectors)}`);
  }
  return lines.join('\n') + '\n';
}

function pad(n: number, width: number): string {
  return `${n}`.padStart(width);
}
