import { Errno, describeError } from '../../core/index.js';
import { disable, enable } from './accel-enable.js';
import { type Accelerated, busOf, isTold } from './accel-list.js';
import { AccelPlan, applyAll, indexOf } from './accel-plan.js';
import { located, ruleOf, textOf } from './accel-rules.js';
import type { DsaBus, DsaDevice, DsaKind } from './dsa-bus.js';

/** The lists that an object of each kind may have, and what is in them. */
const LISTS: Readonly<Record<DsaKind, Readonly<Record<string, DsaKind>>>> = {
  dsa: {
    groups: 'group',
    ungrouped_workqueues: 'wq',
    // As older tools have it.
    'ungrouped workqueues': 'wq',
    ungrouped_engines: 'engine',
  },
  group: { grouped_workqueues: 'wq', grouped_engines: 'engine' },
  wq: {},
  engine: {},
};

/** A configuration, or a part of it. */
interface Part {
  readonly json: object;
  /** Where it is: `[0].groups[1]`. */
  readonly place: string;
}

/**
 * Reads a configuration in the format of accel-config, and checks it; nothing is written.
 *
 * Devices and parts that it does not name stay as they are. A part without `group_id` belongs to the group in whose list it is.
 * @param source what errors call it, such as its file
 * @returns what is to be written, for each accelerator in it
 * @throws {Errno} EINVAL for what is no such configuration, or a value that cannot be; ENODEV for a device that is not there; EEXIST for
 *   one that is named twice; EOPNOTSUPP for what it cannot do; EPERM for one that cannot be configured. It says where: `[0].groups[1].dev`
 * @see accel-config 4.1 accfg/config.c
 */
export function readConfig(system: Accelerated, config: unknown, source?: string): AccelPlan[] {
  const bus = busOf(system);
  try {
    const plans = partsOf('configuration', config, '').map((part) => readAccelerator(bus, part));
    const twice = plans.find((plan, i) => plans.findIndex(({ dsa }) => dsa === plan.dsa) < i);
    if (twice !== undefined) throw new Errno('EEXIST', `${twice.dsa.name}: is configured twice`);
    for (const plan of plans) plan.check();
    return plans;
  } catch (error) {
    throw source === undefined || !Errno.is(error) ? error : new Errno(error.code, `${source}: ${error.text}`, { cause: error });
  }
}

/** How a configuration is loaded. */
export interface LoadOptions {
  /** What errors call it, such as its file; default nothing. */
  readonly source?: string;
  /** Then enable the devices that it names, and those of their queues that have a group; default false. */
  readonly enable?: boolean;
  /** Disable first what is enabled, whether or not it has clients; default false: that is refused. */
  readonly forced?: boolean;
}

/** What was done. */
export interface Loaded {
  /** Names of accelerators. */
  readonly configured: readonly string[];
  /** Names of accelerators and queues. */
  readonly enabled: readonly string[];
}

/**
 * Loads a configuration in the format of accel-config, through the attributes of the devices; nothing is done when it has a fault.
 *
 * When something that it says cannot be enabled, what was enabled until then is disabled again, which clears it.
 * @throws {Errno} as {@link readConfig}; EPERM for a device that is enabled; what the devices say when they are configured or enabled
 */
export async function loadConfig(system: Accelerated, config: unknown, options: LoadOptions = {}): Promise<Loaded> {
  const plans = readConfig(system, config, options.source);
  const busy = plans.map(({ dsa }) => dsa).filter((dsa) => textOf(dsa, 'state') === 'enabled');
  if (busy[0] !== undefined && options.forced !== true) {
    throw new Errno('EPERM', `${busy[0].name}: is enabled: disable it first, or have it disabled (--forced)`);
  }
  for (const dsa of busy) await disable(dsa, true);
  applyAll(plans);
  const wanted = options.enable === true ? plans.flatMap(({ dsa, queues }) => [dsa, ...queues]) : [];
  await enableAll(wanted);
  return { configured: plans.map(({ dsa }) => dsa.name), enabled: wanted.map(({ name }) => name) };
}

async function enableAll(wanted: readonly DsaDevice[]): Promise<void> {
  const enabled: DsaDevice[] = [];
  try {
    for (const dev of wanted) {
      await enable(dev);
      enabled.push(dev);
    }
  } catch (error) {
    const errors: unknown[] = [error];
    for (const dev of enabled.toReversed()) await disable(dev, true).catch((after: unknown) => errors.push(after));
    if (errors.length > 1) throw new AggregateError(errors, describeError(error), { cause: error });
    throw error;
  }
}

function readAccelerator(bus: DsaBus, part: Part): AccelPlan {
  const name = nameOf('configuration', part);
  const dsa = bus.find(name);
  if (dsa?.kind !== 'dsa') throw located(new Errno('ENODEV', `${name}: no such accelerator`), `${part.place}.dev`);
  const plan = new AccelPlan(dsa, true);
  plan.name(dsa);
  readPart(plan, dsa, part, undefined);
  return plan;
}

function readPart(plan: AccelPlan, dev: DsaDevice, { json, place }: Part, group: number | undefined): void {
  let saidGroup = false;
  for (const [key, value] of Object.entries(json)) {
    const here = `${place}${/^\w+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`}`;
    const list = Object.hasOwn(LISTS[dev.kind], key) ? LISTS[dev.kind][key] : undefined;
    const rule = ruleOf(dev.kind, key);
    if (list !== undefined) {
      const who = `${dev.name}: ${key}`;
      for (const part of partsOf(who, value, here)) readPart(plan, namedPart(plan, list, who, part), part, groupOf(dev));
    } else if (rule !== undefined) {
      plan.want(dev, rule, value, here);
      saidGroup ||= rule.name === 'group_id';
      if (rule.name === 'group_id' && value !== group) {
        const where = group === -1 ? 'those without a group' : `group ${group}`;
        throw located(new Errno('EINVAL', `${dev.name}: group_id ${Number(value)}: is in the list of ${where}`), here);
      }
    } else if (key !== 'dev' && !isTold(dev.kind, key)) {
      throw located(new Errno('EINVAL', `${dev.name}: ${key}: is no attribute of a ${dev.kind}`), here);
    }
  }
  const rule = ruleOf(dev.kind, 'group_id');
  if (rule !== undefined && !saidGroup) plan.want(dev, rule, group, place);
}

function namedPart(plan: AccelPlan, kind: DsaKind, who: string, part: Part): DsaDevice {
  const name = nameOf(who, part);
  try {
    const dev = plan.part(kind, name);
    plan.name(dev);
    return dev;
  } catch (error) {
    throw located(error, `${part.place}.dev`);
  }
}

/** The group whose lists an object has; -1 for those of an accelerator. */
const groupOf = (dev: DsaDevice): number => (dev.kind === 'group' ? indexOf(dev) : -1);

function partsOf(who: string, value: unknown, place: string): Part[] {
  if (!Array.isArray(value)) throw located(new Errno('EINVAL', `${who}: must be a list of objects`), place || undefined);
  return value.map((json: unknown, i) => {
    const here = `${place}[${i}]`;
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return { json, place: here };
    throw located(new Errno('EINVAL', `${who}: its element ${i} must be an object, with a 'dev'`), here);
  });
}

function nameOf(who: string, { json, place }: Part): string {
  if ('dev' in json && typeof json.dev === 'string') return json.dev;
  throw located(new Errno('EINVAL', `${who}: an object without 'dev', the name of its device`), place);
}
