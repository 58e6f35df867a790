import { describe, expect, test } from 'vitest';
import { composeCompat, composeRemappable, parseMsg } from '../../core/index.js';
import { Bench, REQUESTER, codeOf } from './interrupts-bench.js';

describe('J: how messages and entries are encoded', () => {
  test('C-123 compatibility format, physical and logical', () => {
    expect(composeCompat(5, 0x31)).toEqual({ addressLo: 0xfee0_5000, addressHi: 0, data: 0x31 });
    expect(composeCompat(5, 0x31, { logical: true })).toEqual({ addressLo: 0xfee0_5004, addressHi: 0, data: 0x31 });
    expect(parseMsg(0xfee0_5004, 0, 0x31)).toMatchObject({
      format: 'compat',
      apicId: 5,
      logical: true,
      vector: 0x31,
      trigger: 'edge',
    });
  });

  test('C-124 ids above 0xff need the extension', async () => {
    expect(composeCompat(0x123, 0x31, { extended: true })).toEqual({ addressLo: 0xfee2_3020, addressHi: 0, data: 0x31 });
    expect(codeOf(() => composeCompat(0x123, 0x31))).toBe('ERANGE');
    expect(parseMsg(0xfee2_3020, 0, 0x31, true)).toMatchObject({ apicId: 0x123 });
    for (const extendedIds of [true, false]) {
      await using bench = await Bench.start({ interrupts: 'plain', cpus: 0x124, extendedIds, card: { msix: 1 } });
      const vectors = bench.dev.enableMsix({});
      const irq = bench.dev.requestIrq(0, () => {});
      expect(codeOf(() => irq.setAffinity([0x123]))).toBe(extendedIds ? 'ok' : 'ENOSPC');
      const { addressLo } = bench.kernel.msi.domain(bench.dev, 'default')!.message(0)!;
      expect(addressLo & 0xf_f020).toBe(extendedIds ? 0x2_3020 : 0);
      expect(vectors.count).toBe(1);
    }
  });

  test('C-125 remappable format', () => {
    expect(composeRemappable(0x25, 0)).toEqual({ addressLo: 0xfee0_04b8, addressHi: 0, data: 0 });
    expect(composeRemappable(0x8001, 0)).toEqual({ addressLo: 0xfee0_003c, addressHi: 0, data: 0 });
    expect(composeRemappable(0x25, 3).data).toBe(3);
    expect(parseMsg(0xfee0_003c, 0, 3)).toMatchObject({ format: 'remappable', handle: 0x8001, subHandle: 3, index: 0x8004 });
  });

  test('C-126 an entry that posts to a guest', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims();
    const { virq } = domain.alloc();
    const { irqs } = bench.kernel;
    irqs.request(bench.dev, virq, () => {});
    const entries: number[][] = [];
    bench.onEntry((_index, words) => void entries.push([...words]));
    irqs.setVcpuAffinity(virq, { descriptor: 0x1_2345_6780, vector: 0x51 });
    const [[low, lowAddress, source, highAddress]] = entries as [[number, number, number, number]];
    expect([low >>> 16, (low >>> 15) & 1, (low >>> 14) & 1, low & 1]).toEqual([0x51, 1, 0, 1]);
    expect([lowAddress >>> 6, highAddress]).toEqual([0x8d_159e, 1]);
    expect([source & 0xffff, (source >>> 18) & 3]).toEqual([REQUESTER, 1]);
    expect(irqs.desc(virq).forwardedToVcpu).toBe(true);
    irqs.setVcpuAffinity(virq, undefined);
    const back = entries.at(-1)!;
    expect([(back[0]! >>> 15) & 1, back[0]! >>> 16, back[2]! & 0xffff]).toEqual([0, 0x20, REQUESTER]);
  });

  test('C-127 a message from somebody else is refused', async () => {
    await using bench = await Bench.start({ others: [2] });
    const domain = bench.ims();
    let count = 0;
    bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => count++);
    const { addressLo, addressHi, data } = domain.message(0)!;
    bench.at('0000:6a:02.0').setMaster();
    bench.cards.get('0000:6a:02.0')!.context.irq.post(addressLo, addressHi, data);
    bench.machine.drain();
    expect([count, bench.machine.remapFaults.map(({ reason, requesterId }) => [reason, requesterId])]).toEqual([
      0,
      [['wrong requester', 0x6a10]],
    ]);
    expect(bench.kernel.interrupts.faults).toHaveLength(1);
    bench.fire(domain, 0);
    expect(count).toBe(1);
  });
});
