import { describe, expect, test } from 'vitest';
import { type Host, type InterruptEntry, composeCompat, composeRemappable, packIrte } from '../../../core/hal/index.js';
import { type DeviceSpec, Machine, type MachineOptions } from '../../../hw/sim/index.js';
import { type ScratchKind, assign, openBridge, platformScratch, scratch } from './fixture.js';

const BAR = 0xc000_0000;

/** One device at 00:04.0, switched on; `post` sends from it. */
function setUp(options: MachineOptions = {}): {
  machine: Machine;
  kind: ScratchKind;
  post: (lo: number, data: number) => boolean;
} {
  const kind = scratch({ interruptPin: 'A' });
  const machine = new Machine({ clock: 'manual', cpus: 4, devices: [{ at: '00:04.0', model: kind }], ...options });
  assign(machine, 0, 0x20, BAR);
  return { machine, kind, post: (lo, data) => kind.made[0]!.context.irq.post(lo, 0, data) };
}

/** What the CPUs take, as `cpu:vector`, with nobody attached. */
function taken({ interrupts }: Machine): string[] {
  const all: string[] = [];
  for (let cpu = interrupts.nextCpu(); cpu >= 0; cpu = interrupts.nextCpu()) {
    all.push(`${cpu}:${interrupts.take(cpu)}`);
    interrupts.eoi(cpu);
  }
  return all;
}

function entry(calls: string[], onInterrupt: (cpu: number, vector: number) => void = () => {}): InterruptEntry {
  return {
    pending: () => void calls.push('pending'),
    drain() {},
    interrupt(cpu, vector) {
      calls.push(`${cpu}:${vector}`);
      onInterrupt(cpu, vector);
    },
  };
}

describe('platforms', () => {
  test.each([
    ['remapped', { msi: true, unit: true, isVirtual: false }],
    ['plain', { msi: true, unit: false, isVirtual: undefined }],
    ['virtual', { msi: true, unit: true, isVirtual: true }],
    ['none', { msi: false, unit: false, isVirtual: undefined }],
  ] as const)('%s has what it says', (interrupts, expected) => {
    const host: Host = new Machine({ interrupts });
    const { messages, lines } = host.interrupts!;
    if (messages.kind !== 'apic') throw new Error('not an APIC');
    const { msi, remapping } = messages;
    expect({ msi, unit: remapping !== undefined, isVirtual: remapping?.isVirtual }).toEqual(expected);
    expect(lines?.count).toBe(24);
  });

  test('the default is one CPU, on one node, with remapping', () => {
    const { interrupts } = new Machine();
    expect([interrupts.cpus, interrupts.node(0), interrupts.messages.remapping?.entries]).toEqual([1, 0, 65_536]);
  });

  test.each<[MachineOptions, string]>([
    [{ cpus: 0 }, 'ERANGE: sim: cpus is 0, must be an integer of 1 to 1024'],
    [{ cpus: 1025 }, 'ERANGE: sim: cpus is 1025'],
    [{ cpus: 2, nodes: 3 }, 'ERANGE: sim: nodes is 3, must be an integer of 1 to 2'],
    [{ lines: 23 }, 'ERANGE: sim: lines is 23, must be an integer of 24 to 240'],
    [{ interrupts: 'msi' as never }, 'EINVAL: sim: interrupts are msi, must be remapped, plain, virtual or none'],
    [
      { devices: [{ at: 0xfed0_0000, model: platformScratch(), line: 24 }] },
      'ERANGE: 0xfed00000: line is 24, must be an integer of 0 to 23',
    ],
  ])('%# throws', (options, message) => {
    expect(() => new Machine(options)).toThrow(message);
  });

  test('nodes have equal shares of the CPUs, in order', () => {
    const { interrupts } = new Machine({ cpus: 10, nodes: 4 });
    expect(Array.from({ length: 10 }, (_, cpu) => interrupts.node(cpu))).toEqual([0, 0, 0, 1, 1, 2, 2, 2, 3, 3]);
    expect(() => interrupts.node(10)).toThrow(/^ERANGE: sim: cpu is 10/);
  });
});

