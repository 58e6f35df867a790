import { describe, expect, test } from 'vitest';
import { EthBench, SMALL } from './fixture.js';

describe('a device whose function has too few vectors', () => {
  test('has fewer channels, says so, and works; with vectors again it can have more', async () => {
    const nics = [{ msix: 6 }, {}];
    await using bench = await EthBench.start({ nics, options: { ...SMALL, channels: 4 } });
    const [eth, core] = [bench.eth(0), bench.core(0)];
    // One is left to the completion queues of the function.
    const guests = Array.from({ length: 4 }, () => core.requestDedicated(core.dev));
    expect(() => core.requestDedicated(core.dev)).toThrow('ENOSPC');
    await eth.open();
    expect([eth.info().isOpen, eth.channels(), core.eqs.completionEqs.length]).toEqual([
      true,
      { combined: 1, maxCombined: 4 },
      1,
    ]);
    expect(bench.logged('fewer_channels')).toEqual(['1 channels, not 4: 0000:00:04.0: all 6 of its vectors are in use (msix)']);
    const got: number[] = [];
    eth.onReceive((_buffer, _offset, length) => got.push(length));
    await bench.eth(1).open();
    await bench.settle(1000);
    const frame = new Uint8Array(64);
    frame.set(
      eth
        .info()
        .mac.split(':')
        .map((byte) => Number.parseInt(byte, 16)),
    );
    bench.eth(1).send(0, frame, 0, 64);
    await bench.settle(1000);
    expect(got).toEqual([64]);
    for (const guest of guests) guest[Symbol.dispose]();
    await eth.setChannels(4);
    expect([eth.channels().combined, core.eqs.completionEqs.length]).toEqual([4, 4]);
  });

  test('keeps to what its user has set for the hash, and is not opened without those channels', async () => {
    await using bench = await EthBench.start({ nics: [{ msix: 6 }], options: { ...SMALL, channels: 4 } });
    const [eth, core] = [bench.eth(0), bench.core(0)];
    const { table, key } = eth.receiveHash();
    await eth.setReceiveHash({ table: table.map((_, n) => 3 - (n % 4)), key });
    for (let n = 0; n < 4; n++) core.requestDedicated(core.dev);
    await expect(eth.open()).rejects.toMatchObject({ code: 'EBUSY' });
    expect([eth.info().isOpen, eth.channels().combined]).toEqual([false, 4]);
  });

  test('is not opened without any', async () => {
    await using bench = await EthBench.start({ nics: [{ msix: 6 }], options: { ...SMALL, channels: 4 } });
    const [eth, core] = [bench.eth(0), bench.core(0)];
    for (let n = 0; n < 5; n++) core.pci.msixAllocAt();
    await expect(eth.open()).rejects.toMatchObject({ code: 'EBUSY' });
    expect(eth.info().isOpen).toBe(false);
  });
});
