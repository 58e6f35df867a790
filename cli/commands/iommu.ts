import { Errno, PROT, hex } from '../../core/index.js';
import { type IommuView, iommuView } from '../../core/iommu/views.js';
import type { Context } from '../command.js';
import { columns } from '../out.js';

/** Shows which memory devices can reach: an overview, or what is mapped, for whom, and what was refused. */
export function iommu({ system, args, out }: Context): void {
  const { iommu: unit, dma } = system.kernel;
  const [name] = args.positionals;
  const only = name === undefined ? undefined : unit.group(system.device(name));
  if (name !== undefined && only === undefined) throw new Errno('ENODEV', `${name}: no IOMMU translates for it`);
  const view = iommuView(unit, dma, only);
  out.show(view, () => {
    const wanted = TABLES.filter(([option]) => args.count(option) > 0).map(([, table]) => table(view));
    if (wanted.length === 0) return overview(view);
    return wanted.flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]));
  });
}

const TABLES: readonly (readonly [option: string, (view: IommuView) => string[]])[] = [
  ['mappings', mappings],
  ['dma', buffers],
  ['faults', faults],
];

function overview({ isPresent, groups, dma, faults: refused }: IommuView): string[] {
  const buffered = `${count(dma.length, 'buffer')} mapped by drivers`;
  if (!isPresent) return [`no IOMMU: devices reach all memory; ${buffered}`];
  const rows = groups.flatMap(({ id, devices, usedBy, domains }) =>
    domains.map(({ pasid, kind, owner, mappedBytes, mappings: ranges }) => {
      return [`${id}`, devices.join(' '), usedBy, pasidText(pasid), kind, owner, `${mappedBytes}`, `${ranges.length}`];
    }),
  );
  return [
    ...columns([['GROUP', 'DEVICE', 'USED BY', 'PASID', 'DOMAIN', 'OWNER', 'BYTES', 'RANGES'], ...rows]),
    `in all: ${count(groups.length, 'group')}; ${buffered}; ${count(refused.length, 'access', 'accesses')} refused`,
  ];
}

function mappings({ groups }: IommuView): string[] {
  const rows = groups.flatMap(({ id, devices, domains }) =>
    domains.flatMap(({ pasid, mappings: ranges }) =>
      ranges.map(({ iova, paddr, sizeBytes, prot }) => {
        return [`${id}`, devices.join(' '), pasidText(pasid), address(iova), address(paddr), `${sizeBytes}`, protText(prot)];
      }),
    ),
  );
  return columns([['GROUP', 'DEVICE', 'PASID', 'ADDRESS', 'PHYSICAL', 'BYTES', 'ACCESS'], ...rows]);
}

function buffers({ dma }: IommuView): string[] {
  const rows = dma.map(({ device, driver, kind, direction, address: iova, physical, sizeBytes }) => {
    return [device, driver, kind, direction, address(iova), address(physical), `${sizeBytes}`];
  });
  return columns([['DEVICE', 'DRIVER', 'KIND', 'DIRECTION', 'ADDRESS', 'PHYSICAL', 'BYTES'], ...rows]);
}

function faults({ faults: refused }: IommuView): string[] {
  const rows = refused.map(({ timeUs, dev, pasid, isWrite, iova, reason, result }) => {
    return [`${timeUs}`, dev, pasidText(pasid), isWrite ? 'write' : 'read', address(iova), reason, result ?? '-'];
  });
  return columns([['TIME US', 'DEVICE', 'PASID', 'ACCESS', 'ADDRESS', 'REASON', 'RESULT'], ...rows]);
}

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

const pasidText = (pasid: number | undefined): string => (pasid === undefined ? '-' : `${pasid}`);

const address = (value: number): string => `0x${hex(value)}`;

/** `rw`, and what else the pages are. */
function protText(prot: number): string {
  const more = Object.entries({ cache: PROT.CACHE, noexec: PROT.NOEXEC, mmio: PROT.MMIO, priv: PROT.PRIV });
  const access = `${(prot & PROT.READ) === 0 ? '-' : 'r'}${(prot & PROT.WRITE) === 0 ? '-' : 'w'}`;
  return [access, ...more.filter(([, bit]) => (prot & bit) !== 0).map(([word]) => word)].join(' ');
}
