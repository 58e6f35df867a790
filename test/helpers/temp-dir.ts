import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for temporary files, removed at the end of the scope. */
export class TempDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'backplane-test-'));

  /** What is in it. */
  get names(): string[] {
    return readdirSync(this.path);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
