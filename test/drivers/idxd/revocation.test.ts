import { describe, expect, test } from 'vitest';
import { DmaChannels } from '../../../core/index.js';
import { FLAGS, OPCODES } from '../../../hw/regs/dsa.js';
import { HANDLES, Lane, type LaneOptions, Notes } from './dma-fixture.js';
import { Bench } from './fixture.js';

/** Handles are asked for, and a transfer takes a microsecond a byte: it has its handle looked at when it ends. */
const SLOW: LaneOptions = { profile: { ...HANDLES.profile, bytesPerUs: 1 } };
const LAST_WORD = 9;

/** Descriptors that come through the portal: their operation, flags and handle. */
function watch({ bench }: Lane): { opcode: number; flags: number; handle: number }[] {
  const seen: { opcode: number; flags: number; handle: number }[] = [];
  const { portals } = bench.silicon;
  const store = portals.movdir64b.bind(portals);
  portals.movdir64b = (offset, words, at = 0) => {
    const word = words[at + 1]!;
    seen.push({ opcode: word >>> 24, flags: word & 0xff_ffff, handle: words[at + LAST_WORD]! & 0xffff });
    store(offset, words, at);
  };
  return seen;
}
const commandsOn = (lane: Lane): string[] => lane.bench.takeWire().filter((line) => line.startsWith('w32 CMD '));
const complete = (count: number): string[] => new Array<string>(count).fill('complete');

