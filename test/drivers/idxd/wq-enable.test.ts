import { describe, expect, test } from 'vitest';
import { DmaChannels } from '../../../core/index.js';
import { enableWq } from '../../../drivers/idxd/wq-enable.js';
import { idxd } from '../../../plugins/idxd.js';
import { Lane, PASIDS } from './dma-fixture.js';
import { ADDRESS, Bench } from './fixture.js';

const DMAENGINE = { driver_name: 'dmaengine' } as const;
const IMS = { plugin: idxd({ interrupts: 'ims' }) } as const;

/** A bench with queues that are configured for channels, and the device enabled. */
async function enabled(count: number, options: Parameters<typeof Bench.start>[0] = {}): Promise<Bench> {
  const bench = await Bench.start(options);
  for (let n = 0; n < count; n++) await bench.configure(n, { ...DMAENGINE, group_id: n % 4, size: 8 });
  await bench.bind('dsa0');
  return bench;
}

/** Ledger of a device, newest first. */
const ledger = (bench: Bench, name: string): string[] =>
  bench.system
    .device(name)
    .devres.entries()
    .map(({ label }) => label);
const channels = (bench: Bench): string[] => bench.system.list(DmaChannels).map(([name]) => name);
const slots = (bench: Bench): number => ledger(bench, ADDRESS).filter((label) => label === 'ims slot').length;
const commandsOn = (wire: readonly string[]): string[] => wire.filter((line) => line.startsWith('w32 CMD '));
/** What a command does to the registers. */
const runs = (command: string): string[] => [
  'r32 GENSTATUS',
  `w32 CMD ${command}`,
  'r32 INTCAUSE',
  'w32 INTCAUSE 0x2',
  'r32 CMDSTATUS',
];

