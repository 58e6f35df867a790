import { LOG_LEVELS, type LogRecord } from '../../core/lib/log.js';
import type { Context, Ongoing } from '../command.js';
import type { Paint } from '../out.js';
import { UsageError } from '../usage-error.js';

/** What is there for who looks for a fault is shown to who asks for it. */
const DEFAULT_LEVELS = LOG_LEVELS.filter((level) => level !== 'debug');

/** Prints the log, and with `-w` what comes to it. */
export function dmesg({ system, args, out }: Context): Ongoing | void {
  const levels: readonly string[] = args.value('level')?.split(',') ?? DEFAULT_LEVELS;
  for (const level of levels) {
    if (!LOG_LEVELS.some((one) => one === level)) throw new UsageError(`--level is of ${LOG_LEVELS.join(', ')}, got '${level}'`);
  }
  const print = (record: LogRecord): void => {
    if (levels.includes(record.level)) out.show(record, (paint) => [line(record, paint)]);
  };
  const { log } = system.core;
  log.records().forEach(print);
  if (args.count('follow') === 0) return;
  const following = log.follow(print);
  return { stop: () => following.dispose() };
}

/** `[    0.000010] 0000:00:04.0: text`, in virtual time. @see Linux 6.12 kernel/printk/printk.c print_time */
function line({ timeUs, level, who, text }: LogRecord, paint: Paint): string {
  const seconds = Math.floor(timeUs / 1e6);
  const stamp = `[${String(seconds).padStart(5)}.${String(Math.floor(timeUs % 1e6)).padStart(6, '0')}]`;
  const isBad = LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf('err');
  const said = isBad ? paint('red', text) : level === 'warn' ? paint('yellow', text) : text;
  return `${paint('green', stamp)} ${who}: ${said}`;
}
