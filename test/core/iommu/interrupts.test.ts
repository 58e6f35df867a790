import { describe, expect, test } from 'vitest';
import { DeviceCore } from '../../../core/device/index.js';
import { devfn } from '../../../core/hal/index.js';
import { buildInterruptPlatform } from '../../../core/iommu/index.js';
import { IrqCore, Irqs, composeMsg, handleEdge, setHandler } from '../../../core/irq/index.js';
import { requestIrq } from '../../../core/irq/manage.js';
import { Machine, type MachineOptions } from '../../../hw/sim/index.js';
import { assign, scratch } from '../../hw/sim/fixture.js';
import { scene } from '../irq/platform.js';

const SLOT = 4;

/** A simulated machine of 4 CPUs with one device, and an interrupt of that device which is requested. */
function onMachine(interrupts: NonNullable<MachineOptions['interrupts']>, owner = devfn(SLOT, 0)) {
  const kind = scratch({ interruptPin: 'A' });
  const machine = new Machine({ clock: 'manual', cpus: 4, interrupts, devices: [{ at: '00:04.0', model: kind }] });
  assign(machine, 0, SLOT * 8, 0xc000_0000);
  const core = new IrqCore(new DeviceCore({ clock: machine.clock }), machine.interrupts);
  const platform = buildInterruptPlatform(core);
  machine.interrupts.attach(core.windows);
  const info = { kind: 'msix' as const, hwirq: 0, requesterId: owner, device: undefined, desc: undefined };
  const virq = (platform.msiParent ?? platform.root)!.allocIrqs(1, info);
  const desc = core.descs[virq]!;
  setHandler(desc, handleEdge, 'edge');
  const heard: number[] = [];
  requestIrq(core, undefined, virq, { hard: () => void heard.push(core.currentCpu) });
  /** The device sends the message of its interrupt. */
  const fire = (): void => {
    const { addressLo, data } = composeMsg(desc.data);
    kind.made[0]!.context.irq.post(addressLo, 0, data);
    core.windows.drain();
  };
  return { machine, core, platform, desc, heard, fire, irqs: new Irqs(core) };
}

describe('buildInterruptPlatform', () => {
  test('stacks remapping on vectors and lines on that', () => {
    const { root, msiParent, lines, matrix } = scene().platform;
    expect([root?.name, msiParent?.name, lines?.domain.name]).toEqual(['VECTOR', 'INTEL-IR', 'IR-IO-APIC']);
    expect([msiParent?.parent, lines?.domain.parent, matrix?.available]).toEqual([root, msiParent, 4 * 202]);
  });

  test('has no parent for messages where devices have lines alone, and lines stand on the vectors', () => {
    const { root, msiParent, lines } = scene({ platform: 'lines' }).platform;
    expect([msiParent, lines?.domain.parent, root?.msiParent]).toEqual([undefined, root, undefined]);
  });

  test('takes everything away again', () => {
    const s = scene();
    s.platform.lines?.lineIrq(3, 'low');
    s.platform.close();
    expect([s.core.domains.size, s.core.count, s.violations]).toEqual([0, 0, []]);
    s.hw.message(1, { addressLo: 0xfee0_0000, addressHi: 0, data: 0x20 });
    expect(s.platform.faults).toEqual([]);
  });
});

describe('buildInterruptPlatform on the simulated machine', () => {
  test.each(['remapped', 'virtual', 'plain'] as const)(
    '%s: a message comes, also after a move and after its CPU is gone',
    (kind) => {
      const { core, desc, heard, fire, irqs, platform, machine } = onMachine(kind);
      fire();
      irqs.setAffinity(desc.virq, [2]);
      fire();
      machine.elapse(2000);
      irqs.offline(2);
      fire();
      expect([heard, platform.matrix!.totalAllocated, core.unexpectedCount]).toEqual([[0, 2, 0], 1, 0]);
    },
  );

  test('remapped: what another device sends is refused', () => {
    const { heard, fire, platform } = onMachine('remapped', devfn(SLOT + 1, 0));
    fire();
    expect([heard, platform.faults]).toMatchObject([[], [{ requesterId: devfn(SLOT, 0), reason: 'wrong requester' }]]);
  });

  test.each(['remapped', 'none'] as const)('%s: a line is heard while it is asserted', (kind) => {
    const { core, machine, platform } = onMachine(kind);
    const virq = platform.lines!.lineIrq(20, 'low');
    let left = 2;
    requestIrq(core, undefined, virq, { hard: () => void (--left === 0 && machine.interrupts.lines.drive(20, false)) });
    machine.interrupts.lines.drive(20, true);
    core.windows.drain();
    expect([left, core.descs[virq]!.total, core.unexpectedCount]).toEqual([0, 2, 0]);
  });
});
