import { describe, expect, test } from 'vitest';
import type { DmaResult } from '../../../core/index.js';
import { Lane, PASIDS, bytesOf, messageOf } from './dma-fixture.js';

const WITH_DELTA = { profile: { delta: true } } as const;
const PAGE = 4096;
/** Of "123456789". @see RFC 3720 appendix B.4, and the catalogue of CRC-32C */
const CRC_CHECK = 0xe306_9283;
const DIGITS = new TextEncoder().encode('123456789');

describe('IdxdDmaChannel operations', () => {
  test('copies', async () => {
    await using lane = await Lane.open();
    lane.from.fill(7, 0, 100);
    expect(await lane.channel.wait(lane.copy(undefined, 100))).toMatchObject({
      status: 'complete',
      bytes: 100,
      error: undefined,
    });
    expect(bytesOf(lane, 101)).toEqual([...new Array<number>(100).fill(7), 0]);
  });

  test('fills with a pattern of 8 bytes, whose end is cut off', async () => {
    await using lane = await Lane.open();
    const { channel, to } = lane;
    const result = await channel.wait(channel.submit(channel.prepareFill(to.address, 0x0403_0201, 0x0807_0605, 11)));
    expect([result.bytes, bytesOf(lane, 12)]).toEqual([11, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 0]]);
  });

  test('compares: 0 for equal, and where the first difference is', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    const compare = (): Promise<DmaResult> => channel.wait(channel.submit(channel.prepareCompare(from.address, to.address, 64)));
    expect(await compare()).toMatchObject({ status: 'complete', result: 0, bytes: 64 });
    to.write(40, new Uint8Array([1]));
    expect(await compare()).toMatchObject({ status: 'complete', result: 1, bytes: 40, error: undefined });
  });

  test('compares with a pattern', async () => {
    await using lane = await Lane.open();
    const { channel, from } = lane;
    from.fill(0xab, 0, 64);
    const compare = (hi: number): Promise<DmaResult> =>
      channel.wait(channel.submit(channel.prepareComparePattern(from.address, 0xabab_abab, hi, 64)));
    expect(await compare(0xabab_abab)).toMatchObject({ result: 0, bytes: 64 });
    expect(await compare(0xabab_ab00)).toMatchObject({ result: 1 });
  });

  test('copies to two places', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    from.fill(9, 0, 8);
    await channel.wait(channel.submit(channel.prepareDualcast(to.address, to.address + PAGE, from.address, 8)));
    expect([bytesOf(lane, 9), bytesOf(lane, 9, PAGE)]).toEqual([
      [9, 9, 9, 9, 9, 9, 9, 9, 0],
      [9, 9, 9, 9, 9, 9, 9, 9, 0],
    ]);
  });

  test('checks, in one piece and in two, and copies meanwhile', async () => {
    await using lane = await Lane.open();
    const { channel, from, to } = lane;
    from.write(0, DIGITS);
    const crc = async (offset: number, length: number, seed: number): Promise<number> =>
      (await channel.wait(channel.submit(channel.prepareCrc(from.address + offset, length, seed)))).value;
    expect(await crc(0, 9, 0)).toBe(CRC_CHECK);
    expect(await crc(4, 5, await crc(0, 4, 0))).toBe(CRC_CHECK);
    const both = await channel.wait(channel.submit(channel.prepareCopyCrc(to.address, from.address, 9, 0)));
    expect([both.value, both.bytes, bytesOf(lane, 9)]).toEqual([CRC_CHECK, 9, [...DIGITS]]);
  });

  test('writes down a difference, and applies it', async () => {
    await using lane = await Lane.open(WITH_DELTA);
    const { channel, from, to } = lane;
    const other = from.address + PAGE;
    const record = to.address + PAGE;
    from.fill(1, 0, 64);
    from.fill(1, PAGE, 64);
    from.fill(2, PAGE + 16, 8);
    const made = await channel.wait(channel.submit(channel.prepareCreateDelta(from.address, other, 64, record, 80)));
    expect(made).toMatchObject({ status: 'complete', result: 1, value: 10 });
    to.fill(1, 0, 64);
    await channel.wait(channel.submit(channel.prepareApplyDelta(to.address, 64, record, made.value)));
    expect(bytesOf(lane, 25).slice(15)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    const same = await channel.wait(channel.submit(channel.prepareCreateDelta(from.address, from.address, 64, record, 80)));
    expect(same).toMatchObject({ result: 0, value: 0 });
  });

  test('names the operations of the part, those that its queue allows, and refuses the others', async () => {
    await using lane = await Lane.open({ profile: { opConfig: true, version: 0x200 }, wq: { op_config: '9' } });
    const { channel, from, to } = lane;
    expect(channel.capabilities()).toMatchObject({ maxTransferBytes: 2 ** 21, depth: 16 });
    expect([...channel.capabilities().operations]).toEqual(['memcpy', 'interrupt']);
    expect(messageOf(() => channel.prepareFill(to.address, 0, 0, 8))).toBe(
      'EOPNOTSUPP: wq0.0: operation 0x4: it has memcpy, interrupt',
    );
    expect(messageOf(() => channel.prepareCreateDelta(from.address, from.address, 64, to.address, 80))).toMatch('EOPNOTSUPP');
    expect(lane.used).toBe(0);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 21 + 1, 2 ** 32 + 8])(
    'a length of %d bytes is ERANGE, and no descriptor is taken',
    async (n) => {
      await using lane = await Lane.open();
      const { channel, from, to } = lane;
      expect(messageOf(() => lane.copy(undefined, n))).toBe(`ERANGE: wq0.0: ${n} bytes: must be an integer of 1 to 2097152`);
      expect(messageOf(() => channel.prepareCrc(from.address, n, 0))).toMatch('ERANGE');
      expect(messageOf(() => channel.prepareDualcast(to.address, to.address + PAGE, from.address, n))).toMatch('ERANGE');
      expect(lane.used).toBe(0);
    },
  );

  test.each([-8, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])('an address of %d is ERANGE', async (address) => {
    await using lane = await Lane.open();
    const { channel, from } = lane;
    expect(messageOf(() => channel.prepareMemcpy(address, from.address, 8))).toMatch(
      /^ERANGE: wq0\.0: addresses .*: must be integers/,
    );
    expect(messageOf(() => channel.prepareDualcast(0, address, from.address, 8))).toMatch('ERANGE');
    expect(lane.used).toBe(0);
  });

  test('the greatest length that a queue is set to is taken', async () => {
    await using lane = await Lane.open({ wq: { max_transfer_size: 4096 } });
    expect(lane.channel.capabilities().maxTransferBytes).toBe(4096);
    await lane.channel.wait(lane.copy(undefined, 4096));
    expect(messageOf(() => lane.copy(undefined, 4097))).toMatch('ERANGE');
  });

  test('work of a shared queue is done in the address space of the kernel', async () => {
    await using lane = await Lane.open({ ...PASIDS, wq: { mode: 'shared', threshold: 8 } });
    lane.from.fill(3, 0, 16);
    expect(lane.channel.capabilities().depth).toBe(8);
    await lane.channel.wait(lane.copy(undefined, 16));
    expect(bytesOf(lane, 16)).toEqual(new Array<number>(16).fill(3));
    expect([lane.bench.sim.iommuFaults, lane.bench.sim.dmaFaults]).toEqual([[], []]);
  });
});
