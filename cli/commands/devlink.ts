import {
  type Devlink,
  Devlinks,
  Errno,
  type FunctionSettings,
  type NewPort,
  type ParamCmode,
  type ParamValue,
  type ParamView,
  type PortFlavour,
  type PortView,
  type ReloadOptions,
} from '../../core/index.js';
import { wholeNumber } from '../args.js';
import type { Context } from '../command.js';
import { STRERROR } from '../strerror.js';
import { ToolError } from '../tool-error.js';
import { UsageError } from '../usage-error.js';
import * as view from './devlink-view.js';
import type { Shown } from './devlink-view.js';

const FLAVOURS: readonly PortFlavour[] = ['physical', 'cpu', 'dsa', 'pcipf', 'pcivf', 'virtual', 'unused', 'pcisf'];
const CMODES: readonly ParamCmode[] = ['runtime', 'driverinit', 'permanent'];

/** What an action has to work with: the instances of the system, and its words. */
interface Request {
  readonly all: readonly (readonly [handle: string, devlink: Devlink])[];
  readonly words: readonly string[];
}

/** What is between `devlink` and the words of an action. */
const ACTIONS: Readonly<Record<string, (request: Request) => Promise<Shown | undefined>>> = {
  'dev show': async ({ all, words }) =>
    byHandle('dev', all, single(words), (name, devlink) => view.device(name, devlink.isReloadFailed())),
  'dev info': async ({ all, words }) =>
    byHandle('info', all, single(words), async (name, devlink) => view.info(name, await devlink.info())),
  'dev eswitch show': async ({ all, words }) =>
    byHandle('dev', all, needed(single(words), 'DEV'), (name, devlink) => view.eswitch(name, devlink.eswitchMode())),
  'dev eswitch set': async ({ all, words: [handle, ...rest] }) => {
    const { mode } = pairs(rest, ['mode']);
    await find(all, handle)[1].setEswitchMode(oneOf(needed(mode, 'mode'), ['legacy', 'switchdev'], 'mode'));
    return undefined;
  },
  'dev param show': async ({ all, words: [handle, ...rest] }) => {
    const { name } = pairs(rest, ['name']);
    return byHandle('param', all, handle, (it, devlink) => view.params(it, paramsOf(it, devlink, name)));
  },
  'dev param set': async ({ all, words: [handle, ...rest] }) => {
    const { name, value, cmode } = pairs(rest, ['name', 'value', 'cmode']);
    const [, devlink] = find(all, handle);
    const param = devlink.params().find((it) => it.name === name);
    const mode = cmode === undefined ? undefined : oneOf(cmode, CMODES, 'cmode');
    await devlink.setParam(needed(name, 'name'), valueOf(needed(value, 'value'), param), mode);
    return undefined;
  },
  'dev reload': async ({ all, words: [handle, ...rest] }) => {
    const { action, limit } = pairs(rest, ['action', 'limit']);
    const options: ReloadOptions = {
      ...(action !== undefined && { action: oneOf(action, ['driver_reinit', 'fw_activate'], 'action') }),
      ...(limit !== undefined && { limits: [oneOf(limit, ['no_reset'], 'limit')] }),
    };
    const done = await find(all, handle)[1].reload(options);
    return done === undefined ? undefined : view.reload(done);
  },
  'port show': async ({ all, words }) => {
    const wanted = single(words);
    const ports = all.flatMap(([handle, devlink]) =>
      devlink.ports().map((it): [string, PortView] => [`${handle}/${it.index}`, it]),
    );
    const shown = wanted === undefined ? ports : ports.filter(([handle, it]) => handle === wanted || it.netdev === wanted);
    // What is said of a device or port that is not there.
    if (wanted !== undefined && shown.length === 0) findPort(all, wanted);
    return view.byHandle(
      'port',
      shown.map(([handle, it]) => [handle, view.port(handle, it)]),
    );
  },
  'port add': async ({ all, words: [place, ...rest] }) => {
    const { flavour, ...numbers } = pairs(rest, ['flavour', 'pfnum', 'sfnum', 'controller']);
    const [handle, index] = divide(needed(place, 'DEV'));
    const wanted: NewPort = {
      ...(flavour !== undefined && { flavour: oneOf(flavour, FLAVOURS, 'flavour') }),
      ...Object.fromEntries(Object.entries(numbers).map(([name, text]) => [name, wholeNumber(text, name, 0xffff_ffff)])),
      ...(index !== undefined && { index }),
    };
    const port = await find(all, handle)[1].addPort(wanted);
    return view.byHandle('port', [[`${handle}/${port.index}`, view.port(`${handle}/${port.index}`, port)]]);
  },
  'port del': async ({ all, words }) => {
    const [devlink, index] = findPort(all, single(words));
    await devlink.deletePort(index);
    return undefined;
  },
  'port function set': async ({ all, words: [place, ...rest] }) => {
    const given = pairs(rest, ['hw_addr', 'state', 'roce', 'migratable', 'ipsec_crypto', 'ipsec_packet', 'max_io_eqs']);
    const { hw_addr: hwAddr, state, roce, migratable, ipsec_crypto: crypto, ipsec_packet: packet, max_io_eqs: eqs } = given;
    const settings: FunctionSettings = {
      ...(hwAddr !== undefined && { hwAddr }),
      ...(state !== undefined && { state: oneOf(state, ['active', 'inactive'], 'state') }),
      ...(roce !== undefined && { roce: isEnabled(roce, 'roce') }),
      ...(migratable !== undefined && { migratable: isEnabled(migratable, 'migratable') }),
      ...(crypto !== undefined && { ipsecCrypto: isEnabled(crypto, 'ipsec_crypto') }),
      ...(packet !== undefined && { ipsecPacket: isEnabled(packet, 'ipsec_packet') }),
      ...(eqs !== undefined && { maxIoEqs: wholeNumber(eqs, 'max_io_eqs', 0xffff_ffff) }),
    };
    const [devlink, index] = findPort(all, place);
    await devlink.setPortFunction(index, settings);
    return undefined;
  },
  'resource show': async ({ all, words }) =>
    byHandle('resources', all, needed(single(words), 'DEV'), (name, devlink) => view.resources(name, devlink.resources())),
  'health show': async ({ all, words }) =>
    byHandle('health', all, single(words), (name, devlink) => view.health(name, devlink.reporters())),
  'health set': async ({ all, words: [handle, ...rest] }) => {
    const given = pairs(rest, ['reporter', 'grace_period', 'auto_recover']);
    const { reporter, grace_period: grace, auto_recover: auto } = given;
    await find(all, handle)[1].setReporter(needed(reporter, 'reporter'), {
      ...(grace !== undefined && { gracePeriodMs: wholeNumber(grace, 'grace_period') }),
      ...(auto !== undefined && { autoRecover: oneOf(auto, ['true', 'false'], 'auto_recover') === 'true' }),
    });
    return undefined;
  },
  'health recover': async ({ all, words: [handle, ...rest] }) => {
    const { reporter } = pairs(rest, ['reporter']);
    await find(all, handle)[1].recover(needed(reporter, 'reporter'));
    return undefined;
  },
};

