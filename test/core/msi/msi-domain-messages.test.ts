import { describe, expect, test } from 'vitest';
import { RecordingStore, code, domainScene } from './fixture.js';

describe('messages', () => {
  test('are kept as they were written', () => {
    const { domain, irqs, dev } = domainScene();
    const { index, virq } = domain.alloc();
    expect(domain.message(index)).toBeUndefined();
    const handle = irqs.request(dev, virq, () => {});
    expect(domain.message(index)).toEqual({ addressLo: 0xfee0_0018, addressHi: 0, data: 0 });
    void handle.free();
    expect(domain.message(index)).toEqual({ addressLo: 0, addressHi: 0, data: 0 });
  });

  test('C-145 are told to who wants to know, until the slot is freed', () => {
    const { domain, irqs, dev, violations } = domainScene();
    const map = domain.alloc();
    const seen: number[] = [];
    const own = domain.onMessageChanged(map, ({ addressLo }) => seen.push(addressLo));
    domain.onMessageChanged(map, () => {
      throw new Error('peer is gone');
    });
    const handle = irqs.request(dev, map.virq, () => {});
    expect([seen, violations]).toEqual([[0xfee0_0018], ['callback-threw']]);
    own.dispose();
    void handle.free();
    expect(seen).toEqual([0xfee0_0018]);
    domain.free(map);
    expect(code(() => domain.onMessageChanged(map, () => {}))).toBe('EINVAL');
  });

  test('are written again with their masks after a reset, in every domain', () => {
    const { domain, irqs, dev, msi, ims, store } = domainScene();
    const queues = new RecordingStore(2, store.done);
    const second = ims.createDomain(dev, queues, { id: 'queues' });
    irqs.request(dev, domain.alloc().virq, () => {});
    const off = irqs.request(dev, domain.alloc().virq, { hard: () => {}, noAutoEnable: true });
    domain.alloc();
    irqs.request(dev, second.alloc().virq, () => {});
    store.done.length = 0;
    msi.restoreAll(dev);
    expect(store.done).toEqual([
      'mask 0',
      'write 0 fee00018/0',
      'unmask 0',
      'mask 1',
      'write 1 fee00038/0',
      'mask 2',
      'mask 0',
      'write 0 fee00078/0',
      'unmask 0',
    ]);
    expect(off.desc.masked).toBe(true);
  });

  test('that cannot be written again do not keep others from it', () => {
    const { domain, irqs, dev, store } = domainScene();
    for (let n = 0; n < 2; n++) irqs.request(dev, domain.alloc().virq, () => {});
    const write = store.writeMsg.bind(store);
    store.writeMsg = (slot, msg) => {
      if (slot === 0) throw new RangeError('broken');
      write(slot, msg);
    };
    store.done.length = 0;
    expect(code(() => domain.restore())).toBe('RangeError: broken');
    expect(store.done).toEqual(['mask 0', 'mask 1', 'write 1 fee00038/0', 'unmask 1']);
  });

  test('go by what the device calls the slot, which is its index unless the store says otherwise', () => {
    const { domain, ims, dev, violations } = domainScene();
    const map = domain.allocAt(3);
    expect(domain.deviceVisibleId(map)).toBe(3);
    let handle = 0x40;
    const store = Object.assign(new RecordingStore(), { deviceVisibleId: (slot: number) => handle + slot });
    const second = ims.createDomain(dev, store, { id: 'handles' });
    const other = second.allocAt(1);
    expect(second.deviceVisibleId(other)).toBe(0x41);
    handle = 0x80;
    expect([second.deviceVisibleId(other), code(() => domain.deviceVisibleId(other)), violations]).toEqual([
      0x81,
      'EINVAL',
      ['msi-stale-map'],
    ]);
  });
});
