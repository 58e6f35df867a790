import { describe, expect, test } from 'vitest';
import { Bench, stub } from './fixture.js';

const BAD_OPERATION = 0x0b;

async function enabled(): Promise<Bench> {
  const bench = await Bench.start({ more: [stub] });
  await bench.configure();
  await bench.bind('dsa0');
  await bench.bind('wq0.0', 'stub');
  bench.takeWire();
  return bench;
}

describe('EventLog', () => {
  test('what is logged is read, told of where somebody can mend it, else in the log, and given back', async () => {
    await using bench = await enabled();
    bench.maskMessages(true);
    for (const opcode of [0x0b, 0x0c]) bench.post(0, opcode);
    await bench.settle(10);
    bench.maskMessages(false);
    await bench.settle(10);
    expect(bench.takeWire().slice(0, 5)).toEqual([
      'r32 INTCAUSE',
      'w32 INTCAUSE 0x20',
      'w32 0xf4 0x40000000',
      'r64 EVLSTATUS',
      'w32 EVLSTATUS 0x2',
    ]);
    expect(bench.logged('event')).toEqual(['event of queue 0: status 0x10 at 0x0', 'event of queue 0: status 0x10 at 0x0']);
  });

  test('it wraps, and loses nothing while it is read in time', async () => {
    await using bench = await enabled();
    for (let i = 0; i < 200; i++) {
      bench.post(0, BAD_OPERATION);
      await bench.settle(10);
    }
    expect([bench.logged('event').length, bench.silicon.errors.head, bench.silicon.errors.register[0]]).toEqual([
      200,
      200 % 64,
      0,
    ]);
  });

  test('has as many entries as event_log_size says, and is turned off and given back with the device', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    await bench.write('dsa0', 'event_log_size', 100);
    bench.takeWire();
    await bench.bind('dsa0');
    expect(bench.takeWire()).toContain('w64 EVLCFG_SIZE 0x64');
    expect(
      bench
        .part('dsa0')
        .devres.entries()
        .map(({ label }) => label),
    ).toEqual(['event log']);
    await bench.unbind('dsa0');
    expect(bench.idxd.dev.devres.entries().map(({ label }) => label)).not.toContain('dma 8192 bytes');
  });

  test('a device without one has neither the attribute nor the memory', async () => {
    await using bench = await Bench.start({ profile: { eventLog: 0 } });
    await bench.configure();
    await bench.bind('dsa0');
    expect(() => bench.read('dsa0', 'event_log_size')).toThrow('ENOENT');
    expect([bench.part('dsa0').devres.size, bench.takeWire().filter((what) => what.includes('EVL'))]).toEqual([0, []]);
  });
});
