import { describe, expect, test } from 'vitest';
import { type AffinityResult, CpuMask, type IrqChip, handleEdge } from '../../../core/irq/index.js';
import { movePending } from '../../../core/irq/affinity.js';
import * as S from '../../../core/irq/state.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type IrqOptions } from './bench.js';

/** An interrupt that can be moved; `answers` are what its chip says, then always `ok`. */
async function movable(options: IrqOptions = {}, spec: object = {}) {
  const bench = await Bench.open();
  const answers: (AffinityResult | Errno)[] = [];
  const asked: string[] = [];
  const setAffinity: IrqChip['setAffinity'] = (data, mask, force) => {
    asked.push(`${String(mask)}${force ? ' force' : ''}`);
    const answer = answers.shift() ?? 'ok';
    if (answer instanceof Errno) throw answer;
    if (answer !== 'busy') data.desc.effective = CpuMask.of(mask.first);
    return answer;
  };
  const chip: Partial<IrqChip> = { setAffinity, ack: (data) => movePending(data.desc), ...options.chip };
  const irq = bench.irq({ ...options, chip });
  const dev = bench.device();
  const handle = bench.irqs.request(dev, irq.virq, { hard: () => {}, ...spec });
  return { bench, irq, dev, handle, answers, asked };
}

const NO_ROOM = new Errno('ENOSPC', 'no vector left');

describe('affinity at the start', () => {
  test('is the default, on CPUs that are online', async () => {
    const { bench, asked, irq } = await movable();
    expect([asked, String(irq.desc.affinity), irq.desc.affinitySet]).toEqual([['0-3'], '0-3', false]);
    await bench.stop();
  });

  test('is what users have set, while one of those CPUs is online; else the default again', async () => {
    const { bench, asked, irq, handle, dev } = await movable();
    handle.setAffinity([2]);
    await handle.free();
    asked.length = 0;
    const again = bench.irqs.request(dev, irq.virq, () => {});
    expect([asked, String(irq.desc.affinity)]).toEqual([['2'], '2']);
    await again.free();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    asked.length = 0;
    bench.irqs.request(dev, irq.virq, () => {});
    expect([asked, irq.desc.affinitySet]).toEqual([['0-1'], false]);
    await bench.stop();
  });

  test('is near to its node where that has a CPU of the mask', async () => {
    await using bench = await Bench.open();
    const asked: string[] = [];
    const irq = bench.irq({
      chip: {
        setAffinity(_data, mask) {
          asked.push(String(mask));
          return 'ok';
        },
      },
    });
    Object.assign(irq.desc, { node: 1 });
    const dev = bench.device();
    await bench.irqs.request(dev, irq.virq, () => {}).free();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    bench.irqs.request(dev, irq.virq, () => {});
    expect(asked).toEqual(['2-3', '0-1']);
  });

  test('comes before the start where the chip wants that, else after it', async () => {
    for (const affinityPreStartup of [true, false]) {
      const { bench } = await movable({ records: ['setAffinity', 'unmask'], chip: { affinityPreStartup } });
      const order = ['pic.setAffinity', 'pic.unmask'];
      expect(bench.look()).toEqual(affinityPreStartup ? order : order.reverse());
      await bench.stop();
    }
  });

  test.each([{ perCpu: true }, { noBalancing: true }])('is nobody’s choice with %o', async (spec) => {
    const { bench, asked, irq, handle } = await movable({}, spec);
    expect(asked).toEqual([]);
    expect(() => bench.irqs.writeAffinity(irq.virq, [1])).toThrow('EPERM');
    await handle.free();
    expect(irq.desc.state & (S.PER_CPU | S.NO_BALANCING)).toBe(0);
    await bench.stop();
  });

  test('that has no room leaves it where it is, and is logged', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({
      chip: {
        setAffinity() {
          throw NO_ROOM;
        },
      },
    });
    bench.irqs.request(bench.device(), irq.virq, () => {});
    expect([
      irq.desc.started,
      bench.kernel.core.log.records().some(({ text }) => text.includes('affinity not set: ENOSPC')),
    ]).toEqual([true, true]);
  });
});

