import { describe, expect, test } from 'vitest';
import { LocalTarget } from '../../cli/local.js';
import { COMMANDS } from '../../cli/table.js';
import { IrqDomain } from '../../core/irq/index.js';
import { Timers } from '../../drivers/timer/api.js';
import { timer as timerCard } from '../../hw/models/timer.js';
import { type HostSim, type HostSimOptions, hostSim } from '../../plugins/host-sim.js';
import timer from '../../plugins/timer.js';
import { Tape } from './fixture.js';

const AT = '0000:00:04.0';

/** A machine of two CPUs with a card of two timers, and the commands that look at its interrupts. */
class Fixture implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly target: LocalTarget,
  ) {}

  static async make(options: HostSimOptions = {}): Promise<Fixture> {
    const sim = hostSim({ cpus: 2, devices: [{ at: '00:04.0', model: timerCard({ timers: 2 }) }], ...options });
    return new Fixture(sim, await LocalTarget.start({ plugins: [{ plugin: sim.plugin }, { plugin: timer }] }, COMMANDS.system));
  }

  get core() {
    return this.target.system.kernel.irqs.core;
  }

  /** Starts the timers with these periods. */
  start(...periodsUs: readonly number[]): void {
    const timers = this.target.system.list(Timers);
    for (const [i, us] of periodsUs.entries()) timers[i]![1].start(us, () => {});
  }

  async run(line: string, tape = new Tape()): Promise<Tape & { code: number }> {
    const code = await this.target.run(line.split(' '), { io: tape, cwd: '/', signal: new AbortController().signal });
    return Object.assign(tape, { code });
  }

  /** What a command prints. */
  async text(line: string, tape = new Tape()): Promise<string> {
    const { code, text, errors } = await this.run(line, tape);
    if (code !== 0 || errors !== '') throw new Error(`${line}: exit code ${code}: ${errors}`);
    return text;
  }

  /** The value that a command gives. */
  async json(line: string): Promise<unknown> {
    return JSON.parse(await this.text(line, new Tape(true)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.target.close(new Tape());
  }
}

describe('interrupts', () => {
  test('prints what /proc/interrupts does', async () => {
    await using one = await Fixture.make();
    one.start(1_000, 400);
    one.sim.elapse(2_000);
    expect(await one.text('interrupts')).toBe(
      '            CPU0       CPU1       \n' +
        `  24:          2          0  IR-IMS-${AT}    0-edge      timer0\n` +
        `  25:          0          5  IR-IMS-${AT}    1-edge      timer1\n`,
    );
    expect(await one.text('interrupts --layout 6.12')).toContain(
      ` 24:          2          0  IR-IMS-${AT}   0-edge      timer0\n`,
    );
    expect(await one.json('interrupts')).toEqual({
      cpus: [0, 1],
      interrupts: [
        { virq: 24, counts: [2, 0], chip: `IR-IMS-${AT}`, hwirq: 0, flow: 'edge', handlers: ['timer0'] },
        { virq: 25, counts: [0, 5], chip: `IR-IMS-${AT}`, hwirq: 1, flow: 'edge', handlers: ['timer1'] },
      ],
    });
  });
  test('knows two layouts', async () => {
    await using one = await Fixture.make();
    expect(await one.run('interrupts --layout 5.4')).toMatchObject({
      code: 2,
      errors: "backplane interrupts: --layout is 6.12 or 7.2, got '5.4'\n",
    });
  });
});

describe('irqs', () => {
  test('lists all interrupts, or one', async () => {
    await using one = await Fixture.make();
    one.core.allocDescAt(100);
    expect(await one.text('irqs')).toBe(
      'IRQ  DEVICE        CHIP                 HWIRQ   CPU  COUNT  USERS   STATE\n' +
        `24   ${AT}  IR-IMS-${AT}  0-edge  0    0      timer0  started\n` +
        `25   ${AT}  IR-IMS-${AT}  1-edge  1    0      timer1  started\n` +
        '100  -             none                 -       -    0      -       disabled, masked\n',
    );
    expect((await one.text('irqs 25')).split('\n')).toHaveLength(3);
    one.core.freeDescs(100, 1);
  });
  test('shows one from its device to its CPU', async () => {
    await using one = await Fixture.make();
    one.start(1_000);
    one.sim.elapse(3_000);
    expect(await one.text('irqs 24 --domains')).toMatch(
      new RegExp(
        `^irq 24: timer0 of ${AT}\n` +
          '  state     edge, activated, started; came 3 times\n' +
          '  affinity  CPUs 0-1, now 0\n' +
          '  message   slot 0, not masked.*: data 0x0 to 0xfee000[0-9a-f]+, remapping entry \\d+\n' +
          `  domains   IR-IMS-${AT}  hwirq 0.*\n` +
          '            INTEL-IR             hwirq \\S+\n' +
          '            VECTOR, chip APIC    hwirq 24 +vector 0x20 of CPU 0\n$',
      ),
    );
    expect(await one.json('irqs 24 --domains')).toMatchObject([
      {
        virq: 24,
        device: AT,
        slot: { index: 0, masked: false },
        message: { addressHi: 0, data: 0, meaning: { format: 'remappable' } },
        levels: [{ domain: `IR-IMS-${AT}` }, { domain: 'INTEL-IR' }, { domain: 'VECTOR', chip: 'APIC' }],
        vectors: [{ cpu: 0, vector: 0x20 }],
      },
    ]);
  });
  test('takes a message to an APIC apart', async () => {
    await using one = await Fixture.make({ interrupts: 'plain' });
    one.core.allocDescAt(50);
    one.core.descs[50]!.msi = { index: 2, virq: 50, count: 1, msg: { addressLo: 0xfee0_1000, addressHi: 0, data: 0x31 } };
    expect(await one.text('irqs 50 --domains')).toContain(
      '  affinity  CPUs 0-1, now none\n' +
        '  message   slot 2, masked: data 0x31 to 0xfee01000, APIC id 1, vector 0x31, fixed, edge\n',
    );
    one.core.freeDescs(50, 1);
  });
  test('knows no interrupt that is not there', async () => {
    await using one = await Fixture.make();
    expect(await one.run('irqs 99')).toMatchObject({ code: 1, errors: 'backplane irqs: ENOENT: irq 99: no such interrupt\n' });
    expect(await one.run('irqs x')).toMatchObject({ code: 2, errors: expect.stringContaining("got 'x'") });
  });
  test('are completed by number', async () => {
    await using one = await Fixture.make();
    const tape = new Tape();
    await one.target.run(['complete', '--', 'irqs', '2'], { io: tape, cwd: '/', signal: new AbortController().signal });
    expect(tape.text).toBe('24\n25\n');
  });
});

describe('vectors', () => {
  test('shows whose the vectors of each CPU are', async () => {
    await using one = await Fixture.make();
    expect(await one.text('vectors')).toBe(
      'CPU  FREE  USED  MANAGED  VECTOR=IRQ\n' +
        '  0   201     1        -  0x20=24\n' +
        '  1   201     1        -  0x20=25\n' +
        'in all: 402 free, 2 used, 0 reserved; 0 came for nobody\n' +
        'of the system on every CPU: 0x80\n',
    );
    expect(await one.json('vectors')).toMatchObject({
      cpus: [{ cpu: 0, online: true, vectors: [{ vector: 0x20, virq: 24 }], counts: { allocated: 1 } }, { cpu: 1 }],
      totals: { available: 402, allocated: 2, reserved: 0, system: [0x80] },
      unexpected: 0,
    });
  });
  test('folds CPUs that have none, interrupts in a row, and lines of more than 80 columns', async () => {
    await using one = await Fixture.make({ cpus: 300, devices: [{ at: '00:04.0', model: timerCard({ timers: 1 }) }] });
    const { core } = one;
    for (let vector = 0x30; vector < 0x40; vector++) core.setVector(299, vector, core.descs[24]);
    const [, first, idle, ...rest] = (await one.text('vectors')).trimEnd().split('\n');
    expect([first, idle]).toEqual(['    0   201     1        -  0x20=24', '1-298   202     0        -']);
    const [line, ...folded] = rest.slice(0, -2);
    expect(folded.length).toBeGreaterThan(0);
    for (const one of rest) expect(one.length).toBeLessThanOrEqual(80);
    expect(folded[0]).toMatch(/^ {28}0x/);
    expect([line, ...folded].join(' ').match(/0x3.=24/g)).toHaveLength(16);
    for (let vector = 0x30; vector < 0x40; vector++) core.setVector(299, vector, undefined);
  });
  test("shows the accounts as Linux's debugfs does", async () => {
    await using one = await Fixture.make();
    expect(await one.text('vectors --matrix')).toBe(
      'Online bitmaps:        2\n' +
        'Global available:    402\n' +
        'Global reserved:       0\n' +
        'Total allocated:       2\n' +
        'System: 1: 128\n' +
        ' | CPU | avl | man | mac | act | vectors\n' +
        '     0   201     0     0    1  32\n' +
        '     1   201     0     0    1  32\n',
    );
  });
});

describe('graph', () => {
  test('is a tree from the CPUs to the devices', async () => {
    await using one = await Fixture.make();
    expect(await one.text('graph')).toBe(
      'VECTOR  chip APIC, 2 interrupts, hwirq 24-25 = irq 24-25\n' +
        '└── INTEL-IR  2 interrupts, irq 24-25\n' +
        '    ├── IR-IO-APIC  no interrupts\n' +
        `    └── IR-IMS-${AT}  2 interrupts, hwirq 0-1 = irq 24-25\n`,
    );
    expect(await one.json('graph')).toMatchObject([
      { name: 'VECTOR', children: [{ name: 'INTEL-IR', children: [{}, { name: `IR-IMS-${AT}`, device: AT, interrupts: 2 }] }] },
    ]);
  });
  test('quotes names as Graphviz and Mermaid want them', async () => {
    await using one = await Fixture.make();
    const odd = new IrqDomain(one.core, { name: 'a "b" \\ <c>', ops: {} });
    const dot = await one.text('graph --dot');
    expect(dot).toMatch(/^digraph interrupts \{\n {2}node \[shape=box\];\n {2}d0 \[label="VECTOR\\nchip APIC\\n/);
    expect(dot).toContain('\n  d0 -> d1;\n');
    expect(dot).toContain(`\n  d3 [label="IR-IMS-${AT}\\n2 interrupts\\nhwirq 0-1 = irq 24-25"];\n  d1 -> d3;\n`);
    expect(dot).toContain(String.raw`  d4 [label="a \"b\" \\ <c>\nno interrupts"];` + '\n}\n');
    const mermaid = await one.text('graph --mermaid');
    expect(mermaid).toMatch(/^flowchart TD\n {2}d0\["VECTOR<br\/>chip APIC<br\/>/);
    expect(mermaid).toContain('\n  d0 --> d1\n');
    expect(mermaid).toMatch(/ {2}d4\["a #34;b#34; \\ #60;c#62;<br\/>no interrupts"\]\n$/);
    odd.remove();
  });
  test('is drawn one way at a time', async () => {
    await using one = await Fixture.make();
    expect(await one.run('graph --dot --mermaid')).toMatchObject({ code: 2, text: '' });
  });
});

/** What `irqtop` gives each time. */
interface Look {
  readonly nowUs: number;
  readonly deltaUs: number;
  readonly delta: number;
}

describe('irqtop', () => {
  test('counts what came since the last look, the busiest first', async () => {
    await using one = await Fixture.make();
    one.start(1_000, 400);
    one.sim.elapse(2_000);
    const [first, last] = (await one.text('irqtop -n 2 -d 0')).split('\n\n');
    expect(first).toBe(
      'irqtop | now 2000 us, 2000 us since the last look | total: 7 delta: 7\n' +
        '  IRQ      TOTAL    DELTA    RATE/s  NAME\n' +
        `   25          5        5      2500  IR-IMS-${AT} 1-edge  timer1\n` +
        `   24          2        2      1000  IR-IMS-${AT} 0-edge  timer0`,
    );
    expect(last).toMatch(/^irqtop \| now 2000 us, 0 us since the last look \| total: 7 delta: 0\n/);
    expect(last).toContain('   25          5        0         -  ');
  });
  test('goes on until it is interrupted, a value a line, and lets other commands through', async () => {
    await using one = await Fixture.make();
    one.start(1_000);
    const stop = new AbortController();
    const tape = new Tape(true);
    const looks = (): Look[] =>
      tape.text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Look);
    const run = one.target.run(['irqtop', '-d', '1'], { io: tape, cwd: '/', signal: stop.signal });
    await expect.poll(() => looks().length).toBeGreaterThan(1);
    await one.text('elapse 4500');
    await expect.poll(() => looks().at(-1)!.nowUs).toBe(4_500);
    stop.abort();
    await run;
    const end = looks();
    expect(end[0]).toEqual({ nowUs: 0, deltaUs: 0, total: 0, delta: 0, interrupts: [] });
    // A look may have come while time passed.
    expect(end.reduce((sum, { delta }) => sum + delta, 0)).toBe(4);
    expect(end.reduce((sum, { deltaUs }) => sum + deltaUs, 0)).toBe(4_500);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(looks()).toHaveLength(end.length);
  });
  test('looks once at least', async () => {
    await using one = await Fixture.make();
    expect(await one.run('irqtop -n 0')).toMatchObject({ code: 2, errors: expect.stringContaining('--iterations is 1 or more') });
    expect(await one.run('irqtop -d soon')).toMatchObject({ code: 2, errors: expect.stringContaining('--delay') });
  });
});
