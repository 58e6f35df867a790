import type { DevlinkInfo, ParamView, PortView, ReporterView, ResourceView } from '../../core/index.js';

/** What is shown: as JSON, and as lines; in the layout of the tool of iproute2. */
export interface Shown {
  readonly value: unknown;
  readonly lines: readonly string[];
}

type Pairs = readonly (readonly [name: string, value: boolean | number | string | undefined])[];

/** What of these is there, in one line: `name value name value`. */
const line = (pairs: Pairs): string =>
  pairs
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
    .join(' ');

const onOff = (value: boolean | undefined): string | undefined =>
  value === undefined ? undefined : value ? 'enable' : 'disable';

const indented = (lines: readonly string[], by = 2): string[] => lines.map((it) => `${' '.repeat(by)}${it}`);

/** One object whose keys are handles. */
export function byHandle(what: string, all: readonly (readonly [handle: string, shown: Shown])[]): Shown {
  return {
    value: { [what]: Object.fromEntries(all.map(([handle, { value }]) => [handle, value])) },
    lines: all.flatMap(([, { lines }]) => lines),
  };
}

export function device(handle: string, isReloadFailed: boolean): Shown {
  if (!isReloadFailed) return { value: {}, lines: [handle] };
  return { value: { reload_failed: true }, lines: [`${handle}:`, '  reload_failed true'] };
}

export function info(handle: string, { driver, serialNumber, versions = {} }: DevlinkInfo): Shown {
  const kinds = Object.entries(versions);
  return {
    value: {
      driver,
      ...(serialNumber !== undefined && { serial_number: serialNumber }),
      ...(kinds.length > 0 && { versions }),
    },
    lines: [
      `${handle}:`,
      `  driver ${driver}`,
      ...(serialNumber === undefined ? [] : [`  serial_number ${serialNumber}`]),
      ...(kinds.length === 0 ? [] : ['  versions:']),
      ...kinds.flatMap(([kind, all]) => [
        `      ${kind}:`,
        ...indented(
          Object.entries(all).map((pair) => pair.join(' ')),
          8,
        ),
      ]),
    ],
  };
}

export function eswitch(handle: string, mode: string): Shown {
  return { value: { mode }, lines: [`${handle}: mode ${mode}`] };
}

/** @param handle with the index of the port */
export function port(handle: string, view: PortView): Shown {
  const pairs: Pairs = [
    ['type', view.type],
    ['netdev', view.netdev],
    ['flavour', view.flavour],
    ['port', view.port],
    ['controller', view.controller],
    ['pfnum', view.pfnum],
    ['sfnum', view.sfnum],
    ['external', view.isExternal],
    ['splittable', view.flavour === 'virtual' ? undefined : false],
  ];
  const its = view.function;
  const settings: Pairs = [
    ['hw_addr', its?.hwAddr],
    ['state', its?.state],
    ['opstate', its?.opstate],
    ['roce', onOff(its?.roce)],
    ['migratable', onOff(its?.migratable)],
    ['ipsec_crypto', onOff(its?.ipsecCrypto)],
    ['ipsec_packet', onOff(its?.ipsecPacket)],
    ['max_io_eqs', its?.maxIoEqs],
  ];
  const nested = its?.nested;
  return {
    value: {
      ...Object.fromEntries(pairs),
      ...(its !== undefined && {
        function: { ...Object.fromEntries(settings), ...(nested !== undefined && { nested_devlink: { [nested]: {} } }) },
      }),
    },
    lines: [
      `${handle}: ${line(pairs)}`,
      ...(its === undefined ? [] : ['  function:', `    ${line(settings)}`]),
      ...(nested === undefined ? [] : ['    nested_devlink:', `      ${nested}`]),
    ],
  };
}

export function params(handle: string, all: readonly ParamView[]): Shown {
  const typeOf = ({ isGeneric }: ParamView): string => (isGeneric ? 'generic' : 'driver-specific');
  return {
    value: all.map((param) => ({ name: param.name, type: typeOf(param), values: param.values })),
    lines: [
      `${handle}:`,
      ...all.flatMap((param) => [
        `  name ${param.name} type ${typeOf(param)}`,
        '    values:',
        ...param.values.map(({ cmode, value }) => `      cmode ${cmode} value ${value}`),
      ]),
    ],
  };
}

export function reload(actions: readonly string[]): Shown {
  return {
    value: { reload: { reload_actions_performed: actions } },
    lines: ['reload_actions_performed:', ...indented(actions, 4)],
  };
}

export function resources(handle: string, all: readonly ResourceView[]): Shown {
  const of = ({ name, size, occupied }: ResourceView): Pairs => [
    ['name', name],
    ['size', size],
    ['occ', occupied],
    ['unit', 'entry'],
  ];
  return {
    value: all.map((resource) => ({ ...Object.fromEntries(of(resource)), dpipe_tables: [] })),
    lines: [`${handle}:`, ...all.map((resource) => `  ${line(of(resource))} dpipe_tables none`)],
  };
}

export function health(handle: string, all: readonly ReporterView[]): Shown {
  const of = ({ state, errors, recoveries, gracePeriodMs, autoRecover }: ReporterView): Pairs => [
    ['state', state],
    ['error', errors],
    ['recover', recoveries],
    ['grace_period', gracePeriodMs],
    ['auto_recover', autoRecover],
  ];
  return {
    value: all.map((reporter) => ({ reporter: reporter.name, ...Object.fromEntries(of(reporter)) })),
    lines: [`${handle}:`, ...all.flatMap((reporter) => [`  reporter ${reporter.name}`, `    ${line(of(reporter))}`])],
  };
}
