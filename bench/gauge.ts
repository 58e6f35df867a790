import { spawnSync } from 'node:child_process';
import { median } from './measure.js';
import type { Effort, Gauge, Reading } from './row.js';

/** Does something `calls` times. */
export type Load = (calls: number) => unknown;

/** Nanoseconds that `calls` calls took. */
async function time(load: Load, calls: number): Promise<number> {
  const start = performance.now();
  const done = load(calls);
  if (done instanceof Promise) await done;
  return (performance.now() - start) * 1e6;
}

/**
 * Prepares the timing of a load: finds, warming it up, how many calls fill a round.
 * @param items how many of what is reported one call does
 * @returns nanoseconds an item
 */
export async function timing(load: Load, effort: Effort, items = 1): Promise<Reading> {
  const wantedNs = effort.roundMs * 1e6;
  let calls = 1;
  for (let ns = await time(load, calls); ns < wantedNs; ns = await time(load, calls)) {
    calls = Math.ceil(calls * Math.min(4, Math.max(1.1, wantedNs / ns)));
  }
  return async () => (await time(load, calls)) / (calls * items);
}

/** What times a load that `setup` makes; in nanoseconds. */
export function timed(name: string, setup: (effort: Effort) => Load | Promise<Load>): Gauge {
  return { name, prepare: async (effort) => timing(await setup(effort), effort) };
}

/** Rounds that pass before code of many functions has been compiled, on a machine that is busy. */
const WARM_UP_ROUNDS = 20;

/** A load after so many rounds: for what is spread over so many functions that a round does not warm it up. */
export async function warm(load: Load, { roundMs }: Effort): Promise<Load> {
  const end = performance.now() + roundMs * WARM_UP_ROUNDS;
  while (performance.now() < end) {
    const done = load(100);
    if (done instanceof Promise) await done;
  }
  return load;
}

/** What is always the same. */
export function fixed(name: string, value: number): Gauge {
  return { name, prepare: () => () => value };
}

/** The sum of some gauges, each taken so many times. */
export function sum(name: string, ...parts: readonly (readonly [times: number, gauge: Gauge])[]): Gauge {
  return {
    name,
    async prepare(effort) {
      const readings: [number, Reading][] = [];
      for (const [times, gauge] of parts) readings.push([times, await gauge.prepare(effort)]);
      return async () => {
        let total = 0;
        for (const [times, reading] of readings) total += times * (await reading());
        return total;
      };
    },
  };
}

/** A gauge that is read before its row is set up, since that would change it for the rest of the process. */
export function before(gauge: Gauge): Gauge {
  return {
    name: gauge.name,
    async prepare(effort) {
      const reading = await gauge.prepare(effort);
      const values: number[] = [];
      for (let round = 0; round < effort.rounds; round++) values.push(await reading());
      const value = median(values);
      return () => value;
    },
  };
}

/** Milliseconds from the start of a Node with these arguments to its end. */
export function program(name: string, ...args: readonly string[]): Gauge {
  const reading = (): number => {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: exit code ${status}: ${stderr}`);
    return performance.now() - start;
  };
  return { name, prepare: () => reading };
}
