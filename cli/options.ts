import type { Option } from './args.js';
import { SHARED_OPTIONS } from './command.js';

/** Options that say which system a command is for. */
export const SYSTEM_OPTIONS: readonly Option[] = [
  { name: 'config', value: 'FILE', summary: 'configuration instead of backplane.config.{ts,js,json}' },
  { name: 'host', value: 'HOST', summary: 'where the hardware is: sim or qtest' },
  { name: 'device', value: 'DEVICE', multiple: true, summary: 'a device of the machine: edu, edu@00:05.0; on qtest edu,addr=4' },
  { name: 'plugin', value: 'PLUGIN', multiple: true, summary: 'a path, a package, or a name of ours: edu' },
  { name: 'seed', value: 'N', summary: 'source of all randomness, default 1' },
  { name: 'cpus', value: 'N', summary: 'CPUs of the simulated machine, 1 to 1024, default 1' },
  { name: 'interrupts', value: 'HOW', summary: 'of the simulated machine: remapped (default), plain, virtual or none' },
  { name: 'one-shot', summary: "use a system of its own even if 'backplane up' runs" },
  { name: 'socket', value: 'PATH', summary: "where 'backplane up' listens" },
];

/** Options that may stand anywhere on the command line of the program. */
export const PROGRAM_OPTIONS: readonly Option[] = [
  ...SYSTEM_OPTIONS,
  ...SHARED_OPTIONS,
  { name: 'no-color', summary: 'no colours on a terminal' },
  { name: 'version', short: 'V', summary: 'print the version' },
];
