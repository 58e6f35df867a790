import { describe, expect, test } from 'vitest';
import { type Coalesce, NetDevices, type RxMode, XMIT } from '../../../core/class/index.js';
import { Errno } from '../../../core/lib/index.js';
import { FRAME, withCard } from './net-fixture.js';

const thrown = (body: () => unknown): string => {
  try {
    body();
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
};

describe('a network device', () => {
  test('sends while it is open and has carrier; what is sent is what the driver gets', () => {
    const { eth, card } = withCard();
    expect(thrown(() => eth.send(0, FRAME, 0, 60))).toBe('ENETDOWN');
    void eth.open();
    expect(eth.send(0, FRAME, 10, 20, true)).toBe(XMIT.OK);
    expect(card.sent).toEqual([{ queue: 0, bytes: [...FRAME.subarray(10, 30)], more: true }]);
    card.node.carrierOff();
    expect(eth.send(0, FRAME, 0, 60)).toBe(XMIT.DROP);
    expect(card.sent).toHaveLength(1);
    expect(eth.statistics()).toMatchObject({ txDropped: 1 });
  });

  test('refuses what is no frame', () => {
    const { eth } = withCard();
    void eth.open();
    const big = new Uint8Array(2000);
    for (const [offset, length] of [
      [0, 13],
      [0, 1519],
      [-1, 60],
      [1990, 60],
      [0, Number.NaN],
      [0.5, 60],
      [0, 60.5],
    ] as const) {
      expect(thrown(() => eth.send(0, big, offset, length))).toBe('ERANGE');
    }
    expect(eth.send(0, big, 0, 1518)).toBe(XMIT.OK);
    expect(thrown(() => eth.send(1, FRAME, 0, 60))).toBe('EINVAL');
  });

  test('a queue that is stopped takes nothing, and its users are told when it is woken', async () => {
    const { eth, card } = withCard();
    void eth.open();
    for (let n = 0; n < 4; n++) expect(eth.send(0, FRAME, 0, 60)).toBe(XMIT.OK);
    expect(eth.send(0, FRAME, 0, 60)).toBe(XMIT.BUSY);
    expect(card.sent).toHaveLength(4);
    const woken: number[] = [];
    eth.onWake((queue) => woken.push(queue));
    const ready = eth.ready(0);
    expect(card.complete(0, 1)).toBe(0);
    await ready;
    expect(woken).toEqual([0]);
    expect(eth.ready(0)).toBeUndefined();
    expect(eth.send(0, FRAME, 0, 60)).toBe(XMIT.OK);
  });

  test('who waits for a queue is told that the device was closed', async () => {
    const { eth } = withCard();
    void eth.open();
    for (let n = 0; n < 4; n++) eth.send(0, FRAME, 0, 60);
    const waiting = eth.ready(0);
    void eth.close();
    await expect(waiting).rejects.toThrow('ENETDOWN: card: is not open');
  });

  test('hands up what comes to all who want it, and counts what nobody wants', () => {
    const { eth, card, later } = withCard();
    void eth.open();
    const seen: number[][] = [];
    const first = eth.onReceive((buffer, offset, length) => seen.push([buffer[offset]!, length]));
    const second = eth.onReceive((_buffer, _offset, length) => seen.push([length]));
    card.incoming.push(FRAME);
    card.napi.schedule();
    later.drain();
    expect(seen).toEqual([[0, 60], [60]]);
    first.dispose();
    second.dispose();
    card.incoming.push(FRAME);
    card.napi.schedule();
    later.drain();
    expect(eth.statistics()).toMatchObject({ rxNoHandler: 1 });
  });

  test('a handler that throws is reported, and the others are called', () => {
    const { eth, card, core } = withCard();
    const rules: string[] = [];
    core.violations.on(({ rule }) => rules.push(rule));
    void eth.open();
    let count = 0;
    eth.onReceive(() => {
      throw new Error('bad');
    });
    eth.onReceive(() => count++);
    card.node.receive(FRAME, 0, 60, 0);
    expect(count).toBe(1);
    expect(rules).toEqual(['callback-threw']);
  });

  test('who looks on sees what was taken, and not what was refused', () => {
    const { eth, card } = withCard();
    void eth.open();
    const seen: number[] = [];
    eth.onTransmit((_buffer, offset, length) => seen.push(offset, length));
    eth.send(0, FRAME, 5, 20);
    card.node.queues[0]!.stop();
    eth.send(0, FRAME, 0, 60);
    expect(seen).toEqual([5, 20]);
  });

  test('opens and closes once, in order; one that fails to open is closed', () => {
    const { eth, card } = withCard();
    card.failsToOpen = new Errno('ENOMEM', 'card: no memory');
    expect(thrown(() => void eth.open())).toBe('ENOMEM');
    expect(eth.info().isOpen).toBe(false);
    card.failsToOpen = undefined;
    void eth.open();
    void eth.open();
    void eth.close();
    void eth.close();
    expect(card.calls).toEqual(['open', 'open', 'stop']);
  });

  test('operations that wait do not overlap', async () => {
    const { eth, card } = withCard();
    const order: string[] = [];
    let release = (): void => {};
    card.open = () => {
      order.push('open begins');
      return new Promise<void>((resolve) => {
        release = () => {
          order.push('open ends');
          resolve();
        };
      }) as never;
    };
    card.stop = () => void order.push('stop');
    const opening = eth.open();
    const closing = eth.close();
    expect(order).toEqual(['open begins']);
    release();
    await opening;
    await closing;
    expect(order).toEqual(['open begins', 'open ends', 'stop']);
    expect(eth.info().isOpen).toBe(false);
  });

  test('carrier goes on and off once each, and is counted', () => {
    const { eth, card } = withCard();
    for (let n = 0; n < 2; n++) card.node.carrierOn();
    for (let n = 0; n < 2; n++) card.node.carrierOff();
    card.node.carrierOn();
    expect(eth.info()).toMatchObject({ hasCarrier: true, carrierUpCount: 2, carrierDownCount: 1 });
  });

  test('another MTU closes it and opens it again; what cannot be is refused', () => {
    const { eth, card } = withCard({ maxMtu: 9000 });
    void eth.open();
    void eth.setMtu(9000);
    expect(card.calls).toEqual(['open', 'stop', 'setMtu 9000', 'open']);
    expect(eth.info().mtu).toBe(9000);
    expect(eth.send(0, new Uint8Array(9018), 0, 9018)).toBe(XMIT.OK);
    for (const mtu of [67, 9001, 1500.5]) expect(thrown(() => void eth.setMtu(mtu))).toBe('EINVAL');
  });

  test('a change that is refused leaves it open as it was', () => {
    const { eth, card } = withCard({ maxMtu: 9000 });
    void eth.open();
    card.setMtu = () => {
      throw new Errno('EIO', 'card: no');
    };
    expect(thrown(() => void eth.setMtu(2000))).toBe('EIO');
    expect(eth.info()).toMatchObject({ isOpen: true, mtu: 1500 });
    expect(card.calls).toEqual(['open', 'stop', 'open']);
  });

  test('a change that is refused, after which it does not open again, keeps both errors', () => {
    const { eth, card } = withCard({ maxMtu: 9000 });
    void eth.open();
    card.setMtu = () => {
      card.failsToOpen = new Errno('ENOMEM', 'card: no memory');
      throw new Errno('EIO', 'card: no');
    };
    expect(() => void eth.setMtu(2000)).toThrow(/EIO: card: no \(and 1 more/);
    expect(eth.info()).toMatchObject({ isOpen: false, mtu: 1500 });
  });

  test('changes of parts that are asked for at once are all made', async () => {
    const { eth, card } = withCard();
    const sizes = { rx: 64, tx: 64, maxRx: 512, maxTx: 512 };
    const modes: RxMode[] = [];
    Object.assign(card, {
      ring: () => ({ ...sizes }),
      setRing: async (ring: object) => void Object.assign(sizes, ring),
      setRxMode: async (mode: RxMode) => void modes.push(mode),
    });
    await Promise.all([
      eth.setRing({ rx: 128 }),
      eth.setRing({ tx: 256 }),
      eth.setRxMode({ promiscuous: true }),
      eth.setRxMode({ allMulticast: true }),
    ]);
    expect(sizes).toMatchObject({ rx: 128, tx: 256 });
    expect(modes.at(-1)).toMatchObject({ promiscuous: true, allMulticast: true });
  });

  test('what is set to what it is leaves it open', () => {
    const { eth, card } = withCard();
    Object.assign(card, {
      channels: () => ({ combined: 2, maxCombined: 4 }),
      setChannels: (combined: number) => void card.calls.push(`setChannels ${combined}`),
      ring: () => ({ rx: 64, tx: 128, maxRx: 512, maxTx: 512 }),
      setRing: ({ rx, tx }: { rx: number; tx: number }) => void card.calls.push(`setRing ${rx} ${tx}`),
    });
    void eth.open();
    void eth.setChannels(2);
    void eth.setRing({ rx: 64 });
    void eth.setMtu(1500);
    expect(card.calls).toEqual(['open']);
    void eth.setChannels(3);
    void eth.setRing({ rx: 128 });
    expect(card.calls).toEqual(['open', 'stop', 'setChannels 3', 'open', 'stop', 'setRing 128 128', 'open']);
  });

  test('addresses are checked', () => {
    const { eth } = withCard();
    void eth.setMac('02:11:22:33:44:55');
    expect(eth.info().mac).toBe('02:11:22:33:44:55');
    for (const mac of ['01:00:00:00:00:00', '00:00:00:00:00:00', '02:11', 'zz:11:22:33:44:55']) {
      expect(thrown(() => void eth.setMac(mac))).toBe('EINVAL');
    }
    expect(thrown(() => void eth.setRxMode({ promiscuous: true }))).toBe('EOPNOTSUPP');
    expect(thrown(() => void eth.setRxMode({ multicast: ['02:00:00:00:00:01'] }))).toBe('EINVAL');
  });

  test('what the driver lacks is said', () => {
    const { eth } = withCard();
    const calls = [
      () => eth.coalesce(),
      () => eth.channels(),
      () => eth.ring(),
      () => eth.receiveHash(),
      () => eth.setChannels(1),
    ];
    for (const call of calls) expect(thrown(call)).toBe('EOPNOTSUPP');
  });

  test('moderation adapts where the driver says that it can, and is refused elsewhere', () => {
    const { eth, card } = withCard();
    let coalesce: Coalesce = { rxUs: 16, rxFrames: 32, txUs: 16, txFrames: 32 };
    const operations = { coalesce: () => coalesce, setCoalesce: (wanted: Coalesce) => void (coalesce = wanted) };
    Object.assign(card, operations);
    for (const half of ['adaptiveRx', 'adaptiveTx']) {
      expect(thrown(() => void eth.setCoalesce({ rxUs: 1, [half]: true }))).toBe('EOPNOTSUPP');
      void eth.setCoalesce({ [half]: false });
    }
    expect(eth.coalesce().rxUs).toBe(16);
    Object.assign(card, { adaptsCoalesce: true });
    void eth.setCoalesce({ adaptiveRx: true });
    void eth.setCoalesce({ txUs: 3 });
    expect(eth.coalesce()).toEqual({ rxUs: 16, rxFrames: 32, txUs: 3, txFrames: 32, adaptiveRx: true, adaptiveTx: false });
  });

  test('is closed when its driver is unbound, and its handles are dead', async () => {
    const { eth, card, core, dev } = withCard();
    void eth.open();
    await core.unbind(dev);
    expect(card.calls).toEqual(['open', 'stop']);
    expect(thrown(() => eth.send(0, FRAME, 0, 60))).toBe('ENODEV');
    expect(NetDevices.list(core)).toEqual([]);
    expect(thrown(() => void card.node.open())).toBe('ENODEV');
  });
});

describe('the watchdog', () => {
  const SECONDS = 1_000_000;
  const four = { queues: 4, watchdogUs: 15 * SECONDS } as const;

  test('122 says which queue is stuck, and asks its driver', () => {
    const { eth, card, clock, logged } = withCard(four);
    void eth.open();
    clock.elapse(1 * SECONDS);
    card.node.queues[2]!.stop();
    clock.elapse(15 * SECONDS - 1);
    expect(card.timeouts).toEqual([]);
    clock.elapse(1);
    expect(card.timeouts).toEqual([2]);
    expect(eth.info().queues[2]!.transTimeout).toBe(1);
    expect(logged('netdev_watchdog')).toEqual(['NETDEV WATCHDOG: CPU: 0: transmit queue 2 timed out 15000 ms']);
  });

  test('122 leaves alone a queue that is not stopped, and a device without carrier', () => {
    const { eth, card, clock } = withCard(four);
    void eth.open();
    card.node.queues[2]!.stop();
    clock.elapse(5 * SECONDS);
    card.node.queues[2]!.wake();
    clock.elapse(60 * SECONDS);
    card.node.queues[2]!.stop();
    card.node.carrierOff();
    clock.elapse(60 * SECONDS);
    expect(card.timeouts).toEqual([]);
    card.node.carrierOn();
    clock.elapse(0);
    expect(card.timeouts).toEqual([2]);
  });

  test('a queue that is stopped once more is stuck since the first time', () => {
    const { eth, card, clock } = withCard(four);
    void eth.open();
    for (let n = 0; n < 2; n++) {
      card.node.queues[1]!.stop();
      clock.elapse(10 * SECONDS);
    }
    expect(card.timeouts).toEqual([1]);
  });

  test('a queue that its driver has not woken yet is not stuck, whenever the device is opened', () => {
    const { eth, card, clock } = withCard(four);
    card.open = () => card.node.carrierOn();
    for (let n = 0; n < 2; n++) {
      clock.elapse(60 * SECONDS);
      void eth.open();
      clock.elapse(60 * SECONDS);
      void eth.close();
    }
    expect(card.timeouts).toEqual([]);
  });

  test('asks again when a queue is stuck as long once more', () => {
    const { eth, card, clock } = withCard(four);
    void eth.open();
    card.node.queues[1]!.stop();
    clock.elapse(45 * SECONDS);
    expect(card.timeouts).toEqual([1, 1, 1]);
    void eth.close();
    expect(clock.pending).toBe(0);
  });

  test('a device whose queues go on costs no timer', () => {
    const { eth, card, clock } = withCard(four);
    const before = clock.pending;
    void eth.open();
    eth.send(0, FRAME, 0, 60);
    expect(clock.pending).toBe(before);
    card.node.queues[0]!.stop();
    expect(clock.pending).toBe(before + 1);
    void eth.close();
    expect(clock.pending).toBe(before);
  });

  test('queues that are not in use are not watched', () => {
    const { eth, card, clock } = withCard(four);
    card.node.activeQueues = 2;
    void eth.open();
    card.node.queues[2]!.stop();
    clock.elapse(60 * SECONDS);
    expect(card.timeouts).toEqual([]);
    expect(eth.info().queues).toHaveLength(2);
    expect(thrown(() => eth.send(2, FRAME, 0, 60))).toBe('EINVAL');
  });
});