describe('setAffinity', () => {
  test('asks the chip for the CPUs that are online, and keeps the whole mask', async () => {
    const { bench, asked, irq, handle } = await movable();
    bench.irqCore.cpus.online = CpuMask.of(0, 1, 2);
    asked.length = 0;
    handle.setAffinity([2, 3]);
    expect([asked, String(handle.affinity), String(handle.effectiveAffinity), irq.desc.affinitySet]).toEqual([
      ['2'],
      '2-3',
      '2',
      true,
    ]);
    await bench.stop();
  });

  test('is EINVAL without a CPU that is online, and for a chip that cannot; nothing has changed', async () => {
    const { bench, asked, handle, dev } = await movable();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    asked.length = 0;
    for (const cpus of [[], [3], [9]]) expect(() => handle.setAffinity(cpus)).toThrow('EINVAL');
    expect(() => bench.irqs.setAffinity(handle.virq, [], true)).toThrow('EINVAL');
    expect([asked, String(handle.affinity)]).toEqual([[], '0-3']);
    const fixed = bench.irqs.request(dev, bench.irq().virq, () => {});
    expect(() => fixed.setAffinity([0])).toThrow('EINVAL');
    expect(() => bench.irqs.setAffinity(4711, [0])).toThrow('EINVAL');
    await bench.stop();
  });

  test('forced goes to CPUs as they are', async () => {
    const { bench, asked, irq } = await movable();
    bench.irqCore.cpus.online = CpuMask.of(0);
    asked.length = 0;
    bench.irqs.setAffinity(irq.virq, [3], true);
    expect([asked, String(irq.desc.affinity)]).toEqual([['3 force'], '3']);
    await bench.stop();
  });

  test('what the chip refuses is told, and the old target stays', async () => {
    const { bench, answers, handle } = await movable();
    handle.setAffinity([1]);
    answers.push(NO_ROOM);
    expect(() => handle.setAffinity([2])).toThrow('ENOSPC: no vector left');
    expect([String(handle.affinity), String(handle.effectiveAffinity)]).toEqual(['1', '1']);
    await bench.stop();
  });

  test.each<[AffinityResult, string]>([
    ['ok', '2'],
    ['done', '2'],
    ['nocopy', '0-3'],
  ])('a chip that says %s leaves %s as the mask', async (answer, mask) => {
    const { bench, answers, handle } = await movable();
    answers.push(answer);
    handle.setAffinity([2]);
    expect(String(handle.affinity)).toBe(mask);
    await bench.stop();
  });

  test('C-103 a chip that is busy makes it wait for the next interrupt, and for the one after that', async () => {
    const { bench, answers, irq, handle, asked } = await movable();
    answers.push('busy', 'busy');
    handle.setAffinity([3]);
    expect(irq.desc).toMatchObject({ affinityPending: true, affinitySet: true });
    expect([String(irq.desc.affinity), String(irq.desc.pendingMask)]).toEqual(['0-3', '3']);
    irq.raise();
    expect(irq.desc.affinityPending).toBe(true);
    irq.raise();
    expect([irq.desc.affinityPending, irq.desc.pendingMask, String(irq.desc.affinity)]).toEqual([false, undefined, '3']);
    irq.raise();
    expect(asked).toEqual(['0-3', '3', '3', '3']);
    await bench.stop();
  });

  test('C-103 a forced move is EBUSY then', async () => {
    const { bench, answers, irq } = await movable();
    answers.push('busy');
    expect(() => bench.irqs.setAffinity(irq.virq, [3], true)).toThrow('EBUSY');
    expect(irq.desc.affinityPending).toBe(false);
    await bench.stop();
  });

  test('a second move replaces one that waits', async () => {
    const { bench, answers, irq, handle, asked } = await movable();
    answers.push('busy');
    handle.setAffinity([3]);
    handle.setAffinity([1]);
    irq.raise();
    expect([asked, String(irq.desc.affinity)]).toEqual([['0-3', '3', '1'], '1']);
    await bench.stop();
  });

  test('a chip that moves in its interrupt alone is masked for it', async () => {
    const { bench, irq, handle, asked } = await movable({
      flow: handleEdge,
      records: ['setAffinity', 'mask', 'unmask'],
      chip: { moveDeferred: true },
    });
    bench.look();
    handle.setAffinity([1]);
    expect([irq.desc.affinityPending, asked]).toEqual([true, ['0-3']]);
    irq.raise();
    expect([bench.look(), String(irq.desc.affinity)]).toEqual([['pic.mask', 'pic.setAffinity', 'pic.unmask'], '1']);
    await bench.stop();
  });

  test('what waited for CPUs that are gone is forgotten', async () => {
    const { bench, answers, irq, handle } = await movable();
    answers.push('busy');
    handle.setAffinity([3]);
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    irq.raise();
    expect([irq.desc.affinityPending, irq.desc.pendingMask, String(irq.desc.affinity)]).toEqual([false, undefined, '0-3']);
    await bench.stop();
  });

  test('before activation it is only stored, where the domain wants that', async () => {
    const { bench, irq, handle, dev, asked } = await movable();
    await handle.free();
    irq.desc.state |= S.AFFINITY_ON_ACTIVATE;
    asked.length = 0;
    bench.irqs.setAffinity(irq.virq, [1, 2]);
    expect([asked, String(irq.desc.affinity), String(irq.desc.effective), irq.desc.affinitySet]).toEqual([
      [],
      '1-2',
      '1-2',
      true,
    ]);
    bench.irqs.request(dev, irq.virq, () => {});
    expect(asked).toEqual(['1-2']);
    await bench.stop();
  });

  test('takes no bus lock', async () => {
    const { bench, handle } = await movable({ records: ['busLock', 'setAffinity', 'busSyncUnlock'] });
    bench.look();
    handle.setAffinity([1]);
    expect(bench.look()).toEqual(['pic.setAffinity']);
    await bench.stop();
  });
});

