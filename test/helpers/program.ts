import { execFileSync } from 'node:child_process';
import { beforeAll, describe } from 'vitest';

/** A program of the system that some tests need. */
export interface NeededProgram {
  readonly name: string;
  /** The Debian package that has it. */
  readonly package: string;
  /** What shows that it runs; default `--version`. */
  readonly args?: readonly string[];
}

/** Something else that keeps tests from running. */
export interface Obstacle {
  /** By which `BACKPLANE_REQUIRE` asks for what is missing. */
  readonly name: string;
  readonly reason: string;
}

function runs({ name, args = ['--version'] }: NeededProgram): boolean {
  try {
    execFileSync(name, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Describes what needs programs of the system. Where one is missing it is skipped by name with the reason, or fails when
 * `BACKPLANE_REQUIRE` names it.
 */
export function describeWith(programs: readonly NeededProgram[], what: string, body: () => void, obstacle?: Obstacle): void {
  const required = (process.env['BACKPLANE_REQUIRE'] ?? '').split(',');
  const missing: Obstacle[] = programs
    .filter((program) => !runs(program))
    .map(({ name, package: from }) => ({ name, reason: `${name} does not run: install ${from}` }));
  if (obstacle !== undefined) missing.push(obstacle);
  const reasons = missing.map(({ reason }) => reason).join('; ');
  const isSkipped = missing.length > 0 && !missing.some(({ name }) => required.includes(name));
  describe.skipIf(isSkipped)(`${what}${missing.length > 0 ? `: ${reasons}` : ''}`, () => {
    beforeAll(() => {
      if (missing.length > 0) throw new Error(`BACKPLANE_REQUIRE asks for it: ${reasons}`);
    });
    body();
  });
}
