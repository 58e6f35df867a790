import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Errno, describeError } from '../../core/lib/errno.js';
import { type QtestConfig, checkBinary, commandLine, haltingBios } from './qtest-options.js';

/**
 * QEMU's parent: runs it, writes down its process id and how it ended, and waits for the end of its own standard input,
 * which is a pipe that our process holds and never writes to. The end comes when we let go, by will or by death: then QEMU
 * is killed and its folder removed. There is no other way out, so an ordinary stop and our own crash run the same lines.
 */
const GUARD = `
dir=$1; shift
exec 3<&0
"$@" </dev/null >/dev/null 2>"$dir/stderr" 3<&- &
qemu=$!
echo $qemu >"$dir/pid"
( read -r _ <&3; [ -s "$dir/status" ] || kill -9 $qemu ) 2>/dev/null &
wait $qemu
echo $? >"$dir/status"
wait
rm -rf "$dir"
`;

/** Time for the guard to note the exit of a QEMU whose pipe has ended. */
const EXIT_NOTE_MS = 1000;
const STDERR_TAIL = 1000;

/** Blocks this thread. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** One QEMU with its folder: `qtest.in`, `qtest.out` (FIFOs), `ram`, `bios`, `stderr`, `pid`, `status`. @internal */
export class QtestProcess {
  readonly dir: string;
  readonly #guard: ChildProcess;
  readonly #gone: Promise<void>;
  #unguarded = false;

  /**
   * Starts QEMU; it may still fail at once, which {@link exited} tells.
   * @throws {Errno} ENOENT when the binary is missing; EIO when the folder cannot be made
   */
  constructor(config: QtestConfig) {
    checkBinary(config.qemu[0]!);
    let dir: string | undefined;
    try {
      dir = this.dir = mkdtempSync(join(tmpdir(), 'backplane-qemu-'));
      execFileSync('mkfifo', [this.path('qtest.in'), this.path('qtest.out')], { stdio: 'ignore' });
      writeFileSync(this.path('bios'), haltingBios());
      writeFileSync(this.path('ram'), '');
      truncateSync(this.path('ram'), config.memoryMiB * 2 ** 20);
      // A session of its own: an interrupt typed at the terminal must not reach the guard before us.
      this.#guard = spawn('sh', ['-c', GUARD, 'backplane-qemu', dir, ...commandLine(config, dir)], {
        stdio: ['pipe', 'ignore', 'ignore'],
        detached: true,
      });
    } catch (error) {
      if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
      throw new Errno('EIO', `qemu: cannot be prepared in ${tmpdir()}: ${describeError(error)}`, { cause: error });
    }
    this.#gone = new Promise((resolve) => {
      const gone = (): void => {
        this.#unguarded = true;
        rmSync(this.dir, { recursive: true, force: true });
        resolve();
      };
      this.#guard.on('exit', gone);
      this.#guard.on('error', gone);
    });
    // A program that forgets to stop its host may end all the same.
    this.#guard.unref();
    (this.#guard.stdin as { unref?: () => void } | null)?.unref?.();
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Process id of QEMU; undefined in the first moment. */
  get pid(): number | undefined {
    return this.#note('pid');
  }

  /** How QEMU ended, with the last of what it wrote to stderr; undefined while it runs. */
  exited(): string | undefined {
    const status = this.#note('status');
    if (status === undefined) return this.#unguarded ? 'lost its parent, the process that guards it' : undefined;
    const how = status > 128 ? `killed by signal ${status - 128}` : `exited with status ${status}`;
    const said = this.#read('stderr').trim().slice(-STDERR_TAIL).replaceAll('\n', '; ');
    return said === '' ? how : `${how}: ${said}`;
  }

  /** As `exited`, once its pipe has ended: the note of the exit is at most a moment away. */
  ended(): string {
    for (let ms = 0; ms < EXIT_NOTE_MS; ms++) {
      const text = this.exited();
      if (text !== undefined) return text;
      pause(1);
    }
    return 'exited';
  }

  /** Kills QEMU if it lives, and removes the folder. Idempotent. */
  async stop(): Promise<void> {
    this.#guard.ref();
    this.#guard.stdin?.destroy();
    await this.#gone;
  }

  #note(name: 'pid' | 'status'): number | undefined {
    const text = this.#read(name);
    return text.endsWith('\n') ? Number(text) : undefined;
  }

  #read(name: string): string {
    try {
      return readFileSync(this.path(name), 'utf8');
    } catch {
      return '';
    }
  }
}