describe('writeAffinity', () => {
  test('is EPERM for a managed interrupt and one that cannot move, EINVAL without CPU online', async () => {
    const { bench, irq } = await movable();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    expect(() => bench.irqs.writeAffinity(irq.virq, [3])).toThrow('EINVAL');
    bench.irqs.writeAffinity(irq.virq, [1, 3]);
    expect(String(bench.irqs.affinity(irq.virq))).toBe('1,3');
    expect(() => bench.irqs.writeAffinity(bench.irq({ managed: [0] }).virq, [0])).toThrow('EPERM');
    expect(() => bench.irqs.writeAffinity(bench.irq().virq, [0])).toThrow('EPERM');
    await bench.stop();
  });
});

describe('managed interrupts', () => {
  const managed = async (cpus: number[], options: IrqOptions = {}) => {
    const levels: string[] = [];
    const all = await movable({
      managed: cpus,
      ...options,
      ops: { activate: () => levels.push('on'), deactivate: () => levels.push('off'), ...options.ops },
    });
    return { ...all, levels };
  };

  test('start on their own CPUs', async () => {
    const { bench, asked, irq, levels } = await managed([1, 2]);
    expect([asked, levels]).toEqual([['1-2'], ['on']]);
    expect(irq.desc).toMatchObject({ started: true, managedShutdown: false, depth: 0 });
    await bench.stop();
  });

  test('leave isolated CPUs alone while another of theirs is online', async () => {
    const { bench, asked, irq, handle, dev } = await managed([1, 2]);
    await handle.free();
    bench.irqCore.cpus.isolated = CpuMask.of(1);
    asked.length = 0;
    await bench.irqs.request(dev, irq.virq, () => {}).free();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    bench.irqs.request(dev, irq.virq, () => {});
    expect([asked, String(irq.desc.affinity)]).toEqual([['2', '1'], '1-2']);
    await bench.stop();
  });

  test('C-110 one whose CPUs are offline is requested, not active, and waits', async () => {
    await using bench = await Bench.open();
    bench.irqCore.cpus.online = CpuMask.of(0, 1);
    const levels: string[] = [];
    const irq = bench.irq({ managed: [3], ops: { activate: () => levels.push('on') } });
    const handle = bench.irqs.request(bench.device(), irq.virq, () => {});
    expect(irq.desc).toMatchObject({ started: false, activated: false, managedShutdown: true, depth: 1 });
    expect([levels, bench.violations, String(irq.desc.affinity)]).toEqual([[], [], '3']);
    // Who enables it by hand enables what he has not disabled.
    handle.enable();
    expect([bench.violations, irq.desc.depth]).toEqual([['managed-irq-without-cpu'], 1]);
    // A disable of its own is balanced.
    handle.disableNosync();
    handle.enable();
    expect([bench.violations.length, irq.desc.depth, irq.desc.managedShutdown]).toEqual([1, 1, true]);
  });

  test('one that no level can activate is not requested', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({
      managed: [1],
      ops: {
        activate() {
          throw NO_ROOM;
        },
      },
    });
    const dev = bench.device();
    expect(() => bench.irqs.request(dev, irq.virq, () => {})).toThrow('ENOSPC');
    expect([dev.devres.size, irq.desc.action, irq.desc.depth, irq.desc.activated]).toEqual([0, undefined, 1, false]);
  });
});

