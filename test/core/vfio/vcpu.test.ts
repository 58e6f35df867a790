import { describe, expect, test } from 'vitest';
import { codeOf } from './bench.js';
import { VECTOR, scene } from './guest-scene.js';

describe('a virtual CPU', () => {
  test('handles its vectors highest first, each once however often it was requested', async () => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    for (const vector of [0x20, 0xff, VECTOR, 0x20, 0x42]) vcpu.inject(vector);
    vcpu.run();
    s.bench.machine.drain();
    expect([s.heard, vcpu.handled]).toEqual([['0:0xff', '0:0x42', '0:0x41', '0:0x20'], 4]);
  });

  test('handlers run in task context, and not inside what requests the interrupt', async () => {
    await using s = await scene();
    const { bench, guest, heard } = s;
    const vcpu = guest.vcpu(0);
    vcpu.run();
    bench.machine.drain();
    let inside = true;
    vcpu.handle(0x20, () => {
      vcpu.inject(0x42);
      inside = heard.length > 0;
    });
    vcpu.inject(0x20);
    expect(vcpu.handled).toBe(0);
    bench.machine.drain();
    expect([inside, heard]).toEqual([false, ['0:0x42']]);
  });

  test('what a handler throws breaks a rule, and the guest goes on', async () => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    vcpu.handle(0xff, () => {
      throw new RangeError('guest panic');
    });
    vcpu.run();
    vcpu.inject(0xff);
    vcpu.inject(0x20);
    s.bench.machine.drain();
    expect([s.heard, s.bench.violations.splice(0)]).toEqual([['0:0x20'], ['callback-threw']]);
  });

  test('a vector without handler is taken, and nothing more', async () => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    vcpu.run();
    vcpu.handle(VECTOR, undefined);
    s.bench.fire(0);
    expect([vcpu.handled, vcpu.descriptor.hasRequests, s.bench.violations]).toEqual([1, false, []]);
  });

  test('to run where another does preempts that one', async () => {
    await using s = await scene({ vcpus: 2 });
    const [a, b] = s.guest.vcpus;
    a!.run(1);
    b!.run(1);
    expect([a!.state, b!.state]).toEqual(['preempted', 'running']);
    s.bench.fire(0);
    expect([s.heard, a!.descriptor.isRequested(VECTOR)]).toEqual([[], true]);
    a!.run(2);
    s.bench.machine.drain();
    expect(s.heard).toEqual(['0:0x41']);
  });

  test('two that are blocked on one CPU: the one with an interrupt is woken, the other sleeps', async () => {
    await using s = await scene({ vcpus: 2 });
    const [a, b] = s.guest.vcpus;
    a!.block();
    b!.block();
    s.bench.fire(0);
    expect([a!.state, b!.state, a!.wakeups, b!.wakeups]).toEqual(['running', 'blocked', 1, 0]);
  });

  test('the host’s own injection wakes it as a posted one does', async () => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    vcpu.block();
    vcpu.inject(0x20);
    vcpu.inject(0x20);
    s.bench.machine.drain();
    expect([s.heard, vcpu.wakeups]).toEqual([['0:0x20'], 1]);
  });

  test.each([-1, 4, 0.5, Number.NaN])('to run on CPU %d is ERANGE, and changes nothing', async (cpu) => {
    await using s = await scene();
    const vcpu = s.guest.vcpu(0);
    vcpu.run(2);
    expect(codeOf(() => vcpu.run(cpu))).toBe('ERANGE');
    expect([vcpu.state, vcpu.cpu]).toEqual(['running', 2]);
  });

  test.each([-1, 256, 0.5, Number.NaN])('a handler or an interrupt of vector %d is refused', async (vector) => {
    await using s = await scene();
    expect(codeOf(() => s.guest.vcpu(0).handle(vector, () => {}))).toBe('ERANGE');
    expect(codeOf(() => s.guest.vcpu(0).inject(vector))).toBe('EINVAL');
    expect(s.guest.vcpu(0).descriptor.hasRequests).toBe(false);
  });
});