/** What words that stand alone are short for. */
const SHORT: Readonly<Record<string, string>> = { dev: 'dev show', port: 'port show', health: 'health show' };

/** `backplane devlink`: what the tool of iproute2 does, with its words and its answers. */
export async function devlink({ system, args, out }: Context): Promise<void> {
  const [name, words] = actionOf(args.positionals);
  try {
    const shown = await ACTIONS[name]!({ all: system.list(Devlinks), words });
    if (shown !== undefined) out.show(shown.value, () => shown.lines, args.count('pretty') > 0 ? 4 : 0);
  } catch (error) {
    if (!Errno.is(error)) throw error;
    throw new ToolError(`Error: ${error.text}\ndevlink answers: ${STRERROR[error.code]}`, { cause: error });
  }
}

/** The action that is named by the first words, and the other words. */
function actionOf(words: readonly string[]): [name: string, rest: readonly string[]] {
  const [only] = words;
  if (words.length === 1 && only !== undefined && Object.hasOwn(SHORT, only)) return [SHORT[only]!, []];
  for (const count of [3, 2]) {
    const name = words.slice(0, count).join(' ');
    if (words.length >= count && ACTIONS[name] !== undefined) return [name, words.slice(count)];
  }
  throw new UsageError(`devlink has no command '${words.join(' ')}', but ${Object.keys(ACTIONS).join(', ')}`);
}

