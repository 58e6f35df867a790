/**
 * 250 sub-functions share 56 vectors; then there are 255, since messages in memory (IMS) make the same pool larger. The same traffic, side
 * by side, and as a plot. `backplane run vector-pool`
 */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cable } from 'backplane/sim';
import { chart } from './lib/chart.js';
import { type Measured, PingPong } from './lib/ping-pong.js';
import { SubFunctions } from './lib/sub-functions.js';

const CPUS = 8;
const SFS = 250;
/** The function itself has one for control and one for each CPU, the control queues of sub-functions have four: 56 are left. */
const MSIX = 69;
/** Of messages in memory: without, and with as many as make 255. */
const IMS = [0, 199] as const;
/** Sub-functions that there are when it is measured. */
const COUNTS = [8, 56, 96, 152, 200, 250] as const;
/** What the simulated machine cannot know, in microseconds of a CPU. */
const COSTS = { interruptUs: 1, eventQueueUs: 0.3, packetUs: 0.7 } as const;
const RUN_US = 200;
const COLORS = ['#c0392b', '#2471a3'] as const;

/** What was measured when there were so many sub-functions. */
interface Row {
  readonly count: number;
  /** One function busy on each CPU, each in its turn; and all at once. */
  readonly one: Measured;
  readonly all: Measured;
}

interface Result {
  readonly vectors: number;
  readonly used: number;
  /** Event queues that a vector serves: the least, and the most. */
  readonly queues: readonly [number, number];
  readonly rows: readonly Row[];
}

async function measure(ims: number): Promise<Result> {
  const [near, far] = cable();
  await using farm = await SubFunctions.start({ sfs: SFS, cpus: CPUS, msix: MSIX, ims, wire: near });
  const traffic = new PingPong(farm, far, COSTS);
  const rows: Row[] = [];
  for (const count of COUNTS) {
    while (farm.all.length < count) await traffic.join(await farm.add());
    const turns: Measured[] = [];
    for (let n = 1; n + CPUS - 1 <= count; n += CPUS) {
      turns.push(await traffic.run(numbers(n, CPUS), RUN_US));
    }
    rows.push({ count, one: together(turns), all: await traffic.run(numbers(1, count), 5 * RUN_US) });
  }
  const users = new Map<number, number>();
  for (const { virqs } of farm.all) for (const virq of virqs) users.set(virq, (users.get(virq) ?? 0) + 1);
  const shares = [...users.values()];
  const vectors = farm.pf.irqTable.sfCompletion!.capacity;
  return { vectors, used: users.size, queues: [Math.min(...shares), Math.max(...shares)], rows };
}

const numbers = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

function together(all: readonly Measured[]): Measured {
  const sum = (of: (one: Measured) => number): number => all.reduce((total, one) => total + of(one), 0);
  const latencies = all.flatMap((one) => one.latencies).toSorted((a, b) => a - b);
  return { us: sum((one) => one.us), answers: sum((one) => one.answers), interrupts: sum((one) => one.interrupts), latencies };
}

const results = [await measure(IMS[0]), await measure(IMS[1])];

// The table.
const perSecond = (count: number, { us }: Measured): string => Math.round((count / us) * 1e6).toLocaleString('en-US');
const part = ({ latencies }: Measured, of: number): string => latencies[Math.floor((latencies.length - 1) * of)]!.toFixed(1);
const rate = ({ answers, us }: Measured): number => answers / us;
const change = (now: Measured, before: Measured): string => {
  return `${(100 * (rate(now) / rate(before) - 1)).toFixed(1)} %`;
};
const line = (name: string, of: (result: Result) => string): void =>
  console.log(`${name.padEnd(38)}${results.map((result) => of(result).padStart(16)).join('')}`.trimEnd());
const lines = (of: (result: Result) => Measured): void => {
  line('  answers a second', (result) => perSecond(of(result).answers, of(result)));
  line('  interrupts a second', (result) => perSecond(of(result).interrupts, of(result)));
  line('  latency, us: half are below', (result) => part(of(result), 0.5));
  line('  latency, us: 99 % are below', (result) => part(of(result), 0.99));
};

console.log(`${SFS} sub-functions on ${CPUS} CPUs`);
line('', ({ vectors }) => `${vectors} vectors`);
line('vectors that they have', ({ used }) => `${used}`);
line('event queues of a vector', ({ queues: [least, most] }) => (least === most ? `${least}` : `${least} to ${most}`));
console.log('One function busy on each CPU:');
lines(({ rows }) => rows.at(-1)!.one);
line(`  against ${COUNTS[0]} functions alone`, ({ rows }) => change(rows.at(-1)!.one, rows[0]!.one));
console.log('All functions busy at once:');
lines(({ rows }) => rows.at(-1)!.all);
console.log(`
Counted, by the driver on the model of the device: interrupts, and the event queues that each of them looks at.
Assumed: a CPU needs ${COSTS.interruptUs} us for an interrupt, ${COSTS.eventQueueUs} us to look at an event queue and arm it, ${COSTS.packetUs} us to answer
a packet; the other end of the cable needs nothing. A shared interrupt looks at the queues of all who share it,
for nothing where one of them is busy. Real hardware was published to lose 35 % when it shares, and 2 % with a
vector each: the shape is the same. How much it is follows from what is assumed: with half as much for a queue
it is 23 %. Where all are busy sharing is the better: an interrupt finds work in many queues, and there are fewer
of them, as by moderation.`);

// The plot.
const panel = (title: string, of: (row: Row) => Measured) => ({
  title,
  x: 'sub-functions',
  y: 'million answers a second',
  series: results.map(({ vectors, rows }, n) => ({
    name: `${vectors} vectors`,
    color: COLORS[n]!,
    points: rows.map((row) => [row.count, rate(of(row))] as const),
  })),
});
const file = join(tmpdir(), 'vector-pool.svg');
writeFileSync(file, chart([panel('One busy on each CPU', (row) => row.one), panel('All busy at once', (row) => row.all)]));
console.log(`\nPlot: ${file}`);
