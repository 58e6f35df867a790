import { describe, expect, test } from 'vitest';
import type { IrqChip } from '../../../core/irq/index.js';
import { DISABLE_UNLAZY } from '../../../core/irq/state.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type IrqOptions, recordingChip } from './bench.js';

async function line(options: IrqOptions = {}) {
  const bench = await Bench.open();
  const irq = bench.irq(options);
  const dev = bench.device();
  const handle = bench.irqs.request(dev, irq.virq, () => {});
  bench.look();
  return { bench, irq, handle, dev };
}

const eio = (): never => {
  throw new Errno('EIO', 'slot');
};

describe('enable and disable', () => {
  test('nest: only the first disables, only the last enables', async () => {
    const { bench, irq, handle } = await line({ records: ['enable', 'disable'] });
    await handle.disable();
    handle.disableNosync();
    await bench.irqs.disable(irq.virq);
    expect([irq.desc.depth, bench.look()]).toEqual([3, ['pic.disable']]);
    handle.enable();
    bench.irqs.enable(irq.virq);
    expect([irq.desc.depth, irq.desc.disabled, bench.look()]).toEqual([1, true, []]);
    handle.enable();
    expect([irq.desc.depth, irq.desc.disabled, irq.desc.masked, bench.look()]).toEqual([0, false, false, ['pic.enable']]);
    await bench.stop();
  });

  test('one enable too many breaks a rule and changes nothing', async () => {
    const { bench, irq, handle } = await line();
    expect(() => handle.enable()).toThrow('EINVAL');
    expect([bench.violations, irq.desc.depth, irq.desc.disabled]).toEqual([['unbalanced-enable'], 0, false]);
    await bench.stop();
  });

  test('an unlazy line is masked at once', async () => {
    const { bench, irq, handle } = await line();
    irq.desc.settings |= DISABLE_UNLAZY;
    handle.disableNosync();
    expect(bench.look()).toEqual(['pic.mask']);
    handle.enable();
    expect(bench.look()).toEqual(['pic.unmask']);
    await bench.stop();
  });

  test('C-047 each is bracketed by one bus lock, and set-type too; affinity is not', async () => {
    const records: (keyof IrqChip)[] = [
      'busLock',
      'busSyncUnlock',
      'setType',
      'setWake',
      'setState',
      'disable',
      'enable',
      'setAffinity',
    ];
    const { bench, handle, irq } = await line({ records, chip: { setAffinity: () => 'ok' } });
    const steps: [() => void, string[]][] = [
      [() => handle.disableNosync(), ['disable']],
      [() => handle.enable(), ['enable']],
      [() => bench.irqs.setTrigger(irq.virq, 'rising'), ['setType']],
      [() => handle.setWake(true), ['setWake']],
      [() => bench.irqs.setHardwareState(irq.virq, 'masked', true), ['setState']],
    ];
    for (const [step, inside] of steps) {
      step();
      expect(bench.look()).toEqual(['pic.busLock', ...inside.map((name) => `pic.${name}`), 'pic.busSyncUnlock']);
    }
    handle.setAffinity([1]);
    expect(bench.look()).toEqual(['pic.setAffinity']);
    await bench.stop();
  });

  test('an enable that the chip cannot do leaves it disabled once', async () => {
    let isBroken = false;
    const { bench, irq, handle } = await line({ chip: { unmask: () => (isBroken ? eio() : undefined) } });
    irq.desc.settings |= DISABLE_UNLAZY;
    handle.disableNosync();
    isBroken = true;
    expect(() => handle.enable()).toThrow('EIO: slot');
    expect(irq.desc).toMatchObject({ depth: 1, disabled: true, masked: true });
    isBroken = false;
    handle.enable();
    expect(irq.desc).toMatchObject({ depth: 0, disabled: false, masked: false });
    await bench.stop();
  });

  test('waiting for the handlers looks at hardware that says one is on its way', async () => {
    let looks = 3;
    const { bench, handle } = await line({ chip: { getState: (_data, which) => which === 'active' && looks-- > 0 } });
    for (let n = 1; n < 9; n++) bench.clock.after(n, () => {});
    expect(handle.synchronize()).toBe(undefined);
    expect([looks, bench.clock.now()]).toEqual([-1, 3]);
    await bench.stop();
  });
});

