import { describe, expect, test } from 'vitest';
import type { Window } from '../../../core/hal/index.js';
import { Endpoint, msi, msix } from '../../../hw/endpoint/index.js';
import { PLAIN, RecordingPort, make } from './fixture.js';

describe('INTx', () => {
  test('the level shows in the status register, the line obeys interrupt disable', () => {
    const { endpoint, port } = make({ interruptPin: 'A' });
    endpoint.irq.intx(true);
    endpoint.space.write16(0x04, 0x400);
    expect(endpoint.space.read16(0x06) & 0x8).toBe(0x8);
    endpoint.space.write16(0x04, 0);
    endpoint.irq.intx(false);
    expect(port.events).toEqual(['assert', 'deassert', 'assert', 'deassert']);
    expect(endpoint.space.read16(0x06) & 0x8).toBe(0);
  });

  test('a reset lowers the line', () => {
    const { endpoint, port } = make({ interruptPin: 'A' });
    endpoint.irq.intx(true);
    endpoint.reset('bus');
    expect(port.events).toEqual(['assert', 'deassert', 'reset bus']);
  });

  test('interrupt disable hides the line, never the status', () => {
    const { endpoint, port } = make({ interruptPin: 'A' });
    endpoint.space.write16(0x04, 0x400);
    endpoint.irq.intx(true);
    expect([port.events, endpoint.space.read16(0x06) & 0x8]).toEqual([[], 0x8]);
    endpoint.space.write16(0x06, 0xffff);
    expect(endpoint.space.read16(0x06) & 0x8).toBe(0x8);
    endpoint.space.write16(0x04, 0);
    expect(port.events).toEqual(['assert']);
  });

  test('a function without a pin has no line and no status', () => {
    const { endpoint, port } = make();
    endpoint.irq.intx(true);
    expect([port.events, endpoint.space.read16(0x06) & 0x8]).toEqual([[], 0]);
  });

  test('the line comes back when MSI is switched off', () => {
    const { endpoint, port } = make({ interruptPin: 'A', capabilities: [msi()] });
    endpoint.space.write16(0x42, 1);
    endpoint.irq.intx(true);
    expect(port.events).toEqual([]);
    endpoint.space.write16(0x42, 0);
    expect(port.events).toEqual(['assert']);
  });

  test('with MSI enabled the line stays low', () => {
    const { endpoint, port } = make({ interruptPin: 'A', capabilities: [msi()] });
    endpoint.irq.intx(true);
    endpoint.space.write16(0x42, 1);
    expect(port.events).toEqual(['assert', 'deassert']);
  });
});

