import * as fc from 'fast-check';
import { expect } from 'vitest';
import { type IommuDomain, PROT } from 'backplane';
import type { IommuFault } from '../../core/hal/index.js';
import { type Bench, PAGE, codeOf } from '../acceptance/iommu-bench.js';

const LARGE = 512;
export const CARDS = ['0000:00:04.0', '0000:00:05.0'] as const;
const DOMAINS = 3;
const PASIDS = 3;
/** Physical pages, the first of them at a multiple of 2 MiB. */
const FRAMES = 2 * LARGE + 16;
/** No two pages are alike. */
const PATTERN = Uint8Array.from({ length: FRAMES * PAGE }, (_, i) => (i >>> 12) + 7 * i);

/** A page as the reference knows it; all pages of a large one are the same object. */
interface Entry {
  readonly start: number;
  readonly count: number;
  readonly frame: number;
  readonly prot: number;
}

/** What a translation table is, written down as simply as can be. */
class Reference {
  readonly pages = new Map<number, Entry>();

  map(page: number, frame: number, count: number, prot: number): boolean {
    for (let i = 0; i < count; i++) if (this.pages.has(page + i)) return false;
    for (let done = 0; done < count;) {
      const start = page + done;
      const isLarge = start % LARGE === 0 && (frame + done) % LARGE === 0 && count - done >= LARGE;
      const entry = { start, count: isLarge ? LARGE : 1, frame: frame + done, prot };
      for (let i = 0; i < entry.count; i++) this.pages.set(start + i, entry);
      done += entry.count;
    }
    return true;
  }

  unmap(page: number, count: number): number {
    let done = 0;
    for (let entry = this.pages.get(page); entry !== undefined; entry = this.pages.get(page + done)) {
      if (entry.start !== page + done || entry.count > count - done) break;
      for (let i = 0; i < entry.count; i++) this.pages.delete(entry.start + i);
      done += entry.count;
    }
    return done;
  }
}