describe('openPath', () => {
  test('enables a queue with the commands and in the order of Linux, and its end is the reverse', async () => {
    await using bench = await enabled(1);
    bench.takeWire();
    await bench.bind('wq0.0', 'dmaengine');
    const wire = bench.takeWire();
    const at = wire.indexOf('r32 GENSTATUS');
    expect(wire.slice(0, at).filter((line) => !/^(r32|w32) WQCFG\[0\]|^w64 GRPCFG/.test(line))).toEqual([]);
    expect(wire.slice(at)).toEqual(runs('0x80600000'));
    expect([bench.read('wq0.0', 'state'), channels(bench)]).toEqual(['enabled', ['dma0chan0']]);
    await bench.unbind('wq0.0');
    expect(bench.takeWire()).toEqual([...runs('0x80800001'), 'w32 MSIXPERM[1]+0x0 0x0', ...runs('0x80a00001')]);
    expect([bench.read('wq0.0', 'state'), channels(bench)]).toEqual(['disabled', []]);
  });

  test('D7 a queue that the device refuses gives everything back, and is enabled once what was wrong is put right', async () => {
    await using bench = await enabled(1, IMS);
    await bench.write('wq0.0', 'priority', 0);
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow('ENXIO: dsa0: wq0.0 not enabled: status 0x23');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x23');
    expect([ledger(bench, 'wq0.0'), slots(bench), bench.read('wq0.0', 'state')]).toEqual([[], 0, 'disabled']);
    expect([bench.read('wq0.0', 'type'), bench.read('wq0.0', 'name'), bench.read('wq0.0', 'size')]).toEqual([
      'kernel',
      'test',
      '8',
    ]);
    await bench.write('wq0.0', 'priority', 1);
    await bench.bind('wq0.0', 'dmaengine');
    expect([bench.read('dsa0', 'cmd_status'), slots(bench), channels(bench)]).toEqual(['0x0', 1, ['dma0chan0']]);
  });

  test('D8 queues have slots of one message store, which are their handles; a slot that is freed is used again', async () => {
    await using bench = await enabled(4, IMS);
    const { idxd: device } = bench;
    for (const n of [0, 1, 2]) await bench.bind(`wq0.${n}`, 'dmaengine');
    const handles = (): (number | undefined)[] => device.wqs.slice(0, 4).map((wq) => wq.kernelPath?.handle);
    const before = handles();
    expect(new Set(before.slice(0, 3)).size).toBe(3);
    expect(ledger(bench, ADDRESS).filter((label) => label === 'ims domain')).toHaveLength(1);
    await bench.unbind('wq0.1');
    // As Linux has it, its mode is forgotten, and no queue is enabled beside a shared one that nothing can use.
    await bench.write('wq0.1', 'mode', 'dedicated');
    await bench.bind('wq0.3', 'dmaengine');
    expect(handles()).toEqual([before[0], undefined, before[2], before[1]]);
    for (const n of [0, 2, 3]) {
      const slot = device.wqs[n]!.kernelPath!.handle;
      // Programmed, and not masked.
      expect(bench.silicon.interrupts.slots.read32(16 * slot + 12) & 1).toBe(0);
    }
  });

  test('D9 without a free slot a queue is not enabled, and nothing else has changed', async () => {
    await using bench = await enabled(1, IMS);
    const { ims } = bench.idxd;
    const taken = Array.from({ length: 256 }, () => ims!.alloc());
    const before = [ledger(bench, ADDRESS), ledger(bench, 'wq0.0')];
    bench.takeWire();
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow('ENXIO: wq0.0: all 256 slots of the message store are in use');
    expect(bench.system.device('wq0.0').probeError).toMatchObject({ code: 'ENXIO', cause: { code: 'ENOSPC' } });
    expect([ledger(bench, ADDRESS), ledger(bench, 'wq0.0')]).toEqual(before);
    expect([bench.takeWire(), bench.read('dsa0', 'cmd_status'), bench.read('wq0.0', 'state')]).toEqual([
      [],
      '0x80100000',
      'disabled',
    ]);
    taken[200]![Symbol.dispose]();
    await bench.bind('wq0.0', 'dmaengine');
    expect(bench.wq().kernelPath!.handle).toBe(200);
  });

  test('D10 at its end a queue is drained and reset before its slot is masked, cleared and free', async () => {
    await using bench = await enabled(1, IMS);
    await bench.bind('wq0.0', 'dmaengine');
    bench.takeWire();
    await bench.unbind('wq0.0');
    const wire = bench.takeWire();
    const stopped = [...runs('0x80800001'), ...runs('0x80a00001')];
    expect(wire.slice(0, stopped.length)).toEqual(stopped);
    const slot = wire.slice(stopped.length);
    expect(slot.filter((line) => !line.includes('IMS[0]'))).toEqual([]);
    expect(slot.slice(0, 5)).toEqual([
      'w32 IMS[0]+0xc 0x1',
      'w32 IMS[0]+0x0 0x0',
      'w32 IMS[0]+0x4 0x0',
      'w32 IMS[0]+0x8 0x0',
      'r32 IMS[0]+0xc',
    ]);
    expect(slots(bench)).toBe(0);
  });

  test('the conditions of a queue are checked in the order of Linux, and cmd_status names the one that is not met', async () => {
    await using bench = await Bench.start();
    const bindsTo = async (status: string, why: string): Promise<void> => {
      await expect(bench.bind('wq0.1', 'dmaengine')).rejects.toThrow(why);
      expect(bench.read('dsa0', 'cmd_status')).toBe(status);
      await bench.write('dsa0', 'cmd_status', 0);
    };
    await bench.write('wq0.1', 'driver_name', 'dmaengine');
    await bench.configure(0, { size: 8 });
    await bench.write('dsa0', 'cmd_status', 0);
    await bindsTo('0x0', 'ENXIO: wq0.1: dsa0 is disabled: bind it to driver idxd first');
    await bench.bind('dsa0');
    await bindsTo('0x80030000', 'wq0.1 is in no group');
    await bench.write('wq0.1', 'group_id', 0);
    await bindsTo('0x80040000', 'wq0.1 has no name');
    await bench.write('wq0.1', 'name', 'x');
    await bindsTo('0x800e0000', 'wq0.1 has no entries');
  });

  test('an enabled queue is not enabled again, and a shared one not where nothing can use it', async () => {
    await using bench = await Bench.start();
    await bench.write('wq0.1', 'size', 8);
    await bench.configure(0, { ...DMAENGINE, size: 8 });
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'dmaengine');
    expect(() => enableWq(bench.wq())).toThrow('EBUSY: wq0.0: is enabled already');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80000021');
    const shared = { group_id: 1, mode: 'shared', type: 'kernel', name: 'n', ...DMAENGINE };
    for (const [name, value] of Object.entries(shared)) await bench.write('wq0.1', name, value);
    await expect(bench.bind('wq0.1', 'dmaengine')).rejects.toThrow('ENXIO: dsa0: wq0.1 is shared, for which there are no PASIDs');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80050000');
    await bench.unbind('dsa0');
    expect(() => enableWq(bench.wq())).toThrow('ENXIO: dsa0: wq0.0 not enabled: dsa0 is disabled');
  });

  test('D27 a queue of a device whose configuration is fixed works, and nothing is written to it', async () => {
    await using bench = await Bench.start({ profile: { readOnlyConfig: true } });
    for (const [name, value] of Object.entries({ type: 'kernel', name: 'n', ...DMAENGINE }))
      await bench.write('wq0.3', name, value);
    bench.takeWire();
    await bench.bind('wq0.3', 'dmaengine');
    expect(bench.takeWire()).toEqual(runs('0x80600003'));
    const channel = bench.system.get(DmaChannels, 'dma0chan3');
    expect((await channel.wait(channel.submit(channel.prepareInterrupt()))).status).toBe('complete');
    await bench.unbind('wq0.3');
    expect([bench.read('wq0.3', 'mode'), bench.read('wq0.3', 'size')]).toEqual(['dedicated', '16']);
  });

  test('D28 a queue is bound by the driver that it names, and by no other', async () => {
    await using bench = await enabled(1);
    await bench.write('wq0.0', 'driver_name', 'user');
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow("ENODEV: wq0.0: its driver_name is 'user', not dmaengine");
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80200000');
  });

  test('a shared queue needs a threshold, and then works with the PASID of the kernel in each descriptor', async () => {
    await using bench = await Bench.start(PASIDS);
    await bench.configure(0, { ...DMAENGINE, mode: 'shared' });
    await bench.bind('dsa0');
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow('wq0.0 is shared, and has no threshold');
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80060000');
    await bench.write('wq0.0', 'threshold', 4);
    bench.takeWire();
    await bench.bind('wq0.0', 'dmaengine');
    const { systemPasid } = bench.idxd;
    expect(systemPasid).toBeGreaterThan(0);
    // Only work of that address space may interrupt.
    expect(bench.takeWire()).toContain(`w32 MSIXPERM[1]+0x0 0x${((systemPasid! << 12) | 8).toString(16)}`);
    await bench.unbind('wq0.0');
    expect(bench.takeWire()).toContain('w32 MSIXPERM[1]+0x0 0x0');
  });

  test('C-144 its message is for its address space before it has a handler, and until it has none', async () => {
    await using bench = await enabled(1, PASIDS);
    await bench.bind('wq0.0', 'dmaengine');
    const { systemPasid } = bench.idxd;
    expect(bench.takeWire()).toContain(`w32 MSIXPERM[1]+0x0 0x${((systemPasid! << 12) | 8).toString(16)}`);
    const kept = ledger(bench, 'wq0.0').filter((label) => /^(irq|msix|queue \d)/.test(label));
    expect(kept).toEqual([expect.stringMatching(/^irq \d+$/), 'msix permission', 'queue 0']);
  });

  test.each([
    ['msix', 'as long as the table goes', {}, 1],
    ['ims', 'where the options say so', IMS, 3],
  ] as const)('completions interrupt by %s %s, through the portal that goes with it', async (kind, _when, options, page) => {
    await using lane = await Lane.open(options);
    const { bench, path } = lane;
    expect(path.vector.isIms).toBe(kind === 'ims');
    const from: number[] = [];
    const { portals } = bench.silicon;
    const store = portals.movdir64b.bind(portals);
    portals.movdir64b = (offset, words, at) => {
      from.push(offset);
      store(offset, words, at);
    };
    await lane.channel.wait(lane.copy());
    await lane.channel.wait(lane.copy());
    expect(from).toEqual([page * 0x1000, page * 0x1000 + 64]);
    const desc = bench.system.kernel.irqs.list().find(({ virq }) => virq === path.vector.virq)!;
    expect([desc.total, desc.chip.name]).toEqual([2, expect.stringContaining(kind === 'ims' ? 'IMS' : 'MSIX')]);
  });

  test('a queue beyond the table of messages has a slot of the message store by itself', async () => {
    await using bench = await enabled(4, { profile: { msixVectors: 3 } });
    for (const n of [0, 1, 2, 3]) await bench.bind(`wq0.${n}`, 'dmaengine');
    expect([0, 1, 2, 3].map((n) => ledger(bench, `wq0.${n}`).includes('ims slot'))).toEqual([false, false, true, true]);
    for (const [name, channel] of bench.system.list(DmaChannels)) {
      const { status, bytes } = await channel.wait(channel.submit(channel.prepareInterrupt()));
      expect([name, status, bytes]).toEqual([name, 'complete', 0]);
    }
  });

  test('where MSI-X is asked for, a queue beyond the table is refused, and says what to do', async () => {
    await using bench = await enabled(3, { profile: { msixVectors: 3 }, plugin: idxd({ interrupts: 'msix' }) });
    await expect(bench.bind('wq0.2', 'dmaengine')).rejects.toThrow(
      'ENXIO: wq0.2: needs MSI-X message 3, there are 3: let it use IMS',
    );
    expect(bench.read('dsa0', 'cmd_status')).toBe('0x80100000');
  });

  test('where there is no message store, a queue that is to use it is refused', async () => {
    await using bench = await enabled(1, { ...IMS, profile: { imsMult: 0 } });
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow(
      'ENXIO: wq0.0: dsa0 has no message store, or the platform no IMS',
    );
  });

  test('the handle that the device gives is in its descriptors, and is given back', async () => {
    await using bench = await enabled(2, { profile: { commandCap: 0x7ffe } });
    bench.takeWire();
    await bench.bind('wq0.1', 'dmaengine');
    expect(commandsOn(bench.takeWire())).toEqual(['w32 CMD 0x80600001', 'w32 CMD 0x80d00002']);
    expect(bench.wq(1).kernelPath!.handle).toBe(0x22);
    await bench.unbind('wq0.1');
    // By polling: nothing may sleep where it is done.
    expect(commandsOn(bench.takeWire())).toEqual(['w32 CMD 0x80800002', 'w32 CMD 0xe00022', 'w32 CMD 0x80a00002']);
  });

  test('a queue without a handle is disabled again, and keeps its configuration', async () => {
    await using bench = await enabled(1, { profile: { commandCap: 0x7ffe }, plugin: idxd({ interrupts: 'ims' }) });
    const { interrupts } = bench.silicon;
    interrupts.request = () => -1;
    await expect(bench.bind('wq0.0', 'dmaengine')).rejects.toThrow('ENXIO: wq0.0: no interrupt handle: the device says 0x41');
    expect([bench.read('dsa0', 'cmd_status'), ledger(bench, 'wq0.0'), slots(bench)]).toEqual(['0x80100000', [], 0]);
    expect(commandsOn(bench.takeWire()).at(-1)).toBe('w32 CMD 0x80700001');
    expect([bench.read('wq0.0', 'name'), bench.read('wq0.0', 'priority')]).toEqual(['test', '10']);
  });
});