describe('handles that the device has taken back', () => {
  test('D21 a new one is requested, a drain is sent, what was refused is submitted again, and no client learns of it', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, path } = lane;
    const notes = new Notes();
    const before = path.handle;
    const seen = watch(lane);
    for (let n = 0; n < 4; n++) lane.copy(notes, 20);
    await bench.settle(30);
    expect(notes.statuses).toEqual(complete(1));
    bench.takeWire();
    bench.silicon.revokeHandles();
    await bench.settle(1000);
    expect(commandsOn(lane)).toEqual(['w32 CMD 0x80d00001']);
    expect(path.handle).not.toBe(before);
    expect(notes.statuses).toEqual(complete(4));
    const drains = seen.filter(({ opcode }) => opcode === OPCODES.drain);
    const flags = FLAGS.completionValid | FLAGS.requestCompletion | FLAGS.requestInterrupt;
    expect(drains).toEqual([{ opcode: OPCODES.drain, flags, handle: path.handle }]);
    const moves = seen.filter(({ opcode }) => opcode === OPCODES.move).map(({ handle }) => handle);
    expect(moves.slice(0, 4)).toEqual([before, before, before, before]);
    expect(moves.slice(4)).toEqual([path.handle, path.handle, path.handle]);
    expect([lane.used, bench.sim.guestErrors]).toEqual([0, []]);
  });

  test('what is submitted meanwhile waits, and goes with the new handle', async () => {
    await using lane = await Lane.open({ profile: HANDLES.profile });
    const { bench, path } = lane;
    const notes = new Notes();
    const before = path.handle;
    const seen = watch(lane);
    const { commands } = bench.idxd;
    const run = commands.run.bind(commands);
    commands.run = (command, operand) => {
      lane.copy(notes);
      commands.run = run;
      return run(command, operand);
    };
    bench.silicon.revokeHandles();
    await bench.settle(1000);
    expect(notes.statuses).toEqual(complete(1));
    expect(path.handle).not.toBe(before);
    expect(seen.map(({ opcode, handle }) => [opcode, handle])).toEqual([
      [OPCODES.move, path.handle],
      [OPCODES.drain, path.handle],
    ]);
  });

  test('a descriptor that is refused before the revocation was told of begins the renewal itself', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, path } = lane;
    const { interrupts } = bench.silicon;
    const raise = interrupts.raise.bind(interrupts);
    interrupts.raise = () => {};
    interrupts.revoke();
    interrupts.raise = raise;
    const notes = new Notes();
    const cookie = lane.copy(notes, 20);
    const before = path.handle;
    await bench.settle(100);
    expect(lane.channel.status(cookie)).toBe('in-progress');
    await bench.settle(1000);
    expect([notes.statuses, path.handle === before]).toEqual([complete(1), false]);
  });

  test('a queue that is full has no room for a drain: what it holds is found all the same', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    for (let n = 0; n < 16; n++) lane.copy(notes, 5000);
    await bench.settle(10);
    const seen = watch(lane);
    bench.takeWire();
    bench.silicon.revokeHandles();
    await bench.settle(500);
    expect(seen).toEqual([]);
    await bench.settle(400_000);
    expect(notes.statuses).toEqual(complete(16));
    expect(commandsOn(lane).slice(0, 2)).toEqual(['w32 CMD 0x80d00001', 'w32 CMD 0x80800001']);
    expect([bench.sim.guestErrors, lane.used]).toEqual([[], 0]);
  });

  test('the interrupt of the drain may be lost', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    for (let n = 0; n < 4; n++) lane.copy(notes, 50);
    await bench.settle(10);
    const { interrupts } = bench.silicon;
    const signal = interrupts.signal.bind(interrupts);
    const seen = watch(lane);
    let lost: number[] = [];
    bench.silicon.revokeHandles();
    interrupts.signal = () => {
      interrupts.signal = signal;
      lost = seen.map(({ opcode }) => opcode);
    };
    await bench.settle(10_000);
    expect(lost[0]).toBe(OPCODES.drain);
    expect([notes.statuses, lane.used]).toEqual([complete(4), 0]);
  });

  test('handles that are taken back again and again are renewed until they stay', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    for (let n = 0; n < 8; n++) lane.copy(notes, 40);
    for (let n = 0; n < 5; n++) {
      bench.silicon.revokeHandles();
      await bench.settle(30);
    }
    await bench.settle(20_000);
    expect([notes.statuses, lane.used]).toEqual([complete(8), 0]);
  });

  test('a handle that is never good ends the transfer after 16 refusals', async () => {
    await using lane = await Lane.open({ profile: HANDLES.profile });
    const { bench } = lane;
    bench.silicon.interrupts.indexOf = () => -1;
    const cookie = lane.copy();
    await bench.settle(100);
    expect(lane.channel.status(cookie)).toBe('in-progress');
    await bench.settle(100_000);
    await expect(lane.channel.wait(cookie)).rejects.toThrow('EIO: wq0.0: transfer 1: status 0x19, interrupt handle invalid');
    expect(commandsOn(lane).filter((line) => line === 'w32 CMD 0x80d00001').length).toBeGreaterThan(15);
    // A drain that was refused too is found by who looks.
    lane.channel.status(cookie);
    expect(lane.used).toBe(0);
  });

  test('when the device gives none, its work is aborted and nothing can be submitted', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const notes = new Notes();
    for (let n = 0; n < 3; n++) lane.copy(notes, 100);
    bench.silicon.interrupts.request = () => -1;
    bench.silicon.revokeHandles();
    lane.copy(notes, 100);
    await bench.settle(1000);
    expect(notes.statuses).toEqual(['aborted', 'aborted', 'aborted', 'aborted']);
    expect(() => lane.copy()).toThrow('ENXIO: wq0.0: has lost its interrupt: ENXIO: wq0.0: no interrupt handle');
    expect(() => channel.ready()).toThrow('ENXIO');
    await bench.unbind('wq0.0');
    expect(bench.read('wq0.0', 'state')).toBe('disabled');
  });

  test('terminate aborts what waits for a new handle too', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench, channel } = lane;
    const notes = new Notes();
    lane.copy(notes, 1000);
    bench.silicon.revokeHandles();
    await bench.settle();
    lane.copy(notes, 10);
    await channel.terminate();
    expect([notes.statuses, lane.used]).toEqual([['aborted', 'aborted'], 0]);
    expect((await channel.wait(lane.copy(undefined, 10))).status).toBe('complete');
  });

  test('unbinding in the middle waits for the renewal, and ends what was under way', async () => {
    await using lane = await Lane.open(SLOW);
    const { bench } = lane;
    const notes = new Notes();
    for (let n = 0; n < 4; n++) lane.copy(notes, 50);
    await bench.settle(60);
    bench.silicon.revokeHandles();
    await bench.unbind('wq0.0');
    expect(notes.statuses).toEqual(['complete', 'aborted', 'aborted', 'aborted']);
    expect(bench.system.device('wq0.0').devres.entries()).toEqual([]);
  });

  test.each([1, 5, 9, 12])(
    'D21 a handle that is taken back while its queue is being enabled, %i turns on, is renewed',
    async (turns) => {
      await using bench = await Bench.start(HANDLES);
      await bench.configure(0, { driver_name: 'dmaengine' });
      await bench.bind('dsa0');
      const { interrupts } = bench.silicon;
      const request = interrupts.request.bind(interrupts);
      const revoke = async (): Promise<void> => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        bench.silicon.revokeHandles();
      };
      let revoked: Promise<void> | undefined;
      interrupts.request = (index, isIms) => {
        interrupts.request = request;
        revoked = revoke();
        return request(index, isIms);
      };
      await bench.bind('wq0.0', 'dmaengine');
      await revoked;
      await bench.settle(1000);
      const channel = bench.system.get(DmaChannels, 'dma0chan0');
      expect(await channel.wait(channel.submit(channel.prepareInterrupt()), 1000)).toMatchObject({ status: 'complete' });
    },
  );

  test('a device that does not give out handles does not take them back: that is logged', async () => {
    await using lane = await Lane.open();
    const { bench } = lane;
    bench.silicon.revokeHandles();
    await bench.settle(100);
    const { log } = bench.system.core;
    expect(log.records().at(-1)).toMatchObject({ level: 'warn', id: 'handles_revoked' });
    expect((await lane.channel.wait(lane.copy())).status).toBe('complete');
    expect(lane.path.handle).toBe(1);
  });
});
