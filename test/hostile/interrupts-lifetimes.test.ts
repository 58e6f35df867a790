import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Errno, type ImsStore, type IrqHandle, type MsiMap, type MsiMsg, imsArray } from 'backplane';
import { defaultSeed } from 'backplane/testing';
import { Rig, codeOf, codeOfAsync } from './interrupts-rig.js';

/** A promise that somebody else fulfils. */
function gate(): { readonly done: Promise<void>; open(): void } {
  let open = (): void => {};
  const done = new Promise<void>((resolve) => (open = resolve));
  return { done, open: () => open() };
}

/** Lets promises run. */
const turn = (): Promise<void> => new Promise<void>((resolve) => setImmediate(resolve));

async function oneSlot(rulesMayBreak = false, gadgets = 1) {
  const rig = await Rig.start({ rulesMayBreak, gadgets });
  const { ims, irqs } = rig.kernel;
  const dev = rig.dev();
  const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
  return { rig, dev, irqs, ims, domain, map: domain.alloc() };
}

describe('in its own handler', () => {
  test('an interrupt, its slot, its domain and its binding cannot be ended', async () => {
    const { rig: made, dev, irqs, ims, domain, map } = await oneSlot(true);
    await using rig = made;
    const codes: string[] = [];
    const before = (): unknown => rig.account();
    let same: unknown[] = [];
    const store = { slots: 4, mask() {}, unmask() {}, writeMsg() {} };
    const handle: IrqHandle = irqs.request(dev, map.virq, () => {
      const account = before();
      codes.push(
        codeOf(() => handle.free()),
        // A CPU that could wait is no other thread.
        codeOf(() => rig.machine.onCpu(2, () => handle.free())),
        codeOf(() => domain.free(map)),
        codeOf(() => domain.freeAll()),
        codeOf(() => domain.remove()),
        codeOf(() => domain.alloc()),
        codeOf(() => domain.restore()),
        codeOf(() => ims.createDomain(dev, store, { id: 'more' })),
        codeOf(() => rig.kernel.core.unbind(dev)),
        codeOf(() => irqs.request(dev, map.virq, () => {})),
        codeOf(() => irqs.offline(1)),
        codeOf(() => handle.disable()),
        codeOf(() => handle.synchronize()),
        codeOf(() => dev.allocVectors()),
        codeOf(() => dev.freeVectors()),
      );
      same = [account, before()];
    });
    rig.fireSlot(0);
    expect(codes.filter((code) => code !== 'EINVAL')).toEqual(['nothing']);
    expect(same[0]).toEqual(same[1]);
    let came = 0;
    await handle.free();
    irqs.request(dev, map.virq, () => came++);
    rig.fireSlot(0);
    expect(came).toBe(1);
  });

  test('a device may be pulled out: its handler ends, and all is given back', async () => {
    const { rig: made, dev, irqs, map } = await oneSlot();
    await using rig = made;
    let came = 0;
    irqs.request(dev, map.virq, () => {
      came++;
      rig.machine.yank('00:01.0');
      rig.model().slots.send(0);
    });
    rig.fireSlot(0);
    await rig.kernel.core.settle();
    expect([came, rig.account()]).toEqual([1, { ...rig.account(), descs: 0, vectors: 0, entries: 0, mapped: 0, ledger: 0 }]);
  });

  test('another CPU may take the same interrupt: it is handled once more, on the first', async () => {
    const { rig: made, dev, irqs, map } = await oneSlot();
    await using rig = made;
    const order: string[] = [];
    const handle = irqs.request(dev, map.virq, () => {
      const cpu = irqs.core.currentCpu;
      order.push(`in ${cpu}`);
      if (order.length === 1) {
        const old = irqs.core.vectorDomain!;
        handle.setAffinity([2]);
        rig.model().slots.send(0);
        for (let vector = 0x20; vector < 0xeb; vector++) {
          if (old.isPending(2, vector)) rig.machine.deliverNested(2, vector);
        }
      }
      order.push(`out ${cpu}`);
    });
    const cpu = handle.effectiveAffinity.first;
    rig.fireSlot(0);
    expect(order).toEqual([`in ${cpu}`, `out ${cpu}`, `in ${cpu}`, `out ${cpu}`]);
    rig.calm();
    rig.fireSlot(0);
    expect(order.slice(4)).toEqual(['in 2', 'out 2']);
  });
});