describe('MSI', () => {
  test.each([
    [msi(), 0x0080, 14],
    [msi({ vectors: 32, maskable: true }), 0x018a, 24],
    [msi({ is64: false }), 0x0000, 10],
    [msi({ is64: false, maskable: true, vectors: 4 }), 0x0104, 20],
  ])('capability %# announces what was asked for', (cap, control, sizeBytes) => {
    const { space } = make({ capabilities: [cap] }).endpoint;
    expect(space.read16(0x42)).toBe(control);
    expect(cap.sizeBytes).toBe(sizeBytes);
    space.write16(0x42, 0xffff);
    expect(space.read16(0x42)).toBe(control | 0x71);
  });

  test('nothing is sent until software enables it', () => {
    const { endpoint, port } = make({ capabilities: [msi()] });
    expect(endpoint.irq.msi(0)).toBe(false);
    expect(port.messages).toEqual([]);
  });

  test('the message is what software wrote, with the index in the granted low bits', () => {
    const { endpoint, port } = make({ capabilities: [msi({ vectors: 8 })] });
    endpoint.space.write32(0x44, 0xfee0_1003);
    endpoint.space.write32(0x48, 0x1);
    endpoint.space.write16(0x4c, 0x4147);
    endpoint.space.write16(0x42, 0x0021);
    expect([endpoint.irq.msi(3), endpoint.irq.msi(6)]).toEqual([true, true]);
    expect(port.messages).toEqual([
      [0xfee0_1000, 1, 0x4147],
      [0xfee0_1000, 1, 0x4146],
    ]);
  });

  test('a masked message is pending until it is unmasked', () => {
    const { endpoint, port } = make({ capabilities: [msi({ vectors: 2, maskable: true })] });
    endpoint.space.write16(0x42, 0x0011);
    endpoint.space.write32(0x50, 0x2);
    expect(endpoint.irq.msi(1)).toBe(false);
    expect(endpoint.space.read32(0x54)).toBe(0x2);
    endpoint.space.write32(0x50, 0);
    expect([endpoint.space.read32(0x54), port.messages.length]).toEqual([0, 1]);
  });

  const maskable = (vectors: number, granted: number): ReturnType<typeof make> => {
    const made = make({ capabilities: [msi({ vectors, maskable: true })] });
    made.endpoint.space.write16(0x42, 1 | (granted << 4));
    return made;
  };

  test('what fires several times while masked is sent once, with the message as it is then', () => {
    const { endpoint, port } = maskable(2, 1);
    endpoint.space.write32(0x50, 0x2);
    endpoint.irq.msi(1);
    endpoint.irq.msi(1);
    endpoint.space.write32(0x44, 0xfee0_3000);
    endpoint.space.write16(0x4c, 0x42);
    expect(port.messages).toEqual([]);
    endpoint.space.write32(0x50, 0);
    endpoint.space.write32(0x50, 0);
    expect([port.messages, endpoint.space.read32(0x54)]).toEqual([[[0xfee0_3000, 0, 0x43]], 0]);
  });

  test('unmasking one leaves the others pending', () => {
    const { endpoint, port } = maskable(32, 5);
    endpoint.space.write32(0x50, 0xffff_ffff);
    for (const n of [0, 5, 31]) endpoint.irq.msi(n);
    endpoint.space.write32(0x50, 0x7fff_ffff);
    expect([port.messages, endpoint.space.read32(0x54)]).toEqual([[[0, 0, 31]], 0x21]);
    endpoint.space.write32(0x50, 0);
    expect(port.messages.map(([, , data]) => data)).toEqual([31, 0, 5]);
  });

  test('the pending bits are not for software to write, and masks end at the last message', () => {
    const { endpoint } = maskable(2, 1);
    endpoint.space.write32(0x50, 0xffff_ffff);
    endpoint.irq.msi(0);
    endpoint.space.write32(0x54, 0);
    expect([endpoint.space.read32(0x50), endpoint.space.read32(0x54)]).toEqual([0x3, 0x1]);
  });

  test('a grant of more messages than there are gives those there are', () => {
    const { endpoint, port } = make({ capabilities: [msi({ vectors: 2 })] });
    endpoint.space.write16(0x4c, 0xfc);
    endpoint.space.write16(0x42, 0x71);
    endpoint.irq.msi(7);
    expect(port.messages).toEqual([[0, 0, 0xfd]]);
  });

  test('what is pending beyond a smaller grant is not sent as another message', () => {
    const { endpoint, port } = maskable(4, 2);
    endpoint.space.write32(0x50, 0xf);
    endpoint.irq.msi(3);
    endpoint.space.write16(0x42, 0x0001);
    endpoint.space.write32(0x50, 0);
    expect([port.messages, endpoint.space.read32(0x54)]).toEqual([[], 0]);
  });

  test('a reset switches it off and forgets what is pending', () => {
    const { endpoint, port } = maskable(2, 1);
    endpoint.space.write32(0x50, 0x3);
    endpoint.irq.msi(0);
    endpoint.reset('function');
    expect([endpoint.irq.msiEnabled, endpoint.irq.msi(0), endpoint.space.read32(0x54)]).toEqual([false, false, 0]);
    endpoint.space.write16(0x42, 0x0011);
    expect(port.messages).toEqual([]);
  });

  test.each([[0], [3], [64]])('%i vectors throw EINVAL', (vectors) => {
    expect(() => msi({ vectors })).toThrow(/^EINVAL: msi: /);
  });
});

