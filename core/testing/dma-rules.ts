import type { Rule } from './rules.js';

/** How the DMA API is used. @see Linux 6.12 kernel/dma/debug.c */
export const DMA_RULES: readonly Rule[] = [
  {
    id: 'dma-unmap-error',
    text: 'The address that says that a mapping could not be made is no mapping, and cannot be unmapped.',
    bad: "const at = dma.calls.mapSingle(dev, data, 64, 'to-device'); dma.calls.unmapSingle(dev, at, 64, 'to-device');",
    good: 'if (dma.calls.mappingError(dev, at) !== 0) return; // before it is used',
  },
  {
    id: 'dma-double-unmap',
    text: 'What is unmapped is not mapped: it was unmapped before, never mapped, or by another device. Its address may be of another mapping by now.',
    bad: 'mapping.unmap(); mapping.unmap();',
    good: 'mapping.unmap();',
  },
  {
    id: 'dma-size-mismatch',
    text: 'A mapping is ended as it was made: with another size, a part would stay, or a neighbour go.',
    bad: "calls.mapSingle(dev, data, 4096, 'to-device'); calls.unmapSingle(dev, at, 2048, 'to-device');",
    good: "calls.unmapSingle(dev, at, 4096, 'to-device');",
  },
  {
    id: 'dma-wrong-function',
    text: 'Single buffers, lists and shared memory are each ended by their own call.',
    bad: "const at = calls.mapSingle(dev, data, 64, 'to-device'); calls.freeCoherent(dev, 64, buffer, at);",
    good: "calls.unmapSingle(dev, at, 64, 'to-device');",
  },
  {
    id: 'dma-cpu-address-mismatch',
    text: 'Shared memory is given back with the buffer that it was taken as.',
    bad: 'calls.freeCoherent(dev, 4096, other, buffer.address);',
    good: 'calls.freeCoherent(dev, 4096, buffer, buffer.address);',
  },
  {
    id: 'dma-sg-count-mismatch',
    text: 'A list is unmapped and synchronised with the number of elements that it was mapped with, not with the number of segments that came of it.',
    bad: "const n = calls.mapSg(dev, list, 4, 'to-device'); calls.unmapSg(dev, list, n, 'to-device');",
    good: "calls.unmapSg(dev, list, 4, 'to-device');",
  },
  {
    id: 'dma-direction-mismatch',
    text: 'A mapping is ended with the direction it was made with: the direction decides what is copied, and for whom.',
    bad: "calls.mapSingle(dev, data, 64, 'from-device'); calls.unmapSingle(dev, at, 64, 'to-device');",
    good: "calls.unmapSingle(dev, at, 64, 'from-device');",
  },
  {
    id: 'dma-unchecked-mapping',
    text: 'Mapping can fail at any time. The address was used without asking whether it is one.',
    bad: "regs.write(SOURCE, dma.calls.mapSingle(dev, data, 64, 'to-device'));",
    good: 'if (dma.calls.mappingError(dev, at) === 0) regs.write(SOURCE, at);',
  },
  {
    id: 'dma-attrs-mismatch',
    text: 'A mapping is ended with the attributes it was made with.',
    bad: "calls.mapSingle(dev, data, 64, 'to-device', DmaAttr.WEAK_ORDERING); calls.unmapSingle(dev, at, 64, 'to-device');",
    good: "calls.unmapSingle(dev, at, 64, 'to-device', DmaAttr.WEAK_ORDERING);",
  },
  {
    id: 'dma-overlap',
    text: 'Two mappings that the device writes share a line of the cache. Where caches are not coherent, ending one destroys what arrived in the other.',
    bad: "dma.map(dev, pages, 'from-device', { length: 32 }); dma.map(dev, pages, 'from-device', { offset: 32, length: 32 });",
    good: "dma.map(dev, pages, 'from-device', { offset: 64, length: 64 });",
  },
  {
    id: 'dma-bad-memory',
    text: 'Memory is mapped that cannot be: it has been freed, it ends before, or the device shares it already.',
    bad: "dma.map(dev, dma.alloc(dev, 4096), 'to-device');",
    good: "dma.map(dev, dma.pages(dev, 4096), 'to-device');",
  },
  {
    id: 'dma-sg-limits',
    text: 'An element of a list is longer than the device takes, or crosses a boundary that it has.',
    bad: "dma.mapSg(dev, [{ buffer: new Uint8Array(2 ** 20) }], 'to-device');",
    good: 'dma.setLimits(dev, { maxSegmentBytes: 2 ** 20 });',
  },
  {
    id: 'dma-sync-not-mapped',
    text: 'What is synchronised is not mapped, or not any more.',
    bad: 'mapping.unmap(); mapping.syncForCpu();',
    good: 'mapping.syncForCpu(); mapping.unmap(); // which synchronises as well',
  },
  {
    id: 'dma-sync-range',
    text: 'What is synchronised ends behind the mapping.',
    bad: 'mapping.syncForCpu(4000, 200); // of 4096 bytes',
    good: 'mapping.syncForCpu(4000, 96);',
  },
  {
    id: 'dma-sync-direction',
    text: 'A mapping is synchronised with the direction it was made with; one in both directions, with any.',
    bad: "calls.mapSingle(dev, data, 64, 'to-device'); calls.syncSingleForDevice(dev, at, 64, 'bidirectional');",
    good: "calls.syncSingleForDevice(dev, at, 64, 'to-device');",
  },
  {
    id: 'dma-sync-read-only',
    text: 'The CPU asks for what the device has written to a buffer that the device only reads.',
    bad: "calls.mapSingle(dev, data, 64, 'to-device'); calls.syncSingleForCpu(dev, at, 64, 'from-device');",
    good: "calls.mapSingle(dev, data, 64, 'bidirectional');",
  },
  {
    id: 'dma-sync-write-only',
    text: 'The CPU hands the device what it has written to a buffer that the device only writes.',
    bad: "calls.mapSingle(dev, data, 64, 'from-device'); calls.syncSingleForDevice(dev, at, 64, 'to-device');",
    good: "calls.mapSingle(dev, data, 64, 'bidirectional');",
  },
  {
    id: 'dma-leak-at-unbind',
    text: 'A driver left mappings when it was unbound. They are undone; until then the device could reach memory that nobody watched over.',
    bad: "probe(dev) { this.at = dma.calls.mapSingle(dev, data, 64, 'to-device'); } // and no unmap in remove",
    good: "probe(dev) { dma.map(dev, data, 'to-device'); } // undone by itself",
  },
  {
    id: 'use-after-unmap',
    text: 'A device has reached for an address that was unmapped: it was not quiet, or was told an old address.',
    bad: 'mapping.unmap(); regs.write(STOP, 1);',
    good: 'regs.write(STOP, 1); mapping.unmap();',
  },
];
