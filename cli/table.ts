import type { CommandTable, ProgramCommand, SystemCommand } from './command.js';

/** Commands that act on a system; their code is loaded when they run. */
const SYSTEM_COMMANDS: readonly SystemCommand[] = [
  {
    name: 'tree',
    summary: 'show the devices as a tree',
    usage: '[device]',
    run: async (context) => (await import('./commands/tree.js')).tree(context),
  },
  {
    name: 'devices',
    summary: 'list the devices with bus or class, and driver',
    usage: '',
    run: async (context) => (await import('./commands/tree.js')).devices(context),
  },
  {
    name: 'lspci',
    summary: 'show PCI devices as lspci does',
    usage: '[device]',
    options: [
      { name: 'numeric', short: 'n', multiple: true, summary: 'numbers; twice: numbers and names' },
      { name: 'verbose', short: 'v', multiple: true, summary: 'details; twice: more' },
      { name: 'bus-tree', short: 't', summary: 'buses, bridges and devices as a tree' },
      { name: 'kernel', short: 'k', summary: 'the driver of each device' },
      { name: 'hex', short: 'x', multiple: true, summary: 'the header in hex; -xxx all 256 bytes, -xxxx all 4096' },
    ],
    run: async (context) => (await import('./commands/lspci.js')).lspci(context),
  },
  {
    name: 'attr',
    summary: 'list, read or write the attributes of a device, a bus, or a driver such as pci/edu',
    usage: '<device> [attribute] [value]',
    details: 'As ls, cat and echo on a directory of sysfs do. A line is written with its newline.',
    run: async (context) => (await import('./commands/attr.js')).attr(context),
  },
  {
    name: 'drivers',
    summary: 'list the drivers of each bus with their devices',
    usage: '',
    run: async (context) => (await import('./commands/drivers.js')).drivers(context),
  },
  {
    name: 'bind',
    summary: 'bind a device to a driver, or to the first that matches',
    usage: '<device> [driver]',
    run: async (context) => (await import('./commands/drivers.js')).bind(context),
  },
  {
    name: 'unbind',
    summary: 'unbind a device from its driver',
    usage: '<device>',
    run: async (context) => (await import('./commands/drivers.js')).unbind(context),
  },
  {
    name: 'override',
    summary: 'let a device match one driver only; without a driver, any again',
    usage: '<device> [driver]',
    run: async (context) => (await import('./commands/drivers.js')).override(context),
  },
  {
    name: 'explain',
    summary: 'tell why each driver did or did not bind to a device',
    usage: '<device>',
    run: async (context) => (await import('./commands/drivers.js')).explain(context),
  },
  {
    name: 'deferred',
    summary: 'list the devices that wait for something, with the reason',
    usage: '',
    run: async (context) => (await import('./commands/drivers.js')).deferred(context),
  },
  {
    name: 'plugins',
    summary: 'list the plugins that are loaded',
    usage: '',
    options: [{ name: 'tree', summary: 'with what each requires and its drivers' }],
    run: async (context) => (await import('./commands/plugins.js')).plugins(context),
  },
  {
    name: 'load',
    summary: 'load plugins: paths, packages, or names of ours',
    usage: '<file>...',
    run: async (context) => (await import('./commands/plugins.js')).load(context),
  },
  {
    name: 'unload',
    summary: 'unbind the devices of a plugin and unload it',
    usage: '<plugin>',
    run: async (context) => (await import('./commands/plugins.js')).unload(context),
  },
  {
    name: 'reload',
    summary: 'unload a plugin and load it again',
    usage: '<plugin>',
    options: [{ name: 'fresh', summary: 'import its file anew; the old module stays in memory' }],
    run: async (context) => (await import('./commands/plugins.js')).reload(context),
  },
  {
    name: 'interrupts',
    summary: 'show who uses which interrupt and how often it came, as /proc/interrupts',
    usage: '',
    options: [{ name: 'layout', value: 'LINUX', summary: 'of which Linux: 6.12 or 7.2, the default' }],
    run: async (context) => (await import('./commands/interrupts.js')).interrupts(context),
  },
  {
    name: 'irqtop',
    summary: 'show again and again how often interrupts come, the busiest first',
    usage: '',
    options: [
      { name: 'iterations', short: 'n', value: 'N', summary: 'end after so many; default when interrupted' },
      { name: 'delay', short: 'd', value: 'MS', summary: 'milliseconds between them, default 1000' },
    ],
    details: "Rates are of the system's own time: on a simulated machine 'backplane elapse' lets it pass.",
    run: async (context) => (await import('./commands/irqtop.js')).irqtop(context),
  },
  {
    name: 'irqs',
    summary: 'list all interrupts, or show one',
    usage: '[virq]',
    options: [{ name: 'domains', summary: 'each from its device to its CPU: message, chips, numbers, state' }],
    run: async (context) => (await import('./commands/irqs.js')).irqs(context),
  },
  {
    name: 'vectors',
    summary: 'show which vector of which CPU is which interrupt',
    usage: '',
    options: [{ name: 'matrix', summary: "the accounts of the CPUs, as in Linux's debugfs" }],
    run: async (context) => (await import('./commands/vectors.js')).vectors(context),
  },
  {
    name: 'graph',
    summary: 'draw the interrupt domains from the CPUs to the devices',
    usage: '',
    options: [
      { name: 'dot', summary: 'for Graphviz' },
      { name: 'mermaid', summary: 'for Mermaid' },
    ],
    run: async (context) => (await import('./commands/graph.js')).graph(context),
  },
  {
    name: 'iommu',
    summary: 'show which memory devices can reach',
    usage: '[device]',
    options: [
      { name: 'mappings', summary: 'what is mapped: address, PASID, and where it leads' },
      { name: 'dma', summary: 'the buffers that drivers have mapped, with their owners' },
      { name: 'faults', summary: 'the last accesses that were refused' },
    ],
    details: 'Without an option: groups, their domains, those at PASIDs too, and how much is mapped in each.',
    run: async (context) => (await import('./commands/iommu.js')).iommu(context),
  },
  {
    name: 'mdev',
    summary: 'show, make and remove the parts of devices that users can have',
    usage: '<action> [argument]...',
    details:
      'Actions: types, what can be made; list, what there is; create <parent> <type> <uuid>; remove <uuid>; show <uuid>, with its\n' +
      'interrupts and what it holds.',
    run: async (context) => (await import('./commands/mdev.js')).mdev(context),
  },
  {
    name: 'devlink',
    summary: 'show and set up ports, parameters and switches of devices, as devlink of iproute2 does',
    usage: '<object> [word]...',
    options: [
      { name: 'json', short: 'j', summary: 'print results as JSON' },
      { name: 'pretty', short: 'p', summary: 'print JSON on several lines' },
    ],
    details:
      'dev show [DEV] | dev info [DEV] | dev eswitch show DEV | dev eswitch set DEV mode {legacy|switchdev}\n' +
      'dev param show [DEV [name NAME]] | dev param set DEV name NAME value VALUE cmode {runtime|driverinit|permanent}\n' +
      'dev reload DEV [action {driver_reinit|fw_activate}] [limit no_reset]\n' +
      'port show [DEV/PORT] | port add DEV flavour pcisf pfnum N sfnum N [controller N] | port del DEV/PORT\n' +
      'port function set DEV/PORT [hw_addr ADDRESS] [state {active|inactive}] [roce {enable|disable}] [max_io_eqs N]\n' +
      '  [{migratable|ipsec_crypto|ipsec_packet} {enable|disable}]\n' +
      'resource show DEV | health show [DEV] | health recover DEV reporter NAME\n' +
      'health set DEV reporter NAME [grace_period MS] [auto_recover true|false]\n' +
      'DEV is pci/0000:06:00.0, DEV/PORT that with the number of a port, or the name of its network device.',
    run: async (context) => (await import('./commands/devlink.js')).devlink(context),
  },
  {
    name: 'hotplug',
    summary: 'put a device into the running machine',
    usage: '<place> <model>',
    details: 'A place is 00:05.0 on the root bus, or 00:1c.0/00.0 below a bridge.',
    run: async (context) => (await import('./commands/machine.js')).hotplug(context),
  },
  {
    name: 'yank',
    summary: 'pull a device out of the running machine',
    usage: '<device>',
    run: async (context) => (await import('./commands/machine.js')).yank(context),
  },
  {
    name: 'elapse',
    summary: 'let time pass, in microseconds',
    usage: '<us>',
    run: async (context) => (await import('./commands/machine.js')).elapse(context),
  },
  {
    name: 'dmesg',
    summary: 'print the log',
    usage: '',
    options: [
      { name: 'follow', short: 'w', summary: 'go on with each new line until interrupted' },
      { name: 'level', short: 'l', value: 'LEVELS', summary: 'only these: err,warn,debug; default all but debug' },
    ],
    run: async (context) => (await import('./commands/dmesg.js')).dmesg(context),
  },
  {
    name: 'help',
    summary: 'list the commands, or tell about one',
    usage: '[command]',
    run: async (context) => (await import('./commands/help.js')).help(context),
  },
  {
    name: 'complete',
    summary: 'list what the last word may become',
    usage: '[word]...',
    isHidden: true,
    run: async (context) => (await import('./complete.js')).complete(context),
  },
];

