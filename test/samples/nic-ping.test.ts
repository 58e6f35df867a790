import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { describeWith } from '../helpers/program.js';
import { TAP_PROGRAMS, tapObstacle } from '../helpers/tap.js';

vi.setConfig({ testTimeout: 90_000 });

describeWith(
  TAP_PROGRAMS,
  'the sample nic-ping with a tap',
  () => {
    test("this machine's ping crosses the adapter and its driver", async () => {
      const sample = fileURLToPath(new URL('../../dist/samples/nic-ping.js', import.meta.url));
      // Tests of another copy may have the interface at this moment.
      const run = (): Promise<{ stdout: string; stderr: string }> => promisify(execFile)(process.execPath, [sample]);
      const { stdout, stderr } = await vi.waitFor(run, { timeout: 60_000, interval: 1000 });
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^backplane0 is 198\.51\.100\.1\/24; eth0 is 198\.51\.100\.2, 02(:[0-9a-f]{2}){5}, with carrier\n/);
      expect(stdout).toMatch(/\n3 packets transmitted, 3 received, 0% packet loss/);
      expect(stdout).toMatch(/\neth0: 3 echoes of \d+ frames, \d+ sent\n$/);
    });
  },
  tapObstacle(),
);