describe('a message without remapping', () => {
  test('reaches the CPU it names, or all', () => {
    const { machine, post } = setUp({ interrupts: 'plain' });
    const { addressLo, data } = composeCompat(2, 0x31);
    expect(post(addressLo, data)).toBe(true);
    expect(taken(machine)).toEqual(['2:49']);
    post(composeCompat(0xff, 0x31).addressLo, 0x32);
    post(composeCompat(0b0101, 0x31, { logical: true }).addressLo, 0x33);
    expect(taken(machine)).toEqual(['0:51', '0:50', '1:50', '2:51', '2:50', '3:50']);
  });

  test('carries 15 bits of id where a hypervisor allows it, and then 255 is one CPU', () => {
    const { machine, post } = setUp({ interrupts: 'plain', extendedIds: true, cpus: 300 });
    for (const cpu of [255, 299]) post(composeCompat(cpu, 0x31, { extended: true }).addressLo, 0x31);
    expect([machine.interrupts.messages.extendedIds, taken(machine)]).toEqual([true, ['255:49', '299:49']]);
  });

  test('for a CPU that is not there is an error of software', () => {
    const { machine, post } = setUp({ interrupts: 'plain' });
    post(composeCompat(9, 0x31).addressLo, 0x31);
    expect(machine.guestErrors).toMatchObject([{ who: 'cpu9' }]);
  });

  test('a device of a machine without messages reaches nothing', () => {
    const { machine, post } = setUp({ interrupts: 'none' });
    expect(post(0xfee0_0000, 0x31)).toBe(false);
    expect(machine.dmaFaults).toMatchObject([{ kind: 'message', reason: 'unmapped', address: 0xfee0_0000 }]);
    expect(machine.interrupts.nextCpu()).toBe(-1);
  });
});

describe('requester ids', () => {
  const senderOf = (machine: Machine, send: () => void): number | undefined => {
    send();
    return machine.remapFaults.at(-1)?.requesterId;
  };

  test('a function has that of its bus and place, as software numbers the buses now', () => {
    const [kind, own] = [scratch(), scratch()];
    const devices: DeviceSpec[] = [
      { at: '00:05.0', model: own },
      { at: '00:05.3', model: own },
      { at: '00:1c.0', bridge: {}, children: [{ at: '00.0', model: kind }] },
    ];
    const machine = new Machine({ devices });
    for (const devfn of [0x28, 0x2b]) assign(machine, 0, devfn, BAR + devfn * 0x1000);
    const forge = (context: { irq: { post(lo: number, hi: number, data: number): boolean } }) => () =>
      void context.irq.post(0xfee0_0000, 0, 0x31);
    expect(own.made.map(({ context }) => senderOf(machine, forge(context)))).toEqual([0x28, 0x2b]);
    for (const bus of [1, 7]) {
      openBridge(machine, 0xe0, bus, BAR, BAR);
      assign(machine, bus, 0, BAR);
      expect(senderOf(machine, forge(kind.made[0]!.context))).toBe(bus << 8);
    }
  });

  test('another root has its own bus numbers', () => {
    const kind = scratch();
    const roots = [{ lastBus: 0x5f }, { firstBus: 0x60 }];
    const machine = new Machine({ roots, devices: [{ at: '60:01.0', model: kind }] });
    machine.pci[1]!.config(0x60, 8).write16(0x04, 0x6);
    expect(senderOf(machine, () => void kind.made[0]!.context.irq.post(0xfee0_0000, 0, 0x31))).toBe(0x6008);
  });

  test('platform devices have ff:00.0 and up, and the machine tells', () => {
    const model = platformScratch();
    const devices = [0, 1, 2].map((i) => ({ at: 0xfed0_0000 + i * 0x1000, model }));
    const machine = new Machine({ devices });
    expect(devices.map(({ at }) => machine.requesterId(at))).toEqual([0xff00, 0xff01, 0xff02]);
    expect(machine.requesterId(0xfed0_0004)).toBeUndefined();
    expect(senderOf(machine, () => void model.made[2]!.context.irq.post(0xfee0_0000, 0, 0x31))).toBe(0xff02);
  });

  test('bus master is asked at each message', () => {
    const { machine, post } = setUp();
    const config = machine.pci[0]!.config(0, 0x20);
    const sent = [0x6, 0x2, 0x6].map((command) => {
      config.write16(0x04, command);
      return post(0xfee0_0000, 0x31);
    });
    expect(sent).toEqual([true, false, true]);
  });
});

describe('a forged message', () => {
  test('of another device does not get through an entry, and is recorded', () => {
    const { machine, post } = setUp();
    const words = new Uint32Array(4);
    packIrte({ posted: false, vector: 0x31, destination: 1, sourceId: 0x28, check: 'all' }, words);
    machine.interrupts.messages.remapping!.write(3, words);
    const { addressLo, data } = composeRemappable(3, 0);
    expect([post(addressLo, data), taken(machine)]).toEqual([true, []]);
    expect(machine.remapFaults).toMatchObject([{ requesterId: 0x20, index: 3, reason: 'wrong requester' }]);
  });
});

