import * as fc from 'fast-check';
import { expect } from 'vitest';
import { type DmaPages, type IommuDomain, PROT } from 'backplane';
import { type Desc, type DsaBench, RCI, RCR, SHARED } from '../acceptance/dsa-bench.js';

const PAGE = 4096;
const PASID = 5;
/** Pages of the address space, one after the other, and where they begin. */
export const PAGES = 6;
const BASE = 0x50_0000;
const [BATCH, APPLY_DELTA] = [1, 8];
const OPERATIONS = [0, 1, 1, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x20, 0x2f];
const ACCESS = { none: 0, read: PROT.READ, all: PROT.READ | PROT.WRITE } as const;

const address = fc.record({ page: fc.integer({ min: 0, max: PAGES }), at: fc.integer({ min: 0, max: PAGE - 1 }) });
const submission = fc.record({
  what: fc.constant('submit' as const),
  op: fc.constantFrom(...OPERATIONS),
  flags: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(RCR, RCR | RCI, RCR | 1, 0) }, fc.integer({ min: 0, max: 0xff_ffff })),
  source: address,
  destination: address,
  size: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 3 * PAGE })),
  record: fc.oneof(fc.constantFrom(0, 32), fc.integer({ min: 0, max: PAGES * PAGE })).map((at) => at - (at % 32)),
  pasid: fc.constantFrom(PASID, PASID, PASID, PASID, 0, 6),
  handle: fc.constantFrom(0, 1, 2, 9, 0x21),
  page: fc.integer({ min: 0, max: 3 }),
  times: fc.constantFrom(1, 1, 1, 20),
});
/** One thing that is done to a {@link World}. */
export const step = fc.oneof(
  { weight: 20, arbitrary: submission },
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant('access' as const),
      page: fc.integer({ min: 0, max: PAGES - 1 }),
      to: fc.constantFrom<keyof typeof ACCESS>('none', 'read', 'all', 'all'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('command' as const),
      code: fc.constantFrom(1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 31),
      operand: fc.constantFrom(0, 1, 2, 3, PASID, 0x1_0001),
      interrupts: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('register' as const),
      // All but the table of MSI-X, which is the platform's.
      at: fc.oneof(fc.integer({ min: 0x80, max: 0x1ffc }), fc.integer({ min: 0x8000, max: 0x80fc })).map((at) => at - (at % 4)),
      value: fc.oneof(fc.constantFrom(0, 1, 0x11, 0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff })),
    }),
  },
  { weight: 10, arbitrary: fc.record({ what: fc.constantFrom('elapse' as const, 'elapse' as const, 'set-up' as const) }) },
  fc.record({ what: fc.constantFrom('halt' as const, 'revoke' as const, 'reset' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What is so after each step, whatever the steps. */
const must = (actual: unknown, expected: unknown): void => expect(actual).toEqual(expected);

/** A device with a shared queue, in whose address space pages come and go; and with a dedicated one without any. */
export class World {
  /** What each page may be used for, and what it had in it when it could be written last. */
  readonly #access = new Array<keyof typeof ACCESS>(PAGES).fill('none');
  readonly #kept: Uint8Array[] = [];
  readonly #pages: DmaPages;
  /** Memory that no device was told of. */
  readonly #foreign: DmaPages;
  readonly #domain: IommuDomain;

  constructor(readonly bench: DsaBench) {
    const { dma } = bench.kernel;
    this.#pages = dma.pages(bench.dev, PAGES * PAGE);
    this.#foreign = dma.pages(bench.dev, PAGES * PAGE);
    this.#foreign.fill(0xa5, 0, PAGES * PAGE);
    this.#domain = bench.space(PASID);
    for (let page = 0; page < PAGES; page++) {
      this.#pages.fill(page + 1, page * PAGE, PAGE);
      this.#kept.push(this.#read(page));
      this.access(page, 'all');
    }
    this.setUp();
  }

  take(s: Step): void {
    if (s.what === 'submit') this.#submit(s);
    else if (s.what === 'access') this.access(s.page, s.to);
    else if (s.what === 'command') this.bench.w32(0xa0, (s.interrupts ? 2 ** 31 : 0) + s.code * 2 ** 20 + s.operand);
    else if (s.what === 'register') this.bench.w32(s.at, s.value);
    else if (s.what === 'set-up') this.setUp();
    else if (s.what === 'elapse') this.bench.elapse(3);
    else if (s.what === 'halt') this.bench.pins.halt();
    else if (s.what === 'revoke') this.bench.pins.revokeHandles();
    else this.bench.command(5);
  }

  /** Anew when the device has halted, or has been turned off; else what is not there yet, as far as the device lets it. */
  setUp(): void {
    const { bench } = this;
    if ((bench.r32(0x90) & 3) !== 1) bench.command(5);
    bench.configure([{ mode: SHARED, threshold: 8 }, {}]);
    bench.w32(0x80, 0x1000);
    for (const [code, operand] of [
      [1, 0],
      [6, 0],
      [6, 1],
    ] as const) {
      bench.command(code, operand);
    }
  }

  access(page: number, to: keyof typeof ACCESS): void {
    this.check(page);
    this.#domain.unmap(BASE + page * PAGE, PAGE);
    if (to !== 'none') this.#domain.map(BASE + page * PAGE, this.#pages.physicalAddress + page * PAGE, PAGE, ACCESS[to]);
    this.#access[page] = to;
    this.#kept[page] = this.#read(page);
  }

  /** What may not be written has not been. */
  check(page: number): void {
    if (this.#access[page] !== 'all') must(Buffer.compare(this.#read(page), this.#kept[page]!), 0);
  }

  checkAll(): void {
    for (let page = 0; page < PAGES; page++) this.check(page);
    const foreign = new Uint8Array(PAGES * PAGE);
    this.#foreign.read(0, foreign);
    must(
      foreign.every((byte) => byte === 0xa5),
      true,
    );
    must(this.bench.sim.modelErrors, []);
    must(
      this.bench.sim.dmaFaults.filter(({ reason }) => reason === 'unallocated'),
      [],
    );
  }

  #read(page: number): Uint8Array {
    const bytes = new Uint8Array(PAGE);
    this.#pages.read(page * PAGE, bytes);
    return bytes;
  }

  #submit(s: Extract<Step, { what: 'submit' }>): void {
    const { bench } = this;
    const place = ({ page, at }: { page: number; at: number }): number => BASE + page * PAGE + at;
    const isBatch = s.op === BATCH;
    const desc: Desc = {
      ...s,
      source: isBatch ? BASE + s.source.page * PAGE : place(s.source),
      destination: place(s.destination),
      size: isBatch ? s.size & 7 : s.size,
      record: BASE + s.record,
      own:
        s.op >= 7 && s.op <= 9
          ? [
              [40, 8, s.op === APPLY_DELTA ? 20 : place(s.source)],
              [48, 4, 80],
            ]
          : [],
    };
    // What a dedicated queue without address space is told is nowhere.
    for (let i = 0; i < s.times; i++) {
      if (s.pasid === 0) bench.submit(desc, { wq: 1, page: s.page });
      else bench.enqcmd(desc, { page: s.page });
    }
  }
}
