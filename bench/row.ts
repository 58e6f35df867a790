/** How long to measure. */
export interface Effort {
  /** Rounds: in each, the yardstick and the row are measured one after the other. */
  readonly rounds: number;
  /** Length of what is timed in a round, in milliseconds; 0 runs everything once and its figures mean nothing. */
  readonly roundMs: number;
}

/** Takes one round's figure. */
export type Reading = () => number | Promise<number>;

/** Something that can be measured again and again. */
export interface Gauge {
  readonly name: string;
  /** Sets up what is measured, and warms it up. */
  prepare(effort: Effort): Reading | Promise<Reading>;
}

export type RateOf = 'descriptors' | 'bytes' | 'packets';

/** One line of the report: a figure, and what it is compared with. */
export interface Row {
  readonly name: string;
  readonly unit: 'ns' | 'bytes' | 'ms' | 'times';
  /** Measured in the same process and the same rounds. */
  readonly yardstick: Gauge;
  /** The figure divided by the yardstick's, at most; absent for a row that only informs. */
  readonly target?: number;
  /** What one item is, where how many there are in a second is of interest; of rows in nanoseconds; `beside`: what to print next to it. */
  readonly rate?: { readonly of: RateOf; readonly count: number; readonly beside?: string };
  readonly run: Gauge['prepare'];
}

/** What came of a row. */
export interface Result {
  readonly id: string;
  readonly name: string;
  readonly unit: Row['unit'];
  /** Medians of all rounds; `ratio` is that of the rounds' ratios. */
  readonly value: number;
  readonly yardstick: string;
  readonly yardstickValue: number;
  readonly ratio: number;
  readonly target: number | undefined;
  readonly rate?: { readonly of: RateOf; readonly perSecond: number; readonly beside?: string };
  /** The ratio of each round. */
  readonly ratios: readonly number[];
}
