/** Who may import whom, and why: section "Rooms" of the design as data. `check.ts` holds the source to it. */
export interface Room {
  /** A folder or file; `*` stands for one name. The first room that matches a file is its room. */
  readonly path: string;
  /** Folders and files outside the room, `*` as above. A room may always import itself. */
  readonly may: readonly string[];
  readonly why: string;
  /** npm packages; none by default. */
  readonly packages?: readonly string[];
  /** It comes with a later step; until then it need not exist. */
  readonly later?: true;
  /** Node's modules without `node:`; none by default. */
  readonly builtins?: readonly string[] | 'any';
}

const LIB = 'core/lib';
const HAL = 'core/hal';
const BELOW_IRQ = [LIB, HAL, 'core/devres', 'core/device'];
const BELOW_BUSES = [...BELOW_IRQ, 'core/irq', 'core/msi'];
const BELOW_KERNEL = [...BELOW_BUSES, 'core/class', 'core/pci', 'core/auxiliary', 'core/platform', 'core/iommu', 'core/vfio'];
const BORDER = [LIB, HAL];

export const ROOMS: readonly Room[] = [
  { path: LIB, may: [], packages: ['debug'], builtins: ['async_hooks'], why: 'it knows nothing' },
  { path: HAL, may: [LIB], why: 'the border knows neither an operating system nor a device' },
  { path: 'core/devres', may: [LIB], why: 'the ledger keeps anything that can be released, and asks nobody what it is' },
  {
    path: 'core/device',
    may: [LIB, 'core/hal/clock.ts', 'core/devres'],
    builtins: ['async_hooks'],
    why: 'a device is bound and unbound without hardware; of the border it knows time alone',
  },
  { path: 'core/class', may: BELOW_IRQ, why: 'what a device does for its users is the same on every bus' },
  { path: 'core/irq', may: BELOW_IRQ, why: 'interrupts do not know where they come from' },
  { path: 'core/msi', may: [...BELOW_IRQ, 'core/irq'], why: 'a message is not only a PCI message' },
  { path: 'core/pci', may: BELOW_BUSES, why: 'one bus does not know another' },
  { path: 'core/auxiliary', may: BELOW_BUSES, why: 'one bus does not know another' },
  { path: 'core/platform', may: BELOW_BUSES, why: 'one bus does not know another' },
  { path: 'core/iommu', may: BELOW_BUSES, why: 'translation serves every bus' },
  {
    path: 'core/vfio',
    may: [...BELOW_BUSES, 'core/pci', 'core/iommu'],
    why: 'it hands out devices and needs to know their bus',
  },
  { path: 'core/kernel.ts', may: BELOW_KERNEL, why: 'it assembles the core without a container' },
  {
    path: 'core/plugin',
    may: [...BELOW_KERNEL, 'core/kernel.ts'],
    packages: ['inversify', 'reflect-metadata'],
    why: 'the one room that knows the container',
  },
  {
    path: 'core/testing',
    may: [...BELOW_KERNEL, 'core/kernel.ts'],
    packages: ['vitest', 'fast-check'],
    why: 'a driver is tested without a container',
  },
  {
    path: 'core/index.ts',
    may: [...BELOW_KERNEL, 'core/kernel.ts', 'core/plugin'],
    why: 'what driver authors get, and no test code',
  },

  { path: 'hw/regs', may: BORDER, why: 'a datasheet is pure data' },
  { path: 'hw/endpoint', may: BORDER, why: 'models on it run without the operating-system side' },
  { path: 'hw/sim', may: [...BORDER, 'hw/endpoint'], why: 'a machine does not know which devices are plugged into it' },
  { path: 'hw/models', may: [...BORDER, 'hw/regs', 'hw/endpoint'], why: 'silicon: the same model serves a Linux guest' },
  {
    path: 'hw/remote',
    may: [...BORDER, 'hw/endpoint'],
    builtins: ['fs', 'child_process', 'worker_threads', 'os', 'path', 'url', 'dgram'],
    why: 'hardware elsewhere is a host like any other',
  },

  { path: 'drivers/lib', may: ['core/index.ts', 'hw/regs'], why: 'help for every driver is written as a driver is' },
  {
    path: 'drivers/*/api.ts',
    may: ['core/index.ts', 'hw/regs', 'drivers/*/api.ts'],
    why: 'tokens and types for the drivers of its children, without the driver',
  },
  {
    path: 'drivers/*',
    may: ['core/index.ts', 'hw/regs', 'drivers/lib', 'drivers/*/api.ts'],
    why: 'a driver uses what any author may use and the datasheet, never the silicon; drivers meet through a class, a name or a token',
  },

  { path: 'plugins', may: ['core', 'drivers', 'hw'], why: 'a plugin is where things are joined, and the only place' },
  {
    path: 'samples/outside-plugin',
    may: [],
    packages: ['backplane', 'vitest'],
    why: 'a package of its own, as a stranger writes it',
  },
  { path: 'samples', may: [], packages: ['backplane'], builtins: 'any', why: 'a user has nothing but the package' },
  {
    path: 'cli',
    may: ['core', 'plugins'],
    packages: ['pbf'],
    builtins: 'any',
    why: 'it lists the commands that plugins contribute and knows no driver',
  },
  {
    path: 'bench',
    may: ['core', 'hw', 'drivers', 'plugins', 'samples'],
    packages: ['inversify'],
    builtins: 'any',
    why: 'it measures any of them',
  },
  {
    path: 'test',
    may: ['core', 'hw', 'drivers', 'plugins', 'samples', 'cli', 'bench'],
    packages: ['backplane', 'debug', 'fast-check', 'inversify', 'protobufjs', 'vite', 'vitest'],
    builtins: 'any',
    why: 'it tests any of them',
  },
];

/** Packages that one file alone of a room may import, so that the rest of it runs without them. */
export const ONE_FILE_EACH = { room: 'core/testing', packages: ['vitest', 'fast-check'], why: 'they are optional peers' };

/** The world outside the program, and the only places that may see it. */
export const GLOBALS: readonly { readonly names: readonly string[]; readonly only: readonly string[]; readonly why: string }[] = [
  {
    names: ['process'],
    only: ['hw/remote', 'cli', 'bench', 'test', 'core/testing/vitest.ts'],
    why: 'the rest runs wherever JavaScript runs, the same way each time',
  },
  {
    names: ['Date', 'performance', 'setTimeout', 'setInterval'],
    only: ['hw/remote', 'cli', 'bench', 'test/hw/remote', 'test/cli', 'test/bench'],
    why: 'time is injected: ask the Clock',
  },
  { names: ['Math.random'], only: [], why: 'randomness comes from one printed seed: ask Random' },
];

/** Rooms that must not keep state between two instances of what they hold. */
export const STATELESS = { room: 'hw/models', why: 'a model may live in a Worker, or twice in one machine' };

/** Folders that need no README of their own. */
export const NO_README = ['test', 'samples/outside-plugin'];

/** Lines of a source file at most. */
export const MAX_LINES = 400;
/** Lines of a room's README. */
export const README_LINES = { min: 30, max: 80 };
