import { Errno } from '../../core/index.js';
import { MdevBus } from '../../core/vfio/mdev-bus.js';
import type { MdevDevice } from '../../core/vfio/mdev-device.js';
import type { MdevType } from '../../core/vfio/mdev-parent.js';
import type { Context } from '../command.js';
import { columns } from '../out.js';
import { UsageError } from '../usage-error.js';

/** What an action has to work with: the bus, and the words behind the action. */
interface MdevContext extends Pick<Context, 'system' | 'out'> {
  readonly bus: MdevBus;
  readonly words: readonly string[];
}

interface MdevAction {
  /** Its words; all of them are needed. */
  readonly usage: readonly string[];
  readonly run: (context: MdevContext) => void | Promise<void>;
}

const ACTIONS: Readonly<Record<string, MdevAction>> = {
  types: { usage: [], run: types },
  list: { usage: [], run: list },
  create: { usage: ['<parent>', '<type>', '<uuid>'], run: create },
  remove: { usage: ['<uuid>'], run: remove },
  show: { usage: ['<uuid>'], run: show },
};

/** Parts of devices that are made for users: what can be made, what there is; makes, removes and shows one. */
export async function mdev({ system, args, out }: Context): Promise<void> {
  const [name = '', ...words] = args.positionals;
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) throw new UsageError(`no action '${name}'; there are ${Object.keys(ACTIONS).join(', ')}`);
  const { usage, run } = action;
  if (words.length < usage.length) throw new UsageError(`${name}: ${usage[words.length]} is missing`);
  if (words.length > usage.length) throw new UsageError(`${name}: unexpected argument '${words[usage.length]}'`);
  const bus = system.core.buses.get('mdev');
  if (!(bus instanceof MdevBus)) throw new Errno('ENODEV', 'the system has no bus mdev');
  await run({ system, bus, words, out });
}

function types({ bus, out }: MdevContext): void {
  const all = typesOf(bus).map(({ name, spec, available, devices, parent: { dev, driver } }) => ({
    parent: dev.name,
    type: name,
    name: spec.prettyName ?? spec.name,
    deviceApi: driver.deviceApi,
    available,
    devices: devices.map(({ uuid }) => uuid),
  }));
  const rows = all.map(({ parent, type, deviceApi, available, devices }) => {
    return [parent, type, deviceApi, `${available}`, `${devices.length}`];
  });
  out.show(all, () => columns([['PARENT', 'TYPE', 'API', 'AVAILABLE', 'IN USE'], ...rows]));
}

function list({ bus, out }: MdevContext): void {
  const all = typesOf(bus).flatMap(({ devices }) => devices.map(summary));
  const rows = all.map(({ uuid, parent, type, driver }) => [uuid, parent, type, driver ?? '-']);
  out.show(all, () => columns([['UUID', 'PARENT', 'TYPE', 'DRIVER'], ...rows]));
}

async function create({ bus, words, out }: MdevContext): Promise<void> {
  const [parentName, typeName = '', uuid = ''] = words;
  const parent = bus.parents.find(({ dev }) => dev.name === parentName);
  if (parent === undefined) throw new Errno('ENODEV', `${parentName}: nothing can be made of it: see 'backplane mdev types'`);
  const type = parent.type(typeName);
  if (type === undefined) {
    throw new Errno(
      'ENOENT',
      `${parentName}: has no type ${typeName}: there is ${parent.types.map(({ name }) => name).join(', ')}`,
    );
  }
  const made = summary(await bus.create(type, uuid));
  out.show(made, () => [`${made.uuid}: created of ${made.parent}, ${made.type}`]);
}

async function remove({ bus, words: [uuid = ''], out }: MdevContext): Promise<void> {
  await bus.remove(deviceOf(bus, uuid));
  out.show({ uuid }, () => [`${uuid}: removed`]);
}

function show({ system, bus, words: [uuid = ''], out }: MdevContext): void {
  const dev = deviceOf(bus, uuid);
  // The vector may be of its parent's device: its own is the request.
  const interrupts = system.kernel.irqs
    .list()
    .filter((desc) => desc.device === dev || desc.actions.some((one) => one.dev === dev));
  const one = {
    ...summary(dev),
    /** What of its parent, where that has parts. */
    madeOf: dev.maker === dev.mdevParent.dev ? undefined : dev.maker.name,
    deviceApi: dev.mdevParent.driver.deviceApi,
    interrupts: interrupts.map(({ virq, total, data, forwardedToVcpu }) => {
      return { virq, chip: data.chip.name, hwirq: data.hwirq, count: total, isPosted: forwardedToVcpu };
    }),
    /** Last acquired, first. */
    holds: dev.devres.entries().map(({ label }) => label),
  };
  const irqs = one.interrupts.map(({ virq, chip, hwirq, count, isPosted }) => {
    return `irq ${virq}: ${chip} ${hwirq}, came ${count} times${isPosted ? '; posted to a guest' : ''}`;
  });
  out.show(one, () => [
    one.uuid,
    ...columns([
      ['  parent', one.parent],
      ...(one.madeOf === undefined ? [] : [['  of', one.madeOf]]),
      ['  type', one.type],
      ['  api', one.deviceApi],
      ['  driver', one.driver ?? '-'],
      ...irqs.map((text, i) => [i === 0 ? '  irqs' : '', text]),
      ...one.holds.map((label, i) => [i === 0 ? '  holds' : '', label]),
    ]),
  ]);
}

const typesOf = (bus: MdevBus): MdevType[] => bus.parents.flatMap(({ types: all }) => all);

function summary(dev: MdevDevice) {
  const { uuid, mdevType, mdevParent, driver } = dev;
  return { uuid, parent: mdevParent.dev.name, type: mdevType.name, driver: driver?.name };
}

/** @throws {Errno} ENODEV when there is none */
function deviceOf(bus: MdevBus, uuid: string): MdevDevice {
  const found = bus.find(uuid.toLowerCase());
  if (found === undefined) throw new Errno('ENODEV', `${uuid}: no such mediated device`);
  return found;
}
