import { describe, expect, test } from 'vitest';
import { DeviceCore } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';
import { Errno } from '../../../core/lib/index.js';
import { EventFd, IrqBypass, type IrqBypassConsumer, type IrqBypassProducer } from '../../../core/vfio/index.js';
import { codeOf } from './bench.js';

function setUp() {
  const core = new DeviceCore({ clock: new VirtualClock() });
  const violations: string[] = [];
  core.violations.on(({ rule }) => violations.push(rule));
  const calls: string[] = [];
  const context = new EventFd('key');
  const producer = (more: Partial<IrqBypassProducer> = {}): IrqBypassProducer => ({
    context,
    irq: 7,
    stop: () => void calls.push('stop(p)'),
    start: () => void calls.push('start(p)'),
    addConsumer: () => void calls.push('add_consumer'),
    delConsumer: () => void calls.push('del_consumer'),
    ...more,
  });
  const consumer = (more: Partial<IrqBypassConsumer> = {}): IrqBypassConsumer => ({
    context,
    stop: () => void calls.push('stop(c)'),
    start: () => void calls.push('start(c)'),
    addProducer: () => void calls.push('add_producer'),
    delProducer: () => void calls.push('del_producer'),
    ...more,
  });
  return { bypass: new IrqBypass(core), violations, calls, context, producer, consumer };
}

describe('IrqBypass', () => {
  test('80 a producer registered twice is EINVAL and a broken rule, and stays registered', () => {
    const { bypass, violations, producer } = setUp();
    const one = producer();
    bypass.registerProducer(one);
    expect(codeOf(() => bypass.registerProducer(one))).toBe('EINVAL');
    expect(violations).toEqual(['bypass-registered-twice']);
    expect(codeOf(() => bypass.registerProducer(producer()))).toBe('EBUSY');
  });

  test('80 another producer or consumer of the same eventfd is EBUSY, and breaks no rule', () => {
    const { bypass, violations, producer, consumer } = setUp();
    bypass.registerProducer(producer());
    bypass.registerConsumer(consumer());
    expect(codeOf(() => bypass.registerProducer(producer()))).toBe('EBUSY');
    expect(codeOf(() => bypass.registerConsumer(consumer()))).toBe('EBUSY');
    expect(violations).toEqual([]);
  });

  test('80 a consumer without add_producer or del_producer is EINVAL, and leaves nothing', () => {
    const { bypass, consumer, context } = setUp();
    for (const missing of ['addProducer', 'delProducer']) {
      const broken = Object.fromEntries(Object.entries(consumer()).filter(([name]) => name !== missing));
      expect(codeOf(() => bypass.registerConsumer({ ...broken, context } as IrqBypassConsumer))).toBe('EINVAL');
    }
    expect(codeOf(() => bypass.registerConsumer(consumer()))).toBe('ok');
  });

  test('80 unregister of what was never registered has no effect', () => {
    const { bypass, calls, producer, consumer, context } = setUp();
    bypass.unregisterProducer(producer());
    bypass.unregisterConsumer(consumer());
    bypass.registerProducer(producer());
    bypass.registerConsumer(consumer());
    calls.length = 0;
    bypass.unregisterProducer(producer());
    bypass.unregisterConsumer(consumer());
    expect([calls, bypass.isConnected(context)]).toEqual([[], true]);
  });

  test('81 when the connection fails, who registers gets the error, and the other stays unlinked', () => {
    const { bypass, calls, producer, consumer, context } = setUp();
    const first = producer();
    bypass.registerProducer(first);
    const failing = consumer({
      addProducer: () => {
        calls.push('add_producer');
        throw new Errno('EIO', 'no posting');
      },
    });
    expect(codeOf(() => bypass.registerConsumer(failing))).toBe('EIO');
    expect(calls).toEqual(['stop(p)', 'stop(c)', 'add_consumer', 'add_producer', 'del_consumer', 'start(c)', 'start(p)']);
    expect(bypass.isConnected(context)).toBe(false);
    // The key of the consumer is free, that of the producer is not.
    expect(codeOf(() => bypass.registerProducer(producer()))).toBe('EBUSY');
    expect(codeOf(() => bypass.registerConsumer(consumer()))).toBe('ok');
    expect(bypass.isConnected(context)).toBe(true);
  });

  test('81 a producer that comes second and cannot be connected is not registered', () => {
    const { bypass, calls, producer, consumer, context } = setUp();
    bypass.registerConsumer(consumer());
    const refuse = (): never => {
      throw new Errno('EOPNOTSUPP', 'no');
    };
    expect(codeOf(() => bypass.registerProducer(producer({ addConsumer: refuse })))).toBe('EOPNOTSUPP');
    // What was not added is not deleted.
    expect(calls).toEqual(['stop(p)', 'stop(c)', 'start(c)', 'start(p)']);
    bypass.registerProducer(producer());
    expect(bypass.isConnected(context)).toBe(true);
  });

  test.each(['producer', 'consumer'] as const)('either end may leave, and come back: %s', (end) => {
    const { bypass, calls, producer, consumer, context } = setUp();
    const [p, c] = [producer(), consumer()];
    bypass.registerConsumer(c);
    bypass.registerProducer(p);
    expect(calls).toEqual(['stop(p)', 'stop(c)', 'add_consumer', 'add_producer', 'start(c)', 'start(p)']);
    calls.length = 0;
    if (end === 'producer') bypass.unregisterProducer(p);
    else bypass.unregisterConsumer(c);
    expect(calls).toEqual(['stop(p)', 'stop(c)', 'del_producer', 'del_consumer', 'start(c)', 'start(p)']);
    expect(bypass.isConnected(context)).toBe(false);
    if (end === 'producer') bypass.registerProducer(p);
    else bypass.registerConsumer(c);
    expect(bypass.isConnected(context)).toBe(true);
  });

  test('eventfds are told apart by what they are, not by their name', () => {
    const { bypass, producer } = setUp();
    bypass.registerProducer(producer());
    expect(codeOf(() => bypass.registerProducer(producer({ context: new EventFd('key') })))).toBe('ok');
  });
});
