import { describe, expect, test } from 'vitest';
import { Bus, Device } from '../../../core/device/index.js';
import { type ImsStore, type MessageSender, imsArray } from '../../../core/msi/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Mmio } from '../../../core/hal/index.js';
import { BufferWindow } from '../../../core/testing/buffer-window.js';
import { D, RecordingStore, code, deviceIn, msiScene, pair } from './fixture.js';

const ledger = (dev: Device): string[] => dev.devres.entries().map(({ label }) => label);

describe('an IMS domain', () => {
  test('C-001 is named for its device and leaves the default domain alone', () => {
    const { ims, msi, dev, irqs } = msiScene();
    const domain = ims.createDomain(dev, new RecordingStore(4));
    expect(domain).toMatchObject({ id: 'secondary', size: 4, name: `IR-PCI-IDXD-${D}`, busToken: 'device-ims', count: 0 });
    expect(msi.domain(dev, 'secondary')).toBe(domain);
    expect(msi.domain(dev, 'default')).toBeUndefined();
    expect(ledger(dev)).toEqual(['ims domain']);
    expect(irqs.list()).toEqual([]);
  });

  test('goes by slots that are numbers where its store prepares none', () => {
    const { ims, dev } = msiScene();
    const masked: number[] = [];
    const store = { slots: 2, mask: (slot: number) => void masked.push(slot), unmask() {}, writeMsg() {} };
    ims.createDomain(dev, store).allocAt(1);
    ims.createDomain(dev, { ...store, mask: (slot) => void masked.push(slot + 10) }, { id: 'inline' }).allocAt(1);
    expect(masked).toEqual([1, 11]);
  });

  test('is called IMS where its store has no name', () => {
    const { ims, dev } = msiScene();
    expect(ims.createDomain(dev, { slots: 1, mask() {}, unmask() {}, writeMsg() {} }).name).toBe(`IR-IMS-${D}`);
  });

  test.each([
    ['C-002', 'plain', 'no interrupt remapping'],
    ['C-017', 'virtual', "a hypervisor's"],
    ['C-004', 'lines', 'nothing on this platform takes its messages'],
  ] as const)('%s is refused on a platform that is %s, with the reason, and nothing is left', (_id, platform, reason) => {
    const { ims, msi, dev, violations, core } = msiScene({ platform });
    const domains = core.domains.size;
    expect(() => ims.createDomain(dev, new RecordingStore())).toThrow(reason);
    expect(code(() => ims.createDomain(dev, new RecordingStore()))).toBe('EOPNOTSUPP');
    expect([msi.domains(dev), ledger(dev), violations, core.domains.size]).toEqual([[], [], [], domains]);
  });

  test('C-017 falls back to something else in one line, and only for want of IMS', () => {
    const plain = msiScene({ platform: 'plain' });
    const fallBack = (): string => 'msi-x';
    expect(plain.ims.tryCreateDomain(plain.dev, new RecordingStore())?.alloc() ?? fallBack()).toBe('msi-x');
    const { ims, dev } = msiScene();
    expect(pair(ims.tryCreateDomain(dev, new RecordingStore())!.alloc())).toEqual([0, 24]);
    expect(code(() => ims.tryCreateDomain(dev, new RecordingStore()))).toBe('EBUSY');
  });

  test('works where messages are doorbells', () => {
    const { ims, dev, irqs, hw } = msiScene({ platform: 'doorbell' });
    const store = new RecordingStore();
    const { virq } = ims.createDomain(dev, store).alloc();
    let count = 0;
    irqs.request(dev, virq, () => count++);
    hw.message(0, store.messages.get(0)!);
    irqs.drain();
    expect(count).toBe(1);
  });

  test('C-008 is refused to a store with setAffinity', () => {
    const { ims, dev } = msiScene();
    const store = Object.assign(new RecordingStore(), { setAffinity: () => 'ok' });
    expect(() => ims.createDomain(dev, store)).toThrow(/EINVAL: .*a CPU move arrives as a new message/);
    expect(ledger(dev)).toEqual([]);
  });

  test.each([
    [{ mask: undefined }, 'no mask'],
    [{ unmask: undefined }, 'no unmask'],
    [{ writeMsg: undefined }, 'no writeMsg'],
    [{ busLock() {} }, 'only one of busLock and busSyncUnlock'],
    [{ enable() {} }, 'only one of enable and disable'],
  ])('is refused to a store with %o', (part, reason) => {
    const { ims, dev } = msiScene();
    const store = { slots: 1, mask() {}, unmask() {}, writeMsg() {}, ...part } as ImsStore<unknown>;
    expect(() => ims.createDomain(dev, store)).toThrow(`EINVAL: ${D}: its message store has ${reason}`);
  });

  test('C-009 exists once under an id; the first goes on', () => {
    const { ims, dev, violations } = msiScene();
    const first = ims.createDomain(dev, new RecordingStore());
    expect(code(() => ims.createDomain(dev, new RecordingStore()))).toBe('EBUSY');
    expect(violations).toEqual(['msi-domain-taken']);
    expect(pair(first.alloc())).toEqual([0, 24]);
  });

  test('may have others beside it, by name', () => {
    const { ims, msi, dev } = msiScene();
    const first = ims.createDomain(dev, new RecordingStore()).alloc();
    const queues = ims.createDomain(dev, new RecordingStore(), { id: 'queues' });
    expect([pair(first), pair(queues.alloc())]).toEqual([
      [0, 24],
      [0, 25],
    ]);
    expect(msi.domains(dev).map(({ id }) => id)).toEqual(['secondary', 'queues']);
  });

  test.each([
    [65_536, 65_536],
    [0, 65_536],
    [1, 1],
  ])('C-010 C-011 of %d slots has %d indices', (slots, size) => {
    const { ims, dev } = msiScene();
    const domain = ims.createDomain(dev, new RecordingStore(slots));
    expect(domain.size).toBe(size);
    expect(domain.allocAt(size - 1).index).toBe(size - 1);
    expect(code(() => domain.allocAt(size))).toBe('ERANGE');
  });

  test.each([65_537, -1, 1.5, Number.NaN])('C-010 cannot have %d slots', (slots) => {
    const { ims, dev } = msiScene();
    expect(code(() => ims.createDomain(dev, new RecordingStore(slots)))).toBe('ERANGE');
    expect(ledger(dev)).toEqual([]);
  });

  test('C-053 takes three calls from nothing to a handler that runs once', () => {
    const { ims, irqs, dev, fire } = msiScene();
    const regs = new Mmio(new BufferWindow(0x40), 'bar');
    const heard: number[] = [];
    const expiry = ims.createDomain(dev, imsArray(regs, { offset: 0, slots: 1 })).alloc();
    irqs.request(dev, expiry.virq, (virq) => heard.push(virq));
    fire({ addressLo: regs.read32(0), addressHi: regs.read32(4), data: regs.read32(8) });
    expect(heard).toEqual([24]);
    expect(ledger(dev)).toEqual(['irq 24', 'ims slot', 'ims domain']);
  });

  test('C-133 goes at unbind, handlers first, then slots, then itself; C-131 the next bind can create it again', async () => {
    const { ims, irqs, device: core, trace } = msiScene();
    const bus = new Bus('test');
    core.registerBus(bus);
    const store = new RecordingStore(2, trace);
    const driver = {
      name: 'timer',
      probe(dev: Device): void {
        const domain = ims.createDomain(dev, store);
        for (const { virq } of [domain.alloc(), domain.alloc()]) irqs.request(dev, virq, () => {});
      },
    };
    await core.registerDriver(bus, driver);
    const dev = new Device({ name: 'd1', bus, release: () => {} });
    await core.add(dev);
    for (let round = 0; round < 2; round++) {
      trace.length = 0;
      await core.unbind(dev);
      const ends = trace.filter((step) => /^(mask|free|irq_free|msi_free)/.test(step) && step !== 'irq_free_descs');
      expect(ends).toEqual(['irq_free', 'mask 1', 'irq_free', 'mask 0', 'msi_free', 'free 1', 'msi_free', 'free 0']);
      expect(irqs.list()).toEqual([]);
      await core.bind(dev, driver);
      expect(ledger(dev)).toEqual(['irq 25', 'irq 24', 'ims slot', 'ims slot', 'ims domain']);
    }
  });

  test('throws ENODEV from what manages it once its binding is over', () => {
    const { ims, dev } = msiScene();
    const domain = ims.createDomain(dev, new RecordingStore());
    const map = domain.alloc();
    void dev.devres.releaseAll();
    const calls = [
      () => domain.alloc(),
      () => domain.allocAt(0),
      () => domain.allocRange(0, 1),
      () => domain.free(map),
      () => domain.freeAll(),
      () => domain.restore(),
    ];
    expect(calls.map(code)).toEqual(calls.map(() => 'ENODEV'));
    expect([domain.lookup(0), map.held, domain.remove()]).toEqual([0, false, undefined]);
  });

  test('has the device above it that sends messages begin and end', () => {
    const s = msiScene();
    const calls: string[] = [];
    class Sender extends Device implements MessageSender {
      readonly requesterId = undefined;
      messagesBegin(): void {
        calls.push('begin');
      }
      messagesEnd(): void {
        calls.push('end');
      }
    }
    const parent = new Sender({ name: 'pci', release: () => {} });
    void s.device.add(parent);
    const child = deviceIn(s, 'child', { parent });
    const domain = s.ims.createDomain(child, new RecordingStore());
    domain.alloc();
    expect(calls).toEqual(['begin']);
    domain.remove();
    expect(calls).toEqual(['begin', 'end']);
  });

  test('leaves nothing whichever acquisition fails', () => {
    const s = msiScene();
    const left: unknown[] = [];
    for (let fail = 0; fail < 4; fail++) {
      let n = 0;
      s.device.devresHooks = {
        acquiring(_ledger, label) {
          if (n++ === fail) throw new Errno('ENOMEM', label);
        },
      };
      const run = (): unknown => {
        const domain = s.ims.createDomain(s.dev, new RecordingStore());
        const map = domain.associate(domain.insert(0, 3));
        domain.allocRange(1, 2);
        return map;
      };
      left.push([code(run), s.msi.domain(s.dev, 'secondary')?.count]);
      void s.dev.devres.releaseAll();
      expect([s.irqs.list(), s.msi.domains(s.dev), s.violations]).toEqual([[], [], []]);
    }
    expect(left).toEqual([
      ['ENOMEM', undefined],
      ['ENOMEM', 0],
      ['ENOMEM', 1],
      ['ENOMEM', 1],
    ]);
  });

  test('leaves nothing when its device cannot begin to send', () => {
    const s = msiScene();
    const dev = deviceIn(s, 'x');
    Object.assign(dev, {
      messagesBegin: () => {
        throw new Errno('EIO', 'x: does not answer');
      },
      messagesEnd: () => {},
    });
    const domains = s.core.domains.size;
    expect(code(() => s.ims.createDomain(dev, new RecordingStore()))).toBe('EIO');
    expect([s.core.domains.size, s.msi.domains(dev), ledger(dev)]).toEqual([domains, [], []]);
  });
});
