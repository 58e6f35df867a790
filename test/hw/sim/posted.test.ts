import { describe, expect, test } from 'vitest';
import type { Window } from '../../../core/hal/index.js';
import { Machine, type MachineOptions } from '../../../hw/sim/index.js';
import { SCRATCH_BYTES, type Scratch, assign, scratch } from './fixture.js';

const BAR = 0xc000_0000;

function setUp(options: MachineOptions = {}): { machine: Machine; window: Window; model: Scratch } {
  const kind = scratch();
  const machine = new Machine({ clock: 'manual', devices: [{ at: '00:04.0', model: kind }], ...options });
  assign(machine, 0, 0x20, BAR);
  return { machine, window: machine.pci[0]!.map('mem', BAR, SCRATCH_BYTES), model: kind.made[0]! };
}

describe('posted writes', () => {
  test('they arrive in order before a read, with the widths they had', () => {
    const { window, model } = setUp();
    window.write8(0, 0x1ff);
    window.write16(2, 2);
    window.write32(4, -1);
    window.write64(8, 4, 5);
    expect(model.events).toEqual([]);
    expect(window.read8(0)).toBe(0xff);
    expect(model.events).toEqual(['write8 0 255', 'write16 2 2', 'write32 4 4294967295', 'write64 8 4 5']);
  });

  test.each<[string, (machine: Machine) => unknown]>([
    ['a read of another window of the root', (machine) => machine.pci[0]!.map('mem', BAR + 8, 4).read32(0)],
    ['a configuration access', (machine) => machine.pci[0]!.config(0, 0x20).read16(0)],
    ['an I/O write', (machine) => machine.pci[0]!.map('io', 0x2000, 4).write8(0, 0)],
    ['drain', (machine) => machine.drain()],
    ['time', (machine) => machine.elapse(0)],
    ['relax', (machine) => machine.clock.relax()],
    ['stop', (machine) => machine.stop()],
  ])('%s pushes them', (_what, push) => {
    const { machine, window, model } = setUp();
    window.write32(0, 1);
    push(machine);
    expect(model.events).toEqual(['write32 0 1']);
  });

  test('they arrive when the running synchronous section has returned', async () => {
    const { window, model } = setUp();
    window.write32(0, 1);
    await Promise.resolve();
    expect(model.events).toEqual(['write32 0 1']);
  });

  test('they arrive before time moves, so that what they start is due on time', () => {
    const { machine, window, model } = setUp();
    let startedUs = -1;
    model.write32 = () => void (startedUs = model.context.clock.now());
    machine.clock.after(10, () => window.write32(0, 1));
    machine.elapse(25);
    expect(startedUs).toBe(10);
  });

  test('relax says true when a write was all there was to do', () => {
    const { machine, window } = setUp();
    window.write32(0, 1);
    expect(machine.clock.relax()).toBe(true);
    expect(machine.clock.relax()).toBe(false);
  });

  test('a full queue delivers by itself, and loses nothing', () => {
    const { window, model } = setUp();
    for (let i = 0; i < 1000; i++) window.write32(0, i);
    expect(window.read32(0)).toBe(999);
    expect(model.events).toEqual(Array.from({ length: 1000 }, (_, i) => `write32 0 ${i}`));
  });

  test('64 bytes at once arrive in order with the others, and a later change of the words is none of theirs', () => {
    const { window, model } = setUp();
    const words = Uint32Array.from({ length: 20 }, (_, i) => i);
    const blocks: string[] = [];
    Object.assign(model, {
      movdir64b: (offset: number, data: Uint32Array, at: number): void => {
        model.events.push('block');
        blocks.push(`${offset}: ${data.subarray(at, at + 16).join(' ')}`);
      },
    });
    window.write32(0, 1);
    window.movdir64b!(64, words, 2);
    words.fill(9);
    window.movdir64b!(128, words, 0);
    window.write32(4, 2);
    window.read8(0);
    expect(model.events).toEqual(['write32 0 1', 'block', 'block', 'write32 4 2']);
    expect(blocks).toEqual(['64: 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17', `128:${' 9'.repeat(16)}`]);
  });

  test('64 bytes at once reach a device that has no such write in eight pieces', () => {
    const { window, model } = setUp();
    window.movdir64b!(
      64,
      Uint32Array.from({ length: 16 }, (_, i) => i),
      0,
    );
    window.read8(0);
    expect(model.events).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => `write64 ${64 + 8 * i} ${2 * i} ${2 * i + 1}`));
  });

  test('a write with an answer comes after what was posted; where nobody answers, it is to be tried again', () => {
    const { machine, window, model } = setUp();
    const words = new Uint32Array(16);
    window.write32(0, 1);
    expect(window.enqcmd!(64, words, 0)).toBe(true);
    expect(model.events).toEqual(['write32 0 1']);
    Object.assign(model, { enqcmd: () => false });
    expect(window.enqcmd!(64, words, 0)).toBe(false);
    Object.assign(model, {
      enqcmd: () => {
        throw new Error('broken');
      },
    });
    expect(window.enqcmd!(64, words, 0)).toBe(true);
    expect(machine.modelErrors.length).toBe(1);
    machine.yank('00:04.0', { silent: true });
    expect(window.enqcmd!(64, words, 0)).toBe(true);
  });

  test('they vanish when the device does', () => {
    const { machine, window, model } = setUp();
    window.write32(0, 1);
    machine.yank('00:04.0', { silent: true });
    expect(window.read32(0)).toBe(0xffff_ffff);
    expect(model.events).toEqual([]);
  });

  test('without posting each write arrives before it returns', () => {
    const { window, model } = setUp({ postedWrites: false });
    window.write32(0, 1);
    expect(model.events).toEqual(['write32 0 1']);
  });
});
