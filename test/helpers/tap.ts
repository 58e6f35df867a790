import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { NeededProgram, Obstacle } from './program.js';

/** What tests of TAP interfaces run. */
export const TAP_PROGRAMS: readonly NeededProgram[] = [
  { name: 'socat', package: 'socat', args: ['-V'] },
  { name: 'ping', package: 'iputils-ping', args: ['-V'] },
];

/** Why there can be no TAP interface here: asked of Linux, and not of what is tested. */
export function tapObstacle(): Obstacle | undefined {
  const because = (reason: string): Obstacle => ({ name: 'tap', reason });
  if (process.platform !== 'linux') return because(`no TAP interfaces on ${process.platform}`);
  if (!existsSync('/dev/net/tun')) return because('/dev/net/tun is missing');
  const name = `bptry${process.pid % 1_000_000}`;
  try {
    execFileSync('ip', ['tuntap', 'add', 'dev', name, 'mode', 'tap'], { stdio: 'pipe' });
    execFileSync('ip', ['tuntap', 'del', 'dev', name, 'mode', 'tap'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message.trim().split('\n').at(-1)! : String(error);
    return because(`no TAP interface can be made: ${text}`);
  }
}
