import { describe, expect, test } from 'vitest';
import { type QueueCookie, type QueueSlot, imsQueue } from '../../../core/msi/index.js';
import { Errno } from '../../../core/lib/index.js';
import { type MsiScene, code, msiScene } from './fixture.js';

interface Cookie extends QueueCookie {
  readonly queue: number;
}

/** Memory of a queue, and what a device that reads it when it is kicked makes of it. */
class Queue {
  readonly memory = new Uint32Array(8);
  device: number[] = [];
  readonly cookie: Cookie;

  constructor(readonly number: number) {
    this.cookie = { memory: { write32: (at, value) => (this.memory[at / 4] = value) }, offset: 0x10, queue: number };
  }

  read(): void {
    this.device = Array.from(this.memory.subarray(4));
  }
}

const ADDRESS = 0xfee0_0018;
const MASKED = 1;

function fixture(options: { slots?: number } = {}, scene: MsiScene = msiScene()) {
  const queues = [new Queue(0), new Queue(1)];
  const kicks: number[] = [];
  let failure: Error | undefined;
  let onKick = (_slot: QueueSlot<Cookie>): void => {};
  const store = imsQueue<Cookie>({
    ...options,
    kick(slot) {
      kicks.push(slot.cookie.queue);
      onKick(slot);
      if (failure !== undefined) throw failure;
      queues[slot.cookie.queue]!.read();
    },
    deviceVisibleId: ({ cookie }) => 0x100 + cookie.queue,
  });
  const domain = scene.ims.createDomain(scene.dev, store);
  return {
    ...scene,
    domain,
    queues,
    kicks,
    fail: (error: Error | undefined) => {
      failure = error;
    },
    during: (fn: () => void) => {
      onKick = fn;
    },
  };
}

describe('a store in queue memory', () => {
  test('has as many slots as software can count, unless it says otherwise', () => {
    expect([fixture().domain.size, fixture({ slots: 2 }).domain.size]).toEqual([65_536, 2]);
  });

  test('is masked in memory from the start, without a kick', () => {
    const { domain, queues, kicks } = fixture();
    domain.alloc({ cookie: queues[0]!.cookie });
    expect([Array.from(queues[0]!.memory.subarray(4)), kicks]).toEqual([[0, 0, 0, MASKED], []]);
  });

  test('needs a queue', () => {
    const { domain } = fixture();
    expect([code(() => domain.alloc()), domain.count]).toEqual(['EINVAL', 0]);
  });

  test('C-047 is made effective by one kick for each operation that changes it', () => {
    const { domain, queues, kicks, irqs, dev } = fixture();
    const [a, b] = queues as [Queue, Queue];
    const map = domain.alloc({ cookie: b.cookie });
    const handle = irqs.request(dev, map.virq, () => {});
    expect([kicks, b.device, a.device]).toEqual([[1], [ADDRESS, 0, 0, 0], []]);
    handle.disableNosync();
    expect([kicks, b.device]).toEqual([
      [1, 1],
      [ADDRESS, 0, 0, MASKED],
    ]);
    handle.disableNosync();
    handle.enable();
    expect(kicks).toEqual([1, 1]);
    handle.enable();
    expect([kicks, b.device]).toEqual([
      [1, 1, 1],
      [ADDRESS, 0, 0, 0],
    ]);
    void handle.free();
    expect([kicks, b.device]).toEqual([
      [1, 1, 1, 1, 1],
      [0, 0, 0, MASKED],
    ]);
    domain.free(map);
    expect(kicks.length).toBe(5);
    expect(domain.deviceVisibleId(domain.alloc({ cookie: b.cookie }))).toBe(0x101);
  });

  test('C-048 is not kicked by a move', () => {
    const { domain, queues, kicks, irqs, dev } = fixture();
    const handle = irqs.request(dev, domain.alloc({ cookie: queues[0]!.cookie }).virq, () => {});
    handle.setAffinity([2]);
    expect([kicks, String(handle.effectiveAffinity)]).toEqual([[0], '2']);
  });

  test('keeps what an interrupt masks for the next operation', () => {
    const { domain, queues, kicks, irqs, dev, core } = fixture();
    const [a] = queues as [Queue];
    const { virq } = domain.alloc({ cookie: a.cookie });
    const handle = irqs.request(dev, virq, () => {});
    const { data } = irqs.desc(virq);
    core.windows.inInterrupt(() => data.chip.mask?.(data));
    expect([kicks, a.device]).toEqual([[0], [ADDRESS, 0, 0, 0]]);
    irqs.core.descs[virq]!.chip.busLock?.(data);
    irqs.core.descs[virq]!.chip.busSyncUnlock?.(data);
    expect([kicks, a.device]).toEqual([
      [0, 0],
      [ADDRESS, 0, 0, MASKED],
    ]);
    void handle.free();
  });

  test('fails the request when the device does not answer, and is of no use from then on', () => {
    const { domain, queues, kicks, irqs, dev, fail } = fixture();
    const map = domain.alloc({ cookie: queues[0]!.cookie });
    fail(new Errno('ETIMEDOUT', 'queue 0: no answer'));
    expect(() => irqs.request(dev, map.virq, () => {})).toThrow(/^EIO: .*/);
    expect([irqs.desc(map.virq).actions, irqs.desc(map.virq).failed, kicks]).toEqual([[], 'ETIMEDOUT: queue 0: no answer', [0]]);
    fail(undefined);
    expect(code(() => irqs.request(dev, map.virq, () => {}))).toBe('EIO');
    domain.free(map);
    irqs.request(dev, domain.alloc({ cookie: queues[0]!.cookie }).virq, () => {});
    expect(queues[0]!.device).toEqual([ADDRESS, 0, 0, 0]);
  });

  test('is told again after a reset, though nothing has changed', () => {
    const { domain, queues, kicks, irqs, dev } = fixture();
    const [a, b] = queues as [Queue, Queue];
    irqs.request(dev, domain.alloc({ cookie: a.cookie }).virq, () => {});
    domain.alloc({ cookie: b.cookie });
    for (const queue of queues) queue.memory.fill(0xdead);
    domain.restore();
    expect([kicks, a.device, b.device]).toEqual([
      [0, 0, 1],
      [ADDRESS, 0, 0, 0],
      [0, 0, 0, MASKED],
    ]);
  });

  test('is EDEADLK to change while it is kicked', () => {
    const { domain, queues, irqs, dev, during } = fixture();
    const { virq } = domain.alloc({ cookie: queues[0]!.cookie });
    const handle = irqs.request(dev, virq, () => {});
    let result = '';
    during(() => {
      result = code(() => irqs.disableNosync(virq));
    });
    handle.disableNosync();
    expect(result).toBe('EDEADLK');
  });

  test('is refused where a move rewrites the message', () => {
    const { ims, dev } = msiScene({ platform: 'plain' });
    expect(ims.tryCreateDomain(dev, imsQueue<Cookie>({ kick() {} }))).toBeUndefined();
  });
});
