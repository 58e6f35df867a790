import { describe, expect, test } from 'vitest';
import {
  DUMMY_IRQ_CHIP,
  type IrqChip,
  IrqDomain,
  formatInterrupts,
  handleEdge,
  interruptTable,
  setChip,
} from '../../../core/irq/index.js';
import * as S from '../../../core/irq/state.js';
import { type Scene, request, scene } from './platform.js';

/** An interrupt of its own domain, on a chip of this name, with handlers of these names. */
function wired({ core, ...rest }: Scene, virq: number, hwirq: number, chip: string | IrqChip, ...handlers: string[]) {
  core.allocDescAt(virq);
  const desc = core.descs[virq]!;
  setChip(desc, typeof chip === 'string' ? { ...DUMMY_IRQ_CHIP, name: chip } : chip, handleEdge, 'edge');
  desc.data.domain = new IrqDomain(core, { name: desc.chip.name, ops: {} });
  desc.data.hwirq = hwirq;
  for (const name of handlers) request({ core, ...rest }, desc, [], { name, shared: true, trigger: 'rising' });
  return desc;
}

/** Two CPUs, and the portal of an accelerator that has interrupted CPU 0 five times. */
function portal(): Scene {
  const one = scene({ cpus: 2 });
  const desc = wired(one, 30, 3, 'IR-PCI-IDXD-0000:6a:01.0', 'idxd-portal');
  for (let n = 0; n < 5; n++) desc.countOne(0);
  return one;
}

describe('/proc/interrupts', () => {
  test('C-156 in the layout of 6.12', () => {
    const [heading, line] = formatInterrupts(portal().core, '6.12').split('\n');
    expect(heading).toBe('           CPU0       CPU1       ');
    expect(line).toBe(' 30:          5          0  IR-PCI-IDXD-0000:6a:01.0   3-edge      idxd-portal');
  });

  test('C-156 pads a short chip name on its left', () => {
    const one = scene({ cpus: 1 });
    wired(one, 1, 1, 'IO-APIC', 'i8042');
    expect(formatInterrupts(one.core, '6.12').split('\n')[1]).toBe('  1:          0   IO-APIC   1-edge      i8042');
  });

  test('C-157 in the layout of 7.2, which is the default', () => {
    const { core } = portal();
    expect(formatInterrupts(core)).toBe(
      '            CPU0       CPU1       \n' +
        '  30:          5          0  IR-PCI-IDXD-0000:6a:01.0    3-edge      idxd-portal\n',
    );
    expect(formatInterrupts(core, '7.2')).toBe(formatInterrupts(core));
  });

  test('C-157 lines up chip names with the widest, at least 8, and joins the handlers of a line', () => {
    const one = scene({ cpus: 1 });
    wired(one, 1, 1, 'PIC', 'a', 'b');
    expect(formatInterrupts(one.core).split('\n')[1]).toBe('   1:          0  PIC         1-edge      a, b');
    wired(one, 9, 9, 'A-LONGER-NAME', 'c');
    expect(formatInterrupts(one.core).split('\n').slice(1, 3)).toEqual([
      '   1:          0  PIC              1-edge      a, b',
      '   9:          0  A-LONGER-NAME    9-edge      c',
    ]);
  });

  test('C-157 leaves out what has no handler, is hidden or is chained', () => {
    const one = scene();
    wired(one, 40, 0, 'X');
    wired(one, 41, 1, 'X', 'hidden').settings |= S.HIDDEN;
    wired(one, 42, 2, 'X', 'chained').settings |= S.CHAINED;
    wired(one, 43, 3, 'X', 'seen');
    expect(interruptTable(one.core).interrupts.map(({ virq }) => virq)).toEqual([43]);
  });

  test('has a column for each CPU that is online', () => {
    const one = scene({ cpus: 4 });
    const desc = wired(one, 50, 0, 'X', 'x');
    desc.countOne(1);
    desc.countOne(3);
    one.core.cpus.online = one.core.cpus.online.minus(1);
    expect(interruptTable(one.core)).toMatchObject({ cpus: [0, 2, 3], interrupts: [{ counts: [0, 0, 1] }] });
    expect(formatInterrupts(one.core).split('\n')[0]!.trimEnd()).toMatch(/^ +CPU0 +CPU2 +CPU3$/);
  });

  test('grows with the numbers of interrupts', () => {
    const one = scene({ cpus: 1 });
    wired(one, 12_345, 7, 'X', 'x');
    const [heading, line] = formatInterrupts(one.core, '6.12').split('\n');
    expect(line).toBe('12345:          0         X     7-edge      x');
    expect(heading!.indexOf('CPU0') + 4).toBe(line!.indexOf('0 ') + 1);
  });

  test('shows a chip as it prints itself, and no number where there is no domain', () => {
    const one = scene({ cpus: 1 });
    const desc = wired(one, 60, 5, { ...DUMMY_IRQ_CHIP, printChip: ({ hwirq }) => `PIN${hwirq}` }, 'x');
    desc.data.domain = undefined;
    desc.flowName = '';
    expect(interruptTable(one.core).interrupts).toMatchObject([{ chip: 'PIN5', hwirq: undefined, flow: '' }]);
    expect(formatInterrupts(one.core).split('\n')[1]).toBe('  60:          0  PIN5           x');
  });
});