describe('wake', () => {
  test('reaches the chip with the first and the last only', async () => {
    const { bench, irq, handle } = await line({ records: ['setWake'] });
    handle.setWake(true);
    handle.setWake(true);
    expect([irq.desc.wakeDepth, bench.look()]).toEqual([2, ['pic.setWake']]);
    handle.setWake(false);
    expect([irq.desc.wakeDepth, bench.look()]).toEqual([1, []]);
    handle.setWake(false);
    expect([irq.desc.wakeDepth, bench.look()]).toEqual([0, ['pic.setWake']]);
    expect(() => handle.setWake(false)).toThrow('EINVAL');
    expect([bench.violations, irq.desc.wakeDepth]).toEqual([['unbalanced-wake'], 0]);
    await bench.stop();
  });

  test('is ENXIO for a chip that cannot, nothing for one that always does; a failure changes nothing', async () => {
    const { bench, irq, handle, dev } = await line();
    expect(() => handle.setWake(true)).toThrow('ENXIO');
    expect(irq.desc.wakeDepth).toBe(0);
    const always = bench.irqs.request(dev, bench.irq({ chip: { skipSetWake: true } }).virq, () => {});
    always.setWake(true);
    always.setWake(false);
    let isBroken = true;
    const broken = bench.irq({ chip: { setWake: () => (isBroken ? eio() : undefined) } });
    const flaky = bench.irqs.request(dev, broken.virq, () => {});
    expect(() => flaky.setWake(true)).toThrow('EIO');
    expect(broken.desc.wakeDepth).toBe(0);
    isBroken = false;
    flaky.setWake(true);
    isBroken = true;
    expect(() => flaky.setWake(false)).toThrow('EIO');
    expect(broken.desc.wakeDepth).toBe(1);
    await bench.stop();
  });
});

describe('trigger', () => {
  test('is set while masked where the chip wants that, also while it is only lazily disabled', async () => {
    const { bench, irq, handle } = await line({ records: ['mask', 'unmask', 'setType'], chip: { setTypeMasked: true } });
    bench.irqs.setTrigger(irq.virq, 'high');
    expect([bench.look(), irq.desc.levelTriggered, irq.desc.trigger]).toEqual([
      ['pic.mask', 'pic.setType', 'pic.unmask'],
      true,
      'high',
    ]);
    handle.disableNosync();
    bench.irqs.setTrigger(irq.virq, 'rising');
    expect([bench.look(), irq.desc.levelTriggered, irq.desc.masked]).toEqual([['pic.mask', 'pic.setType'], false, true]);
    bench.irqs.setTrigger(irq.virq, 'none');
    expect([bench.look(), irq.desc.trigger]).toEqual([[], 'rising']);
    handle.enable();
    await bench.stop();
  });

  test('that the hardware lacks is told, and the old one stays', async () => {
    const { bench, irq } = await line({ records: ['mask', 'unmask', 'setType'], chip: { setTypeMasked: true, setType: eio } });
    expect(() => bench.irqs.setTrigger(irq.virq, 'high')).toThrow('EIO');
    expect([bench.look(), irq.desc.trigger, irq.desc.masked]).toEqual([['pic.mask', 'pic.setType', 'pic.unmask'], 'none', false]);
    await bench.stop();
  });
});

describe('hardware state', () => {
  test('is asked of the level nearest to the device that can tell', async () => {
    await using bench = await Bench.open();
    const chip = recordingChip('root', bench.trace, ['getState', 'setState', 'setVcpuAffinity'], { getState: () => true });
    const parent = bench.irq({ ops: { alloc: (own, virq) => own.setHwirq(virq, virq, chip) } });
    const irq = bench.irq({ parent: parent.domain });
    expect(bench.irqs.hardwareState(irq.virq, 'pending')).toBe(true);
    bench.irqs.setHardwareState(irq.virq, 'pending', true);
    expect(bench.look()).toEqual(['root.getState', 'root.setState']);
    const info = { descriptor: 0x1000, vector: 0x51 };
    bench.irqs.setVcpuAffinity(irq.virq, info);
    expect(irq.desc.forwardedToVcpu).toBe(true);
    bench.irqs.setVcpuAffinity(irq.virq, undefined);
    expect([irq.desc.forwardedToVcpu, bench.look()]).toEqual([false, ['root.setVcpuAffinity', 'root.setVcpuAffinity']]);
  });

  test('is EINVAL where nothing can tell', async () => {
    const { bench, irq } = await line();
    expect(() => bench.irqs.hardwareState(irq.virq, 'active')).toThrow('EINVAL');
    expect(() => bench.irqs.setHardwareState(irq.virq, 'active', true)).toThrow('EINVAL');
    const silent = bench.irq({ chip: { getState: () => undefined } });
    expect(() => bench.irqs.hardwareState(silent.virq, 'active')).toThrow('EINVAL');
    await bench.stop();
  });

  test('C-139 a guest cannot be the target where no level can post: ENOSYS; of no interrupt: EINVAL', async () => {
    const { bench, irq } = await line();
    const info = { descriptor: 0x1000, vector: 0x51 };
    expect(() => bench.irqs.setVcpuAffinity(irq.virq, info)).toThrow('ENOSYS');
    expect(() => bench.irqs.setVcpuAffinity(4711, info)).toThrow('EINVAL');
    expect(irq.desc.forwardedToVcpu).toBe(false);
    await bench.stop();
  });

  test('storage that has failed refuses everything but its free', async () => {
    const { bench, irq, handle, dev } = await line();
    irq.desc.failed = 'slot 3 did not answer';
    for (const step of [() => handle.disableNosync(), () => handle.setWake(true), () => bench.irqs.inject(irq.virq)]) {
      expect(step).toThrow('EIO');
    }
    await handle.free();
    expect(() => bench.irqs.request(dev, irq.virq, () => {})).toThrow('EIO');
    expect(dev.devres.size).toBe(0);
    await bench.stop();
  });
});