describe('MSI-X', () => {
  const TABLE = { vectors: 3, table: { bar: 1, offset: 0x800 }, pba: { bar: 1, offset: 0x1000 } };
  const setUp = (): ReturnType<typeof make> & { bar: Window } => {
    const made = make({ bars: { 1: { kind: 'mem32', sizeBytes: 0x2000 } }, capabilities: [msix(TABLE)] });
    made.endpoint.space.write16(0x04, 0x2);
    return { ...made, bar: made.endpoint.decodedRanges()[0]!.window };
  };

  test('the capability tells size and places', () => {
    const { space } = setUp().endpoint;
    expect([space.read16(0x42), space.read32(0x44), space.read32(0x48)]).toEqual([2, 0x801, 0x1001]);
    space.write16(0x42, 0xffff);
    expect(space.read16(0x42)).toBe(0xc002);
  });

  test('the table lies in front of the registers of the model', () => {
    const { bar } = setUp();
    expect([bar.read32(0x7fc), bar.read32(0x830)]).toEqual([0x7fc, 0x830]);
    expect([bar.read32(0x800), bar.read32(0x80c), bar.read32(0x1000)]).toEqual([0, 1, 0]);
    expect([bar.read8(0x800), bar.read16(0x800), bar.read32(0x802)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
  });

  test('a BAR of the table alone needs no region of the model', () => {
    const bars = { 1: { kind: 'mem32', sizeBytes: 0x2000 } } as const;
    const endpoint = new Endpoint({ ...PLAIN, bars, capabilities: [msix(TABLE)] }, new RecordingPort());
    endpoint.attach({});
    endpoint.space.write16(0x04, 0x2);
    const bar = endpoint.decodedRanges()[0]!.window;
    expect([bar.read32(0), bar.read8(4), bar.read32(0x80c)]).toEqual([0xffff_ffff, 0xff, 1]);
  });

  test('entries keep address, data and the mask bit alone', () => {
    const { bar } = setUp();
    bar.write64(0x810, 0xffff_ffff, 0x1);
    bar.write32(0x818, 0x42);
    bar.write32(0x81c, 0xffff_fffe);
    const pair = new Uint32Array(2);
    bar.read64(0x810, pair);
    expect([...pair, bar.read32(0x818), bar.read32(0x81c)]).toEqual([0xffff_fffc, 1, 0x42, 0]);
  });

  test('a message is sent when function and entry are unmasked, else it is pending', () => {
    const { endpoint, port, bar } = setUp();
    bar.write64(0x810, 0xfee0_0000, 0);
    bar.write32(0x818, 0x42);
    endpoint.space.write16(0x42, 0x8000);
    expect(endpoint.irq.msix(1)).toBe(false);
    expect(bar.read32(0x1000)).toBe(0x2);
    bar.write32(0x1000, 0);
    expect(bar.read32(0x1000)).toBe(0x2);
    bar.write32(0x81c, 0);
    expect([bar.read32(0x1000), port.messages]).toEqual([0, [[0xfee0_0000, 0, 0x42]]]);
    endpoint.space.write16(0x42, 0xc000);
    expect(endpoint.irq.msix(1)).toBe(false);
    endpoint.space.write16(0x42, 0x8000);
    expect(port.messages).toHaveLength(2);
    expect(endpoint.irq.msix(1)).toBe(true);
    expect(endpoint.irq.msix(3)).toBe(false);
  });

  test('what fires several times while masked is sent once, with the entry as it is then', () => {
    const { endpoint, port, bar } = setUp();
    endpoint.space.write16(0x42, 0x8000);
    endpoint.irq.msix(1);
    endpoint.irq.msix(1);
    bar.write64(0x810, 0xfee0_3000, 0);
    bar.write32(0x818, 0x42);
    expect([port.messages, bar.read32(0x1000)]).toEqual([[], 0x2]);
    bar.write32(0x81c, 0);
    bar.write32(0x81c, 1);
    bar.write32(0x81c, 0);
    expect([port.messages, bar.read32(0x1000)]).toEqual([[[0xfee0_3000, 0, 0x42]], 0]);
  });

  test('the function mask holds all back, and its end sends those whose entry is unmasked', () => {
    const { endpoint, port, bar } = setUp();
    endpoint.space.write16(0x42, 0xc000);
    for (const n of [0, 2]) bar.write32(0x80c + 16 * n, 0);
    for (const n of [0, 1, 2]) endpoint.irq.msix(n);
    expect([port.messages.length, bar.read32(0x1000)]).toEqual([0, 0x7]);
    endpoint.space.write16(0x42, 0x8000);
    expect([port.messages.length, bar.read32(0x1000)]).toEqual([2, 0x2]);
  });

  test('a masked and pending vector is sent by the write of 8 bytes that unmasks it, complete', () => {
    const { endpoint, port, bar } = setUp();
    endpoint.space.write16(0x42, 0x8000);
    endpoint.irq.msix(0);
    bar.write64(0x808, 0x77, 0);
    expect(port.messages).toEqual([[0, 0, 0x77]]);
  });

  test('while it is switched off nothing becomes pending, and what was pending stays', () => {
    const { endpoint, port, bar } = setUp();
    endpoint.space.write16(0x42, 0x8000);
    endpoint.irq.msix(0);
    endpoint.space.write16(0x42, 0);
    endpoint.irq.msix(1);
    bar.write32(0x80c, 0);
    expect([port.messages.length, bar.read32(0x1000)]).toEqual([0, 0x1]);
    endpoint.space.write16(0x42, 0x8000);
    expect([port.messages.length, bar.read32(0x1000)]).toEqual([1, 0]);
  });

  test('with MSI-X enabled the line stays low', () => {
    const bars = { 1: { kind: 'mem32', sizeBytes: 0x2000 } } as const;
    const { endpoint, port } = make({ interruptPin: 'A', bars, capabilities: [msix(TABLE)] });
    endpoint.irq.intx(true);
    endpoint.space.write16(0x42, 0xc000);
    expect(port.events).toEqual(['assert', 'deassert']);
    endpoint.space.write16(0x42, 0);
    expect(port.events).toEqual(['assert', 'deassert', 'assert']);
  });

  test('a reset masks every entry and forgets what is pending', () => {
    const { endpoint, bar } = setUp();
    endpoint.space.write16(0x42, 0x8000);
    endpoint.irq.msix(0);
    bar.write32(0x81c, 0);
    endpoint.reset('function');
    expect([bar.read32(0x81c), bar.read32(0x1000)]).toEqual([1, 0]);
  });

  test('a place that cannot be throws EINVAL', () => {
    expect(() => msix({ ...TABLE, vectors: 2049 })).toThrow(/^EINVAL/);
    expect(() => msix({ ...TABLE, table: { bar: 1, offset: 4 } })).toThrow(/^EINVAL/);
    const bars = { 1: { kind: 'mem32', sizeBytes: 0x800 } } as const;
    const endpoint = new Endpoint({ ...PLAIN, bars, capabilities: [msix(TABLE)] }, new RecordingPort());
    expect(() => endpoint.attach({})).toThrow(/^EINVAL: msix: .* do not fit BAR 1/);
    const none = new Endpoint({ ...PLAIN, capabilities: [msix(TABLE)] }, new RecordingPort());
    expect(() => none.attach({})).toThrow('a region for BAR 1, which is not declared');
  });
});