describe('lines', () => {
  /** Every line that is asserted. */
  const asserted = ({ interrupts: { lines } }: Machine): number[] =>
    Array.from({ length: lines.count }, (_, line) => line).filter((line) => lines.isAsserted(line));

  test('a pin on the root bus asserts the line that the root tells', () => {
    const { machine, kind } = setUp();
    const { irq } = kind.made[0]!.context;
    irq.intx(true);
    expect([asserted(machine), machine.pci[0]!.irqLine(0x20, 1)]).toEqual([[20], 20]);
    irq.intx(false);
    expect(asserted(machine)).toEqual([]);
    expect([machine.pci[0]!.irqLine(0x28, 1), machine.pci[0]!.irqLine(0x20, 0)]).toEqual([21, undefined]);
  });

  test('each bridge on the way up turns the pins', () => {
    const [a, b] = [scratch({ interruptPin: 'A' }), scratch({ interruptPin: 'B' })];
    const machine = new Machine({
      devices: [
        {
          at: '00:03.0',
          bridge: { type: 'to-pci' },
          children: [
            { at: '02.0', model: a },
            { at: '05.0', bridge: { type: 'to-pci' }, children: [{ at: '06.0', model: b }] },
          ],
        },
      ],
    });
    // Pin A of device 2 is C above; C of slot 3 is line 20 + (3 + 2) mod 4.
    a.made[0]!.context.irq.intx(true);
    expect(asserted(machine)).toEqual([21]);
    a.made[0]!.context.irq.intx(false);
    // Pin B of device 6 is D, and that of device 5 is A; A of slot 3 is line 23.
    b.made[0]!.context.irq.intx(true);
    expect(asserted(machine)).toEqual([23]);
  });

  test('devices share a line, and pulling one out lowers what it asserts alone', () => {
    const [a, b] = [scratch({ interruptPin: 'A' }), scratch({ interruptPin: 'A' })];
    const machine = new Machine({
      devices: [
        { at: '00:04.0', model: a },
        { at: '00:08.0', model: b },
      ],
    });
    for (const { made } of [a, b]) made[0]!.context.irq.intx(true);
    machine.yank('00:04.0');
    expect(asserted(machine)).toEqual([20]);
    a.made[0]!.context.irq.intx(true);
    a.made[0]!.context.irq.intx(false);
    expect(asserted(machine)).toEqual([20]);
    machine.yank('00:08.0');
    expect(asserted(machine)).toEqual([]);
  });

  test('a platform device asserts the line it was given', () => {
    const model = platformScratch();
    const machine = new Machine({ devices: [{ at: 0xfed0_0000, model, line: 3 }] });
    model.made[0]!.context.irq.intx(true);
    expect(asserted(machine)).toEqual([3]);
  });

  test('the message of a line passes the remapping unit like any other', () => {
    const { machine, kind } = setUp();
    const { lines, messages } = machine.interrupts;
    const words = new Uint32Array(4);
    packIrte({ posted: false, vector: 0x41, destination: 3, level: true, sourceId: lines.requesterId, check: 'all' }, words);
    messages.remapping!.write(0, words);
    lines.route(20, composeRemappable(0, 0), true);
    lines.setMask(20, false);
    kind.made[0]!.context.irq.intx(true);
    expect(taken(machine)).toEqual(['3:65']);
    lines.eoi(20);
    expect(taken(machine)).toEqual(['3:65']);
    lines.route(20, composeCompat(3, 0x41), true);
    lines.eoi(20);
    expect([taken(machine), machine.remapFaults.length]).toEqual([[], 1]);
  });

  test('they work on a machine whose devices send no messages', () => {
    const { machine, kind } = setUp({ interrupts: 'none' });
    const { lines } = machine.interrupts;
    lines.route(20, composeCompat(1, 0x41), true);
    lines.setMask(20, false);
    kind.made[0]!.context.irq.intx(true);
    expect(taken(machine)).toEqual(['1:65']);
  });
});