/** The one word of an action that takes no more, where it is there. */
function single([word, more]: readonly string[]): string | undefined {
  if (more !== undefined) throw new UsageError(`one argument too many: '${more}'`);
  return word;
}

/** The values behind words: `flavour pcisf pfnum 0`. */
function pairs<K extends string>(words: readonly string[], names: readonly K[]): Partial<Record<K, string>> {
  const found: Partial<Record<K, string>> = {};
  for (let i = 0; i < words.length; i += 2) {
    const name = oneOf(words[i]!, names, 'word');
    if (found[name] !== undefined) throw new UsageError(`${name} is given twice`);
    found[name] = needed(words[i + 1], `value of ${name}`);
  }
  return found;
}

function oneOf<K extends string>(word: string, names: readonly K[], what: string): K {
  const found = names.find((name) => name === word);
  if (found === undefined) throw new UsageError(`${what} '${word}' is none of ${names.join(', ')}`);
  return found;
}

const isEnabled = (word: string, what: string): boolean => oneOf(word, ['enable', 'disable'], what) === 'enable';

function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new UsageError(`${what} is missing`);
  return value;
}

/** @throws {Errno} ENODEV when there is none */
function find(all: Request['all'], handle: string | undefined): Request['all'][number] {
  const wanted = needed(handle, 'DEV');
  const found = all.find(([name]) => name === wanted);
  if (found === undefined) throw new Errno('ENODEV', `${handle}: no such device`);
  return found;
}

/** A port by its handle or its network device. @throws {Errno} ENODEV when there is none */
function findPort(all: Request['all'], place: string | undefined): [devlink: Devlink, index: number] {
  const [handle, index] = divide(needed(place, 'DEV/PORT'));
  if (index !== undefined) {
    const [, devlink] = find(all, handle);
    return [devlink, devlink.port(index).index];
  }
  for (const [, devlink] of all) {
    const port = devlink.ports().find(({ netdev }) => netdev === place);
    if (port !== undefined) return [devlink, port.index];
  }
  throw new Errno('ENODEV', `${place}: no such port`);
}

/** `pci/0000:06:00.0/1` as handle and number. */
function divide(place: string): [handle: string, index: number | undefined] {
  const [, handle, index] = /^([^/]+\/[^/]+)\/(\d+)$/.exec(place) ?? [];
  return handle === undefined ? [place, undefined] : [handle, Number(index)];
}

/** What is to be shown of all devices, or of one. */
async function byHandle(
  what: string,
  all: Request['all'],
  handle: string | undefined,
  show: (handle: string, devlink: Devlink) => Shown | Promise<Shown>,
): Promise<Shown> {
  const chosen = handle === undefined ? all : [find(all, handle)];
  const shown: (readonly [string, Shown])[] = [];
  for (const [name, it] of chosen) shown.push([name, await show(name, it)]);
  return view.byHandle(what, shown);
}

function paramsOf(handle: string, from: Devlink, name: string | undefined): readonly ParamView[] {
  const all = from.params().filter((param) => name === undefined || param.name === name);
  if (name !== undefined && all.length === 0) throw new Errno('EINVAL', `${handle}: has no parameter ${name}`);
  return all;
}

/** A value as its parameter has it; the text itself when it is of another type. */
function valueOf(text: string, param: ParamView | undefined): ParamValue {
  if (param === undefined || param.type === 'string') return text;
  if (param.type === 'bool') return text === 'true' ? true : text === 'false' ? false : text;
  return /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : text;
}
