import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe } from 'vitest';
import type { QtestOptions } from '../../hw/remote/qtest.js';

/** One of the QEMUs that tests run on. */
export interface Qemu {
  readonly name: 'qemu72' | 'qemu11';
  readonly available: boolean;
  /** Why it is not available. */
  readonly reason?: string;
  /** Whether it has `accel=qtest`. */
  readonly time: 'virtual' | 'real';
  /** What a `QtestHost` needs to run it. */
  readonly options: QtestOptions;
}

type Wanted = Pick<Qemu, 'name' | 'time'> & { readonly version: RegExp; readonly remedy: string };

function find(path: string, { name, time, version, remedy }: Wanted): Qemu {
  const missing = (what: string): Qemu => ({ name, time, available: false, reason: `${path} ${what}: ${remedy}`, options: {} });
  if (path.includes('/') && !existsSync(path)) return missing('is missing');
  try {
    const [line = ''] = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: 'pipe' }).split('\n');
    return version.test(line) ? { name, time, available: true, options: { qemu: path } } : missing(`is '${line}'`);
  } catch {
    return missing('does not run');
  }
}

let found: readonly Qemu[] | undefined;

/** The QEMUs that tests know, found or not: Debian 12's own, and the pinned one that `.ci/qemu11` unpacks. */
export function qemus(): readonly Qemu[] {
  const unpacked = fileURLToPath(new URL('../../.backplane/qemu11/qemu-system-x86_64', import.meta.url));
  found ??= [
    find('qemu-system-x86_64', {
      name: 'qemu72',
      time: 'real',
      version: /version 7\.2\./,
      remedy: 'install qemu-system-x86 of Debian 12',
    }),
    find(process.env['BACKPLANE_QEMU11'] ?? unpacked, {
      name: 'qemu11',
      time: 'virtual',
      version: /version 1[1-9]\./,
      remedy: 'run .ci/qemu11',
    }),
  ];
  return found;
}

/**
 * Describes `what` once for each QEMU. One that is not available is skipped by name with the reason, or fails when
 * `BACKPLANE_REQUIRE` (a comma-separated list) names it.
 * @param time only those with time of this kind: the others are not what this is about, and are not skipped tests
 */
export function describeQemus(what: string, body: (qemu: Qemu) => void, time?: Qemu['time']): void {
  const required = (process.env['BACKPLANE_REQUIRE'] ?? '').split(',');
  for (const qemu of qemus().filter((one) => time === undefined || one.time === time)) {
    const { name, available, reason } = qemu;
    describe.skipIf(!available && !required.includes(name))(`${what} on ${name}${available ? '' : `: ${reason}`}`, () => {
      beforeAll(() => {
        if (!available) throw new Error(`BACKPLANE_REQUIRE asks for ${name}: ${reason}`);
      });
      body(qemu);
    });
  }
}
