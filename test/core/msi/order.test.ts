import { describe, expect, test } from 'vitest';
import { RecordingStore, code, msiScene } from './fixture.js';

/** A domain whose store writes its steps into the same trace as the core. */
function fixture(...callbacks: ('busLock' | 'busSyncUnlock' | 'shutdown')[]) {
  const scene = msiScene();
  const store = new RecordingStore(4, scene.trace);
  for (const name of callbacks) Object.assign(store, { [name]: (slot: number) => void store.done.push(`${name} ${slot}`) });
  const domain = scene.ims.createDomain(scene.dev, store);
  scene.take();
  return { ...scene, store, domain };
}

/** A store behind a bus lock. */
function bracketed() {
  const scene = fixture('busLock', 'busSyncUnlock');
  scene.core.tracer = undefined;
  /** What a step does to the store. */
  const step = (what: () => unknown): string[] => {
    scene.take();
    what();
    return scene.take();
  };
  return { ...scene, step };
}

describe('the order of calls', () => {
  test('C-041 of an allocation', () => {
    const { domain, take, irqs } = fixture();
    domain.alloc();
    expect(take()).toEqual([
      'msi_lock',
      'msi_insert_desc',
      'msi_prepare_desc',
      'mask 0',
      'msi_set_desc',
      'irq_alloc_descs',
      'irq_domain_alloc',
      'msi_alloc',
      'irq_domain_alloc',
      'irq_domain_alloc',
      'vector_reserve',
      'irte_alloc',
      'irq_domain_insert',
      'irq_domain_insert',
      'irq_domain_insert',
      'msi_unlock',
    ]);
    const desc = irqs.desc(24);
    expect([desc.flowName, desc.chip.name, desc.canReserve, desc.activated]).toEqual(['edge', domain.name, false, false]);
    expect(desc.data.parent?.domain?.name).toBe('INTEL-IR');
    expect(desc.msi).toBe([...domain.descs()][0]);
  });

  test('C-042 of a request', () => {
    const { domain, take, irqs, dev } = fixture();
    const { virq } = domain.alloc();
    take();
    irqs.request(dev, virq, () => {});
    expect(take()).toEqual([
      'vector_activate',
      'vector_alloc',
      'vector_update',
      'irte_write',
      'msi_write_msg',
      'write 0 fee00018/0',
      'irq_activate',
      'irq_set_affinity',
      'unmask 0',
      'irq_startup',
      'irq_request',
    ]);
    const { depth, activated, started } = irqs.desc(virq);
    expect([depth, activated, started]).toEqual([0, true, true]);
  });

  test.each(['mask', 'shutdown'] as const)('C-043 of a free: %s, then a message of zeros', async (how) => {
    const { domain, take, irqs, dev } = how === 'mask' ? fixture() : fixture('shutdown');
    const handle = irqs.request(dev, domain.alloc().virq, { hard: () => {}, name: 'portal' });
    take();
    expect(await handle.free()).toBe('portal');
    expect(take()).toEqual([
      'irq_free',
      'irq_shutdown',
      `${how} 0`,
      'msi_write_msg',
      'write 0 0/0',
      'irte_clear',
      'vector_deactivate',
      'irq_deactivate',
    ]);
  });

  test('of a free slot: the hierarchy first, then the slot', () => {
    const { domain, take } = fixture();
    const map = domain.alloc();
    take();
    domain.free(map);
    expect(take()).toEqual(['msi_lock', 'msi_free', 'irq_free_descs', 'free 0', 'msi_unlock']);
  });

  test('C-047 has one bus bracket around each management operation, two around a free, none around a move', () => {
    const { step, domain, irqs, dev } = bracketed();
    const { virq } = domain.alloc();
    const write = 'write 0 fee00018/0';
    expect(step(() => irqs.request(dev, virq, () => {}))).toEqual(['busLock 0', write, 'unmask 0', 'busSyncUnlock 0']);
    expect(step(() => irqs.disable(virq))).toEqual(['busLock 0', 'mask 0', 'busSyncUnlock 0']);
    expect(step(() => irqs.enable(virq))).toEqual(['busLock 0', 'unmask 0', 'busSyncUnlock 0']);
    expect(step(() => irqs.setAffinity(virq, [2]))).toEqual([]);
    const handle = irqs.request(dev, domain.alloc().virq, () => {});
    expect(step(() => handle.free())).toEqual([
      'busLock 1',
      'mask 1',
      'busSyncUnlock 1',
      'busLock 1',
      'write 1 0/0',
      'busSyncUnlock 1',
    ]);
    expect(step(() => domain.restore())).toEqual([
      'busLock 0',
      'mask 0',
      write,
      'unmask 0',
      'busSyncUnlock 0',
      'busLock 1',
      'mask 1',
      'write 1 0/0',
      'busSyncUnlock 1',
    ]);
  });

  test('C-047 without bus lock leaves disabling to the next interrupt', () => {
    const { domain, irqs, dev, store, take, fire } = fixture();
    const { virq } = domain.alloc();
    irqs.request(dev, virq, () => {});
    take();
    irqs.disableNosync(virq);
    expect(take()).toEqual([]);
    fire(store.messages.get(0));
    expect(take()).toEqual(['mask 0']);
  });

  test('C-049 of a message that cannot be written has the parents deactivated again', () => {
    const { domain, irqs, dev, store, platform } = fixture();
    const { virq } = domain.alloc();
    store.writeMsg = () => {
      throw new RangeError('no answer');
    };
    expect(code(() => irqs.request(dev, virq, () => {}))).toBe('RangeError: no answer');
    const desc = irqs.desc(virq);
    expect([desc.activated, desc.actions, platform.faults]).toEqual([false, [], []]);
  });

  test('ends in EIO when the bus cannot be synchronised, and nobody uses the slot any more', () => {
    const scene = bracketed();
    const { step, domain, irqs, dev, store } = scene;
    const map = domain.alloc();
    let isBroken = true;
    Object.assign(store, {
      busSyncUnlock: () => {
        store.done.push('unlock');
        if (isBroken) throw new RangeError('queue is dead');
      },
    });
    const request = (): unknown => irqs.request(dev, map.virq, () => {});
    const steps = step(() => expect(code(request)).toBe('EIO'));
    expect(steps).toEqual(['busLock 0', 'write 0 fee00018/0', 'unmask 0', 'unlock', 'mask 0', 'write 0 0/0']);
    expect(irqs.desc(map.virq).actions).toEqual([]);
    isBroken = false;
    expect(request).toThrow(/EIO: .*its message store failed before: RangeError: queue is dead: free it and allocate again/);
    domain.free(map);
    expect(step(() => irqs.request(dev, domain.alloc().virq, () => {}))).toContain('unlock');
  });
});