describe('while a thread half waits', () => {
  async function waiting(rulesMayBreak = false) {
    const scene = await oneSlot(rulesMayBreak);
    const { rig, irqs, dev, map } = scene;
    const { done, open } = gate();
    let ended = false;
    const thread = async (): Promise<void> => {
      await done;
      ended = true;
    };
    const handle = irqs.request(dev, map.virq, { thread });
    rig.fireSlot(0);
    return { ...scene, handle, open, ended: () => ended };
  }

  test('a free lasts until it is done', async () => {
    const { rig: made, irqs, dev, map, handle, open, ended } = await waiting();
    await using rig = made;
    const freeing = Promise.resolve(handle.free()).then(() => ended());
    rig.fireSlot(0);
    expect(codeOf(() => irqs.request(dev, map.virq, () => {}))).toBe('EBUSY');
    open();
    await expect(freeing).resolves.toBe(true);
    irqs.request(dev, map.virq, () => {});
  });

  test('its slot stays until it is done', async () => {
    const { rig: made, domain, map, handle, open, ended } = await waiting();
    await using rig = made;
    const freeing = Promise.resolve(handle.free());
    const codes = [codeOf(() => domain.free(map)), codeOf(() => domain.freeAll()), codeOf(() => domain.remove())];
    open();
    await freeing;
    expect([codes, ended(), map.held]).toEqual([['EBUSY', 'EBUSY', 'EBUSY'], true, true]);
    domain.free(map);
    expect(rig.account()['descs']).toBe(0);
  });

  test('an unbind lasts until a free is over that nobody awaits', async () => {
    const { rig: made, dev, handle, open, ended } = await waiting();
    await using rig = made;
    void handle.free();
    const unbinding = Promise.resolve(rig.kernel.core.unbind(dev));
    await turn();
    expect([ended(), rig.account()['descs']]).toEqual([false, 1]);
    open();
    await unbinding;
    expect([ended(), rig.account()['descs']]).toEqual([true, 0]);
  });

  test('an unbind lasts until it is done, and a removal too', async () => {
    const { rig: made, dev, open, ended } = await waiting();
    await using rig = made;
    let isOver = false;
    const unbinding = Promise.resolve(rig.kernel.core.unbind(dev)).then(() => (isOver = true));
    await turn();
    rig.machine.yank('00:01.0');
    await turn();
    expect([isOver, ended()]).toEqual([false, false]);
    open();
    await unbinding;
    await rig.kernel.core.settle();
    expect([ended(), rig.account()['descs'], dev.registered]).toEqual([true, 0, false]);
  });

  test('`using` says that it cannot be freed at once', async () => {
    const { rig: made, handle, open } = await waiting();
    await using rig = made;
    expect(codeOf(() => handle[Symbol.dispose]())).toBe('EBUSY');
    open();
    await turn();
    expect([handle.held, handle.name, rig.account()['ledger']]).toEqual([false, '0000:00:01.0', 3]);
  });

  test('its CPU may go and it may move', async () => {
    const { rig: made, irqs, handle, open } = await waiting();
    await using rig = made;
    const cpu = handle.effectiveAffinity.first;
    irqs.offline(cpu);
    handle.setAffinity([(cpu + 1) & 3]);
    irqs.online(cpu);
    open();
    await turn();
    rig.fireSlot(0);
    expect(handle.desc.total).toBe(2);
  });
});

