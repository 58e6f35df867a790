import { describe, expect, test } from 'vitest';
import { type IrqHandle, type ImsStore, type MsiDomain, type MsiMap, type MsiMsg, imsArray, imsQueue } from 'backplane';
import { Rig, codeOf, codeOfAsync } from './interrupts-rig.js';

/** What somebody who is called in the middle of an operation may try on the interrupt of that operation. */
interface Scene {
  readonly rig: Rig;
  readonly domain: MsiDomain;
  readonly map: MsiMap;
  readonly handle: IrqHandle | undefined;
}

const TRIES: Record<string, (scene: Scene) => unknown> = {
  'free its slot': ({ domain, map }) => domain.free(map),
  'free all slots': ({ domain }) => domain.freeAll(),
  'remove its domain': ({ domain }) => domain.remove(),
  'allocate a slot': ({ domain }) => domain.alloc(),
  'request it': ({ rig, map }) => rig.irqs.request(rig.dev(), map.virq, () => {}),
  'request it, shared': ({ rig, map }) => rig.irqs.request(rig.dev(), map.virq, { hard: () => {}, shared: true }),
  'free its handler': ({ handle }) => handle?.free(),
  'disable it': ({ rig, map }) => rig.irqs.disable(map.virq),
  'enable it': ({ rig, map }) => rig.irqs.enable(map.virq),
  'move it': ({ rig, map }) => rig.irqs.setAffinity(map.virq, [2]),
  'raise it': ({ rig, map }) => rig.irqs.inject(map.virq),
  'take its CPU': ({ rig }) => rig.irqs.offline(0),
  'restore it': ({ domain }) => domain.restore(),
  'pull its device': ({ rig }) => rig.machine.yank('00:01.0'),
};

/** Where it is tried. */
const PLACES = ['mask', 'unmask', 'writeMsg', 'shutdown', 'free', 'listener'] as const;

describe.each(Object.entries(TRIES))('whoever tries to %s', (_name, attempt) => {
  test.each(PLACES)('in %s, at any time, breaks nothing', async (place) => {
    for (let at = 1; ; at++) {
      await using rig = await Rig.start({ rulesMayBreak: true });
      const { irqs, ims, core } = rig.kernel;
      const dev = rig.dev();
      let count = 0;
      let handle: IrqHandle | undefined;
      let isReady = false;
      const codes: string[] = [];
      const late: Promise<unknown>[] = [];
      const step = (where: (typeof PLACES)[number]): void => {
        if (!isReady || where !== place || ++count !== at) return;
        const scene = { rig, domain, map, handle };
        codes.push(
          codeOf(() => void late.push(Promise.resolve(attempt(scene)).catch((error: unknown) => codes.push(String(error))))),
        );
      };
      const store: ImsStore<unknown> = {
        slots: 4,
        mask: () => step('mask'),
        unmask: () => step('unmask'),
        writeMsg: (_slot: number, _msg: MsiMsg) => step('writeMsg'),
        shutdown: () => step('shutdown'),
        free: () => step('free'),
      };
      const domain = ims.createDomain(dev, store);
      const map = domain.alloc();
      isReady = true;
      domain.onMessageChanged(map, () => step('listener'));
      const { virq } = map;
      const run = async (body: () => unknown): Promise<void> => void codes.push(await codeOfAsync(body));
      await run(() => (handle = irqs.request(dev, virq, () => {})));
      await run(() => irqs.disable(virq));
      await run(() => irqs.enable(virq));
      await run(() => irqs.setAffinity(virq, [1]));
      await run(() => irqs.inject(virq));
      irqs.drain();
      await run(() => domain.restore());
      await run(() => handle?.free());
      await run(() => domain.free(map));
      await run(() => core.unbind(dev));
      await Promise.all(late);
      await core.settle();
      rig.calm();
      for (const code of codes) expect(code).not.toMatch(/not an Errno|TypeError/);
      const account = rig.account();
      expect({ at, ...account, domains: 0 }).toEqual({
        at,
        descs: 0,
        vectors: 0,
        reserved: 0,
        managed: 0,
        entries: 0,
        mapped: 0,
        domains: 0,
        ledger: 0,
      });
      if (count < at) break;
    }
  });
});

describe('a kick', () => {
  test('that touches its own interrupt is refused with EDEADLK, and the request succeeds', async () => {
    await using rig = await Rig.start();
    const { ims, irqs, dma } = rig.kernel;
    const dev = rig.dev();
    const codes: string[] = [];
    let virq = 0;
    const store = imsQueue({
      kick: () => {
        if (virq === 0) return;
        codes.push(codeOf(() => irqs.disableNosync(virq)));
        codes.push(codeOf(() => irqs.enable(virq)));
      },
    });
    const domain = ims.createDomain(dev, store);
    ({ virq } = domain.alloc({ cookie: { memory: dma.alloc(dev, 64) } }));
    const handle = irqs.request(dev, virq, () => {});
    expect([codes.length > 0, new Set(codes), handle.desc.depth]).toEqual([true, new Set(['EDEADLK']), 0]);
  });

  test('that fails once leaves an interrupt that can be freed and allocated anew, and the others alone', async () => {
    await using rig = await Rig.start();
    const { ims, irqs, dma } = rig.kernel;
    const dev = rig.dev();
    let isBroken = false;
    const store = imsQueue({
      kick: () => {
        if (isBroken) throw new Error('the queue is stuck');
      },
    });
    const domain = ims.createDomain(dev, store);
    const memory = [0, 1].map(() => dma.alloc(dev, 64));
    const maps = memory.map((one) => domain.alloc({ cookie: { memory: one } }));
    const handles = maps.map(({ virq }) => irqs.request(dev, virq, () => {}));
    isBroken = true;
    expect(codeOf(() => handles[0]!.disableNosync())).toBe('EIO');
    isBroken = false;
    for (const use of [() => handles[0]!.enable(), () => handles[0]!.disableNosync(), () => irqs.inject(maps[0]!.virq)]) {
      expect(codeOf(use)).toBe('EIO');
    }
    handles[1]!.disableNosync();
    handles[1]!.enable();
    await handles[0]!.free();
    expect(codeOf(() => irqs.request(dev, maps[0]!.virq, () => {}))).toBe('EIO');
    domain.free(maps[0]!);
    const again = domain.alloc({ cookie: { memory: memory[0]! } });
    let came = 0;
    irqs.request(dev, again.virq, () => came++);
    rig.model().post(domain.message(again.index)!);
    rig.machine.drain();
    expect([again.index, came]).toEqual([0, 1]);
  });
});

describe('a handler', () => {
  test('that throws, waits, wakes nobody and handles itself, each is named, and the next interrupt comes', async () => {
    await using rig = await Rig.start({ rulesMayBreak: true });
    const { ims, irqs } = rig.kernel;
    const dev = rig.dev();
    const { virq } = ims.createDomain(dev, imsArray(dev.mapBar(0), rig.layout())).alloc();
    let came = 0;
    irqs.request(dev, virq, () => {
      switch (++came) {
        case 1:
          throw new Error('mine');
        case 2:
          return Promise.reject(new Error('late'));
        case 3:
          return 'wake';
        case 4:
          return irqs.handle(virq);
        default:
          return undefined;
      }
    });
    for (let n = 0; n < 5; n++) rig.fireSlot(0);
    await Promise.resolve();
    expect([came, rig.rules]).toEqual([6, ['callback-threw', 'sleep-in-interrupt', 'wake-without-thread', 'callback-threw']]);
  });
});
