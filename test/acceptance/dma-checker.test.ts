import { describe, expect, test } from 'vitest';
import { DMA_MAPPING_ERROR } from 'backplane';
import { Bench, PAGE, codeOf } from './iommu-bench.js';

const lines = (bench: Bench): string[] =>
  bench.kernel.core.log.records().flatMap(({ text }) => (text.includes('DMA-API') ? [text] : []));

describe('5.5.1 the checker', () => {
  test('counts all errors, and logs the first alone', async () => {
    await using bench = await Bench.start({ firstErrorOnly: true });
    const { calls, debug } = bench.kernel.dma;
    expect([debug.numErrors, debug.allErrors, debug.totalEntries]).toEqual([1, false, 65_536]);
    for (let i = 0; i < 3; i++) calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, lines(bench).length, debug.numErrors]).toEqual([3, 1, 0]);
    debug.numErrors = 2;
    for (let i = 0; i < 3; i++) calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, lines(bench).length]).toEqual([6, 3]);
    debug.allErrors = true;
    for (let i = 0; i < 3; i++) calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, lines(bench).length]).toEqual([9, 6]);
  });

  test('logs the errors of one driver, when told to', async () => {
    await using bench = await Bench.start({ firstErrorOnly: true });
    const { calls, debug } = bench.kernel.dma;
    debug.driverFilter = 'other';
    calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, lines(bench)]).toEqual([1, []]);
    debug.driverFilter = 'bench';
    debug.numErrors = 1;
    calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, lines(bench).length]).toEqual([2, 1]);
  });

  test('turns itself off when it has no entries left', async () => {
    await using bench = await Bench.start({ kernel: { dma: { debug: { entries: 2 } } } });
    const { calls, debug } = bench.kernel.dma;
    bench.map(new Uint8Array(8), 8, 'to-device');
    const second = bench.map(new Uint8Array(8), 8, 'to-device');
    expect([debug.disabled, debug.minFreeEntries]).toEqual([false, 0]);
    calls.unmapSingle(bench.dev, second, 8, 'to-device');
    bench.map(new Uint8Array(8), 8, 'to-device');
    expect(debug.disabled).toBe(false);
    bench.map(new Uint8Array(8), 8, 'to-device');
    expect(debug.disabled).toBe(true);
    calls.unmapSingle(bench.dev, DMA_MAPPING_ERROR, 8, 'to-device');
    expect([debug.errorCount, bench.take()]).toEqual([0, []]);
  });

  test('can be off from the beginning', async () => {
    await using bench = await Bench.start({ kernel: { dma: { debug: { disabled: true } } } });
    const { calls, debug } = bench.kernel.dma;
    const address = bench.map(new Uint8Array(8), 8, 'to-device');
    calls.unmapSingle(bench.dev, address, 4, 'from-device');
    calls.unmapSingle(bench.dev, address, 4, 'from-device');
    expect([debug.disabled, debug.errorCount, debug.dump()]).toEqual([true, 0, []]);
  });

  test('lists what is mapped', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const address = bench.map(new Uint8Array(8), 8, 'to-device');
    const buffer = dma.alloc(bench.dev, PAGE);
    const dump = dma.debug.dump();
    expect(dump).toHaveLength(2);
    expect(dump[0]).toMatch(new RegExp(`^bench 0000:00:04\\.0 single .*D=${address.toString(16)} L=8 DMA_TO_DEVICE`));
    expect(dump[1]).toMatch(new RegExp(`coherent .*D=${buffer.address.toString(16)} L=1000 DMA_BIDIRECTIONAL`));
  });
});

describe('5.5.3 use after unmap', () => {
  test('is a fault, and a report that names who had mapped and unmapped it', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const mapping = dma.map(bench.dev, new Uint8Array(64), 'bidirectional');
    mapping.unmap();
    expect(bench.poke(mapping.address + 5, 1)).toBe('no-entry');
    const texts = bench.texts();
    expect(texts).toHaveLength(1);
    expect(texts[0]).toMatch(/^DMA-SIM: use after unmap: .*0000:00:04\.0/);
    expect(texts[0]).toMatch(/\[mapped by bench\]/);
    expect(texts[0]).toMatch(/\[unmapped by bench\]/);
    expect(bench.faults).toMatchObject([{ reason: 'no-entry', isWrite: true, iova: mapping.address + 5 }]);
  });

  test('the last 1024 ranges are known', async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const pages = dma.pages(bench.dev, PAGE);
    const held: Disposable[] = [];
    const addresses = Array.from({ length: 1025 }, () => {
      const mapping = dma.map(bench.dev, pages, 'to-device');
      held.push(mapping);
      return mapping.address;
    });
    for (const mapping of held) mapping[Symbol.dispose]();
    expect([bench.peek(addresses[0]!), bench.take()]).toEqual(['no-entry', []]);
    expect([bench.peek(addresses[1]!), bench.take()]).toEqual(['no-entry', ['use-after-unmap']]);
    expect([bench.peek(addresses[1024]!), bench.take()]).toEqual(['no-entry', ['use-after-unmap']]);
  });

  test('another device that reaches for the same address is its own fault', async () => {
    await using bench = await Bench.start({ cards: [{ at: '00:04.0' }, { at: '00:05.0' }] });
    const mapping = bench.kernel.dma.map(bench.dev, new Uint8Array(64), 'to-device');
    mapping.unmap();
    expect([bench.peek(mapping.address, undefined, '0000:00:05.0'), bench.take()]).toEqual(['no-entry', []]);
  });

  test("what is mapped again is nobody's mistake", async () => {
    await using bench = await Bench.start();
    const { dma } = bench.kernel;
    const pages = dma.pages(bench.dev, PAGE);
    const first = dma.map(bench.dev, pages, 'to-device');
    first.unmap();
    const again = dma.map(bench.dev, pages, 'to-device');
    expect([again.address, bench.peek(again.address), bench.take()]).toEqual([first.address, 0, []]);
    expect([bench.poke(again.address, 1), bench.take()]).toEqual(['permission', []]);
  });

  test('a mapping that is over cannot be synchronised; ending it twice is a mistake', async () => {
    await using bench = await Bench.start();
    const mapping = bench.kernel.dma.map(bench.dev, new Uint8Array(64), 'bidirectional');
    mapping.unmap();
    expect(codeOf(() => mapping.syncForCpu())).not.toBe('ok');
    expect(bench.take()).toHaveLength(1);
    expect(codeOf(() => mapping.unmap())).not.toBe('ok');
    expect(bench.take()).toHaveLength(1);
  });
});
