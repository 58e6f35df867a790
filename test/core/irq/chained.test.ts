import { describe, expect, test } from 'vitest';
import {
  type FlowHandler,
  IrqDomain,
  type IrqDesc,
  enterChained,
  handleEdge,
  handleSimple,
  leaveChained,
  setChip,
} from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type IrqOptions } from './bench.js';

/** A controller of 8 inputs behind one interrupt; `status` says which have come. */
async function cascade(options: IrqOptions = {}) {
  const bench = await Bench.open();
  const input = bench.irq(options);
  const dev = bench.device();
  const domain = new IrqDomain(bench.irqCore, {
    name: 'DEMUX',
    ops: {
      map: (own, virq) => setChip(own.core.descs[virq]!, { name: 'demux', mask() {}, unmask() {} }, handleSimple, 'simple'),
    },
  });
  const registers = { status: 0 };
  const flow: FlowHandler = (desc: IrqDesc) => {
    enterChained(desc);
    const { irqs } = bench;
    for (let n = 0; n < 8; n++) if ((registers.status & (1 << n)) !== 0) irqs.handleDomainIrq(desc.handlerData as IrqDomain, n);
    registers.status = 0;
    leaveChained(desc);
  };
  const close = async (): Promise<void> => {
    await bench.kernel.core.remove(dev);
    bench.irqs.setChainedHandler(input.virq, undefined);
    for (const [, { virq }] of domain.mappings()) domain.disposeMapping(virq);
    domain.remove();
    await bench.stop();
  };
  return { bench, input, dev, domain, registers, flow, close };
}

describe('chained handlers', () => {
  test('start the input at once, and hand on what has come, in interrupt context', async () => {
    const { bench, input, dev, domain, registers, flow, close } = await cascade();
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    expect(input.desc).toMatchObject({ started: true, activated: true, depth: 0, handlerData: domain });
    bench.look();
    const seen: string[] = [];
    for (const n of [2, 5]) {
      const virq = domain.createMapping(n);
      bench.irqs.request(
        dev,
        virq,
        () => void seen.push(`${n} ${bench.irqCore.windows.inHandler} cpu${bench.irqCore.currentCpu}`),
      );
    }
    registers.status = 0b10_0100;
    input.raise(1);
    expect([seen, bench.look()]).toEqual([
      ['2 true cpu1', '5 true cpu1'],
      ['pic.mask', 'pic.ack', 'pic.unmask'],
    ]);
    await close();
  });

  test('tell the end alone where the chip has one', async () => {
    const { bench, input, flow, domain, close } = await cascade({ records: ['eoi', 'mask', 'unmask'] });
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    bench.look();
    input.raise();
    expect(bench.look()).toEqual(['pic.eoi']);
    await close();
  });

  test('a flow that throws breaks a rule, and the machine goes on', async () => {
    const { bench, input, domain, flow, registers, close } = await cascade();
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    registers.status = 1;
    input.raise();
    expect([bench.violations, bench.irqCore.windows.inHandler]).toEqual([['irq-flow-failed'], false]);
    expect(bench.said[0]).toContain('domain DEMUX: no interrupt 0');
    await close();
  });

  test('nobody can request the input, nor chain to it twice; what is requested is not chained to', async () => {
    const { bench, input, dev, domain, flow, close } = await cascade();
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    expect(() => bench.irqs.request(dev, input.virq, () => {})).toThrow('EINVAL: dev0');
    expect(() => bench.irqs.setChainedHandler(input.virq, flow)).toThrow('EBUSY');
    expect(() => input.domain.disposeMapping(input.virq)).toThrow('EBUSY');
    const other = bench.irq();
    bench.irqs.request(dev, other.virq, () => {});
    expect(() => bench.irqs.setChainedHandler(other.virq, flow)).toThrow('EBUSY');
    expect(() => bench.irqs.setChainedHandler(4711, flow)).toThrow('EINVAL');
    const bare = bench.irqCore.allocDescs(1, {});
    expect(() => bench.irqs.setChainedHandler(bare, flow)).toThrow('ENOSYS');
    bench.irqCore.freeDescs(bare, 1);
    await close();
  });

  test('end when they are taken back: the input is shut down', async () => {
    const { bench, input, domain, flow, registers, close } = await cascade();
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    bench.irqs.setChainedHandler(input.virq, undefined);
    bench.irqs.setChainedHandler(input.virq, undefined);
    expect(input.desc).toMatchObject({ started: false, activated: false, disabled: true, handlerData: undefined });
    registers.status = 1;
    input.raise();
    expect([registers.status, bench.irqCore.unexpectedCount]).toEqual([1, 1]);
    bench.irqs.setChainedHandler(input.virq, flow, domain);
    expect(input.desc.started).toBe(true);
    await close();
  });

  test('an input that does not start is as it was, and can be requested', async () => {
    let isBroken = true;
    const { bench, input, dev, flow, close } = await cascade({
      chip: {
        unmask() {
          if (isBroken) throw new Errno('EIO', 'slot');
        },
      },
    });
    expect(() => bench.irqs.setChainedHandler(input.virq, flow)).toThrow('EIO: slot');
    expect([input.desc.activated, input.desc.flow]).toEqual([false, handleEdge]);
    isBroken = false;
    bench.irqs.request(dev, input.virq, () => {});
    expect(input.desc.started).toBe(true);
    await close();
  });
});
