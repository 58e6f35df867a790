import { Errno } from '../../../core/index.js';
import { loadConfig } from '../accel-config.js';
import { listConfig, saveConfig } from '../accel-list.js';
import { AccelPlan, applyAll } from '../accel-plan.js';
import { ruleOf } from '../accel-rules.js';
import type { DsaDevice, DsaKind } from '../dsa-bus.js';
import { type Action, type ActionContext, NOUNS, named, usageError } from './action.js';
import type { CliOption } from './options.js';

const pretty = (value: unknown): string[] => JSON.stringify(value, undefined, 2).split('\n');

function list({ system, options, show }: ActionContext): void {
  const only = options.get('device');
  const all = listConfig(system, options.has('idle')).filter(({ dev }) => only === undefined || dev === only);
  if (only !== undefined && all.length === 0)
    throw new Errno('ENODEV', `${only}: no such device that is enabled: see list --idle`);
  show(all, pretty(all));
}

function save({ system, options, show, caller }: ActionContext): void {
  const config = saveConfig(system);
  const file = options.get('saved-file');
  if (file === undefined) {
    show(config, pretty(config));
    return;
  }
  caller.writeFile(file, `${pretty(config).join('\n')}\n`);
  const devices = config.map(({ dev }) => dev);
  show({ file, devices }, [`${file}: ${devices.join(', ') || 'nothing is configured'}`]);
}

async function load({ system, options, words, show, caller }: ActionContext): Promise<void> {
  const file = options.get('config-file') ?? words[0];
  if (file === undefined) throw usageError('load-config: the file is missing');
  const config = parseJson(file, caller.readFile(file));
  const done = await loadConfig(system, config, {
    source: file,
    enable: options.has('enable'),
    forced: options.has('forced'),
  });
  const { configured, enabled } = done;
  show(done, [
    `configured ${configured.join(', ') || 'nothing'}`,
    ...(enabled.length > 0 ? [`enabled ${enabled.join(', ')}`] : []),
  ]);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Errno('EINVAL', `${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** An option that sets an attribute: its own name, or the one given. */
interface ConfigOption extends CliOption {
  readonly attribute?: string;
}

const n = (name: string, short: string, summary: string, attribute?: string): ConfigOption => {
  return { name, short, value: 'N', summary, ...(attribute === undefined ? {} : { attribute }) };
};
const text = (name: string, short: string, value: string, summary: string): ConfigOption => ({ name, short, value, summary });

/** @see accel-config 4.1 accfg/config_attr.c */
const CONFIG_OPTIONS: Readonly<Record<DsaKind, readonly ConfigOption[]>> = {
  dsa: [
    n('read-buffer-limit', 'l', 'read buffers that one engine may take from the common ones'),
    n('event-log-size', 'e', 'entries, 64 to 65535'),
  ],
  group: [
    n('read-buffers-reserved', 'r', 'read buffers of its own'),
    n('read-buffers-allowed', 't', 'read buffers that it may take in all'),
    n('use-read-buffer-limit', 'l', '1: the limit of the accelerator holds for it'),
    n('traffic-class-a', 'a', '0 to 7'),
    n('traffic-class-b', 'b', '0 to 7'),
    n('desc-progress-limit', 'd', '0 to 3'),
    n('batch-progress-limit', 'p', '0 to 3'),
  ],
  wq: [
    n('group-id', 'g', 'its group; -1 for none'),
    n('wq-size', 's', 'entries that it takes from those of the accelerator', 'size'),
    n('priority', 'p', '1 to 15, the highest first'),
    n('block-on-fault', 'b', '1: work waits for pages that are not there'),
    n('prs-disable', 'r', '1: it asks for no pages'),
    n('threshold', 't', 'entries of a shared queue that may be filled'),
    text('type', 'y', 'TYPE', 'whose it is: kernel, user, mdev or none'),
    text('name', 'n', 'NAME', 'what it is for: needed before it is enabled'),
    text('driver-name', 'd', 'DRIVER', 'the driver that may have it: dmaengine, user or mdev'),
    text('op-config', 'o', 'BITMAP', 'the operations that it allows'),
    text('mode', 'm', 'MODE', 'dedicated or shared'),
    n('max-batch-size', 'c', 'descriptors in a batch at most'),
    n('max-transfer-size', 'x', 'bytes of a descriptor at most'),
    n('ats-disable', 'a', '1: it asks for no translations'),
  ],
  engine: [n('group-id', 'g', 'its group; -1 for none')],
};

/** What is no number stays as it is, to be refused by that name. */
const numberIn = (given: string): number | string => (/^(-?\d+|0x[0-9a-f]+)$/i.test(given) ? Number(given) : given);

const nameOfKind = (kind: DsaKind): string => (kind === 'dsa' ? 'device' : kind);

function config(kind: DsaKind): Action {
  const options = CONFIG_OPTIONS[kind];
  return {
    name: `config-${nameOfKind(kind)}`,
    usage: kind === 'dsa' ? '<dsa0>...' : `<dsa0/${kind}0.0>...`,
    summary: `set attributes of ${NOUNS[kind]}`,
    options,
    run: (context) => configure(context, kind, options),
  };
}

function configure(context: ActionContext, kind: DsaKind, known: readonly ConfigOption[]): void {
  const { options, show } = context;
  if (options.size === 0) throw usageError(`config-${nameOfKind(kind)}: nothing to set`);
  const devices = [...new Set(named(context, kind))];
  const plans = new Map<DsaDevice, AccelPlan>();
  for (const dev of devices) {
    const { conf } = dev.idxd;
    const plan = plans.get(conf) ?? new AccelPlan(conf, false);
    plans.set(conf, plan);
    plan.name(dev);
    for (const { name, attribute = name.replaceAll('-', '_'), value } of known) {
      const given = options.get(name);
      const rule = ruleOf(kind, attribute);
      if (given === undefined || rule === undefined) continue;
      plan.want(dev, rule, value === 'N' ? numberIn(given) : given);
    }
  }
  for (const plan of plans.values()) plan.check();
  applyAll([...plans.values()]);
  show({ configured: devices.map(({ name }) => name) }, []);
}

const switchOf = (name: string, short: string, summary: string): CliOption => ({ name, short, summary });
const fileOf = (name: string, short: string, summary: string): CliOption => ({ name, short, value: 'FILE', summary });

export const CONFIGURE: readonly Action[] = [
  {
    name: 'list',
    usage: '',
    summary: 'list what is enabled, in the format of accel-config',
    options: [
      switchOf('idle', 'i', 'what is not enabled, too'),
      { name: 'device', short: 'd', value: 'DEVICE', summary: 'this one only' },
    ],
    run: list,
  },
  {
    name: 'load-config',
    usage: '[file]',
    summary: 'set what a file says; nothing when it has a fault',
    options: [
      fileOf('config-file', 'c', 'the file'),
      switchOf('enable', 'e', 'then enable what is configured'),
      switchOf('forced', 'f', 'disable first what is enabled'),
    ],
    run: load,
  },
  {
    name: 'save-config',
    usage: '',
    summary: 'print what is configured, or write it to a file',
    options: [fileOf('saved-file', 's', 'the file')],
    run: save,
  },
  config('dsa'),
  config('group'),
  config('wq'),
  config('engine'),
];
