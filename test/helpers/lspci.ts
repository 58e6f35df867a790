import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe } from 'vitest';
import { TempDir } from './temp-dir.js';

function isInstalled(): boolean {
  try {
    return execFileSync('lspci', ['--version'], { encoding: 'utf8', stdio: 'pipe' }).startsWith('lspci version 3.');
  } catch {
    return false;
  }
}

/**
 * Describes what is compared with the `lspci` of pciutils. Where that is missing it is skipped by name with the reason, or
 * fails when `BACKPLANE_REQUIRE` names `lspci`.
 */
export function describeLspci(what: string, body: () => void): void {
  const available = isInstalled();
  const required = (process.env['BACKPLANE_REQUIRE'] ?? '').split(',').includes('lspci');
  const reason = 'lspci does not run: install pciutils';
  describe.skipIf(!available && !required)(`${what}${available ? '' : `: ${reason}`}`, () => {
    beforeAll(() => {
      if (!available) throw new Error(`BACKPLANE_REQUIRE asks for lspci: ${reason}`);
    });
    body();
  });
}

/** What `lspci` makes of a dump. @param database names, in the format of the PCI ID database */
export function realLspci(dump: string, database: string, args: readonly string[]): string {
  using dir = new TempDir();
  const [file, ids] = [join(dir.path, 'dump'), join(dir.path, 'pci.ids')];
  writeFileSync(file, dump);
  writeFileSync(ids, database);
  return execFileSync('lspci', ['-F', file, '-i', ids, ...args], { encoding: 'utf8', stdio: 'pipe' });
}

/**
 * Drops what `lspci -F` says of the upper half of a 64-bit BAR: without the kernel it takes it for a BAR of its own when the
 * address is above 4 GiB.
 */
export function withoutUpperHalves(text: string): string {
  return text.replaceAll(/(\(64-bit, .*\n)\t(?:Region \d: )?Memory at .*\(.*\n/g, (all, first: string) =>
    /<unassigned>|<ignored>/.test(all.slice(first.length)) ? first : all,
  );
}