describe('what is used too late or twice', () => {
  test('is refused, and leaves what is there now alone', async () => {
    const { rig: made, dev, irqs, ims, domain, map } = await oneSlot(true);
    await using rig = made;
    const handle = irqs.request(dev, map.virq, () => {});
    expect(codeOf(() => domain.free(map))).toBe('EBUSY');
    await handle.free();
    domain.free(map);
    const vectors = dev.allocVectors({ max: 2 });
    const stale = dev.msixAllocAt();
    dev.msixFree(stale);
    vectors.free();
    const next = domain.alloc();
    let came = 0;
    irqs.request(dev, next.virq, () => came++);
    expect([next.index, next.virq]).toEqual([map.index, map.virq]);
    const before = rig.account();
    const uses = [
      () => handle.free(),
      () => handle.enable(),
      () => handle.disableNosync(),
      () => handle.setAffinity([1]),
      () => handle.wakeThread(),
      () => domain.free(map),
      () => domain.deviceVisibleId(map),
      () => domain.onMessageChanged(map, () => {}),
      () => vectors.virq(0),
      () => vectors.free(),
      () => dev.msixFree(stale),
      () => ims.createDomain(dev, imsArray(dev.mapBar(2), { offset: 0, slots: 4 })),
    ];
    for (const use of uses) expect(['EINVAL', 'ENODEV', 'EBUSY']).toContain(codeOf(use));
    map[Symbol.dispose]();
    handle[Symbol.dispose]();
    expect({ ...rig.account(), ledger: 0 }).toEqual({ ...before, ledger: 0 });
    rig.fireSlot(0);
    expect(came).toBe(1);
  });

  test('after unbind, everything that was kept is refused', async () => {
    const { rig: made, dev, irqs, domain, map } = await oneSlot(true);
    await using rig = made;
    const handle = irqs.request(dev, map.virq, () => {});
    const vectors = dev.allocVectors({ types: ['msix'], max: 2 });
    await rig.kernel.core.unbind(dev);
    const uses = [
      () => handle.free(),
      () => handle.desc,
      () => domain.alloc(),
      () => domain.allocRange(0, 3),
      () => domain.restore(),
      () => domain.free(map),
      () => domain.freeAll(),
      () => domain.deviceVisibleId(map),
      () => vectors.free(),
      () => vectors.virq(0),
      () => dev.msixAllocAt(),
      () => dev.requestIrq(1, () => {}),
      () => irqs.request(dev, map.virq, () => {}),
    ];
    const codes = uses.map((use) => codeOf(use));
    expect(codes.filter((code) => !['ENODEV', 'EINVAL', 'ENOTSUPP'].includes(code))).toEqual([]);
    domain.remove();
    expect([map.held, handle.held, vectors.held, domain.count]).toEqual([false, false, false, 0]);
    expect(rig.account()).toMatchObject({ descs: 0, vectors: 0, reserved: 0, managed: 0, entries: 0, ledger: 0 });
  });

  test('a line whose handler is installed is not given up', async () => {
    await using rig = await Rig.start();
    const dev = rig.dev();
    const vectors = dev.allocVectors({ types: ['intx'] });
    const handle = dev.requestIrq(0, () => {});
    expect(() => vectors.free()).toThrow('EBUSY: 0000:00:01.0: vector 0: its handler of the line is installed');
    await handle.free();
    vectors.free();
    expect(vectors.held).toBe(false);
  });

  test('a message that is requested twice is not shared, unless both say so', async () => {
    const { rig: made, dev, irqs, map } = await oneSlot(false, 2);
    await using rig = made;
    const other = rig.dev(1);
    const came: string[] = [];
    const first = irqs.request(dev, map.virq, () => came.push('alone'));
    for (const shared of [true, false]) {
      expect(codeOf(() => irqs.request(other, map.virq, { hard: () => {}, shared }))).toBe('EBUSY');
    }
    await first.free();
    const handles = [dev, other].map((who) =>
      irqs.request(who, map.virq, { hard: () => void came.push(who.name), shared: true }),
    );
    rig.fireSlot(0);
    await handles[0]!.free();
    rig.fireSlot(0);
    expect(came).toEqual([dev.name, other.name, other.name]);
    await handles[1]!.free();
  });
});

