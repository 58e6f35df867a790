import { describe, expect, test } from 'vitest';
import { handleLevel, handleSimple } from '../../../core/irq/index.js';
import { resend } from '../../../core/irq/resend.js';
import * as S from '../../../core/irq/state.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, recordingChip } from './bench.js';

const nothing = (): void => {};

describe('resend', () => {
  test('C-092 nothing pending is no reason to', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    bench.irqs.request(bench.device(), irq.virq, nothing);
    expect([resend(irq.desc, false), irq.desc.replay]).toEqual(['none', false]);
  });

  test('C-092 a level forgets what is pending: it is still asserted, or over', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel, records: ['setType', 'mask', 'unmask'] });
    const handle = bench.irqs.request(bench.device(), irq.virq, { hard: nothing, trigger: 'high' });
    irq.desc.state |= S.PENDING;
    expect([resend(irq.desc, false), irq.desc.pending, irq.desc.replay]).toEqual(['EINVAL', false, false]);
    expect(() => bench.irqs.inject(irq.virq)).toThrow('EINVAL');
    await handle.free();
  });

  test('C-092 one that is under way is not sent twice', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    irq.desc.state |= S.PENDING;
    expect([resend(irq.desc, false), irq.desc.pending, irq.desc.replay]).toEqual(['sent', false, true]);
    irq.desc.state |= S.PENDING;
    expect([resend(irq.desc, false), irq.desc.pending]).toEqual(['EBUSY', true]);
    expect(() => bench.irqs.inject(irq.virq)).toThrow('EBUSY');
    bench.irqs.drain();
    expect([count, irq.desc.replay]).toEqual([1, false]);
  });

  test('C-092 without hardware for it, what hardware alone may raise is EINVAL', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    bench.irqs.request(bench.device(), irq.virq, nothing);
    irq.desc.state |= S.PENDING | S.ENFORCE_IRQ_CONTEXT;
    expect([resend(irq.desc, false), irq.desc.replay]).toEqual(['EINVAL', false]);
  });

  test('the hardware nearest to the device that can does it; when it does not, software does', async () => {
    await using bench = await Bench.open();
    let works = true;
    const retrigger = (): boolean => works;
    const chip = recordingChip('root', bench.trace, ['retrigger'], { retrigger });
    const parent = bench.irq({ ops: { alloc: (own, virq) => own.setHwirq(virq, virq, chip) } });
    const irq = bench.irq({ parent: parent.domain, records: ['ack'] });
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    irq.desc.state |= S.PENDING;
    expect([resend(irq.desc, false), bench.look(), irq.desc.replay]).toEqual(['sent', ['root.retrigger'], true]);
    bench.irqs.drain();
    expect(count).toBe(0);
    works = false;
    irq.desc.state = (irq.desc.state & ~S.REPLAY) | S.PENDING;
    expect(resend(irq.desc, false)).toBe('sent');
    bench.irqs.drain();
    expect([count, bench.look()]).toEqual([1, ['root.retrigger', 'pic.ack']]);
  });

  test('a shutdown forgets it, and what is pending then comes with the next start', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    let count = 0;
    const first = bench.irqs.request(dev, irq.virq, () => void count++);
    first.disableNosync();
    irq.raise();
    first.enable();
    await first.free();
    bench.irqs.drain();
    expect([count, irq.desc.replay]).toEqual([0, false]);
    const second = bench.irqs.request(dev, irq.virq, () => void count++);
    second.disableNosync();
    irq.raise();
    second.enable();
    bench.irqs.drain();
    expect(count).toBe(1);
  });

  test('one that hardware brings meanwhile is not replayed twice', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleSimple });
    let count = 0;
    const handle = bench.irqs.request(bench.device(), irq.virq, () => {
      if (count++ > 0) return;
      // Its replay is still queued; this one is pending again, and enabled again.
      handle.disableNosync();
      irq.desc.state |= S.PENDING;
      handle.enable();
    });
    bench.irqs.inject(irq.virq);
    irq.raise();
    expect(count).toBe(2);
  });
});

describe('inject', () => {
  test('raises it as its device would, in the next window', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    bench.irqs.inject(irq.virq);
    expect(count).toBe(0);
    await Promise.resolve();
    expect([count, irq.desc.total]).toEqual([1, 1]);
  });

  test('is EINVAL for one that is not active, and for none', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    expect(() => bench.irqs.inject(irq.virq)).toThrow(`EINVAL: irq ${irq.virq}: irq ${irq.virq}: is not active`);
    expect(() => bench.irqs.inject(4711)).toThrow('EINVAL: irq 4711: no such interrupt');
  });

  test('has the hardware make it pending where that can be, and raises it by software where not', async () => {
    await using bench = await Bench.open();
    let works = true;
    const irq = bench.irq({
      records: ['ack', 'busLock', 'busSyncUnlock', 'setState'],
      chip: {
        setState() {
          if (!works) throw new Errno('EINVAL', 'no');
        },
      },
    });
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    bench.look();
    bench.irqs.inject(irq.virq);
    expect(bench.look()).toEqual(['pic.busLock', 'pic.setState', 'pic.busSyncUnlock']);
    bench.irqs.drain();
    expect(count).toBe(0);
    works = false;
    bench.irqs.inject(irq.virq);
    bench.irqs.drain();
    expect(count).toBe(1);
  });
});
