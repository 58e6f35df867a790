import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Result } from '../../bench/row.js';

const RUN_ROW = fileURLToPath(new URL('../../dist/bench/run-row.js', import.meta.url));

describe('an interrupt on its way from the device to the handler', () => {
  test('allocates nothing', () => {
    // A process of its own, with compiled code; of a million interrupts, so that one allocation each would be 16 bytes or more.
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', RUN_ROW, 'P5-heap', '3', '1'], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { value } = JSON.parse(stdout) as Result;
    expect(value).toBeLessThan(1);
  }, 60_000);
});
