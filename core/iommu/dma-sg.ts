import { alignUp } from '../lib/index.js';
import type { DmaDevice } from './dma-device.js';
import type { BouncedPiece, DmaMapping, DmaSegment, DmaSource } from './dma-map.js';
import { type DmaMapper, physicalOf, protectionOf } from './dma-mapper.js';
import type { DmaDirection } from './dma-types.js';
import { GRANULE } from './iova.js';

/** A part of a buffer, as an element of a list. */
export interface SgElement {
  readonly buffer: DmaSource;
  /** Where it begins in the buffer; default 0. */
  readonly offset?: number;
  /** Bytes; default all from `offset` on. */
  readonly length?: number;
}

/** A list for the calls of {@link DmaCalls}, which write into it what the device is to be told. Linux's `struct scatterlist[]`. */
export class SgList {
  /** What the last `mapSg` has given; it stays after an unmap. */
  segments: readonly DmaSegment[] = [];

  constructor(readonly elements: readonly SgElement[]) {}

  get length(): number {
    return this.elements.length;
  }
}

/** An element, and where it is. @internal */
export interface SgPart {
  readonly source: DmaSource;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A part that the device can reach. */
interface Placed {
  readonly sizeBytes: number;
  readonly physical: number;
  /** Where its pages begin, from the first of all on. */
  position: number;
}

/** Maps a list; undefined when it cannot be done. @internal */
export function mapList(
  mapper: DmaMapper,
  device: DmaDevice,
  parts: readonly SgPart[],
  direction: DmaDirection,
  attrs: number,
): DmaMapping | undefined {
  const isTranslated = mapper.enterDomain(device);
  const placed: Placed[] = [];
  const pieces: BouncedPiece[] = [];
  let sizeBytes = 0;
  for (const { source, offset, sizeBytes: length } of parts) {
    const piece = mapper.bounce(device, source, offset, length, sizeBytes);
    if (piece === undefined) {
      mapper.freePieces(pieces);
      return undefined;
    }
    if (piece !== 'direct') pieces.push(piece);
    const physical = piece === 'direct' ? physicalOf(source) + offset : piece.copy;
    placed.push({ sizeBytes: length, physical, position: physical });
    sizeBytes += length;
  }
  const iovaBytes = isTranslated ? place(placed, device.boundaryMask) : 0;
  const iova = isTranslated ? mapParts(mapper, device, placed, iovaBytes, protectionOf(direction, attrs)) : 0;
  if (iova < 0) {
    mapper.freePieces(pieces);
    return undefined;
  }
  const segments = isTranslated
    ? join(placed, iova, device)
    : placed.map((p) => ({ address: p.physical, sizeBytes: p.sizeBytes }));
  for (const segment of segments) mapper.debug.checkSegment(device, segment.address, segment.sizeBytes);
  const { address } = segments[0]!;
  const { domain, space } = device;
  const cpuAddress = mapper.cpuAddressOf(parts[0]!.source) + parts[0]!.offset;
  const kind = 'scatter-gather';
  return mapper.begin(
    { device, kind, direction, attrs, address, sizeBytes, cpuAddress, pieces, domain, space, iova, iovaBytes },
    { length: parts.length, segments },
  );
}

/**
 * Lays parts out one after the other, so that none crosses the boundary. The first address will be aligned to the power of two that
 * all of it rounds up to.
 * @returns bytes of all
 * @see Linux 6.12 drivers/iommu/dma-iommu.c iommu_dma_map_sg
 */
function place(placed: readonly Placed[], boundaryMask: number): number {
  const span = boundaryMask + 1;
  let total = 0;
  for (const part of placed) {
    const pages = alignUp((part.physical % GRANULE) + part.sizeBytes, GRANULE);
    const toBoundary = (span - (total % span)) % span;
    if (toBoundary !== 0 && toBoundary < pages) total += toBoundary;
    part.position = total;
    total += pages;
  }
  return total;
}

/** @returns the address of all; -1 when it cannot be done */
function mapParts(mapper: DmaMapper, device: DmaDevice, placed: readonly Placed[], iovaBytes: number, prot: number): number {
  const iova = mapper.allocIova(device, iovaBytes);
  if (iova < 0) return -1;
  for (const [i, { physical, sizeBytes, position }] of placed.entries()) {
    const inPage = physical % GRANULE;
    if (mapper.mapPages(device, iova + position, physical - inPage, alignUp(inPage + sizeBytes, GRANULE), prot)) continue;
    for (const done of placed.slice(0, i)) unmapPart(device, iova, done);
    device.space!.free(iova, iovaBytes);
    return -1;
  }
  return iova;
}

function unmapPart(device: DmaDevice, iova: number, { physical, sizeBytes, position }: Placed): void {
  device.domain!.unmap(iova + position, alignUp((physical % GRANULE) + sizeBytes, GRANULE));
}

/**
 * Makes one segment of parts that follow each other without a gap, as far as the device takes it.
 * @see Linux 6.12 drivers/iommu/dma-iommu.c __finalise_sg
 */
function join(placed: readonly Placed[], iova: number, { maxSegmentBytes, boundaryMask }: DmaDevice): DmaSegment[] {
  const segments: DmaSegment[] = [];
  for (const { physical, sizeBytes, position } of placed) {
    const address = iova + position + (physical % GRANULE);
    const last = segments.at(-1);
    const follows = last !== undefined && last.address + last.sizeBytes === address && address % (boundaryMask + 1) !== 0;
    if (follows && last.sizeBytes + sizeBytes <= maxSegmentBytes) {
      segments[segments.length - 1] = { address: last.address, sizeBytes: last.sizeBytes + sizeBytes };
    } else {
      segments.push({ address, sizeBytes });
    }
  }
  return segments;
}