const page = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: LARGE - 4, max: LARGE + 8 }));
const count = fc.constantFrom(1, 1, 2, 3, 8, LARGE, LARGE + 2);
const domain = fc.integer({ min: 0, max: DOMAINS - 1 });
const card = fc.integer({ min: 0, max: CARDS.length - 1 });
/** 0 is none. */
const pasid = fc.integer({ min: 0, max: PASIDS });
const bytes = fc.oneof(fc.constantFrom(1, 4, PAGE), fc.integer({ min: 1, max: 3 * PAGE }));
const access = { card, pasid, page, at: fc.integer({ min: 0, max: PAGE - 1 }), bytes };
/** One thing that is done to a {@link World}. */
export const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('map' as const),
      domain,
      page,
      // Where large pages fit, and where not.
      frame: fc.oneof(page, fc.constant(1)),
      count,
      prot: fc.constantFrom(PROT.READ, PROT.WRITE, PROT.READ | PROT.WRITE, PROT.READ | PROT.WRITE),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('unmap' as const), domain, page, count }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('attach' as const), domain, card, pasid }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('detach' as const), domain, card, pasid }) },
  { weight: 5, arbitrary: fc.record({ what: fc.constant('read' as const), ...access }) },
  {
    weight: 5,
    arbitrary: fc.record({ what: fc.constant('write' as const), ...access, value: fc.integer({ min: 1, max: 255 }) }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('copy' as const), ...access, to: page }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Access = Pick<Extract<Step, { what: 'read' }>, 'card' | 'pasid' | 'at' | 'bytes'>;

/** Why an access stops: what its device is told. */
type Refusal = 'no-entry' | 'permission' | 'nothing attached';

/** What is so after each step, whatever the steps. */
const must = (actual: unknown, expected: unknown): void => expect(actual).toEqual(expected);

/** Two devices, domains for them, and beside all of that the reference. */
export class World {
  readonly #domains: IommuDomain[];
  readonly #tables = Array.from({ length: DOMAINS }, () => new Reference());
  /** By device, then by PASID: the domain that is attached. */
  readonly #contexts = CARDS.map(() => new Array<number | undefined>(PASIDS + 1).fill(undefined));
  readonly #base: number;
  readonly #memory: Uint8Array;
  readonly #expected: Uint8Array;
  readonly #faults: IommuFault[] = [];

  constructor(readonly bench: Bench) {
    const { iommu } = bench.kernel;
    this.#domains = Array.from({ length: DOMAINS }, () => iommu.allocDomain(bench.dev));
    this.#base = bench.pages(...new Array<number>(2 * FRAMES).fill(0));
    this.#base += (LARGE - ((this.#base / PAGE) % LARGE)) * PAGE;
    this.#memory = bench.machine.dma.view(this.#base, FRAMES * PAGE);
    this.#memory.set(PATTERN);
    this.#expected = this.#memory.slice();
    bench.machine.iommu!.onFault((fault) => this.#faults.push(fault));
  }

  take(s: Step): void {
    if (s.what === 'map') this.#map(s);
    else if (s.what === 'unmap') this.#unmap(s);
    else if (s.what === 'attach') this.#attach(s);
    else if (s.what === 'detach') this.#detach(s);
    else if (s.what === 'copy') this.#copy(s);
    else this.#transfer(s);
  }

  /** Memory is what the reference says, also where nobody was to write. */
  check(): void {
    must(Buffer.compare(this.#memory, this.#expected), 0);
    for (const [n, { pages }] of this.#tables.entries()) must(this.#domains[n]!.mappedBytes, pages.size * PAGE);
    must(this.bench.machine.modelErrors, []);
  }

  #map(s: Extract<Step, { what: 'map' }>): void {
    const result = codeOf(() => this.#domains[s.domain]!.map(s.page * PAGE, this.#base + s.frame * PAGE, s.count * PAGE, s.prot));
    must(result, this.#tables[s.domain]!.map(s.page, s.frame, s.count, s.prot) ? 'ok' : 'EADDRINUSE');
  }

  #unmap(s: Extract<Step, { what: 'unmap' }>): void {
    const done = this.#tables[s.domain]!.unmap(s.page, s.count);
    must(this.#domains[s.domain]!.unmap(s.page * PAGE, s.count * PAGE), done * PAGE);
  }

  #attach(s: Extract<Step, { what: 'attach' }>): void {
    const { iommu } = this.bench.kernel;
    const contexts = this.#contexts[s.card]!;
    const dev = this.bench.at(CARDS[s.card]!);
    const it = this.#domains[s.domain]!;
    const result = codeOf(() => (s.pasid === 0 ? iommu.attach(it, dev) : iommu.attachPasid(it, dev, s.pasid)));
    must(result, contexts[s.pasid] === undefined ? 'ok' : 'EBUSY');
    contexts[s.pasid] ??= s.domain;
  }

  #detach(s: Extract<Step, { what: 'detach' }>): void {
    const { iommu } = this.bench.kernel;
    const contexts = this.#contexts[s.card]!;
    const dev = this.bench.at(CARDS[s.card]!);
    const it = this.#domains[s.domain]!;
    const result = codeOf(() => (s.pasid === 0 ? iommu.detach(it, dev) : iommu.detachPasid(it, dev, s.pasid)));
    must(result, contexts[s.pasid] === s.domain ? 'ok' : 'EINVAL');
    if (result === 'ok') contexts[s.pasid] = undefined;
  }

  #transfer(s: Extract<Step, { what: 'read' | 'write' }>): void {
    const isWrite = s.what === 'write';
    const start = s.page * PAGE + s.at;
    const { frames, refusal } = this.#walk(s, start, isWrite);
    const port = this.bench.port(CARDS[s.card]);
    const buffer = new Uint8Array(s.bytes).fill(isWrite ? s.value : 0);
    const pasid = s.pasid === 0 ? undefined : s.pasid;
    const isDone = isWrite ? port.write(start, buffer, 0, s.bytes, pasid) : port.read(start, buffer, 0, s.bytes, pasid);
    this.#told(s, isDone, refusal, start + frames.length, isWrite);
    if (isWrite) for (const at of frames) this.#expected[at] = s.value;
    else {
      const wanted = Uint8Array.from({ length: s.bytes }, (_, i) => (i < frames.length ? this.#expected[frames[i]!]! : 0xff));
      must(Buffer.compare(buffer, wanted), 0);
    }
  }

  #copy(s: Extract<Step, { what: 'copy' }>): void {
    const from = s.page * PAGE + s.at;
    const to = s.to * PAGE + (s.at >>> 1);
    const source = this.#walk(s, from, false);
    const target = this.#walk(s, to, true);
    // In which order bytes go that are in both is nobody's business.
    const both = new Set(source.frames);
    if (target.frames.some((at) => both.has(at))) return;
    const length = Math.min(source.frames.length, target.frames.length);
    const isDone = this.bench.port(CARDS[s.card]).copy(from, to, s.bytes, s.pasid === 0 ? undefined : s.pasid);
    // The source is asked first.
    const isSource = source.frames.length === length && length < s.bytes;
    this.#told(s, isDone, isSource ? source.refusal : target.refusal, (isSource ? from : to) + length, !isSource);
    for (let i = 0; i < length; i++) this.#expected[target.frames[i]!] = this.#expected[source.frames[i]!]!;
  }

  /** Where each byte of an access is in memory, up to the first that is refused. */
  #walk({ card, pasid, bytes }: Access, start: number, isWrite: boolean): { frames: number[]; refusal: Refusal | undefined } {
    const context = this.#contexts[card]![pasid];
    // Without PASID there is the default domain, which has nothing.
    if (context === undefined) return { frames: [], refusal: pasid === 0 ? 'no-entry' : 'nothing attached' };
    const frames: number[] = [];
    for (let iova = start; iova < start + bytes; iova++) {
      const page = Math.floor(iova / PAGE);
      const entry = this.#tables[context]!.pages.get(page);
      if (entry === undefined) return { frames, refusal: 'no-entry' };
      if ((entry.prot & (isWrite ? PROT.WRITE : PROT.READ)) === 0) return { frames, refusal: 'permission' };
      frames.push((entry.frame + page - entry.start) * PAGE + (iova % PAGE));
    }
    return { frames, refusal: undefined };
  }

  /** An access that is refused is refused once, where and why the reference says. */
  #told({ card, pasid }: Access, isDone: boolean, refusal: Refusal | undefined, iova: number, isWrite: boolean): void {
    const faults = this.#faults.splice(0);
    must([isDone, faults.length], refusal === undefined ? [true, 0] : [false, 1]);
    if (refusal === undefined) return;
    const reasons = refusal === 'nothing attached' ? ['no-context', 'blocked'] : [refusal];
    const requesterId = card === 0 ? 0x20 : 0x28;
    const { reason, ...fault } = faults[0]!;
    must(fault, expect.objectContaining({ requesterId, pasid: pasid === 0 ? undefined : pasid, iova, isWrite }));
    must(reasons.includes(reason), true);
  }
}