describe('hints and notifiers', () => {
  test('C-113 a hint is stored and applied; a hint at the free breaks a rule and is cleared', async () => {
    const { bench, irq, handle, asked, dev } = await movable();
    asked.length = 0;
    handle.setAffinityHint([2]);
    expect([String(irq.desc.affinityHint), asked]).toEqual(['2', ['2']]);
    await handle.free();
    expect([bench.violations, irq.desc.affinityHint]).toEqual([['affinity-hint-at-free'], undefined]);
    const again = bench.irqs.request(dev, irq.virq, () => {});
    again.setAffinityHint([1]);
    again.setAffinityHint(undefined);
    await again.free();
    expect(bench.violations.length).toBe(1);
    await bench.stop();
  });

  test('C-113 a hint that is not to be applied, or cannot be, is only stored', async () => {
    const { bench, irq, handle, asked, answers } = await movable();
    asked.length = 0;
    handle.setAffinityHint([2], false);
    expect([String(irq.desc.affinityHint), asked]).toEqual(['2', []]);
    answers.push(NO_ROOM);
    handle.setAffinityHint([3]);
    expect(String(irq.desc.affinityHint)).toBe('3');
    handle.setAffinityHint(undefined);
    await bench.stop();
  });

  test('on a shared line whoever frees first clears it, and is told', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const [one, two] = [0, 1].map(() => bench.irqs.request(dev, irq.virq, { hard: () => {}, shared: true }));
    one!.setAffinityHint([1], false);
    await one!.free();
    expect([bench.violations, irq.desc.affinityHint]).toEqual([['affinity-hint-at-free'], undefined]);
    await two!.free();
    expect(bench.violations.length).toBe(1);
  });

  test('a notifier is told of a move in task context, with what is wanted when it waits', async () => {
    const { bench, handle, answers } = await movable();
    const told: string[] = [];
    handle.setAffinityNotifier((mask) => told.push(`${String(mask)} ${bench.irqCore.windows.inHandler}`));
    handle.setAffinity([1]);
    expect(told).toEqual([]);
    bench.irqs.drain();
    answers.push('busy');
    handle.setAffinity([2]);
    bench.irqs.drain();
    expect(told).toEqual(['1 false', '2 false']);
    handle.setAffinity([3]);
    handle.setAffinityNotifier(undefined);
    bench.irqs.drain();
    expect(told.length).toBe(2);
    await bench.stop();
  });

  test('a notifier at the free breaks a rule, and is told nothing any more; one that throws breaks another', async () => {
    const { bench, handle, irq } = await movable();
    let told = 0;
    handle.setAffinityNotifier(() => void told++);
    handle.setAffinity([1]);
    await handle.free();
    bench.irqs.drain();
    expect([bench.violations, told, irq.desc.notifier]).toEqual([['affinity-notifier-at-free'], 0, undefined]);
    const other = await movable();
    other.handle.setAffinityNotifier(() => {
      throw new Error('no');
    });
    other.handle.setAffinity([1]);
    other.bench.irqs.drain();
    other.handle.setAffinityNotifier(undefined);
    expect(other.bench.violations).toEqual(['callback-threw']);
    await other.bench.stop();
    await bench.stop();
  });
});