/** Commands that run in this process, whatever else runs. */
const PROGRAM_COMMANDS: readonly ProgramCommand[] = [
  {
    name: 'up',
    summary: 'keep a system running for other calls of this program, until interrupted',
    usage: '',
    run: async (program) => (await import('./up.js')).up(program),
  },
  {
    name: 'shell',
    summary: 'read commands from a terminal, a file or standard input',
    usage: '[script]',
    details:
      "A script ends at the first command that fails, with its exit code. '! command' must fail; '#' begins a comment.\n" +
      "'exit' ends a shell; completion and history work on a terminal.",
    run: async (program, args) => (await import('./shell.js')).shell(program, args),
  },
  {
    name: 'run',
    summary: 'run a sample, or a program in a file',
    usage: '<sample>',
    details: "'backplane samples' lists those that come with Backplane.",
    run: async (program, args) => (await import('./samples.js')).runSample(program, args),
  },
  {
    name: 'trace',
    summary: 'run a sample, or a program in a file, and write a Perfetto trace of its interrupts and devices',
    usage: '<sample>',
    options: [{ name: 'output', short: 'o', value: 'FILE', summary: 'default: the name of the sample with .perfetto-trace' }],
    details: 'For https://ui.perfetto.dev: arrows lead from the message of a device to its handlers.',
    run: async (program, args) => (await import('./commands/trace.js')).trace(program, args),
  },
  {
    name: 'samples',
    summary: 'list the samples that come with Backplane',
    usage: '',
    run: async (program) => (await import('./samples.js')).samples(program),
  },
  {
    name: 'completion',
    summary: 'print the completion of this program for bash',
    usage: '',
    details: 'For a shell: source <(backplane completion)',
    run: async (program) => (await import('./complete.js')).completion(program),
  },
];

/** All commands that are known without starting a system. */
export const COMMANDS: CommandTable = { system: SYSTEM_COMMANDS, program: PROGRAM_COMMANDS };
