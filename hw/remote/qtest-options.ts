import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { checkRange } from '../../core/lib/bits.js';
import { Errno } from '../../core/lib/errno.js';

/** What a {@link QtestHost} starts. */
export interface QtestOptions {
  /** Path or name of the QEMU binary, or a whole command prefix; default `qemu-system-x86_64`. */
  readonly qemu?: string | readonly string[];
  /** Default `q35`, which has extended configuration space; `pc` has 256 bytes. */
  readonly machine?: 'q35' | 'pc';
  /** One `-device` argument each: `edu,addr=4`. */
  readonly devices?: readonly string[];
  /** Guest memory in MiB: 8 to 2048, default 128. It is a sparse file. */
  readonly memoryMiB?: number;
  /** More arguments for QEMU, after all others. */
  readonly args?: readonly string[];
  /**
   * `qtest` moves QEMU's virtual clock by command, `tcg` lets it follow real time; `auto` (default) is `qtest` where the
   * binary has it (Debian 12's 7.2 has not).
   */
  readonly accel?: 'auto' | 'qtest' | 'tcg';
  /** Time for QEMU to answer its first command, in milliseconds: 1 to 600,000, default 20,000. */
  readonly startTimeoutMs?: number;
  /** A QEMU silent for longer within one command is killed, in milliseconds: 1 to 600,000, default 10,000. */
  readonly replyTimeoutMs?: number;
}

/** {@link QtestOptions}, checked and complete. @internal */
export interface QtestConfig extends Required<Omit<QtestOptions, 'qemu'>> {
  readonly qemu: readonly string[];
}

/**
 * @throws {Errno} ERANGE when a number is out of range; EINVAL when an argument is empty or holds a NUL
 * @internal
 */
export function checkOptions(options: QtestOptions): QtestConfig {
  const { qemu = 'qemu-system-x86_64' } = options;
  const config: QtestConfig = {
    qemu: typeof qemu === 'string' ? [qemu] : qemu,
    machine: options.machine ?? 'q35',
    devices: options.devices ?? [],
    memoryMiB: options.memoryMiB ?? 128,
    args: options.args ?? [],
    accel: options.accel ?? 'auto',
    startTimeoutMs: options.startTimeoutMs ?? 20_000,
    replyTimeoutMs: options.replyTimeoutMs ?? 10_000,
  };
  checkRange('qtest', 'memoryMiB', config.memoryMiB, 8, 2048);
  checkRange('qtest', 'startTimeoutMs', config.startTimeoutMs, 1, 600_000);
  checkRange('qtest', 'replyTimeoutMs', config.replyTimeoutMs, 1, 600_000);
  if (config.qemu.length === 0) throw new Errno('EINVAL', 'qtest: an empty command is no QEMU');
  for (const text of [...config.qemu, ...config.devices, ...config.args]) {
    if (text === '' || text.includes('\0')) throw new Errno('EINVAL', `qtest: '${text}' is no command line argument`);
  }
  return config;
}

/**
 * The whole command line, for a QEMU whose files are in `dir`.
 *
 * QEMU takes the first accelerator of the list that it has, and names the missing ones on stderr. With `tcg` the processor
 * really runs, so the firmware is one that halts it; with `qtest` it is never executed.
 * @internal
 */
export function commandLine(config: QtestConfig, dir: string): string[] {
  const path = dir.replaceAll(',', ',,');
  const accel = config.accel === 'auto' ? 'qtest:tcg' : config.accel;
  const pairs = [
    ['-display', 'none'],
    ['-machine', `${config.machine},accel=${accel},memory-backend=ram`],
    ['-m', `${config.memoryMiB}M`],
    ['-object', `memory-backend-file,id=ram,size=${config.memoryMiB}M,mem-path=${path}/ram,share=on`],
    ['-bios', `${dir}/bios`],
    ['-qtest', `pipe:${path}/qtest`],
    ['-qtest-log', '/dev/null'],
    ...config.devices.map((device) => ['-device', device]),
  ];
  return [...config.qemu, '-nodefaults', '-no-user-config', ...pairs.flat(), ...config.args];
}

/** A 64 KiB image that halts the processor: at the reset vector stands `cli; hlt; jmp` back. @internal */
export function haltingBios(): Uint8Array {
  const image = new Uint8Array(0x1_0000);
  image.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);
  return image;
}

/**
 * Finds a command as a shell would.
 * @throws {Errno} ENOENT when there is no such executable file
 * @internal
 */
export function checkBinary(command: string): void {
  const places = command.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter);
  for (const place of places) {
    try {
      accessSync(place === '' ? command : join(place, command), constants.X_OK);
      return;
    } catch {
      // Not there: the next one.
    }
  }
  throw new Errno(
    'ENOENT',
    `qemu: ${command} is not an executable file${places[0] === '' ? '' : ' of PATH'}: ` +
      `install Debian's qemu-system-x86 or give a path`,
  );
}