describe("a slot that goes while another device's handler is on it", () => {
  /** A store that throws from a certain moment on. */
  class Broken implements ImsStore {
    readonly slots = 4;
    isBroken = false;
    readonly writes: string[] = [];
    #do(what: string): void {
      this.writes.push(what);
      if (this.isBroken) throw new Errno('EIO', `gadget: ${what}: broken`);
    }
    mask(slot: number): void {
      this.#do(`mask ${slot}`);
    }
    unmask(slot: number): void {
      this.#do(`unmask ${slot}`);
    }
    writeMsg(slot: number, _msg: MsiMsg): void {
      this.#do(`write ${slot}`);
    }
    busLock(slot: number): void {
      this.#do(`lock ${slot}`);
    }
    busSyncUnlock(slot: number): void {
      this.#do(`unlock ${slot}`);
    }
  }

  test.each([false, true])('gives all back, and reaches nobody later, when the store is broken: %s', async (isBroken) => {
    await using rig = await Rig.start({ rulesMayBreak: true, gadgets: 2 });
    const { irqs, ims, core } = rig.kernel;
    const [dev, other] = [rig.dev(0), rig.dev(1)];
    const store = new Broken();
    const { virq } = ims.createDomain(dev, store).alloc();
    const handle = irqs.request(other, virq, () => {});
    store.isBroken = isBroken;
    expect(await codeOfAsync(() => core.unbind(dev))).toBe(isBroken ? 'EIO' : 'nothing');
    expect(rig.rules).toEqual(['msi-freed-in-use']);
    expect(rig.account()).toMatchObject({ descs: 0, vectors: 0, reserved: 0, entries: 0, mapped: 0 });
    await core.attach(dev);
    // The number is somebody else's now.
    const next = ims.createDomain(dev, new Broken()).alloc();
    let came = 0;
    irqs.request(dev, next.virq, () => came++);
    const before = rig.account();
    store.writes.length = 0;
    expect(await codeOfAsync(() => handle.free())).toBe('nothing');
    expect([next.virq, store.writes]).toEqual([virq, []]);
    expect(rig.account()).toEqual({ ...before, ledger: before['ledger']! - 1 });
    irqs.inject(next.virq);
    irqs.drain();
    expect(came).toBe(1);
  });
});

describe('the ends of an interrupt, in any order', () => {
  const STEPS = ['handle', 'other', 'map', 'slots', 'domain', 'vectors', 'fire', 'yank', 'unbind'] as const;

  test('leave nothing', async () => {
    const steps = fc.shuffledSubarray([...STEPS], { minLength: 3 });
    const property = fc.asyncProperty(steps, fc.boolean(), async (order, isThreaded) => {
      await using rig = await Rig.start({ rulesMayBreak: true });
      const { ims, irqs, core } = rig.kernel;
      const dev = rig.dev();
      const domain = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout()));
      const maps: MsiMap[] = domain.allocRange(0, 2);
      const spec = isThreaded ? { thread: () => turn() } : { hard: () => {} };
      const handles = [0, 1].map((n) => irqs.request(dev, maps[n]!.virq, spec));
      const vectors = dev.allocVectors({ types: ['msix'], max: 3 });
      dev.requestIrq(1, () => {});
      const does: Record<(typeof STEPS)[number], () => unknown> = {
        handle: () => handles[0]!.free(),
        other: () => handles[1]!.free(),
        map: () => domain.free(maps[0]!),
        slots: () => domain.freeAll(),
        domain: () => domain.remove(),
        vectors: () => vectors.free(),
        fire: () => [rig.fireSlot(0), rig.fireMsix(1)],
        yank: () => rig.machine.yank('00:01.0'),
        unbind: () => core.unbind(dev),
      };
      const going: unknown[] = [];
      for (const step of order) going.push(codeOfAsync(does[step]));
      for (const code of await Promise.all(going)) expect(code).not.toContain('not an Errno');
      if (dev.bound) await core.unbind(dev);
      await core.settle();
      rig.calm();
      expect(rig.account()).toMatchObject({ descs: 0, vectors: 0, reserved: 0, managed: 0, entries: 0, mapped: 0, ledger: 0 });
    });
    await fc.assert(property, { seed: defaultSeed(), numRuns: 40 });
  });
});
