import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Result } from '../../bench/row.js';

const RUN_ROW = fileURLToPath(new URL('../../dist/bench/run-row.js', import.meta.url));

describe('nothing is allocated', () => {
  test.each([
    ['P5-heap', 'for an interrupt on its way from the device to the handler'],
    ['dsa-noop-heap', 'for a descriptor in the accelerator'],
    ['dsa-move-heap', 'for a move of it through the IOMMU'],
    ['idxd-noop-heap', 'for a transfer of a DMA channel, from its preparation to its client, by interrupt'],
    ['idxd-move-heap', 'for a transfer that moves memory'],
    ['nic-heap', 'for a packet from one adapter to the other, by both drivers'],
    ['nic-heap-1500', 'for a long one'],
  ])(
    '%s: %s',
    (row) => {
      // A process of its own, with compiled code; of a million calls, so that one allocation each would be 16 bytes or more.
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', RUN_ROW, row, '3', '1'], {
        encoding: 'utf8',
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const { value } = JSON.parse(stdout) as Result;
      // What is allocated for many at once counts for next to nothing.
      expect(value).toBeLessThan(4);
    },
    120_000,
  );
});