describe('CPUs', () => {
  test('software raises a vector on any of them', () => {
    const { interrupts } = new Machine({ cpus: 2 });
    interrupts.send(1, 0xfd);
    expect([interrupts.isPending(1, 0xfd), interrupts.isPending(0, 0xfd)]).toEqual([true, false]);
    expect([interrupts.nextCpu(), interrupts.take(1), interrupts.isPending(1, 0xfd)]).toEqual([1, 0xfd, false]);
    for (const [cpu, vector] of [
      [2, 0xfd],
      [-1, 0xfd],
      [0, 256],
    ] as const) {
      expect(() => interrupts.send(cpu, vector)).toThrow(/^ERANGE: sim: /);
    }
  });

  test('onCpu runs code as another, and gives what it gives', () => {
    const machine = new Machine({ cpus: 4 });
    const seen = machine.onCpu(2, () => [machine.interrupts.currentCpu, machine.onCpu(3, () => machine.interrupts.currentCpu)]);
    expect([seen, machine.interrupts.currentCpu]).toEqual([[2, 3], 0]);
    const boom = (): never => {
      throw new Error('boom');
    };
    expect(() => machine.onCpu(1, boom)).toThrow('boom');
    expect(machine.interrupts.currentCpu).toBe(0);
    machine.interrupts.setOnline(3, false);
    expect(() => machine.onCpu(3, boom)).toThrow('EINVAL: cpu3: is offline');
    expect(() => machine.onCpu(4, boom)).toThrow(/^ERANGE/);
  });
});

describe('deliverNested', () => {
  function setUpNested(inHandler: (machine: Machine, cpu: number) => void = () => {}): { machine: Machine; calls: string[] } {
    const machine = new Machine({ cpus: 3 });
    const { interrupts } = machine;
    const calls: string[] = [];
    interrupts.attach(
      entry(calls, (cpu) => {
        expect(interrupts.currentCpu).toBe(cpu);
        inHandler(machine, cpu);
        interrupts.eoi(cpu);
        calls.push(`end ${cpu}`);
      }),
    );
    return { machine, calls };
  }

  test('another CPU takes a vector while this one is in the middle of a handler', () => {
    const { machine, calls } = setUpNested((one, cpu) => {
      if (cpu === 1) one.deliverNested(2, 0x41);
    });
    machine.interrupts.send(1, 0x31);
    machine.interrupts.send(2, 0x41);
    machine.deliverNested(1, 0x31);
    expect(calls).toEqual(['pending', '1:49', '2:65', 'end 2', 'end 1']);
    expect([machine.interrupts.currentCpu, machine.interrupts.nextCpu()]).toEqual([0, -1]);
  });

  test('a CPU that stands still meanwhile takes nothing', () => {
    const { machine, calls } = setUpNested((one) => {
      one.interrupts.send(0, 0x51);
      expect(() => one.deliverNested(0, 0x51)).toThrow('EBUSY: cpu0: is in the middle of a synchronous section');
    });
    machine.interrupts.send(1, 0x31);
    machine.deliverNested(1, 0x31);
    expect([calls, machine.interrupts.isPending(0, 0x51)]).toEqual([['pending', '1:49', 'end 1'], true]);
  });

  test('what a handler throws comes out, and this CPU goes on', () => {
    const { machine } = setUpNested(() => {
      throw new Error('boom');
    });
    machine.interrupts.send(1, 0x31);
    expect(() => machine.deliverNested(1, 0x31)).toThrow('boom');
    expect(machine.interrupts.currentCpu).toBe(0);
  });

  test('throws when the vector is not pending', () => {
    const { machine, calls } = setUpNested();
    machine.interrupts.send(1, 0x32);
    expect(() => machine.deliverNested(1, 0x31)).toThrow('EINVAL: cpu1: vector 49 is not pending');
    expect(calls).toEqual(['pending']);
  });

  test.each<[string, (machine: Machine) => void, number, string]>([
    ['nobody takes interrupts', (one) => one.interrupts.attach(undefined), 1, 'EINVAL: cpu1: nobody takes interrupts'],
    [
      'this CPU is asked',
      ({ interrupts }) => interrupts.send(0, 0x31),
      0,
      'EBUSY: cpu0: is in the middle of a synchronous section',
    ],
    ['a higher one is pending', ({ interrupts }) => interrupts.send(1, 0x32), 1, 'EBUSY: cpu1: vector 50 is taken before 49'],
    ['there is no such CPU', () => {}, 3, 'ERANGE: sim: cpu is 3'],
    [
      'that CPU is in a handler',
      ({ interrupts }) => {
        interrupts.send(1, 0x21);
        interrupts.take(1);
      },
      1,
      'EBUSY: cpu1: is in a handler, where interrupts are off',
    ],
  ])('throws when %s', (_what, prepare, cpu, message) => {
    const { machine, calls } = setUpNested();
    prepare(machine);
    machine.interrupts.send(1, 0x31);
    expect(() => machine.deliverNested(cpu, 0x31)).toThrow(message);
    expect(calls.filter((call) => call !== 'pending')).toEqual([]);
  });
});
