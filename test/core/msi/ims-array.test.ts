import { describe, expect, test } from 'vitest';
import { Mmio } from '../../../core/hal/index.js';
import { type PasidCookie, imsArray } from '../../../core/msi/index.js';
import { code, msiScene } from './fixture.js';

const OFFSET = 0x40;

/** A window that remembers what is done to it: `w4c=1`, `r4c`. */
function bar(sizeBytes = 0x80) {
  const words = new Map<number, number>();
  const log: string[] = [];
  const hex = (n: number): string => n.toString(16);
  const unused = (): never => {
    throw new Error('not a word');
  };
  const regs = new Mmio(
    {
      sizeBytes,
      read8: unused,
      read16: unused,
      read64: unused,
      write8: unused,
      write16: unused,
      write64: unused,
      read32(offset) {
        log.push(`r${hex(offset)}`);
        return words.get(offset) ?? 0;
      },
      write32(offset, value) {
        log.push(`w${hex(offset)}=${hex(value)}`);
        words.set(offset, value);
      },
    },
    'bar',
  );
  return { regs, words, take: () => log.splice(0) };
}

function fixture() {
  const scene = msiScene();
  const memory = bar();
  const domain = scene.ims.createDomain(scene.dev, imsArray(memory.regs, { offset: OFFSET, slots: 4 }));
  /** The control words that allocation, request, disabling by an interrupt, and free write to slot 1. */
  const controls = (cookie: PasidCookie | undefined): string[] => {
    const map = domain.allocAt(1, { cookie });
    const handle = scene.irqs.request(scene.dev, map.virq, () => {});
    handle.disableNosync();
    scene.fire(domain.message(1));
    void handle.free();
    domain.free(map);
    return memory.take().filter((step) => step.startsWith('w5c'));
  };
  return { ...scene, ...memory, domain, controls };
}

describe('a store in a BAR', () => {
  test('C-024 writes the PASID of its cookie into the control word', () => {
    expect(fixture().controls({ pasid: 0x1234 })).toEqual(['w5c=1234009', 'w5c=1234008', 'w5c=1234009', 'w5c=1', 'w5c=1']);
    expect(fixture().controls({ pasid: 0xf_ffff })[0]).toBe('w5c=fffff009');
  });

  test.each([[{ pasid: 0xffff_ffff }], [{}], [undefined]])('C-025 writes none of %o', (cookie) => {
    expect(fixture().controls(cookie)).toEqual(['w5c=1', 'w5c=0', 'w5c=1', 'w5c=1', 'w5c=1']);
  });

  test('refuses a PASID of more than 20 bits, and allocates nothing', () => {
    const { domain } = fixture();
    expect([code(() => domain.alloc({ cookie: { pasid: 0x10_0000 } })), domain.count]).toEqual(['ERANGE', 0]);
  });

  test('masks before it is requested, and reads back what must have arrived', () => {
    const { domain, irqs, dev, take } = fixture();
    const map = domain.alloc();
    expect(take()).toEqual(['w4c=1', 'r4c']);
    const handle = irqs.request(dev, map.virq, () => {});
    expect(take()).toEqual(['w40=fee00018', 'w44=0', 'w48=0', 'r48', 'w4c=0']);
    void handle.free();
    const clear = ['w4c=1', 'w40=0', 'w44=0', 'w48=0', 'r4c'];
    expect(take()).toEqual([...clear, 'w40=0', 'w44=0', 'w48=0', 'r48']);
    domain.free(map);
    expect(take()).toEqual(clear);
  });

  test('is written again after a reset, with its PASID', () => {
    const { domain, irqs, dev, words } = fixture();
    irqs.request(dev, domain.alloc({ cookie: { pasid: 5 } }).virq, () => {});
    domain.alloc({ cookie: { pasid: 6 } });
    const before = new Map(words);
    words.clear();
    domain.restore();
    expect(words).toEqual(before);
    expect([words.get(0x4c), words.get(0x5c)]).toEqual([0x5008, 0x6009]);
  });

  test.each([
    [{ offset: 8, slots: 1 }, 'EINVAL'],
    [{ offset: -16, slots: 1 }, 'EINVAL'],
    [{ offset: 0, slots: 0 }, 'ERANGE'],
    [{ offset: 0, slots: 65_537 }, 'ERANGE'],
    [{ offset: 0x40, slots: 5 }, 'ERANGE'],
  ])('of %o is %s', (layout, error) => {
    expect(code(() => imsArray(bar().regs, layout))).toBe(error);
  });

  test('tells what its slots say: masked while nobody has requested them, pending when the device has set that bit', () => {
    const f = fixture();
    const { virq } = f.domain.allocAt(2);
    const ask = (): boolean[] => (['masked', 'pending'] as const).map((which) => f.irqs.hardwareState(virq, which));
    expect(ask()).toEqual([true, false]);
    f.irqs.request(f.dev, virq, () => {});
    expect(ask()).toEqual([false, false]);
    f.words.set(OFFSET + 2 * 16 + 0xc, 0b11);
    expect(ask()).toEqual([true, true]);
  });
});
